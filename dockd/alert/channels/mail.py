"""Mail (SMTP) and everything else that apprise knows: one address of one service per channel.

Apprise answers only yes or no for all recipients of an address together, so an address with several is
refused: told again, those who had it would get it twice. Write one channel for each.
"""

from __future__ import annotations

import logging
from datetime import datetime

from dockd.alert.channels import Parcel, Undelivered
from dockd.settings import Channel


def send(channel: Channel, parcel: Parcel, now: datetime) -> None:
    """Hands the parcel to the service. Raises Undelivered with what apprise logged, freed of addresses."""
    del now
    import apprise

    plugin = apprise.Apprise.instantiate(channel.url or "")
    if plugin is None:
        raise Undelivered("apprise: not an address that it knows")
    if len(plugin) > 1:
        raise Undelivered("apprise: more than one recipient; write a channel for each")
    kinds = {"notice": "info", "warning": "warning", "critical": "failure"}
    with apprise.LogCapture(level=logging.DEBUG) as said:  # type: ignore[no-untyped-call]
        try:
            done = plugin.notify(
                title=parcel.title,
                body=parcel.text,
                notify_type=apprise.NotifyType(kinds[parcel.severity]),
                body_format=apprise.NotifyFormat.TEXT,
            )
        except Exception as error:
            raise Undelivered(f"apprise: {type(error).__name__}", unsure=True) from error
        told = said.getvalue() if not done else ""
    if not done:
        raise Undelivered(f"apprise: {_cause(told)}")


_CAUSES = ("Connection refused", "timed out", "Name or service not known", "certificate", "authentication", "refused")


def _cause(told: str) -> str:
    """The log may hold addresses and passwords: only known words of it are kept."""
    return next((cause for cause in _CAUSES if cause.lower() in told.lower()), "not delivered")
