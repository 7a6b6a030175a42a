"""Whether a block device may be read as a card, by what the kernel and udev say of it, not by what is asked.

Everything is looked up anew for one request, below ``tree`` (``/`` but in tests). A device that fails a
check has not been touched.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dockd.errors import (
    CardHeldElsewhere,
    CardMountedElsewhere,
    CardStaysWritable,
    DeviceGone,
    DeviceNotMarked,
    DeviceNotPluggable,
)

TAG = "dockd"
"""What udev's rules put on a recorder's devices."""

_BLKROSET = 0x125D
_BLKROGET = 0x125E
_BLKGETDISKSEQ = 0x80081280
_PLUGGABLE = frozenset({"usb", "mmc"})


@dataclass(frozen=True, slots=True)
class Device:
    """A block device that may be read. ``disk`` is the whole one, itself where there are no partitions."""

    number: int
    name: str
    node: str
    disk_number: int
    disk_node: str
    fs_type: str


def find(number: int, *, tree: str = "/") -> Device:
    """The device ``number``, marked for dockd, pluggable, mounted nowhere and holding up nothing.

    Raises DeviceGone, DeviceNotMarked, DeviceNotPluggable, CardMountedElsewhere, CardHeldElsewhere.
    """
    numbers = f"{os.major(number)}:{os.minor(number)}"
    place = os.path.realpath(os.path.join(tree, "sys/dev/block", numbers))
    name = uevent(place).get("DEVNAME")
    if name is None:
        raise DeviceGone(device=numbers)
    said, tags = udev(number, tree)
    if TAG not in tags:
        raise DeviceNotMarked(device=name)
    if not _PLUGGABLE.intersection(_buses(place)):
        raise DeviceNotPluggable(device=name)
    if point := mount_point(number, tree):
        raise CardMountedElsewhere(device=name, reason=point)
    if names(os.path.join(place, "holders")):
        raise CardHeldElsewhere(device=name)
    disk = os.path.dirname(place) if os.path.exists(os.path.join(place, "partition")) else place
    return Device(
        number=number,
        name=name,
        node=os.path.join(tree, "dev", name),
        disk_number=_number(disk),
        disk_node=os.path.join(tree, "dev", uevent(disk).get("DEVNAME", name)),
        fs_type=said.get("ID_FS_TYPE", ""),
    )


def hold(device: Device, diskseq: int) -> int:
    """The device open for reading, free of other users and read-only down to its disk. The caller closes it.

    While it is open its number belongs to no other device. Raises DeviceGone, CardHeldElsewhere,
    CardStaysWritable.
    """
    held = _open(device.node, device.number, device.name)
    try:
        if media(held) != diskseq:
            raise DeviceGone(device=device.name)
        # Claims the device for a moment: mounted, swapped on or taken by anybody means EBUSY.
        os.close(_open(device.node, device.number, device.name, os.O_EXCL))
        _protect(held, device.name)
        disk = _open(device.disk_node, device.disk_number, device.name)
        try:
            _protect(disk, device.name)
        finally:
            os.close(disk)
    except BaseException:
        os.close(held)
        raise
    return held


def media(held: int) -> int:
    """Which medium is in an open device: the kernel counts every one that comes."""
    found = fcntl.ioctl(held, _BLKGETDISKSEQ, bytes(8))
    return int(struct.unpack("=Q", found)[0])


def _open(node: str, number: int, name: str, flags: int = 0) -> int:
    try:
        fd = os.open(node, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise CardHeldElsewhere(device=name) from None
        raise DeviceGone(device=name) from error
    status = os.fstat(fd)
    if not stat.S_ISBLK(status.st_mode) or status.st_rdev != number:
        os.close(fd)
        raise DeviceGone(device=name)
    return fd


def _protect(fd: int, name: str) -> None:
    """No write reaches the device any more, whoever mounts it how."""
    try:
        fcntl.ioctl(fd, _BLKROSET, struct.pack("=i", 1))
        answer = fcntl.ioctl(fd, _BLKROGET, struct.pack("=i", 0))
    except OSError as error:
        raise CardStaysWritable(device=name, reason=error.strerror or str(error)) from error
    if struct.unpack("=i", answer) != (1,):
        raise CardStaysWritable(device=name, reason="BLKROGET")


# --- what the kernel and udev say ------------------------------------------------------------------


def uevent(place: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in lines(os.path.join(place, "uevent")))
    return {key: value for key, _equals, value in pairs}


def _number(place: str) -> int:
    major, _colon, minor = "".join(lines(os.path.join(place, "dev"))[:1]).partition(":")
    return os.makedev(int(major or 0), int(minor or 0))


def _buses(place: str) -> Iterator[str]:
    """The kinds of everything that a device hangs on, itself first."""
    while len(place) > 1:
        link = os.path.join(place, "subsystem")
        if os.path.islink(link):
            yield os.path.basename(os.readlink(link))
        place = os.path.dirname(place)


def udev(number: int, tree: str) -> tuple[dict[str, str], frozenset[str]]:
    """Properties and *current* tags (``Q:``; those of ``G:`` stay when a rule no longer gives them)."""
    told = lines(os.path.join(tree, "run/udev/data", f"b{os.major(number)}:{os.minor(number)}"))
    pairs = (line[2:].partition("=") for line in told if line.startswith("E:"))
    return {k: v for k, _e, v in pairs}, frozenset(line[2:] for line in told if line.startswith("Q:"))


def mount_point(number: int, tree: str) -> str | None:
    wanted = f"{os.major(number)}:{os.minor(number)}"
    for line in lines(os.path.join(tree, "proc/self/mountinfo")):
        fields = line.split(" ")
        if len(fields) > 4 and fields[2] == wanted:
            return re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4])
    return None


def names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().splitlines()
    except OSError:
        return []
