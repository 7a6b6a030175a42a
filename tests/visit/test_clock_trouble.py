"""Clocks that are wrong, recorders' and the station's: all is stored, and no deadline is wrong in silence."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from bureau import BEIJING, DOCKED, Bureau, kinds, media, name_of

from dockd.register.station import Boot

pytestmark = pytest.mark.usefixtures("no_parsers")

BERLIN = ZoneInfo("Europe/Berlin")
CLOCKS = {
    "1970": datetime(1970, 1, 1, 8, 0, 3, tzinfo=BEIJING),
    "FAT's 1980": datetime(1980, 1, 1, 0, 0, 4, tzinfo=BEIJING),
    "2000": datetime(2000, 1, 1, 0, 1, tzinfo=BEIJING),
    "next year": datetime(2027, 11, 23, 9, 0, tzinfo=BEIJING),
}


# --- recorders -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", CLOCKS)
def test_a_recording_of_a_recorder_whose_clock_is_wrong_is_stored_and_judged_by_nobody(
    bureau: Bureau, which: str
) -> None:
    at = CLOCKS[which]
    path = f"DCIM/100ANDRO/{name_of(at)}"
    bureau.lay(path, media(which), at=at)
    summary = bureau.offload()
    assert (summary["outcome"], bool(summary["safe_at"])) == ("complete", True)
    record = bureau.said_of(path)
    assert record["late"] is None
    assert {"clock_unset", "deadline_unknown"} <= kinds(bureau.alerts())
    if which == "next year":  # it shows by how much the clock is ahead at least: evidence, and said to be no more
        assert {"clock_corrected", "offset_at_least"} <= set(record["time_flags"])
        assert (record["raw_from"], record["judge_reason"]) == (at.isoformat(), "deadline_disputed")
    else:
        assert (record["used_from"], record["used_to"], record["deadline_at"]) == (None,) * 3
    bureau.prove(summary)


@pytest.mark.parametrize("which", CLOCKS)
def test_new_footage_of_a_recorder_whose_clock_begins_anew_each_time_is_never_taken_for_the_old(
    bureau: Bureau, which: str
) -> None:
    """The same name, size and time, and other bytes."""
    at = CLOCKS[which]
    path = f"DCIM/100ANDRO/{name_of(at)}"
    bureau.lay(path, media("one"), at=at)
    first = bureau.offload()
    bureau.lay(path, media("two"), at=at)
    second = bureau.offload()
    assert first["files"][0]["sha256"] != second["files"][0]["sha256"]
    assert second["files"][0]["outcome"] == "stored"
    bureau.prove(first, second)


# --- summer time -----------------------------------------------------------------------------------------------


def in_berlin(bureau: Bureau) -> None:
    text = bureau.config.read_text(encoding="utf-8")
    bureau.config.write_text(text.replace("language: en", "language: en, timezone: Europe/Berlin"), encoding="utf-8")


PHOTO = b"\xff\xd8\xff\xe0"
TWICE = datetime(2026, 10, 25, 2, 30)
"""The recorder's clock in an hour that comes twice: 00:30 and 01:30 UTC."""


@pytest.mark.parametrize(
    ("docked", "late", "reason"),
    [
        (datetime(2026, 10, 26, 0, 30, tzinfo=UTC), False, None),
        (datetime(2026, 10, 26, 1, 0, tzinfo=UTC), None, "deadline_disputed"),
        (datetime(2026, 10, 26, 1, 31, tzinfo=UTC), True, None),
    ],
)
def test_a_recording_of_an_hour_that_comes_twice_is_late_only_if_it_is_by_both(
    bureau: Bureau, docked: datetime, late: bool | None, reason: str | None
) -> None:
    in_berlin(bureau)
    bureau.clock.time = docked
    path = f"DCIM/100ANDRO/{name_of(TWICE, ext='jpg')}"
    bureau.lay(path, PHOTO, ns=1)  # nothing but the name says when it was
    bureau.offload()
    record = bureau.said_of(path)
    assert "ambiguous_hour" in record["time_flags"]
    assert (record["late"], record["judge_reason"]) == (late, reason)
    assert len(bureau.alerts("deadline_disputed")) == (reason is not None)
    assert len(bureau.alerts("late_docked")) == (late is True)


@pytest.mark.parametrize(("hours", "late"), [(24, False), (24.01, True)])
def test_twenty_four_hours_are_elapsed_ones_also_over_the_night_that_lacks_an_hour(
    bureau: Bureau, hours: float, late: bool
) -> None:
    in_berlin(bureau)
    end = datetime(2027, 3, 27, 12, 0, tzinfo=BERLIN)
    bureau.clock.time = end.astimezone(UTC) + timedelta(hours=hours)  # 13:00 by the wall clock
    path = f"DCIM/100ANDRO/{name_of(end, ext='jpg')}"
    bureau.lay(path, PHOTO, at=end)
    bureau.offload()
    record = bureau.said_of(path)
    assert record["late"] is late, record


