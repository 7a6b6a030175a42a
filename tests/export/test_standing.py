"""The configured exports are written when something has changed, and one that cannot be written keeps no other back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from dockd.errors import ExportUnwritable
from dockd.export.standing import exports_of, write_exports
from dockd.nouns import Officer
from dockd.register import officers
from dockd.register.station import Station, create_station
from dockd.settings import parse_settings

TEXT = """\
agency: {station_no: S1}
store: {root: store, reserve: 0}
register: {url: "sqlite:///register.db"}
inventory: {path: out/inventory.csv}
exports:
  - {name: leader, path: out/deep/leader.csv, columns: [file_no, title], headers: zh, bom: true}
"""


@pytest.fixture
def station(tmp_path: Path, clock) -> Iterator[Station]:  # type: ignore[no-untyped-def]
    made = create_station(parse_settings(TEXT, tmp_path / "dockd.yaml"), now=clock, actor="person:tester")
    yield made
    made.close()


def set_written(path: str, at) -> None:  # type: ignore[no-untyped-def]
    os.utime(path, (at.timestamp(), at.timestamp()))


def test_every_configured_export_is_written_in_its_own_look(station: Station) -> None:
    done = write_exports(station)
    assert [os.path.basename(one.path) for one in done] == ["inventory.csv", "leader.csv"]
    assert Path(done[1].path).read_bytes().startswith("\ufeff文件编号,名称".encode())


def test_what_nothing_was_added_to_is_left_alone_until_something_is(station: Station, clock) -> None:  # type: ignore[no-untyped-def]
    clock.move(hours=3)
    for one in write_exports(station):
        set_written(one.path, clock.time)
    assert write_exports(station) == []
    with station.register.write() as session:
        officers.add_officer(session, Officer("1", "A"), station_no="S1", now=clock(), actor="person:tester")
    assert len(write_exports(station)) == 2


def test_a_file_of_the_future_says_nothing(station: Station, clock) -> None:  # type: ignore[no-untyped-def]
    for one in write_exports(station):
        set_written(one.path, clock.time + timedelta(days=300))
    assert len(write_exports(station)) == 2


def test_one_that_cannot_be_written_keeps_no_other_back(station: Station, tmp_path: Path) -> None:
    (tmp_path / "out/inventory.csv").mkdir(parents=True)
    with pytest.raises(ExportUnwritable, match=r"inventory\.csv"):
        write_exports(station)
    assert Path(exports_of(station.settings)["leader"][0]).exists()
