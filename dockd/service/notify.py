"""What systemd is told of the service (``sd_notify``): one datagram a word, over the socket it named.

Without that socket (foreground, tests) nothing is said. A word that cannot be delivered is no
trouble of the service's: if systemd hears nothing for long, its watchdog acts.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress


class Herald:
    """Tells systemd what the service is doing; a STATUS line is sent only when it says something new."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._status = ""
        self.watchdog_s = _watchdog(environ)

    def ready(self) -> None:
        self._tell("READY=1")

    def reloading(self) -> None:
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """To be said at less than half of ``watchdog_s``, and only if everything shows signs of life."""
        self._tell("WATCHDOG=1")

    def wait(self, seconds: float) -> None:
        """What is under way (start or stop) needs up to ``seconds`` more."""
        self._tell(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def status(self, line: str) -> None:
        if line != self._status:
            self._status = line
            self._tell("STATUS=" + " ".join(line.split()))

    def _tell(self, word: str) -> None:
        if self._address[:1] not in ("/", "@"):
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.setblocking(False)
            to.sendto(word.encode(), address)


def _watchdog(environ: Mapping[str, str]) -> float | None:
    """Seconds within which systemd wants a word; None where it wants none, or not from this process."""
    try:
        wanted = int(environ.get("WATCHDOG_USEC", "0"))
        meant = int(environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return wanted / 1_000_000 if wanted > 0 and meant == os.getpid() else None
