"""From the plan to "safe to remove": which files are copied, and what the register says of each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from dockd.card.listing import is_there, open_entry
from dockd.footage.clock import plausible_mtime
from dockd.nouns import Classified, Entry, EntryType, ParsedName
from dockd.offload.books import Books
from dockd.offload.layout import file_no, final_path, temp_path
from dockd.offload.pipeline import CopyResult, Job, Surroundings, copy_files, is_present
from dockd.offload.plan import Decision, decide
from dockd.offload.reader import CardAccess
from dockd.offload.steps import Passed, Step, ignore
from dockd.register import transfers, visits
from dockd.register.station import Station
from dockd.register.transfers import HeldTemp, KnownFootage, Planned
from dockd.visit.look import Card, Sight, digest_of
from dockd.visit.meter import Meter
from dockd.visit.request import Phase


@dataclass(frozen=True, slots=True)
class Numbers:
    """Who and which visit: what every step of a visit needs to name things."""

    visit_id: int
    docked_at: datetime
    recorder_id: int | None
    device_no: str | None


@dataclass(frozen=True, slots=True)
class Guards:
    """What the copy asks and tells besides copying; tests put their faults here."""

    before_write: Callable[[], None] = lambda: None
    passed: Passed = ignore


def make_plan(card: Card, sight: Sight, station: Station, numbers: Numbers) -> list[Job]:
    """Keeps listing and plan in the register, in one commit; returns the copies to make."""
    store = str(station.store)
    entries = [e for e in sight.listing.entries if e.type is EntryType.FILE]
    with station.register.read() as session:
        known = transfers.known_on_card(
            session,
            card_instance=card.identity.instance,
            recorder_id=numbers.recorder_id,
            paths=[e.path for e in entries],
        )
        held = transfers.held_temps(session, card_instance=card.identity.instance)
    waiting = _waiting(held, numbers.recorder_id, store)
    present = {path: is_present(store, footage) for path, footage in known.items()}
    now = station.now()
    planned = [
        _plan_one(
            seq,
            entry,
            classified,
            _decide(entry, classified, known.get(entry.path), present, waiting, now),
            station,
            numbers,
        )
        for seq, (entry, classified) in enumerate(sight.pairs, 1)
    ]
    with station.register.write() as session:
        jobs = _keep(session, card, sight, planned, station, numbers)
        _drop_unfit(session, held, waiting, store)
    return jobs


def _waiting(held: Sequence[HeldTemp], recorder_id: int | None, store: str) -> dict[bytes, HeldTemp]:
    """Kept temps that are still there and belong to this recorder, by path on the card."""
    return {h.path: h for h in held if h.recorder_id == recorder_id and h.temp and os.path.isfile(f"{store}/{h.temp}")}


def _decide(
    entry: Entry,
    classified: Classified,
    known: KnownFootage | None,
    present: dict[bytes, bool],
    waiting: dict[bytes, HeldTemp],
    now: datetime,
) -> Decision:
    return decide(
        entry,
        classified,
        known=known,
        known_present=present.get(entry.path, False),
        held=waiting.get(entry.path),
        plausible=plausible_mtime(entry.mtime_ns, now),
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
    session: Session, card: Card, sight: Sight, planned: list[Planned], station: Station, numbers: Numbers
) -> list[Job]:
    ids = transfers.keep_listing(
        session, visit_id=numbers.visit_id, card_instance=card.identity.instance, planned=planned
    )
    files = [p for p in planned if p.entry.type is not EntryType.DIRECTORY or p.entry.error]
    transfers.keep_plan(session, visit_id=numbers.visit_id, planned=files, ids=ids)
    visits.note_listing(
        session,
        numbers.visit_id,
        entries=len(planned),
        files=len(files),
        size=sum(p.entry.size for p in files),
        sha256=digest_of(sight.listing),
        at=station.now(),
        actor=station.actor,
    )
    now = station.now()
    return [
        _as_job(session, p, ids[p.seq], sight.classified[p.seq - 1].parsed, card, numbers, now)
        for p in files
        if p.outcome is None
    ]


def _as_job(
    session: Session,
    planned: Planned,
    observation_id: int,
    parsed: ParsedName | None,
    card: Card,
    numbers: Numbers,
    now: datetime,
) -> Job:
    entry = planned.entry
    plausible = plausible_mtime(entry.mtime_ns, now)
    seen = numbers.docked_at
    if plausible:
        first = visits.first_docked(
            session,
            card_instance=card.identity.instance,
            path_hash=transfers.path_key(entry.path),
            size=entry.size,
            mtime_ns=entry.mtime_ns,
        )
        seen = min(first or seen, seen)
    assert planned.temp is not None
    assert planned.final is not None
    assert planned.file_no is not None
    return Job(
        observation_id=observation_id,
        entry=entry,
        temp=planned.temp,
        final=planned.final,
        file_no=planned.file_no,
        docked_at=seen,
        parsed=parsed,
        resume=planned.adopts is not None,
        marks=planned.adopts.journal if planned.adopts and plausible else (),
    )


def _drop_unfit(session: Session, held: Sequence[HeldTemp], waiting: dict[bytes, HeldTemp], store: str) -> None:
    """Transfers of kept temps that are gone from the store: nothing is left to resume."""
    for h in held:
        if h.path not in waiting and not os.path.lexists(f"{store}/{h.temp}"):
            transfers.drop_transfer(session, h.observation_id, reason="temp_gone")


def surroundings(
    station: Station,
    numbers: Numbers,
    card_instance: str,
    sight_parse: Callable[[bytes], ParsedName | None],
    access: CardAccess,
    meter: Meter,
    guards: Guards,
) -> Surroundings:
    """What the offload needs of this visit."""
    return Surroundings(
        store=str(station.store),
        access=access,
        books=Books(station, numbers.visit_id, numbers.recorder_id, card_instance, numbers.device_no),
        watch=meter,
        now=station.now,
        parse=sight_parse,
        reserve=station.settings.store.reserve.of,
        before_write=guards.before_write,
        passed=guards.passed,
        read_twice=station.settings.verify.source_twice,
    )


def card_access(card: Card) -> CardAccess:
    """How the offload reads this card: relative to its root's descriptor only."""
    return CardAccess(open=lambda entry: open_entry(card.fd, entry.path), is_there=lambda: is_there(card.fd))


def copy(jobs: Sequence[Job], around: Surroundings, station: Station, numbers: Numbers, meter: Meter) -> CopyResult:
    """Copies and proves; what was read and stored is in the visit's row, also when the store fails."""
    around.passed(Step.PLAN_KEPT)
    meter.enter(Phase.COPYING)
    result = CopyResult()
    try:
        copy_files(jobs, around, result)
    finally:
        with station.register.write() as session:
            visits.note_copied(
                session,
                numbers.visit_id,
                bytes_read=result.bytes_read,
                bytes_stored=result.bytes_stored,
                first_byte_at=result.first_byte_at,
            )
    return result


def release(result: CopyResult, station: Station, numbers: Numbers, meter: Meter) -> bool:
    """Says "safe to remove" if it is true: every entry final, and nothing left that a later try could read.

    A file that changed while it was read, or a card that was pulled, leaves something behind;
    a file that the card cannot give back does not.
    """
    safe = (
        not result.card_gone
        and not result.differing
        and not any(failure.error.name == "card_file_changed" for failure in result.failures)
    )
    with station.register.write() as session:
        visits.note_stored(session, numbers.visit_id, at=station.now(), safe=safe, actor=station.actor)
    if safe:
        meter.enter(Phase.SAFE)
    return safe
