"""A bounded queue between two threads that cannot hang: when one side fails, the other is told.

(ocopy's copy hangs for ever on a full disk because a dead writer no longer drains its
queue: field-notes 0, finding 4.)
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Stopped(Exception):
    """The other side ended; what it met is reported by that side."""


class Channel(Generic[Item]):
    """Holds items up to a total weight; ``put`` waits for room, ``get`` for an item."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._held = 0
        self._items: deque[tuple[Item, int]] = deque()
        self._closed = False
        self._stopped = False
        self._changed = threading.Condition()

    def put(self, item: Item, weight: int = 1) -> None:
        """``item`` is in the queue on return; raises Stopped if nobody will take it.

        An item heavier than the whole capacity is taken when the queue is empty.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._items or self._held + weight <= self._capacity)
            if self._stopped:
                raise Stopped
            self._items.append((item, weight))
            self._held += weight
            self._changed.notify_all()

    def get(self) -> Item | None:
        """The next item; None when the queue is closed and empty; raises Stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._items or self._closed)
            return self._take()

    def get_now(self) -> Item | None:
        """The next item if one is there already."""
        with self._changed:
            return self._take()

    def _take(self) -> Item | None:
        if self._stopped:
            raise Stopped
        if not self._items:
            return None
        item, weight = self._items.popleft()
        self._held -= weight
        self._changed.notify_all()
        return item

    def close(self) -> None:
        """No more items will come."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def stop(self) -> None:
        """Wakes both sides with Stopped; items still held are for ``drain``."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def drain(self) -> list[Item]:
        """What was put and never got: whoever stopped the channel gives back what the items hold."""
        with self._changed:
            left = [item for item, _ in self._items]
            self._items.clear()
            self._held = 0
            self._changed.notify_all()
            return left
