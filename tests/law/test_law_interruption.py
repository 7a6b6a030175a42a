"""第二十二条 · article 22: interruptions, as cases a lawyer could read.

因设备故障、天气恶劣、人为阻挠等客观原因中断记录的，重新开始记录时应当对中断原因进行语音说明；确实无法继续记录的，应当在
现场执法结束后书面说明情况，并由两名以上执法人员签字。
Interrupted for an objective cause: the cause is spoken aloud on restart; where recording truly cannot go
on, a written account signed by two or more officers.

第十九条 对直接涉及人身自由、生命健康、重大财产权益的现场执法活动……应当进行全程音像记录。
Article 19: liberty, life and health, major property: the whole course is recorded.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.interruption import (
    Segment,
    gaps_in_case,
    gaps_in_session,
    missing_of_note,
    sessions,
    severity_of,
)
from dockd.law.vocabulary import Severity

DAY = datetime(2026, 3, 5, 9, 0, tzinfo=timezone(timedelta(hours=8)))
MINUTE, SPLIT = timedelta(minutes=1), timedelta(seconds=10)


def at(minutes: float) -> datetime:
    return DAY + minutes * MINUTE


def taken(*spans: tuple[float, float], session: int | None = None) -> list[Segment]:
    """Recordings 1, 2, … from so many minutes after nine to so many."""
    return [Segment(n, at(begin), at(end), session) for n, (begin, end) in enumerate(spans, 1)]


# 情形 | recordings (minutes) | sessions
SESSIONS = [
    ("设备自动分段 the recorder splits a long recording", [(0, 10), (10, 20), (20.1, 30)], [(1, 2, 3)]),
    ("停录四分钟后重录 restarted after four minutes", [(0, 10), (14, 20)], [(1, 2)]),
    ("相隔六分钟是两个场次 six minutes apart: two sessions", [(0, 10), (16, 20)], [(1,), (2,)]),
    ("双摄同时 two cameras at once", [(0, 10), (2, 4), (12, 15)], [(1, 2, 3)]),
    ("跨零点 over midnight", [(890, 900), (900, 910)], [(1, 2)]),
]


@pytest.mark.parametrize(("spans", "found"), [c[1:] for c in SESSIONS], ids=[c[0] for c in SESSIONS])
def test_files_that_follow_each_other_are_one_session(
    spans: list[tuple[float, float]], found: list[tuple[int, ...]]
) -> None:
    assert sessions(taken(*spans), 5 * MINUTE) == found


def test_a_restart_within_a_session_is_a_candidate_and_a_split_is_none() -> None:
    """中断记录，重新开始 · interrupted, and started again"""
    (gap,) = gaps_in_session(taken((0, 10), (10.1, 20), (23, 30)), SPLIT)
    assert (gap.begin, gap.end, gap.before, gap.after) == (at(20), at(23), 2, 3)


# 情形 | recordings | work on the case | whole course | gaps
CASES = [
    ("现场两次录像之间 between two recordings on site", [(0, 10), (30, 40)], (0, 60), False, [(10, 30)]),
    ("一般案件开头结尾不须记录 the rest of an ordinary case", [(20, 40)], (0, 60), False, []),
    ("全程记录：开头和结尾 whole course: begin and end", [(20, 40)], (0, 60), True, [(0, 20), (40, 60)]),
    ("全程记录：一段也没有 whole course: nothing at all", [], (0, 60), True, [(0, 60)]),
    ("一般案件没有录像 an ordinary case without footage", [], (0, 60), False, []),
    ("全程记录完整 recorded in its whole course", [(-5, 30), (30.1, 61)], (0, 60), True, []),
]


@pytest.mark.parametrize(("spans", "work", "whole", "found"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_time_of_a_case_is_compared_with_its_recordings(
    spans: list[tuple[float, float]], work: tuple[float, float], whole: bool, found: list[tuple[float, float]]
) -> None:
    gaps = gaps_in_case(taken(*spans), [(at(work[0]), at(work[1]))], 5 * MINUTE, whole=whole)
    assert [(gap.begin, gap.end) for gap in gaps] == [(at(begin), at(end)) for begin, end in found]


def test_what_one_officer_missed_another_may_have_recorded() -> None:
    both = [Segment(1, at(0), at(20)), Segment(2, at(40), at(60)), Segment(3, at(15), at(45))]
    assert gaps_in_case(both, [(at(0), at(60)), (at(10), at(60))], 5 * MINUTE, whole=True) == []


def test_a_gap_within_one_session_is_the_sessions() -> None:
    spans = taken((0, 10), (14, 20), session=1)
    assert gaps_in_case(spans, [(at(0), at(20))], MINUTE, whole=False) == []
    assert len(gaps_in_session(spans, SPLIT)) == 1


def test_it_weighs_more_where_the_whole_course_is_to_be_recorded() -> None:
    assert (severity_of(True), severity_of(False)) == (Severity.WARNING, Severity.NOTICE)


# 说明 the note | lacking
NOTES = [
    ("语音说明须注明位置 spoken: where", {"form": "voice", "cause": "weather"}, ("position",)),
    ("语音说明 spoken on restart", {"form": "voice", "cause": "weather", "position": "00:12"}, ()),
    (
        "书面说明须有文号和两人签字 written: number and two",
        {"form": "written", "cause": "other"},
        ("doc_no", "signed_by"),
    ),
    (
        "一人签字不够 one signature is not enough",
        {"form": "written", "cause": "other", "doc_no": "7", "signed_by": ("Z1", "Z1")},
        ("signed_by",),
    ),
    ("两人签字 signed by two", {"form": "written", "cause": "equipment", "doc_no": "7", "signed_by": ("Z1", "L2")}, ()),
    ("未说明 nothing said", {}, ("form", "cause")),
]


@pytest.mark.parametrize(("said", "lacking"), [c[1:] for c in NOTES], ids=[c[0] for c in NOTES])
def test_the_note_has_the_form_that_the_article_asks_for(said: dict[str, object], lacking: tuple[str, ...]) -> None:
    note = {"form": None, "cause": None, "position": None, "doc_no": None, "signed_by": ()} | said
    assert missing_of_note(note.pop("form"), **note) == lacking  # type: ignore[arg-type]


spans_ = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 40)), max_size=8)


@given(spans_, st.randoms())
def test_the_order_in_which_files_arrive_does_not_matter(spans: list[tuple[int, int]], random: object) -> None:
    segments = taken(*((b, b + length) for b, length in spans))
    shuffled = list(segments)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sessions(shuffled, 5 * MINUTE) == sessions(segments, 5 * MINUTE)
    period = [(at(0), at(300))]
    assert gaps_in_case(shuffled, period, MINUTE, whole=True) == gaps_in_case(segments, period, MINUTE, whole=True)


@given(spans_)
def test_gaps_and_recordings_together_are_the_whole_time(spans: list[tuple[int, int]]) -> None:
    segments = taken(*((b, b + length) for b, length in spans))
    gaps = gaps_in_case(segments, [(at(0), at(300))], timedelta(0), whole=True)
    covered = {m for b, length in spans for m in range(b, b + length)}
    opened = {m for gap in gaps for m in range(300) if gap.begin <= at(m) < gap.end}
    assert covered & opened == set()
    assert (covered | opened) & set(range(300)) == set(range(300))
