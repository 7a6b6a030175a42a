"""Reason the time of use of a recording from witnesses that may each be wrong.

Pure. Four kinds of witness speak: a date in the file that carries its own zone (or
GPS), the recorder's clock in the file name, the container's date, the file's mtime.
The first that is plausible gives the start; those within the tolerance strengthen it,
those outside are flagged and their ends kept. A clock that was never set, runs ahead
or lies before any recorder was made is never used, and always flagged (law 6).

Flags: ``name_unset``, ``container_wrong``, ``mtime_future`` … (witness and why it was
not used), ``container_unreliable``, ``mtime_unreliable`` (nothing supports it),
``disagree_name``, ``disagree_container`` … (plausible, but more than the tolerance
away), ``container_is_local``, ``container_is_utc``, ``mtime_is_wall``,
``mtime_is_instant`` (agrees only if read otherwise than declared), ``ambiguous_hour``
(the hour that summer time repeats or leaves out, decided by nobody), ``end_estimated``
(from mtime), ``end_unknown``, ``start_unknown``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from dockd.nouns import ClockRule, ContainerClock, MediaFacts, MediaType, MtimeClock, ParsedName, UseTime

TOLERANCE = timedelta(minutes=5)
LONGEST_ESTIMATE = timedelta(hours=12)
"""An mtime later than this after the start is not the end of a recording whose length is unknown."""

_WIDEST_ZONE = timedelta(hours=14)
_FAT_STEP = timedelta(seconds=2)
_FIRST_YEAR = 2005
_RESET_DAYS = tuple(date(year, 1, 1) for year in (1904, 1970, 1980, 2000))
_NANOSECONDS_PER_MICROSECOND = 1000


class Plausible(StrEnum):
    """What is to be thought of an instant that a recorder's clock gives."""

    OK = "ok"
    UNSET = "unset"
    WRONG = "wrong"
    FUTURE = "future"


class RecorderClock(StrEnum):
    """What the mtimes on a card say of the recorder's clock; ``UNVERIFIED`` is not "correct"."""

    AHEAD = "ahead"
    RESET = "reset"
    UNVERIFIED = "unverified"


def plausible(moment: datetime, now: datetime, tolerance: timedelta = TOLERANCE) -> Plausible:
    """Whether a recording can have been made at ``moment``, as seen at ``now``.

    ``UNSET``: a day at which a clock starts that nobody has set (1904, 1970, 1980,
    2000), seen from any zone. ``WRONG``: before any such recorder. ``FUTURE``: later
    than ``now`` by more than the tolerance.
    """
    if any(_is_reset(moment, day) for day in _RESET_DAYS):
        return Plausible.UNSET
    if moment.astimezone(UTC).year < _FIRST_YEAR:
        return Plausible.WRONG
    return Plausible.FUTURE if moment - now > tolerance else Plausible.OK


def _is_reset(moment: datetime, day: date) -> bool:
    begin = datetime.combine(day, time(), UTC)
    return begin - _WIDEST_ZONE <= moment < begin + timedelta(days=1) + _WIDEST_ZONE


def plausible_mtime(
    mtime_ns: int, now: datetime, *, mtime_is_wall: bool = False, zone: ZoneInfo | None = None
) -> bool:
    """Whether an mtime can tell one recording from another: not unset, not absurd, not in the future.

    ``mtime_is_wall`` says that it shows the recorder's wall clock as if it were UTC:
    it is then read in ``zone``, or without a zone allowed to be as far ahead as zones go.
    """
    moment = _from_ns(mtime_ns)
    if moment is None:
        return False
    if not mtime_is_wall:
        return plausible(moment, now) is Plausible.OK
    if zone is None:
        return plausible(moment, now + _WIDEST_ZONE) is Plausible.OK
    return any(plausible(m, now) is Plausible.OK for m in _moments(moment, zone))


def recorder_clock(
    mtimes_ns: Iterable[int], now: datetime, *, mtime_is_wall: bool = False, zone: ZoneInfo | None = None
) -> RecorderClock:
    """What a card's mtimes say of its recorder's clock: ahead of the station, reset, or nothing."""
    slack = _WIDEST_ZONE if mtime_is_wall and zone is None else timedelta()
    read = [m for m in map(_from_ns, mtimes_ns) if m is not None]
    if mtime_is_wall and zone is not None:
        read = [min(_moments(m, zone), default=m) for m in read]
    seen = {plausible(m, now + slack) for m in read}
    if Plausible.FUTURE in seen:
        return RecorderClock.AHEAD
    return RecorderClock.RESET if Plausible.UNSET in seen else RecorderClock.UNVERIFIED


def time_of_use(
    *,
    parsed: ParsedName | None,
    facts: MediaFacts,
    media: MediaType,
    mtime_ns: int,
    mtime_is_wall: bool,
    rule: ClockRule,
    zone: ZoneInfo,
    now: datetime,
    tolerance: timedelta = TOLERANCE,
) -> UseTime:
    """When a recording was made, by whom that is said, and what was not believed (article 27's 使用时间).

    Times are UTC. ``zone`` is where the recorder's wall clock was set, ``now`` the
    station's time, ``tolerance`` how far apart witnesses that agree may be. A witness
    that is flagged as unset, wrong or future gives neither start, end nor other end.
    Never raises.
    """
    length = _length(facts, media)
    heard = (
        *_heard_zoned(facts, length),
        *_heard_name(parsed, zone, length),
        *_heard_container(facts, media, rule.container, zone, length),
        *_heard_mtime(mtime_ns, mtime_is_wall, rule.mtime, zone, length),
    )
    case = _Case(now, tolerance, length)
    believed, flags = _sift(heard, case)
    started = [w for w in believed if w.readings[0].start is not None]
    base = _choose(started, case)
    if base is None:
        return _end_only(believed, flags, case)
    return _conclude(base, believed, flags, case)


