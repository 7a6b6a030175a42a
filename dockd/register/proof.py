"""What is wrong with a ledger: the register's chain against itself, and the mirror in the store against it.

Reads everything once, in order, with bounded memory. A chain proves order and that nothing was changed
since its head was kept elsewhere: who owns the machine can make a whole chain anew, and only an anchor
(a head on paper or on another machine) shows that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from dockd.register import disk
from dockd.register.chain import START, Head, Linked, Told, digest, parse
from dockd.register.mirror import LONGEST, Mirrored, folder_of, line_of, lines_after, mirrored_lines
from dockd.register.session import Register
from dockd.register.tables import LedgerHeadRow

LISTED = 1000
"""Problems that a report lists; the rest is only counted."""


class Where(StrEnum):
    REGISTER = "register"
    MIRROR = "mirror"


class Finding(StrEnum):
    """What is wrong; ``detail`` has the place."""

    CHANGED = "changed"  # the line's bytes are not those that were chained
    REMOVED = "removed"  # a line is missing
    INSERTED = "inserted"  # a line that the chain does not know
    REORDERED = "reordered"  # a line stands in another's place
    UNLINKED = "unlinked"  # the line was written after another line than the one that stands before it
    COLUMNS = "columns"  # the register's columns say something else than the line beside them
    TAIL_CUT = "tail_cut"  # the register ends before its head
    HEAD_DIFFERS = "head_differs"  # the head names another last line
    AHEAD = "ahead"  # the mirror holds a line that the register does not have
    ANCHOR = "anchor"  # the chain is not the one whose head was kept outside


@dataclass(frozen=True, slots=True)
class LedgerProblem:
    """One thing that is wrong, at line ``seq`` (and all lines as far as ``until``)."""

    where: Where
    seq: int
    kind_code: Finding
    detail: str = ""
    until: int | None = None


@dataclass(frozen=True, slots=True)
class LedgerReport:
    """``lines`` in the register, of which ``mirrored`` stand rightly in the store; ``head`` is the chain's end.

    ``unlisted`` counts the problems beyond the first ``LISTED``.
    """

    lines: int
    mirrored: int
    head: Head
    problems: tuple[LedgerProblem, ...] = ()
    unlisted: int = 0


def verify_ledger(
    register: Register, store_root: Path, station_no: str, *, anchors: Iterable[Head] = ()
) -> LedgerReport:
    """Reads the whole chain and its mirror. Lines that are added meanwhile are part of it or not, never a problem.

    Lines not yet mirrored are no problem (``mirrored`` says how many are). Raises what reading raises.
    """
    found = Findings()
    lines, end = _verify_chain(register, station_no, list(anchors), found)
    folder = folder_of(store_root, station_no)
    with disk.blaming(folder):
        walk = MirrorWalk(RegisterLines(register, station_no), found)
        walk.run(mirrored_lines(folder))
    return LedgerReport(lines, walk.mirrored, end, tuple(found.listed), found.unlisted)


@dataclass(slots=True)
class Findings:
    """The problems so far, with a bound: runs of neighbouring lines with the same problem are one."""

    listed: list[LedgerProblem] = field(default_factory=list)
    unlisted: int = 0

    def add(self, where: Where, seq: int, kind: Finding, detail: str = "", *, until: int | None = None) -> None:
        last = self.listed[-1] if self.listed else None
        if last and (last.where, last.kind_code) == (where, kind) and seq == (last.until or last.seq) + 1:
            self.listed[-1] = replace(last, until=until or seq)
        elif len(self.listed) < LISTED:
            self.listed.append(LedgerProblem(where, seq, kind, detail, until))
        else:
            self.unlisted += 1


# --- the register's chain against itself -------------------------------------------------------------


def _verify_chain(register: Register, station_no: str, anchors: list[Head], found: Findings) -> tuple[int, Head]:
    """Follows the chain to its end; returns the number of lines and the last of them."""
    chain = Chain(station_no, found)
    while True:
        head, lines = _head_and_lines(register, station_no, chain.seq)
        for line in lines:
            chain.follow(line)
            if any(anchor.seq == line.seq and anchor.sha256 != chain.actual for anchor in anchors):
                found.add(Where.REGISTER, line.seq, Finding.ANCHOR)
        if not lines:
            break
    _verify_head(chain, head, found)
    for anchor in anchors:
        if anchor.seq > chain.seq:
            found.add(Where.REGISTER, anchor.seq, Finding.ANCHOR)
    return chain.count, Head(chain.seq, chain.actual, chain.at)


def _head_and_lines(register: Register, station_no: str, after: int) -> tuple[Head | None, list[Linked]]:
    """The head before the lines: what it names is committed, so that it can never be ahead of them."""
    with register.read() as session:
        row = session.get(LedgerHeadRow, station_no)
        head = Head(row.seq, row.sha256) if row else None
    return head, lines_after(register, station_no, after)


def _verify_head(chain: Chain, head: Head | None, found: Findings) -> None:
    named = head or Head()
    if named.seq > chain.seq:
        found.add(Where.REGISTER, chain.seq + 1, Finding.TAIL_CUT, until=named.seq)
    elif named.seq < chain.seq or named.sha256 not in (chain.claimed, chain.actual):
        found.add(Where.REGISTER, chain.seq, Finding.HEAD_DIFFERS)


@dataclass(slots=True)
class Chain:
    """The state of following a chain line by line.

    ``claimed`` is the digest that the register keeps beside the last line, ``actual`` the digest of
    its bytes: where they differ the line was changed, and the line after it may still name the first.
    """

    station_no: str
    found: Findings
    count: int = 0
    seq: int = 0
    claimed: str = START
    actual: str = START
    shift: int = 0
    at: datetime | None = None

    def follow(self, line: Linked) -> None:
        """Judges one line against the one before and goes on from it."""
        gap = line.seq != self.seq + 1
        if gap:
            self._say(self.seq + 1, Finding.REMOVED, until=line.seq - 1)
        actual, told = digest(line.raw), parse(line.raw)
        if actual != line.sha256 or told is None:
            self._say(line.seq, Finding.CHANGED)
        if told is not None:
            self._compare(line, told, linked=gap or told.prev in (self.claimed, self.actual))
        self.count += 1
        self.seq, self.at, self.claimed, self.actual = line.seq, line.at, line.sha256, actual

    def _compare(self, line: Linked, told: Told, *, linked: bool) -> None:
        moved, self.shift = self.shift, line.seq - told.seq
        if moved != self.shift:  # said where it begins, not for every line after an inserted one
            if self.shift:
                self._say(line.seq, Finding.REORDERED, f"{told.seq}")
        elif not linked:
            self._say(line.seq, Finding.UNLINKED)
        if wrong := self._wrong_columns(line, told):
            self._say(line.seq, Finding.COLUMNS, ", ".join(wrong))

    def _wrong_columns(self, line: Linked, told: Told) -> list[str]:
        pairs = {
            "station_no": (self.station_no, told.station_no),
            "kind": (line.kind, told.kind),
            "subject": (line.subject, told.subject),
            "at": (line.at, told.at),
        }
        return [name for name, (column, said) in pairs.items() if column != said]

    def _say(self, seq: int, kind: Finding, detail: str = "", *, until: int | None = None) -> None:
        self.found.add(Where.REGISTER, seq, kind, detail, until=until)


# --- the mirror against the register ------------------------------------------------------------------


class RegisterLines:
    """The register's lines by number, cheap when they are asked for in order."""

    def __init__(self, register: Register, station_no: str) -> None:
        self._register = register
        self._station_no = station_no
        self._batch: dict[int, bytes] = {}

    def line(self, seq: int) -> bytes | None:
        """The line's bytes, or None where the register has none of that number (now: it is asked anew)."""
        if seq not in self._batch:
            lines = lines_after(self._register, self._station_no, seq - 1)
            self._batch = {line.seq: line.raw for line in lines}
        return self._batch.get(seq)

    def other(self, seq: int) -> bytes | None:
        """The same for a line out of the order, without giving up the place in it."""
        return self._batch.get(seq) or line_of(self._register, self._station_no, seq)


