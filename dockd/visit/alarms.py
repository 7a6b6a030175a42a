"""Which alerts a visit opens: late recordings one by one, everything else once a visit and kind.

Facts hold numbers only; names are looked up when somebody reads the alert (no personal
names in logs, article 27(2)).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dockd.errors import RegisterFull, StoreFull
from dockd.footage.facts import DAMAGED, UNEXAMINED
from dockd.law.deadline import EXCEPTION_CONFLICT
from dockd.nouns import LateKind, OwnerState, Place
from dockd.register import alerts, records, transfers
from dockd.register.records import NewRecord, Record
from dockd.register.station import Station
from dockd.register.tables import FootageRow, LocationRow, LocationState, ObservationRow, TransferRow, VisitRow
from dockd.register.tagging import OWNERSHIP, settle_owner
from dockd.register.transfers import KnownFootage
from dockd.visit.evidence import Visited
from dockd.visit.numbers import Numbers

MACHINE = "dockd"
"""Whoever made a change, what follows from it is dockd's conclusion and no person's word."""

_UNCLEAR = frozenset({"deadline_unknown", "deadline_disputed"})  # each is an alert of its own name
_BAD_CLOCK = ("_unset", "_wrong", "_future")
_NAMED = 20  # files named in one alert: the visit shows all of them


def alarm_records(session: Session, station: Station, visited: Visited, record_id: int, new: NewRecord) -> None:
    """Alerts on one new record: lateness, clock, place, damage, owner."""
    if new.media_type.is_recording:
        _alarm_lateness(session, station, visited, record_id, new)
        for kind in _kinds(new):
            _open(session, station, visited, kind, f"visit:{visited.visit_id}", {}, record_id=None)


def _alarm_lateness(session: Session, station: Station, visited: Visited, record_id: int, new: NewRecord) -> None:
    kind, device_no = verdict_kind(new), visited.recorder.device_no if visited.recorder else None
    if kind:
        _open_verdict(session, station, kind, record_id, device_no, new)
    if new.judge_reason == EXCEPTION_CONFLICT:
        _open_conflict(session, station, record_id, device_no, new)


def verdict_kind(said: NewRecord | Record) -> str | None:
    """The class of alert that a judgement by article 23 is; None for one that nobody need know."""
    if said.late:
        return "late_docked" if said.late_kind is LateKind.DOCKED else "late_stored"
    if said.judge_reason in _UNCLEAR:
        return said.judge_reason
    return None


def _open_verdict(
    session: Session, station: Station, kind: str, record_id: int, device_no: str | None, said: NewRecord | Record
) -> None:
    alerts.open_alert(
        session,
        station_no=station.station_no,
        kind=kind,
        about=f"record:{record_id}",
        facts=_verdict_facts(said) | {"device_no": device_no},
        at=station.now(),
        visit_id=said.visit_id,
        record_id=record_id,
        device_no=device_no,
        actor=station.actor,
    )


def _verdict_facts(said: NewRecord | Record) -> dict[str, Any]:
    return {
        "file_no": said.file_no,
        "cert_nos": list(said.officers),
        "deadline_at": said.deadline_at.isoformat() if said.deadline_at else None,
        "docked_at": said.docked_at.isoformat(),
        "stored_at": said.stored_at.isoformat(),
        "overdue_s": said.overdue_s,
        "reason": said.judge_reason,
    }


def follow_verdict(session: Session, station: Station, before: Record, after: Record) -> None:
    """A recording was judged again: the alert of the old verdict ends, that of the new one opens.

    An alert that a person has closed stays closed while the verdict and its officer are the same.
    """
    old, new = verdict_kind(before), verdict_kind(after)
    if old == new and _verdict_facts(before) == _verdict_facts(after):
        return
    if old:
        settle(session, station, old, f"record:{before.record_id}", "judged again")
    if new:
        _open_verdict(session, station, new, after.record_id, after.device_no, after)
    _follow_conflict(session, station, before, after)


def _follow_conflict(session: Session, station: Station, before: Record, after: Record) -> None:
    old = before.exception_id if before.judge_reason == EXCEPTION_CONFLICT else None
    if after.judge_reason == EXCEPTION_CONFLICT:
        _open_conflict(session, station, after.record_id, after.device_no, after)
    elif old is not None and not records.any_judged(session, old, EXCEPTION_CONFLICT):
        settle(session, station, "exception_conflict", f"exception:{old}", "judged again")


def _open_conflict(
    session: Session, station: Station, record_id: int, device_no: str | None, said: NewRecord | Record
) -> None:
    """An exception that contradicts the facts is one matter, however many recordings it was to excuse."""
    alerts.open_alert(
        session,
        station_no=station.station_no,
        kind="exception_conflict",
        about=f"exception:{said.exception_id}",
        facts=_verdict_facts(said) | {"exception_id": said.exception_id, "device_no": device_no},
        at=station.now(),
        visit_id=said.visit_id,
        record_id=record_id,
        device_no=device_no,
    )


def follow_owner(session: Session, station: Station, before: Record, after: Record) -> None:
    """A recording has, lacks or disputes its officer now: the visit's alerts follow."""
    if before.owner_state is after.owner_state:
        return
    for kind, state in OWNERSHIP.items():
        if after.owner_state is state:
            alerts.open_alert(
                session,
                station_no=station.station_no,
                kind=kind,
                about=f"visit:{after.visit_id}",
                facts={"device_no": after.device_no},
                at=station.now(),
                visit_id=after.visit_id,
                device_no=after.device_no,
            )
    settle_owner(session, after, at=station.now(), actor=MACHINE)


