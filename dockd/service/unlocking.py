"""Asking a locked recorder for its disk, by a command that the administrator names: never by a device's ids alone.

The command is an argv list that no shell sees. It gets the port and serial number in its environment and
the password on its standard input, from a file that only root (or the service's user) can read. It may
print ``serial: …``, the number by which the recorder names itself: the best evidence of who it is.
"""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from dockd.errors import UnlockFailed
from dockd.service.devices import Gadget
from dockd.settings import Unlock
from dockd.visit.worker import Lifeline

_MOST_PASSWORD = 4096
_SERIAL = re.compile(rb"(?m)^serial: ([!-~]{1,64})$")
_CREDENTIALS = "CREDENTIALS_DIRECTORY"


@dataclass(frozen=True, slots=True)
class Unlockable:
    """One entry of the configuration, as a question to a device."""

    rule: Unlock

    def fits(self, gadget: Gadget) -> bool:
        """Whether ids *and* every text that the rule names agree."""
        rule = self.rule
        texts = ((rule.serial, gadget.serial), (rule.maker, gadget.maker_text), (rule.name, gadget.product_text))
        named = [(pattern, text) for pattern, text in texts if pattern is not None]
        same = (rule.vendor.lower(), rule.product.lower()) == (gadget.vendor.lower(), gadget.product.lower())
        return same and bool(named) and all(fnmatchcase(text, pattern) for pattern, text in named)


@dataclass(frozen=True, slots=True)
class Unlocking:
    """The work: runs the command to its end and returns the serial that it printed. Raises UnlockFailed."""

    rule: Unlock
    gadget: Gadget

    def __call__(self, send: Callable[[object], None], lifeline: Lifeline, fds: tuple[int, ...]) -> str | None:
        return unlock(self.rule, self.gadget)


def unlock(rule: Unlock, gadget: Gadget, *, environ: Mapping[str, str] = os.environ) -> str | None:
    """Runs ``rule``'s command for the device; returns the recorder's own serial, if it says it. Raises UnlockFailed."""
    password = read_password(rule, environ)
    said = {
        "DOCKD_PORT": gadget.port,
        "DOCKD_SERIAL": gadget.serial,
        "DOCKD_ADDRESS": gadget.address,
        "DOCKD_PROFILE": rule.profile,
        "PATH": environ.get("PATH", os.defpath),
    }
    try:
        with subprocess.Popen(
            rule.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=said,
            start_new_session=True,
        ) as process:
            try:
                said_back, _nothing = process.communicate(password, timeout=rule.deadline.total_seconds())
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise UnlockFailed(profile=rule.profile, reason="deadline") from None
    except OSError as error:
        raise UnlockFailed(profile=rule.profile, reason=error.strerror or str(error)) from error
    if process.returncode:
        raise UnlockFailed(profile=rule.profile, reason=f"exit {process.returncode}")
    found = _SERIAL.search(said_back)
    return found[1].decode() if found else None


def read_password(rule: Unlock, environ: Mapping[str, str] = os.environ) -> bytes:
    """The password, from systemd's credentials if it is there, else from its file. Raises UnlockFailed."""
    if rule.password_file is None:
        return b""
    folder = environ.get(_CREDENTIALS)
    given = os.path.join(folder, rule.password_file.name) if folder else ""
    path = given if given and os.path.exists(given) else str(rule.password_file)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            status = os.fstat(fd)
            if status.st_uid not in (0, os.geteuid()) or (path != given and stat.S_IMODE(status.st_mode) & 0o077):
                raise UnlockFailed(profile=rule.profile, reason=f"{path}: others may read it")
            return os.read(fd, _MOST_PASSWORD).rstrip(b"\n")
        finally:
            os.close(fd)
    except OSError as error:
        raise UnlockFailed(profile=rule.profile, reason=f"{path}: {error.strerror}") from error
