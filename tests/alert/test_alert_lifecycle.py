"""An alert's life: opened once, told again at a sane pace, grown by time, stopped by a name, ended by a fact."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alertdesk import raise_alert
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from dockd.alert.escalation import escalate, severity_at
from dockd.alert.upkeep import inspect_by_hand, watch_checks
from dockd.law.vocabulary import ALERT_CLASSES, Severity
from dockd.register import equipment
from dockd.register.alerts import Alert, acknowledge_alert, close_alert, find_alert, list_alerts
from dockd.register.custody import issue_recorder, return_recorder
from dockd.register.outbox import list_messages
from dockd.register.station import Station
from dockd.register.tables import EventRow
from dockd.settings import Steps

DAY = timedelta(days=1)


def told(station: Station) -> list[tuple[int | None, str, str]]:
    with station.register.read() as session:
        return [(m.alert_id, m.why, str(m.body.get("severity"))) for m in list_messages(session, "S1")]


def severity(station: Station, alert_id: int) -> str:
    with station.register.read() as session:
        found = find_alert(session, alert_id)
    assert found
    return found.severity


def lines(station: Station) -> list[str]:
    with station.register.read() as session:
        rows = session.scalars(select(EventRow.line).where(EventRow.kind.like("alert.%")).order_by(EventRow.seq))
        return [json.loads(line)["kind"] for line in rows]


def open_kinds(station: Station) -> list[str]:
    with station.register.read() as session:
        return [alert.kind for alert in list_alerts(session, open_only=True)]


def test_what_nobody_answers_grows_step_by_step_and_is_told_each_time(open_with: Any, clock: Any) -> None:
    station = open_with(["journal"], repeat={"notice": "0s", "warning": "0s", "critical": "0s"})
    number = raise_alert(station, kind="unassigned")
    assert escalate(station).escalated == 0
    clock.move(days=7)
    assert escalate(station).escalated == 1
    assert escalate(station).escalated == 0, "asked again at the same time it does nothing"
    assert severity(station, number) == "warning"
    clock.move(days=2)
    assert escalate(station).escalated == 1
    clock.move(days=90)
    assert escalate(station).escalated == 0, "nothing is above critical"
    assert told(station) == [
        (number, "opened", "notice"),
        (number, "escalated", "warning"),
        (number, "escalated", "critical"),
    ]
    assert lines(station) == ["alert.opened", "alert.escalated", "alert.escalated"]


def test_it_is_told_again_at_the_pace_of_its_severity(open_with: Any, clock: Any) -> None:
    steps = {"notice": "0s", "warning": "0s", "critical": "0s"}
    station = open_with(["journal"], repeat={"notice": "0s", "warning": "1d", "critical": "4h"}, escalate=steps)
    notice = raise_alert(station, 1, kind="unassigned")
    warning = raise_alert(station, 2, kind="late_docked")
    critical = raise_alert(station, 3, kind="store_full", device_no=None)
    for _ in range(48):
        clock.move(hours=1)
        escalate(station)
    again = [alert_id for alert_id, why, _ in told(station) if why == "repeated"]
    assert (again.count(notice), again.count(warning), again.count(critical)) == (0, 2, 12)


@pytest.mark.parametrize("stop", [acknowledge_alert, close_alert])
def test_a_name_and_a_note_stop_both(open_with: Any, clock: Any, stop: Any) -> None:
    station = open_with(["journal"])
    number = raise_alert(station, kind="late_docked")
    with station.register.write() as session:
        stop(session, number, note="he is on his way", by="person:li", at=clock())
    clock.move(days=30)
    raised = escalate(station)
    assert (raised.escalated, raised.repeated) == (0, 0)


def test_a_matter_that_comes_back_is_a_new_alert(open_with: Any, clock: Any) -> None:
    station = open_with(["journal"])
    first = raise_alert(station)
    with station.register.write() as session:
        close_alert(session, first, note="docked", by="person:li", at=clock())
    assert raise_alert(station) > first


@given(st.sampled_from(sorted(ALERT_CLASSES)), st.floats(0, 60), st.floats(0, 60))
def test_severity_only_ever_grows(kind: str, days: float, more: float) -> None:
    ladder = (Severity.NOTICE, Severity.WARNING, Severity.CRITICAL)
    begun = datetime(2026, 11, 23, tzinfo=UTC)
    nothing: dict[str, Any] = dict.fromkeys(Alert.__dataclass_fields__)
    alert = Alert(**nothing | {"kind": kind, "severity": ALERT_CLASSES[kind].severity, "opened_at": begun})
    steps = Steps.model_validate({})
    before = severity_at(alert, begun + days * DAY, steps)
    after = severity_at(alert, begun + (days + more) * DAY, steps)
    assert ladder.index(after) >= ladder.index(before) >= ladder.index(ALERT_CLASSES[kind].severity)


# --- article 24 -----------------------------------------------------------------------------------------------


def test_what_is_overdue_is_an_alert_until_it_is_done(open_with: Any, clock: Any) -> None:
    station = open_with(["journal"])
    with station.register.write() as session:
        issue_recorder(
            session, "YS-08", "13012301", at=None, until=clock() + DAY, battery=90, override=None,
            station_no="S1", now=clock(), actor="person:tester",
        )  # fmt: skip
    assert watch_checks(station) == 0
    clock.move(days=31)
    assert watch_checks(station) == 3
    assert watch_checks(station) == 0
    assert sorted(open_kinds(station)) == ["check_due", "check_due", "return_overdue"]
    with station.register.write() as session:
        return_recorder(session, "YS-08", at=None, battery=50, station_no="S1", now=clock(), actor="person:tester")
        equipment.inspect(session, station, "YS-07", battery=80)
    assert open_kinds(station).count("check_due") == 1
    watch_checks(station)
    assert open_kinds(station) == ["check_due"]


def test_a_check_that_finds_something_is_an_alert_until_one_that_does_not(open_with: Any) -> None:
    station = open_with(["journal"])
    with station.register.write() as session:
        done = inspect_by_hand(session, station, "YS-07", battery=10)
    assert done.facts["findings"] == ["battery_low"]
    assert open_kinds(station) == ["battery_low"]
    with station.register.write() as session:
        inspect_by_hand(session, station, "YS-07", note="no battery read")
    assert open_kinds(station) == ["battery_low"]
    with station.register.write() as session:
        inspect_by_hand(session, station, "YS-07", battery=90)
    assert open_kinds(station) == []
