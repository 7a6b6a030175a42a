"""第二十三条 / article 23, both clocks, as a table of cases that a lawyer could read.

第一款 音像记录完成后，行政执法人员应当在二十四小时内将音像记录信息储存至所在机关的行政执法信息系统或者指定的存储设备……
(1) Within twenty-four hours of completing an audio-visual recording, the officer shall store it in the
agency's system or in the designated storage device.

第二款 因连续执法、异地执法或者在边远、水上、交通不便地区执法，确实无法及时储存音像记录信息的，行政执法人员应当在返回
所在机关后二十四小时内予以储存。
(2) Where, because of continuous or out-of-area enforcement, or enforcement in remote places, on water or where
transport is poor, the recording truly cannot be stored in time: within twenty-four hours of returning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.deadline import ExceptionClaim, StationClock, doubt, due_at, judge
from dockd.nouns import Judgement, LateKind

CHINA = timezone(timedelta(hours=8))
END = datetime(2026, 3, 6, 17, 0, tzinfo=CHINA)  # 星期五 a Friday
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)
DOCKED, STORED = LateKind.DOCKED, LateKind.STORED


def at(hours: float) -> datetime:
    """So many hours after the end of the recording."""
    return END + hours * HOUR


def judged(
    *,
    end: datetime | None = END,
    docked: datetime,
    stored: datetime | None,
    others: tuple[datetime, ...] = (),
    claims: Sequence[ExceptionClaim] = (),
    **options: Any,
) -> Judgement:
    options = {"hours": 24, "designated": True} | options
    return judge(used_to=end, other_ends=others, docked_at=docked, stored_at=stored, exceptions=claims, **options)


def claim(returned: float | None, *, number: int = 1, unable: bool = True, **fields: Any) -> ExceptionClaim:
    """A trip from the day before the recording until the recording's end + 72 h."""
    told: dict[str, Any] = {"reason": "remote", "period_from": at(-24), "period_to": at(72), "confirmed": True} | fields
    returned_at = None if returned is None else at(returned)
    return ExceptionClaim(exception_id=number, returned_at=returned_at, unable=unable, **told)


# 案情 the case | docked | stored | late | kind | overdue
FIRST_CLOCK = [
    ("当日接入并储存 docked and stored the same day", 1, 1.5, False, None, 0),
    ("恰好二十四小时储存，不超时 stored at exactly 24:00:00 is in time", 23, 24, False, None, 0),
    ("恰好二十四小时接入，其后储存 docked at exactly 24:00:00, stored after", 24, 24.5, True, STORED, 1800),
    ("超过一秒接入 docked one second late", 24 + 1 / 3600, 24.5, True, DOCKED, 1),
    ("按时接入，采集站超时储存 docked in time, the station was late", 20, 26, True, STORED, 7200),
    ("三十小时后接入 docked after 30 hours", 30, 30.5, True, DOCKED, 6 * 3600),
    ("周五结束，周一接入：时限不因周末停止 Friday to Monday: no stop at weekends", 63, 64, True, DOCKED, 39 * 3600),
]


@pytest.mark.parametrize(
    ("docked", "stored", "late", "kind", "overdue"), [c[1:] for c in FIRST_CLOCK], ids=[c[0] for c in FIRST_CLOCK]
)
def test_the_first_clock(docked: float, stored: float, late: bool, kind: LateKind | None, overdue: int) -> None:
    verdict = judged(docked=at(docked), stored=at(stored))
    assert (verdict.late, verdict.late_kind, verdict.overdue_s, verdict.reason) == (late, kind, overdue, "")
    assert verdict.deadline_at == verdict.original_deadline_at == at(24)


def test_the_hours_of_the_station_are_not_counted_against_the_officer() -> None:
    assert judged(docked=at(25), stored=at(40)).overdue_s == 3600


def test_a_part_of_a_second_late_is_overdue_by_a_whole_one() -> None:
    assert judged(docked=at(24) + timedelta(microseconds=1), stored=at(25)).overdue_s == 1


def test_a_stricter_house_rule_is_judged_by_its_hours() -> None:
    assert judged(docked=at(12), stored=at(13), hours=8).late is True
    assert due_at(END, 8) == at(8)


def test_a_file_docked_in_time_and_not_stored_yet_is_not_called_met() -> None:
    verdict = judged(docked=at(2), stored=None)
    assert (verdict.late, verdict.reason, verdict.deadline_at) == (None, "not_stored", at(24))


def test_a_file_docked_late_is_late_before_it_is_stored() -> None:
    verdict = judged(docked=at(26), stored=None)
    assert (verdict.late, verdict.late_kind, verdict.overdue_s) == (True, DOCKED, 7200)


