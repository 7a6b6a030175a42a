"""The station's own clock: a step back or a long leap is noticed, alerted, and no deadline is wrong in silence."""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dockd.law.deadline import StationClock
from dockd.register import alerts, records
from dockd.register.station import Noted
from dockd.visit.clock import LEAP, TOLERANCE, doubt_of, this_boot
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards
from dockd.visit.request import VisitRequest
from dockd.visit.story import attend

if TYPE_CHECKING:
    from dockd.register.station import Station

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("noted", "gap", "synchronised", "doubted"),
    [
        (Noted(), timedelta(hours=1), None, None),
        (Noted(), timedelta(hours=1), False, None),  # an office without a time service works every day
        (Noted(behind=TOLERANCE), -TOLERANCE, False, None),
        (Noted(behind=TOLERANCE + MINUTE), -TOLERANCE - MINUTE, True, StationClock.BEHIND),
        (Noted(), LEAP + MINUTE, False, StationClock.AHEAD),
        (Noted(), LEAP + MINUTE, True, None),  # a station that was put away and is synchronised again
        (Noted(ahead=TOLERANCE), timedelta(hours=1), False, None),
        (Noted(ahead=TOLERANCE + MINUTE), timedelta(hours=1), False, StationClock.AHEAD),
        (Noted(ahead=TOLERANCE + MINUTE), timedelta(hours=1), None, StationClock.AHEAD),
        (Noted(ahead=TOLERANCE + MINUTE), timedelta(hours=1), True, None),
    ],
)
def test_what_stands_against_the_station_clock(
    noted: Noted, gap: timedelta, synchronised: bool, doubted: StationClock | None
) -> None:
    assert doubt_of(noted, gap, synchronised=synchronised) is doubted


def test_this_machines_life_goes_on_by_a_clock_that_nobody_can_set() -> None:
    first, second = this_boot(), this_boot()
    assert first
    assert second
    assert first.boot_id == second.boot_id
    assert timedelta(0) < first.lasted <= second.lasted < first.lasted + MINUTE


def record(card: Path, end: datetime) -> None:
    path = card / f"DCIM/100MEDIA/{end:%Y%m%d_%H%M%S}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\xff\xd8\xff\xe0" + end.isoformat().encode())
    os.utime(path, (end.timestamp(), end.timestamp()))


def visit(station: Station, card: Path) -> Any:
    request = VisitRequest(path=str(card), device_no="YS-07")
    return attend(station, request, meter=Meter(lambda _: None), guards=Guards())


def test_in_time_by_a_clock_that_stepped_back_is_left_open_and_alerted(
    station: Station, clock: Any, tmp_path: Path, run_cli: Any
) -> None:
    config = station.settings.file
    assert run_cli("recorder", "add", "YS-07", config=config).exit_code == 0
    card = tmp_path / "card"
    record(card, clock() - timedelta(hours=2))
    visit(station, card)
    clock.move(days=-3)  # somebody set the clock back
    record(card, clock() - timedelta(hours=2))  # by this clock it would be in time
    visit(station, card)

    with station.register.read() as session:
        first, second = records.list_records(session, records.RecordFilter(), limit=10)
        opened = [alert for alert in alerts.list_alerts(session, open_only=True) if alert.kind == "station_clock"]
    assert first.late is False
    assert (second.late, second.judge_reason) == (None, "station_clock")
    assert second.deadline_at is not None
    assert len(opened) == 1
    listed = run_cli("alert", "list", "--open", config=config).stdout
    assert "this station's clock says" in listed
