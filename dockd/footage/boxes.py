"""Tell from a container's outermost lengths alone whether its end or its index is missing.

A recorder that lost power leaves an MP4 without ``moov``, or one whose boxes promise
more bytes than the file holds. Players only say "invalid data"; this says which.
Sixteen bytes are read per box, and only so many boxes.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

ReadAt = Callable[[int, int], bytes]

HEAD_SIZE = 16
MOST_BOXES = 100_000
"""Ten hours of one-second fragments are 72 000 boxes."""
MOST_INNER_BOXES = 64
"""In each box of an index: tracks of a film, tables of a track."""

_WAY_TO_CHUNKS = (b"trak", b"mdia", b"minf", b"stbl")
_CHUNK_TABLES = {b"stco": (">I", 4), b"co64": (">Q", 8)}
_FIRST_BOXES = frozenset(
    (b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"sidx", b"uuid", b"udta")
)
_INDEX_BOXES = frozenset((b"moov", b"meta"))
_PHOTO_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif"))
_PHOTO_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_NEVER_CLOSED = frozenset((0, 0xFFFFFFFF))


@dataclass(frozen=True, slots=True)
class Box:
    """One outermost box. ``end`` may lie beyond the file: then the box is not all there."""

    type: bytes
    start: int
    end: int


def walk(read_at: ReadAt, size: int) -> Iterator[Box]:
    """The outermost boxes of an MP4-like file in order, until the file or the sense ends.

    ``read_at(offset, length)`` may return less than was asked for. At most
    ``MOST_BOXES`` boxes are given, each starting where the one before it ended.
    """
    start = 0
    for _ in range(MOST_BOXES):
        box = _box_at(read_at, start, size)
        if box is None:
            return
        yield box
        if box.end >= size:
            return
        start = box.end


def _box_at(read_at: ReadAt, start: int, size: int) -> Box | None:
    head = read_at(start, HEAD_SIZE)
    if len(head) < 8:
        return None
    length, kind = struct.unpack(">I4s", head[:8])
    if not all(0x20 <= c < 0x7F or c == 0xA9 for c in kind):
        return None
    if length == 0:
        return Box(kind, start, size)
    if length == 1:
        if len(head) < 16:
            return None
        (length,) = struct.unpack(">Q", head[8:16])
        return Box(kind, start, start + length) if length >= 16 else None
    return Box(kind, start, start + length) if length >= 8 else None


def is_boxed(head: bytes) -> bool:
    """Whether a file that begins with ``head`` is an MP4, MOV, 3GP or a relative of theirs."""
    return head[4:8] in _FIRST_BOXES


def is_photo(head: bytes) -> bool:
    """Whether ``head`` begins a still picture (JPEG, PNG, GIF, BMP, TIFF, WebP, HEIF)."""
    if head[4:8] == b"ftyp":
        return head[8:12] in _PHOTO_BRANDS
    return head.startswith(_PHOTO_HEADS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def problems(read_at: ReadAt, size: int) -> tuple[str, ...]:
    """``no_index`` and ``truncated`` as far as the outermost lengths tell; other containers: nothing."""
    head = read_at(0, HEAD_SIZE)
    if is_boxed(head):
        return _box_problems(read_at, size)
    if head[:4] == b"RIFF" and head[8:12] in (b"AVI ", b"WAVE"):
        return _riff_problems(head, size)
    return ()


def _box_problems(read_at: ReadAt, size: int) -> tuple[str, ...]:
    indexed = cut = False
    for box in walk(read_at, size):
        cut = cut or box.end > size
        indexed = indexed or (box.type in _INDEX_BOXES and box.end <= size)
        cut = cut or (box.type == b"moov" and _last_chunk(read_at, box) >= size)
    return ("no_index",) * (not indexed) + ("truncated",) * cut


def _last_chunk(read_at: ReadAt, moov: Box) -> int:
    """Where the index says that the last piece of sound or picture begins; 0 where it does not say."""
    last = 0
    for table in _inside(read_at, moov, _WAY_TO_CHUNKS):
        form, step = _CHUNK_TABLES.get(table.type, ("", 0))
        count = int.from_bytes(read_at(table.start + 12, 4), "big")
        entry = table.start + 16 + (count - 1) * step
        if step and count and entry + step <= table.end:
            found = read_at(entry, step)
            last = max(last, struct.unpack(form, found)[0] if len(found) == step else 0)
    return last


def _inside(read_at: ReadAt, parent: Box, way: tuple[bytes, ...]) -> Iterator[Box]:
    """The boxes within those that ``way`` names, level by level."""
    start = parent.start + 8
    for _ in range(MOST_INNER_BOXES):
        box = _box_at(read_at, start, parent.end) if start < parent.end else None
        if box is None or box.end > parent.end:
            return
        if not way:
            yield box
        elif box.type == way[0]:
            yield from _inside(read_at, box, way[1:])
        start = box.end


def _riff_problems(head: bytes, size: int) -> tuple[str, ...]:
    (length,) = struct.unpack("<I", head[4:8])
    # The length is written when the recording ends: still at its first value, power was lost before.
    if length in _NEVER_CLOSED:
        return ("no_index",)
    return ("truncated",) if length + 8 > size else ()


def reader(fd: int) -> ReadAt:
    """``read_at`` over an open file; an offset beyond what the system can seek to reads as nothing."""

    def read_at(offset: int, length: int) -> bytes:
        try:
            return os.pread(fd, length, offset)
        except OverflowError:
            return b""

    return read_at
