"""The register's door: every transaction is durable once its block has ended, and holds nothing when it has failed.

SQLite by the recipe of Home Assistant's recorder: WAL, ``synchronous=FULL`` (evidence: NORMAL may lose the
last commits on a power cut), foreign keys, and BEGIN IMMEDIATE for writers, because a transaction that
upgrades from reading to writing fails at once instead of waiting. Readers cannot write on either dialect.

A transaction is never held across file I/O.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, QueuePool, create_engine, event, make_url, text
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from dockd.errors import (
    DockdError,
    RegisterAbsent,
    RegisterClosedToWriting,
    RegisterCorrupt,
    RegisterNotEmpty,
    RegisterOutdated,
    RegisterTooNew,
    RegisterUnreachable,
    StationExists,
    register_error,
)
from dockd.locale import _
from dockd.register import disk
from dockd.register.trouble import Place, trouble_of

HEAD = "0003"
"""The revision that this code reads and writes: alembic's head, said here so that opening needs no alembic."""

WAIT_S = 30.0
# Small: a process has a handful of threads that use the register, and each transaction is short.
_POOL: dict[str, Any] = {"poolclass": QueuePool, "pool_size": 4, "max_overflow": -1}
# Two of our own processes never make a schema at once on one server (the number is "dockd" in ASCII).
_SCHEMA_LOCK = 0x646F636B64

# SQLite takes a shorter file for a new database and would begin one in it.
_SMALLEST = 512

_abandoned: list[object] = []  # pools of a parent: closing them here would break the parent's connections


