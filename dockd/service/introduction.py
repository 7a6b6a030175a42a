"""What a recorder shows of itself when it is plugged in, and the lines that bind its bay and register it. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dockd.service.devices import Block, Gadget, Ownership, Sighting

_BAY_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Introduction:
    """One port at which something new was seen. ``bay`` is its name in the configuration, or None."""

    port: str
    bay: str | None
    gadgets: tuple[Gadget, ...]
    blocks: tuple[Block, ...]

    @property
    def serial(self) -> str:
        """The serial number by which USB knows it."""
        of_blocks = (block.usb_serial for block in self.blocks)
        return next((text for text in (*(one.serial for one in self.gadgets), *of_blocks) if text), "")


def news(before: Sighting, after: Sighting, bays: Mapping[str, str]) -> list[Introduction]:
    """What was plugged in between two sightings, port by port; ``bays`` are names by port."""
    found = []
    for port in sorted(after.ports):
        old, new = before.at(port), after.at(port)
        if new != old:
            gadgets = tuple(sorted(new.gadgets, key=lambda one: one.address))
            blocks = tuple(sorted(new.blocks, key=lambda one: one.name))
            found.append(Introduction(port, bays.get(port), gadgets, blocks))
    return found


def free_name(names: Iterable[str]) -> str:
    """A name for the next bay: one more than the highest number in use."""
    numbers = [int(number) for name in names for number in _BAY_NUMBER.findall(name)[-1:]]
    return f"A{max(numbers, default=0) + 1}"


def bay_line(found: Introduction, names: Iterable[str]) -> str:
    """The line under ``bays`` for its port, in YAML."""
    return f'  {free_name(names)}: {{ports: ["{found.port}"]}}'


def device_lines(found: Introduction) -> list[str]:
    """The line under ``devices`` for its kind, in YAML; nothing where USB says nothing of it."""
    return [
        f'  - {{vendor: "{gadget.vendor}", product: "{gadget.product}"}}'
        for gadget in found.gadgets
        if gadget.vendor and gadget.product
    ]


def register_command(found: Introduction) -> str:
    """The command that registers it; the bureau's number is a person's to say."""
    words = ["dockd", "recorder", "add", "N", *(["--serial", found.serial] if found.serial else [])]
    return shlex.join(words)


def cards(found: Introduction) -> list[Block]:
    """The file systems that it shows."""
    return [block for block in found.blocks if block.ownership is Ownership.CARD]
