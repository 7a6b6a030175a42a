"""Who gets what: the routes of the configuration, and from which hour on. The journal always gets everything."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from dockd.law.vocabulary import Severity
from dockd.register.outbox import REPORT
from dockd.settings import Alerts, Route

_RANK = {severity: rank for rank, severity in enumerate((Severity.NOTICE, Severity.WARNING, Severity.CRITICAL))}


@dataclass(frozen=True, slots=True)
class Matter:
    """What a route looks at. ``failing`` is the channel that the matter is about: told on another, if there is one."""

    why: str
    kind: str | None
    severity: str
    unit: str | None
    failing: str | None = None


def destinations(alerts: Alerts, matter: Matter, now: datetime, zone: ZoneInfo) -> dict[str, datetime]:
    """The channels that get it, each with the time before which it is not sent (``now``, or when its hours begin)."""
    names = [channel.name for channel in alerts.channels]
    found = {channel.name: now for channel in alerts.channels if channel.kind == "journal"}
    if matter.why == REPORT:
        found |= dict.fromkeys(alerts.report.to or names, now)
    elif not alerts.routes:
        found |= dict.fromkeys(names, now)
    for route in alerts.routes if matter.why != REPORT else ():
        if _matches(route, matter):
            for name in route.to:
                begin = opens_at(route, now, zone)
                found[name] = min(begin, found.get(name, begin))
    others = {name: at for name, at in found.items() if name != matter.failing}
    return others or found


def _matches(route: Route, matter: Matter) -> bool:
    return (
        _RANK[Severity(matter.severity)] >= _RANK[Severity(route.severity)]
        and (not route.kinds or matter.kind in route.kinds)
        and (not route.units or matter.unit in route.units)
    )


def opens_at(route: Route, now: datetime, zone: ZoneInfo) -> datetime:
    """``now`` within the route's hours and days, else the next time that they begin."""
    if route.hours is None and not route.days:
        return now
    return next((max(begin, now) for begin, end in _openings(route, now, zone) if end > now), now)


def _openings(route: Route, now: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The route's times from yesterday on (hours may last over midnight), for a week."""
    begin, end = _hours(route.hours)
    today = now.astimezone(zone).date()
    for offset in range(-1, 9):
        day = today + timedelta(days=offset)
        if route.days and day.isoweekday() not in route.days:
            continue
        last = day if end > begin else day + timedelta(days=1)
        yield datetime.combine(day, begin, zone), datetime.combine(last, end, zone)


def _hours(text: str | None) -> tuple[time, time]:
    if text is None:
        return time(), time()
    begin, _dash, end = text.partition("-")
    return time.fromisoformat(begin), time.fromisoformat(end)
