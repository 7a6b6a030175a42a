"""Sending what the outbox holds: route what is new, then hand over channel by channel until it is empty or in trouble.

Nothing is held open while a service is spoken to, and nothing is forgotten: a message is *sent* only when
its channel said so. What a channel did not take waits, longer each time, and after a while that is an alert
of its own on the other channels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy.orm import Session

from dockd.alert.channels import Kind, Parcel, Undelivered, kind_of
from dockd.alert.routing import Matter, destinations
from dockd.alert.wording import pack, units_of
from dockd.law.vocabulary import Severity
from dockd.register import alerts, ledger, outbox
from dockd.register.outbox import Message, Pace
from dockd.register.station import Station
from dockd.register.values import instant
from dockd.settings import Channel

FIRST_PAUSE, LONGEST_PAUSE = timedelta(minutes=1), timedelta(hours=1)
_LEASE = timedelta(minutes=5)
_PARCELS = 40  # a channel's share of one round: the others have their turn
_log = structlog.get_logger("dockd.alert")


@dataclass(frozen=True, slots=True)
class Delivered:
    """What one round did: messages sent and given up, and the channels that failed with their reason."""

    sent: int = 0
    given_up: int = 0
    failing: tuple[tuple[str, str], ...] = ()


def deliver_due(station: Station, *, only: Collection[str] | None = None) -> Delivered:
    """Sends what is due on every channel, or on those of the kinds ``only``. Raises the register's StoreError."""
    route_new(station)
    sent = given_up = 0
    failing: list[tuple[str, str]] = []
    for channel in station.settings.alerts.channels:
        if only is None or channel.kind in only:
            done = _serve(station, channel)
            sent, given_up = sent + done.sent, given_up + done.given_up
            failing += done.failing
    if sent or given_up or failing:
        station.mirror_ledger()
    return Delivered(sent, given_up, tuple(failing))


def route_new(station: Station) -> None:
    """Every new message has its channels."""
    said, now = station.settings.alerts, station.now()
    with station.register.read() as session:
        if not outbox.has_unrouted(session, station.station_no, [channel.name for channel in said.channels]):
            return
    with station.register.write() as session:
        outbox.drop_channels(session, station.station_no, [channel.name for channel in said.channels])
        new = outbox.unrouted(session, station.station_no)
        known = {a.alert_id: a for a in alerts.find_alerts(session, [m.alert_id for m in new if m.alert_id])}
        units = units_of(session, [m.device_no for m in new if m.device_no])
        for message in new:
            matter = _matter(message, known.get(message.alert_id or 0), units.get(message.device_no or ""))
            to = destinations(said, matter, now, station.zone)
            if message.why == outbox.TEST:
                to = {str(message.body["channel"]): now}
            outbox.route(session, message.message_id, to)


def _matter(message: Message, alert: alerts.Alert | None, unit: str | None) -> Matter:
    if alert is None:
        return Matter(message.why, None, Severity.NOTICE.value, unit)
    failing = str(alert.facts.get("channel") or "") if alert.kind == "undelivered" else None
    return Matter(message.why, alert.kind, str(message.body.get("severity") or alert.severity), unit, failing or None)


def _serve(station: Station, channel: Channel) -> Delivered:
    """One channel, parcel by parcel."""
    kind = kind_of(channel)
    sent = given_up = 0
    for _turn in range(_PARCELS):
        parcel = _claim(station, channel, kind)
        if parcel is None:
            break
        try:
            kind.send(channel, parcel, station.now())
        except Undelivered as error:
            if error.refused:
                given_up += _refused(station, channel, parcel, error)
                continue
            _failed(station, channel, parcel, error)
            return Delivered(sent, given_up, ((channel.name, error.reason),))
        _sent(station, channel, parcel)
        sent += len(parcel.message_ids)
    return Delivered(sent, given_up)


def _claim(station: Station, channel: Channel, kind: Kind) -> Parcel | None:
    now, pace = station.now(), _pace(kind)
    with station.register.read() as session:
        if not outbox.has_waiting(session, station.station_no, channel.name):
            return None  # no writing for nothing
    with station.register.write() as session:
        due = outbox.due(session, station.station_no, channel.name, now=now, pace=pace)
        if not due:
            return None
        parcel = pack(session, station, channel, due, most=kind.most, max_bytes=kind.max_bytes, now=now)
        outbox.claim(session, station.station_no, channel.name, parcel.message_ids, now=now, pace=pace)
    return parcel


def _pace(kind: Kind) -> Pace:
    return Pace(_LEASE, LONGEST_PAUSE, kind.per_minute)


def _sent(station: Station, channel: Channel, parcel: Parcel) -> None:
    at = station.now()
    with station.register.write() as session:
        recovered = outbox.note_sent(session, station.station_no, channel.name, parcel.message_ids, at=at)
        if channel.kind != "journal":
            _tell(session, station, channel, parcel)
        if recovered:
            alerts.settle_alert(
                session,
                station_no=station.station_no,
                kind="undelivered",
                about=f"channel:{channel.name}",
                note="delivered",
                at=at,
            )


def _tell(session: Session, station: Station, channel: Channel, parcel: Parcel) -> None:
    """The ledger's line: which alerts went out on which channel."""
    ledger.append(
        session,
        station_no=station.station_no,
        kind="message.sent",
        subject=f"channel:{channel.name}",
        data={
            "channel": channel.name,
            "messages": list(parcel.message_ids),
            "alerts": [row["alert_id"] for row in parcel.rows if row["alert_id"]],
            "reports": [row["report"]["date"] for row in parcel.rows if row["why"] == outbox.REPORT],
        },
        at=station.now(),
        actor="dockd",
    )


def _failed(station: Station, channel: Channel, parcel: Parcel, error: Undelivered) -> None:
    at = station.now()
    with station.register.write() as session:
        failures = outbox.failures_of(session, station.station_no, channel.name)
        pause = min(FIRST_PAUSE * 2 ** min(failures, 10), LONGEST_PAUSE)
        state = outbox.note_failed(
            session,
            station.station_no,
            channel.name,
            parcel.message_ids,
            error=error.reason,
            at=at,
            wait=min(max(pause, error.wait or pause), LONGEST_PAUSE),
            unsure=error.unsure,
        )
        since = state.failing_since or at
        if at - since >= station.settings.alerts.failing_after:
            facts = {"channel": channel.name, "since": instant(since), "error": error.reason}
            _alarm(session, station, f"channel:{channel.name}", facts)
    _log.warning("channel_failed", channel=channel.name, reason=error.reason, failures=state.failures)


def _refused(station: Station, channel: Channel, parcel: Parcel, error: Undelivered) -> int:
    """One message that is refused is given up and told of; of several nobody knows which: each goes alone then."""
    at = station.now()
    ids = parcel.message_ids
    with station.register.write() as session:
        if len(ids) > 1:
            outbox.send_alone(session, station.station_no, channel.name, ids, error=error.reason)
            return 0
        outbox.note_refused(session, station.station_no, channel.name, ids, error=error.reason, at=at)
        facts = {"channel": channel.name, "message_id": ids[0], "since": instant(at), "error": error.reason}
        _alarm(session, station, f"channel:{channel.name}/message:{ids[0]}", facts)
    _log.warning("message_refused", channel=channel.name, message_id=ids[0], reason=error.reason)
    return 1


def _alarm(session: Session, station: Station, about: str, facts: Mapping[str, Any]) -> None:
    alerts.open_alert(
        session, station_no=station.station_no, kind="undelivered", about=about, facts=facts, at=station.now()
    )
