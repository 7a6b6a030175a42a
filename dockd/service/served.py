"""One command carried out by the service for the person at the other end of a connection, in a process of its own.

The same ``dockd.cli`` function runs as in a caller's own process. Its standard streams are the
caller's; what he named as a file is opened by his client and comes as a descriptor. When he goes
away or interrupts, or the service ends, the command is interrupted as by Ctrl-C.
"""

from __future__ import annotations

import fcntl
import os
import re
import select
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any, Protocol

from dockd import log
from dockd.errors import Exit
from dockd.service import wire
from dockd.service.client import TERMS
from dockd.service.person import Person, who
from dockd.settings import Settings

FIRST_WORD_S = 10.0
"""How long a client may take to say what it wants."""

_TERM = re.compile(r"[A-Za-z0-9_.,@:=+-]{0,64}")


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for, whole and of the right types. ``behind``: who became root by sudo, as root says."""

    words: tuple[str, ...]
    folder: str
    environ: Mapping[str, str]
    behind: str | None

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Request:
        """Raises Garbled for what is no request."""
        words, folder = message.get("words"), message.get("folder")
        environ, behind = message.get("environ"), message.get("behind")
        if not isinstance(words, list) or not all(isinstance(word, str) and "\0" not in word for word in words):
            raise wire.Garbled("words")
        if not isinstance(folder, str) or not isinstance(environ, dict) or not isinstance(behind, str | None):
            raise wire.Garbled("types")
        kept = {name: environ[name] for name in TERMS if _TERM.fullmatch(str(environ.get(name, "\n")))}
        return cls(tuple(words), folder, kept, behind)


class Run(Protocol):
    """Carries out one call for its caller and returns its exit code; nothing is raised."""

    def __call__(
        self, argv: Sequence[str], *, now: Callable[[], datetime], caller: Caller, settings: Settings
    ) -> int: ...


@dataclass(frozen=True, slots=True)
class Commandline:
    """The commands that are served: this room knows no command, ``dockd.cli`` hands them down.

    ``flushed`` gives the exit code once standard output has taken everything, or the one that says that it did not.
    """

    run: Run
    flushed: Callable[[int], int]


class Caller:
    """The person whose command this process carries out, and his files."""

    def __init__(self, conn: socket.socket, person: Person, folder: str, *, running: bool) -> None:
        self.person = person
        self.running = running
        """Whether the service runs; otherwise this is root's own call while it is away."""
        self._conn = conn
        self._folder = folder

    def absolute(self, path: str) -> str:
        """``path`` as it is where the caller stands."""
        return os.path.normpath(os.path.join(self._folder, path))

    def open(self, path: str) -> int:
        """A descriptor of the caller's file or folder, for reading. Raises OSError as opening it there does."""
        return self._ask({"open": path})

    def give(self, path: str, content: IO[bytes]) -> None:
        """The caller's ``path`` holds ``content``, whole or not at all. Raises OSError."""
        self._ask({"take": path}, content.fileno())

    def _ask(self, message: dict[str, Any], *fds: int) -> int:
        wire.send(self._conn, message, fds)
        heard = wire.receive(self._conn)
        if heard is None:
            raise KeyboardInterrupt
        answer, given = heard
        if "failed" in answer:
            wire.close(given)
            code = int(answer["failed"])
            raise OSError(code, os.strerror(code))
        if len(given) != ("open" in message):
            wire.close(given)
            raise wire.Garbled("a descriptor is missing")
        return given[0] if given else -1


def serve(
    conn: socket.socket,
    settings: Settings,
    uid: int,
    *,
    commands: Commandline,
    now: Callable[[], datetime],
    running: bool = True,
    watched: int | None = None,
) -> int:
    """Carries out the one call that comes on ``conn`` from user ``uid``, says its exit code and returns it.

    ``watched``: a descriptor that hangs up when the service ends. To be called in a process of its own: it
    gives its standard streams away.
    """
    conn.settimeout(FIRST_WORD_S)
    try:
        heard = wire.receive(conn)
        if heard is None:
            return Exit.USAGE
        message, streams = heard
        request = Request.of(message)
        if len(streams) != wire.MOST_FDS:
            raise wire.Garbled("streams")
    except (wire.Garbled, TimeoutError):
        return Exit.USAGE
    conn.settimeout(None)
    if running:
        # what is logged goes to the service's journal, not onto the caller's screen
        log.configure(settings.log.level, stream=os.fdopen(os.dup(2), "w"))
    _take_over(streams, request.environ)
    caller = Caller(conn, who(uid, request.behind), request.folder, running=running)
    ends = [conn.fileno(), *([] if watched is None else [watched])]
    code = _carry_out(lambda: commands.run(request.words, now=now, caller=caller, settings=settings), ends)
    code = commands.flushed(code)
    with suppress(OSError):  # a caller who has gone
        wire.send(conn, {"exit": code})
    return code


def _carry_out(command: Callable[[], int], watched: list[int]) -> int:
    try:
        interrupt_on_hangup(watched)
        code = command()
    except KeyboardInterrupt:  # in the instants before and after the command itself
        code = 130
    signal.signal(signal.SIGIO, signal.SIG_IGN)
    return code


def _take_over(streams: list[int], environ: Mapping[str, str]) -> None:
    """From here on standard input, output and error are the caller's, and so is how he is spoken to."""
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
        os.close(fd)
    sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
    for name in (*TERMS, "SUDO_USER"):
        os.environ.pop(name, None)
    os.environ.update(environ)


def interrupt_on_hangup(fds: list[int]) -> None:
    """From now on a hang-up on one of ``fds`` interrupts this process's main thread, wherever it is.

    By SIGIO and not by a thread: an offload forks, and a process that has threads must not.
    """
    ends = select.poll()
    for fd in fds:
        ends.register(fd, select.POLLRDHUP)

    def notice(*_signal: object) -> None:
        if ends.poll(0):
            signal.signal(signal.SIGIO, signal.SIG_IGN)  # once: what ends the command must not be interrupted again
            raise KeyboardInterrupt

    signal.signal(signal.SIGIO, notice)
    for fd in fds:
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_ASYNC)
    notice()  # what happened before
