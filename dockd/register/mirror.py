"""The ledger's mirror in the store: may lag behind the register, never leads, and is only ever added to.

``ledger/<station_no>/YYYY-MM.jsonl``, by the month of a line in the station's zone, but never in a file
older than the newest: so the files in the order of their names are the chain in its order. What a call
costs depends on what is new, not on history: of all that is there, only the end of the newest file is read.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import select

from dockd.errors import LedgerBroken
from dockd.locale import _
from dockd.register import disk
from dockd.register.chain import Linked, parse
from dockd.register.session import Register
from dockd.register.tables import EventRow

BATCH = 1000
LONGEST = 64 << 20
"""Bytes of the longest line that is read: a file without newlines must not fill the memory."""

_FILE = re.compile(r"\d{4}-\d{2}\.jsonl\Z")
_BEGUN = re.compile(rb"(\d{4}-\d{2}\.jsonl) (\d{20})\n")
_BLOCK = 64 << 10


def folder_of(store_root: Path, station_no: str) -> str:
    """Where the mirror of a station's ledger lies."""
    return f"{store_root}/ledger/{station_no}"


def files_of(folder: str) -> list[str]:
    """The mirror's files by name, which is the chain's order; none where there is no folder."""
    with suppress(FileNotFoundError):
        return sorted(name for name in os.listdir(folder) if _FILE.match(name))
    return []


def lines_after(register: Register, station_no: str, seq: int, *, limit: int = BATCH) -> list[Linked]:
    """At most ``limit`` committed lines after ``seq``, in order."""
    columns = (EventRow.seq, EventRow.at, EventRow.kind, EventRow.subject, EventRow.line, EventRow.sha256)
    query = select(*columns).where(EventRow.station_no == station_no, EventRow.seq > seq)
    with register.read() as session:
        return [Linked(*row) for row in session.execute(query.order_by(EventRow.seq).limit(limit))]


def mirror_ledger(register: Register, store_root: Path, station_no: str, zone: ZoneInfo) -> int:
    """Every line committed before the call stands in the store, on the medium. Returns how many were added.

    What a crash tore of the last lines is cut back first. Raises LedgerBroken when the mirror does not
    end as the register's chain says it must (nothing is added then), and StoreError.
    """
    folder = folder_of(store_root, station_no)
    with disk.blaming(folder):
        os.stat(f"{store_root}/{disk.MARKER}")  # the store's disk may not be mounted: its mount point is no store
        disk.make_folders(folder)
        with _alone(folder) as turn:
            _mend(register, folder, station_no, turn)
            return _catch_up(register, folder, station_no, zone, turn)


