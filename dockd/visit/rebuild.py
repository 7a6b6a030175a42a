"""A lost or damaged register made again from the store: what ``dockd rebuild`` does, from top to bottom.

alone → last lines saved → replayed beside → compared with the store → told → in its place

The damaged register is kept under another name. Where the ledger is broken, nothing is changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any

from sqlalchemy.orm import Session

from dockd.errors import DockdError, RegisterOutdated
from dockd.nouns import CardIdentity, Source
from dockd.offload.layout import QUARANTINE, path_part
from dockd.offload.lock import holding_station
from dockd.register import disk, ledger, recorders, visits
from dockd.register.chain import Head
from dockd.register.mirror import folder_of
from dockd.register.rebuilding.lines import Tale, cut_torn
from dockd.register.rebuilding.place import Making, new_register
from dockd.register.rebuilding.replay import Replayed, replay
from dockd.register.rebuilding.rows import set_sequences
from dockd.register.session import open_register
from dockd.register.station import open_station, read_marker
from dockd.register.visits import NewVisit
from dockd.settings import Settings
from dockd.visit.comparison import Difference, Differs, Findings, compare_store, listing_reader


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came back and what did not.

    ``saved`` lines were still to be had from the damaged register, which is ``damaged`` now (None: there was
    none). ``torn`` is where the torn end of the ledger's mirror lies now. ``found_visits`` are known by
    their files in the store only.
    """

    replayed: Replayed
    head: Head
    saved: int
    damaged: str | None
    torn: str | None
    found_visits: tuple[int, ...]
    differences: tuple[Difference, ...]

    def of(self, kind: Differs) -> tuple[Difference, ...]:
        return tuple(one for one in self.differences if one.kind is kind)

    @property
    def is_whole(self) -> bool:
        """Whether store and ledger contradict the register nowhere (half copies are no contradiction)."""
        return not self.replayed.unknown_kinds and all(one.kind is Differs.HALF_COPY for one in self.differences)


def rebuild_register(
    settings: Settings, *, now: datetime, actor: str, on_lines: Callable[[int], None] = lambda count: None
) -> Rebuilt:
    """The station has a whole register again, made from its ledger's mirror and what else lies in the store.

    On return it is durable and in its place, its making is a line of the ledger and mirrored. Raises
    LedgerBroken (nothing is changed then), StationBusy, RegisterInUse, RegisterNotEmpty, StoreError.
    """
    root, station_no = str(settings.store.root), settings.agency.station_no
    store_id = read_marker(settings.store.root, station_no)
    stamp = f"{now.astimezone(settings.zone):%Y%m%d-%H%M%S}"
    with holding_station(root):
        saved = save_last_lines(settings)
        tale = Tale(folder_of(settings.store.root, station_no), station_no)
        found = Findings()
        with new_register(settings.register.url, wait_s=settings.register.wait_s, stamp=stamp) as making:
            with disk.blaming(tale.folder):
                replayed = replay(
                    making.session,
                    tale,
                    station_no=station_no,
                    store_id=store_id,
                    read_listing=listing_reader(root, found),
                    on_lines=on_lines,
                )
            compare_store(making.session, station_no, root, found)
            enter_lost_visits(making.session, settings, found, now=now, actor=actor)
            done = Rebuilt(
                replayed=replayed,
                head=tale.head,
                saved=saved,
                damaged=making.aside,
                torn=f"{QUARANTINE}/{tale.torn.file}.torn-{stamp}" if tale.torn else None,
                found_visits=tuple(sorted(found.lost_visits)),
                differences=tuple(found.differences),
            )
            tell(making, settings, done, now=now, actor=actor)
            if tale.torn and done.torn:
                with disk.blaming(tale.folder):
                    cut_torn(tale.folder, tale.torn, f"{root}/{done.torn}")
        mirror_making(settings, now=now, actor=actor)
    return done


def save_last_lines(settings: Settings) -> int:
    """Lines that a damaged register still has beyond the mirror's end are mirrored, if its whole chain is sound.

    Returns how many. Raises RegisterOutdated for a register that wants to be upgraded and not made again,
    StoreError where the store does not take the lines.
    """
    root, station_no = settings.store.root, settings.agency.station_no
    try:
        register = open_register(settings.register.url, wait_s=settings.register.wait_s)
    except RegisterOutdated:
        raise
    except DockdError:
        return 0  # it cannot be read at all: that is why it is made again
    try:
        try:
            if ledger.verify_ledger(register, root, station_no).problems:
                return 0
        except DockdError:
            return 0
        return ledger.mirror_ledger(register, root, station_no, settings.zone)
    finally:
        register.close()


def enter_lost_visits(session: Session, settings: Settings, found: Findings, *, now: datetime, actor: str) -> None:
    """Visits that only files in the store name: their numbers are never given again, and recovery ends them.

    What is known of one is the day and the recorder that its folder names, and card and times of its listing.
    """
    station_no = settings.agency.station_no
    folders = {path_part(recorder.device_no): recorder for recorder in recorders.list_recorders(session)}
    for visit_id, lost in sorted(found.lost_visits.items()):
        recorder, listing = folders.get(lost.folder), lost.listing
        new = NewVisit(
            station_no=station_no,
            source=Source.DOCK,
            docked_at=listing.docked_at if listing else datetime.combine(lost.day, time(), settings.zone),
            opened_at=listing.opened_at if listing else now,
            card=CardIdentity(listing.card_instance if listing else f"found:{station_no}:{visit_id}"),
            recorder_id=recorder.id if recorder else None,
            device_no=recorder.device_no if recorder else None,
            note="found by its files in the store: the ledger lacks its beginning",
        )
        visits.open_visit(session, new, actor=actor, found_as=visit_id, at=now)


def tell(making: Making, settings: Settings, done: Rebuilt, *, now: datetime, actor: str) -> None:
    """The register's own making as a line of the ledger."""
    data: dict[str, Any] = {
        "lines": done.replayed.lines,
        "head": {"seq": done.head.seq, "sha256": done.head.sha256},
        "tables": done.replayed.tables,
        "unknown_kinds": dict(done.replayed.unknown_kinds),
        "unfinished_visits": done.replayed.unfinished,
        "found_visits": list(done.found_visits),
        "saved": done.saved,
        "damaged": os.path.basename(done.damaged) if done.damaged else None,
        "torn": done.torn,
        "differences": {kind.value: len(done.of(kind)) for kind in Differs},
    }
    station_no = settings.agency.station_no
    ledger.append(
        making.session,
        station_no=station_no,
        kind="register.rebuilt",
        subject=f"station:{station_no}",
        data=data,
        at=now,
        actor=actor,
    )
    making.session.flush()
    set_sequences(making.session)


def mirror_making(settings: Settings, *, now: datetime, actor: str) -> None:
    station = open_station(settings, now=lambda: now, actor=actor)
    try:
        station.mirror_ledger()
    finally:
        station.close()
