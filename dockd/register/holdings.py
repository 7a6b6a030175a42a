"""What the store should hold, in pages, and what a reading of it found: the register's side of ``dockd verify``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, func, select, true, update
from sqlalchemy.orm import Session

from dockd.nouns import FileOutcome, VerifiedVia
from dockd.register.listings import ListingFile, listing_files
from dockd.register.records import newest_location
from dockd.register.tables import (
    FootageRow,
    LocationRow,
    LocationState,
    RecordRow,
    SidecarRow,
    TransferRow,
    VisitRow,
    VisitState,
)
from dockd.register.values import chunks


@dataclass(frozen=True, slots=True)
class Holding:
    """One file that the store should hold. ``size`` is None where only the digest is registered.

    ``replaced``: the same footage was stored again elsewhere, so that its absence here is known.
    """

    key: int
    path: str
    sha256: str
    size: int | None
    record_id: int | None
    file_no: str | None
    state: LocationState = LocationState.PRESENT
    replaced: bool = False
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a reading found of one place: proven again at ``at``, or not (``via`` None)."""

    key: int
    state: LocationState
    at: datetime
    via: VerifiedVia | None


def count_footage(session: Session, station_no: str, since: datetime | None) -> tuple[int, int]:
    """Number and bytes of the places of a station's store that are to be read."""
    files, size = session.execute(
        select(func.count(), func.coalesce(func.sum(FootageRow.size), 0))
        .select_from(LocationRow)
        .join(FootageRow, FootageRow.id == LocationRow.footage_id)
        .where(LocationRow.station_no == station_no, _stored_since(since))
    ).one()
    return files, int(size)


def page_footage(session: Session, station_no: str, since: datetime | None, *, after: int, limit: int) -> list[Holding]:
    """Places of footage after key ``after``, oldest first: about the order in which they lie on the disk."""
    rows = session.execute(
        footage_places(station_no)
        .where(LocationRow.id > after, _stored_since(since))
        .order_by(LocationRow.id)
        .limit(limit)
    )
    return [as_holding(row) for row in rows]


def footage_places(station_no: str) -> Select[*tuple[Any, ...]]:
    """Every place of footage in a station's store with what ``as_holding`` needs of it."""
    return (
        select(
            LocationRow.id,
            LocationRow.path,
            LocationRow.state,
            LocationRow.verified_at,
            FootageRow.sha256,
            FootageRow.size,
            FootageRow.file_no,
            RecordRow.id.label("record_id"),
            newest_location(station_no).label("newest"),
        )
        .join(FootageRow, FootageRow.id == LocationRow.footage_id)
        .outerjoin(RecordRow, RecordRow.footage_id == FootageRow.id)
        .where(LocationRow.station_no == station_no)
    )


def as_holding(row: Row[*tuple[Any, ...]]) -> Holding:
    return Holding(
        row.id,
        row.path,
        row.sha256,
        row.size,
        row.record_id,
        row.file_no,
        LocationState(row.state),
        replaced=row.newest != row.id,
        verified_at=row.verified_at,
    )


def _stored_since(since: datetime | None) -> ColumnElement[bool]:
    return true() if since is None else LocationRow.stored_at >= since


def page_sidecars(
    session: Session, station_no: str, since: datetime | None, *, after: int, limit: int
) -> list[Holding]:
    """Sidecars after key ``after`` in a station's store."""
    rows = session.execute(
        select(SidecarRow, RecordRow.file_no)
        .join(RecordRow, RecordRow.id == SidecarRow.record_id)
        .where(
            SidecarRow.id > after,
            RecordRow.station_no == station_no,
            true() if since is None else SidecarRow.written_at >= since,
        )
        .order_by(SidecarRow.id)
        .limit(limit)
    )
    return [Holding(s.id, s.path, s.sha256, None, s.record_id, file_no) for s, file_no in rows]