@contextmanager
def _alone(folder: str) -> Iterator[int]:
    """Writers of one mirror take turns; the kernel ends the turn of one that dies."""
    fd = os.open(f"{folder}/.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, disk.FILE_MODE)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _catch_up(register: Register, folder: str, station_no: str, zone: ZoneInfo, turn: int) -> int:
    seq, newest = _find_end(register, folder, station_no)
    count = 0
    while lines := lines_after(register, station_no, seq):
        for month, group in groupby(lines, key=lambda line: f"{line.at.astimezone(zone):%Y-%m}.jsonl"):
            newest = max(month, newest)
            _append(folder, newest, b"".join(line.raw + b"\n" for line in group), turn)
        seq = lines[-1].seq
        count += len(lines)
    return count


# --- what a power cut may have torn -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the last append began: what lies before it was on the medium by then, what lies after may be torn."""

    name: str
    offset: int


def _note_begun(folder: str, turn: int, begun: Begun) -> None:
    """A note of this file is on the medium before the first byte it speaks of; an older offset only means more to read.

    It fits a sector: a power cut leaves the old one or the new.
    """
    noted = _read_begun(turn)
    if noted is None:
        disk.sync_folder(folder)  # a note promises to be found again: its file's name
    os.pwrite(turn, f"{begun.name} {begun.offset:020d}\n".encode(), 0)
    if noted is None or noted.name != begun.name:
        os.fdatasync(turn)  # and its bytes


def _read_begun(turn: int) -> Begun | None:
    noted = _BEGUN.fullmatch(os.pread(turn, 64, 0))
    return Begun(noted[1].decode(), int(noted[2])) if noted else None


def _mend(register: Register, folder: str, station_no: str, turn: int) -> None:
    """What was begun last is whole and on the medium afterwards, or cut back to be written anew.

    A file system may keep the length of an append and lose sectors of it, which are zeros then. Only
    zeros are mended: other bytes that are not the register's are no crash's work, and ``_find_end`` judges.
    """
    begun = _read_begun(turn)
    if begun is None or not os.path.lexists(path := f"{folder}/{begun.name}"):
        return
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        found = os.pread(fd, LONGEST, begun.offset)
        seq = _seq_before(folder, fd, begun)
        if seq is not None and _is_torn(found, _due_after(register, station_no, seq, len(found))):
            os.ftruncate(fd, begun.offset)
        os.fsync(fd)  # who wrote these lines may have been killed before he synced them
    finally:
        os.close(fd)
    if not begun.offset:  # and before he synced the name of the new file, or of a new station's folders
        for place in (folder, os.path.dirname(folder), os.path.dirname(os.path.dirname(folder))):
            disk.sync_folder(place)


def _seq_before(folder: str, fd: int, begun: Begun) -> int | None:
    """The number of the last line before the append; None where no line of the ledger stands there."""
    tail = tail_of(fd, begun.offset)
    if not begun.offset:
        older = [name for name in files_of(folder) if name < begun.name]
        tail = read_tail(f"{folder}/{older[-1]}") if older else tail
        if not older:
            return 0
    told = parse(tail.line) if tail.line is not None and not tail.torn else None
    return told.seq if told else None


def _due_after(register: Register, station_no: str, seq: int, length: int) -> bytes:
    """At least ``length`` bytes (if there are so many) of what the register's lines after ``seq`` are in a file."""
    due = bytearray()
    while len(due) < length and (lines := lines_after(register, station_no, seq)):
        due += b"".join(line.raw + b"\n" for line in lines)
        seq = lines[-1].seq
    return bytes(due)


def _is_torn(found: bytes, due: bytes) -> bool:
    """Whether ``found`` are the bytes that are due, but for zeros.

    Not sector by sector: one may hold the end of lines that are whole and the lost beginning of the next.
    """
    if len(found) > len(due) or due.startswith(found):
        return False
    return not any(byte and byte != right for byte, right in zip(found, due, strict=False))


# --- where the mirror ends ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a file: its last whole line, where that ends, and what follows without a newline."""

    line: bytes | None
    end: int
    torn: bytes


def _find_end(register: Register, folder: str, station_no: str) -> tuple[int, str]:
    """The last mirrored line's number and the newest file's name; the end is whole afterwards."""
    names = files_of(folder)
    last: bytes | None = None
    torn: tuple[str, Tail] | None = None
    for name in reversed(names):  # more than one only where a crash left a new file without a whole line
        tail = read_tail(f"{folder}/{name}")
        if tail.torn:
            if torn or name != names[-1]:
                raise LedgerBroken(seq="?", reason=_("{file} does not end with a newline").format(file=name))
            torn = (f"{folder}/{name}", tail)
        if tail.line is not None:
            last = tail.line
            break
    seq = _known_end(register, station_no, last)
    if torn:
        _cut_back(register, station_no, seq, *torn)
    return seq, names[-1] if names else ""


def _known_end(register: Register, station_no: str, last: bytes | None) -> int:
    """The number of the mirror's last line, which must be the register's line of that number."""
    if last is None:
        return 0
    told = parse(last)
    if told is None:
        raise LedgerBroken(seq="?", reason=_("the last line in the store is not a line of the ledger"))
    if line_of(register, station_no, told.seq) != last:
        reason = _("the last line in the store is not the register's line of that number")
        raise LedgerBroken(seq=told.seq, reason=reason)
    return told.seq


def line_of(register: Register, station_no: str, seq: int) -> bytes | None:
    """The bytes of one committed line, or None where the register has none of that number."""
    found = lines_after(register, station_no, seq - 1, limit=1)
    return found[0].raw if found and found[0].seq == seq else None


def _cut_back(register: Register, station_no: str, seq: int, path: str, tail: Tail) -> None:
    """Removes a torn line, but only where it is the beginning of the line that must stand there."""
    due = line_of(register, station_no, seq + 1)
    if due is None or not due.startswith(tail.torn):
        reason = _("{file} ends with bytes that are no line's beginning").format(file=os.path.basename(path))
        raise LedgerBroken(seq=seq + 1, reason=reason)
    # Not synced: should the torn bytes come back below what is appended next, they are the same line's beginning.
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.ftruncate(fd, tail.end)
    finally:
        os.close(fd)


def read_tail(path: str) -> Tail:
    """The end of a file, read backwards as far as its last whole line begins."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        return tail_of(fd)
    finally:
        os.close(fd)


def tail_of(fd: int, end: int | None = None) -> Tail:
    """The same for an open file, or for its first ``end`` bytes."""
    size = start = os.fstat(fd).st_size if end is None else end
    read = b""
    while start and read.count(b"\n") < 2 and len(read) < 2 * LONGEST:
        step = min(max(_BLOCK, len(read)), start)  # doubling: a long line is not read over and over
        start -= step
        read = os.pread(fd, step, start) + read
    head, newline, torn = read.rpartition(b"\n")
    if not newline:
        return Tail(None, 0, torn)
    return Tail(head.rpartition(b"\n")[2], size - len(torn), torn)


# --- adding -------------------------------------------------------------------------------------------


def _append(folder: str, name: str, data: bytes, turn: int) -> None:
    """The lines stand at the file's end on the medium, or, after an error, as far as possible not at all."""
    path = f"{folder}/{name}"
    new = not os.path.exists(path)
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, disk.FILE_MODE)
    try:
        if new:
            os.fchmod(fd, disk.FILE_MODE)
        _note_begun(folder, turn, Begun(name, os.fstat(fd).st_size))
        _append_whole(fd, data)
    finally:
        os.close(fd)
    if new:
        disk.sync_folder(folder)  # the mirror promises its lines on the medium: the new file's name


def _append_whole(fd: int, data: bytes) -> None:
    before = os.fstat(fd).st_size
    try:
        disk.write_all(fd, data)
        os.fsync(fd)  # and the lines' bytes
    except OSError:
        # After a failed fsync the pages look clean without being on the medium: they must be written again.
        with suppress(OSError):
            os.ftruncate(fd, before)
        raise


# --- reading ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mirrored:
    """A line as it stands in the mirror: ``whole`` is False for bytes at a file's end without a newline."""

    file: str
    number: int
    raw: bytes
    whole: bool
    last_file: bool

    @property
    def where(self) -> str:
        return f"{self.file}, line {self.number}"


def mirrored_lines(folder: str) -> Iterator[Mirrored]:
    """Every line of the mirror in order, one at a time. A line over ``LONGEST`` bytes comes in pieces."""
    names: Sequence[str] = files_of(folder)
    for name in names:
        fd = os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(fd, "rb") as file:
            number = 0
            while raw := file.readline(LONGEST):
                number += 1
                whole = raw.endswith(b"\n")
                yield Mirrored(name, number, raw.removesuffix(b"\n"), whole, name == names[-1])
