"""What became of each file of a card: listing, plan, journal, proof and place, as the register knows them.

Every function works in the caller's transaction. The order in which the offload room
calls them is the copy protocol (field-notes G1); no function touches a file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, and_, delete, insert, select, update
from sqlalchemy.orm import Session, aliased

from dockd.nouns import Entry, FileOutcome, Hole, MediaType, Place, VerifiedVia
from dockd.register import ledger
from dockd.register.records import newest_location
from dockd.register.tables import (
    FootageRow,
    JournalRow,
    LocationRow,
    LocationState,
    ObservationRow,
    RecordRow,
    TransferRow,
    TransferState,
    VisitRow,
    VisitState,
)

_MOST_NS = 2**63 - 1
UNSTEADY = "source_unsteady"
"""The reason of a file that the card gave in two ways."""

_BATCH = 400  # keys a statement: well below SQLite's limit of variables


def path_key(path: bytes) -> bytes:
    """The short index key of a path (a card's path may be 50 kB long)."""
    return hashlib.sha256(path).digest()[:16]


def storable_ns(mtime_ns: int) -> int:
    """A card's time as 64 bits hold it: file systems know dates beyond 2262, hostile ones use them."""
    return max(-_MOST_NS, min(mtime_ns, _MOST_NS))


@dataclass(frozen=True, slots=True)
class KnownFootage:
    """Stored footage that a file on a card may turn out to be. ``damaged``: the card may have more to give.

    ``location`` is empty where only another station has it: nobody here can look whether it is there.
    """

    footage_id: int
    path: bytes
    size: int
    mtime_ns: int
    sha256: str
    file_no: str
    location: str
    record_id: int | None
    recorder_id: int | None
    card_instance: str
    state: LocationState = LocationState.PRESENT  # of its place, as last found
    damaged: bool = False


@dataclass(frozen=True, slots=True)
class Proven:
    """A temp whose bytes were read back from the medium and found equal.

    ``unsteady``: the card gave other bytes, or none, when it was read a second time.
    """

    observation_id: int
    sha256: str
    size: int
    via: VerifiedVia
    at: datetime
    holes: tuple[Hole, ...] = ()
    unsteady: bool = False

    @property
    def outcome(self) -> FileOutcome:
        return FileOutcome.STORED_DAMAGED if self.holes or self.unsteady else FileOutcome.STORED


@dataclass(frozen=True, slots=True)
class HeldTemp:
    """A temp that an interrupted visit left for the return of its card, with its proven marks."""

    observation_id: int
    visit_id: int
    path: bytes
    size: int
    mtime_ns: int
    recorder_id: int | None
    temp: str
    final: str
    file_no: str
    state: TransferState
    docked_at: datetime
    proven: Proven | None = None
    journal: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Planned:
    """One entry of the listing and what will be done with it; ``outcome`` is set where nothing will be."""

    seq: int
    entry: Entry
    media: MediaType
    place: Place
    outcome: FileOutcome | None = None
    reason: str | None = None
    temp: str | None = None
    final: str | None = None
    file_no: str | None = None
    sha256: str | None = None
    adopts: HeldTemp | None = None


@dataclass(frozen=True, slots=True)
class Placed:
    """A proven file under its final name, its directory fsynced: what the last row says."""

    proven: Proven
    entry: Entry
    final: str
    file_no: str
    docked_at: datetime
    at: datetime


# --- what is known before a visit -------------------------------------------------------------------


def known_on_card(
    session: Session, *, station_no: str, card_instance: str, recorder_id: int | None, paths: Sequence[bytes]
) -> dict[bytes, KnownFootage]:
    """Footage stored here from these paths of this card and recorder; the newest where there are several."""
    found: dict[bytes, KnownFootage] = {}
    for start in range(0, len(paths), _BATCH):
        keys = [path_key(p) for p in paths[start : start + _BATCH]]
        rows = session.execute(
            _known(station_no)
            .where(
                LocationRow.id.is_not(None),
                FootageRow.card_instance == card_instance,
                FootageRow.path_hash.in_(keys),
                FootageRow.recorder_id.is_not_distinct_from(recorder_id),
            )
            .order_by(FootageRow.id)
        )
        found.update((row.path, _as_known(row)) for row in rows)
    return found


def known_by_reading(
    session: Session, *, station_no: str, card_instance: str, recorder_id: int | None, paths: Sequence[bytes]
) -> dict[bytes, KnownFootage]:
    """Footage stored here that these paths of this card were found to be when they were read whole; the newest reading.

    A renamed copy, a copied card or a file whose time alone changed has no footage of its own. Path,
    size and mtime are those of the reading, so that it need not be done again.
    """
    found: dict[bytes, KnownFootage] = {}
    for start in range(0, len(paths), _BATCH):
        keys = [path_key(p) for p in paths[start : start + _BATCH]]
        rows = session.execute(
            _known(station_no)
            .join(TransferRow, TransferRow.file_no == FootageRow.file_no)
            .join(ObservationRow, ObservationRow.id == TransferRow.observation_id)
            .join(VisitRow, VisitRow.id == ObservationRow.visit_id)
            .add_columns(
                ObservationRow.path.label("seen_path"),
                ObservationRow.size.label("seen_size"),
                ObservationRow.mtime_ns.label("seen_mtime_ns"),
            )
            .where(
                LocationRow.id.is_not(None),
                ObservationRow.card_instance == card_instance,
                ObservationRow.path_hash.in_(keys),
                TransferRow.reason.in_(_READ_WHOLE),
                TransferRow.outcome.in_((FileOutcome.STORED, FileOutcome.ALREADY_STORED)),
                VisitRow.recorder_id.is_not_distinct_from(recorder_id),
            )
            .order_by(ObservationRow.id)
        )
        for row in rows:
            seen = replace(_as_known(row), path=row.seen_path, size=row.seen_size, mtime_ns=row.seen_mtime_ns)
            found[row.seen_path] = seen
    return found


_READ_WHOLE = ("same_bytes", "important_mark", "stored_again", "other_station")


def known_by_digest(
    session: Session,
    *,
    station_no: str,
    recorder_id: int | None,
    card_instance: str,
    wanted: Sequence[tuple[str, int]],
) -> dict[str, list[KnownFootage]]:
    """Footage of this recorder with one of these (digest, size), wherever it is stored, by digest, oldest first.

    Of an unidentified recorder only what came from the same card counts: nobody equals nobody.
    """
    sizes = dict(wanted)
    whose = FootageRow.recorder_id == recorder_id
    if recorder_id is None:
        whose = and_(FootageRow.recorder_id.is_(None), FootageRow.card_instance == card_instance)
    found: dict[str, list[KnownFootage]] = {}
    for start in range(0, len(wanted), _BATCH):
        rows = session.execute(
            _known(station_no)
            .where(
                FootageRow.sha256.in_([digest for digest, _ in wanted[start : start + _BATCH]]),
                whose,
            )
            .order_by(FootageRow.id)
        )
        for row in rows:
            if row.size == sizes[row.sha256]:
                found.setdefault(row.sha256, []).append(_as_known(row))
    return found


def _known(station_no: str) -> Select[*tuple[Any, ...]]:
    origin = aliased(TransferRow)
    return (
        select(
            FootageRow.id,
            FootageRow.path,
            FootageRow.size,
            FootageRow.mtime_ns,
            FootageRow.sha256,
            FootageRow.file_no,
            FootageRow.recorder_id,
            FootageRow.card_instance,
            LocationRow.path.label("location"),
            LocationRow.state.label("location_state"),
            RecordRow.id.label("record_id"),
            origin.outcome.label("first_outcome"),
        )
        .select_from(FootageRow)
        .outerjoin(LocationRow, LocationRow.id == newest_location(station_no))
        .outerjoin(RecordRow, RecordRow.footage_id == FootageRow.id)
        .outerjoin(origin, origin.observation_id == FootageRow.observation_id)
    )


def _as_known(row: Row[*tuple[Any, ...]]) -> KnownFootage:
    return KnownFootage(
        footage_id=row.id,
        path=row.path,
        size=row.size,
        mtime_ns=row.mtime_ns,
        sha256=row.sha256,
        file_no=row.file_no,
        location=row.location or "",
        record_id=row.record_id,
        recorder_id=row.recorder_id,
        card_instance=row.card_instance,
        state=LocationState(row.location_state or LocationState.MISSING),
        damaged=row.first_outcome == FileOutcome.STORED_DAMAGED,
    )


def held_temps(session: Session, *, station_no: str, card_instance: str) -> list[HeldTemp]:
    """Temps of this card's ended visits at this station, with their journals, oldest first. Few (partial index)."""
    rows = session.execute(
        _transfers()
        .where(
            TransferRow.state == TransferState.COPYING,
            ObservationRow.card_instance == card_instance,
            VisitRow.state == VisitState.ENDED,
            VisitRow.station_no == station_no,
        )
        .order_by(TransferRow.observation_id)
    ).all()
    return [_as_held(session, row) for row in rows]


def pending(session: Session, visit_id: int) -> list[HeldTemp]:
    """The transfers of a visit that are neither stored nor done."""
    rows = session.execute(
        _transfers()
        .where(
            TransferRow.visit_id == visit_id,
            TransferRow.state.in_((TransferState.PLANNED, TransferState.COPYING, TransferState.VERIFIED)),
        )
        .order_by(TransferRow.observation_id)
    ).all()
    return [_as_held(session, row) for row in rows]


def _transfers() -> Select[*tuple[Any, ...]]:
    return (
        select(
            TransferRow.observation_id,
            TransferRow.visit_id,
            TransferRow.temp,
            TransferRow.final,
            TransferRow.file_no,
            TransferRow.state,
            TransferRow.sha256,
            TransferRow.size.label("proven_size"),
            TransferRow.verified_via,
            TransferRow.verified_at,
            TransferRow.holes,
            TransferRow.reason,
            ObservationRow.path,
            ObservationRow.size,
            ObservationRow.mtime_ns,
            VisitRow.recorder_id,
            VisitRow.docked_at,
        )
        .join(ObservationRow, ObservationRow.id == TransferRow.observation_id)
        .join(VisitRow, VisitRow.id == TransferRow.visit_id)
    )


def _as_held(session: Session, row: Row[*tuple[Any, ...]]) -> HeldTemp:
    marks = session.execute(
        select(JournalRow.offset, JournalRow.prefix_sha256)
        .where(JournalRow.observation_id == row.observation_id)
        .order_by(JournalRow.offset)
    )
    return HeldTemp(
        observation_id=row.observation_id,
        visit_id=row.visit_id,
        path=row.path,
        size=row.size,
        mtime_ns=row.mtime_ns,
        recorder_id=row.recorder_id,
        temp=row.temp or "",
        final=row.final or "",
        file_no=row.file_no or "",
        state=TransferState(row.state),
        docked_at=row.docked_at,
        proven=_as_proven(row),
        journal=tuple((m.offset, m.prefix_sha256) for m in marks),
    )


def _as_proven(row: Row[*tuple[Any, ...]]) -> Proven | None:
    if row.state != TransferState.VERIFIED:
        return None
    return Proven(
        observation_id=row.observation_id,
        sha256=row.sha256,
        size=row.proven_size,
        via=VerifiedVia(row.verified_via),
        at=row.verified_at,
        holes=tuple(Hole(**hole) for hole in row.holes or ()),
        unsteady=row.reason == UNSTEADY,
    )


def stray_temps(session: Session, visit_id: int) -> list[str]:
    """Temps of a visit's finished transfers that may still lie there (a crash before their removal)."""
    rows = session.execute(
        select(TransferRow.temp).where(
            TransferRow.visit_id == visit_id,
            TransferRow.state == TransferState.DONE,
            TransferRow.temp.is_not(None),
        )
    ).scalars()
    return [temp for temp in rows if temp]


# --- the listing and the plan ------------------------------------------------------------------------


def keep_listing(session: Session, *, visit_id: int, card_instance: str, planned: Sequence[Planned]) -> dict[int, int]:
    """Inserts every entry as an observation; returns observation ids by ``seq``."""
    if not planned:
        return {}
    ids = session.execute(
        insert(ObservationRow).returning(ObservationRow.id, sort_by_parameter_order=True),
        [
            {
                "visit_id": visit_id,
                "seq": p.seq,
                "card_instance": card_instance,
                "path": p.entry.path,
                "path_hash": path_key(p.entry.path),
                "type": p.entry.type.value,
                "size": p.entry.size,
                "mtime_ns": storable_ns(p.entry.mtime_ns),
                "inode": str(p.entry.inode),
                "error": p.entry.error,
                "media": p.media.value,
                "place": p.place.value,
            }
            for p in planned
        ],
    ).scalars()
    return {p.seq: key for p, key in zip(planned, ids, strict=True)}


def keep_plan(session: Session, *, visit_id: int, planned: Iterable[Planned], ids: Mapping[int, int]) -> None:
    """Inserts a transfer per file: ``copying`` with its temp's name, or ``done`` with its outcome.

    A temp that is adopted from an earlier visit keeps its names; its proven marks move along
    and the earlier transfer is done, so that exactly one transfer owns a temp at any time.
    """
    rows = []
    for p in planned:
        if p.adopts:
            _release(session, p.adopts, to_visit=visit_id)
        rows.append(
            {
                "observation_id": ids[p.seq],
                "visit_id": visit_id,
                "state": TransferState.DONE.value if p.outcome else TransferState.COPYING.value,
                "outcome": p.outcome.value if p.outcome else None,
                "reason": p.reason,
                "temp": p.temp,
                "final": p.final,
                "file_no": p.file_no,
                "sha256": p.sha256,
                "size": p.entry.size if p.outcome is FileOutcome.ALREADY_STORED else None,
                "attempts": 0,
            }
        )
    if rows:
        session.execute(insert(TransferRow), rows)
    for p in planned:
        if p.adopts and p.adopts.journal:
            session.execute(
                insert(JournalRow),
                [
                    {"observation_id": ids[p.seq], "offset": offset, "prefix_sha256": digest}
                    for offset, digest in p.adopts.journal
                ],
            )


def _release(session: Session, held: HeldTemp, *, to_visit: int) -> None:
    forget_journal(session, held.observation_id)
    session.execute(
        update(TransferRow)
        .where(TransferRow.observation_id == held.observation_id)
        .values(state=TransferState.DONE, temp=None, reason=f"resumed in visit {to_visit}")
    )


# --- the steps of the copy -----------------------------------------------------------------------------


def note_mark(session: Session, observation_id: int, offset: int, prefix_sha256: str) -> None:
    """The temp's first ``offset`` bytes are on the medium and have this digest as read from the card."""
    session.add(JournalRow(observation_id=observation_id, offset=offset, prefix_sha256=prefix_sha256))


def cut_journal(session: Session, observation_id: int, offset: int) -> None:
    """Marks beyond ``offset`` were not proven on resume: they will be made anew."""
    session.execute(delete(JournalRow).where(JournalRow.observation_id == observation_id, JournalRow.offset > offset))


def forget_journal(session: Session, observation_id: int) -> None:
    session.execute(delete(JournalRow).where(JournalRow.observation_id == observation_id))


def mark_verified(session: Session, proven: Sequence[Proven]) -> None:
    """Step 9: the temps' bytes are proven; the renames may follow."""
    session.execute(
        update(TransferRow),
        [
            {
                "observation_id": p.observation_id,
                "state": TransferState.VERIFIED.value,
                "sha256": p.sha256,
                "size": p.size,
                "verified_via": p.via.value,
                "verified_at": p.at,
                "holes": [asdict(h) for h in p.holes] or None,
                "reason": UNSTEADY if p.unsteady else None,
            }
            for p in proven
        ],
    )


def mark_stored(
    session: Session, placed: Sequence[Placed], *, visit: VisitRow, device_no: str | None, actor: str
) -> None:
    """Step 11: footage, place and ledger line in one transaction. From its commit on, "stored" may be said."""
    if not placed:
        return
    made = session.execute(
        insert(FootageRow).returning(FootageRow.id, sort_by_parameter_order=True),
        [
            {
                "observation_id": p.proven.observation_id,
                "visit_id": visit.id,
                "recorder_id": visit.recorder_id,
                "card_instance": visit.card_instance,
                "path": p.entry.path,
                "path_hash": path_key(p.entry.path),
                "mtime_ns": storable_ns(p.entry.mtime_ns),
                "docked_at": p.docked_at,
                "file_no": p.file_no,
                "sha256": p.proven.sha256,
                "size": p.proven.size,
                "holes": [asdict(h) for h in p.proven.holes] or None,
                "stored_at": p.at,
            }
            for p in placed
        ],
    )
    keys = list(made.scalars())
    session.execute(
        insert(LocationRow),
        [
            {
                "station_no": visit.station_no,
                "footage_id": footage_id,
                "path": p.final,
                "state": "present",
                "stored_at": p.at,
                "verified_at": p.proven.at,
                "verified_via": p.proven.via.value,
            }
            for footage_id, p in zip(keys, placed, strict=True)
        ],
    )
    session.execute(
        update(TransferRow),
        [
            {
                "observation_id": p.proven.observation_id,
                "state": TransferState.STORED.value,
                "outcome": p.proven.outcome.value,
                "temp": None,
            }
            for p in placed
        ],
    )
    session.execute(delete(JournalRow).where(JournalRow.observation_id.in_([p.proven.observation_id for p in placed])))
    seen = _seen(session, placed)
    ledger.append_many(
        session,
        station_no=visit.station_no,
        actor=actor,
        lines=[
            ledger.Line(
                kind="footage.stored",
                subject=f"footage:{p.file_no}",
                at=p.at,
                data=_told(p, visit) | seen[p.proven.observation_id] | {"footage_id": key, "device_no": device_no},
            )
            for key, p in zip(keys, placed, strict=True)
        ],
    )


def _seen(session: Session, placed: Sequence[Placed]) -> dict[int, dict[str, Any]]:
    """What the listing says of the placed files beside their names, by observation."""
    columns = (ObservationRow.seq, ObservationRow.inode, ObservationRow.media, ObservationRow.place)
    wanted = ObservationRow.id.in_([p.proven.observation_id for p in placed])
    rows = session.execute(select(ObservationRow.id, *columns).where(wanted))
    return {row.id: {"seq": row.seq, "inode": row.inode, "media": row.media, "place": row.place} for row in rows}


def _told(p: Placed, visit: VisitRow) -> dict[str, Any]:
    return {
        "visit_id": visit.id,
        "observation_id": p.proven.observation_id,
        "card_instance": visit.card_instance,
        "path": p.entry.path,
        "size": p.proven.size,
        "mtime_ns": storable_ns(p.entry.mtime_ns),
        "sha256": p.proven.sha256,
        "location": p.final,
        "docked_at": p.docked_at,
        "stored_at": p.at,
        "verified_at": p.proven.at,
        "verified_via": p.proven.via.value,
        "holes": [asdict(h) for h in p.proven.holes],
        "unsteady": p.proven.unsteady,
    }


def mark_already_stored(session: Session, proven: Proven, known: KnownFootage, *, reason: str) -> None:
    """The bytes were read and turned out to be stored already. Damaged bytes stay damaged, however often they come.

    The temp's name stays in the row: its removal follows, and after a crash recovery does it.
    """
    whole = proven.outcome is FileOutcome.STORED
    forget_journal(session, proven.observation_id)
    session.execute(
        update(TransferRow)
        .where(TransferRow.observation_id == proven.observation_id)
        .values(
            state=TransferState.DONE,
            outcome=FileOutcome.ALREADY_STORED if whole else proven.outcome,
            reason=UNSTEADY if proven.unsteady else reason,
            final=known.location,
            file_no=known.file_no,
            sha256=known.sha256,
            size=known.size,
        )
    )


def note_lost(
    session: Session, known: KnownFootage, lost: LocationState, *, visit: VisitRow, at: datetime, actor: str
) -> int:
    """Stored footage is not in its place any more: its state, and a ledger line if new. Returns the id of the place."""
    place = session.scalars(select(LocationRow).where(LocationRow.path == known.location)).one()
    if place.state != lost:
        place.state = lost.value
        ledger.append(
            session,
            station_no=visit.station_no,
            kind=f"footage.{lost}",
            subject=f"footage:{known.file_no}",
            at=at,
            actor=actor,
            data={"location": known.location, "record_id": known.record_id, "visit_id": visit.id},
        )
    return place.id


def add_location(
    session: Session, placed: Placed, known: KnownFootage, *, visit: VisitRow, device_no: str | None, actor: str
) -> None:
    """A stored file that is missing from the store or altered was copied anew: a further place of the same footage.

    ``known.state`` is what was found in its old place (which may be whole again since: that is not proven).
    What only another station has stored has its first place here; the other's is not touched.
    """
    if known.location:
        lost = LocationState.ALTERED if known.state is LocationState.ALTERED else LocationState.MISSING
        session.execute(update(LocationRow).where(LocationRow.path == known.location).values(state=lost.value))
        kind, reason, why = "footage.stored_again", "stored_again", {lost.value: known.location}
    else:
        kind, reason, why = "footage.stored_here_too", "other_station", {}
    session.add(
        LocationRow(
            station_no=visit.station_no,
            footage_id=known.footage_id,
            path=placed.final,
            stored_at=placed.at,
            verified_at=placed.proven.at,
            verified_via=placed.proven.via.value,
        )
    )
    forget_journal(session, placed.proven.observation_id)
    session.execute(
        update(TransferRow)
        .where(TransferRow.observation_id == placed.proven.observation_id)
        .values(
            state=TransferState.STORED,
            outcome=FileOutcome.STORED,
            reason=reason,
            temp=None,
            file_no=known.file_no,
        )
    )
    ledger.append(
        session,
        station_no=visit.station_no,
        kind=kind,
        subject=f"footage:{known.file_no}",
        at=placed.at,
        actor=actor,
        data=_told(placed, visit)
        | _seen(session, [placed])[placed.proven.observation_id]
        | {"footage_id": known.footage_id, "device_no": device_no, **why},
    )


def mark_failed(session: Session, observation_id: int, *, reason: str, keep_temp: bool) -> None:
    """The card's trouble with one file. A kept temp stays ``copying`` and waits for its card."""
    values: dict[str, Any] = {"reason": reason, "outcome": FileOutcome.UNREADABLE}
    if not keep_temp:
        values |= {"state": TransferState.DONE}
        forget_journal(session, observation_id)
    session.execute(update(TransferRow).where(TransferRow.observation_id == observation_id).values(**values))


def take_up_again(session: Session, visit_id: int, *, reason: str) -> list[HeldTemp]:
    """The visit's transfers that failed for ``reason`` are pending again, each with its temp's name and marks."""
    session.execute(
        update(TransferRow)
        .where(TransferRow.visit_id == visit_id, TransferRow.reason == reason)
        .values(state=TransferState.COPYING, outcome=None, reason=None)
    )
    return pending(session, visit_id)


def begin_again(session: Session, observation_id: int, *, temp: str) -> None:
    """The temp was thrown away or set aside: the file is copied from its first byte under ``temp``."""
    forget_journal(session, observation_id)
    session.execute(
        update(TransferRow)
        .where(TransferRow.observation_id == observation_id)
        .values(state=TransferState.COPYING, temp=temp, sha256=None, attempts=TransferRow.attempts + 1)
    )


def drop_transfer(session: Session, observation_id: int, *, reason: str) -> None:
    """A transfer of an ended visit that nothing is left of: done, with the reason."""
    forget_journal(session, observation_id)
    session.execute(
        update(TransferRow)
        .where(TransferRow.observation_id == observation_id)
        .values(state=TransferState.DONE, temp=None, reason=reason)
    )


def live_temps(session: Session) -> set[str]:
    """Names of temps that a transfer owns (partial index: few)."""
    rows = session.execute(
        select(TransferRow.temp).where(TransferRow.state.in_((TransferState.COPYING, TransferState.VERIFIED)))
    ).scalars()
    return {temp for temp in rows if temp}
