"""What a person says of records: it stays theirs, and a case brings along what it knows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from shelf import AT, Shelf

from dockd.errors import UnknownNumber
from dockd.nouns import OwnerState
from dockd.register.alerts import list_alerts, open_alert
from dockd.register.records import find_record, record_history
from dockd.register.session import Register
from dockd.register.tagging import tag_record

LATER = AT + timedelta(hours=1)


@pytest.fixture
def shelf(register: Register) -> Shelf:
    return Shelf(register)


def tag(register: Register, record_id: int, *, actor: str = "person:li", **said: Any) -> int | None:
    with register.write() as session:
        return tag_record(session, record_id, said, actor=actor, at=LATER).revision


def read(register: Register, record_id: int) -> Any:
    with register.read() as session:
        return find_record(session, record_id)


def test_what_is_said_is_a_revision_of_that_person(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record()
    assert tag(register, record_id, title="新名称", is_evidence=True) == 1
    assert tag(register, record_id, title="新名称") is None
    found = read(register, record_id)
    assert (found.title, found.is_evidence, found.basis["title"]) == ("新名称", True, "person:li")
    with register.read() as session:
        last = record_history(session, record_id)[-1]
    assert (last.actor, last.at, last.why) == ("person:li", LATER, "tagged")


def test_a_case_brings_its_cause_parties_and_place(register: Register, shelf: Shelf) -> None:
    shelf.case("A-1", parties=("张某", "某公司"), place="南佐镇", confidentiality="privacy")
    record_id = shelf.record(case_candidates=("A-1", "A-2"))
    tag(register, record_id, case_no="A-1")
    found = read(register, record_id)
    assert (found.case_no, found.case_cause, found.party) == ("A-1", "无证采矿", "张某；某公司")
    assert (found.place, found.confidentiality, found.case_candidates) == ("南佐镇", "privacy", ())
    assert (found.basis["case_no"], found.basis["party"]) == ("person:li", "case:A-1")


def test_another_case_takes_along_what_the_first_had_brought(register: Register, shelf: Shelf) -> None:
    shelf.case("A-1", place="南佐镇", confidentiality="privacy")
    shelf.case("A-2", case_cause="非法占地", parties=(), place=None)
    record_id = shelf.record(case_no="A-1", party="张某", case_cause="无证采矿", place="南佐镇")
    tag(register, record_id, case_no="A-2")
    found = read(register, record_id)
    assert (found.case_no, found.case_cause, found.party, found.place) == ("A-2", "非法占地", None, None)
    tag(register, record_id, case_no="A-1")
    tag(register, record_id, case_no=None)
    found = read(register, record_id)
    assert (found.case_no, found.party, found.place) == (None, None, None)
    assert found.confidentiality == "privacy"  # protection is never lost by the way


def test_what_a_person_said_of_one_item_survives_the_case(register: Register, shelf: Shelf) -> None:
    shelf.case("A-1")
    record_id = shelf.record()
    tag(register, record_id, party="李某")
    tag(register, record_id, case_no="A-1", actor="person:wang")
    found = read(register, record_id)
    assert (found.party, found.case_cause, found.basis["party"]) == ("李某", "无证采矿", "person:li")


def test_what_is_said_together_with_the_case_counts(register: Register, shelf: Shelf) -> None:
    shelf.case("A-1")
    record_id = shelf.record()
    tag(register, record_id, case_no="A-1", party="李某")
    assert read(register, record_id).party == "李某"


def test_officers_settle_the_owner(register: Register, shelf: Shelf) -> None:
    for cert_no in ("1001", "1002"):
        shelf.officer(cert_no, f"名{cert_no}")
    record_id = shelf.record(owner_state=OwnerState.CONFLICT, officer_candidates=("1001", "1002"))
    tag(register, record_id, officers=("1002", "1001", "1002"))
    found = read(register, record_id)
    assert (found.officers, found.owner_state, found.officer_candidates) == (
        ("1002", "1001"),
        OwnerState.ASSIGNED,
        (),
    )
    tag(register, record_id, officers=())
    assert read(register, record_id).owner_state is OwnerState.UNASSIGNED


@pytest.mark.parametrize("said", [{"case_no": "A-9"}, {"officers": ("9999",)}])
def test_unknown_numbers_change_nothing(register: Register, shelf: Shelf, said: dict[str, Any]) -> None:
    record_id = shelf.record()
    with pytest.raises(UnknownNumber, match="9"):
        tag(register, record_id, title="x", **said)
    assert read(register, record_id).revision == 0


def test_the_alert_ends_when_the_last_recording_of_the_visit_has_its_officer(register: Register, shelf: Shelf) -> None:
    shelf.officer("1001")
    visit = shelf.visit()
    records = [shelf.record(visit), shelf.record(visit)]
    with register.write() as session:
        open_alert(session, station_no="S1", kind="unassigned", about=f"visit:{visit}", facts={}, at=AT)

    def standing() -> int:
        with register.read() as session:
            return len(list_alerts(session, open_only=True))

    tag(register, records[0], officers=("1001",))
    assert standing() == 1
    tag(register, records[1], officers=("1001",))
    assert standing() == 0
