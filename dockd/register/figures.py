"""What article 30 counts, read from the register: recordings, and everything else that has a month and a place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Result, and_, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from dockd.law.faults import Act, changes_state, out_of_service
from dockd.law.filing import Holidays, filing
from dockd.law.statistics import Matter, Recordings, Where
from dockd.nouns import LateKind, MediaType, OwnerState
from dockd.register.tables import (
    AlertRow,
    CaseRow,
    CaseWorkRow,
    FootageRow,
    InterruptionRow,
    OfficerRow,
    RecorderEventRow,
    RecorderRow,
    RecordRow,
)
from dockd.register.values import chunks

RECORDINGS = tuple(media.value for media in MediaType if media.is_recording)
_BY_ALERT = {
    "battery_low": "battery_failures",
    "card_full": "space_failures",
    "removed_early": "early_removals",
    "store_altered": "verification_failures",
}


@dataclass(frozen=True, slots=True)
class Period:
    """From ``begin`` up to ``end``, in the zone whose months are counted; None: without bound."""

    zone: ZoneInfo
    begin: datetime | None = None
    end: datetime | None = None

    def holds(self, at: datetime | None) -> bool:
        if at is None:
            return self.begin is None and self.end is None
        return (self.begin is None or at >= self.begin) and (self.end is None or at < self.end)

    def within(self, time: ColumnElement[Any] | InstrumentedAttribute[Any]) -> list[ColumnElement[bool]]:
        """The bounds as a query's conditions on a column of times."""
        bounds = [time >= self.begin] if self.begin else []
        return bounds + ([time < self.end] if self.end else [])

    def month(self, at: datetime | None) -> str:
        return f"{at.astimezone(self.zone):%Y-%m}" if at else ""


def month_of(text: str, zone: ZoneInfo) -> Period:
    """The month ``YYYY-MM``. Raises ValueError for anything else."""
    begin = datetime.strptime(text, "%Y-%m").replace(tzinfo=zone)
    end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return Period(zone, begin, end)


class _Alike(NamedTuple):
    """What the figures tell recordings apart by."""

    month: str
    recorder_id: int | None
    officers: tuple[str, ...]
    late: bool | None
    late_kind: str | None
    owner_state: str
    complete: bool
    excused: bool
    important: bool
    is_evidence: bool
    has_disc: bool


@dataclass(slots=True)
class _Sum:
    """The sums over recordings that are alike."""

    files: int = 0
    size: int = 0
    seconds: float = 0
    storing_h: list[float] = field(default_factory=list)


def recordings(session: Session, period: Period) -> Iterator[Recordings]:
    """Every recording of the period, those together that the figures cannot tell apart."""
    found: dict[_Alike, _Sum] = {}
    for used_from, docked_at, used_to, stored_at, seconds, size, recorder_id, officers, *rest in _rows(session, period):
        alike = _Alike(period.month(used_from or docked_at), recorder_id, tuple(officers), *rest)
        some = found.get(alike) or found.setdefault(alike, _Sum())
        some.files += 1
        some.size += size
        some.seconds += seconds or 0
        if used_to:
            some.storing_h.append((stored_at - used_to) / timedelta(hours=1))
    units = _units(session)
    of_recorder = select(RecorderRow.id, RecorderRow.device_no, RecorderRow.unit)
    recorders = {number: (device_no, unit) for number, device_no, unit in session.execute(of_recorder)}
    for alike, some in found.items():
        device_no, unit = recorders.get(alike.recorder_id or 0, ("", None))
        yield Recordings(
            where=Where(
                month=alike.month,
                unit=unit or _unit(units, alike.officers),
                device_no=device_no,
                officers=alike.officers,
            ),
            files=some.files,
            size=some.size,
            seconds=some.seconds,
            storing_h=some.storing_h,
            late=alike.late,
            late_kind=LateKind(alike.late_kind) if alike.late_kind else None,
            excused=alike.excused,
            owner_state=OwnerState(alike.owner_state),
            complete=alike.complete,
            important=alike.important,
            is_evidence=alike.is_evidence,
            has_disc=alike.has_disc,
        )


def _rows(session: Session, period: Period) -> Result[*tuple[Any, ...]]:
    """The columns that are counted, and no others: a month has tens of thousands."""
    said = RecordRow
    query = (
        select(said.used_from, said.docked_at, said.used_to, said.stored_at, said.duration_s, FootageRow.size)
        .add_columns(said.recorder_id, said.officers, said.late, said.late_kind, said.owner_state, said.tags_complete)
        .add_columns(said.exception_id.is_not(None), said.important_mark, said.is_evidence, said.disc_no.is_not(None))
        .join(FootageRow, FootageRow.id == said.footage_id)
        .where(said.media_type.in_(RECORDINGS), _made_within(period))
    )
    return session.execute(query.execution_options(yield_per=2000))


def _made_within(period: Period) -> ColumnElement[bool]:
    """Made in the period, or docked in it where nobody knows when it was made; both from one index."""
    made = and_(RecordRow.used_from.is_not(None), *period.within(RecordRow.used_from))
    return or_(made, and_(RecordRow.used_from.is_(None), *period.within(RecordRow.docked_at)))


def matters(session: Session, period: Period, now: datetime, holidays: Holidays = ()) -> list[Matter]:
    """Everything else of the period: cases, interruptions, faults, and what was alerted of recorders and store.

    ``holidays`` move the last day of filing (article 28).
    """
    return [
        *_cases(session, period, now, holidays),
        *_interruptions(session, period),
        *_equipment(session, period, now),
        *_alerts(session, period),
    ]


