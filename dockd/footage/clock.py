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
(the hour that summer time repeats or leaves out, decided by nobody), ``zone_unproven``
(an unreliable container and an mtime agree as UTC, and would as wall clocks too),
``end_estimated`` (from mtime), ``end_unknown``, ``start_unknown``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from dockd.footage.facts import seconds, zoned
from dockd.nouns import ClockRule, ContainerClock, MediaFacts, MediaType, MtimeClock, ParsedName, UseTime

TOLERANCE = timedelta(minutes=5)
LONGEST_ESTIMATE = timedelta(hours=12)
"""An mtime later than this after the start is not the end of a recording whose length is unknown."""

_Support = tuple[int, int]
_WIDEST_ZONE = timedelta(hours=14)
_FAT_STEP = timedelta(seconds=2)
_FIRST_RECORDER = datetime(2005, 1, 1, tzinfo=UTC)
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
    if moment < _FIRST_RECORDER:
        return Plausible.WRONG
    return Plausible.FUTURE if moment - now > tolerance else Plausible.OK


def _is_reset(moment: datetime, day: date) -> bool:
    begin = datetime.combine(day, time(), UTC)
    return begin - _WIDEST_ZONE <= moment < begin + timedelta(days=1) + _WIDEST_ZONE


def plausible_mtime(mtime_ns: int, now: datetime, *, mtime_is_wall: bool = False, zone: ZoneInfo | None = None) -> bool:
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
    case = _Case(now, tolerance, length)
    heard = (
        *_heard_zoned(facts, length),
        *_heard_name(parsed, zone, length),
        *_heard_container(facts, media, rule.container, zone, length),
        *_heard_mtime(mtime_ns, mtime_is_wall, rule.mtime, zone, length),
    )
    sifted = [_sift(witness, case) for witness in heard]
    refused = tuple(f"{w.name}_{w.fault}" for w in sifted if not w.readings)
    believed = [w for w in sifted if w.readings]
    base = _choose(believed, case)
    found = _without_start(believed) if base is None else _conclude(base, believed, case)
    return replace(found, flags=tuple(dict.fromkeys((*refused, *found.flags))))


# --- witnesses -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Reading:
    """One way to understand a witness. ``flag`` is set where it is not the declared way."""

    start: datetime | None
    end: datetime | None
    flag: str = ""


@dataclass(frozen=True, slots=True)
class _Witness:
    """``readings``: declared ones first. ``solid``: may be believed alone. ``fault``: why the declared ones may not."""

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
    length = seconds(facts.duration_s)
    return None if length is None else timedelta(seconds=length)


def _heard_zoned(facts: MediaFacts, length: timedelta | None) -> Iterator[_Witness]:
    for name, moment in (("zoned", facts.zoned), ("gps", facts.gps_time)):
        if moment is not None:
            starts = _in_utc(moment)
            yield _Witness(name, _from_starts(starts, length), fault=None if starts else Plausible.WRONG)


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
    if facts.zoned is not None and _is_bare(facts.created_raw) and _same_digits(created, facts.zoned):
        return  # the very date that "zoned" has with its zone
    local = _moments(created, zone)
    # EXIF, AVI and Broadcast WAV write the wall clock; only a date with its zone falls under the rule.
    if media is MediaType.PHOTO or _is_bare(facts.created_raw):
        yield _Witness("container", _from_starts(local, length), fault=None if local else Plausible.WRONG)
        return
    as_utc, as_local = _in_utc(created), local
    make = _from_ends if rule is ContainerClock.END_UTC else _from_starts
    utc, wall = make(as_utc, length), make(as_local, length)
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
    return tuple(_Reading(s, None if length is None else _shift(s, length)) for s in starts)


def _from_ends(ends: Iterable[datetime], length: timedelta | None) -> tuple[_Reading, ...]:
    return tuple(_Reading(None if length is None else _shift(e, -length), e) for e in ends)


def _flagged(readings: Iterable[_Reading], flag: str) -> Iterator[_Reading]:
    return (replace(reading, flag=flag) for reading in readings)


def _shift(moment: datetime, by: timedelta) -> datetime:
    """``moment + by``, held within the calendar: at its edges nothing is plausible anyway."""
    try:
        return moment + by
    except OverflowError:
        return moment


def _in_utc(moment: datetime) -> tuple[datetime, ...]:
    try:
        return (moment.astimezone(UTC),)
    except OverflowError:
        return ()


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
    return raw is not None and zoned(raw) is None


def _same_digits(one: datetime, other: datetime) -> bool:
    return one.replace(tzinfo=None, microsecond=0) == other.replace(tzinfo=None, microsecond=0)


def _garbled(raw: str | None) -> Plausible:
    digits = {c for c in raw or "" if c.isdigit()}
    return Plausible.UNSET if digits == {"0"} else Plausible.WRONG


# --- what they amount to ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Base:
    """The witness that gives the start. ``twin``: another reading of it for which as much speaks."""

    witness: _Witness
    reading: _Reading
    twin: _Reading | None = None


def _sift(witness: _Witness, case: _Case) -> _Witness:
    """The witness with its plausible readings only, and its fault where no declared one is left."""
    judged = [(reading, _judge(reading, case)) for reading in witness.readings]
    kept = tuple(reading for reading, verdict in judged if verdict is Plausible.OK)
    if any(not reading.flag for reading in kept):
        return replace(witness, readings=kept)
    fault = witness.fault or next((verdict for _, verdict in judged), Plausible.WRONG)
    return replace(witness, readings=kept, fault=fault)


def _judge(reading: _Reading, case: _Case) -> Plausible:
    moments = (m for m in (reading.start, reading.end) if m is not None)
    verdicts = (plausible(m, case.now, case.tolerance) for m in moments)
    return next((v for v in verdicts if v is not Plausible.OK), Plausible.OK)


