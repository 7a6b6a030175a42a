"""What dockd does with one recorder: read this from top to bottom and you have read the program.

identify → list → plan → copy → verify → release → describe (probe, tag, judge) → end
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy.orm import Session

from dockd.alert.reasons import clue_words
from dockd.card.health import file_system_state
from dockd.errors import NotAnswering, ProofFailed, RecorderNotRegistered
from dockd.law.deadline import StationClock
from dockd.nouns import Entry, EntryType, ParsedName, Rung, VisitOutcome, display_path
from dockd.offload.lock import holding_card
from dockd.offload.pipeline import Job
from dockd.register import alerts, recorders, visits
from dockd.register.ledger import mirror_ledger
from dockd.register.station import Station, last_seen, note_time
from dockd.register.visits import NewVisit
from dockd.visit.alarms import alarm_clock, alarm_not_answering, alarming_full_store
from dockd.visit.clock import doubt_of, is_synchronised
from dockd.visit.copying import release
from dockd.visit.follow import follow_up, write_listing
from dockd.visit.identify import Identified, tell
from dockd.visit.journal import journal_visit
from dockd.visit.look import Card, Sight, look_at, open_card
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards, Numbers
from dockd.visit.persist import Persistence, copy_whole
from dockd.visit.planning import keep_listing, make_plan
from dockd.visit.recovery import Unfinished, finish_visit, recover_visits
from dockd.visit.request import Claim, Phase, Turn, VisitRequest
from dockd.visit.upkeep import note_recorder
from dockd.visit.urgency import next_deadline

# A command that was just killed leaves a worker that ends by itself within milliseconds.
_LOCK_WAIT_S = 10


def attend(station: Station, request: VisitRequest, *, meter: Meter, guards: Guards) -> int:
    """One visit, whole; returns its number. The register and ``visits.show_visit`` say what became of it.

    Raises RecorderNotRegistered (nothing was copied, an alert says so), StoreError (what was
    proven is kept; the same call goes on where this one stopped), NotAnswering (what was proven is
    described, the visit has ended), and WrongUse for a path or number that cannot be right.
    """
    store = str(station.store)
    with ExitStack() as held, alarming_full_store(station):
        card = held.enter_context(open_card(request.path, store, guards.patience, root=request.root))
        meter.enter(Phase.RECOVERING)
        held.enter_context(holding_card(store, card.identity.instance, wait_s=_LOCK_WAIT_S))
        recover_visits(station, own_card=card.identity.instance, meter=meter, guards=guards)
        meter.enter(Phase.LISTING)
        sight = card.patience.wait_for(lambda: look_at(card, station, request))
        sight = claim(card, sight, guards)
        if sight.identified.device_no is None and station.settings.unknown_recorder == "hold":
            hold(station, request, card, sight)
        numbers = open_visit(station, request, card, sight, guards)
        jobs = make_plan(card, sight, station, numbers)
        mirror_early(station)
        meter.plan(len(sight.listing.files), len(sight.listing.files) - len(jobs), sum(j.entry.size for j in jobs))
        await_turn(jobs, card, station, numbers, guards)
        plan = Persistence(station, numbers, lambda path: _parse(sight, path), sight.profile.name, meter, guards)
        try:
            result = copy_whole(jobs, card, plan)
        except NotAnswering:
            give_up(station, numbers, card, sight, guards)
            raise
        safe = release(result, station, numbers, meter)
        mirror_early(station)
        follow_up(station, numbers.visit_id, meter=meter, check=guards.before_write, safe=safe)
    return numbers.visit_id


def claim(card: Card, sight: Sight, guards: Guards) -> Sight:
    """Two docked recorders that claim one identity: whose the second one's footage is, nobody knows."""
    said = sight.identified
    twin = guards.claim(Claim(said.device_no, said.rung, card.identity.instance, len(sight.listing.files)))
    if not twin or not said.device_no:
        return sight
    return replace(sight, twin_in=twin, identified=Identified(None, Rung.NONE, (*said.others, said.device_no)))


def await_turn(jobs: Sequence[Job], card: Card, station: Station, numbers: Numbers, guards: Guards) -> None:
    """Where recorders wait for each other, the one whose 24 hours end soonest is copied first."""
    ends = [job.entry.mtime_ns for job in jobs]
    wall = card.identity.mtime_is_wall
    deadline, overdue = next_deadline(
        ends, station.now(), station.settings.deadline.hours, mtime_is_wall=wall, zone=station.zone
    )
    guards.turn(Turn(numbers.visit_id, deadline, overdue, len(jobs), sum(job.entry.size for job in jobs)))


def give_up(station: Station, numbers: Numbers, card: Card, sight: Sight, guards: Guards) -> None:
    """The card does not answer any more: an alert says so, and the visit ends with what was proven till then."""
    with station.register.write() as session:
        alarm_not_answering(session, station, numbers)
    said = card.identity
    left = Unfinished(numbers, said.instance, said.mtime_is_wall, sight.profile.name, copying=True)
    finish_visit(station, left, guards=guards)


def mirror_early(station: Station) -> None:
    """What is said of a card's files is in the store too, should the register be lost before the visit's end.

    A mirror that is not the register's keeps nobody from storing a card: the visit's end says so.
    """
    with suppress(ProofFailed):
        station.mirror_ledger()


