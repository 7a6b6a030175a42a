"""Alerts: one matter that somebody must know, opened once, closed by a fact or by a person.

Every function works in the caller's transaction and appends its ledger line there. Facts
hold numbers only; names are looked up when an alert is shown.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from dockd.errors import UnknownNumber
from dockd.law.vocabulary import ALERT_CLASSES
from dockd.locale import _
from dockd.register import ledger, outbox
from dockd.register.tables import AlertRow, AlertState, RecorderRow
from dockd.register.values import chunks

_ABOUT_MAX = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert as it stands now."""

    alert_id: int
    station_no: str
    kind: str
    about: str
    severity: str
    state: AlertState
    opened_at: datetime
    visit_id: int | None
    record_id: int | None
    device_no: str | None
    facts: Mapping[str, Any]
    level: int
    repeated_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    acknowledge_note: str | None
    closed_at: datetime | None
    closed_by: str | None
    close_note: str | None


def open_alert(
    session: Session,
    *,
    station_no: str,
    kind: str,
    about: str,
    facts: Mapping[str, Any],
    at: datetime,
    visit_id: int | None = None,
    record_id: int | None = None,
    device_no: str | None = None,
    actor: str = "dockd",
) -> int | None:
    """Opens an alert and returns its id, or None when one about the same matter is not closed yet.

    ``kind`` is one of ``law.vocabulary.ALERT_CLASSES`` (KeyError otherwise), ``about`` names the
    matter (``record:12``), ``facts`` fill the text and hold numbers only.
    """
    about = matter(about)
    if _standing(session, station_no, kind, about):
        return None
    row = AlertRow(
        station_no=station_no,
        kind=kind,
        about=about,
        severity=ALERT_CLASSES[kind].severity.value,
        opened_at=at,
        visit_id=visit_id,
        record_id=record_id,
        recorder_id=_recorder_id(session, device_no),
        facts=dict(facts),
    )
    try:
        with session.begin_nested():
            session.add(row)
            session.flush()
    except IntegrityError:
        if _standing(session, station_no, kind, about):
            return None  # another station process was first
        raise
    data = {
        "kind": kind,
        "about": about,
        "severity": row.severity,
        "visit_id": visit_id,
        "record_id": record_id,
        "device_no": device_no,
        "facts": dict(facts),
    }
    _tell(session, row, "alert.opened", data, at=at, actor=actor)
    _announce(session, row, outbox.OPENED, device_no, at=at)
    return row.id


def escalate_alert(session: Session, alert_id: int, *, severity: str, at: datetime, actor: str = "dockd") -> bool:
    """Nobody has answered: it is more severe now, and told again. False where somebody has meanwhile."""
    row = _get(session, alert_id)
    if row.state != AlertState.OPEN or row.severity == severity:
        return False
    before, row.severity, row.level, row.repeated_at = row.severity, severity, row.level + 1, at
    data = {"level": row.level, "severity": severity, "severity_before": before}
    _tell(session, row, "alert.escalated", data, at=at, actor=actor)
    _announce(session, row, outbox.ESCALATED, _device_no(session, row), at=at)
    return True


def repeat_alert(session: Session, alert_id: int, *, at: datetime, actor: str = "dockd") -> bool:
    """Nobody has answered: it is told once more. False where somebody has meanwhile."""
    row = _get(session, alert_id)
    if row.state != AlertState.OPEN:
        return False
    row.repeated_at = at
    _tell(session, row, "alert.repeated", {"severity": row.severity}, at=at, actor=actor)
    _announce(session, row, outbox.REPEATED, _device_no(session, row), at=at)
    return True


def _announce(session: Session, row: AlertRow, why: str, device_no: str | None, *, at: datetime) -> None:
    outbox.announce(
        session,
        station_no=row.station_no,
        why=why,
        at=at,
        alert_id=row.id,
        device_no=device_no,
        body={"severity": row.severity},
    )


def _device_no(session: Session, row: AlertRow) -> str | None:
    return session.scalar(select(RecorderRow.device_no).where(RecorderRow.id == row.recorder_id))


def acknowledge_alert(session: Session, alert_id: int, *, note: str, by: str, at: datetime) -> bool:
    """Somebody has seen it and says so. False when it was acknowledged or closed before: nothing changes then.

    Raises UnknownNumber.
    """
    row = _get(session, alert_id)
    if row.state != AlertState.OPEN:
        return False
    row.state = AlertState.ACKNOWLEDGED.value
    row.acknowledged_at, row.acknowledged_by, row.acknowledge_note = at, by, note
    _tell(session, row, "alert.acknowledged", {"note": note}, at=at, actor=by)
    return True


def close_alert(session: Session, alert_id: int, *, note: str, by: str, at: datetime) -> bool:
    """The matter is done with. False when it was closed before: nothing changes then. Raises UnknownNumber."""
    row = _get(session, alert_id)
    if row.state == AlertState.CLOSED:
        return False
    _close(session, row, note=note, by=by, at=at)
    return True


def settle_alert(
    session: Session, *, station_no: str, kind: str, about: str, note: str, at: datetime, actor: str = "dockd"
) -> int | None:
    """A fact has ended the matter: closes its alert and returns the id, or None when none stands."""
    alert_id = _standing(session, station_no, kind, matter(about))
    if alert_id:
        _close(session, _get(session, alert_id), note=note, by=actor, at=at)
    return alert_id


