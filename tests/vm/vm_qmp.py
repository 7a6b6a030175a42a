"""Speaks with QEMU (QMP) about one thing: commands and their answers; events are kept."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any


class Refused(Exception):
    """QEMU's own words."""


class Qmp:
    """A connection to a running QEMU."""

    def __init__(self, at: Path, *, patience_s: float = 60) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(patience_s)
        try:
            self._socket.connect(str(at))
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("r", encoding="utf-8")
        self.events: list[dict[str, Any]] = []
        self._hear()
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """What QEMU answers. Raises Refused."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._socket.sendall(json.dumps({"execute": command, "arguments": named}).encode() + b"\n")
        while True:
            said = self._hear()
            if "return" in said:
                return said["return"]
            if "error" in said:
                raise Refused(f"{command}: {said['error']['desc']}")

    def wait_for(self, event: str) -> dict[str, Any]:
        """The event, which may have come already."""
        while not (found := [e for e in self.events if e["event"] == event]):
            self._hear()
        return found[-1]

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def _hear(self) -> dict[str, Any]:
        line = self._lines.readline()
        if not line:
            raise Refused("QEMU has hung up")
        said: dict[str, Any] = json.loads(line)
        if "event" in said:
            self.events.append(said)
        return said
