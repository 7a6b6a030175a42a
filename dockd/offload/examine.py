"""One file of the store against what the register says of it, read from the medium and never followed elsewhere.

A ``Reading`` examines files one after the other, counts what it read, and writes down what it found:
ledger line, alert and the place's state in one transaction. Nothing in the store is changed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy.orm import Session

from dockd.errors import StoreMissing, store_error
from dockd.nouns import VerifiedVia, display_path, is_utf8
from dockd.offload.durable import blaming_store
from dockd.offload.readback import file_system, read_back
from dockd.register import alerts, holdings, ledger
from dockd.register.holdings import Holding, Renewed
from dockd.register.station import MARKER, Station
from dockd.register.tables import LocationState

_GONE = frozenset({errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.ESTALE})
_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<location>[^\\\r\n]+)")
_MANIFEST_MAX = 128 << 20  # half a million files: what is longer was not written by dockd
_WRITABLE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH
# statfs(2) types of vfat, exfat, ntfs, ntfs3, cifs, smb2: they keep no modes, so nothing was ever sealed there
_WITHOUT_MODES = frozenset({0x4D44, 0x2011BAB0, 0x5346544E, 0x7366746E, 0xFF534D42, 0xFE534D42})


class Finding(StrEnum):
    """What is wrong with a file of the store. UNSEALED: the bytes are right, but somebody made them writable."""

    MISSING = "missing"
    ALTERED = "altered"
    UNREADABLE = "unreadable"
    UNREGISTERED = "unregistered"
    UNSEALED = "unsealed"


class Kind(StrEnum):
    """What the file is to the register."""

    FOOTAGE = "footage"
    SIDECAR = "sidecar"
    MANIFEST = "manifest"
    LISTING = "listing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fault:
    """One file that is not as the register says; ``reason`` is the first fact that differs.

    ``location`` is relative to the store's root, escaped so that no name deceives a screen.
    """

    finding: Finding
    kind: Kind
    location: str
    about: str
    reason: str = ""
    record_id: int | None = None
    file_no: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What one file turned out to be: proven by a way, at fault, both (unsealed), or rightly absent (neither)."""

    via: VerifiedVia | None = None
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """The result: ``checked`` files were read, ``size`` bytes of them; ``faults`` is what is wrong.

    ``cached`` of them could not be shown to have come from the medium (a store on tmpfs has none).
    ``left`` places were due and did not get their turn before the time was up.
    """

    checked: int
    size: int
    faults: tuple[Fault, ...]
    cached: int = 0
    left: int = 0

    def of(self, finding: Finding) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.finding is finding)

    @property
    def disproven(self) -> bool:
        """Whether store and register disagree. A file that is merely unsealed is still the right one."""
        return any(fault.finding is not Finding.UNSEALED for fault in self.faults)


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far it is: footage files and bytes to come once, then each file's name and bytes read.

    What one of them raises ends the reading at once; what was not written down by then is read again.
    """

    total: Callable[[int, int], None] = lambda files, size: None
    file: Callable[[str], None] = lambda location: None
    read: Callable[[int], None] = lambda count: None


class Pace:
    """Keeps a reader to ``rate`` bytes a second, so that visits go before it; a pause is not made up for."""

    def __init__(
        self, rate: int, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._free_at = clock()

    def keep(self, count: int) -> None:
        now = self._clock()
        self._free_at = max(self._free_at, now - 1) + count / self._rate
        if self._free_at > now:
            self._sleep(self._free_at - now)


class Reading:
    """One reading of the store and what it has found so far.

    ``often``: the same files are looked at many times a day, so that what is known already, and stands
    in an open alert, is not told to the ledger again.
    """

    def __init__(self, station: Station, watch: Watch, *, often: bool = False) -> None:
        self.station, self.watch, self.often = station, watch, often
        self.root = str(station.store)
        self.checked = self.size = self.cached = 0
        self.faults: list[Fault] = []
        self.elsewhere: set[str] = set()
        rate = station.settings.verify.rate
        self._pace = Pace(rate).keep if rate else lambda count: None
        self._sealing = _keeps_modes(self.root)
        with station.register.read() as session:
            standing = alerts.list_alerts(session, open_only=True, kind="store_altered", station_no=station.station_no)
        self.standing: dict[str, str] = {alert.about: str(alert.facts.get("location")) for alert in standing}

    # --- one file ---------------------------------------------------------------------------------------

    def examine(self, holding: Holding, kind: Kind) -> Found:
        """Reads one file and compares it. Raises StoreMissing or another StoreError when the store goes away."""
        self.watch.file(holding.path)
        place = f"{'location' if kind is Kind.FOOTAGE else kind.value}:{holding.key}"
        found = self._attempt(holding.path, lambda fd: self._compare(fd, holding))
        if found[0] is Finding.MISSING and holding.replaced and holding.state is LocationState.MISSING:
            self.elsewhere.add(place)  # known, and told when the footage was stored again
            return Found()
        self.checked += 1
        if isinstance(found[0], VerifiedVia):
            self.cached += found[0] is VerifiedVia.CACHE
            return Found(found[0], self._unsealed(holding, kind, place, found[1]))
        return Found(None, Fault(found[0], kind, holding.path, place, found[1], holding.record_id, holding.file_no))

    def _unsealed(self, holding: Holding, kind: Kind, place: str, mode: str) -> Fault | None:
        if not mode:
            return None
        about = f"{place}/mode"
        return Fault(Finding.UNSEALED, kind, holding.path, about, mode, holding.record_id, holding.file_no)

    def _attempt(self, path: str, act: Callable[[int], _Said]) -> _Said:
        """What ``act`` says of the open file, or what its refusal says of it."""
        try:
            with _opened(self.root, path) as fd:
                return act(fd)
        except _NotPlain:
            return Finding.ALTERED, "not a plain file"
        except OSError as error:
            return self.refused(error)

    def _compare(self, fd: int, holding: Holding) -> _Said:
        status = os.fstat(fd)
        if holding.size is not None and status.st_size != holding.size:
            return Finding.ALTERED, f"size {status.st_size} instead of {holding.size}"
        found = read_back(fd, on_bytes=self._count)
        if found.sha256 != holding.sha256:
            return Finding.ALTERED, f"sha256 {found.sha256} instead of {holding.sha256}"
        return found.via, self._mode(status)

    def _mode(self, status: os.stat_result) -> str:
        """The mode of a file that is not sealed, else nothing."""
        writable = self._sealing and status.st_mode & _WRITABLE
        return f"mode {stat.S_IMODE(status.st_mode):04o}" if writable else ""

    def _count(self, count: int) -> None:
        self.size += count
        self.watch.read(count)
        self._pace(count)

    def refused(self, error: OSError) -> tuple[Finding, str]:
        """What an error of one file says of it; the store's own trouble is raised, not blamed on the file."""
        if error.errno in _GONE:
            raise store_error(error, self.root) from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            if not os.path.exists(f"{self.root}/{MARKER}"):
                raise StoreMissing(path=self.root) from error
            return Finding.MISSING, "" if error.errno == errno.ENOENT else "a folder of its path is none"
        return Finding.UNREADABLE, error.strerror or str(error)

    # --- one manifest -------------------------------------------------------------------------------------

    def examine_manifest(self, visit_id: int, path: str) -> Fault | None:
        """Compares a manifest line by line with the register."""
        self.watch.file(path)
        self.checked += 1
        found, reason = self._attempt(path, lambda fd: self._compare_manifest(fd, visit_id))
        about = f"manifest:{visit_id}"
        if isinstance(found, Finding):
            return Fault(found, Kind.MANIFEST, path, about, reason)
        self.cached += found is VerifiedVia.CACHE
        return Fault(Finding.UNSEALED, Kind.MANIFEST, path, f"{about}/mode", reason) if reason else None

    def _compare_manifest(self, fd: int, visit_id: int) -> _Said:
        status = os.fstat(fd)
        if status.st_size > _MANIFEST_MAX:
            return Finding.ALTERED, f"size {status.st_size}"
        found = read_back(fd, on_bytes=self._count)
        with open(fd, "rb", closefd=False) as file:
            data = file.read(_MANIFEST_MAX)
        if hashlib.sha256(data).hexdigest() != found.sha256:
            return Finding.ALTERED, "the medium has other bytes than the memory"
        if reason := self._differs(visit_id, data.decode("utf-8", "surrogateescape")):
            return Finding.ALTERED, reason
        return found.via, self._mode(status)

    def _differs(self, visit_id: int, text: str) -> str:
        """The first thing that a manifest says otherwise than the register, or nothing."""
        said: dict[str, str] = {}
        *lines, rest = text.split("\n")
        for number, line in enumerate(lines, 1):
            match = _LINE.fullmatch(line)
            if match is None:
                return f"line {number} is not a line of a manifest"
            said[match["location"]] = match["sha256"]
        if rest:
            return f"line {len(lines) + 1} is not a line of a manifest"
        with self.station.register.read() as session:
            known = holdings.digests_at(session, self.station.station_no, writable(said))
            wanted = holdings.digests_of_visit(session, visit_id)
        for number, (location, digest) in enumerate(said.items(), 1):
            if known.get(location) != digest:
                return f"line {number} differs from the register"
        absent = wanted - set(said.values())
        return f"{len(absent)} files of the visit are not in it" if absent else ""

    # --- what is written down -------------------------------------------------------------------------------

    def keep_proofs(self, results: Sequence[tuple[Holding, Found]]) -> None:
        """The places' states as found, with ledger lines and alerts, in one transaction."""
        if not results:
            return
        with self.station.register.write() as session:
            renewed = [r for holding, found in results if (r := self._keep_proof(session, holding, found))]
            holdings.renew_proof(session, renewed)

    def _keep_proof(self, session: Session, holding: Holding, found: Found) -> Renewed | None:
        now = self.station.now()
        if found.via is None:
            if found.fault is None:
                return None
            state = _STATES.get(found.fault.finding)
            known = state is holding.state
            self._tell_one(session, found.fault, alarm=not (self.often and known), always=True)
            return Renewed(holding.key, state, now, None) if state else None
        if holding.state is not LocationState.PRESENT:
            self.append(session, "footage.found", f"footage:{holding.file_no}", {"location": holding.path})
        self._settle(session, f"location:{holding.key}", found.fault)
        if found.fault:
            self._tell_one(session, found.fault, always=True)
        return Renewed(holding.key, LocationState.PRESENT, now, found.via)

    def keep(self, results: Iterable[tuple[str, Fault | None]]) -> None:
        """What was found of matters other than footage: (what it is about, its fault), in one transaction."""
        told = [(about, fault) for about, fault in results if fault or self._stands(about)]
        if told:
            with self.station.register.write() as session:
                for about, fault in told:
                    self._settle(session, about, fault)
                    if fault:
                        self._tell_one(session, fault)

    def tell(self, faults: Sequence[Fault]) -> None:
        """Ledger lines and alerts of ``faults``, in one transaction."""
        self.keep([(fault.about, fault) for fault in faults])

    def _stands(self, about: str) -> bool:
        return bool({alerts.matter(about), alerts.matter(f"{about}/mode")} & self.standing.keys())

    def _settle(self, session: Session, about: str, fault: Fault | None) -> None:
        """Closes the alerts about a file that ``fault`` says nothing of any more."""
        unread = fault is not None and fault.finding is not Finding.UNSEALED
        for matter in (about, f"{about}/mode"):
            if not unread and (fault is None or matter != fault.about):
                self.settle(session, matter, "found as registered")

    def settle(self, session: Session, about: str, note: str) -> None:
        """Closes the alert about a matter, if one stood when this reading began."""
        if self.standing.pop(alerts.matter(about), None) is not None:
            alerts.settle_alert(
                session,
                station_no=self.station.station_no,
                kind="store_altered",
                about=about,
                note=note,
                at=self.station.now(),
            )

    def _tell_one(self, session: Session, fault: Fault, *, alarm: bool = True, always: bool = False) -> None:
        self.faults.append(fault)
        facts = {"finding": fault.finding.value, "location": fault.location, "reason": fault.reason}
        opened = alarm and alerts.open_alert(
            session,
            station_no=self.station.station_no,
            kind="store_altered",
            about=fault.about,
            facts={**facts, "kind": fault.kind.value, "file_no": fault.file_no},
            at=self.station.now(),
            record_id=fault.record_id,
        )
        if opened or always or not self.often:
            subject = f"footage:{fault.file_no}" if fault.file_no else f"store:{self.station.station_no}"
            self.append(session, f"{fault.kind}.{fault.finding}", subject, {**facts, "record_id": fault.record_id})

    def append(self, session: Session, kind: str, subject: str, data: Mapping[str, object]) -> None:
        ledger.append(
            session,
            station_no=self.station.station_no,
            kind=kind,
            subject=subject,
            data=data,
            at=self.station.now(),
            actor=self.station.actor,
        )

    def result(self, *, left: int = 0) -> Audit:
        return Audit(self.checked, self.size, tuple(self.faults), self.cached, left)


