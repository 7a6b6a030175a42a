"""Backups: one whole copy a day of either database, which is a register to go on with; the newest few are kept."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from shelf import Shelf
from sqlalchemy import select

from dockd.errors import ExportUnwritable, RegisterCorrupt
from dockd.register.backup import back_up, copies, require_whole
from dockd.register.ledger import verify_ledger
from dockd.register.session import Register, open_register
from dockd.register.station import Station
from dockd.register.tables import Table
from dockd.settings import parse_settings


class Moving:
    """A clock that only the test moves."""

    at = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def station(register: Register, tmp_path: Path) -> Station:
    """Two recordings of a case, on either database; copies go to ``tmp_path/backup`` and three are kept."""
    shelf = Shelf(register)
    shelf.recorder()
    shelf.case()
    visit_id = shelf.visit(1)
    for name in (b"DCIM/\xff0001.MP4", b"DCIM/0002.MP4"):
        shelf.record(visit_id, name, data=name, party="张某", case_no="A-1")
    text = "agency: {station_no: S1}\nstore: {root: store}\nbackup: {folder: backup, keep: 3}\n"
    settings = parse_settings(text, tmp_path / "dockd.yaml")
    return Station(settings, register, Moving(), "dockd")


def rows_of(register: Register) -> dict[str, list[dict[str, Any]]]:
    with register.read() as session:
        return {
            table.name: sorted((dict(row._mapping) for row in session.execute(select(table))), key=repr)
            for table in Table.metadata.sorted_tables
        }


def test_a_copy_holds_every_row_of_every_table_and_is_a_register_to_go_on_with(station: Station) -> None:
    path = back_up(station)
    assert path
    copy = open_register(f"sqlite:///{path}")
    try:
        assert rows_of(copy) == rows_of(station.register)
        assert sum(map(len, rows_of(copy).values())) > 15
        assert not verify_ledger(copy, station.store, "S1").problems
        Shelf(copy).officer()
    finally:
        copy.close()


def test_a_copy_is_one_file_of_its_owners_alone_with_nothing_beside_it(station: Station) -> None:
    path = back_up(station)
    assert path
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
    assert os.stat(path).st_mode & 0o007 == 0


def test_there_is_one_copy_a_day_and_the_newest_three_are_kept(station: Station) -> None:
    made = []
    for _night in range(5):
        made.append(back_up(station))
        assert back_up(station) is None
        station.now.at += timedelta(days=1)  # type: ignore[attr-defined]
    assert sorted(copies(str(station.settings.backup.folder)).values()) == sorted(str(one) for one in made[-3:])


def test_a_copy_from_a_clock_that_was_wrong_keeps_no_new_one_from_being_made(station: Station) -> None:
    station.now.at += timedelta(days=400)  # type: ignore[attr-defined]
    assert back_up(station)
    station.now.at -= timedelta(days=400)  # type: ignore[attr-defined]
    assert back_up(station)


def test_nothing_is_copied_where_the_agency_wants_no_copies(station: Station) -> None:
    none = station.settings.backup.model_copy(update={"keep": 0})
    assert back_up(replace(station, settings=replace(station.settings, backup=none))) is None
    assert not station.settings.backup.folder.exists()


def test_what_a_backup_that_was_cut_short_left_is_cleared_and_other_files_stay(station: Station) -> None:
    folder = station.settings.backup.folder
    folder.mkdir()
    (folder / "register-20261122T010000Z.db.part").write_bytes(b"half")
    (folder / "notes.txt").write_bytes(b"mine")
    assert back_up(station)
    assert sorted(path.suffix for path in folder.iterdir()) == [".db", ".txt"]


def test_a_folder_that_takes_no_copy_is_said_and_the_older_copies_stay(station: Station) -> None:
    folder = station.settings.backup.folder
    folder.parent.mkdir(exist_ok=True)
    folder.write_bytes(b"a file")
    with pytest.raises(ExportUnwritable, match="backup"):
        back_up(station)


def test_a_copy_that_is_damaged_is_no_copy(station: Station) -> None:
    path = back_up(station)
    assert path
    size = os.path.getsize(path)
    with open(path, "r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(8192))
    with pytest.raises((RegisterCorrupt, sqlite3.DatabaseError)):
        require_whole(path)
