"""Run under ``umockdev-wrapper``: libudev, pyudev and ``service/udev.py`` are real, the devices are made up here.

Prints one JSON line for each step of the script: what the source had seen by then.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time
from typing import Any

from dockd.service import udev
from dockd.service.devices import Sighting
from dockd.service.loop import Loop

LIB = ctypes.CDLL("libumockdev.so.0")
for name, result, arguments in (
    ("umockdev_testbed_new", ctypes.c_void_p, []),
    ("umockdev_testbed_add_from_string", ctypes.c_int, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]),
    ("umockdev_testbed_uevent", None, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]),
    ("umockdev_testbed_remove_device", None, [ctypes.c_void_p, ctypes.c_char_p]),
    ("umockdev_testbed_set_attribute", None, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]),
    ("umockdev_testbed_set_property", None, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p]),
):
    function = getattr(LIB, name)
    function.restype, function.argtypes = result, arguments

HUB = "/devices/pci0000:00/0000:00:14.0/usb1/1-4"


def usb(port: str) -> str:
    return f"""\
P: {HUB}/{port}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
E: BUSNUM=001
E: DEVNUM=005
E: ID_VENDOR_ID=4255
E: ID_MODEL_ID=0001
E: TAGS=:dockd:
E: CURRENT_TAGS=:dockd:
A: manufacturer=Ambarella
A: product=A9
A: serial=2107731

"""


def disk(port: str, name: str, *, minor: int, tags: str = ":dockd:", size: int = 62333952) -> str:
    return f"""\
P: {HUB}/{port}/{port}:1.0/host6/target6:0:0/6:0:0:0/block/{name}
N: {name}
E: SUBSYSTEM=block
E: DEVTYPE=disk
E: DEVNAME=/dev/{name}
E: MAJOR=8
E: MINOR={minor}
E: DISKSEQ={minor + 1}
E: ID_PART_TABLE_TYPE=dos
E: ID_SERIAL_SHORT=2107731
E: TAGS={tags}
E: CURRENT_TAGS={tags}
A: size={size}

"""


def partition(port: str, name: str, number: int, *, minor: int) -> str:
    return f"""\
P: {HUB}/{port}/{port}:1.0/host6/target6:0:0/6:0:0:0/block/{name}/{name}{number}
N: {name}{number}
E: SUBSYSTEM=block
E: DEVTYPE=partition
E: DEVNAME=/dev/{name}{number}
E: MAJOR=8
E: MINOR={minor}
E: DISKSEQ={minor}
E: ID_FS_USAGE=filesystem
E: ID_FS_TYPE=vfat
E: ID_FS_UUID=1234-ABCD
E: ID_PART_ENTRY_NUMBER={number}
E: TAGS=:dockd:
E: CURRENT_TAGS=:dockd:
A: size=62331904

"""


class Bed:
    """The made-up machine."""

    def __init__(self) -> None:
        self.bed = LIB.umockdev_testbed_new()

    def add(self, text: str) -> None:
        assert LIB.umockdev_testbed_add_from_string(self.bed, text.encode(), None)

    def remove(self, path: str) -> None:
        LIB.umockdev_testbed_uevent(self.bed, f"/sys{path}".encode(), b"remove")
        LIB.umockdev_testbed_remove_device(self.bed, f"/sys{path}".encode())


class Watcher:
    """The source under test, in a loop."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.sights: list[Sighting] = []
        self.source = udev.Udev()
        self.source.start(self.loop, self.sights.append)

    def tell(self, holds: Any) -> None:
        """Prints what is seen as soon as ``holds`` of it."""
        end = time.monotonic() + 10
        while not holds(self.sights[-1]) and time.monotonic() < end:
            self.loop.turn(0.2)
        seen = self.sights[-1]
        print(
            json.dumps(
                {
                    "blocks": {block.name: [block.ownership, block.port, block.controller] for block in seen.blocks},
                    "gadgets": {one.port: [one.vendor, one.serial, one.maker_text] for one in seen.gadgets},
                }
            ),
            flush=True,
        )


def main() -> None:
    bed = Bed()
    bed.add(usb("1-4.1") + disk("1-4.1", "sda", minor=0))
    bed.add(disk("1-4.9", "sdz", minor=128, tags=":systemd:"))
    watcher = Watcher()
    watcher.tell(lambda seen: seen.blocks)
    bed.add(partition("1-4.1", "sda", 1, minor=1))
    watcher.tell(lambda seen: len(seen.blocks) == 2)
    for port in range(2, 9):
        bed.add(usb(f"1-4.{port}") + disk(f"1-4.{port}", f"sd{'abcdefgh'[port - 1]}", minor=16 * port))
        watcher.loop.turn(0)  # umockdev's socket holds a few messages only
    watcher.tell(lambda seen: len(seen.blocks) == 9)
    for device in ("/host6/target6:0:0/6:0:0:0/block/sda/sda1", "/host6/target6:0:0/6:0:0:0/block/sda"):
        bed.remove(f"{HUB}/1-4.1/1-4.1:1.0{device}")
    watcher.tell(lambda seen: "1-4.1" not in {block.port for block in seen.blocks})


if __name__ == "__main__":
    sys.exit(main())
