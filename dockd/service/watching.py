"""Being told that something in a folder has changed: inotify by watchdog, in threads that only say a word.

It is a help and no more: an overrun queue is not told of, a network share tells nothing of what others
write, threads can die in silence. So whoever watches also looks by himself, seldom.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Collection
from contextlib import suppress

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirModifiedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

_LIMITS = {errno.ENOSPC: "fs.inotify.max_user_watches", errno.EMFILE: "fs.inotify.max_user_instances"}

# Not what only reads: we do that ourselves, and each look would call for the next one.
_CHANGES: list[type[FileSystemEvent]] = [
    *(DirCreatedEvent, DirModifiedEvent, DirMovedEvent, DirDeletedEvent),
    *(FileCreatedEvent, FileModifiedEvent, FileClosedEvent, FileMovedEvent, FileDeletedEvent),
]

_log = structlog.get_logger()


class Watch(FileSystemEventHandler):
    """``on_change`` is called in a thread of watchdog's. ``names``: only what happens to files called so.

    A share may leave every question unanswered, so that the watch is begun in a thread of its own, too.
    """

    def __init__(
        self, folder: str, on_change: Callable[[], None], *, names: Collection[str] = (), deep: bool = False
    ) -> None:
        self._folder = folder
        self._on_change = on_change
        self._names = frozenset(names)
        self._deep = deep
        self._observer: BaseObserver | None = None
        self._beginning: threading.Thread | None = None
        self._ended = False

    def renew(self) -> None:
        """A watch that has not begun or has died is begun; soon changes are told."""
        if self._ended or self.lives() or (self._beginning and self._beginning.is_alive()):
            return
        self._stop()
        self._beginning = threading.Thread(target=self._begin, daemon=True)
        self._beginning.start()

    def lives(self) -> bool:
        """Whether every thread of it runs; a folder that is gone ends one of them."""
        observer = self._observer
        return observer is not None and observer.is_alive() and all(one.is_alive() for one in observer.emitters)

    def end(self) -> None:
        """Nothing more is told."""
        self._ended = True
        self._stop()

    def _begin(self) -> None:
        if not os.path.isdir(self._folder):
            return
        observer = Observer()
        try:
            observer.schedule(self, self._folder, recursive=self._deep, event_filter=_CHANGES)
            observer.start()
        except OSError as error:
            setting = _LIMITS.get(error.errno or 0)
            _log.warning("folder_not_watched", errno=error.errno, needs=setting and f"sysctl {setting}")
            return
        self._observer = observer
        if self._ended:
            self._stop()
        else:
            self._on_change()  # what happened before it began

    def _stop(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            with suppress(OSError):
                observer.stop()

    def on_any_event(self, event: FileSystemEvent) -> None:
        if self._ended:
            return
        paths = (os.fsdecode(event.src_path), os.fsdecode(event.dest_path))
        if not self._names or any(os.path.basename(path) in self._names for path in paths):
            self._on_change()
