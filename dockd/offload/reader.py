"""Reading one file off the card: hashed as it leaves, damaged ranges kept at their offsets, resumed by proof.

All trouble here is the card's and leaves as a ``CardError``; the store's is met elsewhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dockd.errors import CardError, CardFileChanged, CardFileUnreadable, CardGone, SourceUnsteady
from dockd.nouns import Entry, Hole

if TYPE_CHECKING:
    from hashlib import _Hash

CHUNK = 4 << 20
MARK_EVERY = 64 << 20
_SECTOR = 4096
_GONE = frozenset({errno.ENODEV, errno.ENOMEDIUM, errno.ENOTCONN, errno.ESTALE, errno.ENXIO, errno.ESHUTDOWN})
DAMAGED = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.EILSEQ, errno.EREMOTEIO, errno.ENODATA})
"""What a medium answers for bytes that it cannot give back."""


@dataclass(frozen=True, slots=True)
class CardAccess:
    """How the offload reaches a card: ``open`` gives an fd of a listed entry, ``is_there`` asks for the device.

    Every other question to the card is put inside ``asking``; ``look``, called every ``look_s`` seconds
    by a thread that asks nothing, raises NotAnswering when one of them has been open for too long.
    ``capacity`` is how many bytes the card can hold, None where it does not say.
    """

    open: Callable[[Entry], int]
    is_there: Callable[[], bool]
    asking: Callable[[], AbstractContextManager[None]] = nullcontext
    look: Callable[[], None] = lambda: None
    look_s: float = 0.2
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of the file at ``offset``; ``mark`` is the prefix digest where the journal wants one."""

    data: memoryview
    offset: int
    mark: str | None


@dataclass(slots=True)
class FileReader:
    """One pass over one open source file from ``offset`` to ``end``, with the hash of everything before it."""

    entry: Entry
    fd: int
    access: CardAccess
    hasher: _Hash = field(default_factory=hashlib.sha256)
    offset: int = 0
    bytes_read: int = 0
    holes: list[Hole] = field(default_factory=list)
    end: int = field(init=False)

    def __post_init__(self) -> None:
        self.end = self.entry.size

    def measure(self) -> None:
        """A file that is listed as larger than its card ends with the last sector that can be read.

        A worn directory entry says so. What it says beyond that is a hole which no store has to hold.
        Raises CardFileUnreadable where there is no such sector, CardGone.
        """
        capacity = self.access.capacity
        if capacity is None or self.entry.size <= capacity:
            return
        steps = range(0, capacity, CHUNK)
        last = max((start for start in steps if self._answers(start)), default=None)
        if last is None:
            self._require_card()
            raise CardFileUnreadable(path=self.entry.display, offset=0, reason="EIO")
        sectors = range(min(last + CHUNK, capacity) - _SECTOR, last, -_SECTOR)
        self.end = next((start for start in sectors if self._answers(start)), last) + _SECTOR

    def _answers(self, offset: int) -> bool:
        try:
            with self.access.asking():
                return len(os.pread(self.fd, _SECTOR, offset)) == _SECTOR
        except OSError as error:
            if error.errno not in DAMAGED:
                raise as_card_error(error, self.entry, offset) from error
            return False

    def chunks(self, take: Callable[[], memoryview], give: Callable[[memoryview], None]) -> Iterator[Chunk]:
        """The file's bytes to its end, each in a buffer from ``take``.

        Raises CardError, after ``give`` took the buffer back; ``holes`` tells what was zero-filled.
        """
        while self.offset < self.end:
            view = take()
            want = min(len(view), self.end - self.offset, self._to_next_mark())
            try:
                count = self._read(view[:want])
                if count == 0:
                    raise CardFileChanged(path=self.entry.display)
            except CardError:
                give(view)
                raise
            self.hasher.update(view[:count])
            start, self.offset = self.offset, self.offset + count
            yield Chunk(view[:count], start, self._mark())

    def finish(self) -> str:
        """The digest, if the source is still the file that was listed. Raises CardFileChanged."""
        with self.access.asking(), blaming_card(self.entry, self.offset):
            check_unchanged(self.fd, self.entry)
            if self.end == self.entry.size and os.pread(self.fd, 1, self.end):
                raise CardFileChanged(path=self.entry.display)
        if self.end < self.entry.size:
            self._add_hole(self.end, self.entry.size - self.end)
        return self.hasher.hexdigest()

    def _to_next_mark(self) -> int:
        return MARK_EVERY - self.offset % MARK_EVERY

    def _mark(self) -> str | None:
        # Salvaged bytes are not marked: a resumed copy must find its holes again.
        due = self.offset % MARK_EVERY == 0 and self.offset < self.end and not self.holes
        return self.hasher.copy().hexdigest() if due else None

    def _read(self, view: memoryview) -> int:
        try:
            with self.access.asking():
                count = os.preadv(self.fd, [view], self.offset)
        except OSError as error:
            if error.errno not in DAMAGED:
                raise as_card_error(error, self.entry, self.offset) from error
            return self._salvage(view)
        self.bytes_read += count
        return count

    def _salvage(self, view: memoryview) -> int:
        """Reads a damaged range sector by sector, zero-filling and noting what cannot be read."""
        done = 0
        while done < len(view):
            start = self.offset + done
            length = min(_SECTOR - start % _SECTOR, len(view) - done)
            done += self._salvage_part(view[done : done + length], start)
        return len(view)

    def _salvage_part(self, part: memoryview, start: int) -> int:
        """Up to a sector's end: the bytes that came, or all of it as a hole."""
        try:
            with self.access.asking():
                count = os.preadv(self.fd, [part], start)
        except OSError as error:
            if error.errno not in DAMAGED:
                raise as_card_error(error, self.entry, start) from error
            self._require_card()
            part[:] = bytes(len(part))
            self._add_hole(start, len(part))
            return len(part)
        if count == 0:
            raise CardFileChanged(path=self.entry.display)
        self.bytes_read += count
        return count

    def _require_card(self) -> None:
        # A pulled card answers EIO too: without this, the rest of the file would become one hole.
        if not self.access.is_there():
            raise CardGone(path=self.entry.display)

    def _add_hole(self, offset: int, length: int) -> None:
        if self.holes and self.holes[-1].offset + self.holes[-1].length == offset:
            length += self.holes[-1].length
            offset = self.holes.pop().offset
        self.holes.append(Hole(offset, length))


