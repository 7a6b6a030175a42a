"""Waiting for what another process brings about: looked for again and again, never for longer than a limit."""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import TypeVar

LIMIT_S = 60.0
_PAUSE_MS = 10

Found = TypeVar("Found")


def until(holds: Callable[[], Found], what: str = "it", *, within: float = LIMIT_S) -> Found:
    """What ``holds()`` gives as soon as that is true of it; fails after ``within`` seconds, naming ``what``."""
    end = time.monotonic() + within
    while not (found := holds()):
        assert time.monotonic() < end, f"{what} did not come within {within:g} s"
        select.poll().poll(_PAUSE_MS)
    return found
