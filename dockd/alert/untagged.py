"""Article 27: recordings that nobody has described in time are told of, once a visit, until they are.

按照名称、记录设备编号、执法人员信息、使用时间、案件当事人和案由名称等项目分类存储
stored classified by items such as title, number of the recording device, officer information,
time of use, party to the case and cause of action

What lacks one of these items cannot be found by it. A visit whose alert a person has closed (training, a
test recording) is not told of again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dockd.nouns import MediaType
from dockd.register import alerts
from dockd.register.station import Station
from dockd.register.tables import AlertRow, AlertState, RecorderRow, RecordRow, VisitRow
from dockd.register.tagging import settle_untagged

KIND = "untagged"
_RECORDINGS = tuple(media.value for media in MediaType if media.is_recording)


@dataclass(frozen=True, slots=True)
class Watched:
    """What one look did: alerts opened, and those that have ended because every item is there now."""

    opened: int = 0
    settled: int = 0


@dataclass(frozen=True, slots=True)
class _Waiting:
    visit_id: int
    device_no: str | None
    count: int
    since: datetime


def watch_untagged(station: Station) -> Watched:
    """Opens an alert for each visit with recordings that are incomplete ``tags.remind_after`` after storing.

    And ends those of visits that have none any more. Call it now and then.
    """
    span: timedelta = station.settings.tags.remind_after
    now = station.now()
    with station.register.write() as session:
        standing = _told_of(session, station, standing=True)
        settled = sum(settle_untagged(session, one, station_no=station.station_no, at=now) for one in standing)
        if not span:
            return Watched(settled=settled)
        known = _told_of(session, station, standing=False)
        waiting = [one for one in _waiting(session, station, now - span) if one.visit_id not in known]
        for one in waiting:
            _open(session, station, one, now)
    return Watched(len(waiting), settled)


def _waiting(session: Session, station: Station, stored_by: datetime) -> list[_Waiting]:
    rows = session.execute(
        select(RecordRow.visit_id, RecorderRow.device_no, func.count(), func.min(RecordRow.stored_at))
        .join(VisitRow, VisitRow.id == RecordRow.visit_id)
        .outerjoin(RecorderRow, RecorderRow.id == VisitRow.recorder_id)
        .where(
            RecordRow.tags_complete.is_(False),
            RecordRow.stored_at <= stored_by,
            RecordRow.media_type.in_(_RECORDINGS),
            RecordRow.station_no == station.station_no,
        )
        .group_by(RecordRow.visit_id, RecorderRow.device_no)
        .order_by(RecordRow.visit_id)
    )
    return [_Waiting(visit_id, device_no, count, since) for visit_id, device_no, count, since in rows]


def _told_of(session: Session, station: Station, *, standing: bool) -> set[int]:
    """Visits with an alert that is not closed; without ``standing`` also those whose alert a person has closed."""
    query = select(AlertRow.visit_id).where(AlertRow.kind == KIND, AlertRow.station_no == station.station_no)
    if standing:
        query = query.where(AlertRow.state != AlertState.CLOSED)
    else:
        query = query.where((AlertRow.state != AlertState.CLOSED) | AlertRow.closed_by.startswith("person:"))
    return {visit_id for visit_id in session.scalars(query) if visit_id is not None}


def _open(session: Session, station: Station, one: _Waiting, now: datetime) -> None:
    alerts.open_alert(
        session,
        station_no=station.station_no,
        kind=KIND,
        about=f"visit:{one.visit_id}",
        facts={"count": one.count, "stored_at": one.since.isoformat()},
        at=now,
        visit_id=one.visit_id,
        device_no=one.device_no,
    )
