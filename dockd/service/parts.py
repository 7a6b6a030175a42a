"""What a part of the service is: something that is started, waits in the one loop, and is asked to end.

Devices, visits, folders, schedule, control socket: each is a ``Part``. It gets the ``Surroundings``
when it is started, tells the loop which descriptors and moments it waits for, and returns at once
from everything it is asked. A part that raises, or that is no longer ``alive``, ends the service as
a whole, which says which part it was: systemd starts it anew, and what was under way is resumed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from dockd.service.loop import Loop

if TYPE_CHECKING:
    from dockd.service.crew import Crew
    from dockd.settings import Settings


@dataclass(slots=True)
class Surroundings:
    """What every part may use. ``settings`` is replaced as a whole when the configuration is read again.

    ``end`` ends the service because of a part, ``reload`` reads the configuration again (what SIGHUP
    does) and raises ConfigInvalid or ConfigNeedsRestart where it is not taken. ``sights`` is what parts
    show of themselves (``Part.show``), by the part's name.
    """

    loop: Loop
    settings: Settings
    now: Callable[[], datetime]
    crew: Crew
    reload: Callable[[], None]
    sights: Callable[[], dict[str, Any]]


class Part:
    """One part. Only ``start`` and ``stop`` must be written; the other answers suit a part that lives in the loop."""

    name: ClassVar[str]
    """A word for logs: ``devices``, ``visits``, ``schedule`` …"""

    def start(self, around: Surroundings) -> None:
        """Begins to wait. What it raises ends the service before it was ready."""
        raise NotImplementedError

    def stop(self) -> None:
        """Begins to end: nothing new is taken. Called once, also when ``start`` was not."""
        raise NotImplementedError

    def ready(self) -> bool:
        """Whether the part stands, so that the service may call itself ready."""
        return True

    def ended(self) -> bool:
        """After ``stop``: whether nothing is left to wait for."""
        return True

    def alive(self) -> bool:
        """Whether a thread or process of the part's own has shown a sign of life lately."""
        return True

    def status(self) -> str:
        """What a person should read in ``systemctl status``, in the language in use; nothing to say is ""."""
        return ""

    def show(self) -> Any:
        """What ``dockd status --json`` shows of the part; None: nothing."""
        return None

    def reload(self, settings: Settings) -> None:
        """From now on ``settings`` are in force. Called after they were found valid; must not fail."""
