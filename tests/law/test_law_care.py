"""Article 24, 及时检查记录设备的电池容量、内存空间: battery and memory are checked in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.care import (
    DOCKED_BEFORE_RETURN,
    Finding,
    Limits,
    Measured,
    awaits_storing,
    due_at,
    judge_check,
    settled_by,
    usual_rate,
)

LIMITS = Limits(battery_min=20, free_min=10, rate_drop=0.5, error_visits=2, locked_max=3)
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def found(now: Measured, *before: Measured, **limits: float) -> set[Finding]:
    known = {name: getattr(LIMITS, name) for name in Limits.__dataclass_fields__}
    return set(judge_check(now, before, Limits(**{**known, **limits})))


@pytest.mark.parametrize(
    ("now", "findings"),
    [
        (Measured(), set()),  # 没有测量，不作判断
        (Measured(battery=20, free=10), set()),
        (Measured(battery=19), {Finding.BATTERY_LOW}),  # 电池容量
        (Measured(free=9), {Finding.CARD_FULL}),  # 内存空间
        (Measured(free=0, battery=0), {Finding.BATTERY_LOW, Finding.CARD_FULL}),
        (Measured(dirty=True), {Finding.CARD_DIRTY}),
        (Measured(dirty=False, fs_errors=False), set()),
        (Measured(fs_errors=True), {Finding.CARD_ERRORS}),
        (Measured(locked_left=3), set()),
        (Measured(locked_left=4), {Finding.LOCKED_LEFT}),
    ],
)
def test_a_check_is_judged_by_the_thresholds_and_only_by_what_was_measured(
    now: Measured, findings: set[Finding]
) -> None:
    assert found(now) == findings


def test_one_visit_with_read_errors_is_no_worn_card_and_a_second_one_is() -> None:
    bad, good = Measured(read_errors=1), Measured(read_errors=0)
    assert found(bad) == set()
    assert found(bad, good, good, good, good, bad) == {Finding.CARD_ERRORS}
    assert found(bad, good, good, good, good, good, bad) == set(), "too long ago"
    assert found(good, bad, bad, bad) == set(), "nothing wrong this time"
    assert found(bad, error_visits=1) == {Finding.CARD_ERRORS}


def test_a_card_is_slow_against_its_own_history_twice_running() -> None:
    usual, slow = Measured(rate=40e6), Measured(rate=15e6)
    assert found(slow, usual, usual, usual) == set(), "once may be a crowded hour"
    assert found(slow, slow, usual, usual, usual) == {Finding.CARD_SLOW}
    assert found(slow, slow, usual, usual) == set(), "no history to compare with"
    assert found(slow, slow, Measured(), usual, usual, Measured(), usual) == {Finding.CARD_SLOW}
    assert found(usual, slow, usual, usual, usual) == set()
    assert found(slow, slow, usual, usual, usual, rate_drop=0) == set()


def test_the_usual_rate_needs_three_visits() -> None:
    assert usual_rate([Measured(rate=1.0), Measured(rate=3.0)]) is None
    assert usual_rate([Measured(rate=1.0), Measured(rate=3.0), Measured(), Measured(rate=90.0)]) == 3.0


measured = st.builds(
    Measured,
    battery=st.none() | st.integers(0, 100),
    free=st.none() | st.integers(0, 100),
    dirty=st.none() | st.booleans(),
    fs_errors=st.none() | st.booleans(),
    read_errors=st.none() | st.integers(0, 9),
    rate=st.none() | st.floats(1, 1e9),
    locked_left=st.none() | st.integers(0, 99),
)


@given(measured, st.lists(measured, max_size=8))
def test_nothing_is_found_in_what_was_not_measured_and_nothing_found_is_settled(
    now: Measured, before: list[Measured]
) -> None:
    findings = set(judge_check(now, before, LIMITS))
    assert (Finding.BATTERY_LOW in findings) == (now.battery is not None and now.battery < 20)
    assert findings - {Finding.CARD_ERRORS} <= set(settled_by(now))
    assert judge_check(Measured(), before, LIMITS) == ()


@given(measured, st.lists(measured, max_size=8), st.integers(0, 100))
def test_a_fuller_card_is_never_judged_better(now: Measured, before: list[Measured], less: int) -> None:
    if now.free is None:
        return
    fuller = Measured(**{f: getattr(now, f) for f in Measured.__dataclass_fields__} | {"free": max(0, now.free - less)})
    assert set(judge_check(now, before, LIMITS)) <= set(judge_check(fuller, before, LIMITS))


@pytest.mark.parametrize(
    ("returned", "docked", "safe", "waits"),
    [
        (None, None, False, False),  # nobody has had it
        (NOW, None, False, True),  # never docked
        (NOW, NOW + HOUR, True, False),  # docked after it came back
        (NOW, NOW - DOCKED_BEFORE_RETURN, True, False),  # docked, then signed in
        (NOW, NOW - DOCKED_BEFORE_RETURN - timedelta(seconds=1), True, True),  # docked at noon, used in the afternoon
        (NOW, NOW + HOUR, False, True),  # the last visit was cut short
    ],
)
def test_a_recorder_waits_until_what_it_holds_is_stored(
    returned: datetime | None, docked: datetime | None, safe: bool, waits: bool
) -> None:
    assert awaits_storing(returned, docked, safe=safe) is waits


def test_zero_means_that_nothing_falls_due() -> None:
    assert due_at(NOW, timedelta()) is None
    assert due_at(NOW, 2 * HOUR) == NOW + 2 * HOUR
