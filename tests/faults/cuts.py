"""A visit on the forgetful disk, what a power cut leaves of it, and whether every promise held.

Two questions are asked of what a cut leaves. Does what is durable say anything that is not so
(``Scene.broken``, of the image alone)? And does a plain second visit end as if nothing had happened
(``Scene.complaints``, of what that visit left)?
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import shutil
import signal
import sqlite3
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import structlog
from dock import MTIME, killer, make_station, open_dock, sha256
from forgetful import Disk, Manner, Trace, forgetful, say
from medium import Fate, Image

from dockd.card.profile import load_profiles
from dockd.errors import DockdError
from dockd.offload import pipeline, reader
from dockd.offload.audit import audit_store
from dockd.offload.steps import Passed, Step, ignore
from dockd.register import alerts
from dockd.register.ledger import verify_ledger
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards
from dockd.visit.request import Phase, Progress, VisitRequest
from dockd.visit.story import attend

CHUNK, MARK_EVERY = 16 << 10, 64 << 10
"""Small, so that a file of 150 kB has two marks."""

DOCKED = datetime.fromisoformat("2026-11-23T10:00:00+08:00")
FOOTAGE = (".dat", ".mp4")
"""The extensions of what tests lay on cards."""

Tell = Callable[[str], None]
Promise = Callable[[Image, set[str], Path], Iterator[str]]
"""What is not so although it was promised: of an image, given what was said, with a folder to work in."""


@dataclass(frozen=True)
class Left:
    """What a visit left: its summary, what audit and ledger verification say, open alerts, and the store's files."""

    shown: dict[str, Any]
    faults: list[str]
    problems: list[str]
    alarms: Counter[str]
    files: dict[str, str] = field(repr=False)

    @property
    def footage(self) -> Counter[str]:
        """Digests of the recordings in the store."""
        return Counter(digest for path, digest in self.files.items() if path.endswith(FOOTAGE))


