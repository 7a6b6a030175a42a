"""Which parts the service has, in the order in which they start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dockd.broker.wire import SOCKET
from dockd.service.control import Control
from dockd.service.crew import Crew
from dockd.service.foundation import Foundation
from dockd.service.hot import HotFolders
from dockd.service.loop import Loop
from dockd.service.notify import Herald
from dockd.service.parts import Part
from dockd.service.rereading import Rereading
from dockd.service.schedule import Schedule
from dockd.service.supervisor import Supervisor
from dockd.service.teller import Teller
from dockd.service.ticks import TICKS, Round
from dockd.service.udev import Source, Udev
from dockd.service.visits import Visits
from dockd.settings import Settings

if TYPE_CHECKING:
    from dockd.service.served import Commandline

WARM = (
    "dockd.service.attendance",
    "dockd.service.errands",
    "dockd.service.unlocking",
    "dockd.service.served",
    "dockd.cli.main",
    *(tick.module for tick in TICKS if tick.round in (Round.DELIVER, Round.WATCH)),
)
"""What workers need: the nursery loads it once, so that no plug-in, no command and no round waits for it."""


def assemble(
    settings: Settings,
    *,
    commands: Commandline,
    now: Callable[[], datetime],
    load: Callable[[], Settings],
    source: Source | None = None,
    broker: str = SOCKET,
) -> Supervisor:
    """The whole service of a station, not started yet. ``source`` None: what udev sees.

    ``commands``: what people may ask for on the control socket.
    """
    loop = Loop()
    service: Supervisor | None = None

    def state() -> Mapping[str, Any]:
        return service.tell() if service else {}

    parts = [*parts_of(settings, source or Udev(), broker, commands), Teller(settings.file, state)]
    service = Supervisor(parts, settings, loop=loop, crew=Crew(loop, warm=WARM), now=now, herald=Herald(), load=load)
    return service


def parts_of(settings: Settings, source: Source, broker: str, commands: Commandline) -> list[Part]:
    """The parts that ``settings`` ask for."""
    visits = Visits(source, settings, broker=broker)
    folders = HotFolders()

    def begin() -> None:
        visits.begin()
        folders.begin()

    return [Foundation(begin), visits, folders, Schedule(), Rereading(), Control(commands)]
