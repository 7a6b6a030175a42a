"""第二十三条第一款 · article 23(1), before the fact: until when a recorder that is out should be docked.

音像记录完成后，行政执法人员应当在二十四小时内将音像记录信息储存……
Within twenty-four hours of completing an audio-visual recording, the officer shall store it …
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.deadline import ExceptionClaim
from dockd.law.outing import Outing, expect

CHINA = timezone(timedelta(hours=8))
ISSUED = datetime(2026, 3, 6, 8, 0, tzinfo=CHINA)
HOUR = timedelta(hours=1)


def at(hours: float) -> datetime:
    """So many hours after the recorder was handed out."""
    return ISSUED + hours * HOUR


def outing(**said: float | None) -> Outing:
    times: dict[str, Any] = {name: None if hours is None else at(hours) for name, hours in said.items()}
    return Outing(1, "YS-07", "Z001", ISSUED, **times)


def claim(returned: float | None = None, **said: Any) -> ExceptionClaim:
    told: dict[str, Any] = {"reason": "remote", "period_from": at(-1), "period_to": at(72), "unable": True} | said
    return ExceptionClaim(exception_id=1, returned_at=None if returned is None else at(returned), **told)


# 情形 the case | outing | deadline, hours after the issue | basis
EXPECTED = [
    ("当日应还：从预计归还起算 due back today: counted from then", outing(due_at=9), 33, "due_back"),
    ("未定归还：从领用起算 no return planned: counted from the issue", outing(), 24, "issued"),
    (
        "三日后归还：首日记录先到期 due in three days: the first day's recordings come first",
        outing(due_at=72),
        24,
        "issued",
    ),
    ("期间接入过：从接入起算 docked meanwhile: counted from there", outing(docked_at=10), 34, "docked"),
    ("接入过，当日应还 docked meanwhile, due back later", outing(docked_at=10, due_at=20), 44, "due_back"),
    ("已归还未接入：从归还起算 returned, never docked", outing(returned_at=9), 33, "returned"),
    ("数日后归还未接入 returned after days, never docked", outing(returned_at=50), 24, "issued"),
    ("归还前一刻已接入 docked just before it was returned", outing(docked_at=8.5, returned_at=9), None, ""),
    ("归还后已接入 docked after it was returned", outing(docked_at=10, returned_at=9), None, ""),
]


@pytest.mark.parametrize(("who", "hours", "basis"), [c[1:] for c in EXPECTED], ids=[c[0] for c in EXPECTED])
def test_until_when_it_should_be_docked(who: Outing, hours: float | None, basis: str) -> None:
    found = expect(who, (), 24)
    if hours is None:
        assert found is None
    else:
        assert found is not None
        assert (found.deadline_at, found.basis) == (at(hours), basis)


def test_an_exception_moves_it_to_the_return_and_without_one_holds_it_up() -> None:
    """第二款 返回所在机关后二十四小时内 · (2) within twenty-four hours of returning"""
    moved, pending = expect(outing(), [claim(48)], 24), expect(outing(), [claim()], 24)
    assert moved is not None
    assert (moved.deadline_at, moved.basis) == (at(72), "exception")
    assert pending is not None
    assert (pending.deadline_at, pending.exception_id) == (None, 1)
    assert not pending.is_overdue(at(1000))
    none = expect(outing(), [claim(48, unable=False), claim(48, period_to=at(-0.5))], 24)
    assert none is not None
    assert none.deadline_at == at(24)


def test_exactly_at_the_deadline_it_is_not_overdue() -> None:
    """恰好二十四小时不算逾期 · exactly 24:00:00 is in time"""
    found = expect(outing(), (), 24)
    assert found is not None
    assert not found.is_overdue(at(24))
    assert found.is_overdue(at(24) + timedelta(microseconds=1))


@pytest.mark.parametrize(("hours", "left"), [(19.9, None), (20, 4), (22.9, 4), (23, 1), (24, 1), (24.1, None)])
def test_it_is_warned_of_before(hours: float, left: float | None) -> None:
    found = expect(outing(), (), 24)
    assert found is not None
    expected = None if left is None else left * HOUR
    assert found.warning(at(hours), (4 * HOUR, 1 * HOUR)) == expected


@given(st.lists(st.tuples(st.floats(-10, 100), st.one_of(st.none(), st.floats(0, 100))), max_size=3), st.booleans())
def test_a_statement_never_moves_it_earlier(said: list[tuple[float, float | None]], unable: bool) -> None:
    claims = [
        ExceptionClaim(n, "water", at(-24), at(to), None if back is None else at(back), unable)
        for n, (to, back) in enumerate(said)
    ]
    found = expect(outing(), claims, 24)
    assert found is not None
    assert found.deadline_at is None or found.deadline_at >= at(24)
