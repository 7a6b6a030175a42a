"""A new register in the place of a lost one: whole or not there, and what stood there is kept under another name.

SQLite's is made as a file beside and given the name at the end; PostgreSQL's in one transaction.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import quote

from sqlalchemy import URL
from sqlalchemy.orm import Session

from dockd.errors import RegisterInUse, StoreFailing
from dockd.locale import _
from dockd.register import disk
from dockd.register.session import Register, create_register, found_register

# SQLite's lock bytes: every connection in WAL mode holds a shared lock on some of them while it is open.
_LOCK_START, _LOCK_LENGTH = 0x40000000, 512
_BESIDE = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Making:
    """A register that is being made. ``aside`` is where the damaged one will lie, None where there is none."""

    session: Session
    aside: str | None


@contextmanager
def new_register(url: str, *, wait_s: float, stamp: str) -> Iterator[Making]:
    """An empty register that stands at ``url``, durably, when the block ends well; otherwise nothing is changed.

    A file that stands there is renamed to ``….damaged-STAMP`` with what belongs to it, never deleted.
    The transaction is held for the whole block: nobody else can see this register yet. Raises
    RegisterInUse, RegisterNotEmpty (PostgreSQL), StoreError.
    """
    register = Register(url, wait_s=wait_s)
    path, shown = register.path, register.shown
    if path is not None:
        register.close()
        with _in_file(os.path.realpath(path), shown, wait_s, stamp) as making:
            yield making
        return
    try:
        with register.write() as session:
            found_register(session, shown)
            yield Making(session, None)
    finally:
        register.close()


@contextmanager
def _in_file(path: str, shown: str, wait_s: float, stamp: str) -> Iterator[Making]:
    temp = f"{path}.rebuilding"
    with disk.blaming(path), _held(path, shown):
        aside = _free_name(path, f"{path}.damaged-{stamp}")
        _remove(temp)
        try:
            create_register(_url_of(temp))
            register = Register(_url_of(temp), wait_s=wait_s)
            try:
                with register.write() as session:
                    yield Making(session, aside)
            finally:
                register.close()
            _settle(temp)
            if aside:
                _move_aside(path, aside)
            disk.give_name(temp, path)
        finally:
            _remove(temp)


def _url_of(path: str) -> str:
    return URL.create("sqlite", database=path).render_as_string(hide_password=False)


@contextmanager
def _held(path: str, shown: str) -> Iterator[None]:
    """Nobody has the file open as a register, and nobody can open it as one until the block ends."""
    if not os.path.exists(path):
        yield
        return
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCK_LENGTH, _LOCK_START)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise RegisterInUse(url=shown, reason=_("another program has it open")) from error
        yield
    finally:
        os.close(fd)


def _free_name(path: str, wanted: str) -> str | None:
    """A name that neither the file nor what belongs to it has yet; None where there is nothing to move."""
    if not any(os.path.lexists(path + suffix) for suffix in _BESIDE):
        return None
    number, name = 0, wanted
    while any(os.path.lexists(name + suffix) for suffix in _BESIDE):
        number += 1
        name = f"{wanted}.{number}"
    return name


def _move_aside(path: str, aside: str) -> None:
    """The file goes first: without its log it would look like a register of an earlier day.

    A log that a crash leaves behind is moved by the next rebuild, before a new file has the name.
    """
    for suffix in _BESIDE:
        if os.path.lexists(path + suffix):
            os.rename(path + suffix, aside + suffix)
    disk.sync_folder(os.path.dirname(path))  # "never deleted" promises the name that it is kept under


def _settle(temp: str) -> None:
    """All of the new register is in its one file, on the medium."""
    connection = sqlite3.connect(f"file:{quote(temp)}?mode=rw", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    if os.path.exists(f"{temp}-wal"):
        raise StoreFailing(path=temp, reason="its log could not be written into it")
    disk.sync_file(temp)  # the register's name promises a whole one


def _remove(temp: str) -> None:
    """Whatever a making has left, this one or one that a crash cut short."""
    folder, name = os.path.split(temp)
    for leftover in [entry for entry in os.listdir(folder) if entry.startswith(name)]:
        with suppress(FileNotFoundError):
            os.unlink(f"{folder}/{leftover}")
