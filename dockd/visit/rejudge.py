"""Judging again: what changed in the register reaches every recording that it concerns, however late it came.

``register.reviews`` remembers with each change which records it may concern; here they are concluded
anew, in batches, from the evidence that never changes. A revision is added only where the conclusion is
another one, with the change as its reason; what a person has said stays. Alerts follow the new
verdict, and the sidecars the new revision. Cut short at any instruction, the next call goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dockd.nouns import Entry, EntryType, MediaFacts
from dockd.register import clocks, records, reviews
from dockd.register.clocks import NewReading
from dockd.register.records import Record
from dockd.register.reviews import Review
from dockd.register.station import Station
from dockd.register.tables import FootageRow, VisitRow
from dockd.visit.alarms import MACHINE, follow_owner, follow_verdict
from dockd.visit.conclusions import Conclusion, conclude
from dockd.visit.evidence import Evidence, Visited
from dockd.visit.following import retention
from dockd.visit.look import profile_named
from dockd.visit.sidecars import write_lacking
from dockd.visit.survey import Touched, survey
from dockd.visit.usetime import ahead_of_docking, ahead_of_gps

_BATCH = 64  # records a transaction: nobody else waits longer for the register


@dataclass(frozen=True, slots=True)
class Rejudged:
    """What a call did: recordings looked at, and those of them that say something else now."""

    records: int = 0
    revised: tuple[int, ...] = ()

    def plus(self, other: Rejudged) -> Rejudged:
        """Both together."""
        return Rejudged(self.records + other.records, self.revised + other.revised)


def rejudge(station: Station, *, check: Callable[[], None] = lambda: None) -> Rejudged:
    """Works off every review of the station; nothing is left to do when it returns.

    Call it after any command that may have asked for one, and at every start. ``check`` raises
    when this process may not write any more. Raises StoreError: the rest stays asked for.
    """
    done = Rejudged()
    while True:
        with station.register.read() as session:
            review = reviews.next_review(session, station.station_no)
            if review is None:
                return done
            left = reviews.concerned_records(session, review, station.station_no)
        done = done.plus(_work_off(station, review, left, check))


def _work_off(station: Station, review: Review, left: Sequence[int], check: Callable[[], None]) -> Rejudged:
    done = Rejudged()
    for start in range(0, len(left), _BATCH):
        check()
        batch = left[start : start + _BATCH]
        now = _judge_batch(station, review, batch)
        done = done.plus(now)
        # Before the batch counts as done: a crash leaves none without.
        write_lacking(station, [*batch, *now.revised])
        with station.register.write() as session:
            reviews.note_done(session, review, batch[-1])
    with station.register.write() as session:
        reviews.end_review(session, review, station_no=station.station_no, at=station.now())
    return done


def _judge_batch(station: Station, review: Review, batch: Sequence[int]) -> Rejudged:
    visits: dict[int, Visited] = {}
    with station.register.write() as session:
        reviews.take_turn(session, station.station_no)
        before = [Touched(r.record_id, r.case_no) for r in _found(session, batch)]
        revised = [number for number in batch if judge_again(session, station, number, why=review.why, visits=visits)]
        regrouped = survey(session, station, before)
    return Rejudged(len(batch), tuple(dict.fromkeys((*revised, *regrouped))))


def _found(session: Session, batch: Sequence[int]) -> list[Record]:
    return [record for number in batch if (record := records.find_record(session, number))]


def judge_again(
    session: Session, station: Station, record_id: int, *, why: str, visits: dict[int, Visited] | None = None
) -> bool:
    """Concludes one recording anew in the caller's transaction; whether it says something else now."""
    record = records.find_record(session, record_id)
    if record is None or not record.media_type.is_recording:
        return False
    evidence = evidence_of(session, station, record, visits if visits is not None else {})
    said = _said_by_persons(record)
    found = conclude(session, station, evidence, said=said)
    kept = retention(session, station, record, evidence.visited.recorder, {**found.values, **said})
    new = {name: value for name, value in kept.items() if value[0] != getattr(record, name)}
    revision = records.revise_record(
        session,
        record_id,
        {**found.values, **{name: value for name, (value, _why) in new.items()}},
        actor=MACHINE,
        why=why,
        basis=_reasons(record, found) | {name: reason for name, (_value, reason) in new.items() if reason},
        at=station.now(),
    )
    if revision is None:
        return False
    after = records.find_record(session, record_id)
    if after is not None:
        follow_verdict(session, station, record, after)
        follow_owner(session, station, record, after)
    return True


