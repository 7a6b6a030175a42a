"""The lock of a visit: held by the process that writes, released by the kernel when it dies.

It is a lock on the card, taken before its visit has a number: so a visit that others can see
in the register is always locked, and one card never has two visits at work.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from dockd.errors import StationBusy, VisitBusy
from dockd.offload.durable import blaming_store, make_directories
from dockd.offload.layout import LOCKS

_PATIENCE_S, _PAUSE_S = 120.0, 0.1


def card_lock_path(store: str, card_instance: str) -> str:
    return f"{store}/{LOCKS}/card-{hashlib.sha256(card_instance.encode()).hexdigest()[:32]}"


def try_lock(store: str, card_instance: str) -> int | None:
    """An fd that holds the card's lock until it is closed, or None while another process holds it."""
    path = card_lock_path(store, card_instance)
    with blaming_store(store):
        make_directories(store, LOCKS)  # nothing durable hangs on a lock: it ends with its process
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
    return fd


@contextmanager
def holding_card(store: str, card_instance: str, *, wait_s: float = 0) -> Iterator[None]:
    """Holds a card's lock for the block. Raises VisitBusy when another process keeps it longer than ``wait_s``.

    The short wait is for the worker of a command that was just killed: it ends by itself
    within milliseconds, and a plain second try of the user should not fail because of it.
    """
    deadline = time.monotonic() + wait_s
    while (fd := try_lock(store, card_instance)) is None:
        if time.monotonic() >= deadline:
            raise VisitBusy
        time.sleep(0.02)
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def sharing_lanes(
    store: str, most: int, *, check: Callable[[], None], patience_s: float = _PATIENCE_S
) -> Iterator[int]:
    """How many files at a time the block may have parsed: all visits of a store share as many lanes as there are cores.

    Each lane is three processes, and more of them than cores make nothing faster. Who finds none free waits for
    one and asks ``check`` meanwhile, but goes on with one after ``patience_s``: another card's files may be hostile.
    """
    deadline = time.monotonic() + patience_s
    held: list[int] = []
    try:
        with blaming_store(store):
            with suppress(FileExistsError):
                os.mkdir(f"{store}/{LOCKS}")  # below a folder that every store has; nothing durable hangs on a lock
            while not (held := _free_lanes(store, most)) and time.monotonic() < deadline:
                check()
                time.sleep(_PAUSE_S)
        yield max(1, len(held))
    finally:
        for fd in held:
            os.close(fd)


def _free_lanes(store: str, most: int) -> list[int]:
    held: list[int] = []
    for number in range(max(2, os.cpu_count() or 1)):
        if len(held) < most:
            fd = os.open(f"{store}/{LOCKS}/lane-{number}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            if _take(fd):
                held.append(fd)
            else:
                os.close(fd)
    return held


@contextmanager
def holding_station(store: str) -> Iterator[None]:
    """For an act on the whole station: one at a time, and none while a visit holds its card. Raises StationBusy."""
    with blaming_store(store):
        make_directories(store, LOCKS)
        held = os.open(f"{store}/{LOCKS}/station", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with blaming_store(store):
            if not _take(held) or not all(_is_free(f"{store}/{LOCKS}/{name}") for name in _cards(store)):
                raise StationBusy
        yield
    finally:
        os.close(held)


def _cards(store: str) -> list[str]:
    return [name for name in os.listdir(f"{store}/{LOCKS}") if name.startswith("card-")]


def _is_free(path: str) -> bool:
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        return _take(fd)
    finally:
        os.close(fd)


def _take(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