class Register:
    """An open register. Safe for threads; a forked child makes its own connections at first use."""

    def __init__(self, url: str, *, wait_s: float = WAIT_S) -> None:
        self.url = url
        parsed = _parse(url)
        self.dialect = parsed.get_backend_name()
        self.path = _sqlite_path(parsed)
        self._place = Place(self.path or parsed.render_as_string(hide_password=True), self.path, wait_s)
        if self.path is None:
            self._engine, self._reading, self._writing = _postgresql_engines(parsed, wait_s, self._place)
            self._engines: tuple[Engine, ...] = (self._engine,)
        else:
            self._reading = sqlite_engine(self.path, wait_s, begin="BEGIN", pragmas=("query_only=ON",))
            self._writing = sqlite_engine(self.path, wait_s, begin="BEGIN IMMEDIATE")
            self._engines = (self._reading, self._writing)
        self._pid = os.getpid()
        self._forbidden = False

    @property
    def shown(self) -> str:
        """The register's file or URL as people may see it: without a password."""
        return self._place.shown

    @contextmanager
    def read(self) -> Iterator[Session]:
        """One consistent view of the register. Nothing can be written in it.

        Raises RegisterLocked, RegisterUnreachable, RegisterCorrupt or a StoreError.
        """
        self._notice_fork()
        with self._telling(writing=False), Session(self._reading, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: committed and durable when the block has ended, rolled back when it raises.

        On SQLite the block begins when no other writer is at work. Raises RegisterLocked after
        ``wait_s`` seconds, RegisterUnreachable, RegisterCorrupt or a StoreError; then nothing was written.
        """
        if self._forbidden:
            raise RegisterClosedToWriting
        self._notice_fork()
        with (
            self._telling(writing=True),
            Session(self._writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            session.connection()  # take the writer's turn now, so that waiting happens in one place
            yield session

    def forbid_writing(self) -> None:
        """From now on ``write`` raises RegisterClosedToWriting: whoever has this register may only read."""
        self._forbidden = True

    def close(self) -> None:
        """Every connection is closed; the register can be used again afterwards (connections are made anew)."""
        for engine in self._engines:
            engine.dispose()

    def after_fork(self) -> None:
        """Lets go of the parent's connections without closing them. Called by itself in a child at first use."""
        for engine in self._engines:
            _abandoned.append(engine.pool)
            engine.dispose(close=False)
        self._pid = os.getpid()

    def _notice_fork(self) -> None:
        if self._pid != os.getpid():
            self.after_fork()

    @contextmanager
    def _telling(self, *, writing: bool) -> Iterator[None]:
        with telling_of(self._place, writing=writing):
            yield


@contextmanager
def telling_of(place: Place, *, writing: bool) -> Iterator[None]:
    """Turns the database's trouble in the block into the house's own errors; a constraint's stays as it is."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        trouble = trouble_of(error.orig if isinstance(error, DBAPIError) else error, place, writing=writing)
        if trouble is None:
            raise
        raise trouble from error


# --- engines ----------------------------------------------------------------------------------------


def _parse(url: str) -> URL:
    parsed = make_url(url)
    return parsed.set(drivername="postgresql+psycopg") if parsed.drivername == "postgresql" else parsed


def _sqlite_path(url: URL) -> str | None:
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise ValueError("a register in memory remembers nothing")
    return os.path.abspath(url.database)


class _Hinting(SQLiteCompiler):
    """Writes ``with_hint(table, "INDEXED BY …", "sqlite")``, which SQLAlchemy's own leaves out."""

    def get_from_hint_text(self, table: Any, text: str | None) -> str | None:
        return text


def sqlite_engine(
    path: str, wait_s: float, *, begin: str, pragmas: tuple[str, ...] = (), foreign_keys: bool = True
) -> Engine:
    """An engine on the file, which must exist: nothing makes an empty register by opening one."""

    def connect() -> sqlite3.Connection:
        # isolation_level None: the module emits no BEGIN of its own; the event below does.
        connection = sqlite3.connect(
            f"file:{quote(path)}?mode=rw", uri=True, timeout=wait_s, isolation_level=None, check_same_thread=False
        )
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", f"foreign_keys={foreign_keys:d}", *pragmas):
                connection.execute(f"PRAGMA {pragma}")
        except BaseException:
            connection.close()
            raise
        return connection

    engine = create_engine("sqlite://", creator=connect, **_POOL)
    engine.dialect.statement_compiler = _Hinting

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _postgresql_engines(url: URL, wait_s: float, place: Place) -> tuple[Engine, Engine, Engine]:
    """The engine and its two manners: readers see one snapshot, as on SQLite, and cannot write."""
    try:
        arguments = {"connect_timeout": max(2, round(wait_s))}  # libpq takes 1 for 2
        engine = create_engine(url, pool_pre_ping=True, connect_args=arguments, **_POOL)
    except ModuleNotFoundError as error:
        raise RegisterUnreachable(url=place.shown, reason=f"{error}: pip install 'dockd[postgresql]'") from error

    @event.listens_for(engine, "connect")
    def _settle(connection: Any, _record: object) -> None:
        connection.execute("SELECT set_config('lock_timeout', %s, false)", [f"{round(wait_s * 1000)}ms"])
        # a commit that returns is on the medium, also where the server's default says otherwise
        # Compiling a query takes longer than any of ours.
        connection.execute("SELECT set_config('jit', 'off', false)")
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.commit()

    reading = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return engine, reading, engine.execution_options(isolation_level="READ COMMITTED")


# --- opening ----------------------------------------------------------------------------------------


def open_register(url: str, *, wait_s: float = WAIT_S) -> Register:
    """The register at ``url``, of this code's revision.

    Raises RegisterAbsent (its ``store`` is for the caller to name), RegisterOutdated, RegisterTooNew,
    RegisterCorrupt, RegisterLocked, RegisterUnreachable or a StoreError.
    """
    register = Register(url, wait_s=wait_s)
    try:
        _require_file(register)
        found = revision(register)
        if found is None:
            raise _absent(register)
        _require_revision(found)
    except BaseException:
        register.close()
        raise
    return register


def revision(register: Register) -> str | None:
    """The revision that the register says it is of; empty while none was reached, None where there is no register."""
    query = (
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'alembic_version'"
        if register.path
        else "SELECT count(to_regclass('alembic_version'))"
    )
    with register.read() as session:
        if not session.scalar(text(query)):
            return None
        return session.scalar(text("SELECT version_num FROM alembic_version")) or ""


def _require_file(register: Register) -> None:
    if register.path is None:
        return
    with disk.blaming(register.path, register_error):
        try:
            status = os.stat(register.path)
        except FileNotFoundError:
            raise _absent(register) from None
    if not stat.S_ISREG(status.st_mode):
        raise RegisterCorrupt(url=register.shown, reason=_("it is not a file"))
    if status.st_size < _SMALLEST:
        raise RegisterCorrupt(url=register.shown, reason=_("it is cut short"))


def _require_revision(found: str) -> None:
    if found > HEAD:
        raise RegisterTooNew(found=found, wanted=HEAD)
    if found != HEAD:
        raise RegisterOutdated(found=found or "-", wanted=HEAD)


def _absent(register: Register) -> DockdError:
    if register.path and os.path.lexists(register.path):  # a file that is no register: never taken for a new one
        return RegisterCorrupt(url=register.shown, reason=_("it holds no tables"))
    return RegisterAbsent(url=register.shown, store="?")


def check_integrity(register: Register) -> list[str]:
    """What is wrong inside the database, a line each; empty when it is whole. Reads all of it: minutes for millions.

    SQLite checks every page, index and foreign key; PostgreSQL reads every table
    (and so every page checksum, where its cluster has them).
    """
    try:
        with register.read() as session:
            return _integrity_of_sqlite(session) if register.path else _integrity_of_postgresql(session)
    except RegisterCorrupt as error:
        return [str(error)]


def _integrity_of_sqlite(session: Session) -> list[str]:
    found = [line for (line,) in session.execute(text("PRAGMA integrity_check(100)")) if line != "ok"]
    orphans = session.execute(text("PRAGMA foreign_key_check")).fetchmany(100)
    return found + [f"{table} {row_id}: its {parent} is missing" for table, row_id, parent, _key in orphans]


def _integrity_of_postgresql(session: Session) -> list[str]:
    from dockd.register.tables import Table

    for table in Table.metadata.sorted_tables:
        session.execute(text(f'SELECT count(t.*) FROM "{table.name}" AS t'))  # noqa: S608 (names of our own tables)
    return []


# --- making and upgrading -----------------------------------------------------------------------------


def create_register(url: str) -> None:
    """A new, empty register of this code's revision at ``url``; SQLite's file is whole or absent at any instant.

    Raises StationExists where one is, StoreError or RegisterUnreachable where none can be.
    """
    register = Register(url)
    try:
        if register.path is None:
            _create_in_database(register)
        else:
            with disk.blaming(register.path):
                _create_file(register.path)
    finally:
        register.close()


def _create_file(path: str) -> None:
    if os.path.lexists(path):
        raise StationExists(path=path)
    disk.make_folders(os.path.dirname(path))
    temp = f"{path}.{os.getpid()}.new"
    # SQLite would choose the mode by the umask; WAL and shared memory take over that of the file
    os.close(os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, disk.FILE_MODE))
    try:
        _upgrade_sqlite(temp, WAIT_S)
        disk.sync_file(temp)  # a register's name promises a whole one
        disk.give_name(temp, path)
    except FileExistsError:
        raise StationExists(path=path) from None
    finally:
        for leftover in (temp, f"{temp}-wal", f"{temp}-shm"):
            Path(leftover).unlink(missing_ok=True)


