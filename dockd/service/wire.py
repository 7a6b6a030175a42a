"""Messages of the control socket: one JSON object in a packet, and with it the descriptors that it speaks of.

A packet is whole or not there, so that there is no framing; what is too long is refused by the kernel.

======================================== ==============================================================
the client says                          and sends along
======================================== ==============================================================
``{"words", "folder", "environ",``       its standard input, output and error: the command speaks to its
``"behind"}``, first                     caller's terminal, pipe or file itself
``{"done": true}``                       the descriptor that was asked for, or none
``{"failed": errno}``
======================================== ==============================================================

======================================== ==============================================================
the service says                         and sends along
======================================== ==============================================================
``{"open": PATH}``: a file or folder
that the caller named
``{"take": PATH}``                       what is to stand there, for reading
``{"exit": CODE}``, last
======================================== ==============================================================

A client that closes its sending half interrupts its command.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from typing import Any

MOST_BYTES = 128 << 10
MOST_FDS = 3


class Garbled(ValueError):
    """What came is no message."""


def send(conn: socket.socket, message: Mapping[str, Any], fds: Sequence[int] = ()) -> None:
    """``message`` is on its way, whole. Raises BrokenPipeError where nobody listens, Garbled where it is too long."""
    packet = json.dumps(message).encode()
    if len(packet) > MOST_BYTES:
        raise Garbled("the message is too long")
    socket.send_fds(conn, [packet], list(fds))


def receive(conn: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message with its descriptors, which are the caller's to close; None where the other end has gone.

    Raises Garbled, and then keeps no descriptor; TimeoutError where the socket has a deadline.
    """
    try:
        packet, fds, flags, _address = _next_packet(conn)
    except ConnectionResetError:
        # What we sent was not read any more; what was said to us before may still be there.
        packet, fds, flags, _address = _next_packet(conn)
    try:
        if not packet:
            close(fds)
            return None
        message = json.loads(packet)
        if not isinstance(message, dict) or flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
            raise Garbled("no message")
    except ValueError as error:  # also what is not UTF-8
        close(fds)
        raise Garbled(str(error)) from error
    except RecursionError as error:
        close(fds)
        raise Garbled("nested too deep") from error
    return message, fds


def _next_packet(conn: socket.socket) -> tuple[bytes, list[int], int, Any]:
    return socket.recv_fds(conn, MOST_BYTES, MOST_FDS, socket.MSG_CMSG_CLOEXEC)


def close(fds: Sequence[int]) -> None:
    """The descriptors are given back."""
    for fd in fds:
        os.close(fd)
