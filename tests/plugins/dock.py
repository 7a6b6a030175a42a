"""A recorder's card and the station it is docked at: visits by the real functions, faults and crashes at any step."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from dockd.nouns import Recorder, VisitOutcome
from dockd.offload.audit import audit_store
from dockd.offload.steps import Passed, Step, ignore
from dockd.register import recorders, visits
from dockd.register.station import Station, create_station, open_station
from dockd.register.tables import FootageRow, LocationRow, TransferRow
from dockd.settings import load_settings
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards
from dockd.visit.request import VisitRequest
from dockd.visit.story import attend

# Names that no parser is asked about: these tests are about bytes.
SECOND = 1_000_000_000
MTIME = 1_790_000_000 * SECOND


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Dock:
    """One station and one card."""

    station: Station
    files: Path
    card: Path = field(init=False)

    def __post_init__(self) -> None:
        self.files.mkdir(exist_ok=True)
        self.card = self.files

    def at(self, files: Path, *, now: Callable[[], datetime]) -> Dock:
        """The same station at another time with another card."""
        return Dock(replace(self.station, now=now), files)

    # --- the card ------------------------------------------------------------------------------------

    def lay(self, name: str | bytes, data: bytes | int, *, mtime_ns: int = MTIME) -> bytes:
        """Puts a file on the card (a number: so many random bytes); returns its bytes."""
        content = os.urandom(data) if isinstance(data, int) else data
        path = os.path.join(os.fsencode(self.files), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.utime(path, ns=(mtime_ns, mtime_ns))
        return content

    def lay_many(self, count: int, *, size: int = 1000, folder: str = "many") -> None:
        for number in range(count):
            self.lay(f"{folder}/{number:04d}.dat", size + number)

    def truth(self) -> dict[str, str]:
        """The digest of every file on the card, by its path."""
        found = (path for path in sorted(self.files.rglob("*")) if path.is_file() and not path.is_symlink())
        return {str(path.relative_to(self.files)): sha256(path.read_bytes()) for path in found}

    # --- visits --------------------------------------------------------------------------------------

    def visit(self, *, passed: Passed = ignore, before_write: Callable[[], None] = lambda: None) -> dict[str, Any]:
        """One whole visit in this process, as ``dockd offload`` makes it; returns what ``visit show`` says."""
        number = attend(
            self.station,
            VisitRequest(str(self.card), device_no="YS-07"),
            meter=Meter(lambda _: None),
            guards=Guards(before_write=before_write, passed=passed),
        )
        return self.shown(number)

    def shown(self, number: int) -> dict[str, Any]:
        with self.station.register.read() as session:
            found = visits.show_visit(session, number, zone=self.station.zone)
        assert found is not None
        return found

    def crash(self, step: Step, nth: int = 1, *, before: Callable[[], None] = lambda: None) -> bool:
        """A visit in a child that is killed when ``step`` has been passed ``nth`` times; whether it came to that.

        ``before`` is called in the child, to change its world first.
        """

        def life() -> None:
            before()
            self.visit(passed=killer(step, nth))

        return in_child(life) == -signal.SIGKILL

    def change(self, section: str, **values: Any) -> None:
        """The station with other settings: ``change("store", reserve=…)``."""
        settings = self.station.settings
        changed = replace(settings, **{section: getattr(settings, section).model_copy(update=values)})
        self.station = replace(self.station, settings=changed)

    # --- what is there afterwards ----------------------------------------------------------------------

    @property
    def store(self) -> Path:
        return self.station.store

    def temps(self) -> list[str]:
        return sorted(str(path.relative_to(self.store)) for path in (self.store / "footage").rglob("*.part"))

    def quarantined(self) -> list[str]:
        folder = self.store / ".dockd/quarantine"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def stored(self) -> list[tuple[str, str]]:
        """(path on the card, digest) of all footage that the register calls stored, each location read and compared."""
        with self.station.register.read() as session:
            rows = session.execute(
                select(FootageRow.path, FootageRow.sha256, FootageRow.size, LocationRow.path.label("location"))
                .join(LocationRow, LocationRow.footage_id == FootageRow.id)
                .where(LocationRow.state == "present")
                .order_by(FootageRow.id)
            ).all()
        for row in rows:
            data = (self.store / row.location).read_bytes()
            assert (sha256(data), len(data)) == (row.sha256, row.size), f"{row.location} is not what is said of it"
        return [(os.fsdecode(row.path), row.sha256) for row in rows]

    def locations(self) -> list[tuple[str, str]]:
        """(state, path in the store) of every place of footage, oldest first."""
        with self.station.register.read() as session:
            return [(row.state, row.path) for row in session.scalars(select(LocationRow).order_by(LocationRow.id))]

    def transfers(self) -> list[tuple[str, str | None, str | None]]:
        """(state, outcome, reason) of every transfer, in the order in which they were planned."""
        with self.station.register.read() as session:
            rows = session.scalars(select(TransferRow).order_by(TransferRow.observation_id)).all()
            return [(row.state, row.outcome, row.reason) for row in rows]

    def require_no_false_word(self) -> None:
        """What the register calls stored lies there whole, and is what the card has."""
        truth = self.truth()
        for path, digest in self.stored():
            assert truth[path] == digest

    def require_complete(self, shown: Mapping[str, Any]) -> None:
        """Everything on the card is stored exactly once, and the store holds nothing else."""
        truth = self.truth()
        assert shown["outcome"] == VisitOutcome.COMPLETE
        assert {file["path"]: file["sha256"] for file in shown["files"]} == truth
        assert Counter(self.stored()) == Counter(truth.items()), "each once, none lost"
        assert self.temps() == []
        assert audit_store(self.station).faults == ()


def killer(step: Step, nth: int) -> Passed:
    """Ends the process by SIGKILL when ``step`` has been passed for the ``nth`` time."""
    left = nth

    def passed(now: Step) -> None:
        nonlocal left
        left -= now is step
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return passed


def in_child(life: Callable[[], None]) -> int:
    """Calls ``life`` in a forked child; returns its exit code, or minus the signal that ended it."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            life()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


