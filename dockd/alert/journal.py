"""Alerts in the journal: numbers only, for a log is read by more people than a register (article 27(2))."""

from __future__ import annotations

from structlog.typing import FilteringBoundLogger

from dockd.law.vocabulary import Severity
from dockd.register.alerts import Alert


def journal_alert(log: FilteringBoundLogger, alert: Alert) -> None:
    """One line ``alert_opened`` with ``alert_id``, ``kind``, ``device_no`` and ``cert_no``; no name, no file name."""
    say = {Severity.NOTICE: log.info, Severity.WARNING: log.warning, Severity.CRITICAL: log.critical}
    say[Severity(alert.severity)](
        "alert_opened",
        alert_id=alert.alert_id,
        kind=alert.kind,
        device_no=alert.device_no,
        cert_no=",".join(map(str, alert.facts.get("cert_nos") or ())) or None,
    )
