"""The part that minds folders which others fill: deliveries become visits, tables in the drop folder are taken in.

Nothing of a share is touched in the service's own process: looks and works are workers', so that one that does not
answer holds up nothing else. A folder's works come one after the other, beside the docks' own visits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import structlog

from dockd.errors import DockdError
from dockd.locale import _
from dockd.service.crew import Ended, Work
from dockd.service.deliveries import WHOLE, Looked, Looking, Receiving
from dockd.service.dropped import LookingForTables, TakingIn
from dockd.service.loop import Moment
from dockd.service.parts import Part, Surroundings
from dockd.service.settling import Settling
from dockd.service.watching import Watch
from dockd.settings import Settings

SOON_S = 0.5
"""How long after a change a folder is looked at: copies come in bursts of events."""

_log = structlog.get_logger()


@dataclass(slots=True)
class Hot:
    """One folder. ``work`` makes what is done with a thing in it."""

    name: str
    path: str
    look: Work
    work: Callable[[str, Surroundings], Work]
    settling: Settling
    watch: Watch | None = None
    moment: Moment | None = None
    looking: bool = False
    changed: bool = False
    outside: int = 0
    absent: bool = False
    trouble: str = ""
    done: int = 0
    deep: bool = field(default=False)


def hot_folders(settings: Settings) -> list[Hot]:
    """The folders that ``settings`` name."""
    said = settings.folders
    times = (said.settle.total_seconds(), said.rescan.total_seconds())
    found = [
        Hot(
            name,
            str(one.path),
            Looking(str(one.path), one.whole),
            lambda thing, around, path=str(one.path), bay=name: Receiving(  # type: ignore[misc]
                around.settings, os.path.normpath(os.path.join(path, thing)), bay, around.now
            ),
            Settling(*times),
            deep=True,
        )
        for name, one in said.deliveries.items()
    ]
    if said.imports:
        drop = str(said.imports)
        found.append(
            Hot(
                "imports",
                drop,
                LookingForTables(drop),
                lambda thing, around: TakingIn(around.settings, drop, thing, around.now),
                Settling(*times),
            )
        )
    return found


class HotFolders(Part):
    """``begin`` is called when register and store stand; before that nothing is begun."""

    name: ClassVar[str] = "folders"

    def __init__(self) -> None:
        self._around: Surroundings | None = None
        self._folders: list[Hot] = []
        self._begun = self._ending = False

    # --- the part ---------------------------------------------------------------------------------------

    def start(self, around: Surroundings) -> None:
        self._around = around

    def begin(self) -> None:
        """From now on the folders are minded."""
        self._begun = True
        self._mind()

    def stop(self) -> None:
        self._ending = True
        self._leave()

    def ended(self) -> bool:
        return not any(hot.settling.under_way or hot.looking for hot in self._folders)

    def reload(self, settings: Settings) -> None:
        """What is under way goes on; everything else is looked at anew, by the new settings."""
        if not self._begun or _wanted(settings) == self._minded:
            return
        self._leave()
        self._mind()

    def status(self) -> str:
        at_work = sum(hot.settling.under_way for hot in self._folders)
        return _("{count} deliveries being read").format(count=at_work) if at_work else ""

    def show(self) -> Any:
        return [
            {
                "name": hot.name,
                "path": hot.path,
                "absent": hot.absent,
                "waiting": hot.settling.waiting,
                "working": hot.settling.under_way,
                "done": hot.done,
                "outside": hot.outside,
                "trouble": hot.trouble or None,
            }
            for hot in self._folders
        ] or None

    # --- looking and working ----------------------------------------------------------------------------

    def _mind(self) -> None:
        around = self._surroundings
        self._minded = _wanted(around.settings)
        self._folders = hot_folders(around.settings)
        for hot in self._folders:
            hot.watch = Watch(hot.path, lambda hot=hot: self._hear(hot), deep=hot.deep)  # type: ignore[misc]
            hot.watch.renew()
            self._look(hot)

    def _leave(self) -> None:
        for hot in self._folders:
            if hot.watch:
                hot.watch.end()
            if hot.moment:
                hot.moment.cancel()
        self._folders = [hot for hot in self._folders if hot.settling.under_way or hot.looking]

    def _hear(self, hot: Hot) -> None:
        """In a thread of watchdog's."""
        if not hot.changed:
            hot.changed = True
            self._surroundings.loop.say(lambda: self._look_in(hot, SOON_S))

    def _look_in(self, hot: Hot, seconds: float) -> None:
        """No later than that: what was told while it was looked is not put off to the rescan."""
        hot.moment = self._surroundings.loop.no_later(hot.moment, seconds, lambda: self._look(hot))

    def _look(self, hot: Hot) -> None:
        if self._ending or hot.looking:
            return
        hot.looking, hot.changed = True, False
        if hot.watch:
            hot.watch.renew()
        self._surroundings.crew.hire(hot.look, on_end=lambda ended: self._looked(hot, ended))

    def _looked(self, hot: Hot, ended: Ended) -> None:
        hot.looking = False
        around = self._surroundings
        now = around.loop.clock()
        if isinstance(ended.value, Looked):
            self._note(hot, ended.value)
            hot.settling.see(ended.value.marks, now)
        if self._ending or hot not in self._folders:
            return
        for thing in hot.settling.ready(now)[: 1 - hot.settling.under_way]:
            self._begin(hot, thing)
        rescan = around.settings.folders.rescan.total_seconds()
        next_at = hot.settling.next_at() if not hot.settling.under_way else None
        self._look_in(hot, min(rescan, max(SOON_S, next_at - now)) if next_at is not None else rescan)
        if hot.changed:
            self._look_in(hot, SOON_S)

    def _note(self, hot: Hot, found: Looked) -> None:
        if found.absent and not hot.absent:
            _log.warning("folder_absent", bay=hot.name)
        if found.outside > hot.outside:
            _log.warning("folder_files_outside", bay=hot.name, count=found.outside)
        hot.absent, hot.outside = found.absent, found.outside

    def _begin(self, hot: Hot, thing: str) -> None:
        around = self._surroundings
        hot.settling.begin(thing)
        _log.info("delivery_begun", bay=hot.name)
        work = hot.work(thing if thing != WHOLE else "", around)
        around.crew.hire(work, on_end=lambda ended: self._end(hot, thing, ended))

    def _end(self, hot: Hot, thing: str, ended: Ended) -> None:
        hot.settling.end(thing, self._surroundings.loop.clock(), done=ended.value is True)
        if ended.error is not None:
            hot.trouble = ended.error.name if isinstance(ended.error, DockdError) else "fault"
            frames = None if isinstance(ended.error, DockdError) else list(ended.error.trace_lines)
            _log.warning("delivery_failed", bay=hot.name, error=hot.trouble, frames=frames)
        else:
            hot.trouble, hot.done = "", hot.done + (ended.value is True)
        if not self._ending and hot in self._folders:
            self._look(hot)

    @property
    def _surroundings(self) -> Surroundings:
        if self._around is None:
            raise RuntimeError("the part was not started")
        return self._around


def _wanted(settings: Settings) -> object:
    return settings.folders