def evidence_of(session: Session, station: Station, record: Record, visits: dict[int, Visited]) -> Evidence:
    """What the file, its card and its visit said, as the register keeps it."""
    row = session.get_one(VisitRow, record.visit_id)
    if record.visit_id not in visits:
        visits[record.visit_id] = Visited.of(session, row)
    stored = session.get_one(FootageRow, record.footage_id)
    profile = profile_named(station, row.profile)
    said = profile.classify(Entry(record.original_path, EntryType.FILE, stored.size, stored.mtime_ns))
    return Evidence(
        visited=visits[record.visit_id],
        media=record.media_type,
        original_name=record.original_name,
        number=record.sequence or record.file_no.rpartition("-")[2].lstrip("0"),
        parsed=said.parsed,
        facts=_facts(record.facts),
        clock=profile.clock,
        mtime_ns=stored.mtime_ns,
        docked_at=record.docked_at,
        stored_at=record.stored_at,
    )


def _facts(said: Mapping[str, Any]) -> MediaFacts:
    """The parsers' advice as it was kept."""
    known = {f.name: said[f.name] for f in fields(MediaFacts) if f.name in said}
    times = {n: datetime.fromisoformat(known[n]) for n in ("created", "zoned", "gps_time") if known.get(n)}
    return MediaFacts(**{**known, **times, "problems": tuple(known.get("problems", ()))})


def _said_by_persons(record: Record) -> dict[str, Any]:
    """The columns that hold a person's word."""
    return {
        name: getattr(record, name)
        for name, why in record.basis.items()
        if why.startswith("person:") and hasattr(record, name)
    }


def _reasons(record: Record, found: Conclusion) -> dict[str, str]:
    """The reasons to keep: that there is none any more is told only with the value that is gone."""
    return {
        name: why
        for name, why in found.basis.items()
        if why or (record.basis.get(name) and found.values.get(name) != getattr(record, name, None))
    }


# --- clocks ------------------------------------------------------------------------------------------------


def read_clocks(station: Station, visit_id: int) -> None:
    """What the visit's own recordings show of their recorder's clock, kept as readings once a visit.

    GPS time in a file measures it; the newest recording that ended after docking shows how far ahead it
    was at least. Both ask for the review of what they may put right.
    """
    with station.register.write() as session:
        visited = Visited.of(session, session.get_one(VisitRow, visit_id))
        if visited.recorder is None:
            return
        seen = {visit_id: visited}
        numbers = records.recordings_of(session, "visit", visit_id)
        found = [(r, evidence_of(session, station, r, seen)) for r in _found(session, numbers)]
        told = [(_gps_reading(station, found), "gps"), (_future_reading(station, found, visited), "future_file")]
        for new, kind in told:
            if new is not None and not clocks.has_reading(session, visit_id, kind):
                clocks.add_reading(
                    session,
                    visited.recorder.device_no,
                    replace(new, visit_id=visit_id),
                    station_no=station.station_no,
                    now=station.now(),
                    actor=MACHINE,
                )


def _gps_reading(station: Station, found: Sequence[tuple[Record, Evidence]]) -> NewReading | None:
    measured = [
        (evidence.facts.gps_time, ahead, record.record_id)
        for record, evidence in found
        if evidence.facts.gps_time is not None
        and evidence.facts.gps_time <= record.stored_at
        and (ahead := ahead_of_gps(station, evidence)) is not None
    ]
    if not measured:
        return None
    at, ahead, record_id = max(measured)
    return NewReading(at=at, offset_s=ahead.total_seconds(), evidence="gps", record_id=record_id)


def _future_reading(station: Station, found: Sequence[tuple[Record, Evidence]], visited: Visited) -> NewReading | None:
    measured = [
        (ahead, record.record_id)
        for record, evidence in found
        if (ahead := ahead_of_docking(station, evidence)) is not None
    ]
    if not measured:
        return None
    ahead, record_id = max(measured)
    seconds = ahead.total_seconds()
    return NewReading(
        at=visited.docked_at, offset_s=seconds, evidence="future_file", at_least=True, record_id=record_id
    )
