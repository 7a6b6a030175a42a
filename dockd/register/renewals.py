"""Which proofs are due for renewal, and what is looked at together with each: the register's side of fixity.

The only state is ``location.verified_at``: whoever stops between two files goes on with the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select, true
from sqlalchemy.orm import Session, aliased

from dockd.register.holdings import Holding, as_holding, footage_places
from dockd.register.listings import ListingFile, listing_files
from dockd.register.records import newest_location
from dockd.register.tables import (
    EventRow,
    FootageRow,
    LocationRow,
    LocationState,
    RecorderRow,
    RecordRow,
    SidecarRow,
    UtcTime,
    VisitRow,
    VisitState,
)
from dockd.register.values import chunks

SHARES = 32
_LEAD = 4  # what was proven in one go falls due over the last quarter of the period
_FINDINGS = ("footage.missing", "footage.altered", "footage.unreadable")


@dataclass(frozen=True, slots=True)
class Due:
    """Proofs of share ``k`` from before ``cutoffs[k]`` are due, and those from after ``future``: a wrong clock's."""

    cutoffs: tuple[datetime, ...]
    future: datetime

    @property
    def latest(self) -> datetime:
        return max(self.cutoffs)


def share_of(key: int) -> int:
    """The share of the store that a place belongs to: neighbours, stored together, are in different ones."""
    return key % SHARES


def due_at(now: datetime, period: timedelta) -> Due:
    """What is due at ``now``, so that no proof becomes older than ``period``.

    Footage that was proven in one go (stored together, or by a whole ``dockd verify``) would all
    fall due together again. So each share has a time of its own in the last quarter of the period,
    and after that its proofs stay spread: however often and how long somebody looks.
    """
    step = period / _LEAD / SHARES
    return Due(tuple(now - period + step * (share + 1) for share in range(SHARES)), now + timedelta(days=1))


def count_due(session: Session, station_no: str, due: Due) -> tuple[int, int]:
    """Number and bytes of the places of a station's store that are due."""
    found = [
        session.execute(
            select(func.count(), func.coalesce(func.sum(FootageRow.size), 0))
            .select_from(LocationRow)
            .join(FootageRow, FootageRow.id == LocationRow.footage_id)
            .where(LocationRow.station_no == station_no, condition, _is_wanted(station_no))
        ).one()
        for condition in (_is_old(due), LocationRow.verified_at > due.future)
    ]
    return sum(files for files, _ in found), sum(int(size) for _, size in found)


def due_locations(
    session: Session, station_no: str, due: Due, *, after: tuple[datetime, int] | None, limit: int
) -> list[Holding]:
    """Places whose proof is due, the oldest proof first; ``after`` is (proof, key) of the last one that was seen.

    Read from the index on station and ``verified_at``: what was proven lately is not touched, however much it is.
    """
    for condition in (_is_old(due), LocationRow.verified_at > due.future):
        rows = session.execute(
            footage_places(station_no)
            .where(condition, _is_wanted(station_no), _follows(after))
            .order_by(LocationRow.verified_at, LocationRow.id)
            .limit(limit)
        ).all()
        if rows:
            return [as_holding(row) for row in rows]
    return []


def _is_old(due: Due) -> ColumnElement[bool]:
    cutoffs = {share: literal(time, UtcTime()) for share, time in enumerate(due.cutoffs)}
    cutoff = case(cutoffs, value=LocationRow.id % SHARES)
    return and_(LocationRow.verified_at <= due.latest, LocationRow.verified_at <= cutoff)


def _is_wanted(station_no: str) -> ColumnElement[bool]:
    """Not what is known to be wrong and was stored again elsewhere: the proof of that footage lies there."""
    return or_(LocationRow.state == LocationState.PRESENT, LocationRow.id == newest_location(station_no))


def _follows(after: tuple[datetime, int] | None) -> ColumnElement[bool]:
    if after is None:
        return true()
    proof, key = after
    later = or_(LocationRow.verified_at > proof, LocationRow.id > key)
    return and_(LocationRow.verified_at >= proof, later)


