"""What is asked of one visit, and what it tells while it runs: values that cross the worker's pipe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from dockd.nouns import Source


@dataclass(frozen=True, slots=True)
class VisitRequest:
    """A card that is reachable as the directory ``path``.

    ``device_no`` is a person's word and overrides every other evidence; ``docked_at`` is given
    only for footage handed in by hand (``source`` manual), ``person`` is who says so.
    """

    path: str
    source: Source = Source.DOCK
    device_no: str | None = None
    docked_at: datetime | None = None
    bay: str | None = None
    person: str | None = None
    note: str | None = None


class Phase(StrEnum):
    """What a visit is doing, as screens say it.

    ``SAFE`` and ``DESCRIBING`` say that the recorder may be removed, ``UNSAFE`` that something is
    left on its card while what is stored is described.
    """

    RECOVERING = "recovering"
    LISTING = "listing"
    COPYING = "copying"
    PROVING = "proving"
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
