"""The outbox: every message stands here before it is sent, and until its channel has it.

A message is written in the transaction of what it tells of. Handing it over is two transactions with the
sending between them: *claimed*, then *sent* or *waiting* again. A process that dies in between leaves it
claimed; after a while it is taken up again and says that it may be a repetition. A channel has one
sender at a time and keeps the order of what it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, or_, select, text
from sqlalchemy.orm import Session

from dockd.register.tables import ChannelRow, OutboxRow, OutboxState
from dockd.register.values import chunks

_LOOKED_AT = 500  # messages of one channel that are weighed at a time
_REMEMBERED = timedelta(minutes=2)
_ERROR_MAX = 500

OPENED, ESCALATED, REPEATED, REPORT, TEST = "opened", "escalated", "repeated", "report", "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message for one channel (or, while ``state`` is ``new``, for whoever is to get it)."""

    message_id: int
    alert_id: int | None
    channel: str
    why: str
    device_no: str | None
    body: Mapping[str, Any]
    state: str
    attempts: int
    created_at: datetime
    not_before: datetime
    sent_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """How a channel does; ``failing_since`` None: it works, as far as anybody knows."""

    channel: str
    failures: int
    failing_since: datetime | None
    next_try_at: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Pace:
    """What a channel may be asked for: ``lease`` is how long one sending can last, ``longest`` how long a pause."""

    lease: timedelta
    longest: timedelta
    per_minute: int | None = None


# --- writing ---------------------------------------------------------------------------------------------


def announce(
    session: Session,
    *,
    station_no: str,
    why: str,
    at: datetime,
    alert_id: int | None = None,
    device_no: str | None = None,
    body: Mapping[str, Any] | None = None,
) -> int:
    """A new message, in the transaction of what it tells of; returns its number."""
    row = OutboxRow(
        station_no=station_no,
        alert_id=alert_id,
        why=why,
        device_no=device_no,
        body=dict(body or {}),
        created_at=at,
        not_before=at,
    )
    session.add(row)
    session.flush()
    return row.id


def has_unrouted(session: Session, station_no: str, configured: Sequence[str]) -> bool:
    """Whether some message has no channel yet, or one that is not ``configured`` any more."""
    strayed = and_(OutboxRow.state == OutboxState.WAITING, OutboxRow.channel.not_in(configured))
    query = select(OutboxRow.id).where(
        OutboxRow.station_no == station_no, or_(OutboxRow.state == OutboxState.NEW, strayed)
    )
    return session.scalar(query.limit(1)) is not None


def has_waiting(session: Session, station_no: str, channel: str) -> bool:
    """Whether something waits for the channel, or is left over from a sender that died."""
    query = select(OutboxRow.id).where(
        OutboxRow.station_no == station_no,
        OutboxRow.state.in_((OutboxState.WAITING, OutboxState.SENDING)),
        OutboxRow.channel == channel,
    )
    return session.scalar(query.limit(1)) is not None


def holds_any(session: Session, station_no: str) -> bool:
    """Whether some message of the station is not at its end yet, due or not."""
    query = select(OutboxRow.id).where(
        OutboxRow.station_no == station_no,
        OutboxRow.state.in_((OutboxState.NEW, OutboxState.WAITING, OutboxState.SENDING)),
    )
    return session.scalar(query.limit(1)) is not None


def unrouted(session: Session, station_no: str) -> list[Message]:
    """What nobody has been chosen for yet, oldest first."""
    query = select(OutboxRow).where(OutboxRow.station_no == station_no, OutboxRow.state == OutboxState.NEW)
    return [_message(row) for row in session.scalars(query.order_by(OutboxRow.id).with_for_update())]


def route(session: Session, message_id: int, to: Mapping[str, datetime]) -> None:
    """The message goes to these channels, not before those times; without any it is kept as undeliverable."""
    row = session.get_one(OutboxRow, message_id)
    if not to:
        row.state, row.last_error = OutboxState.FAILED.value, "no_channel"
        return
    first, *others = sorted(to)
    row.channel, row.not_before, row.state = first, to[first], OutboxState.WAITING.value
    same = {name: getattr(row, name) for name in ("station_no", "alert_id", "why", "device_no", "created_at")}
    for name in others:
        waiting = OutboxState.WAITING.value
        session.add(OutboxRow(**same, body=dict(row.body), channel=name, not_before=to[name], state=waiting))


