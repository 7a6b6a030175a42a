"""What a person says of a record: one revision with that person as its basis (article 27).

A case brings along what it knows; what a person has said of a single item stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from dockd.errors import UnknownNumber
from dockd.locale import _
from dockd.nouns import MediaType, OwnerState
from dockd.register import alerts, reviews
from dockd.register.cases import Case, find_case, unknown_case
from dockd.register.officers import unknown_officers
from dockd.register.records import Record, find_record, revise_record
from dockd.register.reviews import Concerned
from dockd.register.tables import RecordRow

JOINED_BY = "；"
_FOLLOWING = ("case_cause", "party", "place", "matter", "act_type", "stage", "confidentiality")
OWNERSHIP = {"unassigned": OwnerState.UNASSIGNED, "owner_conflict": OwnerState.CONFLICT}
_RECORDINGS = tuple(media.value for media in MediaType if media.is_recording)


@dataclass(frozen=True, slots=True)
class Tagged:
    """What tagging did to one record: ``revision`` is None where it said all of that already."""

    record_id: int
    file_no: str
    revision: int | None
    visit_id: int


Following = dict[str, tuple[Any, str | None]]
"""Values that follow from what is said of a record, each with its basis; None: that of what it follows."""

Follow = Callable[[Session, Record, Mapping[str, Any]], Following]
"""What follows from a record and the changes to it."""


def tag_record(
    session: Session,
    record_id: int,
    said: Mapping[str, Any],
    *,
    actor: str,
    at: datetime,
    follow: Follow | None = None,
) -> Tagged:
    """Adds what ``said`` (column names of the record) says as one revision; None clears a value.

    ``case_no`` brings what its case knows and takes along what the case before had brought;
    ``officers`` settles the owner; what else follows from that (title, retention) comes from ``follow``.
    What a person has said of a single item stays. The case of these officers and their exceptions are
    for ``visit.rejudge``, which is asked for. Alerts about the owner are closed when no recording of
    the visit needs them any more. Raises UnknownNumber for a record, case or officer that is not registered.
    """
    record = find_record(session, record_id)
    if record is None:
        raise UnknownNumber(noun=_("record"), number=record_id, command="dockd record list")
    changes, basis = dict(said), dict.fromkeys(said, actor)
    if "case_no" in said:
        case = _case(session, said["case_no"])
        brought = {name: value for name, value in _brought(case, record).items() if name not in said}
        number = case.case_no if case else None  # a number that it had before means it, too
        changes |= {**brought, "case_no": number, "case_candidates": ()}
        basis |= dict.fromkeys(brought, f"case:{case.case_no}" if case else "case:")
    if "officers" in said:
        changes |= _owner(session, said["officers"])
    for name, (value, why) in (follow(session, record, changes) if follow else {}).items():
        changes[name] = value
        basis |= {name: why} if why else {}
    revision = revise_record(session, record_id, changes, actor=actor, why="tagged", at=at, basis=basis)
    if revision is not None:
        concerned = [Concerned(record_id=record_id)]
        reviews.ask_review(session, concerned, why="tagged", station_no=record.station_no, at=at, actor=actor)
    if revision is not None and "officers" in said:
        settle_owner(session, record, at=at, actor=actor)
    if revision is not None:
        settle_untagged(session, record.visit_id, station_no=record.station_no, at=at)
    return Tagged(record_id, record.file_no, revision, record.visit_id)


def _case(session: Session, case_no: str | None) -> Case | None:
    if not case_no:
        return None
    case = find_case(session, case_no)
    if case is None:
        raise unknown_case(case_no)
    return case


def _brought(case: Case | None, record: Record) -> dict[str, Any]:
    """The items that follow the case: those that are empty or came from a case before, not from a person.

    Protection is never taken away by this: a case that says nothing of it leaves it as it is.
    """
    known = {name: getattr(case, name, None) for name in _FOLLOWING}
    known["party"] = (JOINED_BY.join(case.parties) if case else "") or None
    if not known["confidentiality"]:
        del known["confidentiality"]
    follows = {name for name in known if record.basis.get(name, "").partition(":")[0] in ("", "case")}
    return {name: value for name, value in known.items() if name in follows and value != getattr(record, name)}


def _owner(session: Session, cert_nos: tuple[str, ...]) -> dict[str, Any]:
    if strangers := unknown_officers(session, cert_nos):
        raise UnknownNumber(noun=_("officer"), number=strangers[0], command="dockd officer list")
    state = OwnerState.ASSIGNED if cert_nos else OwnerState.UNASSIGNED
    return {"officers": tuple(dict.fromkeys(cert_nos)), "owner_state": state, "officer_candidates": ()}


def settle_owner(session: Session, record: Record, *, at: datetime, actor: str) -> None:
    """A visit's alerts about owners end when no recording of it is left in that state."""
    for kind, state in OWNERSHIP.items():
        left = exists().where(
            RecordRow.visit_id == record.visit_id,
            RecordRow.owner_state == state.value,
            RecordRow.media_type.in_(_RECORDINGS),
        )
        if not session.scalar(select(left)):
            alerts.settle_alert(
                session,
                station_no=record.station_no,
                kind=kind,
                about=f"visit:{record.visit_id}",
                note="every recording has its officer",
                at=at,
                actor=actor,
            )


def settle_untagged(session: Session, visit_id: int, *, station_no: str, at: datetime) -> bool:
    """The alert about a visit's incomplete records ends when none is left; whether none is."""
    left = exists().where(
        RecordRow.visit_id == visit_id, RecordRow.tags_complete.is_(False), RecordRow.media_type.in_(_RECORDINGS)
    )
    if session.scalar(select(left)):
        return False
    alerts.settle_alert(
        session,
        station_no=station_no,
        kind="untagged",
        about=f"visit:{visit_id}",
        note="every recording has the items of article 27",
        at=at,
    )
    return True
