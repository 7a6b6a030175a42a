"""The outbox on both databases: routed once, one sender a channel, nothing lost between claim and answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dockd.register import outbox
from dockd.register.outbox import Message, Pace
from dockd.register.session import Register

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PACE = Pace(lease=5 * MINUTE, longest=60 * MINUTE, per_minute=3)


@pytest.fixture
def filled(register: Register) -> Register:
    """Three messages for one channel, of two recorders."""
    for device_no in ("YS-07", "YS-08", "YS-07"):
        say(register, device_no, {"duty": NOW})
    return register


def say(register: Register, device_no: str, to: dict[str, datetime], **body: Any) -> int:
    with register.write() as session:
        number = outbox.announce(session, station_no="S1", why="opened", at=NOW, device_no=device_no, body=body)
        assert [m.message_id for m in outbox.unrouted(session, "S1")] == [number]
        outbox.route(session, number, to)
    return number


def due(register: Register, now: datetime = NOW) -> list[Message]:
    with register.write() as session:
        return outbox.due(session, "S1", "duty", now=now, pace=PACE)


def claim(register: Register, ids: list[int], now: datetime = NOW) -> None:
    with register.write() as session:
        outbox.claim(session, "S1", "duty", ids, now=now, pace=PACE)


def states(register: Register) -> list[tuple[str, int]]:
    with register.read() as session:
        return [(m.state, m.attempts) for m in outbox.list_messages(session, "S1", unsent=False)]


def test_what_is_claimed_is_nobody_elses_until_it_is_sent(filled: Register) -> None:
    ids = [message.message_id for message in due(filled)]
    claim(filled, ids[:2])
    assert due(filled, NOW + MINUTE) == []
    with filled.write() as session:
        assert not outbox.note_sent(session, "S1", "duty", ids[:2], at=NOW)
    assert [message.message_id for message in due(filled)] == ids[2:]
    assert states(filled) == [("sent", 1), ("sent", 1), ("waiting", 0)]


def test_a_claim_of_the_dead_lapses_and_is_unsure(filled: Register) -> None:
    ids = [message.message_id for message in due(filled)]
    claim(filled, ids)
    again = due(filled, NOW + 6 * MINUTE)
    assert [(m.message_id, m.body.get("unsure")) for m in again] == [(number, True) for number in ids]


def test_a_failing_channel_pauses_as_a_whole_and_says_since_when(filled: Register) -> None:
    ids = [message.message_id for message in due(filled)]
    claim(filled, ids[:1])
    with filled.write() as session:
        state = outbox.note_failed(
            session, "S1", "duty", ids[:1], error="refused", at=NOW, wait=2 * MINUTE, unsure=False
        )
        assert (state.failures, state.failing_since) == (1, NOW)
    assert due(filled, NOW + MINUTE) == []
    assert [message.message_id for message in due(filled, NOW + 2 * MINUTE)] == ids, "the first one first"
    with filled.read() as session:
        (channel,) = outbox.channel_states(session, "S1")
    assert (channel.last_error, channel.next_try_at) == ("refused", NOW + 2 * MINUTE)
    claim(filled, ids, NOW + 2 * MINUTE)
    with filled.write() as session:
        assert outbox.note_sent(session, "S1", "duty", ids, at=NOW + 2 * MINUTE), "it works again"


def test_no_more_parcels_a_minute_than_the_service_takes(filled: Register) -> None:
    ids = [message.message_id for message in due(filled)]
    for number in ids:
        claim(filled, [number])
        with filled.write() as session:
            outbox.note_sent(session, "S1", "duty", [number], at=NOW)
    say(filled, "YS-07", {"duty": NOW})
    assert due(filled, NOW + MINUTE / 2) == []
    assert len(due(filled, NOW + MINUTE)) == 1


def test_one_message_is_one_row_for_each_of_its_channels(register: Register) -> None:
    say(register, "YS-07", {"duty": NOW, "leader": NOW + MINUTE}, severity="warning")
    with register.read() as session:
        rows = [(m.channel, m.not_before, dict(m.body)) for m in outbox.list_messages(session, "S1")]
    assert rows == [("duty", NOW, {"severity": "warning"}), ("leader", NOW + MINUTE, {"severity": "warning"})]


def test_what_has_no_channel_is_kept_and_named(filled: Register) -> None:
    say(filled, "YS-07", {})
    with filled.write() as session:
        assert outbox.has_unrouted(session, "S1", ["leader"])
        outbox.drop_channels(session, "S1", ["leader"])
        assert not outbox.has_unrouted(session, "S1", ["leader"])
    with filled.read() as session:
        assert {(m.state, m.last_error) for m in outbox.list_messages(session, "S1")} == {("failed", "no_channel")}


def test_other_stations_messages_are_none_of_ours(filled: Register) -> None:
    with filled.write() as session:
        outbox.announce(session, station_no="S2", why="opened", at=NOW)
        assert outbox.unrouted(session, "S1") == []
        assert outbox.due(session, "S2", "duty", now=NOW, pace=PACE) == []
