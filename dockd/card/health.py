"""What a card's file system says of itself: whether it was closed properly, whether errors were seen on it.

Read from the medium's own first sectors, as the mount broker hands them over, or where the block device may
be opened; nothing is said otherwise, nor of a card that somebody mounted writable, because the kernel marks
such a card itself. The bytes are a card's, so hostile: what makes no sense says nothing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ReadAt = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True)
class FileSystemState:
    """``dirty``: not closed properly. ``errors``: the file system remembers errors of the medium."""

    kind: str
    dirty: bool
    errors: bool


def file_system_state(root_fd: int, heads: Sequence[tuple[int, bytes]] = ()) -> FileSystemState | None:
    """The state of the file system on which the card's root lies; None where it cannot be known.

    ``heads`` are bytes of the device with their offsets, read before it was mounted.
    """
    if heads:
        return parse_state(lambda offset, length: _from_heads(heads, offset, length))
    try:
        if not os.fstatvfs(root_fd).f_flag & os.ST_RDONLY:
            return None
        device = os.fstat(root_fd).st_dev
        fd = os.open(f"/dev/block/{os.major(device)}:{os.minor(device)}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return parse_state(lambda offset, length: os.pread(fd, length, offset))
    except OSError:
        return None
    finally:
        os.close(fd)


def _from_heads(heads: Sequence[tuple[int, bytes]], offset: int, length: int) -> bytes:
    """What stands there, zeros where nothing is known."""
    found = bytearray(length)
    for at, data in heads:
        begin, end = max(at, offset), min(at + len(data), offset + length)
        if begin < end:
            found[begin - offset : end - offset] = data[begin - at : end - at]
    return bytes(found)


def parse_state(read_at: ReadAt) -> FileSystemState | None:
    """The state that the bytes of a volume tell; None for a file system that is not known here."""
    try:
        boot = read_at(0, 512)
        if boot[3:11] == b"EXFAT   ":
            return _exfat(boot)
        if boot[510:512] == b"\x55\xaa" and boot[0:1] in (b"\xeb", b"\xe9"):
            return _fat(boot, read_at)
        return _ext(read_at(1024, 1024))
    except (struct.error, IndexError):
        return None


def _exfat(boot: bytes) -> FileSystemState:
    (flags,) = struct.unpack_from("<H", boot, 106)
    return FileSystemState("exfat", dirty=bool(flags & 0x0002), errors=bool(flags & 0x0004))


def _fat(boot: bytes, read_at: ReadAt) -> FileSystemState | None:
    """Both places are looked at: Linux marks the boot sector, Windows and most recorders the second FAT entry."""
    sector, per_cluster, reserved, copies, roots, small, _media, fat16 = struct.unpack_from("<HBHBHHBH", boot, 11)
    (large, fat32) = struct.unpack_from("<II", boot, 32)
    if sector not in (512, 1024, 2048, 4096) or not per_cluster or not reserved:
        return None
    size = fat16 or fat32
    data = (small or large) - reserved - copies * size - (roots * 32 + sector - 1) // sector
    clusters = data // per_cluster
    if clusters >= 65525 or not fat16:
        state, (entry,) = boot[0x41], struct.unpack("<I", read_at(reserved * sector + 4, 4))
        clean, no_error = entry & 1 << 27, entry & 1 << 26
    elif clusters >= 4085:
        state, (entry,) = boot[0x25], struct.unpack("<H", read_at(reserved * sector + 2, 2))
        clean, no_error = entry & 1 << 15, entry & 1 << 14
    else:
        state, clean, no_error = boot[0x25], 1, 1  # FAT12 keeps no such bits
    return FileSystemState("fat", dirty=bool(state & 1) or not clean, errors=bool(state & 2) or not no_error)


def _ext(block: bytes) -> FileSystemState | None:
    magic, state = struct.unpack_from("<HH", block, 56)
    if magic != 0xEF53:
        return None
    return FileSystemState("ext", dirty=not state & 1, errors=bool(state & 2))