def _kinds(new: NewRecord) -> list[str]:
    """The matters of one record that are alerted once a visit."""
    # Many recorders write no date into the file at all: that says nothing of their clock.
    flags = [flag for flag in new.time_flags if flag != "container_unset"]
    said = (new.remark or "").split()
    found = {
        "clock_disagreement": any(flag.startswith("disagree") for flag in flags),
        "clock_unset": any(flag.endswith(_BAD_CLOCK) for flag in flags),
        "media_in_unusual_place": new.place_on_card is not Place.NORMAL,
        "damaged_media": any(code.startswith(DAMAGED) for code in said),
        "not_examined": any(code.startswith(UNEXAMINED) for code in said),
        "unassigned": new.owner_state is OwnerState.UNASSIGNED,
        "owner_conflict": new.owner_state is OwnerState.CONFLICT,
    }
    return [kind for kind, holds in found.items() if holds]


def alarm_files(session: Session, station: Station, visited: Visited) -> None:
    """Alerts on what is not stored (unreadable, or not a file at all) and on what was missing from the store."""
    rows = session.execute(
        select(ObservationRow.seq, TransferRow.outcome, TransferRow.reason)
        .join(TransferRow, TransferRow.observation_id == ObservationRow.id)
        .where(
            TransferRow.visit_id == visited.visit_id,
            TransferRow.outcome.in_(("unreadable", "stored_damaged", "skipped")),
        )
        .order_by(ObservationRow.seq)
    ).all()
    unread = [(seq, reason or outcome) for seq, outcome, reason in rows if outcome != "skipped"]
    strange = [
        (seq, reason) for seq, outcome, reason in rows if outcome == "skipped" and "not_a_file" in (reason or "")
    ]
    differing = [(seq, reason) for seq, reason in unread if reason == "copy_differs"]
    for kind, found in (("unreadable_file", unread), ("not_a_file_on_card", strange), ("copy_differs", differing)):
        if found:
            facts = {"count": len(found), "files": [f"{seq}: {reason}" for seq, reason in found[:_NAMED]]}
            _open(session, station, visited, kind, f"visit:{visited.visit_id}", facts, record_id=None)
    _alarm_stored_again(session, station, visited)


def _alarm_stored_again(session: Session, station: Station, visited: Visited) -> None:
    """A stored file was gone or altered and its card still had it: copied anew, and never in silence (article 29)."""
    rows = session.execute(
        select(TransferRow.file_no, LocationRow.id, LocationRow.path, LocationRow.state)
        .join(FootageRow, FootageRow.file_no == TransferRow.file_no)
        .join(LocationRow, LocationRow.footage_id == FootageRow.id)
        .where(
            TransferRow.visit_id == visited.visit_id,
            TransferRow.reason == "stored_again",
            LocationRow.state != LocationState.PRESENT,
            LocationRow.station_no == station.station_no,
        )
        .order_by(LocationRow.id)
    ).all()
    newest = {file_no: (path, state) for file_no, _key, path, state in rows}
    for _file_no, key, _path, state in rows:
        if state == LocationState.MISSING:  # an altered file still lies there for somebody to look at
            settle(session, station, "store_altered", f"location:{key}", "stored again")
    for file_no, (path, state) in newest.items():
        facts = {"file_no": file_no, "location": path, "finding": str(state), "reason": "stored_again"}
        about = f"footage:{file_no}/visit:{visited.visit_id}"
        _open(session, station, visited, "store_altered", about, facts, record_id=None)


