"""Article 23: whether one recording was stored in time, judged from instants that are handed in.

(1) 音像记录完成后，行政执法人员应当在二十四小时内将音像记录信息储存至所在机关的行政执法信息系统或者指定的
存储设备，不得私自保管或者擅自交给他人保管，不得泄露音像记录信息。
Within twenty-four hours of completing an audio-visual recording, the officer shall store it in the
administrative enforcement information system of his agency or in the designated storage device; he
shall not keep it privately or hand it to others to keep without leave, and shall not disclose it.

(2) 因连续执法、异地执法或者在边远、水上、交通不便地区执法，确实无法及时储存音像记录信息的，行政执法人员应当
在返回所在机关后二十四小时内予以储存。
Where, because of continuous enforcement, enforcement outside the area, or enforcement in remote
places, on water or where transport is poor, the recording truly cannot be stored in time, the
officer shall store it within twenty-four hours of returning to his agency.

How it is read: per file, from the end of the recording; the duty is met when the file is stored and
proven; hours run through weekends; exactly 24:00:00 is in time. The article asks for no confirmation
of a statement under (2): an unconfirmed one counts and is named (``exception_unconfirmed``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from dockd.law.instants import later, utc
from dockd.law.vocabulary import EXCEPTION_REASONS
from dockd.nouns import Judgement, LateKind

DEADLINE_UNKNOWN = "deadline_unknown"
DEADLINE_DISPUTED = "deadline_disputed"
STORE_NOT_DESIGNATED = "store_not_designated"
NOT_STORED = "not_stored"
EXCEPTION_OPEN = "exception_open"
EXCEPTION_CONFLICT = "exception_conflict"
EXCEPTION_UNCONFIRMED = "exception_unconfirmed"
STATION_CLOCK = "station_clock"

CLOCK_TOLERANCE = timedelta(minutes=5)
"""A recorder's clock may be this far ahead before its recordings "end after docking": the same five
minutes above which witnesses of a time disagree. A recorder stops recording when it is plugged in."""


@dataclass(frozen=True, slots=True)
class ExceptionClaim:
    """例外事由: a statement under article 23(2) as the judgement sees it.

    ``reason`` is a code of ``vocabulary.EXCEPTION_REASONS``; the period is closed at both ends.
    ``unable`` is the statement that storing in time was truly impossible (确实无法及时储存).
    ``returned_at`` None: not back at the agency yet, or not entered.
    """

    exception_id: int
    reason: str
    period_from: datetime
    period_to: datetime
    returned_at: datetime | None = None
    unable: bool = False
    confirmed: bool = False


def due_at(used_to: datetime, hours: int) -> datetime:
    """``hours`` of elapsed time after ``used_to``, in UTC. Raises ``ValueError`` for a time without zone."""
    return later(used_to, timedelta(hours=hours))


def judge(
    *,
    used_to: datetime | None,
    other_ends: tuple[datetime, ...],
    docked_at: datetime,
    stored_at: datetime | None,
    hours: int,
    designated: bool,
    exceptions: Sequence[ExceptionClaim] = (),
) -> Judgement:
    """Article 23 on one recording; all times of the answer are UTC.

    ``used_to`` is the end of the recording and ``other_ends`` the ends that disagreeing
    witnesses give: a verdict that is the same for every end stands; otherwise ``late`` is None,
    the reason ``deadline_disputed`` and the deadlines are the earliest. ``late`` is also None
    for ``store_not_designated`` (storing here does not discharge the duty), ``deadline_unknown``
    (no end, or one after docking), ``exception_open`` (23(2) without a return time) and
    ``not_stored`` (docked in time, not stored yet).

    A statement that covers the end moves the deadline to the return + ``hours``, never to before
    the original one; of several the latest counts. One that cannot be true (``exception_conflict``)
    leaves the original deadline. A recording that was stored in time without any statement is in
    time whatever the statement lacks: the reason still names what is open.

    ``overdue_s`` counts to docking for ``LateKind.DOCKED`` (the station's own hours are not the
    officer's) and to storing for ``LateKind.STORED``. Raises ``ValueError`` for a time without zone.
    """
    verdict = Judgement(reason=DEADLINE_UNKNOWN)
    if used_to is not None:
        stay = _Stay(utc(docked_at), None if stored_at is None else utc(stored_at), hours, tuple(exceptions))
        verdict = _agree([_judge_end(utc(end), stay) for end in (used_to, *other_ends)])
    if designated:
        return verdict
    return replace(verdict, late=None, late_kind=None, overdue_s=0, reason=STORE_NOT_DESIGNATED)


@dataclass(frozen=True, slots=True)
class _Stay:
    """What is the same for every possible end of one recording."""

    docked_at: datetime
    stored_at: datetime | None
    hours: int
    claims: tuple[ExceptionClaim, ...]


def _agree(verdicts: Sequence[Judgement]) -> Judgement:
    """The best witness's verdict if the others do not change it."""
    first = verdicts[0]
    if first.reason == DEADLINE_UNKNOWN or all(_meaning(v) == _meaning(first) for v in verdicts):
        return first
    return Judgement(
        deadline_at=min((v.deadline_at for v in verdicts if v.deadline_at), default=None),
        original_deadline_at=min((v.original_deadline_at for v in verdicts if v.original_deadline_at), default=None),
        reason=DEADLINE_DISPUTED,
    )


def _meaning(verdict: Judgement) -> tuple[bool | None, LateKind | None, str]:
    return verdict.late, verdict.late_kind, verdict.reason if verdict.late is None else ""


def _judge_end(end: datetime, stay: _Stay) -> Judgement:
    if end > stay.docked_at + CLOCK_TOLERANCE:
        return Judgement(reason=DEADLINE_UNKNOWN)
    original = due_at(end, stay.hours)
    covering = [c for c in stay.claims if utc(c.period_from) <= end <= utc(c.period_to)]
    sound = [c for c in covering if not _contradicts(c, stay.docked_at)]
    deadline, extending = _extend(original, sound, stay.hours)
    verdict = _compare(original, deadline, stay)
    pending = _first([c for c in sound if c.returned_at is None])
    if pending and verdict.late is not False:
        return Judgement(original_deadline_at=original, reason=EXCEPTION_OPEN, exception_id=pending.exception_id)
    if extending:
        return _remark(verdict, extending, "" if extending.confirmed else EXCEPTION_UNCONFIRMED)
    if pending:
        return _remark(verdict, pending, EXCEPTION_OPEN)
    contradiction = _first([c for c in covering if c not in sound])
    return _remark(verdict, contradiction, EXCEPTION_CONFLICT) if contradiction else verdict


def _contradicts(claim: ExceptionClaim, docked_at: datetime) -> bool:
    """A statement that cannot be true as entered: the dock stands in the agency one returns to."""
    returned_later = claim.returned_at is not None and utc(claim.returned_at) > docked_at
    return not claim.unable or claim.reason not in EXCEPTION_REASONS or returned_later


def _extend(original: datetime, claims: Sequence[ExceptionClaim], hours: int) -> tuple[datetime, ExceptionClaim | None]:
    """The latest deadline that a return gives, with its statement; the original one where none is later."""
    returns = [(due_at(c.returned_at, hours), c.confirmed, -c.exception_id, c) for c in claims if c.returned_at]
    deadline, _, _, claim = max(returns, key=lambda r: r[:3], default=(original, True, 0, None))
    return (deadline, claim) if deadline > original else (original, None)


def _compare(original: datetime, deadline: datetime, stay: _Stay) -> Judgement:
    """Met is what was stored by the deadline; who was late is whether the recorder was docked by then."""
    judged = Judgement(deadline_at=deadline, original_deadline_at=original)
    if stay.stored_at is not None and stay.stored_at <= deadline:
        return replace(judged, late=False)
    if stay.docked_at > deadline:
        return replace(judged, late=True, late_kind=LateKind.DOCKED, overdue_s=_seconds(stay.docked_at - deadline))
    if stay.stored_at is None:
        return replace(judged, reason=NOT_STORED)
    return replace(judged, late=True, late_kind=LateKind.STORED, overdue_s=_seconds(stay.stored_at - deadline))


def _seconds(span: timedelta) -> int:
    """Whole seconds, rounded up, so that what is late is never overdue by 0."""
    return -(-span // timedelta(seconds=1))


def _remark(verdict: Judgement, claim: ExceptionClaim, reason: str) -> Judgement:
    return replace(verdict, reason=verdict.reason or reason, exception_id=claim.exception_id)


def _first(claims: Sequence[ExceptionClaim]) -> ExceptionClaim | None:
    """The one entered first, so that the order in which statements arrive does not matter."""
    return min(claims, key=lambda c: c.exception_id, default=None)


class StationClock(StrEnum):
    """What is known against the station's own clock at a visit."""

    BEHIND = "behind"  # it stepped back: it is earlier than a time that this station has seen
    AHEAD = "ahead"  # nothing keeps it, and it leapt forward since it was last seen


def doubt(verdict: Judgement, clock: StationClock | None) -> Judgement:
    """A verdict by a clock in doubt: what the doubt could turn round is left open (``station_clock``).

    Behind a clock that stepped back everything looks earlier than it was: late stays late, in
    time does not stay in time. With one that leapt forward it is the other way round.
    """
    unsafe = {StationClock.BEHIND: False, StationClock.AHEAD: True}
    if clock is None or verdict.late is None or verdict.late is not unsafe[clock]:
        return verdict
    return replace(verdict, late=None, late_kind=None, overdue_s=0, reason=STATION_CLOCK)


def only_if_late(verdict: Judgement) -> Judgement:
    """A verdict on a recording that was over by this time or earlier: late stays late, in time stays open."""
    if verdict.late is not False:
        return verdict
    return replace(verdict, late=None, late_kind=None, overdue_s=0, reason=DEADLINE_DISPUTED)
