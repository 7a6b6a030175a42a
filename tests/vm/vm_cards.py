"""Cards as files: FAT32 and exFAT, with and without a partition table, full of recordings that can be told apart."""

from __future__ import annotations

import functools
import hashlib
import mmap
import os
import random
import struct
import subprocess
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

MIB = 1 << 20
PARTITION_AT = MIB
FsType = Literal["fat32", "exfat"]
MakeCard = Callable[..., "Card"]


@dataclass(frozen=True)
class Recording:
    """A file that a card holds."""

    path: str
    size: int
    sha256: str
    head: bytes
    """Bytes of it that no other recording has."""


@dataclass(frozen=True)
class Card:
    """A card and what is on it."""

    image: Path
    recordings: tuple[Recording, ...]

    @property
    def digest(self) -> str:
        """Of every byte of the card, its file system included."""
        with self.image.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def find(self, recording: Recording) -> int:
        """Where the recording's own bytes begin on the card, which holds them in one piece."""
        with self.image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
            return whole.find(recording.head)

    @property
    def truth(self) -> dict[str, str]:
        return {one.path: one.sha256 for one in self.recordings}


def make_card(
    image: Path,
    *,
    fs_type: FsType = "fat32",
    partitioned: bool = False,
    files: int = 1,
    file_mib: float = 2,
    seed: int = 0,
    recorded: datetime = datetime(2026, 11, 23, 9, 0),
    device_no: str = "YS00001",
    label: str = "BODYCAM",
) -> Card:
    """A card of a recorder ``device_no`` whose recordings end ``recorded`` (the recorder's wall clock) and later."""
    with tempfile.TemporaryDirectory(prefix="dockd-card-") as name:
        content = Path(name)
        recordings = tuple(_record(content, files, file_mib, seed, recorded, device_no))
        need = int(sum(one.size for one in recordings) / MIB * 1.1) + 8
        size = max(need, 48 if fs_type == "fat32" else 16) * MIB
        volume = image.with_suffix(".volume") if partitioned else image
        with volume.open("wb") as file:
            file.truncate(size)
        # Two cards that are made within a second would be called the same.
        number = zlib.crc32(f"{seed}/{device_no}/{fs_type}".encode())
        (_fill_fat32 if fs_type == "fat32" else _fill_exfat)(volume, content, label, number)
        if partitioned:
            _put_into_partition(volume, image, fs_type)
    return Card(image, recordings)


def _record(
    content: Path, files: int, file_mib: float, seed: int, recorded: datetime, device_no: str
) -> Iterator[Recording]:
    chance = random.Random(f"{seed}/{device_no}")
    folder = content / "DCIM/100MEDIA"
    folder.mkdir(parents=True)
    for number in range(files):
        stamp = recorded + timedelta(minutes=number)
        name = f"{device_no}_000000_{stamp:%Y%m%d%H%M%S}_{number:04d}.mp4"
        data = _clip() + _padding(chance, int(file_mib * MIB))
        path = folder / name
        path.write_bytes(data)
        os.utime(path, (stamp.replace(tzinfo=UTC).timestamp(),) * 2)
        yield Recording(
            f"DCIM/100MEDIA/{name}", len(data), hashlib.sha256(data).hexdigest(), data[len(_clip()) + 8 :][:64]
        )


def _padding(chance: random.Random, size: int) -> bytes:
    """A box that players pass over, with bytes that no other recording has."""
    return struct.pack(">I4s", size, b"free") + chance.randbytes(max(0, size - 8))


@functools.cache
def _clip() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        source = ("-f", "lavfi", "-i", "testsrc=d=1:s=64x48:r=5", "-c:v", "libx264", "-preset", "ultrafast")
        subprocess.run(["ffmpeg", "-v", "error", *source, f"{folder}/clip.mp4"], check=True)
        return Path(folder, "clip.mp4").read_bytes()


# --- file systems ------------------------------------------------------------------------------------------

# A recorder writes its wall clock: so do we, in a zone without summer time.
_WALL = os.environ | {"TZ": "UTC", "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin", "MTOOLS_SKIP_CHECK": "1"}


def _run(*command: str | Path) -> None:
    ran = subprocess.run([str(part) for part in command], check=False, capture_output=True, env=_WALL)
    if ran.returncode:
        raise RuntimeError(f"{command}: {(ran.stdout + ran.stderr).decode()}")


def _fill_fat32(volume: Path, content: Path, label: str, number: int) -> None:
    _run("mkfs.vfat", "-F", "32", "-s", "1", "-n", label, "-i", f"{number:08x}", volume)
    _run("mcopy", "-s", "-m", "-i", volume, *sorted(content.iterdir()), "::")


def _fill_exfat(volume: Path, content: Path, label: str, number: int) -> None:
    _run("mkfs.exfat", "-L", label, volume)
    _run("tune.exfat", "-I", f"0x{number:08x}", volume)
    with _mounted(volume) as at:
        _run("cp", "-r", "--preserve=timestamps", *sorted(content.iterdir()), at)


@contextmanager
def _mounted(volume: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as at:
        device = subprocess.run(
            ["losetup", "--find", "--show", volume], check=True, capture_output=True, text=True, env=_WALL
        ).stdout.strip()
        try:
            _run("mount.exfat-fuse", device, at)
            try:
                yield Path(at)
            finally:
                _run("umount", at)
        finally:
            _run("losetup", "--detach", device)


def _put_into_partition(volume: Path, image: Path, fs_type: FsType) -> None:
    size = volume.stat().st_size
    with image.open("wb") as file:
        file.truncate(PARTITION_AT + size)
    kind = "c" if fs_type == "fat32" else "7"
    table = f"label: dos\nstart={PARTITION_AT // 512}, size={size // 512}, type={kind}\n"
    subprocess.run(["sfdisk", "-q", image], input=table, text=True, check=True, env=_WALL, stdout=subprocess.DEVNULL)
    _run("dd", f"if={volume}", f"of={image}", f"bs={PARTITION_AT}", "seek=1", "conv=notrunc,sparse", "status=none")
    volume.unlink()
