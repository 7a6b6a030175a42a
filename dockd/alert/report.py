"""The daily report: what was docked, what was late or missing, what waits for a person, how long the store lasts.

Numbers only, as in alerts; made once a day when its hour has come, also when the station was off at that hour.
"""

from __future__ import annotations

import shutil
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from dockd.alert.upkeep import periods_of
from dockd.register import ledger, outbox
from dockd.register.dues import dues
from dockd.register.renewals import count_due, due_at
from dockd.register.station import Station
from dockd.register.tables import (
    WAITING,
    AlertRow,
    AlertState,
    CustodyRow,
    EventRow,
    LocationRow,
    LocationState,
    OutboxRow,
    OutboxState,
    RecorderEventRow,
    RecorderRow,
    RecorderState,
    RecordRow,
    VisitRow,
    VisitState,
)
from dockd.register.values import instant

_DAY = timedelta(days=1)
_RATE_DAYS = 14  # over how long "the present rate" is taken
_NAMED = 30


def daily_report(station: Station) -> int | None:
    """Makes today's report when its hour has come and it is not made yet; returns its message's number."""
    said, now = station.settings.alerts.report, station.now()
    if said.at == "never":
        return None
    local = now.astimezone(station.zone)
    hour = time.fromisoformat(said.at)
    day = local.date() if local.time() >= hour else local.date() - _DAY
    begin = datetime.combine(day, hour, station.zone)
    if now - begin > _DAY / 2 or _is_made(station, day):
        return None
    figures = report_figures(station, since=begin - _DAY, day=day)
    with station.register.write() as session:
        ledger.append(
            session,
            station_no=station.station_no,
            kind="report.made",
            subject=_subject(station, day),
            data=figures,
            at=now,
            actor="dockd",
        )
        message = outbox.announce(
            session, station_no=station.station_no, why=outbox.REPORT, at=now, body={"report": figures}
        )
    station.mirror_ledger()
    return message


def _subject(station: Station, day: date) -> str:
    return f"report:{station.station_no}/{day.isoformat()}"


def _is_made(station: Station, day: date) -> bool:
    with station.register.read() as session:
        found = session.scalar(select(EventRow.seq).where(EventRow.subject == _subject(station, day)).limit(1))
    return found is not None


def report_figures(station: Station, *, since: datetime, day: date) -> dict[str, Any]:
    """Every figure of the report, for what happened since ``since`` and for what is so now."""
    now = station.now()
    usage = shutil.disk_usage(station.store)
    with station.register.read() as session:
        stored = _stored_per_day(session, station, now)
        found: dict[str, Any] = {
            "date": day.isoformat(),
            "station_no": station.station_no,
            "since": instant(since),
            "until": instant(now),
            **_docked(session, station, since),
            **_late(session, station, since),
            "not_docked": _not_docked(session, now),
            **_unassigned(session, station),
            **_equipment(session, station, since, now),
            **_alerts(session, station),
            **_fixity(session, station, now),
        }
    return found | _space(usage.total, usage.free, station, stored)


def _docked(session: Session, station: Station, since: datetime) -> dict[str, Any]:
    rows = session.execute(
        select(VisitRow.outcome, VisitRow.recorder_id, VisitRow.bytes_stored, VisitRow.state).where(
            VisitRow.station_no == station.station_no, VisitRow.opened_at >= since
        )
    ).all()
    return {
        "visits": len(rows),
        "recorders_docked": len({row.recorder_id for row in rows if row.recorder_id}),
        "bytes_stored": sum(row.bytes_stored for row in rows),
        "visits_incomplete": sum(1 for row in rows if row.outcome == "partial" or row.state == VisitState.OPEN),
        "visits_held": sum(1 for row in rows if row.state == VisitState.HELD),
    }


def _late(session: Session, station: Station, since: datetime) -> dict[str, Any]:
    rows = session.execute(
        select(RecordRow.late_kind, func.count())
        .where(RecordRow.station_no == station.station_no, RecordRow.stored_at >= since, RecordRow.late.is_(True))
        .group_by(RecordRow.late_kind)
    )
    counts: dict[str | None, int] = {kind: count for kind, count in rows}  # noqa: C416
    return {"late_docked": counts.get("docked", 0), "late_stored": counts.get("stored", 0)}


