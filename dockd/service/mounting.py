"""How the service comes to a card: through the mount broker or, where it runs as root by itself, in its own process."""

from __future__ import annotations

import os
from typing import Literal

from dockd.broker import wire
from dockd.visit.request import Root

Way = Literal["broker", "self"]


def open_root(way: Way, number: int, diskseq: int, *, broker: str = wire.SOCKET) -> Root:
    """The root directory of the card in the device ``number``, if it still holds the medium ``diskseq``.

    May wait for a minute: mounting reads from the card. Raises a subclass of CardNotOpened; the caller closes ``fd``.
    """
    if way == "self":
        from dockd.broker.mount import open_card

        card = open_card(number, diskseq, owner=(os.geteuid(), os.getegid()))
    else:
        card = wire.ask(number, diskseq, at=broker)
    return Root(card.root_fd, card.fs_type, card.options, tuple((head.offset, head.data) for head in card.heads))