_STATES = {Finding.MISSING: LocationState.MISSING, Finding.ALTERED: LocationState.ALTERED}
_Said = tuple[VerifiedVia | Finding, str]  # how a file was proven and its mode if it is not sealed, or what is wrong


class _NotPlain(Exception):
    """Something that is no plain file stands in the place of one."""


@contextmanager
def _opened(root: str, path: str) -> Iterator[int]:
    """The plain file ``path`` below ``root``, open for reading: no link is followed on the way, no device is opened.

    Raises _NotPlain, OSError (ENOTDIR where a folder of the path is a link or a file).
    """
    *folders, name = path.split("/")
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    folder = os.open(root, flags)
    fd = -1
    try:
        for part in folders:
            below = os.open(part, flags | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        # Asked first: to open a pipe or a device is to act on it.
        _require_plain(os.stat(name, dir_fd=folder, follow_symlinks=False))
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
        _require_plain(os.fstat(fd))
        yield fd
    finally:
        os.close(folder)
        if fd >= 0:
            os.close(fd)


def _require_plain(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise _NotPlain


def _keeps_modes(root: str) -> bool:
    with blaming_store(root):
        fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return file_system(fd) not in _WITHOUT_MODES
        finally:
            os.close(fd)


def shown(path: str) -> str:
    """A path of the store so that it deceives no screen."""
    return display_path(os.fsencode(path))


def writable(paths: Iterable[str]) -> list[str]:
    """Paths that a register could hold at all: a name that is not UTF-8 is in none."""
    return [path for path in paths if is_utf8(os.fsencode(path))]