def drop_channels(session: Session, station_no: str, configured: Iterable[str]) -> None:
    """What waits for a channel that is not configured any more is kept as undeliverable."""
    rows = session.scalars(
        select(OutboxRow).where(
            OutboxRow.station_no == station_no,
            OutboxRow.state.in_((OutboxState.WAITING, OutboxState.SENDING)),
            OutboxRow.channel.not_in(list(configured)),
        )
    )
    for row in rows:
        row.state, row.last_error = OutboxState.FAILED.value, "no_channel"


# --- handing over ----------------------------------------------------------------------------------------


def due(session: Session, station_no: str, channel: str, *, now: datetime, pace: Pace) -> list[Message]:
    """What may be sent on this channel now, in the order in which it must be; empty while somebody else sends.

    What waits for an hour of the day goes along when a later message of the same recorder is due, so
    that nobody reads of a recorder in the wrong order. The channel stays locked until the transaction ends.
    """
    row = _locked(session, station_no, channel)
    if row.busy_until and now < row.busy_until <= now + pace.lease:
        return []
    _take_up(session, station_no, channel)
    if row.next_try_at and now < row.next_try_at <= now + pace.longest:
        return []
    if pace.per_minute and len(_lately(row, now)) >= pace.per_minute:
        return []
    return _in_order(_waiting(session, station_no, channel), now)


def claim(
    session: Session, station_no: str, channel: str, message_ids: Sequence[int], *, now: datetime, pace: Pace
) -> None:
    """These are being sent: nobody else sends on the channel until that is over, or ``lease`` has passed."""
    row = _locked(session, station_no, channel)
    row.busy_until = now + pace.lease
    row.sent = [*_lately(row, now), now.isoformat()]
    for one in _rows(session, message_ids):
        one.state, one.attempts = OutboxState.SENDING.value, one.attempts + 1


def note_sent(session: Session, station_no: str, channel: str, message_ids: Sequence[int], *, at: datetime) -> bool:
    """The channel has them. True where the channel had been failing until now."""
    row = _locked(session, station_no, channel)
    was_failing = row.failing_since is not None
    row.busy_until = row.next_try_at = row.failing_since = row.last_error = None
    row.failures = 0
    for one in _rows(session, message_ids):
        one.state, one.sent_at, one.last_error = OutboxState.SENT.value, at, None
    return was_failing


def note_refused(
    session: Session, station_no: str, channel: str, message_ids: Sequence[int], *, error: str, at: datetime
) -> None:
    """The channel works and refuses these very messages: they are given up and stay in the list."""
    row = _locked(session, station_no, channel)
    row.busy_until = None
    for one in _rows(session, message_ids):
        one.state, one.last_error, one.not_before = OutboxState.FAILED.value, error[:_ERROR_MAX], at


def note_failed(
    session: Session,
    station_no: str,
    channel: str,
    message_ids: Sequence[int],
    *,
    error: str,
    at: datetime,
    wait: timedelta,
    unsure: bool,
) -> ChannelState:
    """The channel did not take them: they wait, and the channel pauses. ``unsure``: it may have them all the same."""
    row = _locked(session, station_no, channel)
    row.busy_until, row.next_try_at, row.last_error = None, at + wait, error[:_ERROR_MAX]
    row.failures += 1
    row.failing_since = row.failing_since or at
    for one in _rows(session, message_ids):
        one.state, one.last_error = OutboxState.WAITING.value, error[:_ERROR_MAX]
        if unsure:
            one.body = {**one.body, "unsure": True}
    return _channel_state(row)


def send_alone(session: Session, station_no: str, channel: str, message_ids: Sequence[int], *, error: str) -> None:
    """One of these is refused, and nobody knows which: from now on each goes by itself."""
    _locked(session, station_no, channel).busy_until = None
    for one in _rows(session, message_ids):
        one.state, one.last_error, one.body = OutboxState.WAITING.value, error[:_ERROR_MAX], {**one.body, "alone": True}


def failures_of(session: Session, station_no: str, channel: str) -> int:
    """How often the channel has failed in a row."""
    row = session.get(ChannelRow, (station_no, channel))
    return row.failures if row else 0


