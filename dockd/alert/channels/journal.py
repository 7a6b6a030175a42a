"""The journal: numbers only, for a log is read by more people than a register (article 27(2))."""

from __future__ import annotations

from datetime import datetime

import structlog

from dockd.alert.channels import Parcel
from dockd.law.vocabulary import Severity
from dockd.settings import Channel

_log = structlog.get_logger("dockd.alert")

_EVENTS = {
    "opened": "alert_opened",
    "escalated": "alert_escalated",
    "repeated": "alert_repeated",
    "report": "daily_report",
    "test": "test_message",
}


def send(channel: Channel, parcel: Parcel, now: datetime) -> None:
    """One line a message: ``alert_opened``, ``alert_escalated``, ``alert_repeated``, ``daily_report``."""
    del channel, now
    say = {Severity.NOTICE: _log.info, Severity.WARNING: _log.warning, Severity.CRITICAL: _log.critical}
    for row in parcel.rows:
        if row["why"] == "report":
            said = {name: value for name, value in row["report"].items() if not isinstance(value, list | dict)}
            _log.info("daily_report", **said)
            continue
        say[Severity(row["severity"])](
            _EVENTS[row["why"]],
            alert_id=row["alert_id"],
            kind=row["kind"],
            device_no=row["device_no"],
            cert_no=",".join(row["cert_nos"]) or None,
        )