def _cases(session: Session, period: Period, now: datetime, holidays: Holidays) -> Iterator[Matter]:
    """A case belongs to the month in which work on it began; where nobody said when, in which it was registered."""
    work = select(func.min(CaseWorkRow.used_from)).where(CaseWorkRow.case_id == CaseRow.id).scalar_subquery()
    begun = func.coalesce(work, CaseRow.created_at)
    footage = exists().where(RecordRow.case_no == CaseRow.case_no)
    query = select(CaseRow, begun.label("begun"), footage.label("has_footage")).where(*period.within(begun))
    found = session.execute(query.order_by(CaseRow.id)).all()
    officers = _workers(session, [row.CaseRow.id for row in found])
    units = _units(session)
    for case, at, has_footage in found:
        own = officers.get(case.id, ())
        where = Where(month=period.month(at), unit=_unit(units, own), officers=own)
        yield Matter(figure="cases_with_footage" if has_footage else "cases_without_footage", where=where)
        if case.closed_at and filing(case.closed_at, case.filed_at or now, period.zone, holidays).overdue:
            yield Matter(figure="cases_past_30_days", where=where)


def _workers(session: Session, cases: Iterable[int]) -> dict[int, tuple[str, ...]]:
    """Who worked on each of these cases, in the order in which they were entered."""
    found: dict[int, dict[str, None]] = {}
    for some in chunks(cases):
        works = (CaseWorkRow.case_id.in_(some), CaseWorkRow.cert_no.is_not(None))
        rows = session.execute(select(CaseWorkRow.case_id, CaseWorkRow.cert_no).where(*works).order_by(CaseWorkRow.id))
        for case_id, cert_no in rows:
            found.setdefault(case_id, {})[str(cert_no)] = None
    return {case_id: tuple(cert_nos) for case_id, cert_nos in found.items()}


def _interruptions(session: Session, period: Period) -> Iterator[Matter]:
    of_gap = (InterruptionRow.state, InterruptionRow.from_at)
    rows = session.execute(
        select(*of_gap, RecordRow.officers, RecorderRow.device_no, RecorderRow.unit)
        .outerjoin(RecordRow, RecordRow.id == InterruptionRow.before_record_id)
        .outerjoin(RecorderRow, RecorderRow.id == InterruptionRow.recorder_id)
        .where(InterruptionRow.state != "withdrawn", *period.within(InterruptionRow.from_at))
    )
    for state, at, officers, device_no, unit in rows:
        where = Where(
            month=period.month(at), unit=unit or "", device_no=device_no or "", officers=tuple(officers or ())
        )
        yield Matter(figure="gaps_open" if state == "open" else "gaps_closed", where=where)


def _equipment(session: Session, period: Period, now: datetime) -> Iterator[Matter]:
    """Faults in the month in which they happened, and each month's days without a recorder (article 26)."""
    acts: dict[tuple[str, str], list[tuple[datetime, Act, bool]]] = {}
    rows = session.execute(
        select(RecorderEventRow, RecorderRow.device_no, RecorderRow.unit)
        .join(RecorderRow, RecorderRow.id == RecorderEventRow.recorder_id)
        .where(RecorderEventRow.kind.in_([act.value for act in Act if changes_state(act)]))
    )
    for row, device_no, unit in rows:
        act = Act(row.kind)
        acts.setdefault((device_no, unit or ""), []).append((row.at, act, bool(row.facts.get("fit", True))))
        if act is Act.FAULTED and period.holds(row.at):
            where = Where(month=period.month(row.at), unit=unit or "", device_no=device_no)
            yield Matter(figure="faults", where=where)
    for (device_no, unit), own in acts.items():
        for begin, end in out_of_service(own, now):
            for month, days in _by_month(period, begin, end):
                where = Where(month=month, unit=unit, device_no=device_no)
                yield Matter(figure="days_out_of_service", where=where, amount=days)


def _by_month(period: Period, begin: datetime, end: datetime) -> Iterator[tuple[str, float]]:
    """A span cut to the period, in days for each of its months."""
    at = max(begin, period.begin) if period.begin else begin
    end = min(end, period.end) if period.end else end
    while at < end:
        stop = min(month_of(period.month(at), period.zone).end or end, end)
        yield period.month(at), (stop - at) / timedelta(days=1)
        at = stop


def _alerts(session: Session, period: Period) -> Iterator[Matter]:
    rows = session.execute(
        select(AlertRow.kind, AlertRow.opened_at, AlertRow.facts, RecorderRow.device_no, RecorderRow.unit)
        .outerjoin(RecorderRow, RecorderRow.id == AlertRow.recorder_id)
        .where(AlertRow.kind.in_(_BY_ALERT), *period.within(AlertRow.opened_at))
    )
    for kind, at, facts, device_no, unit in rows:
        officers = tuple(str(cert_no) for cert_no in facts.get("cert_nos") or ())
        where = Where(month=period.month(at), unit=unit or "", device_no=device_no or "", officers=officers)
        yield Matter(figure=_BY_ALERT[kind], where=where)


def _units(session: Session) -> Mapping[str, str]:
    rows = session.execute(select(OfficerRow.cert_no, OfficerRow.unit).where(OfficerRow.unit.is_not(None)))
    return {cert_no: str(unit) for cert_no, unit in rows}


def _unit(units: Mapping[str, str], officers: Iterable[str]) -> str:
    """The officers' unit, if it is one."""
    found = {units[cert_no] for cert_no in officers if cert_no in units}
    return found.pop() if len(found) == 1 else ""
