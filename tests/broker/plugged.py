"""A card that is plugged in: a real loop device, with what a kernel and udev would say of it in a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import AF_UNIX, SOCK_SEQPACKET, socket, socketpair

from dockd.broker.device import media

ANSWER_S = 30


class Tree:
    """What a kernel and udev would say of one plugged device, in a folder; the device itself is a real loop device."""

    def __init__(self, root: Path, device: str) -> None:
        self.root = root
        self.node = Path(device)
        self.number = os.stat(device).st_rdev
        self.numbers = f"{os.major(self.number)}:{os.minor(self.number)}"
        self.place = root / "sys/devices/pci0/usb1/1-1/host0/block" / self.node.name
        (root / "sys/dev/block").mkdir(parents=True)
        (self.place / "holders").mkdir(parents=True)
        (self.place / "uevent").write_text(f"DEVNAME={self.node.name}\nDEVTYPE=disk\n")
        (self.place / "dev").write_text(f"{self.numbers}\n")
        (root / "sys/dev/block" / self.numbers).symlink_to(self.place)
        (root / "dev").symlink_to("/dev")
        (root / "proc").symlink_to("/proc")
        self.hang_on("usb")
        self.udev("Q:dockd", "E:ID_FS_TYPE=ext4")

    def hang_on(self, bus: str) -> None:
        """The device hangs on a bus of this kind."""
        link = self.place.parent.parent.parent / "subsystem"
        link.unlink(missing_ok=True)
        link.symlink_to(f"../../../bus/{bus}")

    def udev(self, *lines: str) -> None:
        """What stands in udev's database of the device."""
        data = self.root / "run/udev/data"
        data.mkdir(parents=True, exist_ok=True)
        (data / f"b{self.numbers}").write_text("\n".join(("I:1", *lines)) + "\n")

    @property
    def diskseq(self) -> int:
        fd = os.open(self.node, os.O_RDONLY)
        try:
            return media(fd)
        finally:
            os.close(fd)


@contextmanager
def plugged(image: Path, at: Path) -> Iterator[Tree]:
    """The card of the file ``image`` in a device; what is said of it stands below ``at``."""
    ran = subprocess.run(["losetup", "--find", "--show", image], check=True, capture_output=True, text=True)
    device = ran.stdout.strip()
    try:
        yield Tree(at, device)
    finally:
        subprocess.run(["blockdev", "--setrw", device], check=True)
        subprocess.run(["losetup", "--detach", device], check=True)


def make_file_system(image: Path, fs_type: str, content: Path) -> None:
    """A file system of ``fs_type`` in the file ``image`` that holds the files of ``content``."""
    with image.open("wb") as file:
        file.truncate((320 if fs_type == "xfs" else 8) << 20)
    if fs_type == "ext4":
        subprocess.run(["mkfs.ext4", "-q", "-F", "-d", content, image], check=True, capture_output=True)
        return
    subprocess.run(["mkfs.xfs", "-q", "-f", image], check=True, capture_output=True)
    at = image.parent / "filling"
    at.mkdir()
    subprocess.run(["mount", "-o", "loop,nouuid", image, at], check=True)
    shutil.copytree(content, at, dirs_exist_ok=True)
    subprocess.run(["umount", at], check=True)


def start_broker(*, user: str = "root", tree: Path = Path("/"), uid: int = 0) -> tuple[socket, subprocess.Popen[str]]:
    """The broker as a process of its own, serving ``user``, and the end of its connection that ``uid`` has opened."""
    # Who made the socket pair is who asks, as the kernel sees it.
    os.seteuid(uid)
    try:
        ours, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
    finally:
        os.seteuid(0)
    ours.settimeout(ANSWER_S)
    with theirs:
        child = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(tree), user], stdin=theirs, stderr=subprocess.PIPE, text=True
        )
    return ours, child


_PROGRAM = """
import functools, sys
from dockd.broker import __main__ as broker
broker.open_card = functools.partial(broker.open_card, tree=sys.argv[1])
sys.exit(broker.main(sys.argv[2:]))
"""
