"""What can be said of stored footage without a person: time of use, owner, case, title, deadline (articles 23, 27).

Each value carries its basis; where evidence is missing or disagrees it stays empty, is
queued for a person, and the footage is stored all the same (law 6).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from dockd.card.profile import Profile
from dockd.card.signature import media_by_signature
from dockd.footage.clock import time_of_use
from dockd.law.attribution import attribute
from dockd.law.deadline import StationClock, doubt, judge
from dockd.law.vocabulary import method_of
from dockd.nouns import (
    Attribution,
    CaseWork,
    Classified,
    Custody,
    Entry,
    EntryType,
    Judgement,
    MediaFacts,
    MediaType,
    Place,
    Recorder,
    UseTime,
    display_path,
)
from dockd.register import cases, custody, officers, recorders
from dockd.register.footage import Footage
from dockd.register.records import NewRecord
from dockd.register.station import Station
from dockd.register.tables import VisitRow
from dockd.visit.following import retention
from dockd.visit.titles import Known, title_of

_HEAD = 4096
# Around a recording without a certain time there is no window to ask custody for.
_WINDOW = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Visited:
    """What a visit's row says, as far as its footage is described by it."""

    visit_id: int
    station_no: str
    docked_at: datetime
    recorder_id: int | None
    recorder: Recorder | None
    mtime_is_wall: bool
    binding_officer: str | None
    station_clock: StationClock | None = None

    @classmethod
    def of(cls, session: Session, row: VisitRow) -> Visited:
        device_no = recorders.device_no_of(session, row.recorder_id) if row.recorder_id else None
        evidence = row.evidence or {}
        tokens = {t for t in evidence.get("binding_officers", []) if t}
        clock = evidence.get("station_clock")
        return cls(
            visit_id=row.id,
            station_no=row.station_no,
            docked_at=row.docked_at,
            recorder_id=row.recorder_id,
            recorder=recorders.find_recorder(session, device_no) if device_no else None,
            mtime_is_wall=bool((row.card or {}).get("mtime_is_wall")),
            binding_officer=officers.officer_by_token(session, tokens.pop()) if len(tokens) == 1 else None,
            station_clock=StationClock(clock) if clock else None,
        )


