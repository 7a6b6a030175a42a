"""Stored footage that nothing is said of yet: where a visit's follow-up begins, also after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, union
from sqlalchemy.orm import Session

from dockd.nouns import FileOutcome, Hole, MediaType, Place, display_path
from dockd.register.records import newest_location
from dockd.register.tables import FootageRow, LocationRow, ObservationRow, RecordRow, SidecarRow, TransferRow, VisitRow
from dockd.register.transfers import UNSTEADY


@dataclass(frozen=True, slots=True)
class Footage:
    """One stored recording without a record, with what its card's listing said of it."""

    footage_id: int
    seq: int
    path: bytes
    size: int
    mtime_ns: int
    media: MediaType
    place: Place
    location: str
    file_no: str
    docked_at: datetime
    stored_at: datetime
    holes: tuple[Hole, ...] = ()
    unsteady: bool = False


@dataclass(frozen=True, slots=True)
class MarkedCopy:
    """A file of a visit that turned out to be the important-mark copy of a known recording."""

    path: bytes
    record_id: int


def undescribed(session: Session, visit_id: int, *, limit: int) -> list[Footage]:
    """Footage of a visit that has no record yet, in the order of the card."""
    rows = session.execute(
        select(
            FootageRow,
            ObservationRow.seq,
            ObservationRow.media,
            ObservationRow.place,
            LocationRow.path,
            TransferRow.reason,
        )
        .select_from(FootageRow)
        .join(ObservationRow, ObservationRow.id == FootageRow.observation_id)
        .outerjoin(TransferRow, TransferRow.observation_id == FootageRow.observation_id)
        .join(VisitRow, VisitRow.id == FootageRow.visit_id)
        .join(LocationRow, LocationRow.id == newest_location(VisitRow.station_no))
        .outerjoin(RecordRow, RecordRow.footage_id == FootageRow.id)
        .where(FootageRow.visit_id == visit_id, RecordRow.id.is_(None))
        .order_by(FootageRow.id)
        .limit(limit)
    )
    return [
        Footage(
            footage_id=row.id,
            seq=seq,
            path=row.path,
            size=row.size,
            mtime_ns=row.mtime_ns,
            media=MediaType(media or MediaType.OTHER),
            place=Place(place or Place.NORMAL),
            location=location,
            file_no=row.file_no,
            docked_at=row.docked_at,
            stored_at=row.stored_at,
            holes=tuple(Hole(**hole) for hole in row.holes or ()),
            unsteady=reason == UNSTEADY,
        )
        for row, seq, media, place, location, reason in rows
    ]


def marked_copies(session: Session, visit_id: int) -> list[MarkedCopy]:
    """Files of a visit that were settled as important-mark copies, with the record they belong to."""
    rows = session.execute(
        select(ObservationRow.path, RecordRow.id)
        .join(TransferRow, TransferRow.observation_id == ObservationRow.id)
        .join(FootageRow, FootageRow.file_no == TransferRow.file_no)
        .join(RecordRow, RecordRow.footage_id == FootageRow.id)
        .where(
            TransferRow.visit_id == visit_id,
            TransferRow.outcome == FileOutcome.ALREADY_STORED,
            TransferRow.reason == "important_mark",
        )
        .order_by(ObservationRow.seq)
    )
    return [MarkedCopy(path, record_id) for path, record_id in rows]


def manifest_lines(session: Session, visit_id: int) -> list[tuple[str, str]]:
    """(SHA-256, location) of everything of a visit that is stored, already stored files included.

    Where each lay in that visit: a manifest is the same bytes whenever it is made, whatever the store lost since.
    """
    rows = session.execute(
        select(FootageRow.sha256, TransferRow.final)
        .join(TransferRow, TransferRow.file_no == FootageRow.file_no)
        .where(
            TransferRow.visit_id == visit_id,
            TransferRow.outcome.in_((FileOutcome.STORED, FileOutcome.STORED_DAMAGED, FileOutcome.ALREADY_STORED)),
            TransferRow.final.is_not(None),
        )
        .order_by(TransferRow.final)
        .distinct()
    )
    return [(sha256, path) for sha256, path in rows if path is not None]


def without_sidecar(session: Session, visit_id: int) -> list[int]:
    """Records of a visit's files whose present revision has no sidecar yet.

    Records of earlier visits too, also of other stations': a file that was stored already may have revised them.
    """
    written = select(SidecarRow.id).where(
        SidecarRow.record_id == RecordRow.id, SidecarRow.revision == RecordRow.revision
    )
    own = select(RecordRow.id).where(RecordRow.visit_id == visit_id, ~written.exists())
    seen_again = (
        select(RecordRow.id)
        .join(TransferRow, TransferRow.file_no == RecordRow.file_no)
        .where(
            TransferRow.visit_id == visit_id,
            TransferRow.outcome == FileOutcome.ALREADY_STORED,
            ~written.exists(),
        )
    )
    return sorted(session.scalars(union(own, seen_again)))


def without_own_sidecar(session: Session, record_ids: Sequence[int]) -> list[int]:
    """Those of a few records whose present revision has no sidecar yet."""
    written = select(SidecarRow.id).where(
        SidecarRow.record_id == RecordRow.id, SidecarRow.revision == RecordRow.revision
    )
    return sorted(session.scalars(select(RecordRow.id).where(RecordRow.id.in_(record_ids), ~written.exists())))


def name_of(path: bytes) -> str:
    """A card path's file name as records show it."""
    return display_path(path.rpartition(b"/")[2])


def holes_of(session: Session, footage_id: int) -> tuple[Hole, ...]:
    """The ranges of stored footage that the card could not give back."""
    holes = session.scalar(select(FootageRow.holes).where(FootageRow.id == footage_id))
    return tuple(Hole(**hole) for hole in holes or ())


def other_paths(session: Session, file_no: str, path: bytes) -> tuple[bytes, ...]:
    """Further paths under which the same recording was seen (important-mark copies), sorted."""
    rows = session.scalars(
        select(ObservationRow.path)
        .join(TransferRow, TransferRow.observation_id == ObservationRow.id)
        .where(TransferRow.file_no == file_no, ObservationRow.path != path)
        .distinct()
    )
    return tuple(sorted(rows))