# --- the station -------------------------------------------------------------------------------------------------


@pytest.fixture
def unkept(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time service keeps the station's clock."""
    monkeypatch.setattr("dockd.visit.story.is_synchronised", lambda: False)


@pytest.mark.usefixtures("unkept")
def test_a_station_whose_clock_stepped_back_calls_nothing_in_time_until_it_has_caught_up(bureau: Bureau) -> None:
    bureau.record(8)
    bureau.offload()
    assert bureau.alerts("station_clock") == []
    bureau.clock.move(days=-3)
    inside = bureau.record(8, day=20)
    before = bureau.record(8, day=18)
    summary = bureau.offload()
    assert (summary["outcome"], bool(summary["safe_at"])) == ("complete", True)
    assert (bureau.said_of(inside)["late"], bureau.said_of(inside)["judge_reason"]) == (None, "station_clock")
    assert bureau.said_of(before)["late"] is True, "by a clock that is behind late is late"
    (alert,) = bureau.alerts("station_clock")
    assert "2026-11-20 10:00:00" in alert["text"]
    assert "2026-11-23 10:00:00" in alert["text"]
    bureau.clock.move(days=4)
    again = bureau.record(8, day=24)
    bureau.offload()
    assert bureau.said_of(again)["late"] is False
    bureau.prove(summary)


@pytest.mark.usefixtures("unkept")
def test_a_station_that_nothing_keeps_and_that_leapt_forward_calls_nobody_late(bureau: Bureau) -> None:
    bureau.record(8)
    bureau.offload()
    bureau.clock.move(days=200)
    path = bureau.record(9)
    bureau.offload()
    assert (bureau.said_of(path)["late"], bureau.said_of(path)["judge_reason"]) == (None, "station_clock")
    assert len(bureau.alerts("station_clock")) == 1


@pytest.mark.usefixtures("unkept")
def test_a_station_whose_clock_was_set_forward_by_days_calls_nobody_late_until_it_is_set_right(bureau: Bureau) -> None:
    begun = bureau.clock()

    def boot() -> Boot:
        return Boot("one", bureau.clock() - begun + timedelta(hours=5) - forward)

    forward = timedelta(0)
    first = bureau.record(8)
    bureau.attend(boot=boot)
    assert bureau.said_of(first)["late"] is False
    bureau.clock.move(hours=1, days=10)
    forward = timedelta(days=10)
    second = bureau.record(9)
    shown = bureau.attend(boot=boot)
    assert bool(shown["safe_at"])
    assert (bureau.said_of(second)["late"], bureau.said_of(second)["judge_reason"]) == (None, "station_clock")
    (alert,) = bureau.alerts("station_clock")
    assert "2026-12-03 11:00:00" in alert["text"]
    assert "2026-11-23 11:00:00" in alert["text"]
    bureau.clock.move(hours=1, days=-10)
    forward = timedelta(0)
    third = bureau.record(10)
    bureau.attend(boot=boot)
    assert bureau.said_of(third)["late"] is False, "nothing of the wrong time is left"


@pytest.mark.usefixtures("unkept")
def test_a_station_that_starts_with_the_clock_of_a_flat_battery_stores_and_says_so(bureau: Bureau) -> None:
    bureau.record(8)
    bureau.offload()
    bureau.clock.time = datetime(2000, 1, 1, 0, 5, tzinfo=BEIJING)
    path = bureau.record(9)
    summary = bureau.offload()
    assert summary["outcome"] == "complete"
    record = bureau.said_of(path)
    assert record["late"] is None
    assert len(bureau.alerts("station_clock")) == 1
    assert {line["data"]["safe"] for line in bureau.ledger_lines("visit.stored")} == {True}
    bureau.clock.time = DOCKED + timedelta(hours=1)
    bureau.prove(summary, bureau.offload())


def test_a_station_that_no_time_service_keeps_is_warned_of_before_anything_happens(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockd.visit.clock.is_synchronised", lambda: False)
    if os.path.exists("/run/systemd/timesync/synchronized"):
        pytest.skip("a time service runs here")
    checks: list[dict[str, Any]] = bureau.run("check", "--json", config=bureau.config).json
    (clock,) = [check for check in checks if check["check"] == "clock"]
    assert clock["result"] == "WARN"
    assert "not synchronised" in clock["message"]