def test_what_an_earlier_visit_stored_in_time_is_not_late_now() -> None:
    assert judged(docked=at(100), stored=at(3)).late is False


def test_storing_on_a_store_that_is_not_the_designated_one_says_nothing_of_lateness() -> None:
    """指定的存储设备"""
    verdict = judged(docked=at(30), stored=at(31), designated=False)
    assert (verdict.late, verdict.late_kind, verdict.overdue_s) == (None, None, 0)
    assert verdict.reason == "store_not_designated"
    assert verdict.deadline_at == at(24)
    assert judged(end=None, docked=at(1), stored=at(1), designated=False).reason == "store_not_designated"


def test_without_a_time_of_use_the_deadline_is_unknown() -> None:
    assert judged(end=None, docked=at(1), stored=at(2)) == Judgement(reason="deadline_unknown")


def test_a_recording_that_ends_after_docking_has_a_clock_that_is_ahead() -> None:
    assert judged(docked=at(-3), stored=at(-2)) == Judgement(reason="deadline_unknown")


def test_a_clock_ahead_is_unknown_whatever_other_witnesses_say() -> None:
    assert judged(docked=at(-3), stored=at(-2), others=(at(-4),)).reason == "deadline_unknown"


def test_a_recorder_that_stops_recording_when_it_is_plugged_in_may_be_a_little_ahead() -> None:
    assert judged(docked=END - timedelta(minutes=5), stored=END).late is False
    assert judged(docked=END - timedelta(minutes=5, seconds=1), stored=END).late is None


# --- disagreeing witnesses of the end ----------------------------------------------------------------


def test_a_verdict_that_every_witness_gives_stands() -> None:
    in_time = judged(docked=at(2), stored=at(3), others=(at(-8),))
    assert (in_time.late, in_time.reason, in_time.deadline_at) == (False, "", at(24))
    late = judged(docked=at(60), stored=at(61), others=(at(-8), at(8)))
    assert (late.late, late.late_kind, late.deadline_at) == (True, DOCKED, at(24))


def test_a_verdict_that_depends_on_the_witness_is_left_to_a_person() -> None:
    verdict = judged(docked=at(20), stored=at(21), others=(at(-8),))
    assert (verdict.late, verdict.late_kind, verdict.reason) == (None, None, "deadline_disputed")
    assert verdict.deadline_at == verdict.original_deadline_at == at(16)


def test_whether_officer_or_station_was_late_is_not_decided_by_choosing_a_witness() -> None:
    verdict = judged(docked=at(23), stored=at(25), others=(at(-8),))
    assert (verdict.late, verdict.reason) == (None, "deadline_disputed")


def test_a_witness_that_puts_the_end_after_docking_disputes_a_late_verdict() -> None:
    verdict = judged(docked=at(30), stored=at(31), others=(at(40),))
    assert (verdict.late, verdict.reason, verdict.deadline_at) == (None, "deadline_disputed", at(24))


# --- 23(2) ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", ["continuous", "out_of_area", "remote", "water", "poor_transport"])
def test_each_reason_of_the_article_gives_twenty_four_hours_from_the_return(reason: str) -> None:
    verdict = judged(docked=at(50), stored=at(51), claims=[claim(40, reason=reason)])
    assert (verdict.late, verdict.reason, verdict.exception_id) == (False, "", 1)
    assert (verdict.deadline_at, verdict.original_deadline_at) == (at(64), at(24))


# 案情 the case | claims | docked | stored | late | reason | deadline
SECOND_CLOCK = [
    ("返回后恰好二十四小时储存 exactly 24 h after the return", [claim(40)], 63, 64, False, "", 64),
    ("返回后二十五小时接入 docked 25 h after the return", [claim(40)], 65, 66, True, "", 64),
    ("提前返回，原时限不缩短 an early return never shortens", [claim(-2)], 23, 23.5, False, "", 24),
    ("未填返回时间，不视为按时 no return time is not met", [claim(None)], 50, 51, None, "exception_open", None),
    ("未填返回时间，但未超原时限 no return time, in time anyway", [claim(None)], 5, 6, False, "exception_open", 24),
    ("返回晚于接入 returned after docking", [claim(60)], 50, 51, True, "exception_conflict", 24),
    ("未声明确实无法及时储存 unable not stated", [claim(40, unable=False)], 50, 51, True, "exception_conflict", 24),
    ("事由不在条文之列 no reason of the article", [claim(40, reason="rain")], 50, 51, True, "exception_conflict", 24),
    ("记录不在例外期间 not within the period", [claim(40, period_from=at(1))], 50, 51, True, "", 24),
    ("例外待确认 not confirmed", [claim(40, confirmed=False)], 50, 51, False, "exception_unconfirmed", 64),
    ("两项例外取较晚者 of two the later", [claim(40), claim(45, number=2)], 68, 69, False, "", 69),
    ("一项自相矛盾不影响另一项 one sound", [claim(40), claim(99, number=2)], 50, 51, False, "", 64),
    ("一项未返回，另一项已足够 one is enough", [claim(None), claim(40, number=2)], 50, 51, False, "", 64),
    ("一项未返回，另一项不够 one is open", [claim(None), claim(30, number=2)], 60, 61, None, "exception_open", None),
]


