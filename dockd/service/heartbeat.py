"""The station's sign of life for whoever watches it from outside: a line in the journal with a few figures."""

from __future__ import annotations

import os

import structlog

from dockd.register import alerts, ledger
from dockd.register.station import Station

_log = structlog.get_logger()


def beat(station: Station) -> None:
    """One line ``heartbeat`` with room, alerts that stand and the end of the ledger."""
    with station.register.read() as session:
        count = alerts.count_open(session, station.station_no)
        seq = ledger.head(session, station.station_no).seq
    space = os.statvfs(station.store)
    _log.info(
        "heartbeat",
        station_no=station.station_no,
        bytes_free=space.f_bavail * space.f_frsize,
        count=count,
        ledger_seq=seq,
    )
