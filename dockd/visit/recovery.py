"""Unfinished visits of this station, brought to their end: nobody is needed after a crash (law 5)."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from dockd.errors import ProofFailed
from dockd.footage.clock import plausible_mtime
from dockd.nouns import Entry, EntryType, ParsedName
from dockd.offload.layout import folder, temp_path
from dockd.offload.lock import try_lock
from dockd.offload.reader import CardAccess
from dockd.offload.recover import Recovered, recover_files
from dockd.register import alerts, ledger, transfers, visits
from dockd.register.station import Station
from dockd.register.tables import RecorderRow, TransferState, VisitRow, VisitState
from dockd.register.transfers import HeldTemp
from dockd.visit.copying import surroundings
from dockd.visit.follow import follow_up
from dockd.visit.look import profile_named
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards, Numbers
from dockd.visit.request import Phase


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An unfinished visit as its row says it."""

    numbers: Numbers
    card_instance: str
    mtime_is_wall: bool
    profile: str | None
    copying: bool


def recover_visits(station: Station, *, own_card: str | None, meter: Meter, guards: Guards) -> list[int]:
    """Finishes every visit that was cut short; returns their numbers.

    A visit whose card's lock another process holds is at work and left alone; ``own_card`` is
    the card whose lock the caller holds. A visit that cannot be finished because something of it
    was altered in the store is alerted and stays as it is: new footage does not wait for it.
    Raises StoreError when store or register still fail.
    """
    meter.enter(Phase.RECOVERING)
    with station.register.read() as session:
        left = [_as_unfinished(session, row) for row in visits.unfinished(session, station.station_no)]
    finished = []
    for visit in left:
        lock = None
        if visit.card_instance != own_card:
            lock = try_lock(str(station.store), visit.card_instance)
            if lock is None:
                continue
        try:
            finish_visit(station, visit, guards=guards)
            finished.append(visit.numbers.visit_id)
        except ProofFailed as error:
            _alarm_unfinished(station, visit, error)
        finally:
            if lock is not None:
                os.close(lock)
    return finished


def finish_visit(station: Station, visit: Unfinished, *, guards: Guards) -> None:
    """One unfinished visit by the recovery table, then its follow-up, then its end. The caller holds its lock.

    Nothing of it reaches a screen: what is said there is of the recorder that is docked now.
    """
    quiet = Meter(lambda _: None)
    if visit.copying:
        recover_copies(station, visit, quiet, guards)
    follow_up(
        station,
        visit.numbers.visit_id,
        meter=quiet,
        check=guards.before_write,
        safe=not visit.copying,
        interrupted=visit.copying,
    )


def _as_unfinished(session: Session, row: VisitRow) -> Unfinished:
    recorder = session.get(RecorderRow, row.recorder_id) if row.recorder_id else None
    numbers = Numbers(row.id, row.docked_at, row.recorder_id, recorder.device_no if recorder else None)
    wall = bool((row.card or {}).get("mtime_is_wall"))
    return Unfinished(numbers, row.card_instance, wall, row.profile, row.state == VisitState.OPEN)


def recover_copies(
    station: Station, visit: Unfinished, meter: Meter, guards: Guards, *, only: TransferState | None = None
) -> None:
    """The visit's pending transfers by the recovery table; with ``only``, those in that state. Raises StoreError."""
    visit_id = visit.numbers.visit_id
    with station.register.read() as session:
        left = [_as_first_docked(session, station, visit, held) for held in transfers.pending(session, visit_id)]
        left = [held for held in left if only in (None, held.state)]
        strays = transfers.stray_temps(session, visit_id)
    parse = _parser(station, visit.profile)
    around = surroundings(station, visit.numbers, visit.card_instance, parse, _no_card(), meter, guards)
    own = folder(visit.numbers.docked_at.astimezone(station.zone).date(), visit.numbers.device_no)
    found = recover_files(left, strays, around, live_temps=lambda: _live_temps(station), folder=own)
    with station.register.write() as session:
        _write_down(session, station, visit, found)


def _as_first_docked(session: Session, station: Station, visit: Unfinished, held: HeldTemp) -> HeldTemp:
    """``held`` with the time at which this very file was first in a dock: earlier visits may have been cut short."""
    if not plausible_mtime(held.mtime_ns, station.now(), mtime_is_wall=visit.mtime_is_wall, zone=station.zone):
        return held
    first = visits.first_docked(
        session,
        card_instance=visit.card_instance,
        path_hash=transfers.path_key(held.path),
        size=held.size,
        mtime_ns=held.mtime_ns,
    )
    return replace(held, docked_at=min(first or held.docked_at, held.docked_at))


def _write_down(session: Session, station: Station, visit: Unfinished, found: Recovered) -> None:
    for held in found.forgotten:
        transfers.drop_transfer(session, held.observation_id, reason="interrupted")
    for held in found.vanished:
        transfers.drop_transfer(session, held.observation_id, reason="temp_vanished")
        _alarm(session, station, visit, held, "temp_vanished")
    for held in found.altered:
        transfers.drop_transfer(session, held.observation_id, reason="temp_altered")
        _alarm(session, station, visit, held, "temp_altered")
    for held in found.unreadable:
        transfers.drop_transfer(session, held.observation_id, reason="temp_unreadable")
        _alarm(session, station, visit, held, "temp_unreadable")
    ledger.append(
        session,
        station_no=station.station_no,
        kind="visit.recovered",
        subject=f"visit:{visit.numbers.visit_id}",
        at=station.now(),
        actor=station.actor,
        data={
            "stored": len(found.stored),
            "kept": len(found.kept),
            "forgotten": len(found.forgotten),
            "vanished": len(found.vanished),
            "altered": len(found.altered),
            "unreadable": len(found.unreadable),
            "quarantined": found.quarantined,
        },
    )


def _alarm(session: Session, station: Station, visit: Unfinished, held: HeldTemp, what: str) -> None:
    alerts.open_alert(
        session,
        station_no=station.station_no,
        kind="store_altered",
        about=f"transfer:{held.observation_id}",
        facts={"location": held.temp or temp_path(held.final), "finding": what, "file_no": held.file_no},
        at=station.now(),
        visit_id=visit.numbers.visit_id,
        device_no=visit.numbers.device_no,
    )


def _alarm_unfinished(station: Station, visit: Unfinished, error: ProofFailed) -> None:
    number = visit.numbers.visit_id
    with station.register.write() as session:
        alerts.open_alert(
            session,
            station_no=station.station_no,
            kind="store_altered",
            about=f"visit:{number}",
            facts={"location": f"visit {number}", "finding": "unfinished", "reason": str(error)},
            at=station.now(),
            visit_id=number,
            device_no=visit.numbers.device_no,
        )


def _live_temps(station: Station) -> set[str]:
    with station.register.read() as session:
        return transfers.live_temps(session)


def _parser(station: Station, profile: str | None) -> Callable[[bytes], ParsedName | None]:
    known = profile_named(station, profile)
    return lambda path: known.classify(Entry(path, EntryType.FILE)).parsed


def _no_card() -> CardAccess:
    def refuse(entry: Entry) -> int:
        raise FileNotFoundError(entry.display)

    return CardAccess(open=refuse, is_there=lambda: False)
