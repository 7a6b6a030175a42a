"""Article 28: until when a closed case is to be filed, and what recordings used as evidence must be noted with.

(1) 行政执法机关及其执法人员在行政执法行为终结之日起三十日内，应当将行政执法全过程记录资料按照档案管理的规定立卷、归档。
Within thirty days of the day on which an administrative enforcement act ends, the agency and its
officers shall file the whole-process records and put them on archive as archive management provides.

(2) 作为证据使用的录音、录像，应当制作光盘归档保存，并注明记录的事项、时间、地点、方式和行政执法人员等信息。
Sound and video recordings that are used as evidence shall be put on disc and kept on archive, with a
note of the matter, time, place, method and officers of the recording and similar information.

Days are counted as the Civil Code counts them (articles 201, 203), by analogy: the day of closing is not
counted, and a last day on a public holiday moves to the day after the holiday. Only days of the agency's
own calendar are holidays; weekends are not, unless they stand in it: the earlier last day loses no duty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from dockd.law.instants import utc
from dockd.law.vocabulary import Term
from dockd.nouns import MediaType

DAYS = 30
Holidays = Sequence[tuple[date, date]]

EVIDENCE_NOTES: Mapping[str, Term] = {
    "matter": Term("matter", "记录的事项", "matter", "28(2)"),
    "used_from": Term("used_from", "时间", "time", "28(2)"),
    "place": Term("place", "地点", "place", "28(2)"),
    "method": Term("method", "方式", "method", "28(2)"),
    "officers": Term("officers", "行政执法人员", "officers", "28(2)"),
}
"""The five notes, by the record's columns."""

MISSING = {
    "footage": Term("footage", "没有音像记录", "no recording", "28(1)"),
    "party": Term("party", "案件当事人", "party to the case", "27(1)"),
    "case_cause": Term("case_cause", "案由名称", "cause of action", "27(1)"),
    "tags": Term("tags", "有记录著录不全", "recordings lack items of article 27", "27(1)"),
    "evidence_notes": Term("evidence_notes", "证据五项注明不全", "evidence lacks notes", "28(2)"),
    "disc": Term("disc", "证据未刻录光盘", "evidence is on no disc", "28(2)"),
    "interruptions": Term("interruptions", "有中断未说明", "interruptions are not explained", "22"),
}
"""What a case may lack before it can be filed."""


@dataclass(frozen=True, slots=True)
class Filed:
    """How the filing of one closed case stands. ``days_left`` 0: today is the last day; below: overdue."""

    last_day: date
    days_left: int

    @property
    def overdue(self) -> bool:
        """The last day has passed."""
        return self.days_left < 0


def last_day(closed_at: datetime, zone: ZoneInfo, holidays: Holidays) -> date:
    """The last day on which the case can be filed in time."""
    day = utc(closed_at).astimezone(zone).date() + timedelta(days=DAYS)
    while ends := [last for first, last in holidays if first <= day <= last]:
        day = max(ends) + timedelta(days=1)
    return day


def filing(closed_at: datetime, now: datetime, zone: ZoneInfo, holidays: Holidays) -> Filed:
    """The countdown at ``now``. Raises ``ValueError`` for a time without zone."""
    last = last_day(closed_at, zone, holidays)
    return Filed(last, (last - utc(now).astimezone(zone).date()).days)


def warning(filed: Filed, before: Sequence[timedelta]) -> timedelta | None:
    """The nearest of the times ``before`` the last day that has come, while it is not overdue."""
    left = timedelta(days=filed.days_left)
    return None if filed.overdue else min((span for span in before if left <= span), default=None)


def missing_notes(values: Mapping[str, object]) -> tuple[str, ...]:
    """Which of the five notes a recording used as evidence still lacks, by the record's columns."""
    return tuple(name for name in EVIDENCE_NOTES if _is_empty(values.get(name)))


def needs_disc(media: MediaType) -> bool:
    """The sentence speaks of sound and video; photographs follow the general rule of filing."""
    return media in (MediaType.VIDEO, MediaType.AUDIO)


def _is_empty(value: object) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, Sized) and len(value) == 0)
