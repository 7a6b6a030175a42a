"""Recorders are plugged in and taken out; real workers read real cards, and nobody touches a key."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import disks
import pytest
from faultfs import Fault, faulty_card
from office import MIB, Office

from dockd.nouns import Recorder
from dockd.register import recorders


def workers(office: Office) -> list[int]:
    """The processes that are forked from the nursery."""
    nursery = office.crew._nursery
    return [int(pid) for pid in Path(f"/proc/{nursery}/task/{nursery}/children").read_text().split()]


def test_a_recorder_is_plugged_in_and_its_recordings_are_stored(office: Office) -> None:
    card = office.card("one")
    office.script.plug("A1", card)
    row = office.until_state("A1", "done")
    office.until_quiet()
    (visit,) = office.shown()
    assert (visit["outcome"], visit["bay"], visit["device_no"], visit["source"]) == ("complete", "A1", "YS-07", "dock")
    assert row["device_no"] == "YS-07"
    assert office.bay("A1")["visit_id"] == visit["visit_id"]
    office.require_stored(card, visit)
    office.script.pull("A1")
    office.clock.ahead += 10
    office.until_state("A1", "empty")


def test_what_is_there_when_the_service_starts_is_read(office: Office) -> None:
    office.script.plug("A1", office.card("one"))
    office.start()
    office.until_state("A1", "done")


def test_eight_at_once_are_all_stored(office: Office) -> None:
    office.configure("unknown_recorder: ingest")
    cards = {f"B{number}": office.card(f"b{number}", serial=f"{3000000 + number}", files=3) for number in range(8)}
    for bay, card in cards.items():
        office.script.plug(bay, card)
    for bay in cards:
        office.until_state(bay, "done")
    office.until_quiet()
    by_bay = {visit["bay"]: visit for visit in office.shown()}
    assert len(by_bay) == 8
    for bay, card in cards.items():
        office.require_stored(card, by_bay[bay])


def test_an_unregistered_recorder_is_shown_alerted_and_not_copied(office: Office) -> None:
    office.script.plug("A1", office.card("stranger", serial="9107731"))
    office.until_state("A1", "unknown")
    (visit,) = office.shown()
    assert visit["outcome"] == "failed"
    assert not list((office.store / "footage").rglob("*.log"))
    assert "unknown_recorder" in office.kinds()


def test_a_recorder_that_is_registered_while_it_is_docked_is_read_at_once(office: Office) -> None:
    card = office.card("stranger", serial="9107731")
    office.script.plug("A1", card)
    office.until_state("A1", "unknown")
    office.clock.ahead += 60
    office.until_quiet()
    assert len(office.shown()) == 1, "nothing was registered: nothing is read again"
    station = office.station()
    try:
        with station.register.write() as session:
            recorder = Recorder("YS-77", "9107731")
            recorders.add_recorder(session, recorder, station_no="S1", now=station.now(), actor="person:wang")
    finally:
        station.close()
    office.clock.ahead += 60
    office.until_state("A1", "done")
    office.until_quiet()
    held, visit = office.shown()
    assert (held["state"], visit["device_no"]) == ("held", "YS-77")
    office.require_stored(card, visit)
    assert "unknown_recorder" not in office.kinds()


def test_a_recording_that_came_too_late_is_said_on_the_bay(office: Office) -> None:
    office.script.plug("A1", office.card("late", hours_ago=48))
    (path,) = list((office.folder.parent / "card-late/DCIM").glob("*_0000.log"))
    path.rename(path.with_suffix(".mp4"))
    office.until_state("A1", "done_late")
    office.until_quiet()
    assert office.bay("A1")["state"] == "done_late"
    assert "late_docked" in office.kinds()


def test_the_nearest_deadline_is_copied_first_and_a_priority_bay_before_it(office: Office) -> None:
    office.configure("docking: {settle: 0s, return_within: 2s, visits: 1, per_controller: 1}")
    office.configure("unknown_recorder: ingest")
    office.start()
    office.script.plug("A1", office.card("now", serial="3000001", large=128 * MIB, hours_ago=1))
    office.until(lambda: office.bay("A1")["state"] == "copying")
    office.script.plug("A2", office.card("far", serial="3000002", hours_ago=2))
    office.script.plug("B1", office.card("near", serial="3000003", hours_ago=20))
    office.until(lambda: office.visits.show()["queued"] == 2)
    assert (office.bay("B1")["position"], office.bay("A2")["position"]) == (1, 2)
    for bay in ("A1", "A2", "B1"):
        office.until_state(bay, "done")
    begun = {visit["bay"]: visit["first_byte_at"] for visit in office.shown()}
    assert begun["A1"] < begun["B1"] < begun["A2"]


# --- identities ------------------------------------------------------------------------------------------------


def test_two_recorders_that_claim_one_identity_are_alerted_and_not_mixed(office: Office) -> None:
    office.script.plug("A1", office.card("one"))
    office.until_state("A1", "done")
    office.script.plug("A2", office.card("twin"))
    office.until_state("A2", "unknown")
    office.until_quiet()
    first, second = office.shown()
    assert (first["device_no"], second["device_no"]) == ("YS-07", None)
    (facts,) = [facts for kind, facts in office.alerts() if kind == "twin_identity"]
    assert facts == {"device_no": "YS-07", "bay": "A1"}


def test_a_twin_that_is_ingested_is_stored_as_nobodys(office: Office) -> None:
    office.configure("unknown_recorder: ingest")
    twin = office.card("twin")
    office.script.plug("A1", office.card("one"))
    office.until_state("A1", "done")
    office.script.plug("A2", twin)
    office.until_state("A2", "done")
    office.until_quiet()
    second = office.shown()[-1]
    assert second["device_no"] is None
    office.require_stored(twin, second)
    assert "twin_identity" in office.kinds()


def test_a_recorder_that_named_itself_when_it_was_unlocked_is_believed_before_its_files(office: Office) -> None:
    card = office.card("moved", serial="2107732")
    office.configure("docking: {settle: 1s, return_within: 2s, visits: 8, per_controller: 8}")
    office.script.plug("A1", card)
    office.start()
    office.visits._dock.stays["A1"].driver_serial = "2107731"
    office.until_state("A1", "done")
    office.until_quiet()
    (visit,) = office.shown()
    assert (visit["device_no"], visit["identified_by"]) == ("YS-07", "driver")
    assert "identity_conflict" in office.kinds(), "its files are another recorder's: the card was moved (article 26)"


# --- workers ---------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_followed_by_another_that_resumes(office: Office) -> None:
    card = office.card("one", large=128 * MIB)
    office.script.plug("A1", card)
    office.until_copying("A1")
    for pid in workers(office):
        os.kill(pid, signal.SIGKILL)
    office.until(lambda: office.bay("A1")["state"] != "copying")
    office.clock.ahead += 3
    office.until_state("A1", "done")
    office.until_quiet()
    office.require_stored(card, office.shown()[-1])
    assert not list(office.store.rglob("*.part"))


def test_a_visit_that_was_cut_short_is_finished_though_its_card_does_not_come_back(office: Office) -> None:
    office.script.plug("A1", office.card("one", large=128 * MIB))
    office.until_copying("A1")
    for pid in workers(office):
        os.kill(pid, signal.SIGKILL)
    office.script.pull("A1")
    office.until(lambda: not office.crew.size)
    office.clock.ahead += 20
    office.until(lambda: office.shown()[0]["outcome"], "the visit's end")
    office.until_quiet()
    (visit,) = office.shown()
    assert (visit["outcome"], visit["safe_at"]) == ("partial", None)


def test_a_worker_that_says_nothing_any_more_is_abandoned_and_others_go_on(office: Office) -> None:
    office.script.plug("A1", office.card("frozen", large=128 * MIB))
    office.until_copying("A1")
    (frozen,) = workers(office)
    os.kill(frozen, signal.SIGSTOP)
    office.clock.ahead += 60
    office.until_state("A1", "not_answering")
    office.script.plug("A2", office.card("other", serial="2107732"))
    office.until_state("A2", "done")
    assert office.bay("A1")["state"] == "not_answering"
    office.until_quiet()
    assert "not_answering" in office.kinds()
    assert office.visits.alive(), "the card is the culprit, not the service"


def test_a_service_that_ends_while_cards_are_copied_leaves_visits_that_are_resumed(office: Office) -> None:
    card = office.card("one", large=384 * MIB)
    office.script.plug("A1", card)
    office.until_copying("A1")
    office.stop()
    assert list(office.store.rglob("*.part")), "what was proven is kept"
    office.start()
    office.script.show()
    office.until_state("A1", "done")
    office.until_quiet()
    office.require_stored(card, office.shown()[-1])
    assert not list(office.store.rglob("*.part"))


# --- the store -------------------------------------------------------------------------------------------------


def test_a_store_that_is_gone_is_waited_for_and_the_visit_goes_on_by_itself(office: Office) -> None:
    card, aside = office.card("one", large=128 * MIB), office.store.with_name("aside")
    office.script.plug("A1", card)
    office.until_copying("A1")
    office.store.rename(aside)
    row = office.until_state("A1", "paused")
    assert row["reason"] == "store_missing"
    aside.rename(office.store)
    office.until_state("A1", "done")
    office.until_quiet()
    (visit,) = office.shown()
    assert visit["outcome"] == "complete"
    office.require_stored(card, visit)
    assert "store_trouble" not in office.kinds(), "it is over"


def test_a_store_that_is_gone_before_the_card_comes_is_waited_for_too(office: Office) -> None:
    aside = office.store.with_name("aside")
    office.store.rename(aside)
    office.script.plug("A1", office.card("one"))
    row = office.until_state("A1", "paused")
    assert row["reason"] == "store_missing"
    aside.rename(office.store)
    office.clock.ahead += 60
    office.until_state("A1", "done")
    office.until_quiet()
    assert len(office.shown()) == 1


# --- cards that go and come ------------------------------------------------------------------------------------


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[disks.Slot]:
    with disks.slot(tmp_path / "medium", tmp_path / "slot") as slot:
        yield slot


rooted = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.mark.fuse
@pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="no access to /dev/fuse")
def test_a_read_that_never_returns_ends_that_visit_and_nothing_else(office: Office, tmp_path: Path) -> None:
    office.configure("card: {patience: 1s}")
    card = office.card("hanging", large=4 * MIB)
    (big,) = card.glob("DCIM/*_9999.log")
    with faulty_card(card, tmp_path / "reader") as reader:
        reader.spoil(str(big.relative_to(card)), Fault(hangs_at=MIB))
        office.script.plug("A1", reader.path)
        office.until_state("A1", "not_answering")
        office.script.plug("A2", office.card("other", serial="2107732"))
        office.until_state("A2", "done")
        office.until_quiet()
        assert office.bay("A1")["state"] == "not_answering"
        assert "not_answering" in office.kinds()
        reader.heal()
        office.script.pull("A1")
        office.clock.ahead += 10
        office.until_state("A1", "removed_early")
        office.script.plug("A1", reader.path, seq=2)
        office.until_state("A1", "done")
        office.until_quiet()
        office.require_stored(card, office.shown()[-1])


@pytest.mark.root
@rooted
def test_a_recorder_that_re_enumerates_in_mid_file_goes_on_in_the_same_visit(
    office: Office, reader: disks.Slot, tmp_path: Path
) -> None:
    office.configure("docking: {settle: 0s, return_within: 30s, visits: 8, per_controller: 8}")
    card = office.card("one", large=128 * MIB)
    image = disks.card_image(tmp_path / "card.img", card, label="CARD", born=1_795_000_010, size=160 * MIB)
    reader.insert(image)
    office.script.plug("A1", reader.path, seq=1)
    office.until_copying("A1")
    reader.pull()
    office.script.pull("A1")
    office.until_state("A1", "away")
    reader.eject()
    reader.insert(image)
    office.script.plug("A1", reader.path, seq=2)
    office.until_state("A1", "done")
    office.until_quiet()
    (visit,) = office.shown()
    assert visit["outcome"] == "complete"
    office.require_stored(card, visit)
    assert "removed_early" not in office.kinds()


@pytest.mark.root
@rooted
def test_a_recorder_that_is_taken_out_in_mid_file_was_removed_early_and_resumes_in_any_bay(
    office: Office, reader: disks.Slot, tmp_path: Path
) -> None:
    card = office.card("one", large=128 * MIB)
    image = disks.card_image(tmp_path / "card.img", card, label="CARD", born=1_795_000_011, size=160 * MIB)
    reader.insert(image)
    office.script.plug("A1", reader.path, seq=1)
    office.until_copying("A1")
    reader.pull()
    office.script.pull("A1")
    office.until_state("A1", "removed_early")
    office.until_quiet()
    assert "removed_early" in office.kinds()
    reader.eject()
    reader.insert(image)
    office.script.plug("A2", reader.path, seq=2)
    office.until_state("A2", "done")
    office.until_quiet()
    first, second = office.shown()
    assert (first["outcome"], second["outcome"]) == ("partial", "complete")
    office.require_stored(card, second)