@dataclass(frozen=True)
class Scene:
    """A station as it is before a visit, the card that is docked, and what is done: a visit, or ``program``.

    ``trouble`` is what happens during the recorded run; ``promise`` is what a program promises that is no visit.
    """

    folder: Path
    station: Path
    card: Path
    at: datetime = DOCKED
    program: Callable[[Scene, Path, Tell, Passed], None] | None = None
    trouble: type[Trouble] | None = None
    promise: Promise | None = None

    # --- the card ------------------------------------------------------------------------------------

    def lay(self, name: str, data: bytes | int, *, mtime_ns: int = MTIME) -> None:
        """Puts a file on the card (a number: so many bytes, always the same for a name and number)."""
        path = self.card / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else some_bytes(name, data))
        os.utime(path, ns=(mtime_ns, mtime_ns))

    def truth(self) -> dict[str, str]:
        """The digest of every file on the card, by its path."""
        found = (path for path in sorted(self.card.rglob("*")) if path.is_file())
        return {str(path.relative_to(self.card)): sha256(path.read_bytes()) for path in found}

    # --- running it on the forgetful disk --------------------------------------------------------------

    def record(
        self,
        *,
        manner: Manner | None = None,
        before: Callable[[Tell], None] | None = None,
        killed_at: int | tuple[str, str] | Step | None = None,
    ) -> Trace:
        """Runs the program on a forgetful copy of the station and returns all that it did.

        ``before`` changes the child's world first. With ``killed_at`` a first run is killed at that call
        or step, without a cut, and what is returned goes on with a second run.
        """
        with forgetful(self.station, self.folder / "mnt", manner) as disk:
            passed = self.trouble(self.card, disk.path / "store") if self.trouble else ignore
            if killed_at is not None:
                self._kill(disk, killed_at)
            ended, _ = in_child(lambda: self._run(disk.path, passed, before))
        assert ended == 0, f"the recorded run ended with {ended}"
        return disk.trace()

    def cut_alive(self, number: int, *, manner: Manner | None = None) -> Trace:
        """Runs the program until the power goes at call ``number`` (its process is killed there and then)."""
        with forgetful(self.station, self.folder / "mnt", manner) as disk:

            def life() -> None:
                disk.kill_at(number, os.getpid(), cut=True)
                self._run(disk.path, ignore)

            in_child(life)
        return disk.trace()

    def _kill(self, disk: Disk, where: int | tuple[str, str] | Step) -> None:
        def life() -> None:
            if isinstance(where, Step):
                self._do(disk.path, _silence, killer(where, 1))
            else:
                disk.kill_at(where, os.getpid(), cut=False)
                self._do(disk.path, _silence, ignore)

        in_child(life)
        disk.spare()  # threads are not always equally fast: it may have ended before that call

    def _run(self, at: Path, passed: Passed, before: Callable[[Tell], None] | None = None) -> None:
        def tell(word: str) -> None:
            say(at, word)

        if before:
            before(tell)
        self._do(at, tell, passed)
        tell("returned")

    def _do(self, at: Path, tell: Tell, passed: Passed) -> None:
        if self.program:
            self.program(self, at, tell, passed)
        else:
            visit(self, at, tell, passed)

    # --- what a cut leaves -------------------------------------------------------------------------------

    def broken(self, image: Image, said: Iterable[str] = ()) -> list[str]:
        """What is durable (or was said before the cut) and is not so, save what was not so before the run."""
        if self.promise:
            return sorted(self.promise(image, set(said), self.folder))
        return sorted(set(broken_promises(image, self.truth(), set(said), self.folder)) - self._broken_before)

    def recover(self, image: Image) -> Left | DockdError:
        """Lays the image on a plain folder and runs a visit there, as the next start does; or why it cannot."""
        folder = image.lay(self.folder / "after")
        try:
            return self.attend(folder)
        finally:
            shutil.rmtree(folder)

    def attend(self, folder: Path) -> Left | DockdError:
        """A visit of the station in ``folder``, in a child."""
        ended, left = in_child(lambda: look(self, folder))
        assert ended == 0, ended
        return left

    def complaints(self, left: Left | DockdError) -> list[str]:
        """What is not as it should be: the card's files each once and whole, nothing else, nobody alarmed."""
        if isinstance(left, DockdError):
            return [f"{left.name}: {left}"]
        return [*left.faults, *left.problems, *self._of_files(left), *self._of_store(left)]

    def _of_files(self, left: Left) -> Iterator[str]:
        files = {file["path"]: (file["outcome"], file["sha256"]) for file in left.shown["files"]}
        for path, digest in self.truth().items():
            outcome, found = files.get(path, (None, None))
            if outcome not in ("stored", "already_stored") or found != digest:
                yield f"{path} is {outcome}"
        if left.shown["outcome"] != "complete" or not left.shown["safe_at"]:
            yield f"the visit is {left.shown['outcome']}, safe at {left.shown['safe_at']}"

    def _of_store(self, left: Left) -> Iterator[str]:
        usual = self.usual
        if left.footage != usual.footage:
            yield f"lost {usual.footage - left.footage}, too many {left.footage - usual.footage}"
        for path in left.files:
            if (path.endswith(".part") or "quarantine" in path) and path not in usual.files:
                yield f"left over: {path}"
        yield from (f"alarm: {kind}" for kind in left.alarms - usual.alarms)

    @cached_property
    def usual(self) -> Left:
        """What a visit leaves when nothing happens."""
        shutil.copytree(self.station, self.folder / "usual")
        left = self.attend(self.folder / "usual")
        shutil.rmtree(self.folder / "usual")
        assert isinstance(left, Left), left
        return left

    @cached_property
    def _broken_before(self) -> set[str]:
        image = Trace(self.station, []).at(0, Fate("all"))
        return set(broken_promises(image, self.truth(), set(), self.folder))

    def on(self, image: Image, name: str) -> Scene:
        """The same card at the station that a cut left."""
        return replace(self, station=image.lay(self.folder / name))


# --- scenes -----------------------------------------------------------------------------------------------


def some_bytes(name: str, size: int) -> bytes:
    """Bytes that no compression and no zero-filled hole equals."""
    return hashlib.shake_128(name.encode()).digest(size)