# --- witnesses -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to understand a witness. ``flag`` is set where it is not the declared way."""

    start: datetime | None
    end: datetime | None
    flag: str = ""


@dataclass(frozen=True, slots=True)
class _Witness:
    """``readings``: declared ones first. ``solid``: may be believed without support. ``fault``: why there are none."""

    name: str
    readings: tuple[_Reading, ...]
    solid: bool = True
    fault: Plausible | None = None


@dataclass(frozen=True, slots=True)
class _Case:
    now: datetime
    tolerance: timedelta
    length: timedelta | None


def _length(facts: MediaFacts, media: MediaType) -> timedelta | None:
    if media is MediaType.PHOTO:
        return timedelta()
    return None if facts.duration_s is None else timedelta(seconds=facts.duration_s)


def _heard_zoned(facts: MediaFacts, length: timedelta | None) -> Iterator[_Witness]:
    for name, moment in (("zoned", facts.zoned), ("gps", facts.gps_time)):
        if moment is not None:
            yield _Witness(name, _from_starts((moment.astimezone(UTC),), length))


def _heard_name(parsed: ParsedName | None, zone: ZoneInfo, length: timedelta | None) -> Iterator[_Witness]:
    if parsed is None or (parsed.wall is None and not parsed.time_text):
        return
    starts = _moments(parsed.wall, zone) if parsed.wall is not None else ()
    yield _Witness("name", _from_starts(starts, length), fault=None if starts else _garbled(parsed.time_text))


def _heard_container(
    facts: MediaFacts, media: MediaType, rule: ContainerClock, zone: ZoneInfo, length: timedelta | None
) -> Iterator[_Witness]:
    created = facts.created
    if created is None:
        if facts.created_raw:
            yield _Witness("container", (), fault=_garbled(facts.created_raw))
        return
    local = _moments(created, zone)
    # EXIF, AVI and Broadcast WAV write the wall clock; only a date with its zone falls under the rule.
    if media is MediaType.PHOTO or _is_bare(facts.created_raw):
        yield _Witness("container", _from_starts(local, length), fault=None if local else Plausible.WRONG)
        return
    as_utc, as_local = (created.astimezone(UTC),), local
    if rule is ContainerClock.END_UTC:
        as_utc, as_local = _shifted(as_utc, length), _shifted(as_local, length)
    utc, wall = _from_starts(as_utc, length), _from_starts(as_local, length)
    if rule is ContainerClock.LOCAL_AS_UTC:
        yield _Witness("container", (*wall, *_flagged(utc, "container_is_utc")))
    else:
        readings = (*utc, *_flagged(wall, "container_is_local"))
        yield _Witness("container", readings, solid=rule is not ContainerClock.UNRELIABLE)


def _heard_mtime(
    mtime_ns: int, is_wall: bool, rule: MtimeClock, zone: ZoneInfo, length: timedelta | None
) -> Iterator[_Witness]:
    moment = _from_ns(mtime_ns)
    if moment is None:
        yield _Witness("mtime", (), fault=Plausible.WRONG)
        return
    instant, wall = (moment,), _moments(moment, zone)
    declared, other = (wall, instant) if is_wall else (instant, wall)
    flag = "mtime_is_instant" if is_wall else "mtime_is_wall"
    make = _from_starts if rule is MtimeClock.START else _from_ends
    readings = (*make(declared, length), *_flagged(make(other, length), flag))
    yield _Witness("mtime", readings, solid=rule is not MtimeClock.UNRELIABLE)


def _from_starts(starts: Iterable[datetime], length: timedelta | None) -> tuple[_Reading, ...]:
    return tuple(_Reading(s, None if length is None else s + length) for s in starts)


def _from_ends(ends: Iterable[datetime], length: timedelta | None) -> tuple[_Reading, ...]:
    return tuple(_Reading(None if length is None else e - length, e) for e in ends)


def _flagged(readings: Iterable[_Reading], flag: str) -> Iterator[_Reading]:
    return (replace(reading, flag=flag) for reading in readings)


def _shifted(ends: tuple[datetime, ...], length: timedelta | None) -> tuple[datetime, ...]:
    return ends if length is None else tuple(end - length for end in ends)


def _moments(wall: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """The instants at which a clock in ``zone`` can show ``wall``: two where summer time begins or ends."""
    try:
        folds = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
        return tuple(sorted(set(folds)))
    except (OverflowError, ValueError):
        return ()


def _from_ns(mtime_ns: int) -> datetime | None:
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=mtime_ns // _NANOSECONDS_PER_MICROSECOND)
    except OverflowError:
        return None


def _is_bare(raw: str | None) -> bool:
    """Whether a date was written without any zone."""
    return raw is not None and not raw.endswith("Z") and raw[-6:-5] not in ("+", "-") and raw[-5:-4] not in ("+", "-")


def _garbled(raw: str | None) -> Plausible:
    digits = [c for c in raw or "" if c.isdigit()]
    return Plausible.WRONG if any(c != "0" for c in digits) else Plausible.UNSET
