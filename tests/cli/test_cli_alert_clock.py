"""Alerts and a station clock that was set back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from dockd.register.alerts import open_alert
from dockd.register.station import Station

if TYPE_CHECKING:
    from conftest import Clock, Result


def test_an_alert_of_before_the_clock_was_set_back_is_still_listed(
    station: Station, clock: Clock, run_cli: Callable[..., Result]
) -> None:
    with station.register.write() as session:
        open_alert(session, station_no="S1", kind="store_full", about="store", facts={}, at=clock() + timedelta(days=5))
    found = run_cli("alert", "list", "--open", "--json", config=station.settings.file)
    assert [alert["kind"] for alert in found.json] == ["store_full"]
    older = run_cli("alert", "list", "--older-than", "1h", "--json", config=station.settings.file)
    assert older.json == []