def make_scene(folder: Path, lay: Callable[[Scene], Scene]) -> Scene:
    """A station with the recorder YS-07 in ``folder``, which is made, and the card that ``lay`` fills.

    The station was made a month ago, so that its next visit begins a new file of the ledger's mirror.
    """
    load_profiles(None)  # once, and not in every child
    folder.mkdir()
    make_station(folder / "station", now=lambda: DOCKED - timedelta(days=31))
    scene = Scene(folder, folder / "station", folder / "card")
    scene.card.mkdir()
    return lay(scene)


def small_card(scene: Scene) -> Scene:
    """A few files: two with equal bytes, one empty, one with two journal marks."""
    scene.lay("DCIM/101/LONG.dat", 150_000)
    return short_card(scene)


def short_card(scene: Scene) -> Scene:
    """The same without the long one: no marks."""
    scene.lay("DCIM/100/A.dat", 700)
    scene.lay("DCIM/100/B.dat", b"equal bytes are not equal recordings")
    scene.lay("DCIM/101/C.dat", b"equal bytes are not equal recordings")
    scene.lay("DCIM/101/EMPTY.dat", b"")
    return scene


def lone_card(scene: Scene) -> Scene:
    """One short file: no other one comes into its folder and makes durable, in passing, what was not."""
    scene.lay("DCIM/100/A.dat", 700)
    return scene


def long_card(scene: Scene) -> Scene:
    """One file with two journal marks."""
    scene.lay("DCIM/101/LONG.dat", 150_000)
    return scene


def returning_card(scene: Scene) -> Scene:
    """The same card a day later: something known, touched, marked important, new, and gone from the store."""
    name = "DCIM/100/2107731_012345_20261123080000_0001{}.mp4"
    scene.lay("DCIM/100/KNOWN.dat", 700)
    scene.lay("DCIM/100/TOUCHED.dat", 800)
    scene.lay("DCIM/100/LOST.dat", 900)
    scene.lay(name.format(""), 1000)
    first = scene.attend(scene.station)
    assert isinstance(first, Left)
    lost = next(file["location"] for file in first.shown["files"] if file["path"].endswith("LOST.dat"))
    (scene.station / "store" / lost).unlink()
    scene.lay("DCIM/100/TOUCHED.dat", 800, mtime_ns=MTIME + 10**9)
    scene.lay(name.format("IMP"), some_bytes(name.format(""), 1000))
    scene.lay("DCIM/100/NEW.dat", 600)
    return replace(scene, at=DOCKED + timedelta(days=1))


def lost_card(scene: Scene) -> Scene:
    """A card of which all was stored the day before, and is gone from the store."""
    idle_card(scene)
    for path in scene.station.rglob("store/footage/**/*.dat"):
        path.unlink()
    return replace(scene, at=DOCKED + timedelta(days=1))


def idle_card(scene: Scene) -> Scene:
    """A card of which everything was stored the day before."""
    scene.lay("DCIM/100/KNOWN.dat", 700)
    scene.attend(scene.station)
    return replace(scene, at=DOCKED + timedelta(days=1))


def worn_card(scene: Scene) -> Scene:
    """Two files, for a visit that is troubled (``Trouble``)."""
    scene.lay("DCIM/100/A.dat", 2000)
    scene.lay("DCIM/100/B.dat", 400_000)  # longer than all buffers, so that it can change while it is read
    return replace(scene, trouble=Trouble)


def stray_card(scene: Scene) -> Scene:
    """A visit was killed, and a temp of nobody lies in its folder."""
    short_card(scene)
    in_child(lambda: visit(scene, scene.station, _silence, killer(Step.RENAMED, 1)))
    folder = next(scene.station.glob("store/footage/*/*/*/YS-07"))
    (folder / "S1-20261123-000099-00001.dat.part").write_bytes(b"whose")
    return scene


def changed_card(scene: Scene) -> Scene:
    """A visit was killed in the middle of a file, which was written anew before the card came back."""
    long_card(scene)
    in_child(lambda: visit(scene, scene.station, _silence, killer(Step.MARK_KEPT, 1)))
    scene.lay("DCIM/101/LONG.dat", 160_000, mtime_ns=MTIME + 10**9)
    return scene


