"""Matters that stand as long as a fact does: what is found now has its alert, what is not found any more has none.

A person who closed such an alert has answered the matter: it is not opened again for the same one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.orm import Session

from dockd.register import alerts
from dockd.register.station import Station


@dataclass(frozen=True, slots=True)
class Matter:
    """One matter that holds now; ``about`` names this occurrence of it and no later one."""

    kind: str
    about: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    device_no: str | None = None


def keep_standing(session: Session, station: Station, kinds: Iterable[str], found: Iterable[Matter], note: str) -> int:
    """Opens the alerts of ``found`` and settles the standing ones of ``kinds`` that are not among them.

    Returns how many were opened. In the caller's transaction.
    """
    wanted = {(one.kind, alerts.matter(one.about)): one for one in found}
    for kind in kinds:
        for alert in alerts.list_alerts(session, open_only=True, kind=kind):
            if alert.station_no == station.station_no and (kind, alert.about) not in wanted:
                alerts.settle_alert(
                    session,
                    station_no=station.station_no,
                    kind=kind,
                    about=alert.about,
                    note=note,
                    at=station.now(),
                )
    return sum(_open(session, station, one) for one in wanted.values())


def _open(session: Session, station: Station, one: Matter) -> bool:
    if alerts.closed_by_person(session, station_no=station.station_no, kind=one.kind, about=one.about):
        return False
    opened = alerts.open_alert(
        session,
        station_no=station.station_no,
        kind=one.kind,
        about=one.about,
        facts={**one.facts, **({"device_no": one.device_no} if one.device_no else {})},
        at=station.now(),
        device_no=one.device_no,
    )
    return opened is not None
