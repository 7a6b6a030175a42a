"""A command of an installed station, seen from its caller: it goes to the service, and files stay the caller's own.

The command speaks to the caller's terminal itself (its descriptors cross the socket). Files that the
caller named are opened here, with his own rights, and only those: a service that was taken over can
ask for nothing that nobody typed. Run by root, a command goes the same way; only while no service
runs does root carry it out, in a child that is the station's user and asks for root's files likewise.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dockd.errors import ExportUnwritable, ServiceAway, ServiceBusy, ServiceLost
from dockd.service import wire

CONTROL = "/run/dockd/control"
"""The control socket of an installed station."""

OWN = frozenset({"init", "run", "demo"})
"""Commands that never go through the service: they make a station, are the service, or have a station of their own."""

TERMS = ("DOCKD_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES")
"""What of the caller's environment the command needs: how to speak to him, nothing else."""

BESIDE = "datapackage.json"
"""What an export describes itself in, beside the file that was named."""

_HELP = frozenset({"--help", "-h", "--version"})
_INTERRUPTED = 130
_COPIED = 1 << 20


@dataclass(frozen=True, slots=True)
class Call:
    """One command line with what belongs to it."""

    words: Sequence[str]
    environ: Mapping[str, str]

    def request(self) -> dict[str, Any]:
        """The first message."""
        return {
            "words": list(self.words),
            "folder": _folder(),
            "environ": {name: self.environ[name] for name in TERMS if name in self.environ},
            "behind": self.environ.get("SUDO_USER"),
        }

    def names(self, path: str) -> bool:
        """Whether the caller typed ``path``, or a file beside which it describes that file."""
        typed = {*self.words, *(word.partition("=")[2] for word in self.words if word.startswith("--"))}
        folder, name = os.path.split(path)
        return path in typed or (name == BESIDE and folder in {os.path.dirname(word) for word in typed})


def control_of(file: Path, words: Sequence[str], command: str | None) -> Path | None:
    """The socket that this command goes through; None where the station is the caller's own.

    The configuration is only glanced at: it may be the service's alone to read, and then it is an installed station's.
    """
    if command is None or command in OWN or not _HELP.isdisjoint(words):
        return None
    try:
        text = file.read_bytes()[: 1 << 20]
    except PermissionError:
        return Path(CONTROL)
    except OSError:
        return None
    found = _CONTROL.search(text)
    value = found[1].strip(b" \t\"'") if found else b""
    return Path(os.path.join(file.parent, os.fsdecode(value))) if value else None


_CONTROL = re.compile(
    rb"(?m)^service:(?:[ \t]*\{[^}\n]*?|.*\n(?:(?:[ \t].*|#.*)?\r?\n)*?[ \t]+)"
    rb"control:[ \t]*(\"[^\"\n]*\"|'[^'\n]*'|[^\s,}#]*)"
)


def pass_on(control: Path, call: Call, *, owner: Callable[[], int], file: Path) -> int:
    """The service carries the command out; returns its exit code.

    While no service runs, root carries it out as the user ``owner()`` of the station whose configuration is ``file``.
    Raises ServiceAway, ServiceBusy, ServiceLost.
    """
    conn = _connect(control)
    if conn is None and os.geteuid() == 0:
        return _carry_out_alone(call, owner(), file)
    if conn is None:
        raise ServiceAway(control=str(control))
    with conn:
        return converse(conn, call)


def _connect(control: Path) -> socket.socket | None:
    conn = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        conn.connect(os.fspath(control))
    except (FileNotFoundError, ConnectionRefusedError):
        conn.close()
        return None
    except OSError as error:
        conn.close()
        raise ServiceAway(control=f"{control}: {error.strerror}") from error
    return conn