def _not_docked(session: Session, now: datetime) -> list[dict[str, Any]]:
    """Recorders that are out for more than a day, or longer than they should be, and were not docked since."""
    docked = (
        select(VisitRow.id)
        .where(VisitRow.recorder_id == CustodyRow.recorder_id, VisitRow.docked_at > CustodyRow.issued_at)
        .correlate(CustodyRow)
        .exists()
    )
    rows = session.execute(
        select(CustodyRow, RecorderRow.device_no)
        .join(RecorderRow, RecorderRow.id == CustodyRow.recorder_id)
        .where(CustodyRow.returned_at.is_(None), ~docked)
        .order_by(CustodyRow.issued_at)
    )
    return [
        {
            "device_no": device_no,
            "cert_no": row.cert_no,
            "issued_at": instant(row.issued_at),
            "due_at": instant(row.due_at),
        }
        for row, device_no in rows
        if (row.due_at or row.issued_at + _DAY) < now
    ][:_NAMED]


def _unassigned(session: Session, station: Station) -> dict[str, Any]:
    query = select(func.count(), func.min(RecordRow.stored_at)).where(
        RecordRow.station_no == station.station_no, text(WAITING)
    )
    count, oldest = session.execute(query).one()
    return {"unassigned": count, "unassigned_since": instant(oldest)}


def _equipment(session: Session, station: Station, since: datetime, now: datetime) -> dict[str, Any]:
    out = session.execute(
        select(RecorderRow.device_no, RecorderRow.state)
        .where(RecorderRow.state.in_((RecorderState.OUT_OF_SERVICE, RecorderState.AT_REPAIR)))
        .order_by(RecorderRow.device_no)
    ).all()
    faults = session.scalar(
        select(func.count()).where(RecorderEventRow.kind == "faulted", RecorderEventRow.created_at >= since)
    )
    overdue = [one for one in dues(session, periods_of(station.settings)) if one.due_at < now]
    return {
        "faults": faults or 0,
        "out_of_service": [row.device_no for row in out if row.state == RecorderState.OUT_OF_SERVICE][:_NAMED],
        "at_repair": [row.device_no for row in out if row.state == RecorderState.AT_REPAIR][:_NAMED],
        "overdue": [{"device_no": one.device_no, "kind": one.kind} for one in overdue][:_NAMED],
    }


def _alerts(session: Session, station: Station) -> dict[str, Any]:
    rows = session.execute(
        select(AlertRow.severity, AlertRow.state, func.count())
        .where(AlertRow.station_no == station.station_no, AlertRow.state != AlertState.CLOSED)
        .group_by(AlertRow.severity, AlertRow.state)
    ).all()
    unsent = session.scalar(
        select(func.count()).where(
            OutboxRow.station_no == station.station_no,
            OutboxRow.last_error.is_not(None),
            OutboxRow.state != OutboxState.SENT,
        )
    )
    return {
        "open": {severity: count for severity, state, count in rows if state == AlertState.OPEN},
        "acknowledged": sum(count for _severity, state, count in rows if state == AlertState.ACKNOWLEDGED),
        "unsent": unsent or 0,
    }


def _fixity(session: Session, station: Station, now: datetime) -> dict[str, Any]:
    days = station.settings.verify.every_days
    own, present = LocationRow.station_no == station.station_no, LocationRow.state == LocationState.PRESENT
    wrong = session.scalar(select(func.count()).where(own, ~present))
    oldest = session.scalar(select(func.min(LocationRow.verified_at)).where(own, present))
    files = count_due(session, station.station_no, due_at(now, timedelta(days=days)))[0] if days else 0
    return {"proofs_due": files, "oldest_proof": instant(oldest), "files_wrong": wrong or 0}


def _stored_per_day(session: Session, station: Station, now: datetime) -> float:
    """Bytes a day: what was stored over the last two weeks, or since the station's first visit."""
    begin = now - _RATE_DAYS * _DAY
    stored, first = session.execute(
        select(func.coalesce(func.sum(VisitRow.bytes_stored), 0), func.min(VisitRow.opened_at)).where(
            VisitRow.station_no == station.station_no, VisitRow.opened_at >= begin
        )
    ).one()
    earlier = session.scalar(
        select(VisitRow.id).where(VisitRow.station_no == station.station_no, VisitRow.opened_at < begin).limit(1)
    )
    span = _RATE_DAYS if earlier is not None or first is None else max(1.0, (now - first) / _DAY)
    return float(stored) / span


def _space(total: int, free: int, station: Station, per_day: float) -> dict[str, Any]:
    """``days_left`` None: nothing is being stored, so nobody can say."""
    room = max(0, free - station.settings.store.reserve.of(total))
    return {"free": room, "per_day": round(per_day), "days_left": int(room / per_day) if per_day > 0 else None}
