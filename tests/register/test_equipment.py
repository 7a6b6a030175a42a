"""The equipment register: every act with its line, its state, and the end of the alerts that it settles."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from dockd.errors import ActRefused, BadValue, IssueRefused, UnknownNumber
from dockd.law.faults import Act
from dockd.nouns import Officer, Recorder
from dockd.register import equipment
from dockd.register.alerts import list_alerts
from dockd.register.biography import biography
from dockd.register.custody import issue_recorder, return_recorder
from dockd.register.dues import Periods, dues
from dockd.register.equipment import EquipmentEvent, events_of
from dockd.register.officers import put_officers
from dockd.register.recorders import add_recorder, change_recorder, get_recorder
from dockd.register.station import Station
from dockd.register.tables import EventRow

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def desk(station: Station) -> Station:
    """A station with the recorder YS-07 and the officer C1."""
    said: dict[str, Any] = {"station_no": "S1", "now": station.now(), "actor": "person:tester"}
    with station.register.write() as session:
        put_officers(session, [Officer("C1", "李明")], **said)
        add_recorder(session, Recorder("YS-07", "2107731"), **said)
    return station


def enter(desk: Station, act: Callable[..., EquipmentEvent], **said: Any) -> EquipmentEvent:
    with desk.register.write() as session:
        return act(session, desk, "YS-07", **said)


def state(desk: Station) -> str:
    with desk.register.read() as session:
        return get_recorder(session, "YS-07").state


def issue(desk: Station, **said: Any) -> tuple[str, ...]:
    asked = {"at": None, "until": None, "battery": 90, "override": None, **said}
    with desk.register.write() as session:
        done = issue_recorder(session, "YS-07", "C1", **asked, station_no="S1", now=desk.now(), actor="person:tester")
    return done.flags


def open_kinds(desk: Station) -> list[str]:
    with desk.register.read() as session:
        return [alert.kind for alert in list_alerts(session, open_only=True)]


def last_line(desk: Station, kind: str) -> dict[str, Any]:
    with desk.register.read() as session:
        query = select(EventRow.line).where(EventRow.kind == kind).order_by(EventRow.seq.desc()).limit(1)
        return dict(json.loads(session.scalars(query).one())["data"])


def test_a_fault_stops_the_recorder_at_once_and_its_way_back_is_told_step_by_step(desk: Station, clock: Any) -> None:
    done = enter(desk, equipment.report_fault, told="no picture", person="李明")
    assert (done.kind, done.person, done.state) == ("faulted", "李明", "out_of_service")
    assert open_kinds(desk) == ["recorder_fault"]
    with pytest.raises(IssueRefused, match="it is out of service"):
        issue(desk)
    clock.move(hours=1)
    sent = enter(desk, equipment.send_to_repair, by="Maker's workshop")
    clock.move(days=3)
    back = enter(desk, equipment.take_back, result="new lens")
    assert (back.repairer, back.sent_at, back.back_at) == ("Maker's workshop", sent.at, desk.now())
    assert state(desk) == "in_service"
    assert open_kinds(desk) == []
    line = last_line(desk, "recorder.back")
    assert (line["state_before"], line["state"], line["result"]) == ("at_repair", "in_service", "new lens")
    assert issue(desk) == ()


def test_what_came_back_unfit_stays_out_of_service_until_somebody_says_otherwise(desk: Station) -> None:
    enter(desk, equipment.report_fault, told="no picture")
    enter(desk, equipment.send_to_repair, by="Maker")
    enter(desk, equipment.take_back, result="no spare parts", fit=False)
    assert (state(desk), open_kinds(desk)) == ("out_of_service", ["recorder_fault"])
    enter(desk, equipment.restore, note="it works after all")
    assert (state(desk), open_kinds(desk)) == ("in_service", [])


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (equipment.take_back, {"result": "done"}),
        (equipment.restore, {"note": "fine"}),
    ],
)
def test_an_act_that_cannot_be_is_refused_and_writes_nothing(
    desk: Station, act: Callable[..., EquipmentEvent], said: dict[str, Any]
) -> None:
    with pytest.raises(ActRefused, match="it is in service"):
        enter(desk, act, **said)
    with desk.register.read() as session:
        assert events_of(session, "YS-07") == []


def test_a_retired_recorder_is_retired(desk: Station) -> None:
    enter(desk, equipment.report_fault, told="water in it")
    enter(desk, equipment.retire, reason="beyond repair")
    assert (state(desk), open_kinds(desk)) == ("retired", [])
    with pytest.raises(ActRefused):
        enter(desk, equipment.report_fault, told="again")


def test_a_fault_entered_afterwards_changes_the_state_only_where_nothing_later_did(desk: Station, clock: Any) -> None:
    clock.move(days=2)
    enter(desk, equipment.report_fault, told="no sound", at=desk.now() - DAY)
    assert state(desk) == "out_of_service"
    enter(desk, equipment.restore, note="fine again")
    enter(desk, equipment.report_fault, told="no light", at=desk.now() - HOUR)
    assert state(desk) == "in_service", "it was put back after that"
    assert open_kinds(desk) == []


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (equipment.report_fault, {"told": " "}),
        (equipment.report_fault, {"told": "x" * 1001}),
        (equipment.send_to_repair, {"by": ""}),
        (equipment.inspect, {"battery": 101}),
    ],
)
def test_words_that_say_nothing_and_figures_that_cannot_be_are_bad_values(
    desk: Station, act: Callable[..., EquipmentEvent], said: dict[str, Any]
) -> None:
    with pytest.raises(BadValue):
        enter(desk, act, **said)


def test_the_future_and_unknown_recorders_are_refused(desk: Station) -> None:
    with pytest.raises(BadValue, match="not in the future"):
        enter(desk, equipment.report_fault, told="no picture", at=desk.now() + HOUR)
    with desk.register.write() as session, pytest.raises(UnknownNumber):
        equipment.inspect(session, desk, "YS-99")


def test_a_check_says_where_its_percentage_comes_from(desk: Station) -> None:
    assert enter(desk, equipment.inspect, battery=80).battery_source == "entered"
    assert enter(desk, equipment.inspect).battery_source == "unknown"


def test_handings_over_and_acts_stand_in_one_history(desk: Station, clock: Any) -> None:
    issue(desk)
    clock.move(hours=8)
    with desk.register.write() as session:
        return_recorder(session, "YS-07", at=None, battery=30, station_no="S1", now=desk.now(), actor="person:tester")
    clock.move(hours=1)
    enter(desk, equipment.maintain, told="cleaned")
    with desk.register.read() as session:
        told = [line.kind for line in biography(session, "YS-07")]
    assert told == ["recorder.added", "custody.issued", "custody.returned", "recorder.maintained"]


# --- handing out -------------------------------------------------------------------------------------------


def test_a_low_battery_is_not_handed_out_now_and_flagged_when_it_was(desk: Station, clock: Any) -> None:
    with pytest.raises(IssueRefused, match="battery is at 19 %"):
        issue(desk, battery=19, battery_min=20)
    clock.move(hours=2)
    assert "battery_low" in issue(desk, battery=19, battery_min=20, at=desk.now() - HOUR)


def test_a_recorder_that_was_not_docked_since_it_came_back_is_not_handed_out(desk: Station, clock: Any) -> None:
    issue(desk)
    clock.move(hours=8)
    with desk.register.write() as session:
        return_recorder(session, "YS-07", at=None, battery=30, station_no="S1", now=desk.now(), actor="person:tester")
    clock.move(hours=12)
    with pytest.raises(IssueRefused, match="not stored yet; dock it first"):
        issue(desk)
    assert issue(desk, override="the dock is broken") == ("not_offloaded",)


# --- what is due -------------------------------------------------------------------------------------------


def test_checks_maintenance_repairs_and_returns_fall_due(desk: Station, clock: Any) -> None:
    periods = Periods(check=30 * DAY, maintenance=timedelta(), repair=20 * DAY)
    begun = desk.now()
    with desk.register.read() as session:
        assert [(d.kind, d.due_at) for d in dues(session, periods)] == [("check_due", begun + 30 * DAY)]
    clock.move(days=1)
    enter(desk, equipment.inspect, battery=50)
    issue(desk, until=desk.now() + HOUR, override="a test")
    with desk.register.read() as session:
        assert [(d.kind, d.due_at) for d in dues(session, periods)] == [
            ("return_overdue", begun + DAY + HOUR),
            ("check_due", begun + 31 * DAY),
        ]
    enter(desk, equipment.send_to_repair, by="Maker")
    with desk.register.read() as session:
        found = {d.kind: d for d in dues(session, periods)}
    assert set(found) == {"return_overdue", "repair_overdue"}, "nobody checks what is being repaired"
    assert found["repair_overdue"].repairer == "Maker"


# --- the recorder itself -------------------------------------------------------------------------------------


def change(desk: Station, **said: Any) -> Recorder:
    with desk.register.write() as session:
        return change_recorder(session, "YS-07", said, station_no="S1", now=desk.now(), actor="person:tester")


def test_attributes_are_those_of_article_31_in_code_or_in_chinese(desk: Station) -> None:
    assert change(desk, attributes=("夜视", "explosion_proof", "night")).attributes == ("explosion_proof", "night")
    assert last_line(desk, "recorder.changed")["changes"] == {"attributes": [[], ["explosion_proof", "night"]]}
    assert change(desk, attributes=()).attributes == ()
    with pytest.raises(BadValue, match="positioning"):
        change(desk, attributes=("flying",))


def test_a_change_takes_away_what_is_said_to_be_empty_and_leaves_the_rest(desk: Station) -> None:
    changed = change(desk, unit="Unit 1", custodian="钱某", device_serial=None)
    assert (changed.unit, changed.custodian, changed.device_serial) == ("Unit 1", "钱某", "2107731")
    assert change(desk, custodian="").custodian is None
    assert change(desk, unit="Unit 1").unit == "Unit 1"
    with desk.register.read() as session:
        assert [line.kind for line in biography(session, "YS-07")].count("recorder.changed") == 2
    assert Act("kept") is Act.KEPT
