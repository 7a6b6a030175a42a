"""Sessions and interruptions after footage or cases have changed (article 22), in the transaction of that change.

Looked at is the neighbourhood of the recordings that were touched: their recorder's sessions beside
them, and the cases that they belong to now or did before. So the answer is the same in whatever order
footage and cases arrive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from dockd.law.interruption import Gap, Segment, gaps_in_case, gaps_in_session, sessions, severity_of
from dockd.nouns import MediaType
from dockd.register import cases, interruptions, records
from dockd.register.cases import Case
from dockd.register.interruptions import Candidate
from dockd.register.station import Station
from dockd.register.tables import CaseRow, InterruptionRow, RecordRow

COURSES = (MediaType.VIDEO.value, MediaType.AUDIO.value)
"""What has a course that can be interrupted: a photograph is one moment."""
_AROUND = timedelta(days=1)  # a session is looked at whole: none is longer
MACHINE = "dockd"


@dataclass(frozen=True, slots=True)
class Touched:
    """One recording that was added or judged again, with the case that it had before."""

    record_id: int
    case_no: str | None = None


def survey(session: Session, station: Station, touched: Sequence[Touched]) -> list[int]:
    """Brings sessions and candidates beside the touched recordings up to date; returns what got another session."""
    rows = _rows(session, RecordRow.id.in_([one.record_id for one in touched]))
    regrouped: list[int] = []
    for recorder_id in sorted({row.recorder_id for row in rows if row.recorder_id is not None}):
        regrouped += _survey_recorder(session, station, recorder_id, [r for r in rows if r.recorder_id == recorder_id])
    numbers = {row.case_no for row in rows} | {one.case_no for one in touched}
    survey_cases(session, station, {number for number in numbers if number})
    return regrouped


def session_beside(
    session: Session, station: Station, recorder_id: int | None, begin: datetime | None, end: datetime | None
) -> int | None:
    """The session that a new recording goes on with; None where it begins one of its own."""
    if recorder_id is None or begin is None:
        return None
    join = station.settings.session.join
    query = select(func.min(RecordRow.session_id)).where(
        RecordRow.station_no == station.station_no,
        RecordRow.recorder_id == recorder_id,
        RecordRow.media_type.in_(COURSES),
        RecordRow.witnessed_to >= begin - join,
        RecordRow.used_from <= (end or begin) + join,
        func.coalesce(RecordRow.used_to, RecordRow.used_from) >= begin - join,
    )
    return session.scalar(query)


# --- a recorder's sessions ---------------------------------------------------------------------------------


def _survey_recorder(session: Session, station: Station, recorder_id: int, touched: Sequence[RecordRow]) -> list[int]:
    times = [t for row in touched for t in (row.used_from, row.used_to) if t]
    olds = {row.session_id for row in touched if row.session_id is not None}
    ids = {row.id for row in touched}
    if not times:
        return []
    own = and_(RecordRow.station_no == station.station_no, RecordRow.recorder_id == recorder_id)
    near = and_(RecordRow.used_from >= min(times) - _AROUND, RecordRow.used_from <= max(times) + _AROUND)
    rows = {row.id: row for row in _rows(session, and_(own, or_(near, RecordRow.session_id.in_(sorted(olds)))))}
    groups = sessions(_segments(rows.values()), station.settings.session.join)
    beside = [g for g in groups if ids.intersection(g) or any(rows[i].session_id in olds for i in g)]
    regrouped = [i for group in beside for i in group if _join(session, station, rows[i], min(group))]
    _keep_session_gaps(session, station, recorder_id, [[rows[i] for i in group] for group in beside], ids)
    return regrouped


def _join(session: Session, station: Station, row: RecordRow, session_id: int) -> bool:
    if row.session_id == session_id:
        return False
    said = {"session_id": session_id}
    revision = records.revise_record(session, row.id, said, actor=MACHINE, why="session", at=station.now())
    return revision is not None


def _keep_session_gaps(
    session: Session, station: Station, recorder_id: int, groups: Sequence[Sequence[RecordRow]], ids: Collection[int]
) -> None:
    found = []
    for group in groups:
        known = {row.id: row for row in group}
        for gap in gaps_in_session(_segments(group), station.settings.session.gap):
            found.append(_session_candidate(session, recorder_id, gap, known))
    spans = [t for group in groups for row in group for t in (row.used_from, row.used_to) if t]
    beside = or_(
        and_(InterruptionRow.from_at >= min(spans), InterruptionRow.from_at <= max(spans)) if spans else False,
        InterruptionRow.before_record_id.in_(ids),
        InterruptionRow.after_record_id.in_(ids),
    )
    among = and_(InterruptionRow.kind == "session", InterruptionRow.recorder_id == recorder_id, beside)
    interruptions.keep_candidates(session, found, among=among, station_no=station.station_no, now=station.now())


def _session_candidate(session: Session, recorder_id: int, gap: Gap, rows: dict[int, RecordRow]) -> Candidate:
    numbers = {rows[i].case_no for i in (gap.before, gap.after) if i is not None}
    case_no = numbers.pop() if len(numbers) == 1 else None
    case = cases.find_case(session, case_no) if case_no else None
    return Candidate(
        about=f"session:{gap.before}-{gap.after}",
        kind="session",
        from_at=gap.begin,
        to_at=gap.end,
        severity=severity_of(bool(case and case.full_course_required)).value,
        recorder_id=recorder_id,
        case_no=case_no,
        before_record_id=gap.before,
        after_record_id=gap.after,
    )


# --- a case's time ---------------------------------------------------------------------------------------------


def survey_cases(session: Session, station: Station, case_nos: Iterable[str]) -> None:
    """The candidates in the time of these cases are those that their recordings leave open now."""
    for number in sorted(case_nos):
        case = cases.find_case(session, number)
        if case is not None:
            _survey_case(session, station, case)


def watch_courses(session: Session, station: Station) -> None:
    """Cases whose whole course is to be recorded are looked at even where nothing was ever recorded of them."""
    query = select(CaseRow.case_no).where(CaseRow.full_course_required, CaseRow.filed_at.is_(None))
    survey_cases(session, station, session.scalars(query).all())


def _survey_case(session: Session, station: Station, case: Case) -> None:
    rows = [row for row in _rows(session, RecordRow.case_no == case.case_no) if row.used_from]
    longer_than = max(station.settings.session.join, station.settings.session.gap)
    gaps = gaps_in_case(_segments(rows), _periods(case, rows, station), longer_than, whole=case.full_course_required)
    key = session.scalar(select(CaseRow.id).where(CaseRow.case_no == case.case_no))
    found = [_case_candidate(case, key, gap) for gap in gaps]
    among = and_(InterruptionRow.kind == "case", InterruptionRow.case_no == case.case_no)
    interruptions.keep_candidates(session, found, among=among, station_no=station.station_no, now=station.now())


def _periods(case: Case, rows: Sequence[RecordRow], station: Station) -> list[tuple[datetime, datetime]]:
    """When they were at work on it, as far as its footage may be expected to be stored (article 23).

    A work without end lasts until the last recording: nobody knows more.
    """
    stored = station.now() - timedelta(hours=station.settings.deadline.hours)
    last = max((row.used_to or row.used_from for row in rows if row.used_from), default=None)
    spans = [(w.used_from, _known_end(w.used_to, last, stored)) for w in case.works if w.used_from]
    return [(begin, end) for begin, end in spans if begin and end]


def _known_end(end: datetime | None, last: datetime | None, stored: datetime) -> datetime | None:
    """Up to where a gap would be one: what was recorded lately may not be stored yet."""
    if end is not None and end <= stored:
        return end
    return last if end is None or last is None else min(end, last)


def _case_candidate(case: Case, key: int | None, gap: Gap) -> Candidate:
    # Two gaps with the same neighbours can only be two works without any recording: their begin tells them apart.
    edge = f"@{gap.begin:%Y%m%d%H%M%S}" if gap.before is None and gap.after is None else ""
    return Candidate(
        about=f"case:{key}:{gap.before or ''}-{gap.after or ''}{edge}",
        kind="case",
        from_at=gap.begin,
        to_at=gap.end,
        severity=severity_of(case.full_course_required).value,
        case_no=case.case_no,
        before_record_id=gap.before,
        after_record_id=gap.after,
    )


# --- what both read ------------------------------------------------------------------------------------------


def _rows(session: Session, condition: object) -> list[RecordRow]:
    query = select(RecordRow).where(condition, RecordRow.media_type.in_(COURSES))  # type: ignore[arg-type]
    return list(session.scalars(query.order_by(RecordRow.id)))


def _segments(rows: Iterable[RecordRow]) -> list[Segment]:
    return [
        Segment(row.id, row.used_from, row.used_to or row.used_from, row.session_id) for row in rows if row.used_from
    ]
