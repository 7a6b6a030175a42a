"""Checks and due dates become alerts (article 24), and alerts end with the check that no longer finds their cause."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dockd.law.care import BatterySource, Finding, Limits, Measured, judge_check, settled_by
from dockd.register import alerts, equipment
from dockd.register.dues import CHECK, MAINTENANCE, REPAIR, RETURN, Periods, dues
from dockd.register.equipment import EquipmentEvent
from dockd.register.station import Station
from dockd.register.values import instant
from dockd.settings import Settings

DUES = (CHECK, MAINTENANCE, REPAIR, RETURN)


def periods_of(settings: Settings) -> Periods:
    """How often the agency wants checks and maintenance, and how long a repair may take."""
    said = settings.checks
    return Periods(said.check_every, said.maintain_every, said.repair_within)


def limits_of(settings: Settings, card_size: int | None) -> Limits:
    """The station's thresholds for a card of this size."""
    said = settings.checks
    return Limits(
        battery_min=said.battery_min,
        free_min=said.free_min.of(card_size) if card_size else said.free_min.size,
        rate_drop=said.rate_drop / 100,
        error_visits=said.error_visits,
        locked_max=said.locked_files,
    )


def inspect_by_hand(
    session: Session,
    station: Station,
    device_no: str,
    *,
    at: datetime | None = None,
    person: str | None = None,
    battery: int | None = None,
    free: int | None = None,
    note: str | None = None,
    source: BatterySource | None = None,
) -> EquipmentEvent:
    """A person's check, judged by the station's thresholds. Raises UnknownNumber, BadValue."""
    measured = Measured(battery=battery, free=free)
    findings = judge_check(measured, (), limits_of(station.settings, None))
    done = equipment.inspect(
        session,
        station,
        device_no,
        at=at,
        person=person,
        battery=battery,
        battery_source=source,
        card_free=free,
        note=note,
        facts={"findings": list(findings)},
    )
    alarm_findings(session, station, device_no, measured, findings, facts={"event_id": done.event_id})
    return done


def alarm_findings(
    session: Session,
    station: Station,
    device_no: str,
    measured: Measured,
    findings: Iterable[Finding],
    *,
    facts: Mapping[str, Any],
    visit_id: int | None = None,
) -> None:
    """Opens what was found, and ends what was looked for and not found again."""
    found = set(findings)
    about = f"recorder:{device_no}"
    for finding in sorted(found):
        alerts.open_alert(
            session,
            station_no=station.station_no,
            kind=finding.value,
            about=about,
            facts={**facts, "device_no": device_no} | _figures(measured),
            at=station.now(),
            visit_id=visit_id,
            device_no=device_no,
            actor=station.actor,
        )
    for finding in settled_by(measured):
        if finding not in found:
            alerts.settle_alert(
                session,
                station_no=station.station_no,
                kind=finding.value,
                about=about,
                note="measured",
                at=station.now(),
                actor=station.actor,
            )


def _figures(measured: Measured) -> dict[str, Any]:
    names = ("battery", "size", "free", "read_errors", "rate", "locked_left")
    return {name: value for name in names if (value := getattr(measured, name)) is not None}


def watch_checks(station: Station) -> int:
    """Alerts for everything that is overdue now, and the end of those that are not any more; how many it opened."""
    now = station.now()
    opened = 0
    with station.register.write() as session:
        overdue = [one for one in dues(session, periods_of(station.settings)) if one.due_at < now]
        standing = {(one.kind, one.about) for one in overdue}
        for kind in DUES:
            for alert in alerts.list_alerts(session, kind=kind, open_only=True):
                if alert.station_no == station.station_no and (kind, alert.about) not in standing:
                    alerts.settle_alert(
                        session, station_no=station.station_no, kind=kind, about=alert.about, note="done", at=now
                    )
        for one in overdue:
            facts = {
                "device_no": one.device_no,
                "due_at": instant(one.due_at),
                "since": instant(one.since),
                "cert_nos": [one.cert_no] if one.cert_no else [],
            }
            opened += bool(
                alerts.open_alert(
                    session,
                    station_no=station.station_no,
                    kind=one.kind,
                    about=one.about,
                    facts=facts,
                    at=now,
                    device_no=one.device_no,
                )
            )
    return opened
