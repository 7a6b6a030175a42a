"""The part that sees that the configuration has changed, and has it read again: as a whole, or not at all.

It is the folder that is watched and the name that is looked for: editors and administration tools replace a file by
renaming another. A configuration that cannot be taken leaves the old one in force and is alerted; the alert ends
with the first one that can be.
"""

from __future__ import annotations

import os
from typing import Any, ClassVar

import structlog

from dockd.errors import ConfigInvalid, DockdError
from dockd.service.errands import Alarm, Settled
from dockd.service.loop import Moment
from dockd.service.parts import Part, Surroundings
from dockd.service.watching import Watch

SOON_S = 0.5
"""How long it must have been the same before it is read: an editor writes more than once."""

_LOOK_S = 60.0
_ABOUT = "configuration"

_log = structlog.get_logger()

Mark = tuple[int, int, int]


class Rereading(Part):
    name: ClassVar[str] = "configuration"

    def __init__(self) -> None:
        self._around: Surroundings | None = None
        self._watches: list[Watch] = []
        self._moment: Moment | None = None
        self._seen: Mark | None = None
        self._settling: Mark | None = None
        self._refused = ""

    def start(self, around: Surroundings) -> None:
        self._around = around
        file = os.fspath(around.settings.file)
        self._seen = mark_of(file)
        places = {os.path.split(file), os.path.split(os.path.realpath(file))}
        self._watches = [
            Watch(folder or "/", self._hear, names=[name, os.path.basename(folder)]) for folder, name in places
        ]
        self._look()

    def stop(self) -> None:
        for watch in self._watches:
            watch.end()
        if self._moment:
            self._moment.cancel()

    def show(self) -> Any:
        return {"refused": self._refused or None}

    def _hear(self) -> None:
        """In a thread of watchdog's."""
        around = self._around
        if around:
            around.loop.say(lambda: self._look_in(SOON_S))

    def _look_in(self, seconds: float) -> None:
        """No later than that: what else changes in the folder, however often, does not put it off."""
        if self._around:
            self._moment = self._around.loop.no_later(self._moment, seconds, self._look)

    def _look(self) -> None:
        around = self._around
        if around is None:
            return
        for watch in self._watches:
            watch.renew()
        found, before = mark_of(os.fspath(around.settings.file)), self._settling
        new = found is not None and found != self._seen  # a file that is away for a moment is being replaced
        self._settling = found if new and found != before else None
        if new and found == before:
            self._seen = found
            self._read(around)
        self._look_in(SOON_S if self._settling else _LOOK_S)

    def _read(self, around: Surroundings) -> None:
        try:
            around.reload()
        except DockdError as error:
            self._refused = _said(error)
            _log.error("configuration_refused", error=error.name)
            around.crew.hire(
                Alarm(around.settings, "config_refused", _ABOUT, {"evidence": self._refused}), on_end=lambda _: None
            )
        else:
            self._refused = ""
            around.crew.hire(Settled(around.settings, "config_refused", _ABOUT), on_end=lambda _: None)


def mark_of(file: str) -> Mark | None:
    """What tells one state of the file from another; None where there is none."""
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _said(error: DockdError) -> str:
    """Where the mistake is, without the value that stands there: it may be a password."""
    if isinstance(error, ConfigInvalid):
        return f"line {error.fields['line']}, {error.fields['key']}"
    return error.name
