"""Clocks that were measured: the time is put right, the recorder's own words stay beside, nothing is guessed."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from bureau import BEIJING, LI, WANG, Bureau

pytestmark = pytest.mark.usefixtures("no_parsers")

MORNING = datetime(2026, 11, 23, 6, 0, tzinfo=BEIJING)


def stored(bureau: Bureau, hour: float, **said: Any) -> dict[str, Any]:
    path = bureau.record(hour, **said)
    bureau.offload()
    return bureau.said_of(path)


def again(bureau: Bureau, record: dict[str, Any]) -> dict[str, Any]:
    return dict(bureau.json("record", "show", record["record_id"]))


def test_a_clerks_reading_puts_right_what_was_docked_and_keeps_the_raw_time(bureau: Bureau) -> None:
    bureau.issue(WANG, MORNING - timedelta(days=2), MORNING - timedelta(hours=1))
    bureau.issue(LI, MORNING)
    record = stored(bureau, 5.5, badge="000000")  # an hour and a half slow: it was seven o'clock
    assert record["officers"] == []
    bureau.dockd("recorder", "clock", "YS-07", "--reads", "2026-11-23T08:30", "--note", "慢一个半小时")
    after = again(bureau, record)
    assert after["used_from"] == "2026-11-23T07:00:00+08:00"
    assert after["raw_from"] == record["used_from"] == "2026-11-23T05:30:00+08:00"
    assert (after["clock_offset_s"], after["time_basis"]) == (-5400, "name+clock_clerk")
    assert (after["officers"], after["basis"]["officers"]) == ([LI], "custody")
    assert bureau.json("record", "history", record["record_id"])[-1]["why"] == "clock:1"
    (reading,) = bureau.json("recorder", "clock", "YS-07")
    assert (reading["offset_s"], reading["evidence"]) == (-5400, "clerk")
    bureau.prove()


def test_a_slow_clock_does_not_make_a_timely_recording_late_once_it_is_read(bureau: Bureau) -> None:
    record = stored(bureau, 9, day=22)  # by its clock 25 hours ago, in truth one hour
    assert record["late"] is True
    bureau.dockd("recorder", "clock", "YS-07", "--reads", "2026-11-22T10:00")
    assert again(bureau, record)["late"] is False
    assert [a["state"] for a in bureau.alerts("late_docked")] == ["closed"]


def test_a_file_from_the_future_shows_how_far_the_clock_is_ahead_and_only_what_is_certain_is_said(
    bureau: Bureau,
) -> None:
    bureau.issue(WANG, MORNING)
    old, new = bureau.record(14, day=22, badge="000000", number=1), bureau.record(16, badge="000000", number=2)
    bureau.offload()
    (reading,) = bureau.json("recorder", "clock", "YS-07")
    assert (reading["evidence"], reading["at_least"]) == ("future_file", True)
    ahead = timedelta(hours=6).total_seconds()
    assert abs(reading["offset_s"] - ahead) < 60
    late, open_ = bureau.said_of(old), bureau.said_of(new)
    assert (late["late"], late["late_kind"]) == (True, "docked")  # at the latest at eight the day before
    assert (open_["late"], open_["judge_reason"], open_["officers"]) == (None, "deadline_disputed", [])
    assert {late["owner_state"], open_["owner_state"]} == {"unassigned"}


def test_two_readings_that_differ_leave_the_time_as_it_was_and_the_verdict_open(bureau: Bureau) -> None:
    record = stored(bureau, 9, day=22)
    bureau.dockd("recorder", "clock", "YS-07", "--reads", "2026-11-22T10:00")
    bureau.clock.move(minutes=10)
    bureau.dockd("recorder", "clock", "YS-07", "--reads", "2026-11-23T10:10")
    after = again(bureau, record)
    assert (after["used_from"], after["raw_from"]) == (record["used_from"], None)
    assert "offset_disputed" in after["time_flags"]
    assert (after["late"], after["judge_reason"]) == (None, "deadline_disputed")


@pytest.mark.parametrize("words", [("--reads", "noon"), ("--reads", "2026-11-23T10:00", "--at", "2026-12-01T10:00")])
def test_a_reading_that_cannot_be_is_refused(bureau: Bureau, words: tuple[str, ...]) -> None:
    bureau.dockd("recorder", "clock", "YS-07", *words, code=2)
    bureau.dockd("recorder", "clock", "YS-99", "--reads", "2026-11-23T10:00", code=2)
    assert bureau.json("recorder", "clock", "YS-07") == []


def test_a_recording_over_a_change_of_hands_on_one_card_belongs_to_who_held_it_then(bureau: Bureau) -> None:
    bureau.issue(WANG, MORNING, MORNING + timedelta(hours=2))
    bureau.issue(LI, MORNING + timedelta(hours=2))
    first, second = bureau.record(7, badge="012345", number=1), bureau.record(9, badge="012346", number=2)
    bureau.offload()
    assert (bureau.said_of(first)["officers"], bureau.said_of(second)["officers"]) == ([WANG], [LI])
