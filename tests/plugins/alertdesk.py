"""Alerts about made-up matters, for tests of what becomes of them."""

from __future__ import annotations

from dockd.register.alerts import open_alert
from dockd.register.station import Station


def raise_alert(station: Station, number: int = 1, *, kind: str = "not_docked", device_no: str | None = "YS-07") -> int:
    """An alert about matter ``number``; returns its id."""
    facts = {"device_no": device_no, "cert_nos": ["13012301"], "number": number}
    with station.register.write() as session:
        opened = open_alert(
            session,
            station_no="S1",
            kind=kind,
            about=f"matter:{number}",
            facts=facts,
            at=station.now(),
            device_no=device_no,
        )
    assert opened is not None
    return opened
