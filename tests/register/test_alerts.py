"""Alerts: opened once a matter, closed by a fact or a person, every step in the ledger."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from shelf import AT, Shelf
from sqlalchemy import select

from dockd.errors import UnknownNumber
from dockd.law.vocabulary import ALERT_CLASSES
from dockd.register.alerts import (
    acknowledge_alert,
    close_alert,
    find_alert,
    list_alerts,
    matter,
    open_alert,
    settle_alert,
)
from dockd.register.session import Register
from dockd.register.tables import AlertState, EventRow

LATER = AT + timedelta(hours=1)


def raise_alert(register: Register, **said: Any) -> int | None:
    asked: dict[str, Any] = {"kind": "late_docked", "about": "record:1", "facts": {"overdue_s": 60}, **said}
    with register.write() as session:
        return open_alert(session, station_no="S1", at=AT, **asked)


def lines(register: Register) -> list[tuple[str, str, Any]]:
    with register.read() as session:
        rows = session.execute(
            select(EventRow.kind, EventRow.subject, EventRow.line)
            .where(EventRow.subject.startswith("alert:"))
            .order_by(EventRow.seq)
        )
        return [(kind, subject, json.loads(line)["data"]) for kind, subject, line in rows]


@pytest.mark.parametrize("kind", sorted(ALERT_CLASSES))
def test_every_kind_has_the_severity_of_the_law(register: Register, kind: str) -> None:
    alert_id = raise_alert(register, kind=kind)
    with register.read() as session:
        assert find_alert(session, alert_id or 0).severity == ALERT_CLASSES[kind].severity  # type: ignore[union-attr]


def test_one_matter_is_alerted_once_until_it_is_closed(register: Register) -> None:
    first = raise_alert(register)
    assert first is not None
    assert raise_alert(register) is None
    assert raise_alert(register, about="record:2") is not None
    assert raise_alert(register, kind="late_stored") is not None
    with register.write() as session:
        acknowledge_alert(session, first, note="seen", by="person:li", at=LATER)
    assert raise_alert(register) is None
    with register.write() as session:
        close_alert(session, first, note="done", by="person:li", at=LATER)
    assert raise_alert(register) is not None


def test_an_alert_tells_who_acted_and_why(register: Register) -> None:
    shelf = Shelf(register)
    shelf.recorder("YS-07")
    record_id = shelf.record()
    alert_id = raise_alert(register, record_id=record_id, device_no="YS-07", facts={"cert_nos": ["1"]}) or 0
    with register.write() as session:
        assert acknowledge_alert(session, alert_id, note="seen", by="person:li", at=LATER)
        assert not acknowledge_alert(session, alert_id, note="again", by="person:wu", at=LATER)
        assert close_alert(session, alert_id, note="done", by="person:wang", at=LATER)
        assert not close_alert(session, alert_id, note="again", by="person:wu", at=LATER)
    with register.read() as session:
        found = find_alert(session, alert_id)
    assert found is not None
    assert (found.state, found.device_no, found.record_id) == (AlertState.CLOSED, "YS-07", record_id)
    assert (found.acknowledged_by, found.acknowledge_note, found.acknowledged_at) == ("person:li", "seen", LATER)
    assert (found.closed_by, found.close_note, found.closed_at) == ("person:wang", "done", LATER)
    assert [(kind, subject) for kind, subject, _data in lines(register)] == [
        ("alert.opened", f"alert:{alert_id}"),
        ("alert.acknowledged", f"alert:{alert_id}"),
        ("alert.closed", f"alert:{alert_id}"),
    ]
    assert lines(register)[0][2]["device_no"] == "YS-07"


def test_a_fact_closes_the_alert_about_its_matter(register: Register) -> None:
    alert_id = raise_alert(register, kind="unassigned", about="visit:3")
    with register.write() as session:
        matter = {"station_no": "S1", "kind": "unassigned", "about": "visit:3"}
        assert settle_alert(session, **matter, note="assigned", at=LATER) == alert_id
        assert settle_alert(session, **matter, note="assigned", at=LATER) is None


def test_open_ones_are_those_that_are_not_closed(register: Register) -> None:
    ids = [raise_alert(register, about=f"record:{i}") or 0 for i in range(3)]
    with register.write() as session:
        acknowledge_alert(session, ids[0], note="seen", by="person:li", at=LATER)
        close_alert(session, ids[1], note="done", by="person:li", at=LATER)
    with register.read() as session:
        assert [a.alert_id for a in list_alerts(session, open_only=True)] == [ids[0], ids[2]]
        assert [a.alert_id for a in list_alerts(session)] == ids
        assert list_alerts(session, kind="store_full") == ()


def test_long_matters_stay_apart(register: Register) -> None:
    names = ["visit:1/" + "长" * 300 + end for end in ("a", "b")]
    assert all(raise_alert(register, about=name) for name in names)
    assert raise_alert(register, about=names[0]) is None
    assert max(len(matter(name)) for name in names) <= 128


def test_an_unknown_alert_is_named(register: Register) -> None:
    with register.write() as session, pytest.raises(UnknownNumber, match="7"):
        close_alert(session, 7, note="x", by="person:li", at=LATER)


def test_an_alert_about_nothing_registered_is_a_fault_and_not_a_silence(register: Register) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign"):
        raise_alert(register, record_id=12345)
