"""What is plugged in, as frozen values: a device that is looked at later may be another one by then.

Whose a device is, is one question with one answer, and the answer to everything that nobody
named is ``NOT_OURS``: untouched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dockd.broker.device import TAG

_USB_PORT = re.compile(r"\d+-\d+(?:\.\d+)*")
_SLOT = re.compile(r"mmc\d+")
_ROOT_HUB = re.compile(r"usb\d+")
_PCI = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]")


class Ownership(StrEnum):
    """Whose a block device is. Only a ``CARD`` is ever opened."""

    NOT_OURS = "not_ours"
    CARD = "card"
    WHOLE = "whole"  # a disk whose partitions are the cards
    EMPTY = "empty"  # a reader without a card
    BLANK = "blank"  # a card on which udev finds no file system


@dataclass(frozen=True, slots=True)
class Facts:
    """What udev and the kernel said of a block device at one moment."""

    name: str
    number: int
    place: str
    disk: str
    is_partition: bool
    sectors: int
    tags: frozenset[str]
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Block:
    """A disk or partition that is ours. ``diskseq`` tells one medium in a reader from the next."""

    name: str
    number: int
    diskseq: int
    port: str
    controller: str
    ownership: Ownership
    fs_type: str = ""
    fs_uuid: str = ""
    label: str = ""
    sectors: int = 0
    part: str = ""
    usb_serial: str = ""

    @property
    def card(self) -> tuple[str, str, int, str]:
        """What stays when the same card is plugged in again."""
        return (self.fs_type, self.fs_uuid, self.sectors, self.part)


@dataclass(frozen=True, slots=True)
class Gadget:
    """A USB device that is ours, whatever it shows itself as. ``address`` changes at every plug-in."""

    port: str
    controller: str
    address: str
    vendor: str = ""
    product: str = ""
    serial: str = ""
    maker_text: str = ""
    product_text: str = ""


@dataclass(frozen=True, slots=True)
class Sighting:
    """Everything of ours that is plugged in, at one moment."""

    blocks: frozenset[Block] = frozenset()
    gadgets: frozenset[Gadget] = frozenset()

    @property
    def ports(self) -> frozenset[str]:
        return frozenset(block.port for block in self.blocks) | frozenset(one.port for one in self.gadgets)

    def at(self, port: str) -> Sighting:
        """What is plugged into one port."""
        return Sighting(
            frozenset(block for block in self.blocks if block.port == port),
            frozenset(gadget for gadget in self.gadgets if gadget.port == port),
        )


def own(facts: Facts, divided: Iterable[str]) -> Ownership:
    """Whose the device is; ``divided`` are the disks that have partitions at this moment."""
    if TAG not in facts.tags:
        return Ownership.NOT_OURS
    return _look_at(facts, divided)


def _look_at(facts: Facts, divided: Iterable[str]) -> Ownership:
    if port_of(facts.place) is None:
        return Ownership.NOT_OURS
    if not facts.is_partition and facts.name in divided:
        return Ownership.WHOLE
    if not facts.sectors:
        return Ownership.EMPTY
    if facts.said.get("ID_FS_USAGE") == "filesystem":
        return Ownership.CARD
    # The kernel's partitions of a table come a moment after their disk, which is looked at again then.
    if not facts.is_partition and facts.said.get("ID_PART_TABLE_TYPE"):
        return Ownership.WHOLE
    return Ownership.BLANK


def blocks_of(facts: Iterable[Facts], *, everything: bool = False) -> frozenset[Block]:
    """The devices of ours among ``facts``; ``everything``: all that is plugged in, for who only looks."""
    every = tuple(facts)
    divided = {one.disk for one in every if one.is_partition}
    owned = ((one, (_look_at if everything else own)(one, divided)) for one in every)
    return frozenset(_as_block(one, whose) for one, whose in owned if whose is not Ownership.NOT_OURS)


def _as_block(facts: Facts, whose: Ownership) -> Block:
    said = facts.said
    return Block(
        name=facts.name,
        number=facts.number,
        diskseq=int(said.get("DISKSEQ") or 0),
        port=port_of(facts.place) or "",
        controller=controller_of(facts.place),
        ownership=whose,
        fs_type=said.get("ID_FS_TYPE", ""),
        fs_uuid=said.get("ID_FS_UUID", ""),
        label=said.get("ID_FS_LABEL", ""),
        sectors=facts.sectors,
        part=said.get("ID_PART_ENTRY_NUMBER", "") if facts.is_partition else "",
        usb_serial=said.get("ID_USB_SERIAL_SHORT") or said.get("ID_SERIAL_SHORT", ""),
    )


def port_of(place: str) -> str | None:
    """The USB port (``1-4.2``) or card slot (``mmc0``) that a device in sysfs hangs on; None for anything else."""
    parts = place.split("/")
    ports = [part for part in parts if _USB_PORT.fullmatch(part)]
    slots = [part for part in parts if _SLOT.fullmatch(part)]
    return ports[-1] if ports else slots[-1] if slots else None


def controller_of(place: str) -> str:
    """The host controller that a device's bytes go through: its PCI address, or its root hub."""
    parts = place.split("/")
    hub = next((i for i, part in enumerate(parts) if _ROOT_HUB.fullmatch(part)), len(parts))
    pci = [part for part in parts[:hub] if _PCI.fullmatch(part)]
    return pci[-1] if pci else parts[hub] if hub < len(parts) else ""
