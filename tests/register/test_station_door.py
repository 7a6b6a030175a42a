"""Store and register belong together, and a station notices when they do not."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from dockd.errors import RegisterAbsent, RegisterCorrupt, StationExists, StoreMissing
from dockd.register import ledger
from dockd.register.session import open_register
from dockd.register.station import MARKER, Boot, Noted, Station, create_station, note_time, open_station
from dockd.register.tables import EventRow, StationRow
from dockd.settings import Settings

Now = Callable[[], datetime]


def reopen(settings: Settings, now: Now) -> Station:
    station = open_station(settings, now=now, actor="dockd")
    station.close()
    return station


def test_a_new_station_has_marker_register_and_a_first_line_in_its_mirror(station: Station) -> None:
    marker = json.loads((station.store / MARKER).read_text())
    with station.register.read() as session:
        row = session.get_one(StationRow, station.station_no)
        line = json.loads(session.scalars(select(EventRow.line)).one())
    assert marker == {"store_id": row.store_id, "station_no": "S1"}
    assert (line["kind"], line["subject"], line["data"]["store_id"]) == ("station.created", "station:S1", row.store_id)
    assert line["actor"] == "person:tester"
    report = ledger.verify_ledger(station.register, station.store, station.station_no)
    assert (report.lines, report.mirrored, report.problems) == (1, 1, ())


def test_opening_a_station_writes_nothing(station: Station, settings: Settings, clock: Now) -> None:
    station.close()
    before = {path: path.stat().st_mtime_ns for path in settings.file.parent.rglob("*") if path.is_file()}
    reopen(settings, clock)
    after = {path: path.stat().st_mtime_ns for path in settings.file.parent.rglob("*") if path.is_file()}
    assert after == before


def test_a_station_is_not_made_twice(station: Station, settings: Settings, clock: Now) -> None:
    with pytest.raises(StationExists):
        create_station(settings, now=clock, actor="dockd")


def test_a_station_is_not_made_over_the_register_or_the_footage_of_another(
    station: Station, settings: Settings, clock: Now
) -> None:
    (settings.store.root / MARKER).unlink()
    with pytest.raises(StationExists):  # the ledger's mirror is there
        create_station(settings, now=clock, actor="dockd")
    shutil.rmtree(settings.store.root)
    with pytest.raises(StationExists):  # the register is there
        create_station(settings, now=clock, actor="dockd")


def test_a_store_without_a_register_is_told(station: Station, settings: Settings, clock: Now) -> None:
    station.close()
    (settings.file.parent / "register.db").unlink()
    with pytest.raises(RegisterAbsent) as caught:
        reopen(settings, clock)
    assert str(settings.store.root) in str(caught.value)
    assert not (settings.file.parent / "register.db").exists()


def test_a_store_that_is_not_mounted_is_told(station: Station, settings: Settings, clock: Now) -> None:
    shutil.rmtree(settings.store.root)
    with pytest.raises(StoreMissing):
        reopen(settings, clock)
    os.mkdir(settings.store.root)  # the empty mount point
    with pytest.raises(StoreMissing):
        reopen(settings, clock)


@pytest.mark.parametrize(
    "marker",
    [b"", b"\xff", b"[]", b"{}", b'{"store_id": "x", "station_no": "S1"}', b'{"store_id": 1, "station_no": "S1"}'],
)
def test_another_stations_store_is_told(station: Station, settings: Settings, clock: Now, marker: bytes) -> None:
    (settings.store.root / MARKER).write_bytes(marker)
    with pytest.raises(StoreMissing):
        reopen(settings, clock)


def test_a_register_that_does_not_know_the_station_is_told(station: Station, settings: Settings, clock: Now) -> None:
    with station.register.write() as session:
        session.execute(update(StationRow).values(station_no="S2"))
    with pytest.raises(StoreMissing):
        reopen(settings, clock)


def test_a_damaged_register_is_told_and_kept(station: Station, settings: Settings, clock: Now) -> None:
    station.close()
    path = settings.file.parent / "register.db"
    path.write_bytes(b"damaged" * 1000)
    with pytest.raises(RegisterCorrupt):
        reopen(settings, clock)
    assert path.read_bytes() == b"damaged" * 1000


@pytest.mark.postgresql
def test_two_stations_share_one_postgresql(postgresql_url: str, settings: Settings, clock: Now, tmp_path: Path) -> None:
    for number in ("S1", "S2"):
        own = _moved(settings, tmp_path / number, number, postgresql_url)
        create_station(own, now=clock, actor="dockd").close()
        assert reopen(own, clock).station_no == number
    with pytest.raises(StationExists):
        create_station(_moved(settings, tmp_path / "other", "S1", postgresql_url), now=clock, actor="dockd")
    register = open_register(postgresql_url)
    for number in ("S1", "S2"):
        assert ledger.verify_ledger(register, tmp_path / number, number).problems == ()
    register.close()


def _moved(settings: Settings, root: Path, station_no: str, url: str) -> Settings:
    changes: dict[str, Any] = {
        "agency": settings.agency.model_copy(update={"station_no": station_no}),
        "store": settings.store.model_copy(update={"root": root}),
        "register": settings.register.model_copy(update={"url": url}),
    }
    return replace(settings, **changes)


def test_a_clock_that_went_back_is_noticed_until_it_has_caught_up(station: Station) -> None:
    def note(now: datetime) -> timedelta:
        with station.register.write() as session:
            return note_time(session, station.station_no, now).behind

    now = station.now()
    assert note(now + timedelta(hours=2)) == timedelta(0)
    assert note(now) == timedelta(hours=2)
    assert note(now + timedelta(hours=1)) == timedelta(hours=1)
    assert note(now + timedelta(hours=3)) == timedelta(0)


HOUR = timedelta(hours=1)


def test_a_clock_that_was_set_forward_is_noticed_until_it_is_set_back_or_the_machine_started_anew(
    station: Station,
) -> None:
    def note(hours: float, lasted: float, boot: str = "one", *, kept: bool = False) -> Noted:
        life = Boot(boot, lasted * HOUR)
        with station.register.write() as session:
            return note_time(session, station.station_no, begun + hours * HOUR, life, kept=kept)

    begun = station.now()
    assert note(0, lasted=5) == Noted()
    assert note(1, lasted=6) == Noted()
    assert note(50, lasted=7) == Noted(ahead=48 * HOUR)
    assert note(51, lasted=8) == Noted(ahead=48 * HOUR)
    assert note(4, lasted=9) == Noted(), "set right: the wrong time was not taken for seen"
    assert note(3, lasted=10) == Noted(behind=HOUR)
    assert note(60, lasted=1, boot="two") == Noted(), "how long a machine was off nobody can say"
    assert note(90, lasted=2, kept=True, boot="two") == Noted(), "a time service set it"
    assert note(91, lasted=3, boot="two") == Noted()


def test_a_machine_that_started_with_a_clock_in_the_past_may_be_set_right(station: Station) -> None:
    begun = station.now()
    with station.register.write() as session:
        assert note_time(session, station.station_no, begun - 9999 * HOUR, Boot("one", HOUR)).behind == 9999 * HOUR
        assert note_time(session, station.station_no, begun + HOUR, Boot("one", 2 * HOUR)) == Noted()
        assert note_time(session, station.station_no, begun + 9 * HOUR, Boot("one", 3 * HOUR)) == Noted(ahead=7 * HOUR)
