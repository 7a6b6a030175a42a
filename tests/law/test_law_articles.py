"""办法条文与案例对照表 · the articles and their cases side by side, for a lawyer to read.

每一行：条文原文摘录、案情、结论。摘录必须是条文的原话。
Each line: words of the article, the facts of a case, what follows. The words must be the article's own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from dockd.law.attribution import attribute
from dockd.law.deadline import ExceptionClaim, judge
from dockd.law.filing import last_day, missing_notes
from dockd.law.interruption import Segment, gaps_in_case, missing_of_note
from dockd.law.text import quote
from dockd.nouns import CaseWork, Custody, Reading, Recorder, UseTime

CHINA = timezone(timedelta(hours=8))
END = datetime(2026, 3, 6, 17, 0, tzinfo=CHINA)  # 2026年3月6日（星期五）17:00 录像结束
HOUR = timedelta(hours=1)


def stored(after: float, *, docked: float | None = None, claim: ExceptionClaim | None = None) -> str:
    """How a recording is judged that was stored so many hours after its end."""
    verdict = judge(
        used_to=END,
        other_ends=(),
        docked_at=END + (after if docked is None else docked) * HOUR,
        stored_at=END + after * HOUR,
        hours=24,
        designated=True,
        exceptions=[claim] if claim else [],
    )
    if verdict.late is None:
        return verdict.reason
    return f"late_{verdict.late_kind}" if verdict.late else "in time"


def trip(returned: float | None, *, unable: bool = True, until: float = 72) -> ExceptionClaim:
    back = None if returned is None else END + returned * HOUR
    return ExceptionClaim(1, "remote", END - 24 * HOUR, END + until * HOUR, back, unable, confirmed=True)


def whose(custody: list[tuple[str, float, float | None]], name: str | None, cases: str = "") -> str:
    """Officer and case of a recording of one hour; cases as ``A:Z001`` for the whole day."""
    works = [CaseWork(c[0], c[2:], END - 12 * HOUR, END + 12 * HOUR) for c in cases.split()]
    found = attribute(
        use=UseTime(END - HOUR, END, "name"),
        readings=(Reading("07", name),) if name else (),
        device=Recorder("07"),
        custody=[
            Custody(n, who, END + begin * HOUR, None if end is None else END + end * HOUR)
            for n, (who, begin, end) in enumerate(custody)
        ],
        officer_by_token=lambda token: token if token.startswith("Z") else None,
        device_by_token=lambda token: token if token == "07" else None,
        standing_owner=None,
        cases=works,
    )
    return "+".join([*found.officers, *([found.case_no] if found.case_no else [])]) or found.owner_state.value


def uncovered(*spans: tuple[int, int], whole: bool) -> int:
    """How many gaps of more than five minutes an hour of work on a case has."""
    segments = [Segment(n, END + b * HOUR / 60, END + e * HOUR / 60) for n, (b, e) in enumerate(spans)]
    return len(gaps_in_case(segments, [(END, END + HOUR)], HOUR / 12, whole=whole))


def filed_by(closed: str, *holidays: tuple[date, date]) -> str:
    zone = ZoneInfo("Asia/Shanghai")
    return last_day(datetime.fromisoformat(closed).replace(tzinfo=zone), zone, holidays).isoformat()


def note(form: str | None, **said: Any) -> str:
    told: dict[str, Any] = {"cause": "weather", "position": None, "doc_no": None, "signed_by": ()} | said
    return " ".join(missing_of_note(form, **told)) or "complete"


WHOLE = {"matter": "勘验", "used_from": END, "place": "南佐镇", "method": "video", "officers": ("Z001",)}
NATIONAL = (date(2026, 10, 1), date(2026, 10, 7))
Row = tuple[int, int, str, str, Callable[[], object], object]

# 条, 款, 原文 words | 案情 the facts | 结论 what follows
TABLE: list[Row] = [
    (23, 1, "应当在二十四小时内", "次日 16:59 储存 stored after 23 h 59 min", lambda: stored(24 - 1 / 60), "in time"),
    (23, 1, "应当在二十四小时内", "恰好二十四小时 at exactly 24:00:00", lambda: stored(24), "in time"),
    (23, 1, "应当在二十四小时内", "超过一秒接入 docked one second later",
     lambda: stored(24 + 1 / 3600), "late_docked"),
    (23, 1, "应当在二十四小时内", "周一才接入 docked on Monday", lambda: stored(63), "late_docked"),
    (23, 1, "储存至所在机关", "按时接入，采集站迟延 docked in time, the station was late",
     lambda: stored(26, docked=20), "late_stored"),
    (23, 2, "返回所在机关后二十四小时内", "返回后二十三小时储存 23 hours after the return",
     lambda: stored(71, claim=trip(48)), "in time"),
    (23, 2, "返回所在机关后二十四小时内", "返回后二十五小时储存 25 hours after the return",
     lambda: stored(73, claim=trip(48)), "late_docked"),
    (23, 2, "返回所在机关", "未录入返回时间 no return entered",
     lambda: stored(30, claim=trip(None)), "exception_open"),
    (23, 2, "返回所在机关", "接入早于返回 docked before the return",
     lambda: stored(30, claim=trip(40)), "late_docked"),
    (23, 2, "确实无法及时储存", "未声明无法及时储存 not stated to be impossible",
     lambda: stored(30, claim=trip(20, unable=False)), "late_docked"),
    (23, 2, "在边远、水上、交通不便地区执法", "期间之外的录像 a recording outside the period",
     lambda: stored(30, claim=trip(20, until=-1)), "late_docked"),
    (27, 1, "执法人员信息", "领用与文件名一致 custody and name agree",
     lambda: whose([("Z001", -5, None)], "Z001"), "Z001"),
    (27, 1, "执法人员信息", "他人使用领用人的设备 used by another than its holder",
     lambda: whose([("Z001", -5, None)], "Z002"), "conflict"),
    (27, 1, "执法人员信息", "一卡两人，各归各的 two officers on one card",
     lambda: whose([("Z001", -9, -2), ("Z002", -2, None)], "Z002"), "Z002"),
    (27, 1, "执法人员信息", "录像中途换人 handed over in mid-recording",
     lambda: whose([("Z001", -5, -0.5), ("Z002", -0.5, None)], None), "conflict"),
    (27, 1, "执法人员信息", "没有依据，绝不猜测 no evidence, no guess", lambda: whose([], None), "unassigned"),
    (27, 1, "案件当事人和案由名称", "同时只办一案 one case at the time",
     lambda: whose([("Z001", -5, None)], None, "A:Z001 B:Z002"), "Z001+A"),
    (27, 1, "案件当事人和案由名称", "同时两案，由人来定 two cases at the time",
     lambda: whose([("Z001", -5, None)], None, "A:Z001 B:Z001"), "Z001"),
    (22, 1, "中断记录", "一般案件两段之间 an ordinary case, between two",
     lambda: uncovered((0, 9), (30, 50), whole=False), 1),
    (22, 1, "中断记录", "全程记录的首尾 whole course, both ends", lambda: uncovered((20, 40), whole=True), 2),
    (22, 1, "应当对中断原因进行语音说明", "未注明位置 without its position", lambda: note("voice"), "position"),
    (22, 1, "应当对中断原因进行语音说明", "注明位置 with its position",
     lambda: note("voice", position="00:12"), "complete"),
    (22, 1, "由两名以上执法人员签字", "一人签字 one signature",
     lambda: note("written", doc_no="7", signed_by=("Z001",)), "signed_by"),
    (22, 1, "由两名以上执法人员签字", "两人签字 two signatures",
     lambda: note("written", doc_no="7", signed_by=("Z001", "Z002")), "complete"),
    (28, 1, "之日起三十日内", "三月一日终结 ended on 1 March", lambda: filed_by("2026-03-01T09:00"), "2026-03-31"),
    (28, 1, "之日起三十日内", "末日在国庆假期 last day in the holiday",
     lambda: filed_by("2026-09-03T09:00", NATIONAL), "2026-10-08"),
    (28, 2, "事项、时间、地点、方式和行政执法人员", "五项齐全 all five", lambda: missing_notes(WHOLE), ()),
    (28, 2, "事项、时间、地点、方式和行政执法人员", "没有地点 no place",
     lambda: missing_notes(WHOLE | {"place": ""}), ("place",)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("article", "paragraph", "words", "follows", "expected"),
    [(row[0], row[1], row[2], row[4], row[5]) for row in TABLE],
    ids=[f"{quote(row[0], row[1]).cite_zh} {row[3]}" for row in TABLE],
)
def test_what_the_article_says_of_the_case(
    article: int, paragraph: int, words: str, follows: Callable[[], object], expected: object
) -> None:
    assert words in quote(article, paragraph).zh, "the regulation's own words"
    assert follows() == expected
