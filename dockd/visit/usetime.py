"""使用时间 of a recording: what its witnesses say, put right where the recorder's clock was measured (article 27).

The clock's own words are kept beside (``raw``). GPS is no word of that clock and is never shifted; a date
with its own zone is shifted with the clock that agrees with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from dockd.footage.clock import time_of_use
from dockd.law.clockcheck import ClockReading, Correction, correction
from dockd.nouns import UseTime
from dockd.register.station import Station
from dockd.visit.evidence import Evidence

_FURTHEST = timedelta(days=400)
"""A clock that is further ahead than this is not believed to be ahead, but broken."""
AT_LEAST, DISPUTED = "offset_at_least", "offset_disputed"


@dataclass(frozen=True, slots=True)
class Used:
    """The time of use with the recorder's own words and the offset by which they were put right."""

    time: UseTime
    raw: UseTime | None = None
    offset: timedelta | None = None

    @property
    def is_bound(self) -> bool:
        """The clock was ahead by this or by more: the recording was over by then, nobody knows how long."""
        return AT_LEAST in self.time.flags


def use_time(station: Station, evidence: Evidence, readings: Sequence[ClockReading]) -> Used:
    """When the recording was made."""
    if not evidence.media.is_recording:
        return Used(UseTime())
    plain = _hear(station, evidence, timedelta(0), evidence.stored_at)
    if not readings:
        return Used(plain)
    raw = on_its_clock(station, evidence)
    moment = raw.used_to or raw.used_from
    tolerance = timedelta(seconds=station.settings.clock.tolerance_s)
    found = correction(moment, evidence.docked_at, readings, tolerance) if moment else None
    if found is None:
        return Used(plain)
    if plain.basis.partition("+")[0] == "gps":
        return Used(plain if found.others else _explain(station, evidence, plain, found))
    return _dispute(station, evidence, plain, found) if found.others else _correct(station, evidence, raw, found)


def on_its_clock(station: Station, evidence: Evidence) -> UseTime:
    """What the recorder's clock said, also where that lies in the future."""
    return _hear(station, evidence, timedelta(0), evidence.stored_at + _FURTHEST)


def _correct(station: Station, evidence: Evidence, raw: UseTime, found: Correction) -> Used:
    time = _hear(station, evidence, found.offset, evidence.stored_at)
    flags = ("clock_corrected", AT_LEAST) if found.at_least else ("clock_corrected",)
    basis = f"{time.basis}+clock_{found.evidence}" if time.basis else ""
    return Used(replace(time, basis=basis, flags=(*time.flags, *flags)), raw, found.offset)


def _explain(station: Station, evidence: Evidence, plain: UseTime, found: Correction) -> UseTime:
    """GPS needs no correction; that the recorder's clock says otherwise is shown, and is no other possible end."""
    return replace(plain, other_ends=_hear(station, evidence, found.offset, evidence.stored_at).other_ends)


def _dispute(station: Station, evidence: Evidence, plain: UseTime, found: Correction) -> Used:
    """Its own time stands, and every other end that is possible beside it."""
    others = [_hear(station, evidence, offset, evidence.stored_at) for offset in found.others]
    ends = {end for one in others for end in (one.used_to or one.used_from, *one.other_ends) if end}
    known = tuple(sorted({*plain.other_ends, *ends} - {plain.used_to}))
    return Used(replace(plain, flags=(*plain.flags, DISPUTED), other_ends=known))


def _hear(station: Station, evidence: Evidence, offset: timedelta, now: datetime) -> UseTime:
    shifted = _shifted(evidence, offset) if offset else evidence
    return time_of_use(
        parsed=shifted.parsed,
        facts=shifted.facts,
        media=evidence.media,
        mtime_ns=shifted.mtime_ns,
        mtime_is_wall=evidence.visited.mtime_is_wall,
        rule=evidence.clock,
        zone=station.zone,
        # Not the clock of today: what lay in the future when it was stored is no less wrong tomorrow.
        now=now,
        tolerance=timedelta(seconds=station.settings.clock.tolerance_s),
    )


def _shifted(evidence: Evidence, offset: timedelta) -> Evidence:
    """Every word of the recorder's clock, moved back by what it was ahead."""
    parsed, facts = evidence.parsed, evidence.facts
    if parsed is not None and parsed.wall is not None:
        parsed = replace(parsed, wall=parsed.wall - offset)
    created = facts.created - offset if facts.created else None
    zoned = facts.zoned - offset if facts.zoned and _is_its_own(evidence) else facts.zoned
    return replace(
        evidence,
        parsed=parsed,
        facts=replace(facts, created=created, zoned=zoned),
        mtime_ns=evidence.mtime_ns - int(offset / timedelta(microseconds=1)) * 1000,
    )


def _is_its_own(evidence: Evidence) -> bool:
    """Whether a date with a zone shows the same clock as the file name or the file's time."""
    zoned = evidence.facts.zoned
    return zoned is not None and any(abs(zoned - moment) < timedelta(hours=1) for moment in _words(evidence))


def _words(evidence: Evidence) -> Iterator[datetime]:
    zoned = evidence.facts.zoned
    if evidence.parsed is not None and evidence.parsed.wall is not None and zoned is not None:
        yield evidence.parsed.wall.replace(tzinfo=zoned.tzinfo)
    yield datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=evidence.mtime_ns // 1000)


# --- what a visit shows of a clock -----------------------------------------------------------------------


def ahead_of_docking(station: Station, evidence: Evidence) -> timedelta | None:
    """How far after its docking a recording was made by its own clock, where two of its witnesses say so.

    Where only the file's time tells the end, the start must lie after docking, too.
    """
    raw = on_its_clock(station, evidence)
    if raw.used_from is None or evidence.facts.gps_time is not None:
        return None
    agreed = raw.used_to if "+" in raw.basis else raw.used_from if "end_estimated" in raw.flags else None
    ahead = agreed - evidence.docked_at if agreed else timedelta(0)
    return ahead if ahead > timedelta(seconds=station.settings.clock.tolerance_s) else None


def ahead_of_gps(station: Station, evidence: Evidence) -> timedelta | None:
    """How far the file's name is ahead of the GPS time in it."""
    gps, parsed = evidence.facts.gps_time, evidence.parsed
    if gps is None or parsed is None or parsed.wall is None:
        return None
    return parsed.wall.replace(tzinfo=station.zone).astimezone(UTC) - gps
