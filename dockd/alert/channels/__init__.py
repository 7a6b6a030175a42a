"""The ways out: one module per kind of channel, each a function that hands one parcel over or raises Undelivered.

What takes long to load is loaded when it is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from dockd.settings import Channel


class Undelivered(Exception):
    """The channel did not take it. ``reason`` names nobody and holds no secret.

    ``wait``: how long the service asks to be left alone. ``refused``: it works and refuses this very
    message. ``unsure``: nobody knows whether it arrived.
    """

    def __init__(
        self, reason: str, *, wait: timedelta | None = None, refused: bool = False, unsure: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.wait = wait
        self.refused = refused
        self.unsure = unsure


@dataclass(frozen=True, slots=True)
class Parcel:
    """What goes out at once. ``rows`` are its messages for programs, in their order; ``severity`` the worst of them."""

    message_ids: tuple[int, ...]
    title: str
    text: str
    severity: str
    rows: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """What a kind of channel takes: at most so many messages and bytes of text at once, so many parcels a minute."""

    send: Callable[[Channel, Parcel, datetime], None]
    most: int
    max_bytes: int | None = None
    per_minute: int | None = None


def kind_of(channel: Channel) -> Kind:
    """How this channel is sent to."""
    from dockd.alert.channels import command, journal, mail, robots, spool

    kinds = {
        "journal": Kind(journal.send, most=500),
        "spool": Kind(spool.send, most=200),
        "command": Kind(command.send, most=1),
        "apprise": Kind(mail.send, most=200, max_bytes=30_000, per_minute=20),
        # Below what the services allow (20 a minute; 20 000, 2 048, about 20 000 bytes): others may use the group.
        "dingtalk": Kind(robots.send_dingtalk, most=200, max_bytes=18_000, per_minute=18),
        "wecom": Kind(robots.send_wecom, most=200, max_bytes=2_048, per_minute=18),
        "feishu": Kind(robots.send_feishu, most=200, max_bytes=15_000, per_minute=90),
        "lark": Kind(robots.send_feishu, most=200, max_bytes=15_000, per_minute=90),
    }
    return kinds[channel.kind]
