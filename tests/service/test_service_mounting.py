"""A card that comes as one descriptor from the mount broker: read, stored, and free again at the end."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import disks
import pytest
from office import MIB, Office

from dockd.broker.wire import OpenCard, granted_packet, read_request, refused_packet
from dockd.errors import CardMountedElsewhere
from dockd.service.devices import Block, Ownership

pytestmark = disks.root


class Broker:
    """Answers as the real one does (``dockd/broker``), with a card that the test mounted; counts what was asked."""

    def __init__(self, path: Path, card: Path) -> None:
        self.asked: list[tuple[int, int]] = []
        self.refusals = 0
        self.path = path
        self._card = card
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._door.bind(str(path))
        self._door.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._door.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _address = self._door.accept()
            except OSError:
                return
            with connection:
                request = read_request(connection.recv(100))
                assert request is not None
                self.asked.append((request.device, request.diskseq))
                if self.refusals:
                    self.refusals -= 1
                    refusal = CardMountedElsewhere(device="sdb1", reason="/media/other")
                    connection.send(refused_packet(refusal))
                    continue
                root = os.open(self._card, os.O_RDONLY | os.O_DIRECTORY)
                options = ("ro", "nosuid", "nodev", "noexec", "noatime", "tz=UTC")
                socket.send_fds(connection, [granted_packet(OpenCard(root, "vfat", options))], [root])
                os.close(root)


@pytest.fixture
def broker(office: Office, tmp_path: Path) -> Iterator[Broker]:
    card = office.card("one", files=3, large=2 * MIB)
    image = disks.card_image(tmp_path / "card.img", card, label="CARD", born=1_795_000_020)
    with disks.ext4(image, tmp_path / "mounted", size=0, options="ro"):
        found = Broker(tmp_path / "broker", tmp_path / "mounted")
        found_at = os.stat(tmp_path / "mounted").st_dev
        block = Block("sdb1", found_at, 7, "A1", "usb1", Ownership.CARD, "vfat", "1234-ABCD")
        office.script.blocks.add(block)
        yield found
        found.stop()


def start(office: Office, broker: Broker) -> None:
    """The service starts first: its nursery is forked while there are no threads."""
    office.broker = str(broker.path)
    office.start()
    broker.start()


def test_a_card_from_the_broker_is_read_by_its_descriptor_alone_and_let_go(office: Office, broker: Broker) -> None:
    start(office, broker)
    office.until_state("A1", "done")
    office.until_quiet()
    (visit,) = office.shown()
    assert visit["outcome"] == "complete"
    assert broker.asked == [(os.stat(broker._card).st_dev, 7)]
    office.require_stored(office.folder.parent / "card-one", visit)
    station = office.station()
    try:
        from dockd.register.tables import VisitRow

        with station.register.read() as session:
            row = session.get_one(VisitRow, visit["visit_id"])
            assert row.card["fs_type"] == "vfat"
            assert row.card["mtime_is_wall"] is True, "the broker's options are the only word on that"
            assert row.card["writable"] is False
            assert row.path == "/dev/sdb1"
    finally:
        station.close()


def test_a_card_that_another_program_has_mounted_is_said_and_tried_again(office: Office, broker: Broker) -> None:
    broker.refusals = 1
    start(office, broker)
    row = office.until_state("A1", "failed")
    assert row["reason"] == "card_mounted_elsewhere"
    office.clock.ahead += 3
    office.until_state("A1", "done")
    office.until_quiet()
    (facts,) = [facts for kind, facts in office.alerts() if kind == "card_not_opened"]
    assert "/media/other" in facts["evidence"]


def test_a_card_that_comes_back_is_asked_for_by_its_new_number(office: Office, broker: Broker) -> None:
    start(office, broker)
    office.until_state("A1", "done")
    (old,) = office.script.blocks
    office.script.pull("A1")
    office.script.blocks.add(replace(old, diskseq=8))
    office.script.show()
    office.until(lambda: office.bay("A1")["state"] == "done")
    office.until_quiet()
    assert len(office.shown()) == 1, "finished and back within seconds: the same visit"


def test_without_a_broker_the_bay_says_so_and_it_is_tried_again(office: Office, broker: Broker) -> None:
    office.broker = "/nowhere"
    broker.start()
    row = office.until_state("A1", "paused", "failed")
    assert row["reason"] == "broker_silent"
