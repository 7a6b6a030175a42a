"""Where devices are seen: udev's messages say when to look, and one fresh enumeration says what is there.

Monitor first, then enumerate, then wait: so nothing falls between. A message is never believed, only
taken as a reason to look, so one that is lost, doubled, late or torn costs a moment and nothing else.
A monitor that dies or overflows is made anew; every ``_RELOOK_S`` it is looked without any reason.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import structlog

from dockd.broker.device import TAG
from dockd.service.devices import Facts, Gadget, Sighting, blocks_of, controller_of
from dockd.service.loop import Loop, Moment

_BURST_S = 0.15  # a plug-in makes a burst of messages: the first is followed at once, the others no faster than this
_RELOOK_S = 60.0
_REVIVE_S = 1.0
_DEAD_S = 30.0

Frozen = TypeVar("Frozen")
_log = structlog.get_logger()


class Source(Protocol):
    """What tells the service what is plugged in: udev, or a test's script."""

    def start(self, loop: Loop, on_sight: Callable[[Sighting], None]) -> None:
        """From now on ``on_sight`` is called with what is there: at once, at each change, and now and then."""

    def stop(self) -> None: ...

    def alive(self) -> bool: ...


class Udev:
    """udev's devices. ``everything``: also those that are not marked, for who only looks."""

    def __init__(self, *, everything: bool = False) -> None:
        self._everything = everything
        self._context: Any = None
        self._monitor: Any = None
        self._fd = -1
        self._loop: Loop | None = None
        self._moment: Moment | None = None
        self._looked_at = -math.inf
        self._deaf_since: float | None = None

    def start(self, loop: Loop, on_sight: Callable[[Sighting], None]) -> None:
        self._context = context()
        self._loop, self._on_sight = loop, on_sight
        self._listen()
        self._look()

    def stop(self) -> None:
        self._fall_deaf()
        if self._moment:
            self._moment.cancel()

    def alive(self) -> bool:
        return self._deaf_since is None or self._loop is None or self._loop.clock() - self._deaf_since < _DEAD_S

    def _listen(self) -> None:
        import pyudev

        assert self._loop is not None
        try:
            monitor = pyudev.Monitor.from_netlink(self._context)
            for subsystem, kind in (("block", None), ("usb", "usb_device")):
                monitor.filter_by(subsystem, kind)
            monitor.start()
        except OSError as error:
            _log.warning("monitor_not_made", errno=error.errno)
            self._deaf_since = self._deaf_since or self._loop.clock()
            return
        self._monitor, self._fd, self._deaf_since = monitor, monitor.fileno(), None
        self._loop.watch(self._fd, self._hear)

    def _fall_deaf(self) -> None:
        if self._monitor is not None and self._loop:
            self._loop.forget(self._fd)
            self._monitor = None

    def _hear(self) -> None:
        """Takes the messages away; what they say is looked up."""
        assert self._loop is not None
        try:
            while self._monitor.poll(0) is not None:
                pass
        except Exception as error:  # noqa: BLE001 (an overrun, or whatever else: the answer is the same)
            _log.warning("monitor_failed", error=type(error).__name__, errno=getattr(error, "errno", None))
            self._fall_deaf()
            self._listen()
        soon = max(0.0, self._looked_at + _BURST_S - self._loop.clock())
        self._look_in(soon if self._monitor is not None else _REVIVE_S)

    def _look_in(self, seconds: float) -> None:
        """No later than that: a device that never falls silent does not put it off."""
        assert self._loop is not None
        self._moment = self._loop.no_later(self._moment, seconds, self._look)

    def _look(self) -> None:
        if self._monitor is None:
            self._listen()
        assert self._loop is not None
        self._looked_at = self._loop.clock()
        self._look_in(_RELOOK_S if self._monitor is not None else _REVIVE_S)
        self._on_sight(look(self._context, everything=self._everything))


def context() -> Any:
    """The way to udev."""
    import pyudev

    return pyudev.Context()


def look(context: Any, *, everything: bool = False) -> Sighting:
    """What is plugged in and ours, at this moment; ``everything``: as if all of it were."""
    facts = _each(context.list_devices(subsystem="block"), _facts, everything)
    gadgets = _each(context.list_devices(subsystem="usb", DEVTYPE="usb_device"), _gadget, everything)
    return Sighting(blocks_of(facts, everything=everything), frozenset(gadgets))


def _each(devices: Iterable[Any], freeze: Callable[[Any], Frozen], everything: bool) -> Iterator[Frozen]:
    """Devices of ours, frozen at once: one that vanishes while it is looked at is not there."""
    for device in devices:
        with suppress(KeyError, OSError, ValueError):
            if everything or _tags(device):
                yield freeze(device)


def _tags(device: Any) -> frozenset[str]:
    """Tags of now; where udev is too old to say, all that it ever had."""
    said = device.properties.get("CURRENT_TAGS") or device.properties.get("TAGS") or ""
    return frozenset(said.strip(":").split(":")) & {TAG}


def _facts(device: Any) -> Facts:
    said = dict(device.properties)
    is_partition = said.get("DEVTYPE") == "partition"
    name = device.sys_name
    return Facts(
        name=name,
        number=os.makedev(int(said.get("MAJOR", 0)), int(said.get("MINOR", 0))),
        place=device.sys_path,
        disk=os.path.basename(os.path.dirname(device.sys_path)) if is_partition else name,
        is_partition=is_partition,
        sectors=_number(device, "size"),
        tags=_tags(device),
        said=said,
    )


def _gadget(device: Any) -> Gadget:
    said = dict(device.properties)
    return Gadget(
        port=device.sys_name,
        controller=controller_of(device.sys_path),
        address=f"{said.get('BUSNUM', '')}:{said.get('DEVNUM', '')}",
        vendor=said.get("ID_VENDOR_ID", ""),
        product=said.get("ID_MODEL_ID", ""),
        serial=_text(device, "serial") or said.get("ID_SERIAL_SHORT", ""),
        maker_text=_text(device, "manufacturer") or said.get("ID_VENDOR", ""),
        product_text=_text(device, "product") or said.get("ID_MODEL", ""),
    )


def _text(device: Any, attribute: str) -> str:
    try:
        return str(device.attributes.asstring(attribute)).strip()
    except (KeyError, OSError, UnicodeDecodeError):
        return ""


def _number(device: Any, attribute: str) -> int:
    text = _text(device, attribute)
    return int(text) if text.isdigit() else 0
