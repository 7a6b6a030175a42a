"""第二十八条 · article 28: filing within thirty days, and the five notes of evidence.

第一款 在行政执法行为终结之日起三十日内，应当将行政执法全过程记录资料按照档案管理的规定立卷、归档。
(1) Within thirty days of the day on which the act ends, the records are filed.

第二款 作为证据使用的录音、录像，应当制作光盘归档保存，并注明记录的事项、时间、地点、方式和行政执法人员等信息。
(2) Evidence on disc, with a note of matter, time, place, method and officers.

民法典第二百零一条、第二百零三条 · Civil Code 201, 203 by analogy: the first day is not counted; a last day on a
public holiday moves to the day after it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.filing import EVIDENCE_NOTES, filing, last_day, missing_notes, needs_disc, warning
from dockd.nouns import MediaType

ZONE = ZoneInfo("Asia/Shanghai")
NATIONAL_DAY = ((date(2026, 10, 1), date(2026, 10, 7)),)

# 情形 | closed | holidays | last day
LAST_DAYS = [
    ("终结之日不计入 the day of closing is not counted", "2026-03-01T09:00", (), date(2026, 3, 31)),
    ("当日最后一刻结案 closed at the last moment of the day", "2026-03-01T23:59:59", (), date(2026, 3, 31)),
    ("跨年 over the new year", "2025-12-15T10:00", (), date(2026, 1, 14)),
    ("闰年二月 February of a leap year", "2028-01-31T10:00", (), date(2028, 3, 1)),
    ("末日在国庆假期，顺延 last day in the holiday", "2026-09-03T10:00", NATIONAL_DAY, date(2026, 10, 8)),
    ("末日在假期前一日，不顺延 the day before the holiday", "2026-08-31T10:00", NATIONAL_DAY, date(2026, 9, 30)),
    (
        "假期之后紧接假期 one holiday after another",
        "2026-09-03T10:00",
        (*NATIONAL_DAY, (date(2026, 10, 8), date(2026, 10, 8))),
        date(2026, 10, 9),
    ),
]


@pytest.mark.parametrize(("closed", "holidays", "last"), [c[1:] for c in LAST_DAYS], ids=[c[0] for c in LAST_DAYS])
def test_thirty_days(closed: str, holidays: tuple[tuple[date, date], ...], last: date) -> None:
    assert last_day(datetime.fromisoformat(closed).replace(tzinfo=ZONE), ZONE, holidays) == last


def test_the_day_is_that_of_the_station_and_not_of_utc() -> None:
    closed = datetime(2026, 3, 1, 17, 0, tzinfo=UTC)  # 2 March in China
    assert last_day(closed, ZONE, ()) == date(2026, 4, 1)


@pytest.mark.parametrize(("day", "left", "overdue"), [(1, 30, False), (31, 0, False), (32, -1, True)])
def test_the_countdown(day: int, left: int, overdue: bool) -> None:
    closed = datetime(2026, 3, 1, 9, 0, tzinfo=ZONE)
    found = filing(closed, datetime(2026, 3, 1, 23, 0, tzinfo=ZONE) + timedelta(days=day - 1), ZONE, ())
    assert (found.days_left, found.overdue) == (left, overdue)


@pytest.mark.parametrize(("left", "span"), [(8, None), (7, 7), (2, 7), (1, 1), (0, 1), (-1, None)])
def test_it_is_warned_of_before(left: int, span: int | None) -> None:
    closed = datetime(2026, 3, 1, 9, 0, tzinfo=ZONE)
    found = filing(closed, closed + timedelta(days=30 - left), ZONE, ())
    assert warning(found, (timedelta(days=7), timedelta(days=1))) == (timedelta(days=span) if span else None)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.lists(st.tuples(st.dates(), st.integers(0, 9))))
def test_a_holiday_never_shortens(closed: datetime, said: list[tuple[date, int]]) -> None:
    holidays = [(d, d + timedelta(days=n)) for d, n in said if d.year < 9000]
    moment = closed.replace(tzinfo=ZONE)
    assert last_day(moment, ZONE, holidays) >= last_day(moment, ZONE, ())


def test_the_five_notes() -> None:
    """事项、时间、地点、方式、行政执法人员"""
    assert [term.zh for term in EVIDENCE_NOTES.values()] == ["记录的事项", "时间", "地点", "方式", "行政执法人员"]
    whole = {
        "matter": "现场勘验",
        "used_from": datetime.now(UTC),
        "place": "南佐镇",
        "method": "video",
        "officers": ("Z1",),
    }
    assert missing_notes(whole) == ()
    for name in EVIDENCE_NOTES:
        assert missing_notes(whole | {name: None}) == (name,)
    assert missing_notes(whole | {"place": "  ", "officers": ()}) == ("place", "officers")


def test_a_photograph_needs_no_disc() -> None:
    """作为证据使用的录音、录像 · sound and video recordings"""
    assert [m for m in MediaType if needs_disc(m)] == [MediaType.VIDEO, MediaType.AUDIO]
