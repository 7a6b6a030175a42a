"""The store read back from the medium and compared with the register, in bounded memory.

Five passes: footage (length and digest), sidecars and visits' listings (digest), manifests (line
by line against the register), and a walk that finds what nobody registered. Nothing in the store
is changed.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from dockd.errors import StoreMissing, store_error
from dockd.nouns import VerifiedVia, display_path, is_utf8
from dockd.offload.layout import FOOTAGE, visit_of
from dockd.offload.readback import read_back
from dockd.register import alerts, holdings, ledger
from dockd.register.holdings import Holding, Renewed
from dockd.register.station import MARKER, Station
from dockd.register.tables import LocationState

_PAGE = 100
_WALKED = 400

_GONE = frozenset({errno.ENOTCONN, errno.ENODEV, errno.ENXIO, errno.ESTALE})
_LINE = re.compile(r"(?P<sha256>[0-9a-f]{64})  (?P<location>[^\\\r\n]+)")


class Finding(StrEnum):
    """What is wrong with a file of the store."""

    MISSING = "missing"
    ALTERED = "altered"
    UNREADABLE = "unreadable"
    UNREGISTERED = "unregistered"


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
class Audit:
    """The result: ``checked`` files were read, ``size`` bytes of them; ``faults`` is what is wrong.

    ``cached`` of them could not be shown to have come from the medium (a store on tmpfs has none).
    """

    checked: int
    size: int
    faults: tuple[Fault, ...]
    cached: int = 0

    def of(self, finding: Finding) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.faults if fault.finding is finding)


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told how far it is: footage files and bytes to come once, then each file's name and bytes read."""

    total: Callable[[int, int], None] = lambda files, size: None
    file: Callable[[str], None] = lambda location: None
    read: Callable[[int], None] = lambda count: None