def last_findings(session: Session, file_nos: Iterable[str]) -> dict[str, datetime]:
    """When something was last found to be wrong with footage, by 文件编号, where anything ever was."""
    found: dict[str, datetime] = {}
    for some in chunks(file_nos):
        subjects = [f"footage:{number}" for number in some]
        rows = session.execute(
            select(EventRow.subject, func.max(EventRow.at).label("at"))
            .where(EventRow.subject.in_(subjects), EventRow.kind.in_(_FINDINGS))
            .group_by(EventRow.subject)
        )
        found.update((row.subject.partition(":")[2], row.at) for row in rows)
    return found


# --- what is looked at together with footage -----------------------------------------------------------


def sidecars_of(session: Session, record_ids: Iterable[int]) -> list[Holding]:
    """All sidecars of these records, those of earlier revisions too."""
    found = []
    for some in chunks(record_ids):
        rows = session.execute(
            select(SidecarRow, RecordRow.file_no)
            .join(RecordRow, RecordRow.id == SidecarRow.record_id)
            .where(SidecarRow.record_id.in_(some))
            .order_by(SidecarRow.id)
        )
        found += [Holding(s.id, s.path, s.sha256, None, s.record_id, file_no) for s, file_no in rows]
    return found


def visits_beside(session: Session, station_no: str, keys: Sequence[int]) -> list[int]:
    """Ended visits of a station whose papers are looked at with the places ``keys``.

    Each visit's turn comes once a period. A visit goes with its first footage; one that stored nothing,
    with the visit before it that did.
    """
    one, other, visit = aliased(FootageRow), aliased(FootageRow), aliased(VisitRow)
    first = select(func.min(one.id)).where(one.visit_id == FootageRow.visit_id).correlate(FootageRow).scalar_subquery()
    stored = select(other.id).where(other.visit_id == visit.id).correlate(visit).exists()
    near = select(visit.id).where(visit.station_no == station_no, stored).correlate(FootageRow)
    # Walked by the key: the next visit is near, however many there are.
    later = near.where(visit.id > FootageRow.visit_id).order_by(visit.id).limit(1)
    earlier = near.where(visit.id < FootageRow.visit_id).exists()
    spans = session.execute(
        select(FootageRow.visit_id, later.scalar_subquery().label("until"), earlier.label("is_later"))
        .join(LocationRow, LocationRow.footage_id == FootageRow.id)
        .join(VisitRow, VisitRow.id == FootageRow.visit_id)
        .where(LocationRow.id.in_(keys), FootageRow.id == first, VisitRow.station_no == station_no)
    ).all()
    found: set[int] = set()
    for visit_id, until, is_later in spans:
        found.update(
            session.scalars(
                select(VisitRow.id).where(
                    VisitRow.id >= (visit_id if is_later else 0),
                    true() if until is None else VisitRow.id < until,
                    VisitRow.station_no == station_no,
                    VisitRow.state == VisitState.ENDED,
                )
            )
        )
    return sorted(found)


def papers_of(session: Session, visits: Sequence[int]) -> tuple[list[tuple[int, str]], list[ListingFile]]:
    """(visit, path) of the visits' manifests, and their listings."""
    manifests: list[tuple[int, str]] = []
    for some in chunks(visits):
        rows = session.execute(
            select(VisitRow.id, VisitRow.manifest)
            .where(VisitRow.id.in_(some), VisitRow.manifest.is_not(None))
            .order_by(VisitRow.id)
        )
        manifests += [(visit_id, path) for visit_id, path in rows if path is not None]
    return manifests, listing_files(session, visits)


def docked_between(session: Session, begin: datetime, end: datetime) -> list[tuple[datetime, str | None]]:
    """(time of docking, recorder's number) of the visits in ``begin`` ≤ docked < ``end`` that may have files."""
    rows = session.execute(
        select(VisitRow.docked_at, RecorderRow.device_no)
        .outerjoin(RecorderRow, RecorderRow.id == VisitRow.recorder_id)
        .where(VisitRow.docked_at >= begin, VisitRow.docked_at < end, VisitRow.state != VisitState.HELD)
        .distinct()
    )
    return [(docked_at, device_no) for docked_at, device_no in rows]


def any_docked_between(session: Session, begin: datetime, end: datetime) -> bool:
    """Whether any visit was in ``begin`` ≤ docked < ``end``."""
    found = select(VisitRow.id).where(VisitRow.docked_at >= begin, VisitRow.docked_at < end).limit(1)
    return session.scalar(found) is not None
