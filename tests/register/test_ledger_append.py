"""Appending: a line is there exactly when what it tells of is, and writers at once make one chain."""

from __future__ import annotations

import hashlib
import multiprocessing
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dockd.register import ledger
from dockd.register.session import Register
from dockd.register.tables import EventRow, OfficerRow

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

Tell = Callable[..., None]


def lines(register: Register, station_no: str = "S1") -> list[tuple[int, str, str]]:
    query = select(EventRow.seq, EventRow.line, EventRow.sha256).where(EventRow.station_no == station_no)
    with register.read() as session:
        return [tuple(row) for row in session.execute(query.order_by(EventRow.seq))]


def test_lines_follow_each_other_and_the_head_is_the_last(register: Register, tell: Tell) -> None:
    tell(2)
    tell(3)
    kept = lines(register)
    assert [seq for seq, _, _ in kept] == [1, 2, 3, 4, 5]
    assert all(hashlib.sha256(line.encode()).hexdigest() == sha256 for _, line, sha256 in kept)
    with register.read() as session:
        head = ledger.head(session, "S1")
    assert (head.seq, head.sha256) == (5, kept[-1][2])
    assert head.at is not None


def test_a_chain_without_lines_has_a_head_too(register: Register) -> None:
    with register.read() as session:
        assert ledger.head(session, "S1") == ledger.Head(0, "0" * 64, None)
    with register.write() as session:
        ledger.append_many(session, station_no="S1", actor="dockd", lines=[])
    assert lines(register) == []


def test_a_line_goes_with_the_transaction_that_it_tells_of(register: Register, tell: Tell) -> None:
    with pytest.raises(ZeroDivisionError), register.write() as session:  # noqa: PT012 (the block is what is tested)
        ledger.append(session, station_no="S1", kind="a.b", subject="a:1", data={}, at=AT, actor="dockd")
        raise ZeroDivisionError
    tell(1)
    assert [seq for seq, _, _ in lines(register)] == [1]


def test_every_station_has_a_chain_of_its_own(register: Register, tell: Tell) -> None:
    tell(2, station_no="S1")
    tell(1, station_no="S2")
    tell(1, station_no="S1")
    assert [seq for seq, _, _ in lines(register, "S1")] == [1, 2, 3]
    assert [seq for seq, _, _ in lines(register, "S2")] == [1]


def test_writers_at_once_make_one_chain_from_its_first_line_on(
    register: Register, tell: Tell, verify: Callable[..., ledger.LedgerReport]
) -> None:
    start = threading.Barrier(4)

    def write() -> None:
        start.wait()
        for _ in range(8):
            tell(2)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify()
    assert report.problems == ()
    assert report.lines == 64


def test_two_stations_that_write_at_once_lose_and_double_nothing_and_each_has_its_chain(
    register: Register, store: Path
) -> None:
    fork = multiprocessing.get_context("fork")
    begin = fork.Barrier(2)
    stations = [fork.Process(target=enter_officers, args=(register, begin, one)) for one in ("S1", "S2")]
    for station in stations:
        station.start()
    for station in stations:
        station.join(60)
    assert [station.exitcode for station in stations] == [0, 0]
    with register.read() as session:
        found = sorted(session.scalars(select(OfficerRow.cert_no)))
    assert found == [f"{one}-{number:02d}" for one in ("S1", "S2") for number in range(20)]
    for one in ("S1", "S2"):
        ledger.mirror_ledger(register, store, one, ZoneInfo("Asia/Shanghai"))
        report = ledger.verify_ledger(register, store, one)
        assert (report.problems, report.lines) == ((), 20)


def enter_officers(register: Register, begin: Any, station_no: str) -> None:
    """A station's process: each officer and its line of the ledger in one transaction."""
    begin.wait(30)
    for number in range(20):
        row = {"cert_no": f"{station_no}-{number:02d}", "name": "Li", "active": True}
        with register.write() as session:
            session.add(OfficerRow(**row, created_at=AT, updated_at=AT))
            line = {"kind": "officer.added", "subject": f"officer:{row['cert_no']}", "data": {}, "at": AT}
            ledger.append(session, station_no=station_no, actor="person:tester", **line)


TEXTS = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
PAYLOADS = st.dictionaries(TEXTS, TEXTS | st.binary(max_size=20) | st.floats() | st.integers() | st.none(), max_size=4)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PAYLOADS, TEXTS)
def test_any_payload_is_kept_as_it_was_hashed(
    register: Register, verify: Callable[..., ledger.LedgerReport], data: dict[str, Any], number: str
) -> None:
    with register.write() as session:
        ledger.append(
            session, station_no="S1", kind="test.told", subject=f"test:{number}", data=data, at=AT, actor="dockd"
        )
    assert verify().problems == ()
