"""Backups of the register: one whole copy a day, proven readable, the newest few kept.

An SQLite register is copied by ``VACUUM INTO``, at one moment and with what stands in its WAL. A register
on PostgreSQL is copied row by row, in one snapshot, into an SQLite register: nothing but dockd is needed to
read it, and a station goes on with it at once when ``register.url`` names it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert, select, text
from sqlalchemy.orm import Session

from dockd.errors import ExportUnwritable, RegisterCorrupt
from dockd.register import disk
from dockd.register.session import Register, copy_sqlite, create_register, open_register, sqlite_engine, telling_of
from dockd.register.station import Station
from dockd.register.tables import Table
from dockd.register.trouble import Place

EVERY = timedelta(hours=20)
"""A night's copy is due although the last night's took long."""

_NAME = re.compile(r"register-(\d{8}T\d{6})Z\.db")
_ROWS = 1000
_WAIT_S = 30.0


def back_up(station: Station) -> str | None:
    """A copy of today lies in ``backup.folder``, on the medium and whole; returns its path, or None if there was one.

    Older copies than ``backup.keep`` are removed, after the new one stands. Raises ExportUnwritable where
    the folder takes none, RegisterCorrupt where the register (or its copy) is damaged: no copy is removed then.
    """
    wanted, now = station.settings.backup, station.now().astimezone(UTC)
    folder = os.fspath(wanted.folder)
    if not wanted.keep or any(timedelta(0) <= now - at < EVERY for at in copies(folder)):
        return None
    path = f"{folder}/register-{now:%Y%m%dT%H%M%S}Z.db"
    part = f"{path}.part"
    try:
        disk.make_folders(folder)
        _clear(folder)
        copy_register(station.register, part)
        require_whole(part)
        disk.sync_file(part)
        disk.give_name(part, path)
    except OSError as error:
        raise ExportUnwritable(path=folder, reason=error.strerror or str(error)) from error
    finally:
        for leftover in (part, f"{part}-wal", f"{part}-shm"):
            with suppress(OSError):
                os.unlink(leftover)
    found = copies(folder)
    for at in sorted(found)[: -wanted.keep]:
        with suppress(OSError):
            os.unlink(found[at])
    return path


def copies(folder: str) -> dict[datetime, str]:
    """The copies in ``folder`` by the time they were made; none where there is no folder."""
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    found = {name: made for name in names if (made := _NAME.fullmatch(name))}
    return {
        datetime.strptime(made[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC): os.path.join(folder, name)
        for name, made in found.items()
    }


def copy_register(register: Register, path: str) -> None:
    """A new SQLite register at ``path`` holds what ``register`` holds at one moment. Raises OSError, StoreError."""
    if register.path is not None:
        with telling_of(Place(path, path, _WAIT_S), writing=True):
            copy_sqlite(register.path, path)
        return
    create_register(f"sqlite:///{path}")
    engine = sqlite_engine(path, _WAIT_S, begin="BEGIN IMMEDIATE", foreign_keys=False)
    try:
        # A reader's snapshot holds nobody up, however long its copying takes.
        with register.read() as session, engine.begin() as target:
            _copy_rows(session, target)
    finally:
        engine.dispose()  # its last connection takes the WAL into the file


def _copy_rows(session: Session, target: Connection) -> None:
    for table in Table.metadata.sorted_tables:
        for rows in session.execute(select(table).execution_options(yield_per=_ROWS)).partitions():
            target.execute(insert(table), [dict(row._mapping) for row in rows])


def require_whole(path: str) -> None:
    """Raises RegisterCorrupt where the copy is not a register of this revision, or is damaged anywhere."""
    copy = open_register(f"sqlite:///{path}")
    try:
        with copy.read() as session:
            said = [line for (line,) in session.execute(text("PRAGMA integrity_check(1)"))]
            orphan = session.execute(text("PRAGMA foreign_key_check")).first()
    finally:
        copy.close()
    if said != ["ok"] or orphan:
        raise RegisterCorrupt(url=path, reason=said[0] if said != ["ok"] else str(orphan))


def _clear(folder: str) -> None:
    """What a backup that was cut short left."""
    for entry in list(os.scandir(folder)):
        if entry.name.startswith("register-") and ".db.part" in entry.name:
            os.unlink(entry.path)
