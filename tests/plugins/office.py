"""A station whose service runs in the test's own process: scripted devices, real workers, real cards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bureau import media

from dockd.register import alerts, visits
from dockd.register.station import Station, open_station
from dockd.service.crew import Crew
from dockd.service.devices import Block, Ownership, Sighting
from dockd.service.loop import Loop
from dockd.service.parts import Surroundings
from dockd.service.visits import Visits
from dockd.settings import Settings, load_settings

PATIENCE_S = 60.0
MIB = 1 << 20

CONFIGURATION = """\
agency: {name: Test Bureau, station_no: S1, language: en}
store: {root: store, reserve: 0}
register: {url: "sqlite:///register.db", wait_s: 10}
inventory: {path: exports/inventory.csv}
docking: {settle: 0s, return_within: 2s, visits: 8, per_controller: 8}
bays: {A1: {ports: ["A1"]}, A2: {ports: ["A2"]}, A3: {ports: ["A3"], priority: true}}
"""


@dataclass
class Script:
    """A source of devices that shows what a test plugs in."""

    blocks: set[Block] = field(default_factory=set)
    on_sight: Callable[[Sighting], None] = lambda _sighting: None
    living: bool = True

    def start(self, loop: Loop, on_sight: Callable[[Sighting], None]) -> None:
        self.on_sight = on_sight
        self.show()

    def stop(self) -> None: ...

    def alive(self) -> bool:
        return self.living

    def show(self) -> None:
        self.on_sight(Sighting(frozenset(self.blocks)))

    def plug(self, bay: str, path: Path, *, seq: int = 1) -> None:
        """The card in the folder ``path`` is in the bay; ``seq`` tells one medium from the next."""
        card = Block(str(path), 1, seq, bay, "usb1", Ownership.CARD, fs_uuid=str(path))
        self.blocks.add(replace(card, number=hash(str(path)) & 0xFFFF))
        self.show()

    def pull(self, bay: str) -> None:
        self.blocks = {block for block in self.blocks if block.port != bay}
        self.show()


class Clock:
    """Seconds that go by themselves, and further when a test says so."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@dataclass
class Office:
    """A station with a dock that is run by the test."""

    folder: Path
    script: Script = field(default_factory=Script)
    clock: Clock = field(default_factory=Clock)
    started: bool = False
    broker: str = "/nowhere"

    # --- cards ----------------------------------------------------------------------------------------

    def card(self, name: str, *, serial: str = "2107731", files: int = 2, large: int = 0, hours_ago: float = 1) -> Path:
        """A folder with recordings of one recorder, and a large file of so many bytes."""
        path = self.folder.parent / f"card-{name}"
        at = datetime.now(UTC) - timedelta(hours=hours_ago)
        for number in range(files):
            self._lay(
                path / f"DCIM/{serial}_012345_{at:%Y%m%d%H%M%S}_{number:04d}.log", media(f"{name} {number}", 5000), at
            )
        if large:
            self._lay(path / f"DCIM/{serial}_012345_{at:%Y%m%d%H%M%S}_9999.log", b"", at)
            (big,) = path.glob("DCIM/*_9999.log")
            with big.open("wb") as file:
                for part in range(large // MIB):
                    file.write(media(f"{name} {part}", MIB))
            os.utime(big, (at.timestamp(), at.timestamp()))
        return path

    @staticmethod
    def _lay(path: Path, data: bytes, at: datetime) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        os.utime(path, (at.timestamp(), at.timestamp()))

    # --- the service ----------------------------------------------------------------------------------

    def configure(self, text: str) -> None:
        """Other docking rules, before the start."""
        file = self.folder / "dockd.yaml"
        lines = [
            line for line in file.read_text(encoding="utf-8").splitlines() if line.split(":")[0] != text.split(":")[0]
        ]
        file.write_text("\n".join([*lines, text]) + "\n", encoding="utf-8")

    @property
    def settings(self) -> Settings:
        return load_settings(self.folder / "dockd.yaml")

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def start(self) -> None:
        self.loop = Loop(self.clock)
        self.crew = Crew(self.loop)
        self.crew.start()
        self.visits = Visits(self.script, self.settings, broker=self.broker)
        around = Surroundings(
            self.loop, self.settings, lambda: datetime.now(UTC), self.crew, lambda: None, lambda: self.visits.show()
        )
        self.visits.start(around)
        self.visits.begin()
        self.started = True

    def stop(self) -> None:
        if not self.started:
            return
        self.started = False
        self.visits.stop()
        end = time.monotonic() + 20
        while not self.visits.ended() and time.monotonic() < end:
            self.loop.turn(0.2)
        self.crew.close()
        self.loop.close()

    def until(self, holds: Callable[[], Any], what: str = "it") -> Any:
        """Runs the service until ``holds`` gives something."""
        if not self.started:
            self.start()
        end = time.monotonic() + PATIENCE_S
        while not (found := holds()):
            assert time.monotonic() < end, f"{what} did not come: {self.visits.show()}"
            self.loop.turn(0.05)
        return found

    def bay(self, name: str) -> dict[str, Any]:
        return next(row for row in self.visits.show()["bays"] if row["bay"] == name)

    def until_state(self, bay: str, *states: str) -> dict[str, Any]:
        self.until(lambda: self.bay(bay)["state"] in states, f"{bay} {states}")
        return self.bay(bay)

    def until_copying(self, bay: str) -> dict[str, Any]:
        """Until bytes of the bay's card have been proven in the store, or at least written."""
        return self.until(
            lambda: self.bay(bay)["state"] == "copying" and self.bay(bay)["bytes_done"] > MIB and self.bay(bay)
        )

    def until_quiet(self) -> None:
        """Until no worker is left."""
        self.until(lambda: not self.crew.size, "quiet")

    # --- what is true afterwards ------------------------------------------------------------------------

    def station(self) -> Station:
        return open_station(self.settings, now=lambda: datetime.now(UTC), actor="person:tester")

    def shown(self) -> list[dict[str, Any]]:
        """All visits, oldest first."""
        station = self.station()
        try:
            with station.register.read() as session:
                rows = visits.list_visits(session, limit=100, zone=station.zone)
                found = [visits.show_visit(session, row["visit_id"], zone=station.zone) for row in reversed(rows)]
                return [one for one in found if one]
        finally:
            station.close()

    def alerts(self) -> list[tuple[str, dict[str, Any]]]:
        station = self.station()
        try:
            with station.register.read() as session:
                return [(one.kind, dict(one.facts)) for one in alerts.list_alerts(session, open_only=True)]
        finally:
            station.close()

    def kinds(self) -> set[str]:
        return {kind for kind, _facts in self.alerts()}

    def require_stored(self, card: Path, shown: dict[str, Any]) -> None:
        """Every file of the card lies in the store, byte for byte, under its one visit."""
        files = {str(path.relative_to(card)): path for path in card.rglob("*") if path.is_file()}
        places = {file["path"]: file["location"] for file in shown["files"]}
        assert set(files) <= set(places)
        for name, path in files.items():
            assert (self.store / places[name]).read_bytes() == path.read_bytes()
