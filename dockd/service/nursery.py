"""The process that workers are forked from: one thread, everything loaded, nothing open but one socket.

An order is a datagram (``ORDER`` and, for ``WORK``, the pickled work) with the worker's descriptors:
where it says its words, its lifeline, and what the work needs. A report says how a worker ended;
one of job 0 answers a ``PING``.
What the work is, only the worker looks at: an order that cannot be read is that worker's trouble.
"""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import select
import signal
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from sqlalchemy.orm import configure_mappers

from dockd.visit.worker import MOST_FDS, PR_SET_PDEATHSIG, Lifeline, be_worker

ORDER = struct.Struct("!cI")
REPORT = struct.Struct("!Ii")
WORK, KILL, PING = b"w", b"k", b"p"

_MOST_BYTES = 1 << 20
_MOST_GIVEN = 16


def be_nursery(orders: socket.socket, warm: Sequence[str]) -> NoReturn:
    """The nursery's whole life, in a process that was just forked for it; whatever happens, it ends here."""
    try:
        _live(orders, warm)
    finally:
        os._exit(0)


def _live(orders: socket.socket, warm: Sequence[str]) -> None:
    owner = os.getppid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != owner:
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        # Sent to the whole group by systemd or a terminal: the service ends us, and its workers softly.
        signal.signal(number, signal.SIG_IGN)
    signal.set_wakeup_fd(-1)
    _keep_only(orders.fileno())
    for module in warm:
        import_module(module)
    configure_mappers()  # once here instead of in each worker
    gc.collect()
    gc.freeze()
    with suppress(OSError):  # the service has gone, with words of ours that it did not read
        _Nursery(orders).tend()


def _keep_only(fd: int) -> None:
    """Only the standard streams and ``fd`` stay open, and only they are written to.

    A stream that somebody had put in the place of one (a test's capture) would go on writing to its number,
    which the register may have by then.
    """
    os.closerange(3, fd)
    os.closerange(fd + 1, MOST_FDS)
    sys.stdout, sys.stderr = (os.fdopen(n, "w", encoding="utf-8", buffering=1, closefd=False) for n in (1, 2))


class _Nursery:
    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._ends = select.poll()
        self._ends.register(orders, select.POLLIN)
        self._children: dict[int, tuple[int, int]] = {}  # by pidfd: job and pid

    def tend(self) -> None:
        while True:
            for fd, _event in self._ends.poll():
                if fd != self._orders.fileno():
                    self._report(fd)
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        data, fds, _flags, _address = socket.recv_fds(self._orders, _MOST_BYTES, _MOST_GIVEN)
        if not data:
            return False
        kind, job = ORDER.unpack_from(data)
        if kind == WORK:
            self._raise(job, data[ORDER.size :], fds)
        elif kind == PING:
            self._orders.send(REPORT.pack(0, 0))
        else:
            for child, _pid in [(fd, pid) for fd, (known, pid) in self._children.items() if known == job]:
                signal.pidfd_send_signal(child, signal.SIGKILL)
        return True

    def _raise(self, job: int, work: bytes, fds: list[int]) -> None:
        pid = os.fork()
        if pid == 0:
            self._orders.close()
            for child in self._children:
                os.close(child)
            words, beat, *given = fds
            be_worker(_carrying_out(work, tuple(given)), Connection(words, readable=False), beat)
        for fd in fds:
            os.close(fd)
        child = os.pidfd_open(pid)
        self._children[child] = (job, pid)
        self._ends.register(child, select.POLLIN)

    def _report(self, child: int) -> None:
        job, pid = self._children.pop(child)
        self._ends.unregister(child)
        os.close(child)
        _pid, status = os.waitpid(pid, 0)
        self._orders.send(REPORT.pack(job, status))


def _carrying_out(work: bytes, fds: tuple[int, ...]) -> Callable[[Callable[[object], None], Lifeline], Any]:
    def carry_out(send: Callable[[object], None], lifeline: Lifeline) -> Any:
        return pickle.loads(work)(send, lifeline, fds)  # noqa: S301 (the service's own)

    return carry_out
