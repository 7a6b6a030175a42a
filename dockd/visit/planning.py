"""What to do with each file of a card, written down before the first byte is copied: listing and plan in one commit."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from dockd.footage.clock import plausible_mtime
from dockd.nouns import Classified, Entry, EntryType
from dockd.offload import durable
from dockd.offload.layout import QUARANTINE, file_no, final_path, temp_path
from dockd.offload.pipeline import Job, look_for
from dockd.offload.plan import Decision, decide
from dockd.register import ledger, transfers, visits
from dockd.register.station import Station
from dockd.register.tables import LocationState
from dockd.register.transfers import HeldTemp, KnownFootage, Planned
from dockd.visit.alarms import alarm_lost
from dockd.visit.look import Card, Sight, digest_of
from dockd.visit.numbers import Numbers


@dataclass(frozen=True, slots=True)
class Memory:
    """What the register remembers of this card, by path on it; ``places`` is how known files' places look now."""

    known: Mapping[bytes, KnownFootage]
    places: Mapping[bytes, LocationState]
    waiting: Mapping[bytes, HeldTemp]
    held: Sequence[HeldTemp]


def make_plan(card: Card, sight: Sight, station: Station, numbers: Numbers) -> list[Job]:
    """Keeps listing and plan in the register, in one commit; returns the copies to make.

    What was damaged before comes last: bad sectors may take hours, and what can be read does not wait for them.
    """
    memory = _remember(card, sight, station, numbers)
    telling = {e.path for e in sight.listing.entries if _tells_apart(e, card, station)}
    decisions = [_decide(entry, classified, memory, entry.path in telling) for entry, classified in sight.pairs]
    planned = [
        _plan_one(seq, entry, classified, decision, station, numbers)
        for seq, ((entry, classified), decision) in enumerate(zip(sight.pairs, decisions, strict=True), 1)
    ]
    files = [p for p in planned if p.entry.type is not EntryType.DIRECTORY or p.entry.error]
    adopted = {p.adopts.observation_id for p in planned if p.adopts}
    unfit = [held for held in memory.held if held.observation_id not in adopted]
    damaged = {path for path, known in memory.known.items() if known.damaged}
    aside = _set_aside(unfit, str(station.store))
    with station.register.write() as session:
        ids = _keep(session, card, sight, planned, files, station, numbers)
        for lost in (d.missing for d in decisions if d.missing):
            alarm_lost(session, station, numbers, lost, memory.places[lost.path])
        _drop(session, unfit, aside, station, numbers)
        return [
            _as_job(session, p, ids[p.seq], sight, card, numbers, tells=p.entry.path in telling)
            for p in sorted(files, key=lambda p: p.entry.path in damaged)
            if p.outcome is None
        ]


def keep_listing(session: Session, card: Card, sight: Sight, station: Station, visit_id: int) -> None:
    """Keeps the complete listing of a card that is not copied: what lay there, and that it was docked then."""
    planned = [Planned(seq, entry, said.media, said.place) for seq, (entry, said) in enumerate(sight.pairs, 1)]
    transfers.keep_listing(session, visit_id=visit_id, card_instance=card.identity.instance, planned=planned)
    _note_listing(session, sight, station, visit_id)


def _remember(card: Card, sight: Sight, station: Station, numbers: Numbers) -> Memory:
    store, instance = str(station.store), card.identity.instance
    entries = [e for e in sight.listing.entries if e.type is EntryType.FILE]
    with station.register.read() as session:
        known = transfers.known_on_card(
            session,
            station_no=station.station_no,
            card_instance=instance,
            recorder_id=numbers.recorder_id,
            paths=[e.path for e in entries],
        )
        others = [e.path for e in entries if not _agrees(e, known.get(e.path))]
        known |= transfers.known_by_reading(
            session,
            station_no=station.station_no,
            card_instance=instance,
            recorder_id=numbers.recorder_id,
            paths=others,
        )
        held = transfers.held_temps(session, station_no=station.station_no, card_instance=instance)
    waiting = {h.path: h for h in held if h.recorder_id == numbers.recorder_id and _is_file(store, h.temp)}
    places = {path: look_for(store, footage) for path, footage in known.items()}
    return Memory(known, places, waiting, held)


def _is_file(store: str, temp: str) -> bool:
    found = durable.look(store, temp) if temp else None
    return found is not None and stat.S_ISREG(found.st_mode)


def _agrees(entry: Entry, known: KnownFootage | None) -> bool:
    return known is not None and (known.size, known.mtime_ns) == (entry.size, entry.mtime_ns)