@dataclass
class Steps:
    """Counts the steps that were passed, and does something at one of them: ``Steps({Step.RENAMED: act})``."""

    acts: Mapping[Step, Callable[[], None]] = field(default_factory=dict)
    counts: Counter[Step] = field(default_factory=Counter)

    def __call__(self, step: Step) -> None:
        self.counts[step] += 1
        if act := self.acts.get(step):
            act()


def once(act: Callable[[], None]) -> Callable[[], None]:
    """``act`` the first time, nothing afterwards."""
    acts = [act]
    return lambda: acts.pop()() if acts else None


def first(items: Iterable[Any]) -> Any:
    return next(iter(items))


STATION_YAML = """\
agency: {name: Test Bureau, station_no: S1, language: en}
store: {root: store, reserve: 0}
register: {url: "%s"}
"""


def make_station(folder: Path, *, now: Callable[[], datetime], register: str = "sqlite:///register.db") -> None:
    """A station with the recorder YS-07 in ``folder``, closed: on SQLite it can be copied as a folder."""
    folder.mkdir()
    (folder / "dockd.yaml").write_text(STATION_YAML % register, encoding="utf-8")
    station = create_station(load_settings(folder / "dockd.yaml"), now=now, actor="person:tester")
    with station.register.write() as session:
        recorder = Recorder("YS-07", "2107731")
        recorders.add_recorder(session, recorder, station_no="S1", now=now(), actor="person:tester")
    station.close()


def open_dock(folder: Path, files: Path, *, now: Callable[[], datetime]) -> Dock:
    """The station in ``folder`` with the card ``files``; close ``dock.station`` afterwards."""
    return Dock(open_station(load_settings(folder / "dockd.yaml"), now=now, actor="person:tester"), files)


def require_no_leftovers(dock: Dock) -> None:
    """No thread of the copy is alive, no file of card or store is open, and no name but a temp's is half a file."""
    assert [thread.name for thread in threading.enumerate() if thread.daemon] == []
    held = [
        path for path in _open_files() if path.startswith((str(dock.files), str(dock.card), f"{dock.store}/footage"))
    ]
    assert held == []
    known = {path for _, path in dock.locations()}
    for path in (dock.store / "footage").rglob("*"):
        name = str(path.relative_to(dock.store))
        beside = path.suffix in (".part", ".xmp") or path.name.startswith("visit-")
        assert path.is_dir() or beside or name in known, f"{name} is visible and not stored"


def _open_files() -> list[str]:
    found = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
    return found