def mirror_anew(scene: Scene) -> Scene:
    """The same where the store has no mirror."""
    shutil.rmtree(scene.station / "store/ledger/S1")
    return mirror_only(scene)


def mirror_torn(scene: Scene) -> Scene:
    """The same where a crash left half a line."""
    scene = mirror_only(scene)
    with contextlib.closing(sqlite3.connect(scene.station / "register.db")) as register:
        line = register.execute("SELECT line FROM event WHERE seq = 2").fetchone()[0]
    with next(scene.station.glob("store/ledger/S1/*.jsonl")).open("ab") as file:
        file.write(line.encode()[:40])
    return scene


def mirror_only(scene: Scene) -> Scene:
    """No visit: only what the ledger lacks in the store is mirrored."""
    short_card(scene)
    for number in range(6):
        _tell_ledger(scene, number)
    return replace(scene, program=_mirror)


class Trouble:
    """While ``worn_card`` is copied, A's temp is altered on the medium before it is read back, and B grows."""

    def __init__(self, card: Path, store: Path) -> None:
        self._growing, self._store = card / "DCIM/100/B.dat", store
        self._altered = self._grown = False

    def __call__(self, step: Step) -> None:
        temps = {path.name: path for path in (self._store / "footage").rglob("*.dat.part")}
        if step is Step.TEMP_CREATED and len(temps) == 2 and not self._grown:
            self._grown = True
            with self._growing.open("ab") as file:
                file.write(b"more")
        if step is Step.TEMP_SYNCED and not self._altered:
            self._altered = True
            with temps[min(temps)].open("r+b") as file:
                file.write(b"!")


# --- what runs ----------------------------------------------------------------------------------------------


def visit(scene: Scene, folder: Path, tell: Tell, passed: Passed) -> int:
    """One visit by the real story, with small buffers and marks; ``tell`` hears when "safe to remove" is said."""
    structlog.configure(processors=[_drop])
    pipeline.CHUNK, reader.MARK_EVERY = CHUNK, MARK_EVERY

    def hear(progress: Progress) -> None:
        if progress.phase is Phase.SAFE:
            tell("safe")

    station = open_dock(folder, scene.card, now=lambda: scene.at).station
    try:
        request = VisitRequest(str(scene.card), device_no="YS-07")
        return attend(station, request, meter=Meter(hear), guards=Guards(passed=passed))
    finally:
        station.close()


def _silence(_: str) -> None:
    """Nobody is told."""


def _drop(*_: Any) -> Any:
    raise structlog.DropEvent


def look(scene: Scene, folder: Path) -> Left | DockdError:
    """A visit, and all that can be said afterwards."""
    try:
        number = visit(scene, folder, _silence, ignore)
    except DockdError as error:
        return error
    dock = open_dock(folder, scene.card, now=lambda: scene.at)
    try:
        audit = audit_store(dock.station)
        dock.station.mirror_ledger()
        ledger = verify_ledger(dock.station.register, dock.station.store, "S1")
        with dock.station.register.read() as session:
            alarms = Counter(alert.kind for alert in alerts.list_alerts(session, open_only=True))
        return Left(
            dock.shown(number),
            [f"{fault.finding} {fault.kind} {fault.location} {fault.reason}" for fault in audit.faults],
            [*map(str, ledger.problems), *([] if ledger.mirrored == ledger.lines else ["the mirror lags"])],
            alarms,
            {
                str(path.relative_to(dock.store)): sha256(path.read_bytes())
                for path in sorted(dock.store.rglob("*"))
                if path.is_file()
            },
        )
    finally:
        dock.station.close()


def _mirror(scene: Scene, folder: Path, tell: Tell, passed: Passed) -> None:
    dock = open_dock(folder, scene.card, now=lambda: scene.at)
    dock.station.mirror_ledger()
    dock.station.close()


def _tell_ledger(scene: Scene, number: int) -> None:
    from dockd.nouns import Recorder
    from dockd.register import recorders

    dock = open_dock(scene.station, scene.card, now=lambda: scene.at)
    with dock.station.register.write() as session:
        one = Recorder(f"YS-1{number}", f"210774{number}")
        recorders.add_recorder(session, one, station_no="S1", now=scene.at, actor="person:tester")
    dock.station.close()