@pytest.mark.parametrize(
    ("claims", "docked", "stored", "late", "reason", "deadline"),
    [c[1:] for c in SECOND_CLOCK],
    ids=[c[0] for c in SECOND_CLOCK],
)
def test_the_second_clock(
    claims: list[ExceptionClaim], docked: float, stored: float, late: bool | None, reason: str, deadline: float | None
) -> None:
    verdict = judged(docked=at(docked), stored=at(stored), claims=claims)
    assert (verdict.late, verdict.reason) == (late, reason)
    assert verdict.deadline_at == (None if deadline is None else at(deadline))
    assert verdict.original_deadline_at == at(24)


def test_the_period_of_a_statement_includes_its_first_and_last_moment() -> None:
    for edge in (claim(40, period_from=END), claim(40, period_to=END)):
        assert judged(docked=at(50), stored=at(51), claims=[edge]).late is False


def test_the_statement_that_decides_is_named() -> None:
    claims = [claim(40, number=7), claim(45, number=9), claim(None, number=8)]
    assert judged(docked=at(50), stored=at(51), claims=claims).exception_id == 9
    assert judged(docked=at(71), stored=at(72), claims=claims).exception_id == 8
    assert judged(docked=at(50), stored=at(51), claims=[claim(60, number=3)]).exception_id == 3


def test_a_confirmed_statement_is_preferred_to_an_equal_one_that_is_not() -> None:
    claims = [claim(40, number=1, confirmed=False), claim(40, number=2)]
    assert judged(docked=at(50), stored=at(51), claims=claims).exception_id == 2


def test_files_of_one_card_are_judged_each_by_its_own_end() -> None:
    """一次接入中可有按时与超时的文件 one card can hold timely and late files."""
    ends = (at(-30), at(-1))
    assert [judged(end=e, docked=at(0), stored=at(0.5)).late for e in ends] == [True, False]


# --- zones -----------------------------------------------------------------------------------------


def test_twenty_four_hours_are_elapsed_hours_also_where_summer_time_begins() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    end = datetime(2026, 3, 28, 12, 0, tzinfo=berlin)  # clocks go forward in the night that follows
    wall = datetime(2026, 3, 29, 12, 30, tzinfo=berlin)  # 23.5 hours later
    assert due_at(end, 24) == datetime(2026, 3, 29, 11, 0, tzinfo=UTC)
    assert judged(end=end, docked=wall, stored=wall).late is False
    autumn = datetime(2026, 10, 24, 12, 0, tzinfo=berlin)
    assert judged(end=autumn, docked=autumn + timedelta(hours=23.5), stored=autumn + 24 * HOUR).late is True


def test_a_time_without_zone_is_refused_and_never_read_in_the_machines_own() -> None:
    with pytest.raises(ValueError, match="without zone"):
        judged(end=END.replace(tzinfo=None), docked=at(1), stored=at(1))


def test_a_date_at_the_end_of_the_calendar_is_judged_and_does_not_break() -> None:
    last = datetime.max.replace(tzinfo=timezone(timedelta(hours=-8)))
    first = datetime.min.replace(tzinfo=CHINA)
    assert judged(end=last, docked=at(1), stored=at(1)).reason == "deadline_unknown"
    assert judged(end=first, docked=at(1), stored=at(1)).late is True
    assert due_at(last, 24) > at(1)


# --- properties --------------------------------------------------------------------------------------

