"""The process that reads the card: it dies with its owner, and its owner outlives it.

A read from a failing card can hang for ever in the kernel (D state), so it happens in a
process that can be left behind: it tells of it by itself (``patience``), lets go of everything
it holds, and is not waited for. Other way round, a worker whose owner was killed must not go on
writing beside the owner's successor: before every write it asks the lifeline, a pipe whose
other end only the owner holds (field-notes 10).
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from select import POLLHUP, POLLIN, poll
from typing import Any

from dockd import trace
from dockd.errors import DockdError, NotAnswering, WorkerDied
from dockd.visit.request import Phase, Progress

PR_SET_PDEATHSIG = 1
_POLL_S = 0.5
_FROZEN_S = 10.0  # a living worker says something five times a second, whatever its card does
_END_MS, _STUCK_MS = 5000, 200
MOST_FDS = 1 << 20
_READING = frozenset({Phase.LISTING, Phase.COPYING, Phase.PROVING})


class OwnerGone(BaseException):
    """The process that started this worker is dead: end at once, the next start recovers."""


class Lifeline:
    """The worker's end of the owner's pipe, ``fd``; any thread may ask."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._poll = poll()
        self._poll.register(fd, POLLIN | POLLHUP)
        self._one_by_one = threading.Lock()  # a poll object refuses two threads at once

    def check(self) -> None:
        """Returns while the owner lives; raises OwnerGone otherwise."""
        with self._one_by_one:
            gone = self._poll.poll(0)
        if gone:
            raise OwnerGone


class WorkerFault(Exception):
    """A fault of our own in the worker: ``trace_lines`` say where, for the report that the command writes."""

    def __init__(self, trace_lines: tuple[str, ...]) -> None:
        super().__init__(trace_lines)  # so that it can cross the pipe
        self.trace_lines = trace_lines


@dataclass(frozen=True, slots=True)
class Failed:
    """A worker's last word: why there is no value."""

    error: DockdError | WorkerFault


@dataclass(frozen=True, slots=True)
class Result:
    """A worker's last word: what its work returned."""

    value: Any


Work = Callable[[Callable[[object], None], Lifeline], Any]


def run_in_worker(work: Work, *, on_progress: Callable[[Progress], None], patience_s: float) -> Any:
    """Runs ``work(send, lifeline)`` in a child process and returns what it returns.

    Must be called before this process has threads (it forks). Raises the DockdError that the
    work raised, WorkerFault for a fault of our own, WorkerDied if the child ends without an
    answer. A child that gives no sign of life for ``patience_s`` seconds and longer than any
    living one is killed and left behind: NotAnswering where it was reading the card, else WorkerDied.
    """
    receive, send = Pipe(duplex=False)
    beat_read, beat_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        receive.close()
        os.close(beat_write)
        be_worker(work, send, beat_read)
    send.close()
    os.close(beat_read)
    try:
        answer = _await(receive, on_progress, patience_s, pid)
    finally:
        os.close(beat_write)
        receive.close()
    error = answer.error if isinstance(answer, Failed) else None
    _reap(pid, _STUCK_MS if isinstance(error, NotAnswering) else _END_MS)
    if error:
        raise error
    return answer.value


def be_worker(work: Work, send: Connection, beat: int) -> None:
    """The child's whole life; never returns. ``send`` carries what it says, at last a Result or Failed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the owner, whose end ends us
    lock = threading.Lock()  # the ticker and the work both speak

    def tell(message: object) -> None:
        with lock:
            send.send(message)

    code = 1
    try:
        tell(Result(work(tell, Lifeline(beat))))
        code = 0
    except DockdError as error:
        tell(Failed(error))
    except (OwnerGone, BrokenPipeError):
        code = 2
    except BaseException as error:  # noqa: BLE001 - told to the owner with its traceback
        lines = [line for one in trace.chain(error) for line in (trace.kind(one), *trace.frames(one))]
        tell(Failed(WorkerFault(tuple(lines))))
    finally:
        # A thread that is stuck in a read of the card would keep locks, register and screen open.
        os.closerange(0, MOST_FDS)
        os._exit(code)


def _await(receive: Connection, on_progress: Callable[[Progress], None], patience_s: float, pid: int) -> Any:
    phase: Phase | None = None  # before its first word the worker loads its code and opens the register
    silent = 0.0
    while True:
        if receive.poll(_POLL_S):
            try:
                message = receive.recv()
            except (EOFError, OSError):  # OSError: it died in the middle of a message
                raise WorkerDied(reason=_how_it_ended(pid)) from None
            if not isinstance(message, Progress):
                return message
            on_progress(message)
            phase, silent = message.phase, 0.0
        elif phase:
            silent += _POLL_S
        if silent > max(patience_s, _FROZEN_S):
            os.kill(pid, signal.SIGKILL)  # in D state it does not die: it is left to the kernel
            raise NotAnswering if phase in _READING else WorkerDied(reason="SIGKILL")


def _how_it_ended(pid: int) -> str:
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return f"exit {os.WEXITSTATUS(status)}"


def _reap(pid: int, wait_ms: int) -> None:
    """Waits for the end of a child that has answered, but not for one whose thread the kernel keeps."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        end = poll()
        end.register(process, POLLIN)
        if end.poll(wait_ms):
            os.waitpid(pid, 0)
    finally:
        os.close(process)