def in_child(life: Callable[[], Any]) -> tuple[int, Any]:
    """Calls ``life`` in a forked child; returns how it ended (minus a signal's number) and what it returned."""
    heard, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.close(heard)
            with open(told, "wb") as pipe:
                pipe.write(pickle.dumps(life()))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(told)
    with open(heard, "rb") as pipe:
        answer = pipe.read()
    ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert ended in (0, -signal.SIGKILL), f"the child ended with {ended}"
    return ended, pickle.loads(answer) if answer else None


# --- the image alone ----------------------------------------------------------------------------------------


def broken_promises(image: Image, card: dict[str, str], said: set[str], folder: Path) -> Iterator[str]:
    """What the durable register (or the program, before the cut) promises, and the durable store does not keep."""
    with register_of(image, folder) as ask:
        asked = _Asked(image, ask)
        yield from asked.of_footage()
        yield from asked.of_temps()
        yield from asked.of_companions()
        yield from asked.of_mirror("returned" in said)
        yield from asked.of_safe(card, "safe" in said)


Ask = Callable[[str], list[sqlite3.Row]]
_answers: dict[str, dict[str, list[sqlite3.Row]]] = {}
"""What registers answered, by their bytes: most cuts leave the same one."""


@contextlib.contextmanager
def register_of(image: Image, folder: Path, file: str = "register.db") -> Iterator[Ask]:
    """Queries to a register of an image, as SQLite recovers it. Raises sqlite3.DatabaseError."""
    found = {suffix: image.files[file + suffix].data for suffix in ("", "-wal") if file + suffix in image.files}
    known = _answers.setdefault(sha256(b"".join(b"%d " % len(data) + data for data in found.values())), {})
    with contextlib.ExitStack() as opened:
        register: list[sqlite3.Connection] = []

        def ask(query: str) -> list[sqlite3.Row]:
            if query not in known:
                register[:] = register or [opened.enter_context(_opened(found, folder / "asked"))]
                known[query] = register[0].execute(query).fetchall()
            return known[query]

        yield ask


@contextlib.contextmanager
def _opened(found: dict[str, bytes], place: Path) -> Iterator[sqlite3.Connection]:
    place.mkdir()
    try:
        for suffix, data in found.items():
            (place / f"register.db{suffix}").write_bytes(data)
        with contextlib.closing(sqlite3.connect(place / "register.db")) as register:
            register.row_factory = sqlite3.Row
            register.execute("PRAGMA synchronous=OFF")
            yield register
    finally:
        shutil.rmtree(place)