def _carry_out_alone(call: Call, owner: int, file: Path) -> int:
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with its:
            # In a session of its own: Ctrl-C is the client's to pass on, as the service would hear of it.
            child = subprocess.Popen(
                [
                    *_as_user(owner),
                    *(sys.executable, "-I", "-m", "dockd.cli.alone", str(its.fileno()), os.path.abspath(file)),
                ],
                pass_fds=[its.fileno()],
                start_new_session=True,
                cwd="/",
            )
        try:
            return converse(ours, call)
        finally:
            child.wait()


def _as_user(uid: int) -> list[str]:
    """The beginning of a command line that is ``uid``'s for good."""
    if uid == os.geteuid():
        return []
    try:
        known = pwd.getpwuid(uid)
        groups = [f"--regid={known.pw_gid}", "--init-groups"]
    except KeyError:
        groups = [f"--regid={uid}", "--clear-groups"]
    return ["setpriv", f"--reuid={uid}", *groups, "--inh-caps=-all", "--no-new-privs", "--"]


def converse(conn: socket.socket, call: Call) -> int:
    """Sends the call and answers what is asked until the exit code comes. Ctrl-C interrupts the command, not us."""
    interrupted = False
    try:
        _begin(conn, call)
        while True:
            try:
                code = _next(conn, call)
            except KeyboardInterrupt:
                interrupted = True
                signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one ends us at once
                with suppress(OSError):
                    conn.shutdown(socket.SHUT_WR)
                continue
            if code is not None:
                return code
    except (BrokenPipeError, ServiceLost):
        if interrupted:
            return _INTERRUPTED
        raise ServiceLost from None


def _begin(conn: socket.socket, call: Call) -> None:
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        wire.send(conn, call.request(), [fd if _is_open(fd) else nothing for fd in (0, 1, 2)])
    except BrokenPipeError:
        pass  # turned away: what was said is still to be read
    finally:
        os.close(nothing)


def _next(conn: socket.socket, call: Call) -> int | None:
    """Deals with one message; returns the exit code when it is that."""
    heard = wire.receive(conn)
    if heard is None:
        raise ServiceLost
    message, fds = heard
    try:
        if "exit" in message:
            return int(message["exit"])
        if "busy" in message:
            raise ServiceBusy
        _answer(conn, call, message, fds)
    finally:
        wire.close(fds)
    return None


def _answer(conn: socket.socket, call: Call, message: Mapping[str, Any], fds: Sequence[int]) -> None:
    path = str(message.get("open") or message.get("take") or "")
    try:
        if not call.names(path):
            raise PermissionError(errno.EPERM, "not named by the caller")
        if "open" in message:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY)
            try:
                wire.send(conn, {"done": True}, [fd])
            finally:
                os.close(fd)
        else:
            _take(path, fds[0])
            wire.send(conn, {"done": True})
    except BrokenPipeError:
        raise
    except OSError as error:
        wire.send(conn, {"failed": error.errno or errno.EIO})


def _take(path: str, fd: int) -> None:
    """``path`` holds what can be read from ``fd``, whole or not at all; a package holds it beside what it held."""
    from dockd.export.atomic import publishing

    try:
        if os.path.basename(path) == BESIDE:
            _take_package(os.path.dirname(os.path.realpath(path)), fd)
            return
        with publishing(os.path.realpath(path)) as draft:
            while data := os.read(fd, _COPIED):
                draft.write(data)
    except ExportUnwritable as error:
        raise error.__cause__ if isinstance(error.__cause__, OSError) else OSError(errno.EIO, str(error)) from error


def _take_package(folder: str, fd: int) -> None:
    from dockd.export.datapackage import add_resource, resources

    with os.fdopen(os.dup(fd), "rb") as package:
        try:
            described = resources(package.read())
        except ValueError as error:
            raise OSError(errno.EBADMSG, os.strerror(errno.EBADMSG)) from error
    for one in described:
        add_resource(folder, one)


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        return "/"


def _is_open(fd: int) -> bool:
    try:
        return stat.S_IFMT(os.fstat(fd).st_mode) != 0
    except OSError:
        return False
