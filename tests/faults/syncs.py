"""The fsyncs of the code under test, by the place that calls them: to list them, and to leave one out."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any

LEFT_OUT = "left out"
_PLUMBING = ("offload.durable", "register.disk", "export.atomic")
"""Rooms whose functions sync for others: the place is who called them."""


def place_of(frame: FrameType | None) -> str:
    """Who syncs: the function of the code under test that has a reason, and the plumbing that it called."""
    inner = ""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        room, function = module.removeprefix("dockd."), frame.f_code.co_name
        if module.startswith("dockd."):
            if room not in _PLUMBING:
                return f"{room}.{function}{inner}"
            inner = f" > {function}"
        frame = frame.f_back
    return inner


def on_each_sync(decide: Callable[[str], bool]) -> None:
    """From now on ``decide`` is asked before each fsync and fdatasync of Python code; no: it is not done."""
    for name in ("fsync", "fdatasync"):
        setattr(os, name, _asking(getattr(os, name), decide))


def _asking(real: Callable[[int], None], decide: Callable[[str], bool]) -> Callable[[int], None]:
    def sync(fd: int) -> None:
        kind = " (folder)" if stat.S_ISDIR(os.fstat(fd).st_mode) else ""
        if decide(place_of(sys._getframe(1)) + kind):
            real(fd)

    return sync


def leave_out(places: Collection[str], tell: Callable[[str], None]) -> None:
    """The syncs of ``places`` are not done any more; ``tell`` hears of each that is not."""

    def decide(found: str) -> bool:
        if found in places:
            tell(LEFT_OUT)
        return found not in places

    on_each_sync(decide)


def weaken_register(level: str) -> None:
    """SQLite's ``synchronous`` is ``level`` whatever the code asks for."""
    real = sqlite3.connect

    class Weak(sqlite3.Connection):
        def execute(self, sql: str, *said: Any) -> sqlite3.Cursor:
            return super().execute(f"PRAGMA synchronous={level}" if "PRAGMA synchronous" in sql else sql, *said)

    def connect(*said: Any, **named: Any) -> sqlite3.Connection:
        return real(*said, **named | {"factory": Weak})

    sqlite3.connect = connect  # type: ignore[assignment]
