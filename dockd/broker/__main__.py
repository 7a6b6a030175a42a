"""``python -m dockd.broker USER``: answer the one request on standard input, for USER or root, and end.

Started by ``dockd-mount@.service`` for each connection, in a mount namespace of its own.
"""

from __future__ import annotations

import os
import pwd
import socket
import struct
import sys

from dockd.broker.mount import Owner, open_card
from dockd.broker.wire import granted_packet, read_request, refused_packet
from dockd.errors import BrokerFailed, CallerNotServed, CardNotOpened, RequestNotUnderstood

_REQUEST_S = 5
_LONGEST_REQUEST = 64


def main(argv: list[str]) -> int:
    with socket.socket(fileno=os.dup(0)) as connection:
        try:
            _serve(connection, argv[0])
        except CardNotOpened as refusal:
            print(f"refused: {refusal}", file=sys.stderr)
            _answer(connection, refused_packet(refusal))
        except Exception as error:
            _answer(connection, refused_packet(BrokerFailed(device="-", reason=type(error).__name__)))
            raise
    return 0


def _serve(connection: socket.socket, user: str) -> None:
    connection.settimeout(_REQUEST_S)
    try:
        request = read_request(connection.recv(_LONGEST_REQUEST))
    except OSError:
        request = None
    # After the packet was taken: a refusal that overtakes it would reach nobody.
    owner = _caller(connection, user)
    if request is None:
        raise RequestNotUnderstood(device="-")
    card = open_card(request.device, request.diskseq, owner=owner)
    print(
        f"{os.major(request.device)}:{os.minor(request.device)}: {card.fs_type} {','.join(card.options)}",
        file=sys.stderr,
    )
    _answer(connection, granted_packet(card), card.root_fd)


def _caller(connection: socket.socket, user: str) -> Owner:
    """User and group of the process that asks, as the kernel knows them. Raises CallerNotServed."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, gid = struct.unpack("3i", credentials)
    if uid not in (0, pwd.getpwnam(user).pw_uid):
        raise CallerNotServed(device="-")
    return uid, gid


def _answer(connection: socket.socket, packet: bytes, *fds: int) -> None:
    try:
        socket.send_fds(connection, [packet], fds)
    except OSError as error:
        # Who asked has gone: the card is free again when this process ends.
        print(f"nobody takes the answer: {error}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
