"""A dock without USB, for demonstrations and tests: every folder in a folder is a bay with a card in it.

``DIR/A1`` appears: a recorder is docked in bay A1. It is moved away: the recorder was taken out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from dockd.service.devices import Block, Ownership, Sighting
from dockd.service.loop import Loop, Moment
from dockd.service.watching import Watch

_LOOK_S = 5.0


class Folders:
    """A source of devices that looks into ``root`` when something changes there, and every five seconds."""

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)
        self._moment: Moment | None = None
        self._watch: Watch | None = None

    def start(self, loop: Loop, on_sight: Callable[[Sighting], None]) -> None:
        seen: Sighting | None = None

        def look() -> None:
            nonlocal seen
            watch.renew()
            self._moment = loop.no_later(self._moment, _LOOK_S, look)
            found = Sighting(frozenset(self._cards()))
            if found != seen:
                seen = found
                on_sight(found)

        watch = self._watch = Watch(self._root, lambda: loop.say(look))
        look()

    def stop(self) -> None:
        if self._watch:
            self._watch.end()
        if self._moment:
            self._moment.cancel()

    def alive(self) -> bool:
        return True

    def _cards(self) -> Iterator[Block]:
        with suppress(OSError):
            for entry in os.scandir(self._root):
                with suppress(OSError):
                    if entry.is_dir():
                        yield self._block(entry)

    def _block(self, entry: os.DirEntry[str]) -> Block:
        status = entry.stat()
        return Block(
            name=entry.path,
            number=status.st_dev,
            diskseq=status.st_ino,
            port=entry.name,
            controller="folders",
            ownership=Ownership.CARD,
            fs_uuid=f"{status.st_dev}:{status.st_ino}",
        )
