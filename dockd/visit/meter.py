"""Counts what a visit does, for screens; the copying threads call it, a ticker sends snapshots."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

from dockd.nouns import Entry
from dockd.visit.request import Phase, Progress

TICK_S = 0.2


class Meter:
    """Thread-safe counters with one listener, which is called every ``TICK_S`` and at each new phase."""

    def __init__(self, listener: Callable[[Progress], None]) -> None:
        self._listener = listener
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._now = Progress(Phase.LISTING)
        self._ended = threading.Event()

    def start(self) -> None:
        """Begins to tick in a thread of its own; a listener that fails (nobody reads) ends the ticking."""
        threading.Thread(target=self._tick, daemon=True).start()

    def stop(self) -> None:
        self._ended.set()

    def enter(self, phase: Phase, reason: str = "") -> None:
        """A new phase; ``reason`` is the code of what is waited for."""
        self._change(phase=phase, reason=reason)
        self._send()

    def plan(self, files: int, done: int, total: int) -> None:
        """How much there is to do: ``done`` files need no copy."""
        self._change(files=files, files_done=done, bytes_total=total)

    def left(self, files: int, size: int) -> None:
        """Copying begins again with what is left: ``files`` of ``size`` bytes."""
        with self._lock:
            now = self._now
            self._now = replace(now, files_done=now.files - files, bytes_read=max(0, now.bytes_total - size))

    def reading(self, entry: Entry, offset: int) -> None:
        with self._lock:
            self._now = replace(self._now, current=entry.display, bytes_read=self._now.bytes_read + offset)

    def read(self, count: int) -> None:
        with self._lock:
            self._now = replace(self._now, bytes_read=self._now.bytes_read + count)

    def proving(self, entry: Entry) -> None:
        """The read-back of ``entry`` begins: only worth a word when nothing is read any more."""

    def settled(self, entry: Entry, proven_bytes: int) -> None:
        with self._lock:
            now = self._now
            self._now = replace(now, files_done=now.files_done + 1, bytes_proven=now.bytes_proven + proven_bytes)

    def describe(self, done: int, files: int) -> None:
        """Follow-up: ``done`` of ``files`` are described."""
        self._change(files_done=done, files=files)

    def _change(self, **values: object) -> None:
        with self._lock:
            self._now = replace(self._now, **values)  # type: ignore[arg-type]

    def _tick(self) -> None:
        while not self._ended.wait(TICK_S):
            try:
                self._send()
            except OSError:
                return  # the screen is gone; the owner's end is noticed by whoever writes next

    def _send(self) -> None:
        with self._sending:
            with self._lock:
                self._now = replace(self._now, ticks=self._now.ticks + 1)
                now = self._now
            self._listener(now)
