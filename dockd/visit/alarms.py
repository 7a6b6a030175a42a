"""Which alerts a visit opens: late recordings one by one, everything else once a visit and kind.

Facts hold numbers only; names are looked up when somebody reads the alert (no personal
names in logs, article 27(2)).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dockd.nouns import LateKind, OwnerState, Place
from dockd.register import alerts
from dockd.register.records import NewRecord
from dockd.register.station import Station
from dockd.register.tables import ObservationRow, TransferRow
from dockd.visit.describe import Visited

_UNCLEAR = frozenset({"deadline_unknown", "deadline_disputed"})
_NAMED = 20  # files named in one alert: the visit shows all of them


def alarm_records(session: Session, station: Station, visited: Visited, record_id: int, new: NewRecord) -> None:
    """Alerts on one new record: lateness, clock, place, damage, owner."""
    if new.media_type.is_recording:
        _alarm_lateness(session, station, visited, record_id, new)
        for kind in _kinds(new):
            _open(session, station, visited, kind, f"visit:{visited.visit_id}", {}, record_id=None)


def _alarm_lateness(session: Session, station: Station, visited: Visited, record_id: int, new: NewRecord) -> None:
    facts: dict[str, Any] = {
        "file_no": new.file_no,
        "cert_nos": list(new.officers),
        "deadline_at": new.deadline_at.isoformat() if new.deadline_at else None,
        "docked_at": new.docked_at.isoformat(),
        "stored_at": new.stored_at.isoformat(),
        "overdue_s": new.overdue_s,
        "reason": new.judge_reason,
    }
    if new.late:
        kind = "late_docked" if new.late_kind is LateKind.DOCKED else "late_stored"
        _open(session, station, visited, kind, f"record:{record_id}", facts, record_id=record_id)
    elif new.judge_reason in _UNCLEAR:
        _open(session, station, visited, "deadline_unknown", f"record:{record_id}", facts, record_id=record_id)


def _kinds(new: NewRecord) -> list[str]:
    """The matters of one record that are alerted once a visit."""
    flags = " ".join(new.time_flags)
    found = {
        "clock_disagreement": "disagree" in flags,
        "clock_unset": "_unset" in flags or "_wrong" in flags or "_future" in flags,
        "media_in_unusual_place": new.place_on_card is not Place.NORMAL,
        "damaged_media": "media:" in (new.remark or ""),
        "unassigned": new.owner_state is OwnerState.UNASSIGNED,
        "owner_conflict": new.owner_state is OwnerState.CONFLICT,
    }
    return [kind for kind, holds in found.items() if holds]


def alarm_files(session: Session, station: Station, visit_id: int) -> None:
    """Alerts on files that are not stored: unreadable ones, and what is not a file at all."""
    rows = session.execute(
        select(ObservationRow.seq, TransferRow.outcome, TransferRow.reason)
        .join(TransferRow, TransferRow.observation_id == ObservationRow.id)
        .where(TransferRow.visit_id == visit_id, TransferRow.outcome.in_(("unreadable", "stored_damaged", "skipped")))
        .order_by(ObservationRow.seq)
    ).all()
    unread = [(seq, reason) for seq, outcome, reason in rows if outcome != "skipped"]
    strange = [
        (seq, reason) for seq, outcome, reason in rows if outcome == "skipped" and "not_a_file" in (reason or "")
    ]
    differing = [(seq, reason) for seq, reason in unread if reason == "copy_differs"]
    for kind, found in (("unreadable_file", unread), ("not_a_file_on_card", strange), ("copy_differs", differing)):
        if found:
            facts = {"count": len(found), "files": [f"{seq}: {reason}" for seq, reason in found[:_NAMED]]}
            alerts.open_alert(
                session,
                station_no=station.station_no,
                kind=kind,
                about=f"visit:{visit_id}",
                facts=facts,
                at=station.now(),
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
