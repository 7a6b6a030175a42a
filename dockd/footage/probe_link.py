"""How the parsers' side is reached: a process started by systemd for one batch, or else a child of this one.

An installed station has ``dockd-probe.socket``: each connection starts ``dockd-probe@.service``, with a user of
its own and no network. Where that socket is absent or not for us, the same code (``probe_child``) runs
as a limited child. Both end when they are hung up on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

SOCKET = "/run/dockd-probe.sock"


class Link(Protocol):
    """The parsers' side of one lane. ``answers`` is never waited for when read."""

    @property
    def answers(self) -> int: ...

    def ask(self, line: bytes) -> None:
        """Send one request. One that is gone is noticed by its silence."""

    def stop(self) -> None:
        """End it and all that it has started."""


def reach_parsers(batch: dict[str, Any], *, patience_s: float) -> Link:
    """A side that was told its ``batch`` and may say that it is ready. Raises OSError where no process is left."""
    unit = _connect(patience_s)
    return Unit(unit, batch) if unit else Child(batch)


def _connect(patience_s: float) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(patience_s)
        connection.connect(SOCKET)
    except OSError:
        connection.close()
        return None
    return connection


class Unit:
    """A connection to ``dockd-probe@.service``."""

    def __init__(self, connection: socket.socket, batch: dict[str, Any]) -> None:
        self._connection = connection
        try:
            connection.sendall(json.dumps(batch).encode() + b"\n")
        except OSError:
            connection.close()
            raise
        connection.setblocking(False)

    @property
    def answers(self) -> int:
        return self._connection.fileno()

    def ask(self, line: bytes) -> None:
        with contextlib.suppress(OSError):
            self._connection.sendall(line)

    def stop(self) -> None:
        # Also where a child of ours was forked meanwhile and holds a copy.
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


class Child:
    """A process of our own, in a group of its own."""

    def __init__(self, batch: dict[str, Any]) -> None:
        # In memory and not in the pipe: a long batch would fill it before the child reads.
        fd = os.memfd_create("dockd-batch")
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(json.dumps(batch | {"parent": os.getpid()}).encode())
            self._process = _start(fd)
        finally:
            os.close(fd)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests, self._answers = self._process.stdin, self._process.stdout
        os.set_blocking(self.answers, False)

    @property
    def answers(self) -> int:
        return self._answers.fileno()

    def ask(self, line: bytes) -> None:
        # One line into an empty pipe never blocks.
        with contextlib.suppress(BrokenPipeError):
            self._requests.write(line)

    def stop(self) -> None:
        # Also what it has left behind when it ended by itself; not yet waited for, so that the number of its
        # group cannot belong to another.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._requests.close()
        self._answers.close()
        # A process in a read that never returns cannot be waited for: it is left to the kernel.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)


def _start(fd: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-B", "-s", "-P", "-m", "dockd.footage.probe_child", str(fd)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd="/",
        env=_environment(),
        start_new_session=True,
        pass_fds=(fd,),
    )


def _environment() -> dict[str, str]:
    """A path to the tools and to dockd itself, and nothing else: no proxy, no home, no secret."""
    package_root = str(Path(__file__).resolve().parents[2])
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "PYTHONPATH": package_root}