def _choose(believed: list[_Witness], case: _Case) -> _Base | None:
    """The best witness of a start that stands alone or is supported, in the order of trust."""
    for witness in believed:
        others = [w for w in believed if w is not witness]
        ranked = [(_support(r, others, case), r) for r in witness.readings if r.start is not None]
        if not _stands_alone(witness):
            ranked = [(support, reading) for support, reading in ranked if support[0]]
        if ranked:
            # The first of the best: declared readings stand before others, earlier before later.
            most, reading = max(ranked, key=lambda each: each[0])
            twins = (
                r for support, r in ranked if r.start != reading.start and _ties(support, r, most, reading, witness)
            )
            return _Base(witness, reading, next(twins, None))
    return None


def _ties(support: _Support, other: _Reading, most: _Support, best: _Reading, witness: _Witness) -> bool:
    """Whether as much speaks for another reading as for the best."""
    if other.flag == best.flag:
        return support == most
    # A witness that does not stand alone and its one supporter may both be shifted by the zone.
    return not witness.solid and support[0] == most[0]


def _support(reading: _Reading, others: list[_Witness], case: _Case) -> _Support:
    """How many others agree, and how many of them read as declared: that decides between equals."""
    agreeing = [r for r in (_agreeing(reading, other, case) for other in others) if r is not None]
    return len(agreeing), sum(not r.flag for r in agreeing)


def _agreeing(base: _Reading, witness: _Witness, case: _Case) -> _Reading | None:
    """The first way to read ``witness`` that starts when ``base`` does."""
    for reading in witness.readings:
        if base.start and reading.start and abs(reading.start - base.start) <= case.tolerance:
            return reading
    return None


def _conclude(base: _Base, believed: list[_Witness], case: _Case) -> UseTime:
    basis, flags, ends = [base.witness.name], [base.reading.flag], []
    if base.twin is not None:
        flags.append("ambiguous_hour" if base.twin.flag == base.reading.flag else "zone_unproven")
        ends.append(base.twin.end or base.twin.start)
    for witness in believed:
        if witness is base.witness or _gives_end_only(witness):
            continue
        agreeing = _agreeing(base.reading, witness, case)
        if agreeing is not None:
            basis.append(witness.name)
            flags.append(agreeing.flag)
        else:
            flags.append(_objection(witness, "disagree_" + witness.name))
            ends.append(_declared_end(witness))
    ended = _end(base.reading, believed, case)
    return UseTime(
        used_from=base.reading.start,
        used_to=ended.used_to,
        basis="+".join(basis),
        flags=tuple(flag for flag in (*flags, *ended.flags) if flag),
        other_ends=_others((*ends, *ended.other_ends), ended.used_to),
    )


def _end(base: _Reading, believed: list[_Witness], case: _Case) -> UseTime:
    """The end with its flags and other ends: told by the length, else by a witness of the end, else unknown."""
    if base.end is not None or base.start is None:
        return UseTime(used_to=base.end)
    enders = [w for w in believed if _gives_end_only(w)]
    teller, told = next(((w, r) for w in enders if (r := _fitting(w, base.start)) is not None), (None, None))
    used_to = max(base.start, told.end) if told is not None and told.end is not None else None
    flags = ["end_unknown"] if told is None else ["end_estimated", told.flag]
    ends = [_declared_end(teller)] if teller is not None and told is not None and told.flag else []
    for witness in enders:
        if witness is not teller and not _ends_at(witness, used_to, case):
            flags.append(_objection(witness, f"disagree_{witness.name}"))
            ends.append(_declared_end(witness))
    return UseTime(used_to=used_to, flags=tuple(flags), other_ends=_others(ends, used_to))


def _fitting(witness: _Witness, start: datetime) -> _Reading | None:
    """The reading of a witness of the end that can end what began at ``start``.

    The nearest: it is the likeliest, and gives the earlier deadline.
    """
    earliest, latest = start - _FAT_STEP, start + LONGEST_ESTIMATE
    ends = [(r.end, r) for r in witness.readings if r.end is not None and earliest <= r.end <= latest]
    return min(ends, key=lambda each: each[0])[1] if ends and witness.solid else None


def _ends_at(witness: _Witness, end: datetime | None, case: _Case) -> bool:
    return end is not None and any(r.end and abs(r.end - end) <= case.tolerance for r in witness.readings)


def _without_start(believed: list[_Witness]) -> UseTime:
    """No witness of the start is left: the end may still be known, which is what article 23 counts from."""
    ended = next((w for w in believed if _stands_alone(w) and _gives_end_only(w)), None)
    used_to = ended.readings[0].end if ended is not None else None
    flags = [_objection(w, w.name + "_unreliable") for w in believed if w is not ended]
    known = "end_unknown" if used_to is None else "end_estimated"
    ends = _others((_declared_end(w) for w in believed), used_to)
    return UseTime(None, used_to, ended.name if ended else "", (*flags, "start_unknown", known), ends)


def _stands_alone(witness: _Witness) -> bool:
    return witness.solid and witness.fault is None


def _gives_end_only(witness: _Witness) -> bool:
    return witness.readings[0].start is None


def _objection(witness: _Witness, otherwise: str) -> str:
    """Why a witness was not used: its own fault where its declared readings had one."""
    return otherwise if witness.fault is None else f"{witness.name}_{witness.fault}"


def _declared_end(witness: _Witness) -> datetime | None:
    """When the recording ended if this witness is right; a start, where it knows no more."""
    reading = witness.readings[0]
    return None if reading.flag else reading.end or reading.start


def _others(ends: Iterable[datetime | None], used_to: datetime | None) -> tuple[datetime, ...]:
    return tuple(sorted({end for end in ends if end is not None and end != used_to}))
