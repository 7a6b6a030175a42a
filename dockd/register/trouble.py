"""What a database's error means to a person: decided by its code, never by words in its message."""

from __future__ import annotations

import errno
import os
import sqlite3
from dataclasses import dataclass

from dockd.errors import DockdError, RegisterCorrupt, RegisterLocked, RegisterUnreachable, register_error


@dataclass(frozen=True, slots=True)
class Place:
    """Which register it is about: ``shown`` carries no password, ``path`` is SQLite's file."""

    shown: str
    path: str | None
    wait_s: float


def trouble_of(error: BaseException | None, place: Place, *, writing: bool) -> DockdError | None:
    """The house's own error for a driver's, or None where it is no trouble of the database (a constraint, a bug)."""
    if isinstance(error, sqlite3.Error):
        return _of_sqlite(error, place, writing=writing)
    if hasattr(error, "sqlstate"):
        return _of_postgresql(error, place, writing=writing)
    return None


# --- SQLite ---------------------------------------------------------------------------------------

_LOCKED = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL})
_BLOCK = 1 << 20
_CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# The shared memory beside the WAL needs room too.
_FULL = frozenset({sqlite3.SQLITE_IOERR_SHMSIZE})
_ERRNO = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_AUTH: errno.EACCES,
}


def _of_sqlite(error: sqlite3.Error, place: Place, *, writing: bool) -> DockdError | None:
    extended = getattr(error, "sqlite_errorcode", None)
    if extended is None:  # raised by the Python module itself: wrong use, not trouble
        return None
    code = extended & 0xFF
    path = place.path or place.shown
    if code in _LOCKED:
        return RegisterLocked(seconds=f"{place.wait_s:g}")
    if code in _CORRUPT:
        return _unreadable(path) or RegisterCorrupt(url=place.shown, reason=str(error))
    if extended == sqlite3.SQLITE_READONLY and not writing:
        return None  # our own code wrote in a reading transaction
    if code == sqlite3.SQLITE_CANTOPEN or extended == sqlite3.SQLITE_READONLY_DIRECTORY:
        return _cannot_open(path)
    if extended in _FULL:
        return register_error(OSError(errno.ENOSPC, str(error)), path)
    if code in _ERRNO:
        return register_error(OSError(_ERRNO[code], str(error)), path)
    return None


def _unreadable(path: str) -> DockdError | None:
    """SQLite calls a file corrupt that its disk cannot give back; a register is rebuilt only if it is."""
    try:
        with open(path, "rb", buffering=0) as file:
            while file.read(_BLOCK):
                pass
    except OSError as error:
        return register_error(error, path)
    return None


def _cannot_open(path: str) -> DockdError:
    """SQLite does not say why: the file itself is asked, then its folder, where WAL needs to make files."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        shape = os.statvfs(path)
    except OSError as error:
        return register_error(error, path)
    code = errno.EACCES if shape.f_bavail else errno.ENOSPC
    return register_error(OSError(code, os.strerror(code)), os.path.dirname(path))


# --- PostgreSQL (Appendix A of its manual) -----------------------------------------------------------

_AWAY = ("08", "28", "3D", "57P", "53300")
_BUSY = ("55P03", "40P01", "40001")
_DAMAGED = ("XX001", "XX002")
_DISK = {"53100": errno.ENOSPC, "58030": errno.EIO, "58P01": errno.EIO, "53200": errno.EIO}


def _of_postgresql(error: object, place: Place, *, writing: bool) -> DockdError | None:
    import psycopg

    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate or ("08006" if isinstance(error, psycopg.OperationalError) else "")
    reason = next(iter(str(error).splitlines()), state)
    if state.startswith(_AWAY):
        return RegisterUnreachable(url=place.shown, reason=reason)
    if state in _BUSY:
        return RegisterLocked(seconds=f"{place.wait_s:g}")
    if state in _DAMAGED:
        return RegisterCorrupt(url=place.shown, reason=reason)
    if state == "25006" and writing:  # a standby, or a server that was set read-only
        return register_error(OSError(errno.EROFS, reason), place.shown)
    if state in _DISK:
        return register_error(OSError(_DISK[state], reason), place.shown)
    return None