def page_listings(
    session: Session, station_no: str, since: datetime | None, *, after: int, limit: int
) -> list[Holding]:
    """Visits' listings after visit ``after``; fewer than ``limit``, but never none while there are more."""
    key = after
    while True:
        visits = list(
            session.scalars(
                select(VisitRow.id)
                .where(
                    VisitRow.id > key,
                    VisitRow.station_no == station_no,
                    VisitRow.state.in_((VisitState.ENDED, VisitState.HELD)),
                    true() if since is None else VisitRow.ended_at >= since,
                )
                .order_by(VisitRow.id)
                .limit(limit)
            )
        )
        if found := listing_files(session, visits):
            return [as_paper(file) for file in found]
        if not visits:
            return []
        key = visits[-1]


def as_paper(file: ListingFile) -> Holding:
    """A visit's listing as a file that the store should hold."""
    return Holding(file.visit_id, file.path, file.sha256, None, None, None)


def page_manifests(
    session: Session, station_no: str, since: datetime | None, *, after: int, limit: int
) -> list[tuple[int, str]]:
    """(visit number, path) of manifests after visit ``after``."""
    rows = session.execute(
        select(VisitRow.id, VisitRow.manifest)
        .where(
            VisitRow.id > after,
            VisitRow.station_no == station_no,
            VisitRow.manifest.is_not(None),
            true() if since is None else VisitRow.ended_at >= since,
        )
        .order_by(VisitRow.id)
        .limit(limit)
    )
    return [(visit_id, manifest) for visit_id, manifest in rows if manifest is not None]


def digests_of_visit(session: Session, visit_id: int) -> set[str]:
    """SHA-256 of everything of a visit that is stored: what its manifest must name."""
    stored = (FileOutcome.STORED, FileOutcome.STORED_DAMAGED, FileOutcome.ALREADY_STORED)
    return set(
        session.scalars(
            select(FootageRow.sha256)
            .join(TransferRow, TransferRow.file_no == FootageRow.file_no)
            .where(TransferRow.visit_id == visit_id, TransferRow.outcome.in_(stored))
        )
    )


def digests_at(session: Session, station_no: str, paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 by place, for the places that the register knows in a station's store."""
    found: dict[str, str] = {}
    for some in chunks(paths):
        rows = session.execute(
            select(LocationRow.path, FootageRow.sha256)
            .join(FootageRow, FootageRow.id == LocationRow.footage_id)
            .where(LocationRow.path.in_(some), LocationRow.station_no == station_no)
        )
        found.update((row.path, row.sha256) for row in rows)
    return found


def known_paths(session: Session, paths: Iterable[str], visits: Iterable[int]) -> set[str]:
    """Those of ``paths`` that are footage, a sidecar, a temp, or the manifest or listing of one of ``visits``."""
    visits = list(visits)
    known: set[str | None] = {file.path for file in listing_files(session, visits)}
    for some in chunks(paths):
        known.update(session.scalars(select(LocationRow.path).where(LocationRow.path.in_(some))))
        known.update(session.scalars(select(SidecarRow.path).where(SidecarRow.path.in_(some))))
        known.update(session.scalars(select(TransferRow.temp).where(TransferRow.temp.in_(some))))
    for numbers in chunks(visits):
        known.update(session.scalars(select(VisitRow.manifest).where(VisitRow.id.in_(numbers))))
    return {path for path in known if path is not None}


def visits_at_work(session: Session, visits: Iterable[int]) -> set[int]:
    """Those of ``visits`` that are not ended: their files may be on their way into the register."""
    working: set[int] = set()
    for some in chunks(visits):
        working.update(
            session.scalars(
                select(VisitRow.id).where(VisitRow.id.in_(some), VisitRow.state.in_((VisitState.OPEN, VisitState.SAFE)))
            )
        )
    return working


def renew_proof(session: Session, results: Sequence[Renewed]) -> None:
    """The places' states as found; a proven one has its new ``verified_at``."""
    proven = [r for r in results if r.via is not None]
    failed = [r for r in results if r.via is None]
    if proven:
        session.execute(
            update(LocationRow),
            [
                {"id": r.key, "state": r.state.value, "verified_at": r.at, "verified_via": r.via.value}
                for r in proven
                if r.via is not None
            ],
        )
    if failed:
        session.execute(update(LocationRow), [{"id": r.key, "state": r.state.value} for r in failed])