@dataclass(frozen=True)
class _Asked:
    image: Image
    _rows: Ask

    def _data(self, place: str | None) -> bytes | None:
        leaf = self.image.files.get(f"store/{place}")
        return leaf.data if leaf else None

    def _holds(self, place: str, digest: str) -> bool:
        data = self._data(place)
        return data is not None and sha256(data) == digest

    def of_footage(self) -> Iterator[str]:
        """Law 2: what is called stored is there, whole, read-only."""
        query = (
            "SELECT l.path, f.sha256 FROM footage f JOIN location l ON l.footage_id = f.id WHERE l.state = 'present'"
        )
        for place, digest in self._rows(query):
            if not self._holds(place, digest):
                yield f"{place} is called stored and is not there whole"
            elif self.image.files[f"store/{place}"].mode != 0o440:
                yield f"{place} is called stored and can be written to"
        query = (
            "SELECT t.observation_id FROM transfer t LEFT JOIN footage f ON f.file_no = t.file_no"
            " WHERE t.outcome IN ('stored', 'stored_damaged', 'already_stored') AND f.id IS NULL"
        )
        yield from (f"transfer {row[0]} is called stored and has no footage" for row in self._rows(query))

    def of_temps(self) -> Iterator[str]:
        """Verified rows have their file under one of its names; marks have their bytes; ended visits have no rest."""
        for row in self._rows("SELECT temp, final, sha256 FROM transfer WHERE state = 'verified'"):
            if not (self._holds(row["temp"], row["sha256"]) or self._holds(row["final"], row["sha256"])):
                yield f"{row['final']} is called verified and is gone"
        query = (
            "SELECT t.temp, j.offset, j.prefix_sha256 FROM journal j JOIN transfer t USING (observation_id)"
            " WHERE t.state = 'copying'"
        )
        for temp, offset, digest in self._rows(query):
            # moved aside by a visit that was cut off before its row said so: the next one's says it
            aside = f".dockd/quarantine/{temp.rpartition('/')[2]}"
            if sha256((self._data(temp) or self._data(aside) or b"")[:offset]) != digest:
                yield f"{temp} has not the bytes that its mark at {offset} promises"
        query = (
            "SELECT t.temp FROM transfer t JOIN visit v ON v.id = t.visit_id"
            " WHERE t.state = 'done' AND t.temp IS NOT NULL AND v.state = 'ended'"
        )
        yield from (f"{row[0]} was removed and is back" for row in self._rows(query) if self._data(row[0]) is not None)
        for final, tries in self._rows("SELECT final, attempts FROM transfer WHERE attempts > 0"):
            for number in range(1, tries + 1):
                aside = f".dockd/quarantine/{final.rpartition('/')[2]}.differs-{number}"
                if self._data(aside) is None:
                    yield f"{aside} was kept as evidence and is gone"
        query = "SELECT json_extract(line, '$.data.quarantined') FROM event WHERE kind = 'visit.recovered'"
        for (places,) in self._rows(query):
            yield from (f"{place} was told and is gone" for place in json.loads(places) if self._data(place) is None)
        query = query.replace("visit.recovered", "visit.temp_set_aside")
        yield from (f"{row[0]} was told and is gone" for row in self._rows(query) if self._data(row[0]) is None)

    def of_companions(self) -> Iterator[str]:
        """Sidecars, manifests and listings that the register names."""
        for place, digest in self._rows("SELECT path, sha256 FROM sidecar"):
            if not self._holds(place, digest):
                yield f"sidecar {place} is registered and is not there whole"
        for number, place in self._rows("SELECT id, manifest FROM visit WHERE manifest IS NOT NULL"):
            lines = (self._data(place) or b"").decode().splitlines()
            if not lines or not all(self._holds(line[66:], line[:64]) for line in lines):
                yield f"manifest of visit {number} is registered and does not pass"
        query = (
            "SELECT json_extract(line, '$.data.listing.path'), json_extract(line, '$.data.listing.sha256') FROM event"
            " WHERE kind = 'visit.ended' AND json_extract(line, '$.data.listing') IS NOT NULL"
        )
        for place, digest in self._rows(query):
            if not self._holds(place, digest):
                yield f"listing {place} is registered and is not there whole"

    def of_mirror(self, returned: bool) -> Iterator[str]:
        """The mirror never leads, and holds everything once a visit has returned."""
        lines = [row[0] for row in self._rows("SELECT line FROM event ORDER BY seq")]
        folder = "store/ledger/S1/"
        mirrored = b"".join(leaf.data for path, leaf in self.image.files.items() if path.startswith(folder + "20"))
        told = [line.encode() if isinstance(line, str) else line for line in lines]
        whole = mirrored.split(b"\n")[:-1]
        if len(whole) > len(told):
            yield f"the mirror leads by {len(whole) - len(told)} lines"
        if returned and whole != told:
            yield "the program has returned and the mirror is not whole"

    def of_safe(self, card: dict[str, str], said: bool) -> Iterator[str]:
        """Law 3: once safe is said or written, every file of the card is stored."""
        newest = self._rows("SELECT safe_at FROM visit ORDER BY id DESC LIMIT 1")
        written = bool(newest and newest[0]["safe_at"])
        lacking = set(card.values()) - {row[0] for row in self._rows("SELECT sha256 FROM footage")}
        if (said or written) and lacking:
            yield f"safe to remove, and {len(lacking)} files are not stored"
        if said and not written:
            yield "safe to remove was said before it was durable"
