"""Readings of recorders' clocks: measured by whom, when, and how far off. They are added, never changed.

A reading asks in the same transaction for the review of the recordings that it may speak for; the time
that a recorder wrote itself is kept beside every corrected one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dockd.errors import BadValue
from dockd.law.clockcheck import ClockReading
from dockd.locale import _
from dockd.register import ledger
from dockd.register.recorders import get_row
from dockd.register.reviews import Concerned, ask_review
from dockd.register.tables import ClockReadingRow, VisitRow
from dockd.register.values import instant, words

_NOTE_MAX = 1000
_REACH = timedelta(days=60)
"""Footage that was docked longer before or after a reading is none of its business."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReading:
    """The clock was ``offset_s`` seconds ahead at ``at`` (behind: below zero). ``evidence``: who or what says so."""

    at: datetime
    offset_s: float
    evidence: str
    at_least: bool = False
    set_after: bool = False
    visit_id: int | None = None
    record_id: int | None = None
    person: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One reading as it was entered."""

    reading_id: int
    device_no: str
    at: datetime
    offset_s: float
    evidence: str
    at_least: bool
    set_after: bool
    visit_id: int | None
    record_id: int | None
    person: str | None
    note: str | None


def add_reading(
    session: Session, device_no: str, new: NewReading, *, station_no: str, now: datetime, actor: str
) -> Reading:
    """Keeps a reading. Raises UnknownNumber, BadValue for a time in the future."""
    if new.at > now:
        raise BadValue(what="--at", value=new.at.isoformat(), expected=_("a time that is not in the future"))
    recorder = get_row(session, device_no)
    row = ClockReadingRow(
        recorder_id=recorder.id,
        at=new.at,
        offset_s=new.offset_s,
        evidence=new.evidence,
        at_least=new.at_least,
        set_after=new.set_after,
        visit_id=new.visit_id,
        record_id=new.record_id,
        person=new.person,
        note=words("--note", new.note, _NOTE_MAX),
        created_at=now,
    )
    session.add(row)
    session.flush()
    reach = _REACH + abs(timedelta(seconds=new.offset_s))
    concerned = Concerned(recorder_id=recorder.id, frm=new.at - reach, to=new.at + reach)
    ask_review(session, [concerned], why=f"clock:{row.id}", station_no=station_no, at=now, actor=actor)
    said = _noun(row, recorder.device_no)
    data = {name: getattr(said, name) for name in said.__slots__} | {"at": instant(said.at)}
    ledger.append(
        session,
        station_no=station_no,
        kind="clock.read",
        subject=f"recorder:{recorder.device_no}",
        data=data,
        at=now,
        actor=actor,
    )
    return said


def readings_around(session: Session, recorder_id: int | None, docked_at: datetime) -> list[ClockReading]:
    """The readings that may speak for what was docked then, with the dockings beside each, oldest first."""
    if recorder_id is None:
        return []
    query = (
        select(ClockReadingRow)
        .where(
            ClockReadingRow.recorder_id == recorder_id,
            ClockReadingRow.at.between(docked_at - _REACH, docked_at + _REACH),
        )
        .order_by(ClockReadingRow.at, ClockReadingRow.id)
    )
    return [_reading(session, row) for row in session.scalars(query)]


def list_readings(session: Session, device_no: str) -> list[Reading]:
    """Every reading of a recorder, oldest first. Raises UnknownNumber."""
    recorder = get_row(session, device_no)
    query = select(ClockReadingRow).where(ClockReadingRow.recorder_id == recorder.id)
    rows = session.scalars(query.order_by(ClockReadingRow.at, ClockReadingRow.id))
    return [_noun(row, recorder.device_no) for row in rows]


def has_reading(session: Session, visit_id: int, evidence: str) -> bool:
    """Whether this visit has already given a reading of this kind."""
    query = select(ClockReadingRow.id).where(ClockReadingRow.visit_id == visit_id, ClockReadingRow.evidence == evidence)
    return session.scalar(query.limit(1)) is not None


def _reading(session: Session, row: ClockReadingRow) -> ClockReading:
    docked = VisitRow.recorder_id == row.recorder_id
    before = select(func.max(VisitRow.docked_at)).where(docked, VisitRow.docked_at <= row.at)
    after = select(func.min(VisitRow.docked_at)).where(docked, VisitRow.docked_at > row.at)
    return ClockReading(
        at=row.at,
        offset=timedelta(seconds=row.offset_s),
        evidence=row.evidence,
        at_least=row.at_least,
        set_after=row.set_after,
        docked_before=session.scalar(before),
        docked_after=session.scalar(after),
    )


def _noun(row: ClockReadingRow, device_no: str) -> Reading:
    return Reading(
        reading_id=row.id,
        device_no=device_no,
        at=row.at,
        offset_s=row.offset_s,
        evidence=row.evidence,
        at_least=row.at_least,
        set_after=row.set_after,
        visit_id=row.visit_id,
        record_id=row.record_id,
        person=row.person,
        note=row.note,
    )
