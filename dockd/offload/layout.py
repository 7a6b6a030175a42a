"""Where things lie in the store: pure naming, no I/O.

``footage/YYYY/MM/DD/<device_no>/<file_no>.<ext>``, the day of docking in the station's
zone. No name that came from a card or from a person is part of a path (article 27(2)).
"""

from __future__ import annotations

import hashlib
import re
from datetime import date

FOOTAGE = "footage"
PRIVATE = ".dockd"
QUARANTINE = f"{PRIVATE}/quarantine"
LOCKS = f"{PRIVATE}/locks"
TEMP_SUFFIX = ".part"
UNKNOWN_RECORDER = "_unregistered"

_PART_BYTES = 200  # a file system's name has at most 255
_TEMP = re.compile(r"[^.].*-\d{6,}-\d{5,}\.[0-9a-z]{1,8}\.part")
# file numbers, manifests and listings carry the number of their visit
_VISIT = re.compile(r"(?:-(\d{6,18})-\d{5,}\.|/\.?visit-(\d{6,18})\.)[^/]*\Z", re.ASCII)
_EXTENSION = re.compile(rb"\.([0-9A-Za-z]{1,8})\Z")


def file_no(station_no: str, docked_on: date, visit_id: int, seq: int) -> str:
    """文件编号: unique for ever, because visit numbers are never given twice."""
    return f"{station_no}-{docked_on:%Y%m%d}-{visit_id:06d}-{seq:05d}"


def folder(docked_on: date, device_no: str | None) -> str:
    """The folder of one recorder's day, relative to the store's root."""
    return f"{FOOTAGE}/{docked_on:%Y/%m/%d}/{path_part(device_no) if device_no else UNKNOWN_RECORDER}"


def final_path(docked_on: date, device_no: str | None, number: str, original_name: bytes) -> str:
    """The path of a stored file, relative to the store's root."""
    return f"{folder(docked_on, device_no)}/{number}.{extension(original_name)}"


def temp_path(final: str) -> str:
    """The temp of ``final``: in the same directory, so that a rename is enough."""
    return final + TEMP_SUFFIX


def is_temp(name: str) -> bool:
    """Whether a file in a footage folder is the temp of a copy, not of a sidecar or manifest at work."""
    return _TEMP.fullmatch(name) is not None


def manifest_path(docked_on: date, device_no: str | None, visit_id: int) -> str:
    """The visit's manifest, beside its footage."""
    return f"{folder(docked_on, device_no)}/visit-{visit_id:06d}.sha256"


def visit_path(docked_on: date, device_no: str | None, visit_id: int) -> str:
    """The visit's listing with what became of each entry, beside its manifest."""
    return f"{folder(docked_on, device_no)}/visit-{visit_id:06d}.json"


def visit_of(path: str) -> int | None:
    """The number of the visit that a file in the store belongs to by its name, None where the name says none."""
    found = _VISIT.search(path)
    return int(found[1] or found[2]) if found else None


def extension(original_name: bytes) -> str:
    """The original extension in lower case, ``bin`` where it is absent or odd."""
    found = _EXTENSION.search(original_name)
    text = found.group(1).decode("ascii").lower() if found else "bin"
    return "bin" if f".{text}" == TEMP_SUFFIX else text


def path_part(number: str) -> str:
    """A bureau's number as one path component, different for different numbers.

    Letters and digits of any script, ``-`` and inner ``.`` and ``_`` stay; the rest is
    percent-encoded, also a leading ``.`` (hidden) or ``_`` (our own folder's mark). What would
    be too long for a name is cut, and told apart by its digest after a ``~``.
    """
    part = "".join(_kept(c, at_start=i == 0) for i, c in enumerate(number))
    if len(part.encode()) <= _PART_BYTES:
        return part
    start = part.encode()[: _PART_BYTES - 65].decode(errors="ignore")
    return f"{start}~{hashlib.sha256(number.encode()).hexdigest()}"


def _kept(c: str, *, at_start: bool) -> str:
    if c.isalnum() or c == "-" or (c in "._" and not at_start):
        return c
    return "".join(f"%{byte:02X}" for byte in c.encode())
