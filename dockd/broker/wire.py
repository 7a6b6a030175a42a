"""What the daemon and the broker say to each other: one packet there, one packet with one descriptor back."""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass

from dockd.errors import BrokerSilent, CardNotOpened

SOCKET = "/run/dockd-mount.sock"
PATIENCE_S = 60.0
"""How long an answer may take: mounting reads from a card, and a bad one makes the kernel try for half a minute."""

_LONGEST = 4096
_REQUEST = re.compile(rb"dockd-mount/1 (\d{1,4}):(\d{1,7}) (\d{1,19})")
_GRANTED = re.compile(r"ok ([a-z0-9]{1,16}) ([A-Za-z0-9_=,.-]{1,512})((?: \d{1,10}:(?:[0-9a-f]{2}){1,128}){0,4})")
_REFUSED = re.compile(r"refused ([a-z_]{1,64}) (.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Request:
    """Which device, and which of the media that were in it (``diskseq``)."""

    device: int
    diskseq: int


@dataclass(frozen=True, slots=True)
class Head:
    """Some bytes of the device itself, and where they stand on it."""

    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class OpenCard:
    """The root directory of a card, open, and how it is mounted. Who has it closes ``root_fd``.

    ``heads``: the bytes in which its file system says in what state it was left, unread.
    """

    root_fd: int
    fs_type: str
    options: tuple[str, ...]
    heads: tuple[Head, ...] = ()


def ask(device: int, diskseq: int, *, at: str = SOCKET, patience_s: float = PATIENCE_S) -> OpenCard:
    """The card in ``device`` (``os.makedev``), if it is still the medium ``diskseq``.

    Raises the subclass of ``CardNotOpened`` that the broker names, and BrokerSilent where there is
    no broker or no answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.settimeout(patience_s)
        try:
            connection.connect(at)
            connection.send(request_packet(Request(device, diskseq)))
            packet, received, _flags, _address = socket.recv_fds(connection, _LONGEST, 1)
        except OSError as error:
            raise BrokerSilent(reason=error.strerror or str(error)) from error
    return read_answer(packet, received)


def request_packet(request: Request) -> bytes:
    return f"dockd-mount/1 {os.major(request.device)}:{os.minor(request.device)} {request.diskseq}".encode()


def read_request(packet: bytes) -> Request | None:
    """The request in a packet; None for anything else."""
    said = _REQUEST.fullmatch(packet)
    return Request(os.makedev(int(said[1]), int(said[2])), int(said[3])) if said else None


def granted_packet(card: OpenCard) -> bytes:
    heads = "".join(f" {head.offset}:{head.data.hex()}" for head in card.heads if head.data)
    return f"ok {card.fs_type} {','.join(card.options)}{heads}".encode()


def refused_packet(refusal: CardNotOpened) -> bytes:
    device, reason = (refusal.fields.get(field, "") for field in ("device", "reason"))
    return f"refused {refusal.name} {device} {reason}".encode("utf-8", "replace")[:_LONGEST]


def read_answer(packet: bytes, received: list[int]) -> OpenCard:
    """The card in an answer, or the refusal that it is, raised. Descriptors that belong to no card are closed."""
    text = packet.decode("utf-8", "replace")
    if len(received) == 1 and (said := _GRANTED.fullmatch(text)):
        return OpenCard(received[0], said[1], tuple(said[2].split(",")), _heads(said[3]))
    for fd in received:
        os.close(fd)
    raise _refusal(text)


def _heads(text: str) -> tuple[Head, ...]:
    pairs = (one.partition(":") for one in text.split())
    return tuple(Head(int(offset), bytes.fromhex(data)) for offset, _colon, data in pairs)


def _refusal(text: str) -> CardNotOpened:
    said = _REFUSED.fullmatch(text)
    if said is None:
        return BrokerSilent(reason="an answer that is none" if text else "it hung up")
    device, _space, reason = said[2].partition(" ")
    refusals = (kind(device=device, reason=reason) for kind in CardNotOpened.__subclasses__())
    return next((refusal for refusal in refusals if refusal.name == said[1]), BrokerSilent(reason=said[1]))
