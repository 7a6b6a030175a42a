"""Visits: opened, safe, ended, and everything that can be said of one afterwards."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from dockd.nouns import CardIdentity, FileOutcome, Rung, Source, VisitOutcome, is_utf8, path_text
from dockd.register import ledger
from dockd.register.records import newest_location
from dockd.register.tables import (
    AlertRow,
    BayRow,
    FootageRow,
    LocationRow,
    ObservationRow,
    RecorderRow,
    RecordRow,
    TransferRow,
    VisitRow,
    VisitState,
)


@dataclass(frozen=True, slots=True)
class NewVisit:
    """What is known of a visit when it opens."""

    station_no: str
    source: Source
    docked_at: datetime
    opened_at: datetime
    card: CardIdentity
    bay: str | None = None
    recorder_id: int | None = None
    device_no: str | None = None
    identified_by: Rung = Rung.NONE
    evidence: Mapping[str, Any] = field(default_factory=dict)
    profile: str | None = None
    path: str | None = None
    person: str | None = None
    note: str | None = None
    clock_synchronised: bool | None = None


def open_visit(
    session: Session, new: NewVisit, *, actor: str, found_as: int | None = None, at: datetime | None = None
) -> int:
    """Inserts the visit with its ledger line; returns its number, which is never given twice.

    ``found_as`` is the number of a visit of which nothing but its files in the store is known any more, and
    ``at`` is when it was found.
    """
    row = VisitRow(
        id=found_as,
        station_no=new.station_no,
        source=new.source,
        docked_at=new.docked_at,
        opened_at=new.opened_at,
        bay=new.bay,
        recorder_id=new.recorder_id,
        identified_by=new.identified_by,
        evidence=dict(new.evidence),
        profile=new.profile,
        card_instance=new.card.instance,
        card=asdict(new.card),
        path=new.path,
        person=new.person,
        note=new.note,
        clock_synchronised=new.clock_synchronised,
    )
    session.add(row)
    session.flush()
    if new.bay:
        _touch_bay(session, new.station_no, new.bay, new.opened_at)
    data = asdict(new) | {"visit_id": row.id}
    kind = "visit.opened" if found_as is None else "visit.found"
    _tell(session, row, kind, at=at or new.opened_at, actor=actor, data=data)
    return row.id


def _touch_bay(session: Session, station_no: str, bay: str, at: datetime) -> None:
    known = session.scalar(select(BayRow).where(BayRow.station_no == station_no, BayRow.bay == bay))
    if known:
        known.last_seen_at = at
    else:
        session.execute(insert(BayRow).values(station_no=station_no, bay=bay, first_seen_at=at, last_seen_at=at))


def note_listing(
    session: Session, visit_id: int, *, entries: int, files: int, size: int, sha256: str, at: datetime, actor: str
) -> None:
    """The ledger line that fixes the card's complete listing: how much lay there, and its digest."""
    data = {"entries": entries, "files": files, "bytes": size, "listing_sha256": sha256}
    _tell(session, _get(session, visit_id), "visit.listed", at=at, actor=actor, data=data)


def note_copied(
    session: Session, visit_id: int, *, bytes_read: int, bytes_stored: int, first_byte_at: datetime | None
) -> None:
    """Adds what one run of copying moved."""
    row = _get(session, visit_id)
    row.bytes_read += bytes_read
    row.bytes_stored += bytes_stored
    row.first_byte_at = row.first_byte_at or first_byte_at


def note_stored(session: Session, visit_id: int, *, at: datetime, safe: bool, actor: str) -> None:
    """All that is readable is stored (``stored_at``); ``safe``: every entry is final, the recorder may be taken."""
    row = _get(session, visit_id)
    row.stored_at = row.stored_at or at
    row.state = VisitState.SAFE
    if safe:
        row.safe_at = row.safe_at or at
    _tell(session, row, "visit.stored", at=at, actor=actor, data={"safe": safe, "bytes_stored": row.bytes_stored})


def end_visit(
    session: Session,
    visit_id: int,
    *,
    outcome: VisitOutcome,
    reason: str | None,
    manifest: str | None,
    at: datetime,
    actor: str,
    held: bool = False,
    listing: tuple[str, str] | None = None,
) -> None:
    """The visit's last row: nothing of it is pending any more.

    ``listing`` is place and SHA-256 of the file in the store that tells what lay on the card and what
    became of it; only the ledger line keeps them.
    """
    row = _get(session, visit_id)
    row.outcome, row.reason, row.manifest = outcome, reason, manifest
    row.state, row.ended_at = (VisitState.HELD if held else VisitState.ENDED), at
    data = {
        "outcome": outcome.value,
        "reason": reason,
        "manifest": manifest,
        "counts": outcome_counts(session, visit_id),
        "state": row.state,
        "bytes_read": row.bytes_read,
        "bytes_stored": row.bytes_stored,
        "first_byte_at": row.first_byte_at,
        "listing": {"path": listing[0], "sha256": listing[1]} if listing else None,
    }
    _tell(session, row, "visit.ended", at=at, actor=actor, data=data)


def unfinished(session: Session, station_no: str) -> list[VisitRow]:
    """Visits of this station that are neither ended nor held, oldest first (partial index)."""
    return list(
        session.scalars(
            select(VisitRow)
            .where(VisitRow.station_no == station_no, VisitRow.state.in_((VisitState.OPEN, VisitState.SAFE)))
            .order_by(VisitRow.id)
        )
    )