def alarm_lost(session: Session, station: Station, numbers: Numbers, known: KnownFootage, lost: LocationState) -> None:
    """A stored file is gone or altered and its card still has it: said before the first byte is copied anew."""
    visit = session.get_one(VisitRow, numbers.visit_id)
    key = transfers.note_lost(session, known, lost, visit=visit, at=station.now(), actor=station.actor)
    alerts.open_alert(
        session,
        station_no=station.station_no,
        kind="store_altered",
        about=f"location:{key}",
        facts={"finding": lost.value, "location": known.location, "file_no": known.file_no},
        at=station.now(),
        visit_id=numbers.visit_id,
        record_id=known.record_id,
        device_no=numbers.device_no,
    )


def settle(session: Session, station: Station, kind: str, about: str, note: str) -> None:
    """A fact has ended the matter, whoever brought it about."""
    alerts.settle_alert(
        session, station_no=station.station_no, kind=kind, about=about, note=note, at=station.now(), actor=MACHINE
    )


@contextmanager
def alarming_full_store(station: Station, numbers: Numbers | None = None) -> Iterator[None]:
    """Where the store has no room for what the block writes, new copies wait: one alert while it lasts."""
    try:
        yield
    except RegisterFull:
        raise  # nothing can be written down
    except StoreFull as error:
        with station.register.write() as session:
            alerts.open_alert(
                session,
                station_no=station.station_no,
                kind="store_full",
                about="store",
                facts=dict(error.fields) | {"path": None},
                at=station.now(),
                visit_id=numbers.visit_id if numbers else None,
                device_no=numbers.device_no if numbers else None,
            )
        raise


def settle_store_full(station: Station) -> None:
    """A whole visit's copies found room: the matter has ended by itself."""
    with station.register.write() as session:
        alerts.settle_alert(
            session, station_no=station.station_no, kind="store_full", about="store", note="room", at=station.now()
        )


def alarm_card_gone(session: Session, station: Station, numbers: Numbers) -> None:
    """The card was pulled before all of it was stored."""
    _alarm_cut_short(session, station, numbers, "removed_early")


def alarm_not_answering(session: Session, station: Station, numbers: Numbers) -> None:
    """The card stopped answering before all of it was stored."""
    _alarm_cut_short(session, station, numbers, "not_answering")


def _alarm_cut_short(session: Session, station: Station, numbers: Numbers, kind: str) -> None:
    alerts.open_alert(
        session,
        station_no=station.station_no,
        kind=kind,
        about=f"visit:{numbers.visit_id}",
        facts={},
        at=station.now(),
        visit_id=numbers.visit_id,
        device_no=numbers.device_no,
    )


def alarm_clock(
    session: Session, station: Station, visit_id: int, *, now: datetime, seen: datetime, ahead: timedelta
) -> None:
    """The station's own clock stepped back, or leapt forward with nothing that keeps it: ``ahead`` of what passed."""
    alerts.open_alert(
        session,
        station_no=station.station_no,
        kind="station_clock",
        about="station",
        facts={"now": now.isoformat(), "seen": seen.isoformat()}
        | ({"passed": (now - ahead).isoformat()} if ahead else {}),
        at=now,
        visit_id=visit_id,
    )


def _open(
    session: Session,
    station: Station,
    visited: Visited,
    kind: str,
    about: str,
    facts: Mapping[str, Any],
    *,
    record_id: int | None,
) -> None:
    number = visited.recorder.device_no if visited.recorder else None
    alerts.open_alert(
        session,
        station_no=station.station_no,
        kind=kind,
        about=about,
        facts=dict(facts) | {"device_no": number},
        at=station.now(),
        visit_id=visited.visit_id,
        record_id=record_id,
        device_no=number,
        actor=station.actor,
    )
