"""What article 30 counts, read from the register: recordings, and everything else that has a month and a place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dockd.law.faults import Act, changes_state, out_of_service
from dockd.law.filing import Holidays, filing
from dockd.law.statistics import Matter, Recording, Where
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

    def month(self, at: datetime | None) -> str:
        return f"{at.astimezone(self.zone):%Y-%m}" if at else ""


def month_of(text: str, zone: ZoneInfo) -> Period:
    """The month ``YYYY-MM``. Raises ValueError for anything else."""
    begin = datetime.strptime(text, "%Y-%m").replace(tzinfo=zone)
    end = begin.replace(year=begin.year + begin.month // 12, month=begin.month % 12 + 1)
    return Period(zone, begin, end)


def recordings(session: Session, period: Period) -> Iterator[Recording]:
    """Every recording of the period."""
    made = func.coalesce(RecordRow.used_from, RecordRow.docked_at)
    within = [made >= period.begin] if period.begin else []
    within += [made < period.end] if period.end else []
    units = _units(session)
    rows = session.execute(
        select(RecordRow, FootageRow.size, RecorderRow.device_no, RecorderRow.unit)
        .join(FootageRow, FootageRow.id == RecordRow.footage_id)
        .outerjoin(RecorderRow, RecorderRow.id == RecordRow.recorder_id)
        .where(RecordRow.media_type.in_(RECORDINGS), *within)
        .execution_options(yield_per=1000)
    )
    for said, size, device_no, unit in rows:
        officers = tuple(said.officers)
        yield Recording(
            where=Where(
                month=period.month(said.used_from or said.docked_at),
                unit=unit or _unit(units, officers),
                device_no=device_no or "",
                officers=officers,
            ),
            size=size,
            seconds=said.duration_s,
            late=said.late,
            late_kind=LateKind(said.late_kind) if said.late_kind else None,
            excused=said.exception_id is not None,
            storing_h=(said.stored_at - said.used_to) / timedelta(hours=1) if said.used_to else None,
            owner_state=OwnerState(said.owner_state),
            complete=said.tags_complete,
            important=said.important_mark,
            is_evidence=said.is_evidence,
            has_disc=said.disc_no is not None,
        )


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
    works: dict[int, list[CaseWorkRow]] = {}
    for work in session.scalars(select(CaseWorkRow)):
        works.setdefault(work.case_id, []).append(work)
    has_footage = set(session.scalars(select(RecordRow.case_no).where(RecordRow.case_no.is_not(None)).distinct()))
    units = _units(session)
    for case in session.scalars(select(CaseRow)):
        own = works.get(case.id, [])
        begun = min((w.used_from for w in own if w.used_from), default=case.created_at)
        if not period.holds(begun):
            continue
        officers = tuple(dict.fromkeys(w.cert_no for w in own if w.cert_no))
        where = Where(month=period.month(begun), unit=_unit(units, officers), officers=officers)
        figure = "cases_with_footage" if case.case_no in has_footage else "cases_without_footage"
        yield Matter(figure=figure, where=where)
        if case.closed_at and filing(case.closed_at, case.filed_at or now, period.zone, holidays).overdue:
            yield Matter(figure="cases_past_30_days", where=where)


def _interruptions(session: Session, period: Period) -> Iterator[Matter]:
    of_gap = (InterruptionRow.state, InterruptionRow.from_at)
    rows = session.execute(
        select(*of_gap, RecordRow.officers, RecorderRow.device_no, RecorderRow.unit)
        .outerjoin(RecordRow, RecordRow.id == InterruptionRow.before_record_id)
        .outerjoin(RecorderRow, RecorderRow.id == InterruptionRow.recorder_id)
    )
    for state, at, officers, device_no, unit in rows:
        if period.holds(at) and state != "withdrawn":
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
    within = [AlertRow.opened_at >= period.begin] if period.begin else []
    within += [AlertRow.opened_at < period.end] if period.end else []
    rows = session.execute(
        select(AlertRow.kind, AlertRow.opened_at, AlertRow.facts, RecorderRow.device_no, RecorderRow.unit)
        .outerjoin(RecorderRow, RecorderRow.id == AlertRow.recorder_id)
        .where(AlertRow.kind.in_(_BY_ALERT), *within)
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
