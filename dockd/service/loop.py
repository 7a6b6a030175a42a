"""One wait over everything: descriptors that become readable, moments that come, words from other threads.

Everything in the service's process happens in one thread, in the order in which it came. An act
that takes long does not belong here: it goes to a worker (``crew``) or a thread that says its result.
"""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

Act = Callable[[], None]


@dataclass(order=True, slots=True)
class Moment:
    """An act that is due at ``when``, on the loop's clock; None once it was called or cancelled."""

    when: float
    seq: int
    act: Act | None = field(compare=False)

    def cancel(self) -> None:
        self.act = None


class Loop:
    """``clock`` counts seconds and never goes back; tests give one that only they move."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._selector = selectors.DefaultSelector()
        self._moments: list[Moment] = []
        self._seq = itertools.count()
        self._said: deque[Act] = deque()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.watch(self._bell, self._answer_bell)

    def watch(self, fd: int, act: Act) -> None:
        """``act`` is called whenever ``fd`` is readable or hung up, until ``forget``."""
        self._selector.register(fd, selectors.EVENT_READ, act)

    def forget(self, fd: int) -> None:
        """To be called before ``fd`` is closed."""
        self._selector.unregister(fd)

    def after(self, seconds: float, act: Act) -> Moment:
        """``act`` is called once, ``seconds`` from now, unless the moment is cancelled."""
        moment = Moment(self.clock() + seconds, next(self._seq), act)
        heapq.heappush(self._moments, moment)
        return moment

    def no_later(self, moment: Moment | None, seconds: float, act: Act) -> Moment:
        """``moment`` where it comes within ``seconds``; otherwise a new one in its place, ``seconds`` from now."""
        if moment is not None and moment.act is not None:
            if moment.when <= self.clock() + seconds:
                return moment
            moment.cancel()
        return self.after(seconds, act)

    def say(self, act: Act) -> None:
        """``act`` is called in the loop's thread, soon. The one method that any thread may call."""
        self._said.append(act)
        os.eventfd_write(self._bell, 1)

    def turn(self, most_s: float | None = None) -> None:
        """Waits until something happens, for ``most_s`` at the most, and does all that is due."""
        for key, _events in self._selector.select(self._patience(most_s)):
            if self._selector.get_map().get(key.fd) == key:  # an act before it may have forgotten it
                key.data()
        while self._moments and (self._moments[0].act is None or self._moments[0].when <= self.clock()):
            moment = heapq.heappop(self._moments)
            act, moment.act = moment.act, None
            if act:
                act()

    def _patience(self, most_s: float | None) -> float | None:
        while self._moments and self._moments[0].act is None:
            heapq.heappop(self._moments)
        if not self._moments:
            return most_s
        first = max(0.0, self._moments[0].when - self.clock())
        return first if most_s is None else min(first, most_s)

    def _answer_bell(self) -> None:
        os.eventfd_read(self._bell)
        for _ in range(len(self._said)):
            self._said.popleft()()

    def close(self) -> None:
        self._selector.close()
        os.close(self._bell)
