"""Which card is copied first: the one whose next 24 hours end soonest (article 23), judged before a byte is read.

Only file times are known then, so this is provisional: it orders the queue and decides nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from dockd.footage.clock import plausible_mtime


def next_deadline(
    ends_ns: Iterable[int], now: datetime, hours: int, *, mtime_is_wall: bool = False, zone: ZoneInfo
) -> tuple[datetime | None, bool]:
    """The earliest deadline of recordings that ended at ``ends_ns`` which can still be met, and whether any has passed.

    Times that cannot be right (unset, in the future) say nothing.
    """
    due = [
        _moment(end, mtime_is_wall, zone) + timedelta(hours=hours)
        for end in ends_ns
        if plausible_mtime(end, now, mtime_is_wall=mtime_is_wall, zone=zone)
    ]
    return min((at for at in due if at > now), default=None), any(at <= now for at in due)


def _moment(ns: int, mtime_is_wall: bool, zone: ZoneInfo) -> datetime:
    shown = datetime.fromtimestamp(ns / 1e9, UTC)
    return shown.replace(tzinfo=zone).astimezone(UTC) if mtime_is_wall else shown
