"""Who gets what, and when: by class, severity, unit and hours; the journal gets everything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.alert.routing import Matter, destinations, opens_at
from dockd.settings import Alerts, Route

ZONE = ZoneInfo("Asia/Shanghai")
MONDAY = datetime(2026, 11, 23, 10, 0, tzinfo=ZONE)
CHANNELS = ["journal", *({"name": name, "kind": "wecom", "url": "http://x"} for name in ("duty", "leader"))]


def alerts(*routes: dict[str, Any], **said: Any) -> Alerts:
    return Alerts.model_validate({"channels": CHANNELS, "routes": list(routes), **said})


def to(said: Alerts, kind: str = "late_docked", severity: str = "warning", **more: Any) -> set[str]:
    matter = Matter(**{"why": "opened", "kind": kind, "severity": severity, "unit": "Unit 1", **more})
    return set(destinations(said, matter, MONDAY, ZONE))


def test_without_routes_everybody_gets_everything() -> None:
    assert to(alerts()) == {"journal", "duty", "leader"}


def test_routes_choose_by_severity_class_and_unit() -> None:
    said = alerts(
        {"to": ["leader"], "severity": "critical"},
        {"to": ["duty"], "kinds": ["late_docked", "store_full"], "units": ["Unit 1"]},
    )
    assert to(said) == {"journal", "duty"}
    assert to(said, unit="Unit 2") == {"journal"}
    assert to(said, unit=None) == {"journal"}
    assert to(said, "unassigned", "notice") == {"journal"}
    assert to(said, "unreadable_file", "critical") == {"journal", "leader"}
    assert to(said, "store_full", "critical") == {"journal", "duty", "leader"}


def test_an_alert_about_a_channel_is_told_on_another_where_there_is_one() -> None:
    said = alerts({"to": ["duty"]})
    assert to(said, "undelivered", "critical", failing="duty") == {"journal"}
    only = Alerts.model_validate({"channels": [CHANNELS[1]]})
    assert to(only, "undelivered", "critical", failing="duty") == {"duty"}


def test_reports_have_their_own_readers() -> None:
    routes = {"to": ["duty"], "severity": "critical"}
    assert to(alerts(routes), why="report", kind=None, severity="notice") == {"journal", "duty", "leader"}
    said = alerts(routes, report={"to": ["leader"]})
    assert to(said, why="report", kind=None, severity="notice") == {"journal", "leader"}


@pytest.mark.parametrize(
    ("hours", "days", "now", "begins"),
    [
        (None, [], "2026-11-23T03:00", "2026-11-23T03:00"),
        ("08:00-18:00", [], "2026-11-23T10:00", "2026-11-23T10:00"),
        ("08:00-18:00", [], "2026-11-23T08:00", "2026-11-23T08:00"),
        ("08:00-18:00", [], "2026-11-23T18:00", "2026-11-24T08:00"),
        ("08:00-18:00", [], "2026-11-23T07:59", "2026-11-23T08:00"),
        ("18:00-08:00", [], "2026-11-23T03:00", "2026-11-23T03:00"),
        ("18:00-08:00", [], "2026-11-23T12:00", "2026-11-23T18:00"),
        ("08:00-18:00", [1, 2, 3, 4, 5], "2026-11-27T19:00", "2026-11-30T08:00"),
        (None, [6, 7], "2026-11-23T10:00", "2026-11-28T00:00"),
        ("18:00-08:00", [5], "2026-11-28T03:00", "2026-11-28T03:00"),  # the night that began on Friday
        ("18:00-08:00", [5], "2026-11-28T09:00", "2026-12-04T18:00"),
    ],
)
def test_outside_its_hours_a_route_waits_for_them(hours: str | None, days: list[int], now: str, begins: str) -> None:
    route = Route.model_validate({"to": ["duty"], "hours": hours, "days": days})
    at = datetime.fromisoformat(now).replace(tzinfo=ZONE)
    assert opens_at(route, at, ZONE) == datetime.fromisoformat(begins).replace(tzinfo=ZONE)


@given(st.integers(0, 23), st.integers(0, 23), st.sets(st.integers(1, 7)), st.integers(0, 7 * 24 * 60))
def test_hours_begin_within_a_week_and_never_in_the_past(begin: int, end: int, days: set[int], minute: int) -> None:
    hours = f"{begin:02}:00-{end:02}:00"
    route = Route.model_validate({"to": ["duty"], "hours": hours, "days": sorted(days)})
    now = MONDAY + timedelta(minutes=minute)
    at = opens_at(route, now, ZONE)
    assert now <= at <= now + timedelta(days=7)
    assert opens_at(route, at, ZONE) == at


def test_of_two_routes_to_one_channel_the_earlier_time_counts() -> None:
    said = alerts({"to": ["duty"], "hours": "12:00-13:00"}, {"to": ["duty"], "severity": "critical"})
    late = Matter("opened", "late_docked", "warning", None)
    full = Matter("opened", "store_full", "critical", None)
    assert destinations(said, late, MONDAY, ZONE)["duty"] == MONDAY + timedelta(hours=2)
    assert destinations(said, full, MONDAY, ZONE)["duty"] == MONDAY
