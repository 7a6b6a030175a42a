from __future__ import annotations

import os
import threading
from pathlib import Path
from socket import AF_UNIX, SOCK_SEQPACKET, socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.broker.wire import (
    Head,
    OpenCard,
    Request,
    ask,
    granted_packet,
    read_answer,
    read_request,
    refused_packet,
    request_packet,
)
from dockd.errors import BrokerSilent, CardMountedElsewhere, CardNotOpened

KINDS = CardNotOpened.__subclasses__()


@given(st.integers(0, 4095), st.integers(0, (1 << 20) - 1), st.integers(0, (1 << 63) - 1))
def test_a_request_survives_the_way(major: int, minor: int, diskseq: int):
    request = Request(os.makedev(major, minor), diskseq)
    assert read_request(request_packet(request)) == request


@given(st.binary(max_size=80))
def test_anything_else_is_no_request(packet: bytes):
    found = read_request(packet)
    assert found is None or request_packet(found) == packet


@pytest.mark.parametrize(
    "packet",
    [b"", b"dockd-mount/2 8:1 5", b"dockd-mount/1 /dev/sdb1 5", b"dockd-mount/1 8:1 5\n", b"dockd-mount/1 8:1 5 rw"],
)
def test_a_path_an_option_or_another_version_is_no_request(packet: bytes):
    assert read_request(packet) is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_refusal_arrives_as_itself(kind: type[CardNotOpened]):
    with pytest.raises(kind) as caught:
        read_answer(refused_packet(kind(device="sdb1", reason="/media/my card")), [])
    assert (caught.value.fields["device"], caught.value.fields["reason"]) == ("sdb1", "/media/my card")


def test_a_card_arrives_with_its_directory_and_its_options():
    fd = os.open("/", os.O_RDONLY)
    card = OpenCard(fd, "vfat", ("ro", "uid=990", "tz=UTC"), (Head(0, b"\xeb\0"), Head(1080, b"12345678")))
    assert read_answer(granted_packet(card), [fd]) == card
    os.close(fd)


@pytest.mark.parametrize(
    "packet", [b"", b"ok", b"ok vfat ro", b"ok vfat ro 0:zz", b"refused", b"refused by_nobody sdb1 x", b"\xff"]
)
def test_an_answer_that_is_none_is_silence(packet: bytes):
    with pytest.raises(BrokerSilent):
        read_answer(packet, [])


def test_a_descriptor_that_comes_with_a_refusal_does_not_stay_open():
    fd = os.open("/", os.O_RDONLY)
    with pytest.raises(CardMountedElsewhere):
        read_answer(refused_packet(CardMountedElsewhere(device="sdb1", reason="/x")), [fd])
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_where_nobody_listens_the_broker_is_silent(tmp_path: Path):
    with pytest.raises(BrokerSilent):
        ask(os.makedev(8, 17), 3, at=str(tmp_path / "nothing"))


@pytest.mark.parametrize("hangs_up", [True, False])
def test_a_broker_that_says_nothing_is_silent(tmp_path: Path, hangs_up: bool):
    at = str(tmp_path / "socket")
    with socket(AF_UNIX, SOCK_SEQPACKET) as listening:
        listening.bind(at)
        listening.listen()

        def hear() -> None:
            with listening.accept()[0] as connection:
                assert read_request(connection.recv(64)) == Request(os.makedev(8, 17), 3)
                if not hangs_up:
                    connection.recv(64)  # until the other side has had enough

        hearing = threading.Thread(target=hear)
        hearing.start()
        with pytest.raises(BrokerSilent):
            ask(os.makedev(8, 17), 3, at=at, patience_s=5 if hangs_up else 0.1)
        hearing.join()
