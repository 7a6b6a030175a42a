"""A station compared with the truth, from outside: its files, its register by plain SQL, its ledger line by line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import sqlite3
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from soak_card import Recording, unmarked

PLACES = """
    SELECT f.file_no, r.device_no, f.path, f.sha256, f.size, l.path, l.state
    FROM footage f JOIN location l ON l.footage_id = f.id LEFT JOIN recorder r ON r.id = f.recorder_id
"""
RECORDS = """
    SELECT d.id, d.important_mark, f.file_no, s.path, s.sha256
    FROM footage f
    LEFT JOIN record d ON d.footage_id = f.id
    LEFT JOIN sidecar s ON s.record_id = d.id AND s.revision = d.revision
"""
PENDING = "SELECT temp, final, state, sha256 FROM transfer WHERE temp IS NOT NULL"
SAID = """
    SELECT o.path, t.outcome, t.sha256, f.sha256
    FROM observation o JOIN transfer t ON t.observation_id = o.id LEFT JOIN footage f ON f.file_no = t.file_no
    WHERE o.visit_id = ?
"""
LINES = "SELECT seq, line, sha256 FROM event WHERE seq > ? ORDER BY seq"
MANIFESTS = "SELECT id, manifest FROM visit WHERE state = 'ended' AND manifest IS NOT NULL"
VISITS = """
    SELECT v.id, v.outcome, v.safe_at FROM visit v JOIN recorder r ON r.id = v.recorder_id
    WHERE r.device_no = ? AND v.id > ? ORDER BY v.id
