"""A card that is used between visits as recorders and people use it, and the truth about what lay on it."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

MARK_EVERY = 64 << 10
CHUNK = 16 << 10
"""What the killed processes use instead of 64 and 4 MiB, so that a large file is a small one."""

FOLDER = "DCIM/100ANDRO"
RESET_CLOCKS = (0, 946_684_800, 315_532_800)
"""1970, 2000 and FAT's 1980: what recorders say whose battery was empty."""


@dataclass(frozen=True, slots=True)
class Recording:
    """What must be stored exactly once: whose, under which name (its important mark taken off), which bytes."""

    device_no: str
    name: str
    sha256: str


@dataclass
class Card:
    """The card of one recorder; ``files`` is what lies on it, digests by path."""

    folder: Path
    device_no: str
    serial: str
    files: dict[str, str] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        (self.folder / FOLDER).mkdir(parents=True)

    def recordings(self) -> set[Recording]:
        """What lies on the card, a file and its marked copy being one."""
        return {Recording(self.device_no, unmarked(path), digest) for path, digest in self.files.items()}

    def lay(self, path: str, data: bytes, at: float) -> None:
        """Puts a file on the card, as a new one also where another had the name; its mtime is ``at``."""
        target = self.folder / path
        target.unlink(missing_ok=True)
        target.write_bytes(data)
        os.utime(target, (at, at))
        self.files[path] = hashlib.sha256(data).hexdigest()

    def read(self, path: str) -> bytes:
        return (self.folder / path).read_bytes()

    def mtime(self, path: str) -> float:
        return (self.folder / path).stat().st_mtime

    def remove(self, path: str) -> None:
        (self.folder / path).unlink()
        del self.files[path]


def unmarked(path: str) -> str:
    """The path without the mark that recorders put into the name of what is important."""
    return path.replace("_IMP.", ".")


@dataclass
class Use:
    """What happens to a card before it is docked again, as chance has it."""

    card: Card
    rng: random.Random
    now: datetime
    clips: list[bytes]

    def __call__(self) -> None:
        before = list(self.card.files)
        for chance, act in self._acts():
            if self.rng.random() < chance:
                act()
        for path in before:
            # Only what a finished visit has seen may go: the rest is footage that a person destroyed.
            if path in self.card.files and self.rng.random() < (0.3 if len(before) < 30 else 0.8):
                self.card.remove(path)

    def _acts(self) -> tuple[tuple[float, Callable[[], None]], ...]:
        return (
            (0.9, self.record_a_few),
            (0.1, self.record_many),
            (0.6, self.record_at_length),
            (0.2, self.take_equal_bytes),
            (0.4, self.mark_as_important),
            (0.3, self.record_with_a_reset_clock),
            (0.1, self.record_with_a_clock_ahead),
            (0.2, self.touch),
            (0.15, self.write_another_under_a_name),
            (0.08, self.record_a_film),
            (0.04, self.record_half_a_film),
        )

    # --- new recordings ----------------------------------------------------------------------------------

    def record_a_few(self) -> None:
        for _ in range(self.rng.randint(1, 8)):
            self._record(self.rng.choice((0, 1, 4095, 4096, self.rng.randint(2, 60_000))))

    def record_many(self) -> None:
        for _ in range(self.rng.randint(65, 90)):  # more than share one commit
            self._record(self.rng.randint(0, 900))

    def record_at_length(self) -> None:
        """More than three marks of the journal."""
        for _ in range(self.rng.randint(1, 2)):
            self._record(3 * MARK_EVERY + self.rng.choice((0, 1, CHUNK, self.rng.randint(2, 5 * MARK_EVERY))))

    def record_with_a_reset_clock(self) -> None:
        """New footage under the name, size and time of older footage."""
        reset = self.rng.choice(RESET_CLOCKS)
        self._lay(self._name(datetime.fromtimestamp(reset).astimezone(), number=1), self._bytes(30_000), reset)

    def record_with_a_clock_ahead(self) -> None:
        ahead = self.now + timedelta(days=self.rng.randint(2, 400))
        self._lay(self._name(ahead), self._bytes(self.rng.randint(1, 9000)), ahead.timestamp())

    def record_a_film(self) -> None:
        if self.clips:
            free = self._bytes(self.rng.randint(1, 5000))
            box = (len(free) + 8).to_bytes(4, "big") + b"free" + free
            self._lay(self._name(self.now).replace(".log", ".mp4"), self.rng.choice(self.clips) + box)

    def record_half_a_film(self) -> None:
        data = b"\0\0\0\x18ftypmp42" + self._bytes(self.rng.randint(1, 9000))
        self._lay(self._name(self.now).replace(".log", ".mp4"), data)

    # --- what becomes of older ones ------------------------------------------------------------------------

    def take_equal_bytes(self) -> None:
        """Two recordings with equal bytes are two."""
        if path := self._any():
            self._lay(self._name(self.now), self.card.read(path))

    def mark_as_important(self) -> None:
        """The recorder copies what is marked under another name, or renames it."""
        path = self._any()
        if path is None or "_IMP." in path:
            return
        stem, dot, extension = path.rpartition(".")
        self._lay(f"{stem}_IMP{dot}{extension}", self.card.read(path), self.card.mtime(path))
        if self.rng.random() < 0.5:
            self.card.remove(path)

    def touch(self) -> None:
        if path := self._any():
            self._lay(path, self.card.read(path))

    def write_another_under_a_name(self) -> None:
        if path := self._any():
            self._lay(path, self._bytes(len(self.card.read(path)) + self.rng.randint(0, 1)))

    # --- means -----------------------------------------------------------------------------------------------

    def _record(self, size: int) -> None:
        self._lay(self._name(self.now), self._bytes(size))

    def _lay(self, path: str, data: bytes, at: float | None = None) -> None:
        moment = at if at is not None else (self.now - timedelta(seconds=self.rng.randint(60, 3000))).timestamp()
        self.card.lay(path, data, moment)

    def _bytes(self, size: int) -> bytes:
        return self.rng.randbytes(size)

    def _name(self, at: datetime, *, number: int | None = None) -> str:
        # No parser is asked about a log: most of the soak is about bytes.
        number = next(self.card.numbers) if number is None else number
        return f"{FOLDER}/{self.card.serial}_012345_{at:%Y%m%d%H%M%S}_{number % 1_000_000:04d}.log"

    def _any(self) -> str | None:
        return self.rng.choice(sorted(self.card.files)) if self.card.files else None


def make_clips(folder: Path) -> list[bytes]:
    """Two short films, which can be told apart from each other and from anything else by a box at the end."""
    clips = []
    for number, source in enumerate(("testsrc2=s=64x48:r=5:d=2", "smptebars=s=64x48:r=5:d=1")):
        path = folder / f"clip-{number}.mp4"
        command = ["ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-pix_fmt"]
        subprocess.run([*command, "yuv420p", "-preset", "ultrafast", str(path)], check=True)
        clips.append(path.read_bytes())
    return clips
