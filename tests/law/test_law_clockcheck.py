"""第二十七条 使用时间 · article 27, time of use: what a measured clock says of the times that it wrote."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.clockcheck import ClockReading, Correction, correction

DOCKED = datetime(2026, 3, 6, 17, 0, tzinfo=timezone(timedelta(hours=8)))
BEFORE, AFTER = DOCKED - timedelta(days=1), DOCKED + timedelta(days=1)
HOUR, TOLERANCE = timedelta(hours=1), timedelta(minutes=5)


def read(offset: float, *, hours: float = 0.1, **said: Any) -> ClockReading:
    """A clock that is so many hours ahead, read so many hours after docking (before: below zero)."""
    beside = (DOCKED, AFTER) if hours >= 0 else (BEFORE, DOCKED)
    told: dict[str, Any] = {"evidence": "clerk", "docked_before": beside[0], "docked_after": beside[1]} | said
    return ClockReading(at=DOCKED + hours * HOUR, offset=offset * HOUR, **told)


def said(*readings: ClockReading, raw: float = -3, docked: datetime = DOCKED) -> Correction | None:
    """What is said of a time that the recorder wrote so many hours after docking (before: below zero)."""
    return correction(DOCKED + raw * HOUR, docked, readings, TOLERANCE)


# 情形 | readings | raw | offset in hours (None: nothing to correct)
READ = [
    ("接入后读时钟，快两小时 read after docking, two hours ahead", [read(2)], -1, 2),
    ("接入前读时钟 read before docking", [read(2, hours=-5)], -1, 2),
    ("慢一天 a day behind", [read(-24)], -30, -24),
    ("时钟准确 the clock is right", [read(0)], -1, None),
    ("差三分钟不算 three minutes are none", [read(0.05)], -1, None),
    ("没有读过 never read", [], -1, None),
    ("两次读数一致 two readings agree", [read(2), read(2.02, hours=-5)], -1, 2.02),
    (
        "读数只及于当次接入 it speaks for that docking only",
        [read(2, docked_before=BEFORE, docked_after=None)],
        -1,
        None,
    ),
    ("接入两天后的读数 read two days later", [read(2, hours=48, docked_after=None)], -1, None),
]


@pytest.mark.parametrize(("readings", "raw", "hours"), [c[1:] for c in READ], ids=[c[0] for c in READ])
def test_a_reading_corrects_what_was_docked_beside_it(
    readings: list[ClockReading], raw: float, hours: float | None
) -> None:
    found = said(*readings, raw=raw)
    assert found == (None if hours is None else Correction(hours * HOUR, "clerk"))


def test_two_readings_that_differ_leave_it_open() -> None:
    """绝不猜测 · nothing is guessed"""
    found = said(read(2, hours=-5), read(0), raw=-1)
    assert found == Correction(others=(2 * HOUR, timedelta(0)))


def test_a_clock_that_was_set_right_after_the_reading() -> None:
    """随后校准 · then set right"""
    fixed = read(3, hours=-10, set_after=True)
    assert said(fixed, raw=-8) == Correction(others=(3 * HOUR, timedelta(0)))  # written before or after: nobody knows
    assert said(fixed, raw=-5) is None  # only the clock that was right can have shown that
    assert said(fixed, raw=-20) == Correction(3 * HOUR, "clerk")


def test_the_newest_file_in_the_future_says_how_far_it_was_ahead_at_least() -> None:
    bound = read(5, hours=0, evidence="future_file", at_least=True)
    assert said(bound, raw=4) == Correction(5 * HOUR, "future_file", at_least=True)
    assert said(bound, read(6), raw=4) == Correction(6 * HOUR, "clerk")  # a measure is better than a bound
    assert said(bound, read(1), raw=-4) == Correction(others=(1 * HOUR, 5 * HOUR))  # and may not lie below it


hours = st.floats(-50, 50)


@given(st.lists(st.tuples(hours, st.floats(-20, 11), st.booleans(), st.booleans()), max_size=4), hours, st.randoms())
def test_the_order_of_readings_does_not_matter(
    said_: list[tuple[float, float, bool, bool]], raw: float, random: Any
) -> None:
    readings = [read(o, hours=h, set_after=s, at_least=a) for o, h, s, a in said_]
    shuffled = random.sample(readings, len(readings))
    assert said(*readings, raw=raw) == said(*shuffled, raw=raw)