class Pace:
    """Keeps a reader to ``rate`` bytes a second, so that visits go before it."""

    def __init__(
        self, rate: int, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._begun, self._read = clock(), 0

    def keep(self, count: int) -> None:
        self._read += count
        ahead = self._read / self._rate - (self._clock() - self._begun)
        if ahead > 0:
            self._sleep(ahead)


def audit_store(station: Station, *, since: datetime | None = None, watch: Watch | None = None) -> Audit:
    """Compares the store with the register: all of it, or with ``since`` what was stored since then.

    The walk for unregistered files is always whole. On return the places' states, the ledger
    (a line per finding and one ``store.verified``) and the alerts say what was found. Raises
    StoreMissing when the store goes away meanwhile: nothing is called missing because of that.
    """
    run = _Run(station, since, watch or Watch())
    with station.register.read() as session:
        run.watch.total(*holdings.count_footage(session, since))
    run.check_footage()
    run.check_sidecars()
    run.check_listings()
    run.check_manifests()
    run.find_unregistered()
    return run.finish()


class _Run:
    """One reading of the store and what it has found so far."""

    def __init__(self, station: Station, since: datetime | None, watch: Watch) -> None:
        self.station, self.since, self.watch = station, since, watch
        self.root = str(station.store)
        self.checked = self.size = self.cached = 0
        self.faults: list[Fault] = []
        rate = station.settings.verify.rate
        self._pace = Pace(rate).keep if rate else lambda count: None

    # --- footage, sidecars, listings ------------------------------------------------------------------------------

    def check_footage(self) -> None:
        for page in self._pages(holdings.page_footage):
            results = [(holding, self._check(holding, Kind.FOOTAGE)) for holding in page]
            with self.station.register.write() as session:
                self._keep_proof(session, results)

    def check_sidecars(self) -> None:
        self._check_pages(holdings.page_sidecars, Kind.SIDECAR)

    def check_listings(self) -> None:
        self._check_pages(holdings.page_listings, Kind.LISTING)

    def _check_pages(self, read_page: Callable[..., list[Holding]], kind: Kind) -> None:
        for page in self._pages(read_page):
            found = [self._check(holding, kind) for holding in page]
            self._tell([fault for fault in found if isinstance(fault, Fault)])

    def _pages(self, read_page: Callable[..., list[Holding]]) -> Iterator[list[Holding]]:
        after = 0
        while True:
            with self.station.register.read() as session:
                page = read_page(session, self.since, after=after, limit=_PAGE)
            if not page:
                return
            yield page
            after = page[-1].key

    def _check(self, holding: Holding, kind: Kind) -> Fault | VerifiedVia | None:
        """The fault, or how the file was proven; None where its absence is known."""
        self.watch.file(holding.path)
        found = self._examine(holding)
        if isinstance(found, VerifiedVia):
            self.checked += 1
            self.cached += found is VerifiedVia.CACHE
            return found
        finding, reason = found
        if finding is Finding.MISSING and holding.replaced:
            return None
        self.checked += 1
        place = "location" if kind is Kind.FOOTAGE else kind.value
        return Fault(finding, kind, holding.path, f"{place}:{holding.key}", reason, holding.record_id, holding.file_no)

    def _examine(self, holding: Holding) -> VerifiedVia | tuple[Finding, str]:
        try:
            fd = os.open(f"{self.root}/{holding.path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            return self._refused(error)
        try:
            return self._compare(fd, holding)
        except OSError as error:
            return self._refused(error)
        finally:
            os.close(fd)

    def _compare(self, fd: int, holding: Holding) -> VerifiedVia | tuple[Finding, str]:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return Finding.ALTERED, "not a plain file"
        if holding.size is not None and status.st_size != holding.size:
            return Finding.ALTERED, f"size {status.st_size} instead of {holding.size}"
        found = read_back(fd, on_bytes=self._count)
        if found.sha256 != holding.sha256:
            return Finding.ALTERED, f"sha256 {found.sha256} instead of {holding.sha256}"
        return found.via

    def _count(self, count: int) -> None:
        self.size += count
        self.watch.read(count)
        self._pace(count)

    def _refused(self, error: OSError) -> tuple[Finding, str]:
        """What an error of one file says of it; the store's own trouble is raised, not blamed on the file."""
        if error.errno in _GONE:
            raise store_error(error, self.root) from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            if not os.path.exists(f"{self.root}/{MARKER}"):
                raise StoreMissing(path=self.root) from error
            return Finding.MISSING, ""
        if error.errno == errno.ELOOP:
            return Finding.ALTERED, "not a plain file"
        return Finding.UNREADABLE, error.strerror or str(error)

    def _keep_proof(self, session: Session, results: Sequence[tuple[Holding, Fault | VerifiedVia | None]]) -> None:
        now = self.station.now()
        renewed = []
        for holding, found in results:
            if isinstance(found, VerifiedVia):
                renewed.append(Renewed(holding.key, LocationState.PRESENT, now, found))
                if holding.state is not LocationState.PRESENT:
                    self._append(session, "footage.found", f"footage:{holding.file_no}", {"location": holding.path})
            elif found is not None:
                if state := _STATES.get(found.finding):
                    renewed.append(Renewed(holding.key, state, now, None))
                self._tell_one(session, found)
        holdings.renew_proof(session, renewed)

    # --- manifests --------------------------------------------------------------------------------------

    def check_manifests(self) -> None:
        after = 0
        while True:
            with self.station.register.read() as session:
                page = holdings.page_manifests(session, self.since, after=after, limit=_PAGE)
            if not page:
                return
            found = [self._check_manifest(visit_id, path) for visit_id, path in page]
            self._tell([fault for fault in found if fault])
            after = page[-1][0]

    def _check_manifest(self, visit_id: int, path: str) -> Fault | None:
        self.watch.file(path)
        self.checked += 1
        try:
            lines = self._read_lines(path)
        except OSError as error:
            finding, reason = self._refused(error)
        else:
            finding, reason = Finding.ALTERED, self._differs(visit_id, lines)
        about = f"manifest:{visit_id}"
        return Fault(finding, Kind.MANIFEST, path, about, reason) if reason or finding is not Finding.ALTERED else None

    def _read_lines(self, path: str) -> list[str]:
        fd = os.open(f"{self.root}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(fd, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            lines = list(file)
        self.size += sum(map(len, lines))
        return lines

    def _differs(self, visit_id: int, lines: Sequence[str]) -> str:
        """The first thing that a manifest says otherwise than the register, or nothing."""
        said: dict[str, str] = {}
        for number, line in enumerate(lines, 1):
            match = _LINE.fullmatch(line.removesuffix("\n"))
            if match is None or not line.endswith("\n"):
                return f"line {number} is not a line of a manifest"
            said[match["location"]] = match["sha256"]
        with self.station.register.read() as session:
            known = holdings.digests_at(session, _writable(said))
            wanted = holdings.digests_of_visit(session, visit_id)
        for number, (location, digest) in enumerate(said.items(), 1):
            if known.get(location) != digest:
                return f"line {number} differs from the register"
        absent = wanted - set(said.values())
        return f"{len(absent)} files of the visit are not in it" if absent else ""

    # --- what nobody registered ---------------------------------------------------------------------------

    def find_unregistered(self) -> None:
        strange: list[str] = []
        for some in _batched(self._walk(FOOTAGE), _WALKED):
            strange += self._unknown(some)
        # Files that were on their way into the register during the walk are there now.
        for some in _batched(strange, _WALKED):
            still = [path for path in self._unknown(some) if os.path.lexists(f"{self.root}/{path}")]
            self._tell([_stranger(path) for path in still])

    def _unknown(self, paths: Sequence[str]) -> list[str]:
        visits = {path: number for path in paths if (number := visit_of(path)) is not None}
        with self.station.register.read() as session:
            known = holdings.known_paths(session, _writable(paths), visits.values())
            working = holdings.visits_at_work(session, visits.values())
        return [path for path in paths if path not in known and visits.get(path) not in working]

    def _walk(self, root: str) -> Iterator[str]:
        """Everything below ``root`` that is not a directory."""
        folders = [root]
        while folders:
            folder = folders.pop()
            inner = []
            for name, is_folder in self._listed(folder):
                if is_folder:
                    inner.append(f"{folder}/{name}")
                else:
                    yield f"{folder}/{name}"
            folders += reversed(inner)

    def _listed(self, folder: str) -> list[tuple[str, bool]]:
        """The folder's names with whether each is a folder; one that cannot be listed is a fault."""
        try:
            with os.scandir(f"{self.root}/{folder}") as entries:
                return sorted((e.name, e.is_dir(follow_symlinks=False)) for e in entries)
        except OSError as error:
            finding, reason = self._refused(error)
            if finding is not Finding.MISSING:  # a store without a visit has no such folder yet
                self._tell([Fault(finding, Kind.UNKNOWN, _shown(folder), f"store:{_shown(folder)}", reason)])
            return []

    # --- what is written down -----------------------------------------------------------------------------

    def finish(self) -> Audit:
        """The ledger and the alerts say how the audit ended."""
        counts = {finding.value: 0 for finding in Finding}
        for fault in self.faults:
            counts[fault.finding.value] += 1
        told = {"checked": self.checked, "bytes": self.size, "cached": self.cached, "since": self.since, **counts}
        with self.station.register.write() as session:
            if self.since is None:
                self._settle_healed(session)
            self._append(session, "store.verified", f"store:{self.station.station_no}", told)
        return Audit(self.checked, self.size, tuple(self.faults), self.cached)

    def _settle_healed(self, session: Session) -> None:
        """Alerts whose file was found as it should be are closed by that fact."""
        standing = {alert.about for alert in alerts.list_alerts(session, open_only=True, kind="store_altered")}
        healed = standing - {alerts.matter(fault.about) for fault in self.faults}
        for about in sorted(about for about in healed if about.partition(":")[0] in _OWN):
            alerts.settle_alert(
                session,
                station_no=self.station.station_no,
                kind="store_altered",
                about=about,
                note="found as registered",
                at=self.station.now(),
            )

    def _tell(self, faults: Sequence[Fault]) -> None:
        if faults:
            with self.station.register.write() as session:
                for fault in faults:
                    self._tell_one(session, fault)

    def _tell_one(self, session: Session, fault: Fault) -> None:
        self.faults.append(fault)
        facts = {"finding": fault.finding.value, "location": fault.location, "reason": fault.reason}
        subject = f"footage:{fault.file_no}" if fault.file_no else f"store:{self.station.station_no}"
        self._append(session, f"{fault.kind}.{fault.finding}", subject, {**facts, "record_id": fault.record_id})
        alerts.open_alert(
            session,
            station_no=self.station.station_no,
            kind="store_altered",
            about=fault.about,
            facts={**facts, "kind": fault.kind.value, "file_no": fault.file_no},
            at=self.station.now(),
            record_id=fault.record_id,
        )

    def _append(self, session: Session, kind: str, subject: str, data: Mapping[str, object]) -> None:
        ledger.append(
            session,
            station_no=self.station.station_no,
            kind=kind,
            subject=subject,
            data=data,
            at=self.station.now(),
            actor=self.station.actor,
        )


# Whose alerts an audit may close: a temp that vanished (transfer:…) is not found again by reading the store.
_OWN = frozenset({"location", "sidecar", "listing", "manifest", "store"})
_STATES = {Finding.MISSING: LocationState.MISSING, Finding.ALTERED: LocationState.ALTERED}


def _stranger(path: str) -> Fault:
    return Fault(Finding.UNREGISTERED, Kind.UNKNOWN, _shown(path), f"store:{_shown(path)}")


def _shown(path: str) -> str:
    return display_path(os.fsencode(path))


def _writable(paths: Iterable[str]) -> list[str]:
    """Paths that a register could hold at all: a name that is not UTF-8 is in none."""
    return [path for path in paths if is_utf8(os.fsencode(path))]


def _batched(items: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
