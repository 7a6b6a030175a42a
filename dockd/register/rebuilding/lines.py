"""The ledger's mirror as a proven chain: every line in order, or the line where it is broken."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dockd.errors import LedgerBroken
from dockd.locale import _
from dockd.register import disk
from dockd.register.chain import Head, digest, parse
from dockd.register.mirror import LONGEST, Mirrored, mirrored_lines


@dataclass(frozen=True, slots=True)
class TaleLine:
    """A line of the chain with what it tells. ``where`` names its file and number in it for people."""

    seq: int
    at: datetime
    kind: str
    subject: str
    actor: str
    data: Mapping[str, Any]
    text: str
    sha256: str
    where: str


@dataclass(frozen=True, slots=True)
class Torn:
    """Bytes without a newline at the mirror's end that are no line: what a crash or a cut left of one."""

    file: str
    raw: bytes


class Tale:
    """The mirror of one station's ledger, read once from its first line to its last."""

    def __init__(self, folder: str, station_no: str) -> None:
        self.folder = folder
        self.head = Head()
        self.torn: Torn | None = None
        self._station_no = station_no

    def __iter__(self) -> Iterator[TaleLine]:
        """Every line; ``head`` is the last one so far. Raises LedgerBroken, and OSError of the store."""
        for mirrored in mirrored_lines(self.folder):
            line = self._follow(mirrored)
            if line is None:
                self.torn = Torn(mirrored.file, mirrored.raw)
                continue
            self.head = Head(line.seq, line.sha256, line.at)
            yield line
        if not self.head.seq:
            raise LedgerBroken(seq=1, reason=_("there is no ledger in the store ({folder})").format(folder=self.folder))

    def _follow(self, here: Mirrored) -> TaleLine | None:
        """The line, if it continues the chain; None for what was torn off at the very end."""
        told = parse(here.raw) if len(here.raw) < LONGEST else None
        if told is None:
            if not here.whole and here.last_file:
                return None
            raise self._broken(here, _("it is not a line of the ledger"))
        if told.station_no != self._station_no:
            raise self._broken(here, _("it is of station {station_no}").format(station_no=told.station_no))
        if told.seq != self.head.seq + 1:
            raise self._broken(here, _("line {seq} stands in its place").format(seq=told.seq))
        if told.prev != self.head.sha256:
            reason = _("it was written after another line {seq} than the one that stands there")
            raise self._broken(here, reason.format(seq=self.head.seq))
        said = json.loads(here.raw)
        return TaleLine(
            seq=told.seq,
            at=told.at,
            kind=told.kind,
            subject=told.subject,
            actor=said["actor"],
            data=said["data"],
            text=here.raw.decode(),
            sha256=digest(here.raw),
            where=here.where,
        )

    def _broken(self, here: Mirrored, reason: str) -> LedgerBroken:
        return LedgerBroken(seq=self.head.seq + 1, reason=f"{here.where}: {reason}")


def cut_torn(folder: str, torn: Torn, aside: str) -> None:
    """The torn end is in the new file ``aside`` and no longer in the mirror, both on the medium.

    Raises FileExistsError where ``aside`` is taken, OSError of the store.
    """
    disk.make_folders(os.path.dirname(aside))
    disk.write_new(aside, torn.raw)
    fd = os.open(f"{folder}/{torn.file}", os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        end = os.fstat(fd).st_size - len(torn.raw)
        if end >= 0 and os.pread(fd, len(torn.raw), end) == torn.raw:
            os.ftruncate(fd, end)
            os.fsync(fd)  # the new register promises a mirror that ends with a whole line
    finally:
        os.close(fd)