def first_docked(
    session: Session, *, card_instance: str, path_hash: bytes, size: int, mtime_ns: int
) -> datetime | None:
    """When this very file was first seen in a dock: an interrupted copy must not make its officer late."""
    return session.scalar(
        select(func.min(VisitRow.docked_at))
        .join(ObservationRow, ObservationRow.visit_id == VisitRow.id)
        .where(
            ObservationRow.card_instance == card_instance,
            ObservationRow.path_hash == path_hash,
            ObservationRow.size == size,
            ObservationRow.mtime_ns == mtime_ns,
        )
    )


def outcome_counts(session: Session, visit_id: int) -> dict[str, int]:
    """Files of a visit by outcome; ``pending`` for those without one."""
    rows = session.execute(
        select(TransferRow.outcome, func.count()).where(TransferRow.visit_id == visit_id).group_by(TransferRow.outcome)
    )
    return {outcome or "pending": count for outcome, count in rows}


def list_visits(session: Session, *, limit: int, zone: ZoneInfo) -> list[dict[str, Any]]:
    """The newest visits first, without their files."""
    rows = session.execute(
        select(VisitRow, RecorderRow.device_no)
        .outerjoin(RecorderRow, RecorderRow.id == VisitRow.recorder_id)
        .order_by(VisitRow.id.desc())
        .limit(limit)
    )
    return [
        _summary(visit, device_no, zone) | {"counts": outcome_counts(session, visit.id)} for visit, device_no in rows
    ]


def show_visit(session: Session, visit_id: int, *, zone: ZoneInfo) -> dict[str, Any] | None:
    """One visit with every file's outcome, as ``offload --json`` prints it; None if there is none."""
    row = session.execute(
        select(VisitRow, RecorderRow.device_no)
        .outerjoin(RecorderRow, RecorderRow.id == VisitRow.recorder_id)
        .where(VisitRow.id == visit_id)
    ).one_or_none()
    if row is None:
        return None
    return _summary(row[0], row[1], zone) | {
        "alerts": alerts_of(session, visit_id),
        "counts": outcome_counts(session, visit_id),
        "files": _files(session, visit_id),
    }


def alerts_of(session: Session, visit_id: int) -> list[int]:
    """The alerts that a visit opened, in their order."""
    return list(session.scalars(select(AlertRow.id).where(AlertRow.visit_id == visit_id).order_by(AlertRow.id)))


def _summary(visit: VisitRow, device_no: str | None, zone: ZoneInfo) -> dict[str, Any]:
    def when(at: datetime | None) -> str | None:
        return at.astimezone(zone).isoformat() if at else None

    return {
        "visit_id": visit.id,
        "station_no": visit.station_no,
        "device_no": device_no,
        "identified_by": visit.identified_by,
        "bay": visit.bay,
        "source": visit.source,
        "state": visit.state,
        "outcome": visit.outcome,
        "reason": visit.reason,
        "docked_at": when(visit.docked_at),
        "opened_at": when(visit.opened_at),
        "first_byte_at": when(visit.first_byte_at),
        "safe_at": when(visit.safe_at),
        "stored_at": when(visit.stored_at),
        "ended_at": when(visit.ended_at),
        "bytes_read": visit.bytes_read,
        "bytes_stored": visit.bytes_stored,
        "profile": visit.profile,
        "card_label": (visit.card or {}).get("label"),
        "person": visit.person,
        "manifest": visit.manifest,
    }


def _files(session: Session, visit_id: int) -> list[dict[str, Any]]:
    rows = session.execute(
        select(
            ObservationRow.path,
            ObservationRow.size.label("seen_size"),
            TransferRow.outcome,
            TransferRow.reason,
            TransferRow.holes,
            FootageRow.sha256,
            FootageRow.size,
            FootageRow.file_no,
            RecordRow.id.label("record_id"),
            LocationRow.path.label("location"),
        )
        .select_from(ObservationRow)
        .join(TransferRow, TransferRow.observation_id == ObservationRow.id)
        .outerjoin(FootageRow, FootageRow.file_no == TransferRow.file_no)
        .join(VisitRow, VisitRow.id == ObservationRow.visit_id)
        .outerjoin(LocationRow, LocationRow.id == newest_location(VisitRow.station_no))
        .outerjoin(RecordRow, RecordRow.footage_id == FootageRow.id)
        .where(ObservationRow.visit_id == visit_id)
        .order_by(ObservationRow.seq)
    )
    return [_file(row) for row in rows]


def _file(row: Any) -> dict[str, Any]:
    stored = row.outcome in (FileOutcome.STORED, FileOutcome.STORED_DAMAGED, FileOutcome.ALREADY_STORED)
    shown = {
        "path": path_text(row.path),
        "outcome": row.outcome,
        "reason": row.reason,
        "sha256": row.sha256 if stored else None,
        "size": row.size if stored else row.seen_size,
        "record_id": row.record_id if stored else None,
        "file_no": row.file_no if stored else None,
        "location": row.location if stored else None,
    }
    if row.holes:
        shown["holes"] = row.holes
    if not is_utf8(row.path):
        shown["path_b64"] = base64.b64encode(row.path).decode("ascii")
    return shown


def _get(session: Session, visit_id: int) -> VisitRow:
    row = session.get(VisitRow, visit_id)
    if row is None:
        raise LookupError(f"visit {visit_id} is not in the register")
    return row


def _tell(session: Session, visit: VisitRow, kind: str, *, at: datetime, actor: str, data: Mapping[str, Any]) -> None:
    ledger.append(
        session, station_no=visit.station_no, kind=kind, subject=f"visit:{visit.id}", data=data, at=at, actor=actor
    )
