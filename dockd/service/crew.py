"""Worker processes for the service, ready before they are needed: each carries out one work and ends.

They come from the nursery (``nursery``), which is forked while the service has no threads. A worker
ends with the service, however that ends: the other end of its lifeline is only here, and it asks
that before every write (field-notes 10).
"""

from __future__ import annotations

import gc
import os
import pickle
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from dockd.errors import DockdError, WorkerDied
from dockd.service.loop import Loop
from dockd.service.nursery import KILL, ORDER, PING, REPORT, WORK, be_nursery
from dockd.visit.worker import Failed, Lifeline, Result, WorkerFault

Work = Callable[[Callable[[object], None], Lifeline, tuple[int, ...]], Any]
"""``work(send, lifeline, fds)``: a module's function, or a frozen dataclass with ``__call__``; it crosses by pickle."""

_ORDER_BYTES = 1 << 20
_READ_BYTES = 1 << 16
_ANSWER_S = 60.0  # the nursery may be loading what works need, on a machine that is busy
_FRAME = struct.Struct("!i")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a work ended: with a value, with a failure that has a name, or with a fault of our own."""

    value: Any = None
    error: DockdError | WorkerFault | None = None


class Hand:
    """One worker at work. ``heard_at`` is when it last said something, on the loop's clock."""

    def __init__(self, crew: Crew, job: int, lifeline: int) -> None:
        self.heard_at = crew.loop.clock()
        self._crew = crew
        self._job = job
        self._lifeline: int | None = lifeline

    def let_go(self) -> None:
        """The worker ends by itself before its next write; nothing that it has proven is lost."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def abandon(self) -> None:
        """Killed and waited for no longer: in D state it stays until its read returns. ``on_end`` is not called."""
        self.let_go()
        self._crew.abandon(self._job)


@dataclass(slots=True)
class _Job:
    hand: Hand
    words: int
    on_word: Callable[[Any], None]
    on_end: Callable[[Ended], None]
    buffer: bytearray = field(default_factory=bytearray)
    answer: Result | Failed | None = None
    closed: bool = False


class Crew:
    """``warm``: modules that the nursery loads before it is asked for anything."""

    def __init__(self, loop: Loop, *, warm: Sequence[str] = ()) -> None:
        self.loop = loop
        self._warm = tuple(warm)
        self._jobs: dict[int, _Job] = {}
        self.begun = 0
        """How many works have been begun so far."""
        self._orders: socket.socket | None = None
        self._nursery = 0
        self._asked_at: float | None = None

    def start(self) -> None:
        """Forks the nursery. To be called before this process has threads."""
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ORDER_BYTES)
        gc.collect()
        gc.freeze()  # what both share stays shared: no collection touches it again
        self._nursery = os.fork()
        if self._nursery == 0:
            be_nursery(its, self._warm)
        its.close()
        self._orders = ours
        self.loop.watch(ours.fileno(), self._hear_nursery)

    def alive(self) -> bool:
        """Whether the nursery is there and answers: each call asks it anew, once it has answered."""
        if self._orders is None:
            return False
        if self._asked_at is not None:
            return self.loop.clock() - self._asked_at < _ANSWER_S
        try:
            self._order(PING, 0)
        except OSError:
            return False
        self._asked_at = self.loop.clock()
        return True

    @property
    def size(self) -> int:
        """How many works have not ended yet; abandoned ones do not count."""
        return len(self._jobs)

    def hire(
        self,
        work: Work,
        *,
        on_end: Callable[[Ended], None],
        on_word: Callable[[Any], None] = lambda _word: None,
        fds: Sequence[int] = (),
    ) -> Hand:
        """A worker begins with ``work``; what it sends comes to ``on_word``, its end to ``on_end``, both in the loop.

        ``fds`` reach the worker under other numbers; the caller closes its own when this returns.
        """
        self.begun += 1
        job = self.begun
        words, its_words = os.pipe()
        its_beat, beat = os.pipe()
        hand = Hand(self, job, beat)
        self._jobs[job] = _Job(hand, words, on_word, on_end)
        os.set_blocking(words, False)
        self.loop.watch(words, lambda: self._hear(job))
        try:
            self._order(WORK, job, pickle.dumps(work), (its_words, its_beat, *fds))
        finally:
            os.close(its_words)
            os.close(its_beat)
        return hand

    def abandon(self, job: int) -> None:
        if job in self._jobs:
            self._order(KILL, job)
            self._forget(job)

    def _order(self, kind: bytes, job: int, body: bytes = b"", fds: Sequence[int] = ()) -> None:
        if self._orders is None:
            raise BrokenPipeError("there is no nursery")
        socket.send_fds(self._orders, [ORDER.pack(kind, job) + body], list(fds))

    def _hear(self, number: int) -> None:
        self._read(number)
        job = self._jobs.get(number)
        if job and job.closed:
            self.loop.forget(job.words)
            if job.answer:  # a thread of it may be stuck in a read for ever: its last word is its end
                self._end(number, 0)

    def _read(self, number: int) -> bool:
        """Whether there may be more to read."""
        job = self._jobs[number]
        try:
            data = os.read(job.words, _READ_BYTES)
        except BlockingIOError:
            return False
        job.closed = not data
        job.buffer += data
        for word in _unpack(job.buffer):
            job.hand.heard_at = self.loop.clock()
            if isinstance(word, Result | Failed):
                job.answer = word
            elif number in self._jobs:  # the word before may have made its owner give up
                job.on_word(word)
        return number in self._jobs and not job.closed

    def _hear_nursery(self) -> None:
        try:
            data = self._orders.recv(REPORT.size) if self._orders else b""
        except ConnectionResetError:  # it died with an order in its hands
            data = b""
        if not data:
            self.close()
            return
        number, status = REPORT.unpack(data)
        if number == 0:
            self._asked_at = None
        if number not in self._jobs:
            return
        if not self._jobs[number].closed:
            while self._read(number):
                pass
            if number in self._jobs:
                self.loop.forget(self._jobs[number].words)
        if number in self._jobs:
            self._end(number, status)

    def _end(self, number: int, status: int) -> None:
        job = self._jobs.pop(number)
        job.hand.let_go()
        os.close(job.words)
        job.on_end(_as_ended(job.answer, status))

    def _forget(self, number: int) -> None:
        job = self._jobs.pop(number)
        if not job.closed:
            self.loop.forget(job.words)
        os.close(job.words)

    def let_go(self) -> None:
        """Every worker ends before its next write."""
        for job in self._jobs.values():
            job.hand.let_go()

    def close(self) -> None:
        """The nursery ends, and at once every worker that is left."""
        if self._orders is None:
            return
        self.let_go()
        for number in list(self._jobs):
            self._forget(number)
        self.loop.forget(self._orders.fileno())
        self._orders.close()
        self._orders = None
        os.waitpid(self._nursery, 0)


def _unpack(buffer: bytearray) -> list[Any]:
    """Takes the whole messages out of ``buffer``, framed as ``Connection.send`` does."""
    words = []
    while len(buffer) >= _FRAME.size:
        end = _FRAME.size + _FRAME.unpack_from(buffer)[0]
        if len(buffer) < end:
            break
        words.append(pickle.loads(bytes(buffer[_FRAME.size : end])))  # noqa: S301 (our own worker's)
        del buffer[:end]
    return words


def _as_ended(answer: Result | Failed | None, status: int) -> Ended:
    if isinstance(answer, Result):
        return Ended(answer.value)
    if isinstance(answer, Failed):
        return Ended(error=answer.error)
    if os.WIFSIGNALED(status):
        return Ended(error=WorkerDied(reason=signal.Signals(os.WTERMSIG(status)).name))
    return Ended(error=WorkerDied(reason=f"exit {os.WEXITSTATUS(status)}"))
