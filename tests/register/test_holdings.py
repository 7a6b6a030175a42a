"""What the store should hold: the same answers from either database."""

from __future__ import annotations

from datetime import timedelta

import pytest
from shelf import AT, Shelf
from sqlalchemy import insert, select

from dockd.nouns import VerifiedVia
from dockd.register import holdings
from dockd.register.holdings import Renewed
from dockd.register.session import Register
from dockd.register.tables import LocationRow, LocationState, SidecarRow

LATER = AT + timedelta(hours=1)


@pytest.fixture
def shelf(register: Register) -> Shelf:
    """Two visits: three files of the first (one of them without a record), one later file of the second."""
    shelf = Shelf(register)
    first = shelf.visit()
    shelf.record(first, data=b"one")
    shelf.record(first, data=b"two")
    shelf.footage(first, data=b"three")
    shelf.end(first, "footage/m.sha256")
    shelf.at = LATER
    shelf.record(shelf.visit(), data=b"four")
    return shelf


def test_footage_is_counted_and_paged(register: Register, shelf: Shelf) -> None:
    with register.read() as session:
        assert holdings.count_footage(session, "S1", None) == (4, 15)
        assert holdings.count_footage(session, "S1", LATER) == (1, 4)
        first = holdings.page_footage(session, "S1", None, after=0, limit=3)
        rest = holdings.page_footage(session, "S1", None, after=first[-1].key, limit=3)
        assert [h.size for h in (*first, *rest)] == [3, 3, 5, 4]
        assert [h.record_id for h in (*first, *rest)] == [1, 2, None, 3]
        assert {h.state for h in first} == {LocationState.PRESENT}
        assert not any(h.replaced for h in first)
        assert [h.record_id for h in holdings.page_footage(session, "S1", LATER, after=0, limit=9)] == [3]


def test_a_place_that_has_a_successor_is_replaced(register: Register, shelf: Shelf) -> None:
    with register.write() as session:
        again = {"stored_at": LATER, "verified_at": LATER, "verified_via": "o_direct"}
        session.add(LocationRow(station_no="S1", footage_id=1, path="footage/again", **again))
    with register.read() as session:
        found = holdings.page_footage(session, "S1", None, after=0, limit=9)
    assert [h.replaced for h in found] == [True, False, False, False, False]


def test_manifests_and_what_they_must_name(register: Register, shelf: Shelf) -> None:
    with register.read() as session:
        assert holdings.page_manifests(session, "S1", None, after=0, limit=9) == [(1, "footage/m.sha256")]
        assert holdings.page_manifests(session, "S1", None, after=1, limit=9) == []
        assert holdings.page_manifests(session, "S1", LATER + timedelta(hours=1), after=0, limit=9) == []
        held = holdings.page_footage(session, "S1", None, after=0, limit=3)
        assert holdings.digests_of_visit(session, 1) == {h.sha256 for h in held}
        assert holdings.digests_at(session, "S1", [held[0].path, "nothing"]) == {held[0].path: held[0].sha256}


def test_known_are_footage_sidecars_temps_and_manifests(register: Register, shelf: Shelf) -> None:
    sidecar = {"record_id": 1, "revision": 0, "path": "footage/s.xmp", "sha256": "0" * 64, "written_at": AT}
    with register.write() as session:
        session.execute(insert(SidecarRow).values(**sidecar))
    with register.read() as session:
        held = holdings.page_footage(session, "S1", None, after=0, limit=1)[0].path
        asked = [held, "footage/s.xmp", "footage/m.sha256", "stranger"]
        assert holdings.known_paths(session, asked, [1, 2, 10**17]) == set(asked[:3])
        assert holdings.known_paths(session, asked, [2]) >= set(asked[:2])
        assert holdings.known_paths(session, [], []) == set()
        assert holdings.visits_at_work(session, [1, 2, 3]) == {2}
        assert [h.path for h in holdings.page_sidecars(session, "S1", None, after=0, limit=9)] == ["footage/s.xmp"]
        assert holdings.page_sidecars(session, "S1", LATER, after=0, limit=9) == []


def test_renewed_proof_is_kept_and_a_failed_one_keeps_its_last_time(register: Register, shelf: Shelf) -> None:
    with register.write() as session:
        proven = Renewed(1, LocationState.PRESENT, LATER, VerifiedVia.DIRECT)
        holdings.renew_proof(session, [proven, Renewed(2, LocationState.ALTERED, LATER, None)])
        holdings.renew_proof(session, [])
    with register.read() as session:
        rows = session.execute(
            select(LocationRow.state, LocationRow.verified_at, LocationRow.verified_via).order_by(LocationRow.id)
        ).all()
    assert [tuple(row) for row in rows[:2]] == [("present", LATER, "o_direct"), ("altered", AT, "cache_dropped")]
