"""The part that shows the service's state to ``dockd status``: a connection, one JSON object, the end.

The socket has no place in the file system (Linux' abstract names), so that it needs no folder and no
cleaning up; its name comes from the configuration's path. Only root and the station's own user are answered.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from dockd.errors import ServiceNotRunning
from dockd.service.parts import Part, Surroundings

_PATIENCE_S = 5.0
_MOST_WAITING = 16


class Teller(Part):
    """``state`` says what the service as a whole is doing."""

    name: ClassVar[str] = "teller"

    def __init__(self, config: Path, state: Callable[[], Mapping[str, Any]]) -> None:
        self._name = address(config)
        self._state = state
        self._socket: socket.socket | None = None
        self._around: Surroundings | None = None

    def start(self, around: Surroundings) -> None:
        self._around = around
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.bind(self._name)
        self._socket.listen(_MOST_WAITING)
        around.loop.watch(self._socket.fileno(), self._answer)

    def stop(self) -> None:
        if self._socket and self._around:
            self._around.loop.forget(self._socket.fileno())
            self._socket.close()

    def _answer(self) -> None:
        assert self._socket is not None
        with suppress(OSError):
            connection, _address = self._socket.accept()
            with connection:
                if _peer(connection) in (0, os.geteuid()):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
                    connection.setblocking(False)  # who does not read gets no more than fits
                    connection.sendall(json.dumps(self._state(), ensure_ascii=False).encode())


def ask(config: Path, *, owner: int) -> dict[str, Any]:
    """What the running service of ``config`` says; ``owner`` is the user who may be it. Raises ServiceNotRunning."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_PATIENCE_S)
            connection.connect(address(config))
            if _peer(connection) not in (0, owner):
                raise ServiceNotRunning
            parts = []
            while part := connection.recv(1 << 16):
                parts.append(part)
        said: dict[str, Any] = json.loads(b"".join(parts))
    except (OSError, ValueError) as error:
        raise ServiceNotRunning from error
    return said


def address(config: Path) -> str:
    """The abstract name of a station's socket."""
    place = os.path.realpath(config)
    return f"\0dockd-status-{hashlib.sha256(os.fsencode(place)).hexdigest()[:24]}"


def _peer(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])
