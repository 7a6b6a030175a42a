"""Which parts the service has, in the order in which they start."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from dockd.service.crew import Crew
from dockd.service.loop import Loop
from dockd.service.notify import Herald
from dockd.service.parts import Part
from dockd.service.supervisor import Supervisor
from dockd.settings import Settings

WARM = ("dockd.visit.story", "dockd.register.station")
"""What a worker needs: the nursery loads it once, so that no plug-in waits for it."""


def assemble(settings: Settings, *, now: Callable[[], datetime], load: Callable[[], Settings]) -> Supervisor:
    """The whole service of a station, not started yet."""
    loop = Loop()
    return Supervisor(
        parts(settings), settings, loop=loop, crew=Crew(loop, warm=WARM), now=now, herald=Herald(), load=load
    )


def parts(settings: Settings) -> list[Part]:
    """The parts that ``settings`` ask for."""
    del settings
    return []
