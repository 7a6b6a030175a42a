"""What follows from what is said of a record: its title by the template, and how long it is kept (article 27).

Both are worked out anew whenever something else of the record changes; a title that a person gave
stays, and a class that a person gave counts among those that the rules give.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from sqlalchemy.orm import Session

from dockd.law.retention import Kept, keep_until
from dockd.nouns import Recorder
from dockd.register import recorders
from dockd.register.cases import Case, find_case
from dockd.register.records import NewRecord, Record
from dockd.register.station import Station
from dockd.register.tagging import Following
from dockd.visit.titles import retitle

_WORDS = ("act_type", "stage", "step", "matter", "confidentiality")


def follow(session: Session, station: Station, record: Record, changes: Mapping[str, Any]) -> Following:
    """What follows from ``changes`` to a record, each value with its basis; only what is new."""
    recorder = recorders.find_recorder(session, record.device_no) if record.device_no else None
    following: Following = retention(session, station, record, recorder, changes)
    if title := retitle(session, station, record, changes):
        following["title"] = (title, "template")
    return {name: said for name, said in following.items() if said[0] != getattr(record, name)}


def retention(
    session: Session,
    station: Station,
    record: Record | NewRecord,
    recorder: Recorder | None,
    changes: Mapping[str, Any] | None = None,
) -> Following:
    """Class and last day of retention of a record once ``changes`` are made to it."""

    def said(name: str) -> Any:
        return (changes or {}).get(name, getattr(record, name))

    table = station.settings.retention
    case = (
        find_case(session, said("case_no")) if said("case_no") and (table.rules or said("retention_by_hand")) else None
    )
    words = {name: said(name) for name in _WORDS}
    kept = keep_until(
        periods={name: one.keep for name, one in table.classes.items()},
        rules=[rule.as_rule() for rule in table.rules],
        words=words | {"media": record.media_type.value, "unit": recorder.unit if recorder else None},
        flags={
            "case": bool(said("case_no")),
            "evidence": bool(said("is_evidence")),
            "important": bool(said("important_mark")),
            "full_course": bool(case and case.full_course_required),
        },
        by_hand=said("retention_by_hand"),
        since=_since(station, said("used_to"), record.stored_at, bool(said("case_no")), case),
    )
    return _as_following(station, kept)


def _since(
    station: Station, used_to: datetime | None, stored_at: datetime, of_a_case: bool, case: Case | None
) -> date | None:
    """The day from which the period runs; None while the case is open."""
    if of_a_case and (case is None or case.closed_at is None):
        return None
    times = (used_to, stored_at, case.closed_at if case else None)
    return max(at for at in times if at).astimezone(station.zone).date()


def _as_following(station: Station, kept: Kept) -> Following:
    until = datetime.combine(kept.until, time(), station.zone) if kept.until else None
    return {"retention_class": (kept.retention_class, kept.basis), "retain_until": (until, None)}