def _in_order(waiting: Sequence[OutboxRow], now: datetime) -> list[Message]:
    last = {row.device_no: row.id for row in waiting if row.device_no and row.not_before <= now}
    chosen = [
        row for row in waiting if row.not_before <= now or (row.device_no in last and row.id < last[row.device_no])
    ]
    return [_message(row) for row in chosen]


def _waiting(session: Session, station_no: str, channel: str) -> Sequence[OutboxRow]:
    return session.scalars(
        select(OutboxRow)
        .where(
            OutboxRow.station_no == station_no,
            OutboxRow.state == OutboxState.WAITING,
            OutboxRow.channel == channel,
        )
        .order_by(OutboxRow.id)
        .limit(_LOOKED_AT)
    ).all()


def _take_up(session: Session, station_no: str, channel: str) -> None:
    """What a dead sender had claimed: nobody knows whether the channel has it."""
    rows = session.scalars(
        select(OutboxRow).where(
            OutboxRow.station_no == station_no,
            OutboxRow.state == OutboxState.SENDING,
            OutboxRow.channel == channel,
        )
    )
    for row in rows:
        row.state, row.body = OutboxState.WAITING.value, {**row.body, "unsure": True}
    session.flush()


def _locked(session: Session, station_no: str, channel: str) -> ChannelRow:
    """The channel's row, which puts its senders in order; made when it is first asked for."""
    query = select(ChannelRow).where(ChannelRow.station_no == station_no, ChannelRow.channel == channel)
    row = session.scalar(query.with_for_update())
    if row is None:
        session.execute(
            text(
                "INSERT INTO channel (station_no, channel, failures, sent) VALUES (:no, :channel, 0, '[]')"
                " ON CONFLICT DO NOTHING"
            ),
            {"no": station_no, "channel": channel},
        )
        row = session.scalars(query.with_for_update()).one()
    return row


def _lately(row: ChannelRow, now: datetime) -> list[str]:
    """The sendings of the last minute; times that a wrong clock left in the future are forgotten."""
    return [at for at in row.sent if now - _REMEMBERED / 2 < datetime.fromisoformat(at) <= now]


def _rows(session: Session, message_ids: Iterable[int]) -> list[OutboxRow]:
    return [
        row
        for some in chunks(message_ids)
        for row in session.scalars(select(OutboxRow).where(OutboxRow.id.in_(some)).order_by(OutboxRow.id))
    ]


# --- looking ---------------------------------------------------------------------------------------------


def list_messages(session: Session, station_no: str, *, unsent: bool = True, limit: int = 1000) -> list[Message]:
    """The station's messages, oldest first: those that no channel has yet, or (the newest ``limit``) all."""
    query = select(OutboxRow).where(OutboxRow.station_no == station_no)
    if unsent:
        query = query.where(OutboxRow.state != OutboxState.SENT)
    rows = session.scalars(query.order_by(OutboxRow.id.desc()).limit(limit)).all()
    return [_message(row) for row in reversed(rows)]


def unsent_of(session: Session, alert_ids: Iterable[int]) -> dict[int, list[Message]]:
    """For each of these alerts what was tried and not delivered, or given up."""
    found: dict[int, list[Message]] = {}
    for some in chunks(alert_ids):
        rows = session.scalars(
            select(OutboxRow)
            .where(
                OutboxRow.alert_id.in_(some),
                OutboxRow.state.in_((OutboxState.WAITING, OutboxState.SENDING, OutboxState.FAILED)),
                OutboxRow.last_error.is_not(None),
            )
            .order_by(OutboxRow.id)
        )
        for row in rows:
            if row.alert_id is not None:
                found.setdefault(row.alert_id, []).append(_message(row))
    return found


def channel_states(session: Session, station_no: str) -> list[ChannelState]:
    """Every channel that was ever used, by name."""
    rows = session.scalars(select(ChannelRow).where(ChannelRow.station_no == station_no).order_by(ChannelRow.channel))
    return [_channel_state(row) for row in rows]


def _channel_state(row: ChannelRow) -> ChannelState:
    names = ("channel", "failures", "failing_since", "next_try_at", "last_error")
    return ChannelState(**{name: getattr(row, name) for name in names})


def _message(row: OutboxRow) -> Message:
    names = ("alert_id", "channel", "why", "device_no", "body", "state", "attempts", "created_at", "not_before")
    same = {name: getattr(row, name) for name in (*names, "sent_at", "last_error")}
    return Message(message_id=row.id, **same)
