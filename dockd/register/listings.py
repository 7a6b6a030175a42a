"""What lay on a card and what became of each entry, whole: one visit's listing as a value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from dockd.register.records import newest_location
from dockd.register.tables import (
    EventRow,
    FootageRow,
    LocationRow,
    ObservationRow,
    RecorderRow,
    RecordRow,
    TransferRow,
    VisitRow,
)
from dockd.register.values import chunks


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What became of one entry: the values of its transfer."""

    state: str
    outcome: str | None
    reason: str | None = None
    temp: str | None = None
    final: str | None = None
    file_no: str | None = None
    sha256: str | None = None
    size: int | None = None
    verified_via: str | None = None
    verified_at: datetime | None = None
    holes: tuple[Mapping[str, int], ...] = ()
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One entry of a card's listing. ``kept`` is None for a folder; ``record_id`` and ``location`` are for readers."""

    observation_id: int
    seq: int
    path: bytes
    type: str
    size: int
    mtime_ns: int
    inode: str
    error: str | None = None
    media: str | None = None
    place: str | None = None
    kept: Kept | None = None
    record_id: int | None = None
    location: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitListing:
    """One visit before its last row, and every entry of its card in the order of the listing."""

    visit_id: int
    station_no: str
    card_instance: str
    opened_at: datetime
    docked_at: datetime
    first_byte_at: datetime | None
    safe_at: datetime | None
    stored_at: datetime | None
    device_no: str | None
    identified_by: str
    bay: str | None
    source: str
    profile: str | None
    person: str | None
    note: str | None
    outcome: str
    reason: str | None
    bytes_read: int
    bytes_stored: int
    manifest: str | None
    entries: tuple[Seen, ...]


def read_listing(
    session: Session, visit_id: int, *, outcome: str, reason: str | None, manifest: str | None
) -> VisitListing:
    """A visit that is about to end so, with every entry. Raises NoResultFound for a visit that is not registered."""
    visit, device_no = session.execute(
        select(VisitRow, RecorderRow.device_no)
        .outerjoin(RecorderRow, RecorderRow.id == VisitRow.recorder_id)
        .where(VisitRow.id == visit_id)
    ).one()
    same = ("station_no", "card_instance", "identified_by", "bay", "source", "profile", "person", "note")
    times = ("opened_at", "docked_at", "first_byte_at", "safe_at", "stored_at")
    said = {name: getattr(visit, name) for name in (*same, *times, "bytes_read", "bytes_stored")}
    return VisitListing(
        visit_id=visit_id,
        device_no=device_no,
        outcome=outcome,
        reason=reason,
        manifest=manifest,
        entries=_entries(session, visit_id),
        **said,
    )


def _entries(session: Session, visit_id: int) -> tuple[Seen, ...]:
    rows = session.execute(
        select(ObservationRow, TransferRow, RecordRow.id.label("record_id"), LocationRow.path.label("location"))
        .select_from(ObservationRow)
        .outerjoin(TransferRow, TransferRow.observation_id == ObservationRow.id)
        .outerjoin(FootageRow, FootageRow.file_no == TransferRow.file_no)
        .join(VisitRow, VisitRow.id == ObservationRow.visit_id)
        .outerjoin(LocationRow, LocationRow.id == newest_location(VisitRow.station_no))
        .outerjoin(RecordRow, RecordRow.footage_id == FootageRow.id)
        .where(ObservationRow.visit_id == visit_id)
        .order_by(ObservationRow.seq)
    )
    return tuple(_seen(*row) for row in rows)


def _seen(seen: ObservationRow, transfer: TransferRow | None, record_id: int | None, location: str | None) -> Seen:
    same = ("seq", "path", "type", "size", "mtime_ns", "inode", "error", "media", "place")
    return Seen(
        observation_id=seen.id,
        **{name: getattr(seen, name) for name in same},
        kept=_kept(transfer) if transfer else None,
        record_id=record_id,
        location=location,
    )


def _kept(row: TransferRow) -> Kept:
    same = ("state", "outcome", "reason", "temp", "final", "file_no", "sha256", "size", "verified_via", "verified_at")
    return Kept(**{name: getattr(row, name) for name in (*same, "attempts")}, holes=tuple(row.holes or ()))


# --- where the files lie that tell the same in the store --------------------------------------------------


@dataclass(frozen=True, slots=True)
class ListingFile:
    """The file that a visit left in the store when it ended; ``path`` is relative to the store's root."""

    visit_id: int
    path: str
    sha256: str


def listing_files(session: Session, visits: Iterable[int]) -> list[ListingFile]:
    """The files of those of ``visits`` that have one, as their last ledger lines name them, by visit."""
    found = []
    for some in chunks(visits):
        subjects = [f"visit:{number}" for number in some]
        lines = session.scalars(
            select(EventRow.line)
            .where(EventRow.subject.in_(subjects), EventRow.kind == "visit.ended")
            .order_by(EventRow.seq)
        )
        found += [file for line in lines if (file := _named_in(line))]
    return sorted(found, key=lambda file: file.visit_id)


def _named_in(line: str) -> ListingFile | None:
    """None also where the line was tampered with: the ledger's own proof tells that."""
    try:
        said = json.loads(line)
        named = said["data"]["listing"]
        return ListingFile(int(said["subject"].partition(":")[2]), str(named["path"]), str(named["sha256"]))
    except (ValueError, KeyError, TypeError):
        return None