def media_of(footage: Footage, store: str) -> MediaType:
    """What a file is: by profile, and where the profile does not know, by the first bytes of the stored file."""
    if footage.media is not MediaType.OTHER and footage.place is Place.NORMAL:
        return footage.media
    try:
        with open(f"{store}/{footage.location}", "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return footage.media  # advice only: verify reports a file that cannot be read
    return media_by_signature(head) or footage.media


def new_record(
    session: Session,
    station: Station,
    visited: Visited,
    profile: Profile,
    footage: Footage,
    media: MediaType,
    facts: MediaFacts,
) -> NewRecord:
    """The record of one stored file at revision 0."""
    said = profile.classify(Entry(footage.path, EntryType.FILE, footage.size, footage.mtime_ns))
    use = _use(station, visited, profile, footage, said, media, facts)
    whose, works = _whose(session, visited, said, use) if media.is_recording else (Attribution(), ())
    verdict = _judge(station, visited, footage, use) if media.is_recording else Judgement(reason="not_a_recording")
    tags = _tags(session, station, visited, footage, said, media, use, whose, works)
    new = NewRecord(
        file_no=footage.file_no,
        footage_id=footage.footage_id,
        visit_id=visited.visit_id,
        station_no=visited.station_no,
        media_type=media,
        place_on_card=footage.place,
        original_path=footage.path,
        original_name=display_path(footage.path.rpartition(b"/")[2]),
        docked_at=footage.docked_at,
        stored_at=footage.stored_at,
        recorder_id=visited.recorder_id,
        sequence=said.parsed.sequence if said.parsed else None,
        used_from=use.used_from,
        used_to=use.used_to,
        time_basis=use.basis,
        time_flags=use.flags,
        other_ends=use.other_ends,
        officers=whose.officers,
        owner_state=whose.owner_state,
        officer_candidates=whose.officer_candidates,
        case_no=whose.case_no,
        case_candidates=whose.case_candidates,
        important_mark=bool(said.parsed and said.parsed.important),
        remark=_remark(footage, facts),
        deadline_at=verdict.deadline_at,
        original_deadline_at=verdict.original_deadline_at,
        late=verdict.late,
        late_kind=verdict.late_kind,
        judge_reason=verdict.reason or None,
        overdue_s=verdict.overdue_s,
        exception_id=verdict.exception_id,
        probed_at=station.now() if media.is_recording else None,
        duration_s=facts.duration_s,
        facts=_plain(facts),
        **tags,
    )
    kept = retention(session, station, new, visited.recorder)
    reasons = {name: why for name, (_value, why) in kept.items() if why not in (None, "default")}
    return replace(new, **{n: value for n, (value, _why) in kept.items()}, basis={**(new.basis or {}), **reasons})


def _use(
    station: Station,
    visited: Visited,
    profile: Profile,
    footage: Footage,
    said: Classified,
    media: MediaType,
    facts: MediaFacts,
) -> UseTime:
    if not media.is_recording:
        return UseTime()
    return time_of_use(
        parsed=said.parsed,
        facts=facts,
        media=media,
        mtime_ns=footage.mtime_ns,
        mtime_is_wall=visited.mtime_is_wall,
        rule=profile.clock,
        zone=station.zone,
        now=station.now(),
        tolerance=timedelta(seconds=station.settings.clock.tolerance_s),
    )


def _whose(
    session: Session, visited: Visited, said: Classified, use: UseTime
) -> tuple[Attribution, Sequence[CaseWork]]:
    recorder = visited.recorder
    begin, end = _window(use)
    held: Sequence[Custody] = ()
    if recorder and begin and end:
        held = custody.custody_around(session, recorder.device_no, begin, end)
    owner = recorders.standing_owner(session, recorder.device_no) if recorder else None

    def read(works: Sequence[CaseWork]) -> Attribution:
        return attribute(
            use=use,
            readings=said.parsed.readings if said.parsed else (),
            device=recorder,
            custody=held,
            officer_by_token=lambda token: officers.officer_by_token(session, token),
            device_by_token=lambda token: recorders.device_by_token(session, token),
            standing_owner=owner,
            cases=works,
            binding_officer=visited.binding_officer,
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


def _judge(station: Station, visited: Visited, footage: Footage, use: UseTime) -> Judgement:
    settings = station.settings
    verdict = judge(
        used_to=use.used_to,
        other_ends=use.other_ends,
        docked_at=footage.docked_at,
        stored_at=footage.stored_at,
        hours=settings.deadline.hours,
        designated=settings.agency.designated_storage,
    )
    return doubt(verdict, visited.station_clock)


def _tags(
    session: Session,
    station: Station,
    visited: Visited,
    footage: Footage,
    said: Classified,
    media: MediaType,
    use: UseTime,
    whose: Attribution,
    works: Sequence[CaseWork],
) -> dict[str, Any]:
    case = next((w for w in works if w.case_no == whose.case_no), None) if whose.case_no else None
    method = method_of(media)
    basis = {
        "device_no": "visit" if visited.recorder else "",
        "officers": whose.officer_basis,
        "case_no": whose.case_basis,
        "used_from": use.basis,
    }
    party = "；".join(case.parties) if case and case.parties else None
    known = Known(
        original=display_path(footage.path.rpartition(b"/")[2]),
        number=(said.parsed.sequence if said.parsed else None) or str(footage.seq),
        media=media,
        used_from=use.used_from,
        cause=case.case_cause if case else None,
        party=party,
        case_no=whose.case_no,
        device_no=visited.recorder.device_no if visited.recorder else None,
        officers=whose.officers,
    )
    return {
        "title": title_of(session, station, known),
        "party": party,
        "case_cause": case.case_cause if case else None,
        "place": case.place if case else None,
        "matter": case.matter if case else None,
        "act_type": case.act_type if case else None,
        "stage": case.stage if case else None,
        "confidentiality": case.confidentiality if case else None,
        "method": method.code if method else None,
        "basis": {tag: why for tag, why in basis.items() if why} | {"title": "template"},
    }


def _remark(footage: Footage, facts: MediaFacts) -> str | None:
    """Codes of what a reader of the record must know about these bytes."""
    codes = [f"place:{footage.place}"] if footage.place is not Place.NORMAL else []
    codes += [f"media:{problem}" for problem in facts.problems]
    if footage.holes:
        codes.append(f"holes:{sum(h.length for h in footage.holes)}")
    return " ".join(codes) or None


def _plain(facts: MediaFacts) -> dict[str, Any]:
    """Facts as JSON: times as ISO 8601, nothing that is None."""
    values = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in asdict(facts).items() if v is not None}
    return values | {"problems": list(facts.problems)}