def check_unchanged(fd: int, entry: Entry) -> None:
    """Raises CardFileChanged unless size and mtime are those of the listing."""
    with blaming_card(entry, 0):
        found = os.fstat(fd)
    if (found.st_size, found.st_mtime_ns) != (entry.size, entry.mtime_ns):
        raise CardFileChanged(path=entry.display)


def nothing_readable(reader: FileReader) -> bool:
    """Whether salvage brought back not one byte: that is an unreadable file, not a damaged one."""
    return bool(reader.holes) and sum(h.length for h in reader.holes) >= reader.entry.size


def read_again(
    entry: Entry,
    fd: int,
    sha256: str,
    buffer: memoryview,
    *,
    asking: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> int:
    """A second, independent read of the source to its listed size; returns that in bytes.

    Raises SourceUnsteady when the card returns other bytes, CardFileChanged when it returns fewer.
    The source's pages are dropped first, so that the answer comes from the card and not from memory.
    """
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    digest, offset = hashlib.sha256(), 0
    while offset < entry.size:
        with asking(), blaming_card(entry, offset):
            count = os.preadv(fd, [buffer[: min(len(buffer), entry.size - offset)]], offset)
        if count == 0:
            raise CardFileChanged(path=entry.display)
        digest.update(buffer[:count])
        offset += count
    if digest.hexdigest() != sha256:
        raise SourceUnsteady(path=entry.display)
    return offset


def prove_prefix(temp_fd: int, marks: tuple[tuple[int, str], ...], buffer: memoryview) -> tuple[_Hash, int]:
    """How much of a temp is proven: the hash and offset at the last mark whose prefix digest agrees.

    The temp is read from its medium. No prefix is believed because of its length:
    preallocation makes the length meaningless anyway (field-notes G1.5).
    """
    os.posix_fadvise(temp_fd, 0, 0, os.POSIX_FADV_DONTNEED)
    digest, offset = hashlib.sha256(), 0
    proven = (digest.copy(), 0)
    for end, prefix in marks:
        while offset < end:
            count = _read_temp(temp_fd, buffer[: min(len(buffer), end - offset)], offset)
            if count == 0:
                return proven
            digest.update(buffer[:count])
            offset += count
        if digest.copy().hexdigest() != prefix:
            return proven
        proven = (digest.copy(), end)
    return proven


def _read_temp(fd: int, view: memoryview, offset: int) -> int:
    """As preadv; a sector of the store that cannot be read proves nothing and is written anew."""
    try:
        return os.preadv(fd, [view], offset)
    except OSError as error:
        if error.errno in DAMAGED:
            return 0
        raise


def as_card_error(error: OSError, entry: Entry, offset: int) -> CardError:
    """The card's trouble as its own type."""
    if error.errno in _GONE:
        return CardGone(path=entry.display)
    return CardFileUnreadable(path=entry.display, offset=offset, reason=error.strerror or str(error))


@contextmanager
def blaming_card(entry: Entry, offset: int) -> Iterator[None]:
    """Turns an ``OSError`` of the block into the card's own error type."""
    try:
        yield
    except OSError as error:
        raise as_card_error(error, entry, offset) from error
