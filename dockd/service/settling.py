"""Whether something that others write has come to rest, and what is under way with it. A pure state machine.

Each thing has a mark (a digest of what is seen of it): while the mark changes, it is being written. At
rest for ``settle_s`` it is ready, once; it is under way at most once at a time; and what changed while it
was under way is ready again when it has come to rest again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class _Seen:
    mark: str
    since: float
    begun: str | None = None
    done: str | None = None
    not_before: float = 0.0


class Settling:
    """``now`` is always the caller's clock, in seconds."""

    def __init__(self, settle_s: float, retry_s: float) -> None:
        self.settle_s = settle_s
        self.retry_s = retry_s
        self._seen: dict[str, _Seen] = {}

    def see(self, marks: Mapping[str, str], now: float) -> None:
        """Everything that is there now. What is gone is forgotten, unless it is under way."""
        for name in [name for name, one in self._seen.items() if name not in marks and one.begun is None]:
            del self._seen[name]
        for name, mark in marks.items():
            one = self._seen.setdefault(name, _Seen(mark, now))
            if one.mark != mark:
                one.mark, one.since, one.not_before = mark, now, 0.0

    def ready(self, now: float) -> list[str]:
        """What may be begun, the longest at rest first."""
        found = [(one.since, name) for name, one in self._seen.items() if self._ready_at(one) is not None]
        return [name for _since, name in sorted(found) if (self._ready_at(self._seen[name]) or 0.0) <= now]

    def begin(self, name: str) -> None:
        """It is under way, as it was seen last."""
        self._seen[name].begun = self._seen[name].mark

    def end(self, name: str, now: float, *, done: bool) -> None:
        """It is no longer under way: done with, until it changes, or to be tried again."""
        one = self._seen[name]
        if done:
            one.done = one.begun
        else:
            one.not_before = now + self.retry_s
        one.begun = None

    def next_at(self) -> float | None:
        """When something becomes ready, if nothing changes."""
        times = [at for one in self._seen.values() if (at := self._ready_at(one)) is not None]
        return min(times, default=None)

    @property
    def under_way(self) -> int:
        return sum(one.begun is not None for one in self._seen.values())

    @property
    def waiting(self) -> int:
        """How many will become ready."""
        return sum(self._ready_at(one) is not None for one in self._seen.values())

    def _ready_at(self, one: _Seen) -> float | None:
        if one.begun is not None or one.done == one.mark:
            return None
        return max(one.since + self.settle_s, one.not_before)