def closed_by_person(session: Session, *, station_no: str, kind: str, about: str) -> bool:
    """Whether a person has closed an alert of this very matter."""
    query = exists().where(
        AlertRow.station_no == station_no,
        AlertRow.kind == kind,
        AlertRow.about == matter(about),
        AlertRow.closed_by.startswith("person:"),
    )
    return bool(session.scalar(select(query)))


def find_alert(session: Session, alert_id: int) -> Alert | None:
    """The alert with this id, as it stands now."""
    row = session.execute(_alerts().where(AlertRow.id == alert_id)).one_or_none()
    return _as_alert(row) if row else None


def find_alerts(session: Session, alert_ids: Iterable[int]) -> list[Alert]:
    """The alerts with these ids, in their order."""
    return [
        _as_alert(row)
        for some in chunks(sorted(set(alert_ids)))
        for row in session.execute(_alerts().where(AlertRow.id.in_(some)).order_by(AlertRow.id))
    ]


def open_alerts_of(session: Session, device_no: str) -> list[Alert]:
    """What is open about one recorder, oldest first."""
    query = _alerts().where(RecorderRow.device_no == device_no, AlertRow.state != AlertState.CLOSED)
    return [_as_alert(row) for row in session.execute(query.order_by(AlertRow.id))]


def list_alerts(
    session: Session, *, open_only: bool = False, kind: str | None = None, station_no: str | None = None
) -> tuple[Alert, ...]:
    """All alerts, or those of one kind or station, oldest first; ``open_only``: those that are not closed."""
    query = _alerts().order_by(AlertRow.id)
    if station_no is not None:
        query = query.where(AlertRow.station_no == station_no)
    if kind is not None:
        query = query.where(AlertRow.kind == kind)
    if open_only:
        query = query.where(AlertRow.state.in_((AlertState.OPEN, AlertState.ACKNOWLEDGED)))
    return tuple(_as_alert(row) for row in session.execute(query))


def count_open(session: Session, station_no: str) -> int:
    """How many alerts of a station are not closed."""
    where = (AlertRow.station_no == station_no, AlertRow.state != AlertState.CLOSED.value)
    return session.scalar(select(func.count()).select_from(AlertRow).where(*where)) or 0


def matter(about: str) -> str:
    """``about`` as an alert keeps it: in the length of its column; different matters stay different."""
    if len(about) <= _ABOUT_MAX:
        return about
    return f"{about[: _ABOUT_MAX - 33]}#{hashlib.sha256(about.encode()).hexdigest()[:32]}"


def stands(session: Session, *, station_no: str, kind: str, about: str) -> bool:
    """Whether the matter has an alert of this station that is not closed."""
    return _standing(session, station_no, kind, matter(about)) is not None


def _standing(session: Session, station_no: str, kind: str, about: str) -> int | None:
    return session.scalar(
        select(AlertRow.id).where(
            AlertRow.station_no == station_no,
            AlertRow.kind == kind,
            AlertRow.about == about,
            AlertRow.state.in_((AlertState.OPEN, AlertState.ACKNOWLEDGED)),
        )
    )


def _close(session: Session, row: AlertRow, *, note: str, by: str, at: datetime) -> None:
    row.state = AlertState.CLOSED.value
    row.closed_at, row.closed_by, row.close_note = at, by, note
    _tell(session, row, "alert.closed", {"note": note}, at=at, actor=by)


def _recorder_id(session: Session, device_no: str | None) -> int | None:
    if device_no is None:
        return None
    return session.scalar(select(RecorderRow.id).where(RecorderRow.device_no == device_no))


def _get(session: Session, alert_id: int) -> AlertRow:
    row = session.get(AlertRow, alert_id, with_for_update=True)
    if row is None:
        raise UnknownNumber(noun=_("alert"), number=alert_id, command="dockd alert list")
    return row


def _tell(session: Session, row: AlertRow, kind: str, data: Mapping[str, Any], *, at: datetime, actor: str) -> None:
    session.flush()
    ledger.append(
        session,
        station_no=row.station_no,
        kind=kind,
        subject=f"alert:{row.id}",
        data={"alert_id": row.id, **data},
        at=at,
        actor=actor,
    )


def _alerts() -> Select[AlertRow, str]:
    return select(AlertRow, RecorderRow.device_no).outerjoin(RecorderRow, RecorderRow.id == AlertRow.recorder_id)


def _as_alert(row: Row[AlertRow, str]) -> Alert:
    alert, device_no = row
    return Alert(
        alert_id=alert.id,
        station_no=alert.station_no,
        kind=alert.kind,
        about=alert.about,
        severity=alert.severity,
        state=AlertState(alert.state),
        opened_at=alert.opened_at,
        visit_id=alert.visit_id,
        record_id=alert.record_id,
        device_no=device_no,
        facts=alert.facts,
        level=alert.level,
        repeated_at=alert.repeated_at,
        acknowledged_at=alert.acknowledged_at,
        acknowledged_by=alert.acknowledged_by,
        acknowledge_note=alert.acknowledge_note,
        closed_at=alert.closed_at,
        closed_by=alert.closed_by,
        close_note=alert.close_note,
    )