class MirrorWalk:
    """Walks the mirror's lines in order and names what differs from the register, each difference once."""

    def __init__(self, register: RegisterLines, found: Findings) -> None:
        self.mirrored = 0
        self._register = register
        self._found = found
        self._due = 1  # the number of the line that must come next
        self._gaps: list[range] = []  # numbers that were passed over: missing, or standing further on

    def run(self, lines: Iterator[Mirrored]) -> None:
        here = next(lines, None)
        while here is not None:
            following = next(lines, None)
            self._take(here, following)
            here = following
        for gap in self._gaps:
            self._say(gap.start, Finding.REMOVED, until=gap.stop - 1)

    def _take(self, here: Mirrored, following: Mirrored | None) -> None:
        due = self._register.line(self._due)
        if here.raw == due and here.whole:
            self.mirrored += 1
            self._due += 1
            return
        if not here.whole and here.last_file and following is None:
            self._take_torn(here, due)
            return
        seq = self._genuine(here.raw) if here.whole else None
        if seq is not None:
            self._take_moved(here, seq)
        elif due is not None and following is not None and following.raw == due:
            self._say(self._due, Finding.INSERTED, here.where)
        else:
            self._say(self._due, Finding.AHEAD if due is None else Finding.CHANGED, here.where)
            self._due += 1

    def _take_torn(self, here: Mirrored, due: bytes | None) -> None:
        """The end of a crash is no problem: the next mirroring cuts it back. Anything else at the end is one."""
        if due is None:
            self._say(self._due, Finding.AHEAD, here.where)
        elif not due.startswith(here.raw):
            self._say(self._due, Finding.CHANGED, here.where)

    def _genuine(self, raw: bytes) -> int | None:
        """The number of the register's line that these bytes are, if they are one."""
        told = parse(raw) if len(raw) < LONGEST else None
        if told is None or self._register.other(told.seq) != raw:
            return None
        return told.seq

    def _take_moved(self, here: Mirrored, seq: int) -> None:
        """A line of the chain, but not in its place: lines before it are missing, or it stands too late, or twice."""
        if seq >= self._due:
            if seq > self._due:
                self._gaps.append(range(self._due, seq))
            self.mirrored += 1
            self._due = seq + 1
            return
        gap = next((gap for gap in self._gaps if seq in gap), None)
        if gap is None:
            self._say(seq, Finding.INSERTED, here.where)
            return
        self._gaps.remove(gap)
        self._gaps.extend(rest for rest in (range(gap.start, seq), range(seq + 1, gap.stop)) if rest)
        self._say(seq, Finding.REORDERED, here.where)

    def _say(self, seq: int, kind: Finding, detail: str = "", *, until: int | None = None) -> None:
        self._found.add(Where.MIRROR, seq, kind, detail, until=until)
