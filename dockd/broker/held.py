"""Which recorders' devices are plugged in and who holds them: no mount table shows a card that the broker gave out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from dockd.broker import device


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has the card, or a file on it, open."""

    pid: int
    program: str


@dataclass(frozen=True, slots=True)
class Marked:
    """A device that udev marked for dockd. ``mounted_at``: where this process's mount table shows it."""

    name: str
    number: int
    place: str
    fs_type: str
    label: str
    read_only: bool
    mounted_at: str | None
    holders: tuple[Holder, ...]


def marked(*, tree: str = "/") -> list[Marked]:
    """Every marked disk and partition. Of other users' processes root only sees what they hold."""
    folder = os.path.join(tree, "run/udev/tags", device.TAG)
    numbers = [number for name in device.names(folder) if (number := _number(name)) is not None]
    holders = _holders(frozenset(numbers), tree)
    found = (_look(number, holders.get(number, ()), tree) for number in numbers)
    return sorted((one for one in found if one), key=lambda one: one.name)


def _number(name: str) -> int | None:
    """``b8:17`` is the block device 8:17."""
    major, _colon, minor = name[1:].partition(":")
    is_block = name.startswith("b") and major.isdigit() and minor.isdigit()
    return os.makedev(int(major), int(minor)) if is_block else None


def _look(number: int, holders: tuple[Holder, ...], tree: str) -> Marked | None:
    place = os.path.realpath(os.path.join(tree, f"sys/dev/block/{os.major(number)}:{os.minor(number)}"))
    name = device.uevent(place).get("DEVNAME")
    said, tags = device.udev(number, tree)
    # The folder of tags keeps what was marked once.
    if name is None or device.TAG not in tags:
        return None
    return Marked(
        name=name,
        number=number,
        place=place,
        fs_type=said.get("ID_FS_TYPE", ""),
        label=said.get("ID_FS_LABEL", ""),
        read_only=device.lines(os.path.join(place, "ro")) == ["1"],
        mounted_at=device.mount_point(number, tree),
        holders=holders,
    )


def _holders(wanted: frozenset[int], tree: str) -> dict[int, tuple[Holder, ...]]:
    """By device: the processes that have something on it open."""
    found: dict[int, list[Holder]] = {}
    for pid in filter(str.isdigit, device.names(os.path.join(tree, "proc"))):
        place = os.path.join(tree, "proc", pid)
        for number in wanted & frozenset(_open_on(os.path.join(place, "fd"))):
            program = "".join(device.lines(os.path.join(place, "comm"))[:1])
            found.setdefault(number, []).append(Holder(int(pid), program))
    return {number: tuple(sorted(them, key=lambda one: one.pid)) for number, them in found.items()}


def _open_on(folder: str) -> Iterator[int]:
    for name in device.names(folder):
        try:
            yield os.stat(os.path.join(folder, name)).st_dev
        except OSError:
            continue  # closed meanwhile, or on a card that was pulled
