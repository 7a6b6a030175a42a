"""Small real file systems for tests that need a full, read-only, failing or vanishing disk. Needs root."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

root = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]
"""The marks of a test that mounts something: ``pytestmark = disks.root``."""

_MNT_DETACH = 2
_EXT4_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN


def _run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    return done.stdout


@contextlib.contextmanager
def tmpfs(at: Path, *, size: int) -> Iterator[Path]:
    """A memory file system of ``size`` bytes at ``at`` (made if needed)."""
    at.mkdir(exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size}", "dockd-test", at)
    try:
        yield at
    finally:
        detach(at)


@contextlib.contextmanager
def ext4(image: Path, at: Path, *, size: int, options: str = "", features: str = "") -> Iterator[Path]:
    """An ext4 of ``size`` bytes in the file ``image`` (made if absent), mounted at ``at`` through a loop device."""
    at.mkdir(exist_ok=True)
    if not image.exists():
        with image.open("wb") as file:
            file.truncate(size)
        wanted = ["-O", features] if features else []
        _run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=0", *wanted, image)
    _run("mount", "-o", ",".join(filter(None, ("loop", options))), image, at)
    try:
        yield at
    finally:
        detach(at)


def remount(at: Path, *, writable: bool) -> None:
    """Makes a mounted file system read-only, or writable again."""
    _run("mount", "-o", f"remount,{'rw' if writable else 'ro'}", at)


def shut_down(at: Path) -> None:
    """The ext4 at ``at`` answers EIO from now on, as when its disk dies; what was not synced is lost."""
    fd = os.open(at, os.O_RDONLY)
    fcntl.ioctl(fd, _EXT4_SHUTDOWN, (2).to_bytes(4, "little"))  # without writing the journal out first
    os.close(fd)


def break_ext4(at: Path) -> None:
    """The kernel finds an error in the ext4 at ``at`` (mounted with ``errors=remount-ro``) and makes it read-only."""
    device = os.path.realpath(_run("findmnt", "-n", "-o", "SOURCE", "--mountpoint", at).strip())
    Path("/sys/fs/ext4", os.path.basename(device), "trigger_fs_error").write_text("a test")


def resize(at: Path, *, size: int) -> None:
    """Gives a memory file system another size."""
    _run("mount", "-o", f"remount,size={size}", at)


def detach(at: Path) -> None:
    """Takes a mount away although files of it may still be open (``umount -l``); not mounted is fine."""
    ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(at), _MNT_DETACH)


def fill(at: Path, *, leave: int) -> Path:
    """Takes all space of the disk at ``at`` but ``leave`` bytes; returns the file that holds it."""
    ballast = at / "ballast"
    found = os.statvfs(at)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, found.f_bavail * found.f_frsize - leave))
    return ballast


def brim(at: Path) -> None:
    """Takes all space of the disk at ``at``, to the last byte, also what others have given back since."""
    number = sum(1 for _ in at.glob("ballast*"))
    with (at / f"ballast-{number}").open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(512))


_LOOP_SET_CAPACITY = 0x4C07
_BLKFLSBUF = 0x1261


class Slot:
    """A reader's slot: one block device, whatever card is in it. A card is an image of a file system."""

    def __init__(self, device: str, medium: Path, at: Path) -> None:
        self.device, self._medium, self.path = device, medium, at

    def insert(self, card: Path) -> None:
        """``card`` is in the slot and mounted read-only at ``path``."""
        shutil.copyfile(card, self._medium)
        self._tell()
        _run("mount", "-o", "ro", self.device, self.path)

    def pull(self) -> None:
        """The medium is gone, whoever reads it; what is in the caches stays there. Any process may call it."""
        os.truncate(self._medium, 0)
        self._tell()

    def eject(self) -> None:
        """Nothing is mounted any more."""
        detach(self.path)

    def _tell(self) -> None:
        fd = os.open(self.device, os.O_RDONLY)
        fcntl.ioctl(fd, _BLKFLSBUF, 0)
        fcntl.ioctl(fd, _LOOP_SET_CAPACITY, 0)
        os.close(fd)


@contextlib.contextmanager
def slot(medium: Path, at: Path) -> Iterator[Slot]:
    """An empty slot whose cards are mounted at ``at`` (made if needed); ``medium`` is the file behind its device."""
    at.mkdir(exist_ok=True)
    medium.touch()
    device = _run("losetup", "--find", "--show", medium).strip()
    try:
        yield Slot(device, medium, at)
    finally:
        detach(at)
        _run("losetup", "--detach", device)


def card_image(image: Path, content: Path, *, label: str, born: int, size: int = 16 << 20) -> Path:
    """An ext4 with the files of ``content``, made at the time ``born`` (no two cards are made in one second)."""
    with image.open("wb") as file:
        file.truncate(size)
    subprocess.run(
        ["mkfs.ext4", "-q", "-F", "-m", "0", "-L", label, "-d", content, image],
        check=True,
        capture_output=True,
        env=os.environ | {"E2FSPROGS_FAKE_TIME": str(born)},
    )
    return image


def extent_of(file: Path) -> int:
    """Where the first byte of ``file`` lies on its disk (of one whole extent), in bytes."""
    lines = _run("filefrag", "-v", "-b1", "-e", file).splitlines()
    first = next(line for line in lines if line.strip().startswith("0:"))
    return int(first.split(":")[2].split("..")[0])
