"""A register that stations share: what one of them has in its store is no other's to look at or to take up."""

from __future__ import annotations

from itertools import count

from shelf import Shelf
from sqlalchemy import update

from dockd.register import transfers
from dockd.register.session import Register
from dockd.register.tables import TransferRow, TransferState

FILE = b"DCIM/0001.MP4"


def test_footage_of_another_station_is_known_by_its_bytes_alone(register: Register) -> None:
    theirs = Shelf(register, station_no="S1")
    footage_id = theirs.footage(theirs.visit())
    with register.read() as session:
        card = {"card_instance": "card", "recorder_id": None}
        here, there = (transfers.known_on_card(session, station_no=s, paths=[FILE], **card) for s in ("S2", "S1"))
        assert (list(here), list(there)) == ([], [FILE])
        wanted = [(there[FILE].sha256, there[FILE].size)]
        ((known,),) = transfers.known_by_digest(session, station_no="S2", wanted=wanted, **card).values()
        assert (known.footage_id, known.location) == (footage_id, "")


def test_a_half_copy_waits_at_its_own_station(register: Register) -> None:
    """Another one would find no such temp, call the copy lost, and so take it from the station that has it."""
    theirs, ours = (
        Shelf(register, station_no=number, numbers=numbers) for numbers in [count(1)] for number in ("S1", "S2")
    )
    visit_id = theirs.visit()
    theirs.footage(visit_id)
    ours.footage(ours.visit(), data=b"other bytes")
    with register.write() as session:
        half = {"state": TransferState.COPYING.value, "outcome": None, "temp": "footage/half.part"}
        session.execute(update(TransferRow).where(TransferRow.visit_id == visit_id).values(**half))
    theirs.end(visit_id)
    with register.read() as session:
        held = {s: transfers.held_temps(session, station_no=s, card_instance="card") for s in ("S1", "S2")}
    assert {station: [temp.temp for temp in temps] for station, temps in held.items()} == {
        "S1": ["footage/half.part"],
        "S2": [],
    }
