"""A history that is multiplied is one that the register takes for its own."""

from __future__ import annotations

from history import OFFICERS, RECORDERS, multiply
from shelf import AT, Shelf

from dockd.nouns import OwnerState
from dockd.register.records import RecordFilter, list_records
from dockd.register.session import Register


def test_every_copy_is_a_record_of_its_own_that_searches_find_and_new_ones_follow(
    register: Register, register_url: str
) -> None:
    shelf = Shelf(register)
    shelf.officer()
    shelf.case()
    visit_id = shelf.visit(shelf.recorder())
    said = {"officers": ("13012301",), "owner_state": OwnerState.ASSIGNED, "used_from": AT, "used_to": AT}
    last = shelf.record(visit_id, **said)
    assert multiply(register_url, 30) == 31

    with register.read() as session:
        every = list_records(session, RecordFilter(), limit=99)
        assert len({record.file_no for record in every}) == len({record.sha256 for record in every}) == 31
        assert all(record.location for record in every)
        numbers = [record.device_no for record in every if record.record_id != last]
        assert len(set(numbers)) == min(30, RECORDERS)
        assert len({record.officers for record in every}) == min(30, OFFICERS) + 1
        times = [record.used_from for record in every[1:]]
        assert times == sorted(times)
        assert max(times) < AT
        (found,) = list_records(session, RecordFilter(device_no=numbers[3]), limit=9)
        assert found.record_id in {record.record_id for record in every}
    assert shelf.record(shelf.visit(), b"DCIM/NEW.MP4", b"new") > max(record.record_id for record in every)
