"""What is asked of one visit, and what it tells while it runs: values that cross the worker's pipe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dockd.nouns import Rung, Source


@dataclass(frozen=True, slots=True)
class Root:
    """A card's root directory that somebody else opened, from a mount that stands in no mount table.

    ``options`` are the only word on how it is mounted. Without ``fs_type`` it is an ordinary directory
    that can be reached by its path too. ``heads`` are bytes of the device with their offsets. The visit closes ``fd``.
    """

    fd: int
    fs_type: str
    options: tuple[str, ...]
    heads: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class VisitRequest:
    """A card that is reachable as the directory ``path``, or as ``root``: then ``path`` is only its name for people.

    ``device_no`` is a person's word and overrides every other evidence; ``docked_at`` is when the recorder
    was docked, or for footage handed in by hand (``source`` manual) when that was; ``person`` is who says so.
    ``called`` is what people call the directory, where ``path`` is only how this process reaches it.
    ``driver_serial`` is what the recorder said of itself when it was unlocked.
    """

    path: str
    source: Source = Source.DOCK
    device_no: str | None = None
    docked_at: datetime | None = None
    bay: str | None = None
    person: str | None = None
    note: str | None = None
    root: Root | None = None
    called: str | None = None
    driver_serial: str | None = None

    @property
    def name(self) -> str:
        """The directory as people know it."""
        return self.called or self.path


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose recorder a visit found to be docked, before it writes that down; ``instance`` is the card."""

    device_no: str | None
    rung: Rung
    instance: str
    files: int


@dataclass(frozen=True, slots=True)
class Turn:
    """What waits to be copied: ``deadline`` is the next one that can still be met, provisionally (article 23)."""

    visit_id: int
    deadline: datetime | None
    overdue: bool
    files: int
    size: int


class Phase(StrEnum):
    """What a visit is doing, as screens say it.

    ``SAFE`` and ``DESCRIBING`` say that the recorder may be removed, ``UNSAFE`` that something is
    left on its card while what is stored is described. ``QUEUED`` waits for its turn, ``PAUSED`` for
    the store, ``AWAY`` for a card that went a moment ago.
    """

    RECOVERING = "recovering"
    LISTING = "listing"
    QUEUED = "queued"
    COPYING = "copying"
    PROVING = "proving"
    PAUSED = "paused"
    AWAY = "away"
    SAFE = "safe"
    UNSAFE = "unsafe"
    DESCRIBING = "describing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Progress:
    """A snapshot for a screen: files and bytes of this visit, and the file at hand (no path in logs)."""

    phase: Phase
    files: int = 0
    files_done: int = 0
    bytes_total: int = 0
    bytes_read: int = 0
    bytes_proven: int = 0
    current: str = ""
    ticks: int = 0
    reason: str = ""
