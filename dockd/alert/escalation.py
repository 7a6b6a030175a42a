"""An alert that nobody answers grows: it is told again at a pace of its severity, and after a time it is more severe.

Acknowledged alerts are left alone: somebody has them in hand. The daily report counts them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from dockd.law.vocabulary import ALERT_CLASSES, Severity
from dockd.register import alerts
from dockd.register.alerts import Alert
from dockd.register.station import Station
from dockd.register.tables import AlertState
from dockd.settings import Paces

_LADDER = (Severity.NOTICE, Severity.WARNING, Severity.CRITICAL)


@dataclass(frozen=True, slots=True)
class Raised:
    """How many alerts a round has made more severe, and how many it tells again."""

    escalated: int = 0
    repeated: int = 0


def escalate(station: Station) -> Raised:
    """One round over the station's open alerts; asked again at the same time it does nothing."""
    now, said = station.now(), station.settings.alerts
    with station.register.read() as session:
        every = alerts.list_alerts(session, open_only=True)
    mine = [a for a in every if a.station_no == station.station_no and a.state is AlertState.OPEN]
    higher = {a.alert_id: grown for a in mine if (grown := severity_at(a, now, said.escalate)) != a.severity}
    again = [a.alert_id for a in mine if a.alert_id not in higher and is_due_again(a, now, said.repeat)]
    if not higher and not again:
        return Raised()
    with station.register.write() as session:
        for alert_id, severity in higher.items():
            alerts.escalate_alert(session, alert_id, severity=severity, at=now)
        for alert_id in again:
            alerts.repeat_alert(session, alert_id, at=now)
    station.mirror_ledger()
    return Raised(len(higher), len(again))


def severity_at(alert: Alert, now: datetime, steps: Paces) -> Severity:
    """What an alert has grown to: a step of the ladder each time that its severity's time is over."""
    severity = ALERT_CLASSES[alert.kind].severity
    rest = now - alert.opened_at
    while severity is not _LADDER[-1]:
        step = pace_of(steps, severity)
        if not step or rest < step:
            break
        rest -= step
        severity = _LADDER[_LADDER.index(severity) + 1]
    # A changed configuration makes nothing less severe than people were told.
    return max(severity, Severity(alert.severity), key=_LADDER.index)


def is_due_again(alert: Alert, now: datetime, paces: Paces) -> bool:
    """Whether it is time to tell an open alert once more."""
    pace = pace_of(paces, Severity(alert.severity))
    return bool(pace) and now - (alert.repeated_at or alert.opened_at) >= pace


def pace_of(paces: Paces, severity: Severity) -> timedelta:
    """The time that the configuration gives to this severity; zero for never."""
    found: timedelta = getattr(paces, severity.value)
    return found
