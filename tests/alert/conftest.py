"""A station with channels of a test's own, and alerts to send on them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockd.nouns import Officer, Recorder
from dockd.register import officers, recorders
from dockd.register.station import Station, create_station
from dockd.settings import load_settings

HEAD = """\
agency: {name: Test Bureau, station_no: S1, language: en}
store: {root: store, reserve: 0}
register: {url: "sqlite:///register.db"}
inventory: {path: exports/inventory.csv}
"""

OpenStation = Callable[..., Station]


@pytest.fixture
def open_with(tmp_path: Path, clock: Any) -> Iterator[OpenStation]:
    """``open_with(channels, routes=…)``: a station with two recorders, an officer, and these keys under ``alerts``."""
    opened: list[Station] = []

    def make(channels: list[Any], **said: Any) -> Station:
        folder = tmp_path / f"station{len(opened)}"
        folder.mkdir()
        alerts = json.dumps({"channels": channels, **said}, ensure_ascii=False)
        (folder / "dockd.yaml").write_text(f"{HEAD}alerts: {alerts}\n", encoding="utf-8")
        station = create_station(load_settings(folder / "dockd.yaml"), now=clock, actor="person:tester")
        opened.append(station)
        with station.register.write() as session:
            told: dict[str, Any] = {"station_no": "S1", "now": clock(), "actor": "person:tester"}
            recorders.add_recorder(session, Recorder("YS-07", "2107731", unit="Unit 1"), **told)
            recorders.add_recorder(session, Recorder("YS-08", "2107732", unit="Unit 2"), **told)
            officers.add_officer(session, Officer("13012301", "王建国"), **told)
        return station

    yield make
    for station in opened:
        station.close()
