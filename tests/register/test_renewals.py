"""Which proofs are due: spread over the period, the oldest first, from the index, the same from either database."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shelf import AT, Shelf
from sqlalchemy import Connection, Engine, event, update
from sqlalchemy.orm import Session

from dockd.nouns import VerifiedVia
from dockd.register import holdings, ledger, renewals
from dockd.register.holdings import Renewed
from dockd.register.renewals import SHARES, Due, due_at, share_of
from dockd.register.session import Register
from dockd.register.station import Station
from dockd.register.tables import LocationRow, LocationState

PERIOD = timedelta(days=30)


# --- pure: when -----------------------------------------------------------------------------------------------


@given(key=st.integers(1, 10**9), age=st.floats(0, 60), days=st.integers(1, 3650))
def test_a_proof_is_due_in_the_last_quarter_of_its_period_and_not_before(key: int, age: float, days: int) -> None:
    period = timedelta(days=days)
    due = due_at(AT, period)
    is_due = AT - timedelta(days=age) <= due.cutoffs[share_of(key)]
    if age > days:
        assert is_due
    if age < days * 0.75 - 1e-6:
        assert not is_due


def test_what_was_proven_in_one_go_is_spread_and_stays_spread() -> None:
    proofs = dict.fromkeys(range(1, 641), AT)
    for hour in range(1, 24 * 95):
        now = AT + timedelta(hours=hour)
        due = due_at(now, PERIOD)
        turn = [key for key, proof in proofs.items() if proof <= due.cutoffs[share_of(key)]]
        assert len(turn) <= 640 / SHARES, "a share at a time"
        proofs.update(dict.fromkeys(turn, now))
        assert min(proofs.values()) > now - PERIOD, "none is ever older than the period"


def test_neighbours_are_of_different_shares() -> None:
    assert Counter(share_of(key) for key in range(1, 10 * SHARES + 1)) == dict.fromkeys(range(SHARES), 10)


# --- asked of the register ----------------------------------------------------------------------------------


@pytest.fixture
def shelf(register: Register) -> Shelf:
    """A visit with three files, two visits that stored nothing, a visit with one file, one more without."""
    shelf = Shelf(register)
    first = shelf.visit(shelf.recorder())
    for data in (b"one", b"two", b"three"):
        shelf.record(first, data=data)
    shelf.end(first, "footage/1.sha256")
    for manifest in ("footage/2.sha256", None):
        shelf.end(shelf.visit(), manifest)
    fourth = shelf.visit()
    shelf.record(fourth, data=b"four")
    shelf.end(fourth, "footage/4.sha256")
    shelf.end(shelf.visit())
    return shelf


def all_due(at: datetime = AT) -> Due:
    return due_at(at + 2 * PERIOD, PERIOD)


def prove(session: Session, key: int, days: float, state: LocationState = LocationState.PRESENT) -> None:
    at = AT - timedelta(days=days)
    session.execute(update(LocationRow).where(LocationRow.id == key).values(verified_at=at, state=state.value))


def keys(session: Session, due: Due, after: tuple[datetime, int] | None = None, limit: int = 9) -> list[int]:
    return [h.key for h in renewals.due_locations(session, "S1", due, after=after, limit=limit)]


def test_the_oldest_proof_comes_first_and_equal_ones_in_the_order_of_storing(register: Register, shelf: Shelf) -> None:
    with register.write() as session:
        prove(session, 3, 5)
        prove(session, 2, 7)
    with register.read() as session:
        assert keys(session, all_due()) == [2, 3, 1, 4]
        assert renewals.count_due(session, "S1", all_due()) == (4, 15)


def test_pages_follow_each_other_without_gap_or_repetition(register: Register, shelf: Shelf) -> None:
    with register.read() as session:
        seen, after = [], None
        while page := renewals.due_locations(session, "S1", all_due(), after=after, limit=1):
            seen.append(page[0].key)
            assert page[0].verified_at is not None
            after = (page[0].verified_at, page[0].key)
    assert seen == [1, 2, 3, 4]


def test_what_was_proven_lately_is_not_due(register: Register, shelf: Shelf) -> None:
    with register.read() as session:
        assert keys(session, due_at(AT + timedelta(days=20), PERIOD)) == []
    with register.write() as session:
        proven = [Renewed(key, LocationState.PRESENT, AT + PERIOD, VerifiedVia.DIRECT) for key in (1, 2)]
        holdings.renew_proof(session, proven)
    with register.read() as session:
        due = due_at(AT + PERIOD, PERIOD)
        assert keys(session, due) == [3, 4]
        assert renewals.count_due(session, "S1", due) == (2, 9)


def test_a_proof_from_the_future_is_due_after_all_others(register: Register, shelf: Shelf) -> None:
    with register.write() as session:
        prove(session, 1, -400)
    with register.read() as session:
        first = renewals.due_locations(session, "S1", all_due(), after=None, limit=9)
        assert [h.key for h in first] == [2, 3, 4]
        assert first[-1].verified_at is not None
        last = (first[-1].verified_at, first[-1].key)
        (future,) = renewals.due_locations(session, "S1", all_due(), after=last, limit=9)
        assert future.verified_at is not None
        assert future.key == 1
        assert keys(session, all_due(), after=(future.verified_at, 1)) == []
        assert renewals.count_due(session, "S1", all_due()) == (4, 15)


def test_a_bad_place_is_due_unless_the_footage_was_stored_again(register: Register, shelf: Shelf) -> None:
    with register.write() as session:
        prove(session, 1, 0, LocationState.ALTERED)
        prove(session, 2, 0, LocationState.MISSING)
        again = {"stored_at": AT, "verified_at": AT, "verified_via": "o_direct"}
        session.add(LocationRow(station_no="S1", footage_id=2, path="footage/again", **again))
    with register.read() as session:
        assert keys(session, all_due()) == [1, 3, 4, 5]
        assert renewals.count_due(session, "S1", all_due())[0] == 4


def test_the_last_finding_of_footage_is_remembered(register: Register, shelf: Shelf) -> None:
    with register.write() as session:
        for hours, kind in ((1, "footage.missing"), (2, "footage.altered"), (3, "footage.found")):
            at = AT + timedelta(hours=hours)
            ledger.append(session, station_no="S1", kind=kind, subject="footage:N-1", data={}, at=at, actor="dockd")
    with register.read() as session:
        assert renewals.last_findings(session, ["N-1", "N-2"]) == {"N-1": AT + timedelta(hours=2)}
        assert renewals.last_findings(session, []) == {}


def test_the_papers_of_every_visit_come_with_exactly_one_place(register: Register, shelf: Shelf) -> None:
    with register.read() as session:
        assert renewals.visits_beside(session, "S1", [1]) == [1, 2, 3]
        assert renewals.visits_beside(session, "S1", [2, 3]) == []
        assert renewals.visits_beside(session, "S1", [4]) == [4, 5]
        manifests, listings = renewals.papers_of(session, [1, 2, 3, 4, 5])
    assert manifests == [(1, "footage/1.sha256"), (2, "footage/2.sha256"), (4, "footage/4.sha256")]
    assert listings == []


def test_visits_before_the_first_footage_come_with_it(register: Register) -> None:
    shelf = Shelf(register)
    shelf.end(shelf.visit())
    stored = shelf.visit()
    shelf.record(stored)
    shelf.end(stored)
    shelf.visit()  # at work: it has no papers yet
    with register.read() as session:
        assert renewals.visits_beside(session, "S1", [1]) == [1, 2]


def test_visits_of_a_day_say_whose_folders_it_has(register: Register, shelf: Shelf) -> None:
    day = AT.replace(hour=0)
    with register.read() as session:
        found = renewals.docked_between(session, day, day + timedelta(days=1))
        assert sorted(number or "" for _, number in found) == ["", "YS-07"]
        assert renewals.docked_between(session, day - timedelta(days=1), day) == []
        assert renewals.any_docked_between(session, day, AT + timedelta(seconds=1))
        assert not renewals.any_docked_between(session, day, AT)


def test_what_is_due_is_found_by_the_index_alone(station: Station) -> None:
    """A store of years is not read to find the few that are due."""
    register = station.register
    Shelf(register).record()
    asked: list[tuple[str, Any]] = []

    def note(_connection: Connection, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        asked.append((statement, values))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        with register.read() as session:
            renewals.due_locations(session, "S1", all_due(), after=(AT - timedelta(days=1), 1), limit=9)
            renewals.count_due(session, "S1", all_due())
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    with register.read() as session:
        for statement, values in asked:
            if statement.startswith("SELECT"):
                rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values).all()
                plan = "\n".join(str(row[3]) for row in rows)
                assert (
                    "location USING INDEX ix_location_station_no_verified_at (station_no=? AND verified_at" in plan
                ), plan
                assert "SCAN" not in plan.replace("SCAN newest", ""), plan
                assert "B-TREE FOR ORDER BY" not in plan, plan