"""
_VISIT_FILE = re.compile(r"visit-\d{6,}\.(?:sha256|json)\Z")


@dataclass
class Truth:
    """``laid`` is all that ever lay on a card whole; ``due`` is what must be stored from now on and for ever."""

    laid: set[Recording] = field(default_factory=set)
    due: set[Recording] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)

    def lay(self, recordings: set[Recording]) -> None:
        self.laid |= recordings
        self.digests |= {recording.sha256 for recording in recordings}


@dataclass
class Comparison:
    """Looks at a station at which nobody is at work; ``faults`` are named by their kind first."""

    folder: Path
    truth: Truth
    faults: list[tuple[str, str]] = field(default_factory=list)
    compared: int = 0
    hashed: int = 0
    _known: dict[str, tuple[tuple[int, ...], str]] = field(default_factory=dict)
    _last: tuple[int, str] = (0, "0" * 64)
    _told: set[str] = field(default_factory=set)
    _unmirrored: deque[str] = field(default_factory=deque)
    _mirrored: tuple[str, int] = ("", 0)
    _proven: set[str] = field(default_factory=set)

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def forget(self) -> None:
        """From now on every byte and every line is read again."""
        self._known.clear()
        self._proven.clear()
        self._last, self._mirrored = (0, "0" * 64), ("", 0)
        self._told.clear()
        self._unmirrored.clear()

    def compare(self, *, at_rest: bool) -> None:
        """``at_rest``: the last visit of every card came to its end, so nothing may be pending."""
        with self._reading() as db:
            places = db.execute(PLACES).fetchall()
            pending = db.execute(PENDING).fetchall()
            self._compare_ledger(db, at_rest)
            self._compare_footage(places)
            self._compare_files(places, pending, at_rest)
            self._compare_manifests(db)
            if at_rest:
                self._compare_records(db)
                self._require_quiet(db)
        self._compare_told(places)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with contextlib.closing(sqlite3.connect(self.folder / "register.db", isolation_level=None)) as db:
            db.execute("BEGIN")
            yield db

    def _blame(self, kind: str, text: str) -> None:
        self.faults.append((kind, text))

    # --- footage ---------------------------------------------------------------------------------------

    def _compare_footage(self, places: list[tuple[Any, ...]]) -> None:
        """What the register calls stored lies there whole, once, and is what a card had; nothing is lost."""
        stored: Counter[Recording] = Counter()
        for file_no, device_no, path, sha256, size, location, state in places:
            found = self._digest(location)
            if state != "present" or found is None:
                self._blame("lost", f"{location} is {state} and {'there' if found else 'absent'}")
                continue
            if found != sha256 or os.lstat(self.store / location).st_size != size:
                self._blame("false stored", f"{location} of {file_no} is not what is said of it")
            recording = Recording(device_no, unmarked(os.fsdecode(path)), sha256)
            if recording not in self.truth.laid:
                self._blame("false stored", f"{file_no}: {recording} never lay on a card")
            stored[recording] += 1
        for recording in self.truth.due - stored.keys():
            self._blame("lost", str(recording))
        for recording, times in stored.items():
            if times > 1:
                self._blame("duplicate", f"{recording} is stored {times} times")
        self.truth.due |= stored.keys()

    def _compare_files(self, places: list[tuple[Any, ...]], pending: list[tuple[Any, ...]], at_rest: bool) -> None:
        """What stands under a final name is whole; temps have an owner, and at rest there is none."""
        known = {place[5] for place in places}
        owned = {temp for temp, _, _, _ in pending}
        proven = {final: sha256 for _, final, state, sha256 in pending if state == "verified"}
        for path in self._walk("footage"):
            if path in known or path.endswith(".xmp") or _VISIT_FILE.search(path):
                continue
            if path.endswith(".part"):
                if at_rest:
                    self._blame("temp", f"{path} is left")
                elif path not in owned and not (".xmp." in path or "/." in path):
                    self._blame("temp", f"{path} belongs to nobody")
            elif at_rest:
                whole = self._digest(path) in self.truth.digests
                self._blame("duplicate" if whole else "false stored", f"{path} stands there and is not registered")
            elif proven.get(path) not in self.truth.digests or self._digest(path) != proven[path]:
                self._blame("false stored", f"{path} has its final name and is not whole")
        for path in self._walk(".dockd/quarantine"):
            self._blame("temp", f"{path} was set aside for no reason")

    def _walk(self, below: str) -> Iterator[str]:
        for folder, _, names in os.walk(self.store / below):
            inside = os.path.relpath(folder, self.store)
            yield from (f"{inside}/{name}" for name in names)

    def _digest(self, location: str) -> str | None:
        """A file's digest; read again only if its inode changed in any way since it was read."""
        self.compared += 1
        path = f"{self.store}/{location}"
        try:
            status = os.lstat(path)
        except FileNotFoundError:
            return None
        stamp = (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        known = self._known.get(location)
        if known is None or known[0] != stamp:
            self.hashed += 1
            with open(path, "rb") as file:
                known = self._known[location] = (stamp, hashlib.file_digest(file, "sha256").hexdigest())
        return known[1]

    # --- ledger ----------------------------------------------------------------------------------------

    def _compare_ledger(self, db: sqlite3.Connection, at_rest: bool) -> None:
        """The chain holds from its first line to its head; the mirror says the same, may lag and never leads."""
        for seq, line, sha256 in db.execute(
            "SELECT seq, line, sha256 FROM event WHERE seq > ? ORDER BY seq", self._last[:1]
        ):
            told = json.loads(line)
            digest = hashlib.sha256(line.encode()).hexdigest()
            if (told["seq"], seq, told["prev"], digest) != (
                self._last[0] + 1,
                self._last[0] + 1,
                self._last[1],
                sha256,
            ):
                self._blame("ledger", f"line {seq} does not follow line {self._last[0]}")
            if told["kind"] == "footage.stored":
                self._told.add(told["subject"].removeprefix("footage:"))
            self._last = (seq, digest)
            self._unmirrored.append(line)
        if db.execute("SELECT seq, sha256 FROM ledger_head").fetchone() != self._last:
            self._blame("ledger", "the head is not the last line")
        self._compare_mirror()
        if at_rest and self._unmirrored:
            self._blame("ledger", f"{len(self._unmirrored)} lines are not in the mirror")

    def _compare_mirror(self) -> None:
        name, offset = self._mirrored
        for file in sorted((self.store / "ledger/S1").glob("*.jsonl")):
            if file.name < name:
                continue
            offset = offset if file.name == name else 0
            *lines, torn = file.read_bytes()[offset:].split(b"\n")
            for line in lines:
                if not self._unmirrored or self._unmirrored.popleft().encode() != line:
                    self._blame("ledger", f"{file.name} has a line that the register has not: {line[:200]!r}")
                    return
            self._mirrored = (file.name, offset + sum(len(line) + 1 for line in lines))
            if torn and not (self._unmirrored and self._unmirrored[0].encode().startswith(torn)):
                self._blame("ledger", f"{file.name} ends with {torn[:200]!r}")

    def _compare_told(self, places: list[tuple[Any, ...]]) -> None:
        if {place[0] for place in places} != self._told:
            self._blame("ledger", "the ledger tells of other footage than the register has")

    # --- manifests, records, visits --------------------------------------------------------------------

    def _compare_manifests(self, db: sqlite3.Connection) -> None:
        """Each ended visit's manifest names what the visit stored or found stored, and agrees with the files."""
        for visit_id, manifest in db.execute(
            "SELECT id, manifest FROM visit WHERE state = 'ended' AND manifest IS NOT NULL"
        ):
            if manifest in self._proven:
                continue
            self._proven.add(manifest)
            lines = (self.store / manifest).read_text(encoding="utf-8").splitlines()
            said = {location: sha256 for sha256, location in (line.split("  ", 1) for line in lines)}
            if any(self._digest(location) != sha256 for location, sha256 in said.items()):
                self._blame("manifest", f"{manifest} does not agree with the files")
            wanted = {row[2] for row in db.execute(SAID, (visit_id,)) if "stored" in (row[1] or "")}
            wanted |= {row[3] for row in db.execute(SAID, (visit_id,)) if row[1] == "stored"}
            if wanted - {None} != set(said.values()):
                self._blame("manifest", f"{manifest} does not name the files of visit {visit_id}")

    def _compare_records(self, db: sqlite3.Connection) -> None:
        """Each footage has one record, whose present revision has its sidecar."""
        seen: Counter[str] = Counter()
        for record_id, _, file_no, path, sha256 in db.execute(RECORDS):
            seen[file_no] += 1
            if record_id is None:
                self._blame("record", f"{file_no} has no record")
            elif path is None or self._digest(path) != sha256:
                self._blame("record", f"{file_no} has no sidecar for its present revision")
        for file_no, times in seen.items():
            if times > 1:
                self._blame("record", f"{file_no} has {times} records or sidecars")

    def _require_quiet(self, db: sqlite3.Connection) -> None:
        for kind, about in db.execute("SELECT kind, about FROM alert WHERE kind IN ('store_altered', 'copy_differs')"):
            self._blame("alarm", f"{kind} {about}, and nobody touched the store")
        (left,) = db.execute("SELECT count(*) FROM visit WHERE state IN ('open', 'safe')").fetchone()
        if left:
            self._blame("visit", f"{left} visits are unfinished")
        (left,) = db.execute("SELECT count(*) FROM journal").fetchone()
        if left:
            self._blame("visit", f"{left} marks of the journal are left")

    def compare_visits(self, device_no: str, since: int, files: dict[str, str], *, finished: bool) -> None:
        """What visits after number ``since`` said of the files of a card; ``finished``: the last of them said all."""
        query = "SELECT v.id, v.outcome, v.safe_at FROM visit v JOIN recorder r ON r.id = v.recorder_id"
        with self._reading() as db:
            rows = db.execute(
                f"{query} WHERE r.device_no = ? AND v.id > ? ORDER BY v.id", (device_no, since)
            ).fetchall()
            for visit_id, _, _ in rows:
                for path, outcome, sha256, of_footage in db.execute(SAID, (visit_id,)):
                    name = os.fsdecode(path)
                    if outcome in ("stored", "already_stored") and not sha256 == of_footage == files[name]:
                        self._blame("false stored", f"visit {visit_id} calls {name} {outcome}")
            if finished:
                visit_id, outcome, safe_at = rows[-1]
                said = {os.fsdecode(row[0]): row[1] for row in db.execute(SAID, (visit_id,))}
                whole = set(said) == set(files) and set(said.values()) <= {"stored", "already_stored"}
                if outcome != "complete" or not safe_at or not whole:
                    self._blame("visit", f"visit {visit_id} is {outcome}: {said}")
                self._require_marks(db, device_no, files)

    def _require_marks(self, db: sqlite3.Connection, device_no: str, files: dict[str, str]) -> None:
        """What has its important mark on the card has it in its record."""
        marked = {Recording(device_no, unmarked(path), digest) for path, digest in files.items() if "_IMP." in path}
        important = {file_no for _, important, file_no, _, _ in db.execute(RECORDS) if important}
        for file_no, number, path, sha256, _, _, _ in db.execute(PLACES):
            if Recording(number, unmarked(os.fsdecode(path)), sha256) in marked and file_no not in important:
                self._blame("record", f"{file_no} lost its important mark")

    def last_visit(self) -> int:
        with self._reading() as db:
            return int(db.execute("SELECT coalesce(max(id), 0) FROM visit").fetchone()[0])

    def landing(self, since: int) -> str:
        """Where a kill hit: what its visit had come to."""
        with self._reading() as db:
            row = db.execute("SELECT id, state FROM visit WHERE id > ? ORDER BY id DESC LIMIT 1", (since,)).fetchone()
            pending = db.execute(PENDING).fetchall()
        if any(state == "copying" and (self.store / temp).exists() for temp, _, state, _ in pending):
            return "mid-file"
        if any(state == "verified" for _, _, state, _ in pending):
            return "between proof and name"
        if row is None:
            return "before the visit"
        return {"open": "between files", "safe": "after safe", "ended": "at the end"}[row[1]]
