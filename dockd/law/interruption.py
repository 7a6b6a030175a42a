"""Article 22: where a recording may have been interrupted, and what must then be said.

行政执法人员在进行音像记录过程中，因设备故障、天气恶劣、人为阻挠等客观原因中断记录的，重新开始记录时应当对中断原因进行
语音说明；确实无法继续记录的，应当在现场执法结束后书面说明情况，并由两名以上执法人员签字。
Where an officer's audio-visual recording is interrupted for an objective cause such as a fault of
the equipment, bad weather or obstruction by persons, the cause shall be spoken aloud when recording
starts again; where recording truly cannot go on, the circumstances shall be set down in writing after
the enforcement on site has ended and be signed by two or more officers.

对直接涉及人身自由、生命健康、重大财产权益的现场执法活动和执法办案场所，应当进行全程音像记录。
Enforcement on site that directly concerns personal liberty, life and health or major property rights
shall be recorded in its whole course (article 19).

Everything found here is a candidate: whether a recorder was switched off with good reason, nobody but a
person can say. Within a session every gap is one. Within the time of a case the gaps between its
recordings are; where the whole course is to be recorded, also the time before the first and after
the last one, and all of it where nothing was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dockd.law.instants import later, utc
from dockd.law.vocabulary import Severity


@dataclass(frozen=True, slots=True)
class Segment:
    """One recording in time. ``session`` is that of its recorder; a recording without a known end is one moment."""

    record_id: int
    begin: datetime
    end: datetime
    session: int | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without recording; ``before`` and ``after`` are the recordings beside it (None: the case's own edge)."""

    begin: datetime
    end: datetime
    before: int | None
    after: int | None


def sessions(segments: Iterable[Segment], within: timedelta) -> list[tuple[int, ...]]:
    """The segments of one recorder that follow each other within so long, as ids, in the order of time.

    What overlaps belongs together, too: some recorders write two cameras at once.
    """
    found: list[list[int]] = []
    reach: datetime | None = None
    for one in _in_order(segments):
        if reach is None or utc(one.begin) > later(reach, within):
            found.append([])
        found[-1].append(one.record_id)
        reach = max(reach or utc(one.end), utc(one.end))
    return [tuple(ids) for ids in found]


def gaps_in_session(segments: Iterable[Segment], longer_than: timedelta) -> list[Gap]:
    """The gaps between segments of one session that are longer than a recorder takes to begin its next file."""
    return _between(_in_order(segments), longer_than)


def gaps_in_case(
    segments: Iterable[Segment], periods: Iterable[tuple[datetime, datetime]], longer_than: timedelta, *, whole: bool
) -> list[Gap]:
    """The times of a case, whoever worked on it, that none of its recordings covers.

    ``whole``: the whole course is to be recorded. A gap that lies within one session is that session's.
    """
    ordered, found = _in_order(segments), []
    for begin, end in _merged(periods):
        inside = [s for s in ordered if utc(s.end) >= begin and utc(s.begin) <= end]
        found += [gap for gap in _between(inside, longer_than) if not _same_session(gap, inside)]
        if whole:
            found += [gap for gap in _edges(inside, begin, end) if gap.end - gap.begin > longer_than]
    return sorted(found, key=lambda gap: gap.begin)


def severity_of(full_course_required: bool) -> Severity:
    """How much a candidate weighs: where the whole course is to be recorded, a gap is a duty in doubt (article 19)."""
    return Severity.WARNING if full_course_required else Severity.NOTICE


def missing_of_note(
    form: str | None, *, cause: str | None, position: str | None, doc_no: str | None, signed_by: Sequence[str]
) -> tuple[str, ...]:
    """What the article asks of the note and is not there: codes of its parts."""
    lacking = [] if cause else ["cause"]
    if form == "voice" and not position:
        lacking.append("position")
    if form == "written":
        lacking += [] if doc_no else ["doc_no"]
        lacking += [] if len(set(signed_by)) >= 2 else ["signed_by"]
    return tuple(lacking if form else ["form", *lacking])


def _in_order(segments: Iterable[Segment]) -> list[Segment]:
    return sorted(segments, key=lambda s: (utc(s.begin), utc(s.end), s.record_id))


def _between(ordered: Sequence[Segment], longer_than: timedelta) -> list[Gap]:
    found: list[Gap] = []
    last: Segment | None = None
    for one in ordered:
        if last is not None and utc(one.begin) - utc(last.end) > longer_than:
            found.append(Gap(utc(last.end), utc(one.begin), last.record_id, one.record_id))
        if last is None or utc(one.end) > utc(last.end):
            last = one
    return found


def _edges(inside: Sequence[Segment], begin: datetime, end: datetime) -> list[Gap]:
    if not inside:
        return [Gap(begin, end, None, None)]
    first, last = inside[0], max(inside, key=lambda s: (utc(s.end), s.record_id))
    head = [Gap(begin, utc(first.begin), None, first.record_id)] if utc(first.begin) > begin else []
    tail = [Gap(utc(last.end), end, last.record_id, None)] if utc(last.end) < end else []
    return [*head, *tail]


def _same_session(gap: Gap, inside: Sequence[Segment]) -> bool:
    of = {s.record_id: s.session for s in inside}
    before, after = (of.get(i) if i is not None else None for i in (gap.before, gap.after))
    return before is not None and before == after


def _merged(periods: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    found: list[tuple[datetime, datetime]] = []
    for begin, end in sorted((utc(b), utc(e)) for b, e in periods):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        elif begin < end:
            found.append((begin, end))
    return found
