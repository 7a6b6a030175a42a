"""Closed cases that are not filed yet: what each still lacks, read from its records (article 28)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from dockd.errors import BadValue
from dockd.law.filing import EVIDENCE_NOTES, Filed, Holidays, filing, missing_notes, needs_disc
from dockd.locale import _
from dockd.nouns import MediaType
from dockd.register import ledger
from dockd.register.cases import get_row, said_of
from dockd.register.reviews import RECORDINGS
from dockd.register.tables import CaseRow, InterruptionRow, RecordRow
from dockd.register.values import instant


@dataclass(frozen=True, slots=True)
class Evidence:
    """One recording used as evidence that cannot be filed yet: the notes it lacks, and whether it is on a disc."""

    record_id: int
    file_no: str
    missing: tuple[str, ...]
    on_disc: bool


@dataclass(frozen=True, slots=True)
class Filing:
    """One closed case on its way to the archive. ``missing``: codes of ``law.filing.MISSING``."""

    case_no: str
    closed_at: datetime
    standing: Filed
    missing: tuple[str, ...]
    records: int
    evidence: tuple[Evidence, ...]


def filings(session: Session, *, now: datetime, zone: ZoneInfo, holidays: Holidays) -> list[Filing]:
    """Every closed case that is not filed, the nearest last day first."""
    query = select(CaseRow).where(CaseRow.closed_at.is_not(None), CaseRow.filed_at.is_(None))
    found = [_filing(session, row, now, zone, holidays) for row in session.scalars(query)]
    return sorted(found, key=lambda one: (one.standing.last_day, one.case_no))


def file_case(
    session: Session, case_no: str, *, at: datetime, station_no: str, now: datetime, actor: str
) -> tuple[str, ...]:
    """The case was filed at ``at``; returns what it still lacked then. Said again it changes nothing.

    Raises UnknownNumber, BadValue for a case that is not closed or a time that cannot be.
    """
    row = get_row(session, case_no, lock=True)
    if row.closed_at is None:
        raise BadValue(what=_("case"), value=row.case_no, expected=_("a case that is closed"))
    if at > now or at < row.closed_at:
        raise BadValue(what="--at", value=at.isoformat(), expected=_("a time after closing and not in the future"))
    lacking = _missing(row, _records(session, row.case_no), _open_gaps(session, row.case_no))
    if row.filed_at == at:
        return lacking
    before, row.filed_at, row.updated_at = row.filed_at, at, now
    ledger.append(
        session,
        station_no=station_no,
        kind="case.filed",
        subject=f"case:{row.case_no}",
        data=said_of(row) | {"lacking": list(lacking), "changes": {"filed_at": [instant(before), instant(at)]}},
        at=now,
        actor=actor,
    )
    return lacking


def _filing(session: Session, row: CaseRow, now: datetime, zone: ZoneInfo, holidays: Holidays) -> Filing:
    own = _records(session, row.case_no)
    evidence = [_evidence(record) for record in own if record.is_evidence]
    if row.closed_at is None:
        raise ValueError("a case that is not closed has no last day")
    return Filing(
        case_no=row.case_no,
        closed_at=row.closed_at,
        standing=filing(row.closed_at, now, zone, holidays),
        missing=_missing(row, own, _open_gaps(session, row.case_no)),
        records=len(own),
        evidence=tuple(one for one in evidence if one.missing or not one.on_disc),
    )


def _records(session: Session, case_no: str) -> Sequence[RecordRow]:
    query = select(RecordRow).where(RecordRow.case_no == case_no, RecordRow.media_type.in_(RECORDINGS))
    return session.scalars(query.order_by(RecordRow.id)).all()


def _open_gaps(session: Session, case_no: str) -> bool:
    query = select(InterruptionRow.id).where(
        InterruptionRow.case_no == case_no, InterruptionRow.state == "open", InterruptionRow.severity == "warning"
    )
    return session.scalar(query.limit(1)) is not None


def _missing(row: CaseRow, own: Sequence[RecordRow], open_gaps: bool) -> tuple[str, ...]:
    evidence = [_evidence(record) for record in own if record.is_evidence]
    found = {
        "footage": not own and row.full_course_required,
        "party": not row.parties,
        "case_cause": not row.case_cause,
        "tags": any(not record.tags_complete for record in own),
        "evidence_notes": any(one.missing for one in evidence),
        "disc": any(not one.on_disc for one in evidence),
        "interruptions": open_gaps,
    }
    return tuple(name for name, lacks in found.items() if lacks)


def _evidence(record: RecordRow) -> Evidence:
    on_disc = record.disc_no is not None or not needs_disc(MediaType(record.media_type))
    return Evidence(record.id, record.file_no, missing_notes(_noted(record)), on_disc)


def _noted(record: RecordRow) -> dict[str, Any]:
    return {name: getattr(record, name) for name in EVIDENCE_NOTES}