def _tells_apart(entry: Entry, card: Card, station: Station) -> bool:
    """Whether the entry's mtime can tell two files apart (a reset clock gives new footage an old time)."""
    wall = card.identity.mtime_is_wall
    return plausible_mtime(entry.mtime_ns, station.now(), mtime_is_wall=wall, zone=station.zone)


def _decide(entry: Entry, classified: Classified, memory: Memory, plausible: bool) -> Decision:
    return decide(
        entry,
        classified,
        known=memory.known.get(entry.path),
        known_present=memory.places.get(entry.path) is LocationState.PRESENT,
        held=memory.waiting.get(entry.path),
        plausible=plausible,
    )


def _plan_one(
    seq: int, entry: Entry, classified: Classified, decision: Decision, station: Station, numbers: Numbers
) -> Planned:
    base = Planned(seq=seq, entry=entry, media=classified.media, place=classified.place)
    if decision.outcome is not None:
        known = decision.known
        return replace(
            base,
            outcome=decision.outcome,
            reason=decision.reason,
            final=known.location if known else None,
            file_no=known.file_no if known else None,
            sha256=known.sha256 if known else None,
        )
    if held := decision.held:
        return replace(base, temp=held.temp, final=held.final, file_no=held.file_no, adopts=held)
    day = numbers.docked_at.astimezone(station.zone).date()
    number = file_no(station.station_no, day, numbers.visit_id, seq)
    final = final_path(day, numbers.device_no, number, entry.name)
    return replace(base, temp=temp_path(final), final=final, file_no=number)


def _keep(
    session: Session,
    card: Card,
    sight: Sight,
    planned: Sequence[Planned],
    files: Sequence[Planned],
    station: Station,
    numbers: Numbers,
) -> dict[int, int]:
    ids = transfers.keep_listing(
        session, visit_id=numbers.visit_id, card_instance=card.identity.instance, planned=planned
    )
    transfers.keep_plan(session, visit_id=numbers.visit_id, planned=files, ids=ids)
    _note_listing(session, sight, station, numbers.visit_id)
    return ids


def _note_listing(session: Session, sight: Sight, station: Station, visit_id: int) -> None:
    files = sight.listing.files
    visits.note_listing(
        session,
        visit_id,
        entries=len(sight.listing.entries),
        files=len(files),
        size=sum(entry.size for entry in files),
        sha256=digest_of(sight.listing),
        at=station.now(),
        actor=station.actor,
    )


def _as_job(
    session: Session, planned: Planned, observation_id: int, sight: Sight, card: Card, numbers: Numbers, *, tells: bool
) -> Job:
    entry = planned.entry
    seen = numbers.docked_at
    if tells:
        first = visits.first_docked(
            session,
            card_instance=card.identity.instance,
            path_hash=transfers.path_key(entry.path),
            size=entry.size,
            mtime_ns=entry.mtime_ns,
        )
        seen = min(first or seen, seen)
    if not (planned.temp and planned.final and planned.file_no):
        raise ValueError("a file that is to be copied has no names yet")
    return Job(
        observation_id=observation_id,
        entry=entry,
        temp=planned.temp,
        final=planned.final,
        file_no=planned.file_no,
        docked_at=seen,
        parsed=sight.classified[planned.seq - 1].parsed,
        resume=planned.adopts is not None,
        marks=planned.adopts.journal if planned.adopts and tells else (),
    )


def _set_aside(unfit: Sequence[HeldTemp], store: str) -> dict[int, str]:
    """Moves kept temps that their card's return did not complete into quarantine; their places by observation.

    The file has changed, is gone from the card or belongs to another recorder now: what was
    copied of it may be all that is left of a recording, so it is kept. Where a visit was cut short
    between the move and its row, the temp is there already.
    """
    places: dict[int, str] = {}
    with durable.blaming_store(store):
        for held in unfit:
            aside = f"{QUARANTINE}/{os.path.basename(held.temp)}"
            if held.temp and durable.look(store, held.temp):
                places[held.observation_id] = durable.move_aside(store, held.temp, aside)
            elif held.temp and durable.look(store, aside):
                places[held.observation_id] = aside
    return places


def _drop(
    session: Session, unfit: Sequence[HeldTemp], aside: Mapping[int, str], station: Station, numbers: Numbers
) -> None:
    """Nothing of these transfers is left to resume; the ledger says where their temps are."""
    for held in unfit:
        place = aside.get(held.observation_id)
        transfers.drop_transfer(session, held.observation_id, reason="set_aside" if place else "temp_gone")
        if place:
            ledger.append(
                session,
                station_no=station.station_no,
                kind="visit.temp_set_aside",
                subject=f"visit:{held.visit_id}",
                data={"temp": held.temp, "quarantined": place, "path": held.path, "by_visit": numbers.visit_id},
                at=station.now(),
                actor=station.actor,
            )
