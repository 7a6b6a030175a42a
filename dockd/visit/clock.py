"""Whether the station's own clock can be believed: every visit writes it down."""

from __future__ import annotations

import ctypes
import subprocess
import time
from datetime import timedelta
from pathlib import Path

from dockd.law.deadline import StationClock
from dockd.register.station import Boot, Noted

_STA_UNSYNC = 0x0040
_TIME_ERROR = 5

TOLERANCE = timedelta(minutes=5)
LEAP = timedelta(days=180)
"""A station that nothing synchronises and that was not seen for so long may have leapt forward."""
_ANSWER_S = 5


class _Timex(ctypes.Structure):
    """struct timex of adjtimex(2): the head that is read here, and room for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def this_boot() -> Boot | None:
    """This machine's life so far; None where the kernel does not number it."""
    try:
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None
    return Boot(boot_id, timedelta(seconds=time.clock_gettime(time.CLOCK_BOOTTIME)))


def is_synchronised() -> bool | None:
    """Whether the kernel says that a time service keeps this clock; None where it cannot be asked."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except AttributeError:
        return None
    if state < 0:
        return _ask_timedated()
    return state != _TIME_ERROR and not timex.status & _STA_UNSYNC


def _ask_timedated() -> bool | None:
    """The same question to systemd: the service may not ask the kernel, as the same call could set the clock."""
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        said = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return {b"yes": True, b"no": False}.get(said.stdout.strip())


def doubt_of(noted: Noted, gap: timedelta, *, synchronised: bool | None) -> StationClock | None:
    """What stands against the station's clock: what it ``noted``, and the ``gap`` since it was last seen. Pure.

    A small office has no time service, so being unsynchronised alone is no finding: ``dockd
    check`` warns of it and every visit writes it down.
    """
    if noted.behind > TOLERANCE:
        return StationClock.BEHIND
    leapt = noted.ahead > TOLERANCE or gap > LEAP
    return StationClock.AHEAD if leapt and not synchronised else None
