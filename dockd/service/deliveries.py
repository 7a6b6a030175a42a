"""Docks that deliver by a share: what arrived in a folder is a visit (source ``folder``), as if it were a card.

Every folder in the shared one is a delivery of one recorder (or the shared one as a whole, if the configuration
says so). The register remembers what the last visit of a folder saw, so that a restart reads nothing twice.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from dockd.card.listing import list_card
from dockd.errors import NotAnswering, RecorderNotRegistered
from dockd.nouns import Entry, EntryType, Source
from dockd.register.arrivals import LastVisit, last_visit
from dockd.register.station import Station, open_station
from dockd.register.transfers import storable_ns
from dockd.settings import Settings
from dockd.visit.look import Card, look_at, open_card
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards
from dockd.visit.patience import Patience
from dockd.visit.request import VisitRequest
from dockd.visit.story import attend
from dockd.visit.worker import Lifeline

WHOLE = "."
"""The name of the delivery that is the folder itself."""

Send = Callable[[object], None]


@dataclass(frozen=True, slots=True)
class Looked:
    """What is in a folder: the mark of each thing by its name. ``outside``: files that belong to no delivery."""

    marks: dict[str, str]
    outside: int = 0
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Looking:
    """A look at all deliveries; a share that does not answer holds up only this worker."""

    path: str
    whole: bool

    def __call__(self, send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> Looked:
        return look(self.path, whole=self.whole)


def look(path: str, *, whole: bool) -> Looked:
    """The deliveries in ``path``. Hidden folders and links are none; a folder without files has not begun."""
    try:
        entries = list(os.scandir(path))
    except OSError:
        return Looked({}, absent=True)
    if whole:
        mark = mark_of(path)
        return Looked({WHOLE: mark} if mark else {})
    folders = [e for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith(".")]
    marks = {entry.name: mark for entry in folders if (mark := mark_of(entry.path))}
    outside = sum(e.is_file(follow_symlinks=False) and not e.name.startswith(".") for e in entries)
    return Looked(marks, outside)


def mark_of(path: str) -> str:
    """A digest of names, sizes, times and inodes of all files below ``path``; empty where there is none."""
    digest, count = hashlib.sha256(), 0
    for line in sorted(_lines(path)):
        digest.update(line)
        count += 1
    return digest.hexdigest() if count else ""


def _lines(path: str) -> Iterator[bytes]:
    for folder, _folders, names in os.walk(os.fsencode(path)):
        for name in names:
            file = os.path.join(folder, name)
            with suppress(OSError):
                status = os.lstat(file)
                facts = (status.st_size, status.st_mtime_ns, status.st_ino, stat.S_IFMT(status.st_mode))
                yield repr((file, facts)).encode()


@dataclass(frozen=True, slots=True)
class Receiving:
    """The visit of one delivery. Returns whether it is done with until something changes in it."""

    settings: Settings
    path: str
    bay: str
    now: Callable[[], datetime]

    def __call__(self, send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> bool:
        station = open_station(self.settings, now=self.now, actor="dockd")
        try:
            return receive(station, self.path, self.bay, check=lifeline.check)
        finally:
            station.close()


def receive(station: Station, path: str, bay: str, *, check: Callable[[], None]) -> bool:
    """Visits the delivery in ``path``, if anything in it is new; whether it is done with until it changes.

    A recorder that is not registered is held, once; when it has been registered, its delivery is visited.
    Raises StoreError and what else ``attend`` raises.
    """
    patience = Patience(station.settings.card.patience.total_seconds())
    with open_card(path, str(station.store), patience) as card:
        files = _files(card, station)
        with station.register.read() as session:
            last = last_visit(session, card.identity.instance)
        if last and not _is_worth_it(card, station, last, files):
            return last.reason != _HELD
        arrived = _arrived(card, station, last, files)
    meter = Meter(lambda _progress: None)
    meter.start()
    try:
        request = VisitRequest(path=path, source=Source.FOLDER, bay=bay, docked_at=arrived)
        attend(station, request, meter=meter, guards=Guards(before_write=check, patience=patience))
    except RecorderNotRegistered:
        return False
    except NotAnswering:
        return False
    finally:
        meter.stop()
    return True


_HELD = "unknown_recorder"


def _files(card: Card, station: Station) -> dict[bytes, Entry]:
    listing = list_card(card.fd, now=station.now(), heard=card.patience.heard)
    return {entry.path: entry for entry in listing.entries if entry.type is EntryType.FILE}


def _is_worth_it(card: Card, station: Station, last: LastVisit, files: dict[bytes, Entry]) -> bool:
    """Whether a visit would do more than the last one did."""
    if any(_is_new(entry, last) for entry in files.values()):
        return True
    if last.reason == _HELD:
        return look_at(card, station, VisitRequest(path=card.path)).identified.device_no is not None
    return last.outcome != "complete"


def _is_new(entry: Entry, last: LastVisit | None) -> bool:
    return last is None or last.seen.get(entry.path) != (entry.size, storable_ns(entry.mtime_ns))


def _arrived(card: Card, station: Station, last: LastVisit | None, files: dict[bytes, Entry]) -> datetime:
    """When the first of what is new came to lie here: that is when the recorder was docked, at the latest.

    By the change time, which the file system sets and no copying program keeps.
    """
    now = station.now()
    times = []
    for entry in files.values():
        if _is_new(entry, last):
            with suppress(OSError):
                status = os.stat(entry.path, dir_fd=card.fd, follow_symlinks=False)
                times.append(datetime.fromtimestamp(status.st_ctime, UTC))
    return min([*times, now]).astimezone(station.zone)
