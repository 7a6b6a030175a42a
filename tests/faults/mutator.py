"""Makes hostile media of real containers: seeded changes as chance, a failing card or an attacker would make them."""

from __future__ import annotations

import random
import struct
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

NAMES = {
    b"boxes": (
        b"moov",
        b"trak",
        b"mdia",
        b"minf",
        b"stbl",
        b"stsd",
        b"stts",
        b"stsz",
        b"stsc",
        b"stco",
        b"mdat",
        b"udta",
    ),
    b"chunks": (b"RIFF", b"LIST", b"hdrl", b"avih", b"strh", b"strf", b"movi", b"idx1", b"fmt ", b"data"),
}
SIZES = (0, 1, 7, 8, 16, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
LONGEST = 400_000
"""Bytes of a mutant: repetition upon repetition must not fill the disk."""


def make_containers(folder: Path) -> dict[str, bytes]:
    """One short recording of each kind that recorders write, by its extension."""
    picture = ("-f", "lavfi", "-i", "testsrc2=d=1:s=64x48:r=5")
    sound = ("-f", "lavfi", "-i", "sine=d=1:sample_rate=8000")
    x264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
    stamp = ("-metadata", "creation_time=2026-11-23T00:00:00Z")
    recipes = {
        "mp4": (*picture, *sound, *x264, "-c:a", "aac", *stamp),
        "mov": (*picture, *x264, "-movflags", "+faststart", *stamp),
        "avi": (*picture, "-c:v", "mjpeg"),
        "ts": (*picture, *x264, "-f", "mpegts"),
        "wav": sound,
        "jpg": (*picture, "-frames:v", "1"),
    }
    found = {}
    for extension, recipe in recipes.items():
        path = folder / f"whole.{extension}"
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", *recipe, str(path)], check=True)
        found[extension] = path.read_bytes()
    return found


class Mutator:
    """Changes containers; the same seed makes the same bytes."""

    def __init__(self, containers: dict[str, bytes], seed: int) -> None:
        self._others = [containers[name] for name in sorted(containers)]
        self._rng = random.Random(seed)

    def __call__(self, data: bytes) -> bytes:
        """One to four changes, one upon the other."""
        ways = (self.flip, self.cut, self.splice, self.repeat, self.blank, self.resize, self.resize, self.recount)
        changed = bytearray(data)
        for _ in range(self._rng.choice((1, 1, 2, 4))):
            self._rng.choice(ways)(changed)
            del changed[LONGEST:]
        return bytes(changed)

    def flip(self, data: bytearray) -> None:
        for _ in range(self._rng.choice((1, 3, 50))):
            if data:
                data[self._rng.randrange(len(data))] ^= 1 << self._rng.randrange(8)

    def cut(self, data: bytearray) -> None:
        del data[self._rng.randrange(len(data) + 1) :]

    def splice(self, data: bytearray) -> None:
        other = self._rng.choice(self._others)
        start, end = sorted(self._rng.randrange(len(other) + 1) for _ in range(2))
        at = self._rng.randrange(len(data) + 1)
        data[at : at + self._rng.choice((0, end - start))] = other[start:end]

    def repeat(self, data: bytearray) -> None:
        """A box or any range, many times over."""
        at = self._name(data) - 4
        start, end = sorted(self._rng.randrange(len(data) + 1) for _ in range(2))
        if at >= 0 and self._rng.random() < 0.5:
            start, end = at, at + int.from_bytes(data[at : at + 4], "big")
        end = min(end, start + 20_000)
        data[start:start] = data[start:end] * self._rng.choice((1, 2, 50))

    def blank(self, data: bytearray) -> None:
        start, end = sorted(self._rng.randrange(len(data) + 1) for _ in range(2))
        data[start:end] = self._rng.choice((b"\0", b"\xff")) * (end - start)

    def resize(self, data: bytearray) -> None:
        """A box or chunk that says it is as long as none can be."""
        at, size = self._name(data), self._rng.choice(SIZES)
        if at < 4:
            return
        if self._rng.random() < 0.5:
            data[at - 4 : at] = struct.pack(">I", size)
        else:
            data[at + 4 : at + 8] = struct.pack("<I", size)
        if size == 1 and self._rng.random() < 0.5:
            data[at + 4 : at + 12] = struct.pack(">Q", self._rng.choice((0, 16, 2**63 - 1, 2**64 - 1)))

    def recount(self, data: bytearray) -> None:
        """A table with as many entries as no file holds."""
        at = self._name(data)
        if at >= 0:
            where = at + self._rng.choice((8, 12, 16))
            data[where : where + 4] = struct.pack(">I", self._rng.choice(SIZES))

    def _name(self, data: bytearray) -> int:
        """Where the name of some box or chunk stands; -1 where there is none."""
        names = [name for some in NAMES.values() for name in some if name in data]
        return data.find(self._rng.choice(names)) if names else -1


# --- made by hand ------------------------------------------------------------------------------------------------


def box(name: bytes, inside: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(inside), name) + inside


def nested_boxes(depth: int = 20_000) -> bytes:
    """Boxes in boxes, deeper than any stack."""
    levels = (struct.pack(">I4s", 8 * (depth - level), b"moov") for level in range(depth))
    return box(b"ftyp", b"isom\0\0\0\0") + b"".join(levels)


def many_boxes(count: int = 40_000) -> bytes:
    return box(b"ftyp", b"isom\0\0\0\0") + box(b"free") * count


def endless_table() -> bytes:
    """A table of samples that would take 16 GiB."""
    entry = box(b"stsz", struct.pack(">III", 0, 0, 0xFFFFFFFF)) + box(b"stco", struct.pack(">II", 0, 0xFFFFFFFF))
    table = box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", entry))))
    return box(b"ftyp", b"isom\0\0\0\0") + box(b"moov", table)


def jpeg_with_a_loop() -> bytes:
    """An EXIF directory whose next directory is itself."""
    directory = struct.pack("<HHHII", 1, 0x010F, 2, 4, 0x41414141) + struct.pack("<I", 8)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + directory
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + b"\xff\xd9"


def jpeg_with_a_laugh() -> bytes:
    """An XMP packet whose entities grow a thousand million fold."""
    grow = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    doctype = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">{grow}]>'
    xmp = f'{doctype}<x:xmpmeta xmlns:x="adobe:ns:meta/">&a9;</x:xmpmeta>'
    packet = b"http://ns.adobe.com/xap/1.0/\0" + xmp.encode()
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(packet) + 2) + packet + b"\xff\xd9"


def png_bomb(megabytes: int = 200) -> bytes:
    """A text that is small until it is unpacked."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"zTXt", b"Comment\0\0" + packed) + chunk(b"IEND", b"")


def wav_of_four_gigabytes() -> bytes:
    """A sound file that says it is as long as 32 bits hold, at a rate of none."""
    fmt = struct.pack("<HHIIHH", 1, 0xFFFF, 0, 0xFFFFFFFF, 0, 0)
    return b"RIFF\xff\xff\xff\xffWAVEfmt " + struct.pack("<I", 16) + fmt + b"data\xff\xff\xff\xff" + bytes(64)


BY_HAND: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nested boxes": ("mp4", nested_boxes),
    "many boxes": ("mp4", many_boxes),
    "endless table": ("mp4", endless_table),
    "a directory that is its own next": ("jpg", jpeg_with_a_loop),
    "entities that grow": ("jpg", jpeg_with_a_laugh),
    "a packed bomb": ("png", png_bomb),
    "a length of all ones": ("wav", wav_of_four_gigabytes),
}
