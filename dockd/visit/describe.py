"""The first record of stored footage: what it is, and what can be concluded without a person (articles 23, 27)."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dockd.card.profile import Profile
from dockd.card.signature import media_by_signature
from dockd.footage.facts import remark_on
from dockd.law.vocabulary import method_of
from dockd.nouns import Classified, Entry, EntryType, MediaFacts, MediaType, Place, display_path
from dockd.register.footage import Footage
from dockd.register.records import NewRecord
from dockd.register.station import Station
from dockd.register.transfers import UNSTEADY
from dockd.visit.conclusions import Conclusion, conclude
from dockd.visit.evidence import Evidence, Visited
from dockd.visit.following import retention
from dockd.visit.survey import COURSES, session_beside

_HEAD = 4096


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
    evidence = _evidence(visited, profile, footage, said, media, facts)
    found = conclude(session, station, evidence)
    method = method_of(media)
    basis = {"device_no": "visit" if visited.recorder else ""} | dict(found.basis)
    new = NewRecord(
        file_no=footage.file_no,
        footage_id=footage.footage_id,
        visit_id=visited.visit_id,
        station_no=visited.station_no,
        media_type=media,
        place_on_card=footage.place,
        original_path=footage.path,
        original_name=evidence.original_name,
        tokens=evidence.tokens,
        docked_at=footage.docked_at,
        stored_at=footage.stored_at,
        recorder_id=visited.recorder_id,
        sequence=said.parsed.sequence if said.parsed else None,
        important_mark=bool(said.parsed and said.parsed.important),
        method=method.code if method else None,
        remark=_remark(footage, facts),
        probed_at=station.now() if media.is_recording else None,
        duration_s=facts.duration_s,
        facts=_plain(facts),
        basis={tag: why for tag, why in basis.items() if why},
        session_id=_session(session, station, visited, media, found),
        **found.values,
    )
    kept = retention(session, station, new, visited.recorder)
    reasons = {name: why for name, (_value, why) in kept.items() if why not in (None, "default")}
    return replace(new, **{n: value for n, (value, _why) in kept.items()}, basis={**(new.basis or {}), **reasons})


def _session(session: Session, station: Station, visited: Visited, media: MediaType, found: Conclusion) -> int | None:
    """The session that the file goes on with; one that begins a session gets its own number when it has one."""
    if media.value not in COURSES:
        return None
    return session_beside(session, station, visited.recorder_id, found.values["used_from"], found.values["used_to"])


def _evidence(
    visited: Visited, profile: Profile, footage: Footage, said: Classified, media: MediaType, facts: MediaFacts
) -> Evidence:
    return Evidence(
        visited=visited,
        media=media,
        original_name=display_path(footage.path.rpartition(b"/")[2]),
        number=(said.parsed.sequence if said.parsed else None) or str(footage.seq),
        parsed=said.parsed,
        facts=facts,
        clock=profile.clock,
        mtime_ns=footage.mtime_ns,
        docked_at=footage.docked_at,
        stored_at=footage.stored_at,
    )


def _remark(footage: Footage, facts: MediaFacts) -> str | None:
    """Codes of what a reader of the record must know about these bytes."""
    codes = [f"place:{footage.place}"] if footage.place is not Place.NORMAL else []
    codes += map(remark_on, facts.problems)
    if footage.holes:
        codes.append(f"holes:{sum(h.length for h in footage.holes)}")
    if footage.unsteady:
        codes.append(UNSTEADY)
    return " ".join(codes) or None


def _plain(facts: MediaFacts) -> dict[str, Any]:
    """Facts as JSON: times as ISO 8601, nothing that is None."""
    values = {k: v.isoformat() if isinstance(v, datetime) else v for k, v in asdict(facts).items() if v is not None}
    return values | {"problems": list(facts.problems)}
