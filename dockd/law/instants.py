"""Instants are compared as instants: whatever zone a time was written in, the law sees the same moment.

Python compares and adds two times of one zone by their wall clocks, which is an hour
off over a change to or from summer time; everything in this room goes through ``utc`` first.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


def utc(moment: datetime) -> datetime:
    """The same instant in UTC. Outside the calendar's range: its first or last moment.

    Raises ``ValueError`` for a time without zone: the machine's own zone must never decide a deadline.
    """
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError("a time without zone cannot be judged")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return EARLIEST if offset > timedelta(0) else LATEST


def later(moment: datetime, by: timedelta) -> datetime:
    """``moment`` moved on by ``by`` in elapsed time, at most to the last moment of the calendar."""
    start = utc(moment)
    return start + by if by <= LATEST - start else LATEST


def earlier(moment: datetime, by: timedelta) -> datetime:
    """``moment`` moved back by ``by`` in elapsed time, at most to the first moment of the calendar."""
    start = utc(moment)
    return start - by if by <= start - EARLIEST else EARLIEST
