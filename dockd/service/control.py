"""The control socket: people's commands on an installed station, each carried out by a worker of its own.

Anybody may connect; the worker asks the kernel who it is and the table what that person may do. A
client that says nothing, or stops reading, holds up only its own worker; how many one person and all
together may have is capped, and who was refused often waits a while (each refusal is a ledger line).
"""

from __future__ import annotations

import os
import socket
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import structlog

from dockd.errors import ControlUnusable, Exit, ServiceRuns
from dockd.service import wire
from dockd.service.crew import Ended
from dockd.service.parts import Part, Surroundings
from dockd.service.person import peer_uid
from dockd.settings import Settings
from dockd.visit.worker import Lifeline

if TYPE_CHECKING:
    from dockd.service.served import Commandline

MOST = 32
MOST_EACH = 8
MOST_REFUSALS, REFUSALS_S = 20, 60.0

_BACKLOG = 64
_OPEN_FOLDER = 0o755
_ANYBODY = 0o666  # who may do what is asked of everyone who comes in
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Serving:
    """What a worker does with one connection."""

    settings: Settings
    uid: int
    now: Callable[[], datetime]
    commands: Commandline

    def __call__(self, send: Callable[[object], None], lifeline: Lifeline, fds: tuple[int, ...]) -> int:
        from dockd.service.served import serve

        del send
        with socket.socket(fileno=fds[0]) as conn:
            return serve(conn, self.settings, self.uid, commands=self.commands, now=self.now, watched=lifeline.fd)


@dataclass(slots=True)
class Doorkeeper:
    """Who comes in: no more than so many at once, and nobody who was refused too often lately. Pure."""

    inside: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    refused: dict[int, deque[float]] = field(default_factory=lambda: defaultdict(deque))

    def lets_in(self, uid: int, now: float) -> bool:
        """Whether ``uid`` may give another command. root is let in even when everybody else fills the room."""
        lately = self.refused[uid]
        while lately and lately[0] <= now - REFUSALS_S:
            lately.popleft()
        if not lately:
            del self.refused[uid]
        full = sum(self.inside.values()) >= MOST and uid != 0
        return not full and self.inside.get(uid, 0) < MOST_EACH and len(lately) < MOST_REFUSALS

    def came(self, uid: int) -> None:
        self.inside[uid] += 1

    def went(self, uid: int, code: object, now: float) -> None:
        self.inside[uid] -= 1
        if not self.inside[uid]:
            del self.inside[uid]
        if code == Exit.REFUSED and uid != 0:
            self.refused[uid].append(now)


class Control(Part):
    """``service.control``: without it there is no socket, and the part has nothing to do."""

    name = "control"

    def __init__(self, commands: Commandline) -> None:
        self._commands = commands
        self._door: socket.socket | None = None
        self._path = ""
        self._keeper = Doorkeeper()

    def start(self, around: Surroundings) -> None:
        self._around = around
        if around.settings.service.control is None:
            return
        self._path = os.fspath(around.settings.service.control)
        self._door = open_door(self._path)
        around.loop.watch(self._door.fileno(), self._answer)

    def stop(self) -> None:
        if self._door is not None:
            self._around.loop.forget(self._door.fileno())
            self._door.close()
            self._door = None
            with suppress(OSError):
                os.unlink(self._path)

    def show(self) -> Any:
        return {"commands": sum(self._keeper.inside.values())} if self._path else None

    def _answer(self) -> None:
        while self._door is not None:
            try:
                conn, _address = self._door.accept()
            except BlockingIOError:
                return
            except OSError as error:  # no descriptor left: the next turn tries again
                _log.warning("command_not_taken", errno=error.errno)
                return
            with conn:
                self._let_in(conn)

    def _let_in(self, conn: socket.socket) -> None:
        uid, clock = peer_uid(conn), self._around.loop.clock
        if not self._keeper.lets_in(uid, clock()):
            conn.setblocking(False)
            with suppress(OSError):
                wire.send(conn, {"busy": True})
            return
        self._keeper.came(uid)

        def on_end(ended: Ended) -> None:
            self._keeper.went(uid, ended.value, clock())
            if ended.error is not None:
                _log.error("command_failed", error=type(ended.error).__name__)

        work = Serving(self._around.settings, uid, self._around.now, self._commands)
        self._around.crew.hire(work, on_end=on_end, fds=(conn.fileno(),))


def open_door(path: str) -> socket.socket:
    """The socket at ``path``, listening. One that a dead service left is replaced.

    Its folder is made where nobody else has (systemd does). Raises ServiceRuns, ControlUnusable.
    """
    try:
        return _open_door(path)
    except OSError as error:
        raise ControlUnusable(control=path, reason=error.strerror or str(error)) from error


def _open_door(path: str) -> socket.socket:
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.mkdir(folder)
        os.chmod(folder, _OPEN_FOLDER)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            _refuse_living(path)
            os.unlink(path)
        door.bind(path)
        os.chmod(path, _ANYBODY)
        door.listen(_BACKLOG)
    except BaseException:
        door.close()
        raise
    return door


def _refuse_living(path: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as other, suppress(ConnectionRefusedError):
        other.connect(path)
        raise ServiceRuns(control=path)