def open_visit(station: Station, request: VisitRequest, card: Card, sight: Sight, guards: Guards) -> Numbers:
    """Gives the visit its number and writes down whose recorder it is and why; alerts a conflict of identity."""
    now = station.now()
    number = sight.identified.device_no
    synchronised = is_synchronised()
    with station.register.write() as session:
        row = recorders.find_recorder(session, number) if number else None
        seen = last_seen(session, station.station_no)
        noted = note_time(session, station.station_no, now, guards.boot(), kept=bool(synchronised))
        doubt = doubt_of(noted, now - seen, synchronised=synchronised)
        visit = _new_visit(station, request, card, sight, row.id if row else None, doubt, synchronised)
        visit_id = visits.open_visit(session, visit, actor=station.actor)
        if doubt:
            alarm_clock(session, station, visit_id, now=now, seen=seen, ahead=noted.ahead)
        note_recorder(session, station, card, sight, visit_id, visit.opened_at)
        _alarm_identity(session, station, sight, visit_id)
        note = f"visit:{visit_id}"
        alerts.settle_alert(
            session, station_no=station.station_no, kind="unknown_recorder", about=_matter(card), note=note, at=now
        )
    return Numbers(visit_id, visit.docked_at, visit.recorder_id, number)


def _matter(card: Card) -> str:
    """What an alert about a card of nobody known is about: it ends when the card is read after all."""
    return f"card:{card.identity.instance}"


def _alarm_identity(session: Session, station: Station, sight: Sight, visit_id: int) -> None:
    said = sight.identified
    if sight.twin_in:
        alerts.open_alert(
            session,
            station_no=station.station_no,
            kind="twin_identity",
            about=f"recorder:{said.others[-1]}",
            facts={"device_no": said.others[-1], "bay": sight.twin_in},
            at=station.now(),
            visit_id=visit_id,
        )
    elif said.others:
        alerts.open_alert(
            session,
            station_no=station.station_no,
            kind="identity_conflict",
            about=f"visit:{visit_id}",
            facts={"device_no": said.device_no, "others": list(said.others), "rung": said.rung},
            at=station.now(),
            visit_id=visit_id,
            device_no=said.device_no,
        )


def _new_visit(
    station: Station,
    request: VisitRequest,
    card: Card,
    sight: Sight,
    recorder_id: int | None,
    doubt: StationClock | None,
    synchronised: bool | None,
) -> NewVisit:
    now = station.now()
    return NewVisit(
        station_no=station.station_no,
        source=request.source,
        docked_at=request.docked_at or now,
        opened_at=now,
        card=card.identity,
        bay=request.bay,
        recorder_id=recorder_id,
        device_no=sight.identified.device_no,
        identified_by=sight.identified.rung,
        evidence=_evidence(card, sight) | ({"station_clock": doubt} if doubt else {}),
        profile=sight.profile.name,
        path=display_path(os.fsencode(request.name)),
        person=request.person,
        note=request.note,
        clock_synchronised=synchronised,
    )


def _evidence(card: Card, sight: Sight) -> dict[str, Any]:
    state = card.patience.wait_for(lambda: file_system_state(card.fd, card.heads))
    return {
        **({"file_system": asdict(state)} if state else {}),
        "clues": [asdict(clue) for clue in sight.clues],
        "binding_officers": [b.officer for b in sight.bindings if b.officer],
    }


def hold(station: Station, request: VisitRequest, card: Card, sight: Sight) -> None:
    """An unregistered recorder under ``unknown_recorder: hold``: shown, alerted, not copied.

    Always raises RecorderNotRegistered; the visit stands in the register as ``failed``, with what
    lay on the card: whoever docked it in time has not to answer for the wait (article 23).
    """
    visit = _new_visit(station, request, card, sight, None, None, is_synchronised())
    with station.register.write() as session:
        visit_id = visits.open_visit(session, visit, actor=station.actor)
        keep_listing(session, card, sight, station, visit_id)
    outcome, reason = VisitOutcome.FAILED, "unknown_recorder"
    listing = write_listing(station, visit_id, outcome=outcome, reason=reason, manifest=None)
    with station.register.write() as session:
        visits.end_visit(
            session,
            visit_id,
            outcome=outcome,
            reason=reason,
            manifest=None,
            listing=listing,
            at=visit.opened_at,
            actor=station.actor,
            held=True,
        )
        alerts.open_alert(
            session,
            station_no=station.station_no,
            kind="unknown_recorder",
            about=_matter(card),
            facts={"files": len(sight.listing.files), "evidence": tell(sight.clues)},
            at=visit.opened_at,
            visit_id=visit_id,
        )
        _alarm_identity(session, station, sight, visit_id)
        registered = recorders.state_of_register(session)
    mirror_ledger(station.register, station.store, station.station_no, station.zone)
    journal_visit(station, visit_id)
    raise RecorderNotRegistered(evidence=clue_words(tell(sight.clues)), registered=registered)


def _parse(sight: Sight, path: bytes) -> ParsedName | None:
    return sight.profile.classify(Entry(path, EntryType.FILE)).parsed
