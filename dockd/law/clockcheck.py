"""Article 27(1), 使用时间: what a recorder's clock that was measured says of the times it wrote.

并按照名称、记录设备编号、执法人员信息、使用时间、案件当事人和案由名称等项目分类存储。
… stored classified by items such as title, number of the recording device, officer information, time
of use, party to the case and cause of action.

A reading says how far ahead the clock was at a known time. A clock may be set by anybody at any
time, so a reading speaks only for what was docked shortly before it or at the first docking after it.
Where two readings, or the two sides of one at which the clock was set, give different answers, none is
taken: the raw time stands, and the others are told, so that no verdict rests on one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dockd.law.instants import utc

SHORTLY = timedelta(hours=12)
"""So long after docking a clock is still the one that wrote what was docked."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The clock was ``offset`` ahead at ``at``; the last docking until then and the first one after it, if any.

    ``at_least``: it was ahead by that much or more. ``set_after``: it was then set right.
    """

    at: datetime
    offset: timedelta
    evidence: str
    at_least: bool = False
    set_after: bool = False
    docked_before: datetime | None = None
    docked_after: datetime | None = None

    def speaks_for(self, docked_at: datetime) -> bool:
        """Whether what was docked then may be judged by this reading."""
        docked = utc(docked_at)
        if self.docked_after is not None and docked == utc(self.docked_after):
            return True
        before = self.docked_before
        return before is not None and docked == utc(before) and utc(self.at) - docked <= SHORTLY


@dataclass(frozen=True, slots=True)
class Correction:
    """How far ahead the clock was when it wrote a time. ``others``: what else it may have been, if that is open."""

    offset: timedelta = timedelta(0)
    evidence: str = ""
    at_least: bool = False
    others: tuple[timedelta, ...] = ()


def correction(
    raw: datetime, docked_at: datetime, readings: Sequence[ClockReading], tolerance: timedelta
) -> Correction | None:
    """What the readings say of a time that the recorder wrote; None where they say nothing or that it was right.

    ``raw`` is the recorder's own time as an instant. An offset within the tolerance is none.
    """
    speaking = [r for r in readings if r.speaks_for(docked_at)]
    exact = [found for r in speaking if not r.at_least for found in _sides(utc(raw), utc(docked_at), r, tolerance)]
    bounds = [(r.offset, r.evidence) for r in speaking if r.at_least and r.offset > tolerance]
    offsets = _distinct(exact, tolerance)
    bound = max(bounds, default=None)
    if len(offsets) == 1:
        ((offset, evidence),) = offsets
        if bound is not None and bound[0] > offset + tolerance:
            return Correction(others=(offset, bound[0]))
        return Correction(offset, evidence) if abs(offset) > tolerance else None
    if offsets:
        return Correction(others=tuple(offset for offset, _evidence in offsets))
    return Correction(bound[0], bound[1], at_least=True) if bound is not None else None


def _sides(
    raw: datetime, docked_at: datetime, reading: ClockReading, tolerance: timedelta
) -> Iterable[tuple[timedelta, str]]:
    """The offsets that the clock can have had, before the reading and after it."""
    at = utc(reading.at)
    if raw - reading.offset <= at + tolerance:
        yield reading.offset, reading.evidence
    after = timedelta(0) if reading.set_after else reading.offset
    if at <= docked_at and raw - after >= at - tolerance:
        yield after, reading.evidence


def _distinct(found: Iterable[tuple[timedelta, str]], tolerance: timedelta) -> list[tuple[timedelta, str]]:
    """The offsets that differ by more than the tolerance, the largest of each first."""
    kept: list[tuple[timedelta, str]] = []
    for offset, evidence in sorted(found, key=lambda f: (-f[0], f[1])):
        if not kept or kept[-1][0] - offset > tolerance:
            kept.append((offset, evidence))
    return kept
