"""What a docking says of the recorder itself: its state, its card, its serial (article 26), and the dock's check (24).

Every visit of a known recorder leaves one line in the equipment register, with what was measured and
found. Nothing here keeps a byte from being stored.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from dockd.alert.upkeep import alarm_findings, limits_of
from dockd.law.care import Measured, judge_check, usual_rate
from dockd.law.faults import exchanged_card, foreign_serials
from dockd.nouns import CardIdentity
from dockd.register import alerts, equipment, officers, recorders
from dockd.register.station import Station
from dockd.register.tables import (
    FootageRow,
    RecorderEventRow,
    RecorderRow,
    RecorderState,
    RecordRow,
    TransferRow,
    VisitRow,
)
from dockd.visit.look import Card, Sight

_ENOUGH = 64 << 20  # bytes below which a read rate says more of the dock than of the card
_HISTORY = 20  # checks that are looked back at


# --- when it is docked -----------------------------------------------------------------------------------


def note_recorder(session: Session, station: Station, card: Card, sight: Sight, visit_id: int, at: datetime) -> None:
    """What a known recorder is seen with is compared with what it was known by, alerted, and remembered."""
    number = sight.identified.device_no
    if number is None:
        return
    row = recorders.get_row(session, number)
    if row.state != RecorderState.IN_SERVICE:
        _alarm(session, station, row, "out_of_service_docked", f"visit:{visit_id}", visit_id, {"state": row.state})
    _compare_cards(session, station, row, card.identity, visit_id)
    _compare_serials(session, station, row, sight, visit_id)
    for kind, value in seen_with(card.identity).items():
        recorders.note_identity(session, number, kind, value, now=at)


def seen_with(card: CardIdentity) -> dict[str, str]:
    """What identifies a recorder in this visit, by kind. The size of a folder's disk is not a card's."""
    size = str(card.size) if card.size and card.fs_uuid else None
    said = {"fs_uuid": card.fs_uuid, "label": card.label, "usb_serial": card.usb_serial, "card_size": size}
    return {kind: value for kind, value in said.items() if value}


def _compare_cards(session: Session, station: Station, row: RecorderRow, card: CardIdentity, visit_id: int) -> None:
    """Only the newest card that was seen counts: a card that a person has acknowledged is not told of again."""
    for kind, value in (("fs_uuid", card.fs_uuid), ("usb_serial", card.usb_serial)):
        last = recorders.last_identity(session, row.id, kind)
        if exchanged_card(last, value):
            about = f"recorder:{row.device_no}/{kind}:{value}"
            _alarm(session, station, row, "card_changed", about, visit_id, {"what": kind, "value": value})


def _compare_serials(session: Session, station: Station, row: RecorderRow, sight: Sight, visit_id: int) -> None:
    """The register must know a serial before another can be foreign; an officer's number is none."""
    if not row.device_serial:
        return
    named = [{r.device for r in said.parsed.readings if r.device} for said in sight.classified if said.parsed]
    tokens = frozenset().union(*named)
    badges = {token for token in tokens if officers.officer_by_token(session, token)}
    known = {token for token in tokens if recorders.device_by_token(session, token)}
    if foreign := foreign_serials([said - (badges - known) for said in named], known):
        about = f"recorder:{row.device_no}/serial:{','.join(foreign)}"
        _alarm(session, station, row, "serial_changed", about, visit_id, {"serials": list(foreign)})


def _alarm(
    session: Session, station: Station, row: RecorderRow, kind: str, about: str, visit_id: int, facts: dict[str, Any]
) -> None:
    alerts.open_alert(
        session,
        station_no=station.station_no,
        kind=kind,
        about=about,
        facts=facts | {"device_no": row.device_no},
        at=station.now(),
        visit_id=visit_id,
        device_no=row.device_no,
        actor=station.actor,
    )


# --- when everything is stored ------------------------------------------------------------------------------


def check_recorder(station: Station, visit_id: int) -> None:
    """The dock's check, judged against this recorder's own history. Done again it adds nothing."""
    with station.register.write() as session:
        visit = session.get_one(VisitRow, visit_id)
        if visit.recorder_id is None or _is_checked(session, visit_id):
            return
        device_no = str(recorders.device_no_of(session, visit.recorder_id))
        measured = _measure(session, visit)
        earlier = [
            Measured(**row.facts["measured"])
            for row in equipment.checks_by_docks(session, visit.recorder_id, limit=_HISTORY)
        ]
        findings = judge_check(measured, earlier, limits_of(station.settings, measured.size))
        done = equipment.inspect(
            session,
            station,
            device_no,
            at=min(visit.opened_at, station.now()),
            card_size=measured.size,
            card_free=measured.free,
            visit_id=visit_id,
            facts={"measured": asdict(measured), "findings": list(findings), "usual_rate": usual_rate(earlier)},
        )
        facts = {"event_id": done.event_id, "usual": usual_rate(earlier)}
        alarm_findings(session, station, device_no, measured, findings, facts=facts, visit_id=visit_id)


def _is_checked(session: Session, visit_id: int) -> bool:
    found = select(RecorderEventRow.id).where(RecorderEventRow.visit_id == visit_id).limit(1)
    return session.scalar(found) is not None


def _measure(session: Session, visit: VisitRow) -> Measured:
    card, state = visit.card, visit.evidence.get("file_system") or {}
    own = bool(card.get("fs_uuid"))  # a folder's disk says nothing of a card
    return Measured(
        size=card.get("size") if own else None,
        free=card.get("free") if own else None,
        dirty=state.get("dirty"),
        fs_errors=state.get("errors"),
        read_errors=_read_errors(session, visit.id),
        rate=_rate(visit),
        locked_left=_locked_left(session, visit.id),
    )


def _read_errors(session: Session, visit_id: int) -> int:
    query = select(func.count()).where(
        TransferRow.visit_id == visit_id,
        or_(TransferRow.outcome == "stored_damaged", TransferRow.reason == "card_file_unreadable"),
    )
    return session.scalar(query) or 0


def _rate(visit: VisitRow) -> float | None:
    """Bytes a second from the first byte until all was proven: the whole of what a docking takes."""
    if not visit.first_byte_at or not visit.stored_at or visit.bytes_read < _ENOUGH:
        return None
    seconds = (visit.stored_at - visit.first_byte_at).total_seconds()
    return visit.bytes_read / seconds if seconds >= 1 else None


def _locked_left(session: Session, visit_id: int) -> int:
    """Files marked important that an earlier visit stored and that still fill the card: no loop overwrites them."""
    query = (
        select(func.count())
        .select_from(TransferRow)
        .join(FootageRow, FootageRow.file_no == TransferRow.file_no)
        .join(RecordRow, RecordRow.footage_id == FootageRow.id)
        .where(
            TransferRow.visit_id == visit_id,
            TransferRow.outcome == "already_stored",
            FootageRow.visit_id != visit_id,
            RecordRow.important_mark,
        )
    )
    return session.scalar(query) or 0
