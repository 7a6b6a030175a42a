"""What follows for one recording from its own witnesses and from all that the register knows now (articles 23, 27).

The same evidence and the same register give the same conclusion, whenever and in whatever order they
came: so a recording can be judged again as often as something changes. Each value carries its
basis; where evidence is missing or disagrees it stays empty and is queued for a person (law 6). What a
person has said is evidence of its own: dockd concludes from it and never against it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from dockd.law.attribution import attribute
from dockd.law.deadline import doubt, judge, only_if_late
from dockd.nouns import (
    Attribution,
    CaseWork,
    Custody,
    Judgement,
    UseTime,
)
from dockd.register import cases, clocks, custody, exceptions, officers, recorders
from dockd.register.station import Station
from dockd.visit.evidence import Evidence
from dockd.visit.titles import Known, title_of
from dockd.visit.usetime import use_time

# Around a recording without a certain time there is no window to ask custody for.
_WINDOW = timedelta(days=1)
FOLLOWING = ("party", "case_cause", "place", "matter", "act_type", "stage", "confidentiality")
"""What a record takes from its case."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """Columns of the record, and the reasons of those that have one (empty: none any more)."""

    values: Mapping[str, Any]
    basis: Mapping[str, str]


def conclude(
    session: Session, station: Station, evidence: Evidence, said: Mapping[str, Any] | None = None
) -> Conclusion:
    """Time of use, owner, case with what it brings, title and deadline; ``said``: columns that hold a person's word."""
    said = said or {}
    readings = clocks.readings_around(session, evidence.visited.recorder_id, evidence.docked_at)
    used = use_time(station, evidence, readings)
    use = used.time
    # A recording that was over by some time, nobody knows how long, may be anybody's who had the recorder.
    whose, works = _whose(session, evidence, UseTime() if used.is_bound else use, said)
    names = tuple(said.get("officers", whose.officers))
    case_no = said.get("case_no", whose.case_no)
    brought = _brought(session, case_no, names, works, use)
    verdict = _judge(session, station, evidence, use, names)
    verdict = only_if_late(verdict) if used.is_bound else verdict
    values = {
        "used_from": use.used_from,
        "used_to": use.used_to,
        "time_basis": use.basis,
        "time_flags": use.flags,
        "other_ends": use.other_ends,
        "raw_from": used.raw.used_from if used.raw else None,
        "raw_to": used.raw.used_to if used.raw else None,
        "clock_offset_s": used.offset.total_seconds() if used.offset else None,
        "officers": names,
        "owner_state": whose.owner_state,
        "officer_candidates": whose.officer_candidates,
        "case_no": case_no,
        "case_candidates": whose.case_candidates if "case_no" not in said else (),
        **brought,
        "deadline_at": verdict.deadline_at,
        "original_deadline_at": verdict.original_deadline_at,
        "late": verdict.late,
        "late_kind": verdict.late_kind,
        "judge_reason": verdict.reason or None,
        "overdue_s": verdict.overdue_s,
        "exception_id": verdict.exception_id,
    }
    values["title"] = _title(session, station, evidence, {**values, **said})
    basis = {
        "officers": whose.officer_basis,
        "case_no": whose.case_basis,
        "used_from": use.basis,
        **{name: f"case:{case_no}" if value is not None else "" for name, value in brought.items()},
        "title": "template",
    }
    return Conclusion(values, basis)


# --- whose, and which case -------------------------------------------------------------------------------


def _whose(
    session: Session, evidence: Evidence, use: UseTime, said: Mapping[str, Any]
) -> tuple[Attribution, Sequence[CaseWork]]:
    if not evidence.media.is_recording:
        return Attribution(), ()
    recorder = evidence.visited.recorder
    begin, end = _window(use)
    held: Sequence[Custody] = ()
    if recorder and begin and end:
        held = custody.custody_around(session, recorder.device_no, begin, end)
    moments = [t for t in (use.used_from, use.used_to, *use.other_ends) if t]
    owner = recorders.standing_owner(session, recorder.device_no, moments) if recorder else None

    def read(works: Sequence[CaseWork]) -> Attribution:
        return attribute(
            use=use,
            readings=evidence.parsed.readings if evidence.parsed else (),
            device=recorder,
            custody=held,
            officer_by_token=lambda token: officers.officer_by_token(session, token),
            device_by_token=lambda token: recorders.device_by_token(session, token),
            standing_owner=owner,
            cases=works,
            binding_officer=evidence.visited.binding_officer,
            said_officers=tuple(said["officers"]) if "officers" in said else None,
            said_place=said.get("place"),
        )

    found = read(())
    asked = found.officers or found.officer_candidates
    if not (asked and begin and end):
        return found, ()
    works = cases.cases_of(session, asked, begin, end)
    return read(works), works


def _window(use: UseTime) -> tuple[datetime | None, datetime | None]:
    """Every moment that some witness gives the recording, with a day around."""
    known = [t for t in (use.used_from, use.used_to, *use.other_ends) if t]
    if not known:
        return None, None
    return min(known) - _WINDOW, max(known) + _WINDOW


def _brought(
    session: Session, case_no: str | None, names: Sequence[str], works: Sequence[CaseWork], use: UseTime
) -> dict[str, Any]:
    """What the case says; the place of the officers' own work on it where that is one place.

    Protection is never taken away by this: without a case, or with one that says nothing of it, it
    stays as it is.
    """
    case = cases.find_case(session, case_no) if case_no else None
    if case is None:
        return dict.fromkeys(name for name in FOLLOWING if name != "confidentiality")
    places = {w.place for w in works if w.case_no == case.case_no and w.cert_no in names and _is_at(w, use)}
    brought = {
        "party": "；".join(case.parties) or None,
        "case_cause": case.case_cause,
        "place": places.pop() if len(places) == 1 else case.place,
        "matter": case.matter,
        "act_type": case.act_type,
        "stage": case.stage,
    }
    return brought | ({"confidentiality": case.confidentiality} if case.confidentiality else {})


def _is_at(work: CaseWork, use: UseTime) -> bool:
    if use.used_from is None or work.used_from is None:
        return False
    return work.used_from <= use.used_from and (work.used_to is None or use.used_from <= work.used_to)


# --- in time or not --------------------------------------------------------------------------------------


def _judge(session: Session, station: Station, evidence: Evidence, use: UseTime, names: Sequence[str]) -> Judgement:
    if not evidence.media.is_recording:
        return Judgement(reason="not_a_recording")
    settings = station.settings
    ends = [end for end in (use.used_to, *use.other_ends) if end]
    verdict = judge(
        used_to=use.used_to,
        other_ends=use.other_ends,
        docked_at=evidence.docked_at,
        stored_at=evidence.stored_at,
        hours=settings.deadline.hours,
        designated=settings.agency.designated_storage,
        exceptions=exceptions.claims_on(session, evidence.visited.recorder_id, names, ends),
    )
    return doubt(verdict, evidence.visited.station_clock)


# --- title -------------------------------------------------------------------------------------------------


def _title(session: Session, station: Station, evidence: Evidence, values: Mapping[str, Any]) -> str:
    recorder = evidence.visited.recorder
    known = Known(
        original=evidence.original_name,
        number=evidence.number,
        media=evidence.media,
        used_from=values["used_from"],
        cause=values["case_cause"],
        party=values["party"],
        case_no=values["case_no"],
        device_no=recorder.device_no if recorder else None,
        officers=values["officers"],
    )
    return title_of(session, station, known)