def _create_in_database(register: Register) -> None:
    with register.write() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
        if session.scalar(text("SELECT count(to_regclass('alembic_version'))")):
            raise StationExists(path=register.shown)
        _run_migrations(session.connection())


def found_register(session: Session, shown: str) -> None:
    """The tables of a new register in the caller's transaction, on PostgreSQL. Raises RegisterNotEmpty."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
    query = "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()"
    if tables := session.scalar(text(query)):
        raise RegisterNotEmpty(url=shown, tables=tables)
    _run_migrations(session.connection())


def migrate_register(url: str, *, now: datetime) -> str | None:
    """The register is of this code's revision. Returns the path of the backup that was made of a SQLite file.

    Returns None when there was nothing to do, and for PostgreSQL (its backup is its administrator's).
    Raises RegisterAbsent, RegisterCorrupt, RegisterLocked, RegisterTooNew; then nothing was changed.
    """
    try:
        open_register(url).close()
        return None
    except RegisterTooNew:
        raise
    except RegisterOutdated:
        register = Register(url)
    try:
        return _upgrade_in_place(register, now)
    finally:
        register.close()


def _upgrade_in_place(register: Register, now: datetime) -> str | None:
    if register.path is None:
        with register.write() as session:
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            _run_migrations(session.connection())
        return None
    backup = f"{register.path}.before-{HEAD}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    with telling_of(register._place, writing=True), disk.blaming(backup):
        copy_sqlite(register.path, backup)
    _upgrade_sqlite(register.path, register._place.wait_s)
    return backup


def copy_sqlite(path: str, backup: str) -> None:
    """A whole copy at one moment, on the medium: VACUUM INTO sees the WAL too, and does not sync by itself.

    Raises OSError, and sqlite3.Error as it is.
    """
    source = sqlite3.connect(f"file:{quote(path)}?mode=rw", uri=True, timeout=WAIT_S, isolation_level=None)
    try:
        os.close(os.open(backup, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, disk.FILE_MODE))
        source.execute("VACUUM INTO ?", (backup,))
    finally:
        source.close()
    # An upgrade begins only where the way back is on the medium: the backup's bytes and its name.
    disk.sync_file(backup)
    disk.sync_folder(os.path.dirname(backup))


def _upgrade_sqlite(path: str, wait_s: float) -> None:
    """Runs the migrations in one transaction.

    Batch mode makes tables anew, so that foreign keys rest meanwhile and are checked at the end.
    """
    engine = sqlite_engine(path, wait_s, begin="BEGIN IMMEDIATE", foreign_keys=False)
    try:
        with telling_of(Place(path, path, wait_s), writing=True), engine.begin() as connection:
            _run_migrations(connection)
            if connection.execute(text("PRAGMA foreign_key_check")).first():
                raise RegisterCorrupt(url=path, reason=_("rows refer to rows that are missing"))
    finally:
        engine.dispose()


def _run_migrations(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    command.upgrade(config, "head")


__all__ = [
    "HEAD",
    "Register",
    "check_integrity",
    "copy_sqlite",
    "create_register",
    "found_register",
    "migrate_register",
    "open_register",
    "revision",
]
