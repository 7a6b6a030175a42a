"""Custody: an issue of now keeps the rules, one of the past tells what happened, no time has two holders unseen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from dockd.errors import BadValue, IssueRefused, ReturnRefused, UnknownNumber
from dockd.nouns import Custody, Officer, Recorder
from dockd.register.biography import biography
from dockd.register.custody import (
    Flag,
    Handover,
    custody_around,
    custody_of,
    holders,
    issue_recorder,
    return_recorder,
)
from dockd.register.officers import put_officers
from dockd.register.recorders import get_recorder, put_recorders
from dockd.register.session import Register
from dockd.register.tables import CustodyRow, EventRow, RecorderEventRow, RecorderRow, RecorderState

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
DESK: dict[str, Any] = {"station_no": "S1", "actor": "person:tester"}
HOUR = timedelta(hours=1)


@pytest.fixture
def desk(register: Register) -> Register:
    """A register with the recorders YS-07 and YS-08 and the officers C1, C2 and C3."""
    people = [Officer("C1", "李明"), Officer("C2", "赵强"), Officer("C3", "孙立")]
    with register.write() as session:
        put_officers(session, people, now=NOW, **DESK)
        put_recorders(session, [Recorder("YS-07"), Recorder("YS-08")], now=NOW, **DESK)
    return register


def issue(desk: Register, cert_no: str = "C1", *, now: datetime = NOW, **said: Any) -> Handover:
    asked: dict[str, Any] = {"at": None, "until": None, "battery": 90, "override": None, "device_no": "YS-07", **said}
    with desk.write() as session:
        return issue_recorder(session, asked.pop("device_no"), cert_no, now=now, **asked, **DESK)


def give_back(desk: Register, *, now: datetime = NOW, device_no: str = "YS-07", **said: Any) -> list[Handover]:
    asked: dict[str, Any] = {"at": None, "battery": None, **said}
    with desk.write() as session:
        return return_recorder(session, device_no, now=now, **asked, **DESK)


def around(desk: Register, frm: datetime, to: datetime, device_no: str = "YS-07") -> list[tuple[str, datetime]]:
    with desk.read() as session:
        return [(c.cert_no, c.issued_at) for c in custody_around(session, device_no, frm, to)]


def last_line(desk: Register) -> tuple[str, dict[str, Any]]:
    with desk.read() as session:
        row = session.scalars(select(EventRow).order_by(EventRow.seq.desc()).limit(1)).one()
    assert row.subject == "recorder:YS-07"
    return row.kind, json.loads(row.line)["data"]


def put_state(desk: Register, state: RecorderState) -> None:
    with desk.write() as session:
        session.execute(update(RecorderRow).values(state=state))


# --- now ---------------------------------------------------------------------------------------------


def test_a_recorder_is_handed_out_and_comes_back(desk: Register) -> None:
    out = issue(desk, until=NOW + 8 * HOUR)
    assert (out.issued_at, out.due_at, out.battery_out, out.flags) == (NOW, NOW + 8 * HOUR, 90, ())
    kind, data = last_line(desk)
    assert kind == "custody.issued"
    assert data == {
        "custody_id": out.custody_id,
        "device_no": "YS-07",
        "cert_no": "C1",
        "issued_at": "2026-11-23T10:00:00+00:00",
        "due_at": "2026-11-23T18:00:00+00:00",
        "issued_by": "person:tester",
        "battery_out": 90,
        "battery_out_source": "entered",
        "override_reason": None,
        "flags": [],
    }
    (back,) = give_back(desk, now=NOW + HOUR, battery=20)
    assert (back.custody_id, back.returned_at, back.battery_in) == (out.custody_id, NOW + HOUR, 20)
    kind, data = last_line(desk)
    assert kind == "custody.returned"
    assert (data["custody_id"], data["returned_at"], data["battery_in"], data["flags"]) == (
        out.custody_id,
        "2026-11-23T11:00:00+00:00",
        20,
        [],
    )
    with desk.read() as session:
        assert custody_of(session, "YS-07") == [back]
        assert holders(session) == {}
        kinds = [line.kind for line in biography(session, "YS-07")]
    assert kinds == ["recorder.added", "custody.issued", "custody.returned"]


def test_a_recorder_that_is_still_out_is_not_issued_and_nothing_is_written(desk: Register) -> None:
    issue(desk)
    with pytest.raises(IssueRefused, match="YS-07 cannot be issued: it is still out with C1"):
        issue(desk, "C2", now=NOW + HOUR)
    with desk.read() as session:
        assert session.scalar(select(func.count()).select_from(CustodyRow)) == 1
        assert holders(session) == {"YS-07": "C1"}


def test_an_override_issues_it_all_the_same_and_is_traced(desk: Register) -> None:
    issue(desk)
    out = issue(desk, "C2", now=NOW + HOUR, override=" shift change\n missed ")
    assert out.flags == (Flag.OVERLAP,)
    kind, data = last_line(desk)
    assert (kind, data["override_reason"], data["flags"]) == ("custody.issued", "shift change  missed", ["overlap"])


def test_an_empty_override_is_no_reason(desk: Register) -> None:
    with pytest.raises(BadValue, match="a reason"):
        issue(desk, override="  ")


@pytest.mark.parametrize("state", [RecorderState.OUT_OF_SERVICE, RecorderState.AT_REPAIR, RecorderState.RETIRED])
def test_a_recorder_that_is_not_in_service_is_not_issued(desk: Register, state: RecorderState) -> None:
    put_state(desk, state)
    with pytest.raises(IssueRefused, match=r"it is (out of service|at repair|retired)"):
        issue(desk)
    assert issue(desk, override="the only one left").flags == (Flag.NOT_IN_SERVICE,)
    with desk.read() as session:
        assert get_recorder(session, "YS-07").state == state


def test_an_issue_without_reading_the_battery_is_flagged(desk: Register) -> None:
    assert issue(desk, battery=None).flags == (Flag.BATTERY_UNCHECKED,)


@pytest.mark.parametrize("past", [timedelta(0), HOUR])
def test_an_unknown_officer_or_recorder_is_named(desk: Register, past: timedelta) -> None:
    with pytest.raises(UnknownNumber, match="no officer with the number C9"):
        issue(desk, "C9", at=NOW - past, override="x")
    with pytest.raises(UnknownNumber, match="no recorder with the number YS-99"):
        issue(desk, device_no="YS-99", at=NOW - past, override="x")
    with pytest.raises(UnknownNumber, match="no recorder with the number YS-99"):
        give_back(desk, device_no="YS-99")


@pytest.mark.parametrize(
    "said",
    [{"at": NOW + timedelta(seconds=1)}, {"battery": 101}, {"battery": -1}, {"until": NOW}, {"until": NOW - HOUR}],
)
def test_what_cannot_be_is_a_bad_value(desk: Register, said: dict[str, Any]) -> None:
    with pytest.raises(BadValue):
        issue(desk, **said)


def test_a_return_of_now_of_what_nobody_holds_is_refused(desk: Register) -> None:
    with pytest.raises(ReturnRefused, match="nobody is registered as holding it"):
        give_back(desk)
    issue(desk)
    give_back(desk)
    with pytest.raises(ReturnRefused):
        give_back(desk)


# --- the past --------------------------------------------------------------------------------------------


def test_an_issue_in_the_past_is_recorded_whatever_it_breaks(desk: Register) -> None:
    issue(desk, "C1", at=NOW - 5 * HOUR)
    put_state(desk, RecorderState.RETIRED)
    out = issue(desk, "C2", at=NOW - 3 * HOUR, battery=None)
    assert out.flags == (Flag.ISSUE_BACKDATED, Flag.OVERLAP)


def test_an_overlap_that_the_return_resolves_is_flagged_no_more(desk: Register) -> None:
    issue(desk, "C2", at=NOW - HOUR)
    assert Flag.OVERLAP in issue(desk, "C1", at=NOW - 9 * HOUR).flags
    (back,) = give_back(desk, at=NOW - 2 * HOUR)
    assert (back.cert_no, back.flags) == ("C1", (Flag.ISSUE_BACKDATED, Flag.RETURN_BACKDATED))
    assert around(desk, NOW - HOUR / 2, NOW) == [("C2", NOW - HOUR)]


def test_an_overlap_that_remains_after_the_return_stays_flagged(desk: Register) -> None:
    issue(desk, "C2", at=NOW - 4 * HOUR)
    issue(desk, "C1", at=NOW - 9 * HOUR)
    with desk.write() as session:
        session.execute(update(CustodyRow).where(CustodyRow.cert_no == "C2").values(returned_at=NOW - HOUR))
    (back,) = give_back(desk, at=NOW - 2 * HOUR)
    assert (back.cert_no, Flag.OVERLAP in back.flags) == ("C1", True)


def test_custody_that_only_touches_is_no_overlap(desk: Register) -> None:
    issue(desk, "C1", at=NOW - 2 * HOUR)
    give_back(desk, at=NOW - HOUR)
    assert Flag.OVERLAP not in issue(desk, "C2", at=NOW - HOUR).flags


def test_a_forgotten_return_ends_when_the_recorder_comes_back_from_another(desk: Register) -> None:
    issue(desk, "C1", at=NOW - 9 * HOUR)
    issue(desk, "C2", override="C1 is on leave")
    newest, forgotten = give_back(desk, now=NOW + HOUR)
    assert (newest.cert_no, newest.returned_at, newest.flags) == ("C2", NOW + HOUR, (Flag.OVERLAP,))
    assert (forgotten.cert_no, forgotten.returned_at) == ("C1", NOW + HOUR)
    assert forgotten.flags == (Flag.ISSUE_BACKDATED, Flag.OVERLAP, Flag.CLOSED_WITH_LATER)
    with desk.read() as session:
        assert holders(session) == {}


def test_a_return_in_the_past_of_what_nobody_held_is_a_line_of_the_equipment_register(desk: Register) -> None:
    (stray,) = give_back(desk, at=NOW - HOUR, battery=5)
    assert (stray.custody_id, stray.flags) == (None, (Flag.RETURN_BACKDATED, Flag.NOT_OUT))
    with desk.read() as session:
        row = session.scalars(select(RecorderEventRow)).one()
    assert (row.kind, row.at, row.battery_pct, row.result) == ("returned", NOW - HOUR, 5, "not_out")
    kind, data = last_line(desk)
    assert (kind, data["custody_id"], data["flags"]) == ("custody.returned", None, ["return_backdated", "not_out"])


def test_an_issue_and_its_return_are_entered_in_one_go_and_doubt_nothing_later(desk: Register) -> None:
    issue(desk, "C2", at=NOW - HOUR)
    past = issue(desk, "C1", at=NOW - 9 * HOUR, returned=NOW - 8 * HOUR)
    assert (past.returned_at, past.flags) == (NOW - 8 * HOUR, ("issue_backdated", "return_backdated"))
    assert last_line(desk)[0] == "custody.returned"
    assert around(desk, NOW - 9 * HOUR, NOW) == [("C1", NOW - 9 * HOUR), ("C2", NOW - HOUR)]
    with desk.read() as session:
        assert holders(session) == {"YS-07": "C2"}


@pytest.mark.parametrize("hours", [-9, 1])
def test_a_return_that_cannot_be_is_a_bad_value(desk: Register, hours: int) -> None:
    with pytest.raises(BadValue):
        issue(desk, "C1", at=NOW - 9 * HOUR, returned=NOW + hours * HOUR)


def test_a_return_before_the_issue_does_not_end_it(desk: Register) -> None:
    issue(desk, "C1", at=NOW - HOUR)
    assert give_back(desk, at=NOW - 2 * HOUR)[0].custody_id is None
    with desk.read() as session:
        assert holders(session) == {"YS-07": "C1"}


# --- looking up ------------------------------------------------------------------------------------------


def test_custody_around_is_what_has_a_moment_in_it(desk: Register) -> None:
    for hours, cert_no in ((9, "C1"), (6, "C2"), (3, "C3")):
        issue(desk, cert_no, at=NOW - hours * HOUR)
        give_back(desk, at=NOW - (hours - 2) * HOUR)
    issue(desk, "C1", device_no="YS-08", at=NOW - 9 * HOUR)
    c1, c2, c3 = ("C1", NOW - 9 * HOUR), ("C2", NOW - 6 * HOUR), ("C3", NOW - 3 * HOUR)
    assert around(desk, NOW - 10 * HOUR, NOW) == [c1, c2, c3]
    assert around(desk, NOW - 8 * HOUR, NOW - 8 * HOUR) == [c1]
    assert around(desk, NOW - 7 * HOUR, NOW - 6 * HOUR) == [c1, c2]
    assert around(desk, NOW - 6.9 * HOUR, NOW - 6.1 * HOUR) == []
    assert around(desk, NOW - HOUR, NOW) == [c3]
    assert around(desk, NOW, NOW) == []
    assert around(desk, NOW - 10 * HOUR, NOW, "YS-08") == [c1]
    assert around(desk, NOW - 10 * HOUR, NOW, "YS-99") == []


def test_custody_carries_what_attribution_needs(desk: Register) -> None:
    out = issue(desk, "C1", at=NOW - 9 * HOUR, until=NOW - HOUR)
    assert out.custody_id is not None
    with desk.read() as session:
        found = custody_around(session, "YS-07", NOW, NOW)
    assert found == [Custody(out.custody_id, "C1", NOW - 9 * HOUR, None, NOW - HOUR)]


def test_the_cost_of_a_look_up_does_not_grow_with_history(desk: Register) -> None:
    with desk.write() as session:
        recorder_id = get_recorder(session, "YS-07").id
        rows = [
            CustodyRow(
                recorder_id=recorder_id,
                cert_no="C1",
                issued_at=NOW - (n + 1) * HOUR,
                returned_at=NOW - n * HOUR,
                issued_by="x",
                flags=[],
            )
            for n in range(2000)
        ]
        session.add_all(rows)
    read = 0

    def count(_target: object, _context: object) -> None:
        nonlocal read
        read += 1

    event.listen(CustodyRow, "load", count)
    try:
        found = around(desk, NOW - 1.5 * HOUR, NOW - 1.2 * HOUR)
    finally:
        event.remove(CustodyRow, "load", count)
    assert found == [("C1", NOW - 2 * HOUR)]
    assert read <= 16
