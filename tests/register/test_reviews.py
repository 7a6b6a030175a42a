"""What a change may concern is found by an index, and asked for in the transaction of the change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from shelf import AT, Shelf
from sqlalchemy import select, text

from dockd.nouns import OwnerState
from dockd.register import reviews
from dockd.register.reviews import Concerned, ask_review, concerned_records, next_review
from dockd.register.session import Register
from dockd.register.tables import EventRow, RecordRow, StationRow

HOUR = timedelta(hours=1)
ASKED: dict[str, Any] = {"station_no": "S1", "at": AT, "actor": "person:tester"}


def found(register: Register, concerned: Concerned, station_no: str = "S1") -> list[int]:
    """The records of a review that asks for ``concerned``."""
    with register.write() as session:
        if session.get(StationRow, "S1") is None:
            session.add(StationRow(station_no="S1", store_id="1", created_at=AT, last_seen_at=AT))
            session.flush()
        ask_review(session, [concerned, concerned], why="a test", **ASKED)
        review = next_review(session, station_no)
        if review is None:
            return []
        numbers = concerned_records(session, review, station_no)
        reviews.end_review(session, review, station_no=station_no, at=AT)
        assert next_review(session, station_no) is None, "asked twice in one call, it is one"
        return numbers


def used(begin: float, end: float) -> dict[str, datetime]:
    return {"used_from": AT + begin * HOUR, "used_to": AT + end * HOUR}


def test_a_recorders_are_those_with_a_moment_in_the_time_and_those_without_any(register: Register) -> None:
    shelf = Shelf(register)
    own = shelf.visit(shelf.recorder("YS-07"))
    other = shelf.visit(shelf.recorder("YS-08"))
    early, inside, timeless = (
        shelf.record(own, b"a", **used(-9, -8)),
        shelf.record(own, b"b", **used(-1, 0)),
        shelf.record(own, b"c"),
    )
    disputed = shelf.record(own, b"d", **used(-9, -8), other_ends=(AT,))
    shelf.record(other, b"e", **used(-1, 0))
    shelf.record(own, b"f", docked_at=AT - 30 * HOUR)  # no custody of a later time says anything of it
    with register.read() as session:
        key = session.scalar(select(RecordRow.recorder_id).where(RecordRow.id == inside))
    assert found(register, Concerned(recorder_id=key, frm=AT - HOUR, to=AT)) == [inside, timeless, disputed]
    assert found(register, Concerned(recorder_id=key, to=AT - 8 * HOUR)) == [early, disputed, timeless + 3]


def test_an_officers_are_his_own_and_those_that_wait_for_anybody(register: Register) -> None:
    shelf = Shelf(register)
    wang, li = shelf.officer("1"), shelf.officer("2")
    assigned = {"owner_state": OwnerState.ASSIGNED}
    his = shelf.record(name=b"a", officers=(wang,), **assigned, **used(0, 1))
    shelf.record(name=b"b", officers=(li,), **assigned, **used(0, 1))
    waiting = shelf.record(name=b"c", **used(0, 1))
    shelf.record(name=b"d", **used(5, 6))
    assert found(register, Concerned(cert_no=wang, frm=AT, to=AT + HOUR)) == [his, waiting]
    assert len(found(register, Concerned(frm=AT, to=AT + HOUR))) == 3


def test_a_cases_are_those_tagged_with_it_and_another_stations_are_its_own(register: Register) -> None:
    shelf = Shelf(register)
    tagged = shelf.record(name=b"a", case_no="A-1")
    shelf.record(name=b"b")
    assert found(register, Concerned(case_no="A-1")) == [tagged]
    assert found(register, Concerned(record_id=tagged)) == [tagged]
    with register.write() as session:
        session.add(StationRow(station_no="S2", store_id="2", created_at=AT, last_seen_at=AT))
        session.flush()
        ask_review(session, [Concerned(case_no="A-1")], why="a test", **ASKED)
        assert next_review(session, "S2") is None


def test_a_numbers_are_those_whose_evidence_gives_it_whoever_has_it(register: Register) -> None:
    shelf = Shelf(register)
    named = shelf.record(name=b"a", tokens=("JX0227", "2107731"), owner_state=OwnerState.ASSIGNED)
    shelf.record(name=b"b", tokens=("2107731",))
    assert found(register, Concerned(token="jx0227")) == [named]
    assert found(register, Concerned(token="nobody")) == []


def test_those_that_wait_are_asked_for_alone(register: Register) -> None:
    shelf = Shelf(register)
    own = shelf.visit(shelf.recorder("YS-07"))
    waiting = shelf.record(own, b"a", **used(0, 1))
    shelf.record(own, b"b", owner_state=OwnerState.ASSIGNED, **used(0, 1))
    with register.read() as session:
        key = session.scalar(select(RecordRow.recorder_id).where(RecordRow.id == waiting))
    assert found(register, Concerned(recorder_id=key, waiting=True)) == [waiting]


def test_asking_and_ending_are_told_in_the_ledger_and_what_concerns_nothing_is_not(register: Register) -> None:
    shelf = Shelf(register)
    shelf.record(name=b"a", case_no="A-1")
    found(register, Concerned(case_no="A-1"))
    found(register, Concerned(case_no="A-2"))
    with register.read() as session:
        told = session.scalars(select(EventRow.kind).where(EventRow.kind.startswith("review")).order_by(EventRow.seq))
        assert list(told) == ["review.asked", "review.done"]


@pytest.mark.parametrize(
    ("concerned", "index"),
    [
        (Concerned(recorder_id=1, frm=AT, to=AT + HOUR), "ix_record_recorder_id_witnessed_to"),
        (Concerned(case_no="A"), "ix_record_case_no"),
        (Concerned(token="a"), "ix_record_token_token"),
        (Concerned(recorder_id=1, waiting=True), "ix_record_"),
        (Concerned(frm=datetime(2026, 1, 1, tzinfo=UTC), to=AT), "ix_record_witnessed_to"),
    ],
)
def test_a_review_reads_an_index_and_never_all_of_history(register: Register, concerned: Concerned, index: str) -> None:
    query = select(RecordRow.id).where(reviews._condition(concerned))
    with register.read() as session:
        if register.dialect == "postgresql":
            session.execute(text("SET LOCAL enable_seqscan = off"))  # an empty table is read whole otherwise
        statement = query.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        explain = "EXPLAIN" if register.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
        plan = " ".join(str(row) for row in session.execute(text(f"{explain} {statement}")))
    assert index in plan
    assert "SCAN record" not in plan