hours_after = st.integers(min_value=-40, max_value=200).map(at)
zones = st.sampled_from([UTC, CHINA, ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns")])
returns = st.none() | hours_after
claims_of = st.builds(
    ExceptionClaim,
    exception_id=st.integers(1, 99),
    reason=st.sampled_from(["remote", "water", "rain"]),
    period_from=hours_after,
    period_to=hours_after,
    returned_at=returns,
    unable=st.booleans(),
    confirmed=st.booleans(),
)
several_claims = st.lists(claims_of, max_size=3, unique_by=lambda c: c.exception_id)
several_ends = st.lists(hours_after, max_size=2).map(tuple)
WORSE = {False: 0, None: 1, True: 2}


@given(docked=hours_after, took=st.integers(0, 40), claims=several_claims, extra=claims_of)
def test_a_deadline_never_moves_earlier_by_adding_an_exception(
    docked: datetime, took: int, claims: list[ExceptionClaim], extra: ExceptionClaim
) -> None:
    before = judged(docked=docked, stored=docked + took * HOUR, claims=claims)
    after = judged(docked=docked, stored=docked + took * HOUR, claims=[*claims, extra])
    assert after.original_deadline_at == before.original_deadline_at
    if before.deadline_at and after.deadline_at:
        assert after.deadline_at >= before.deadline_at >= at(24)


@given(docked=hours_after, took=st.integers(0, 40), others=several_ends, claims=several_claims, extra=claims_of)
def test_an_exception_never_makes_a_verdict_worse(
    docked: datetime, took: int, others: tuple[datetime, ...], claims: list[ExceptionClaim], extra: ExceptionClaim
) -> None:
    stored = docked + took * HOUR
    before = judged(docked=docked, stored=stored, others=others, claims=claims)
    after = judged(docked=docked, stored=stored, others=others, claims=[*claims, extra])
    assert WORSE[after.late] <= WORSE[before.late]


@given(first=st.integers(0, 100), wait=st.integers(0, 100), took=st.integers(0, 40), hours=st.integers(1, 24))
def test_docking_later_is_never_judged_better(first: int, wait: int, took: int, hours: int) -> None:
    early = judged(docked=at(first), stored=at(first + took), hours=hours)
    late = judged(docked=at(first + wait), stored=at(first + wait + took), hours=hours)
    rank = {None: 0, LateKind.STORED: 1, LateKind.DOCKED: 2}
    assert rank[late.late_kind] >= rank[early.late_kind]
    assert late.overdue_s >= early.overdue_s or late.late_kind is not early.late_kind


@given(docked=hours_after, took=st.integers(0, 40), others=several_ends, claims=several_claims, zone=zones)
def test_the_zone_in_which_the_same_instants_are_written_changes_nothing(
    docked: datetime, took: int, others: tuple[datetime, ...], claims: list[ExceptionClaim], zone: Any
) -> None:
    stored = docked + took * HOUR
    moved = [
        replace(
            c,
            period_from=c.period_from.astimezone(zone),
            period_to=c.period_to.astimezone(zone),
            returned_at=c.returned_at and c.returned_at.astimezone(zone),
        )
        for c in claims
    ]
    assert judged(docked=docked, stored=stored, others=others, claims=claims) == judged(
        end=END.astimezone(zone),
        docked=docked.astimezone(zone),
        stored=stored.astimezone(zone),
        others=tuple(t.astimezone(zone) for t in others),
        claims=moved,
    )


@given(docked=hours_after, took=st.integers(0, 40), others=several_ends, data=st.data())
def test_the_order_of_statements_does_not_matter(
    docked: datetime, took: int, others: tuple[datetime, ...], data: st.DataObject
) -> None:
    claims = data.draw(several_claims)
    shuffled = data.draw(st.permutations(claims))
    stored = docked + took * HOUR
    assert judged(docked=docked, stored=stored, others=others, claims=claims) == judged(
        docked=docked, stored=stored, others=others, claims=shuffled
    )


@given(docked=hours_after, took=st.integers(0, 40), others=several_ends, claims=several_claims)
def test_late_and_its_kind_always_come_together(
    docked: datetime, took: int, others: tuple[datetime, ...], claims: list[ExceptionClaim]
) -> None:
    verdict = judged(docked=docked, stored=docked + took * HOUR, others=others, claims=claims)
    assert (verdict.late is True) == (verdict.late_kind is not None) == (verdict.overdue_s > 0)
    assert verdict.late is not None or verdict.reason


# --- the station's own clock ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clock", "late", "kept"),
    [
        (None, True, True),
        (None, False, False),
        (StationClock.BEHIND, True, True),  # 时钟倒退仍超时，则确已超时: late by a clock that is behind is late
        (StationClock.BEHIND, False, None),  # 时钟倒退而“按时”，不可信: in time by it is not proven
        (StationClock.AHEAD, True, None),  # 时钟超前而“超时”，不得冤枉人员: late by a clock that leapt is not proven
        (StationClock.AHEAD, False, False),
    ],
)
def test_a_verdict_that_a_wrong_station_clock_could_turn_round_is_left_open(clock, late, kept) -> None:
    verdict = Judgement(deadline_at=at(24), original_deadline_at=at(24), late=late)
    judged = doubt(verdict, clock)
    assert judged.late is kept
    assert judged.deadline_at == verdict.deadline_at
    assert (judged.reason == "station_clock") == (kept is None)
