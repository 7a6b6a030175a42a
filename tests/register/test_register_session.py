"""Transactions: what a commit promises, who waits for whom, and what each kind of trouble is called."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, StatementError
from sqlalchemy.orm import Session

from dockd.errors import (
    RegisterAbsent,
    RegisterClosedToWriting,
    RegisterCorrupt,
    RegisterFailing,
    RegisterFull,
    RegisterLocked,
    RegisterOutdated,
    RegisterReadOnly,
    RegisterTooNew,
    RegisterUnreachable,
    StationExists,
    StoreError,
)
from dockd.register.session import HEAD, Register, check_integrity, create_register, migrate_register, open_register
from dockd.register.tables import BayRow, CustodyRow, LedgerHeadRow, OfficerRow
from dockd.register.trouble import Place, trouble_of

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
FORK = multiprocessing.get_context("fork")


def officer(cert_no: str) -> dict[str, Any]:
    return {"cert_no": cert_no, "name": "Li", "active": True, "created_at": NOW, "updated_at": NOW}


def add_officer(session: Session, cert_no: str) -> None:
    session.add(OfficerRow(**officer(cert_no)))


def officers(register: Register) -> int:
    with register.read() as session:
        return session.scalar(select(func.count()).select_from(OfficerRow)) or 0


@pytest.fixture
def sqlite_file(sqlite_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(sqlite_template, tmp_path / "register.db"))


@pytest.fixture
def on_sqlite(sqlite_file: Path) -> Iterator[Register]:
    register = open_register(f"sqlite:///{sqlite_file}", wait_s=0.2)
    yield register
    register.close()


# --- what is promised -----------------------------------------------------------------------------


def test_a_block_that_ends_is_committed_and_one_that_raises_is_not(register: Register) -> None:
    with register.write() as session:
        add_officer(session, "C1")
    with pytest.raises(ZeroDivisionError), register.write() as session:  # noqa: PT012 (the block is what is tested)
        add_officer(session, "C2")
        session.flush()
        raise ZeroDivisionError
    assert officers(register) == 1


def test_nothing_can_be_written_in_a_reading_block(register: Register) -> None:
    with pytest.raises(DBAPIError), register.read() as session:
        session.execute(text("DELETE FROM officer"))
    with register.write() as session:
        add_officer(session, "C1")  # the connection of the failed block is as new


def test_a_reading_block_sees_one_moment(register: Register) -> None:
    with register.read() as session:
        before = session.scalar(select(func.count()).select_from(OfficerRow))
        with register.write() as other:
            add_officer(other, "C1")
        assert session.scalar(select(func.count()).select_from(OfficerRow)) == before == 0
    assert officers(register) == 1


def test_a_row_that_refers_to_nothing_is_refused(register: Register) -> None:
    with pytest.raises(IntegrityError), register.write() as session:
        session.add(CustodyRow(recorder_id=7, cert_no="C1", issued_at=NOW, issued_by="dockd", flags=[]))


def test_times_come_back_in_utc_and_a_time_without_a_zone_is_refused(register: Register) -> None:
    with register.write() as session:
        session.add(BayRow(station_no="S1", bay="A1", first_seen_at=NOW, last_seen_at=NOW))
    with register.read() as session:
        seen = session.scalars(select(BayRow.first_seen_at)).one()
    assert seen == NOW
    assert seen.utcoffset() == UTC.utcoffset(None)
    with pytest.raises(StatementError, match="without a zone"), register.write() as session:
        session.add(BayRow(station_no="S1", bay="A2", first_seen_at=NOW.replace(tzinfo=None), last_seen_at=NOW))


@pytest.mark.parametrize("writing", [True, False])
def test_the_sqlite_recipe_is_in_force_on_every_connection(on_sqlite: Register, writing: bool) -> None:
    with on_sqlite.write() if writing else on_sqlite.read() as session:
        asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
        values = {name: session.execute(text(f"PRAGMA {name}")).scalar() for name in asked}
    expected = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 200}
    assert values == {**expected, "query_only": int(not writing)}


def test_a_writer_has_its_turn_before_the_first_statement(on_sqlite: Register, sqlite_file: Path) -> None:
    with on_sqlite.write(), other_program(sqlite_file) as connection:
        with pytest.raises(sqlite3.OperationalError) as caught:
            connection.execute("BEGIN IMMEDIATE")
        assert caught.value.sqlite_errorcode == sqlite3.SQLITE_BUSY


@pytest.mark.postgresql
def test_postgresql_waits_for_locks_as_long_as_the_register_and_commits_to_the_medium(postgresql_url: str) -> None:
    create_register(postgresql_url)
    register = open_register(postgresql_url.replace("+psycopg", ""), wait_s=0.2)
    with register.write() as session:
        assert session.scalar(text("SHOW lock_timeout")) == "200ms"
        assert session.scalar(text("SHOW synchronous_commit")) == "on"
    register.close()


# --- several writers ------------------------------------------------------------------------------


def count_up(register: Register, times: int) -> None:
    """Reads and writes in one transaction: an update that is lost shows in the sum."""
    for _ in range(times):
        with register.write() as session:
            row = session.get_one(LedgerHeadRow, "sum", with_for_update=True)
            row.seq += 1


def counted(register: Register) -> int:
    with register.read() as session:
        return session.get_one(LedgerHeadRow, "sum").seq


@pytest.fixture
def counter(register: Register) -> Register:
    with register.write() as session:
        session.add(LedgerHeadRow(station_no="sum", seq=0, sha256="0" * 64))
    return register


def test_threads_that_write_at_once_lose_nothing(counter: Register) -> None:
    threads = [threading.Thread(target=count_up, args=(counter, 20)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted(counter) == 60


def count_in_child(register: Register) -> None:
    count_up(register, 20)
    os._exit(0)  # without closing: as a killed process would leave it


def test_forked_processes_that_write_at_once_lose_nothing_and_do_not_disturb_their_parent(counter: Register) -> None:
    assert counted(counter) == 0  # the parent has open connections when it forks
    children = [FORK.Process(target=count_in_child, args=(counter,)) for _ in range(2)]
    for child in children:
        child.start()
    count_up(counter, 20)
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert counted(counter) == 60


# --- trouble and its names ------------------------------------------------------------------------


@contextmanager
def other_program(path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(path, isolation_level=None, timeout=0)
    try:
        yield connection
    finally:
        connection.close()


def test_a_lock_that_another_program_keeps_is_told_after_the_wait(on_sqlite: Register, sqlite_file: Path) -> None:
    with other_program(sqlite_file) as connection:
        connection.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(RegisterLocked, match=r"waited 0\.2 s"), on_sqlite.write():
            pass
        assert 0.1 < time.monotonic() - began < 2
        assert officers(on_sqlite) == 0  # reading goes on meanwhile
    with on_sqlite.write() as session:
        add_officer(session, "C1")


@pytest.mark.postgresql
def test_a_row_that_another_program_keeps_is_told_after_the_wait(postgresql_url: str) -> None:
    create_register(postgresql_url)
    one, two = open_register(postgresql_url, wait_s=0.2), open_register(postgresql_url)
    with two.write() as holder:
        holder.execute(text("LOCK TABLE officer IN EXCLUSIVE MODE"))
        with pytest.raises(RegisterLocked), one.write() as session:
            session.execute(text("DELETE FROM officer"))
    one.close()
    two.close()


def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "register.db"
    path.write_bytes(b"this is a text and not a register, whatever its name says\n" * 99)
    with pytest.raises(RegisterCorrupt):
        open_register(f"sqlite:///{path}")


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 20_000])
def test_a_register_that_was_cut_is_corrupt(sqlite_file: Path, size: int) -> None:
    os.truncate(sqlite_file, size)
    with pytest.raises(RegisterCorrupt):
        open_register(f"sqlite:///{sqlite_file}")
    assert sqlite_file.stat().st_size == size  # it is left as it was


def test_a_folder_in_the_place_of_the_register_is_corrupt(tmp_path: Path) -> None:
    with pytest.raises(RegisterCorrupt):
        open_register(f"sqlite:///{tmp_path}")


def test_a_page_that_was_overwritten_is_told_when_it_is_read(on_sqlite: Register, sqlite_file: Path) -> None:
    with on_sqlite.write() as session:
        for number in range(500):
            add_officer(session, f"C{number}")
    with on_sqlite.read() as session:
        page = session.scalar(text("SELECT rootpage FROM sqlite_master WHERE name = 'officer'"))
    on_sqlite.close()
    with sqlite_file.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(RegisterCorrupt), on_sqlite.read() as session:
        session.execute(select(OfficerRow)).all()
    assert check_integrity(on_sqlite)


def test_a_whole_register_has_nothing_wrong_inside(register: Register) -> None:
    with register.write() as session:
        add_officer(session, "C1")
    assert check_integrity(register) == []


def test_a_row_whose_parent_is_missing_is_found_by_the_integrity_check(on_sqlite: Register, sqlite_file: Path) -> None:
    with other_program(sqlite_file) as connection:
        connection.execute(
            "INSERT INTO custody (recorder_id, cert_no, issued_at, issued_by, flags) VALUES (7, 'C', '', '', '[]')"
        )
    assert [line for line in check_integrity(on_sqlite) if "custody" in line and "recorder" in line]


def test_an_absent_register_is_told_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(RegisterAbsent):
        open_register(f"sqlite:///{tmp_path}/register.db")
    assert not os.listdir(tmp_path)


def test_a_register_that_vanishes_while_it_is_open_is_not_made_anew(on_sqlite: Register, sqlite_file: Path) -> None:
    on_sqlite.close()
    sqlite_file.unlink()
    with pytest.raises(StoreError), on_sqlite.write():
        pass
    assert not sqlite_file.exists()


@pytest.mark.postgresql
def test_a_database_without_a_register_is_absent(postgresql_url: str) -> None:
    with pytest.raises(RegisterAbsent):
        open_register(postgresql_url)


def test_a_server_that_does_not_answer_is_unreachable_and_its_password_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(RegisterUnreachable) as caught:
        open_register(f"postgresql+psycopg://dockd:secret@/dockd?host={tmp_path}", wait_s=1)
    assert "secret" not in str(caught.value)


@pytest.mark.postgresql
def test_a_connection_that_the_server_ended_is_made_anew(postgresql_url: str) -> None:
    create_register(postgresql_url)
    register, other = open_register(postgresql_url), open_register(postgresql_url)
    assert officers(register) == 0
    ending = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    with other.read() as session:
        session.execute(ending).all()
    assert officers(register) == 0
    with pytest.raises(RegisterUnreachable), register.write() as session:  # noqa: PT012 (the block is what is tested)
        with other.read() as killer:
            killer.execute(ending).all()
        add_officer(session, "C1")
        session.flush()
    register.close()
    other.close()


def test_a_register_on_a_full_disk_is_told_as_such_and_keeps_what_it_had(sqlite_file: Path) -> None:
    """The limit on file size stands for the full disk: SQLite is told EFBIG by the kernel on its WAL."""
    result = FORK.SimpleQueue()
    child = FORK.Process(target=_write_beyond_the_limit, args=(sqlite_file, result))
    child.start()
    child.join()
    assert result.get() in ("RegisterFull", "RegisterFailing")
    register = open_register(f"sqlite:///{sqlite_file}")
    assert officers(register) == 0
    register.close()


def _write_beyond_the_limit(path: Path, result: Any) -> None:
    register = open_register(f"sqlite:///{path}")
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, path.stat().st_size))
    told = "nothing"
    try:
        with register.write() as session:
            session.execute(insert(OfficerRow), [officer(f"C{number}") for number in range(20_000)])
    except StoreError as error:
        told = type(error).__name__
    finally:
        result.put(told)
        os._exit(0)


def sqlite_error(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("words that nobody looks at")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, RegisterLocked),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, RegisterLocked),
        (sqlite3.SQLITE_LOCKED, RegisterLocked),
        (sqlite3.SQLITE_CORRUPT_VTAB, RegisterCorrupt),
        (sqlite3.SQLITE_NOTADB, RegisterCorrupt),
        (sqlite3.SQLITE_FULL, RegisterFull),
        (sqlite3.SQLITE_IOERR_SHMSIZE, RegisterFull),
        (sqlite3.SQLITE_READONLY, RegisterReadOnly),
        (sqlite3.SQLITE_READONLY_DBMOVED, RegisterReadOnly),
        (sqlite3.SQLITE_IOERR_FSYNC, RegisterFailing),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, type(None)),
        (sqlite3.SQLITE_MISUSE, type(None)),
    ],
)
def test_sqlite_errors_are_told_apart_by_their_codes(code: int, expected: type) -> None:
    assert type(trouble_of(sqlite_error(code), Place("r.db", __file__, 1), writing=True)) is expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("08006", RegisterUnreachable),
        ("57P01", RegisterUnreachable),
        ("28P01", RegisterUnreachable),
        ("3D000", RegisterUnreachable),
        ("55P03", RegisterLocked),
        ("40P01", RegisterLocked),
        ("XX001", RegisterCorrupt),
        ("25006", RegisterReadOnly),
        ("53100", RegisterFull),
        ("58030", RegisterFailing),
        ("23505", type(None)),
        ("42P01", type(None)),
    ],
)
def test_postgresql_errors_are_told_apart_by_their_states(state: str, expected: type) -> None:
    psycopg = pytest.importorskip("psycopg")
    error = psycopg.errors.lookup(state)("words that nobody looks at")
    assert type(trouble_of(error, Place("postgresql://db", None, 1), writing=True)) is expected


def test_a_file_that_cannot_be_read_is_failing_and_not_corrupt(tmp_path: Path) -> None:
    """SQLite makes SQLITE_CORRUPT of the kernel's EIO: nobody should rebuild a register because of that."""
    place = Place("r.db", str(tmp_path / "r.db"), 1)
    corrupt = sqlite_error(sqlite3.SQLITE_CORRUPT)
    assert type(trouble_of(corrupt, place, writing=True)) is RegisterUnreachable
    (tmp_path / "r.db").mkdir()
    assert type(trouble_of(corrupt, place, writing=True)) is RegisterFailing
    (tmp_path / "r.db").rmdir()
    (tmp_path / "r.db").write_bytes(b"damaged")
    assert type(trouble_of(corrupt, place, writing=True)) is RegisterCorrupt


def test_other_errors_are_not_trouble_of_the_database() -> None:
    assert trouble_of(ValueError("locked"), Place("r.db", "/r.db", 1), writing=True) is None
    assert trouble_of(sqlite3.ProgrammingError("locked"), Place("r.db", "/r.db", 1), writing=True) is None
    read_only = sqlite_error(sqlite3.SQLITE_READONLY)
    assert trouble_of(read_only, Place("r.db", "/r.db", 1), writing=False) is None


# --- making and upgrading -------------------------------------------------------------------------


def test_an_existing_register_is_never_made_again(register_url: str) -> None:
    with pytest.raises(StationExists):
        create_register(register_url)


def test_a_new_register_leaves_nothing_beside_it_and_is_not_for_everybody(tmp_path: Path) -> None:
    create_register(f"sqlite:///{tmp_path}/new folder/100%/register.db")
    folder = tmp_path / "new folder" / "100%"
    assert os.listdir(folder) == ["register.db"]
    assert stat.S_IMODE((folder / "register.db").stat().st_mode) & 0o007 == 0


def test_an_older_register_is_named_backed_up_and_upgraded(sqlite_file: Path) -> None:
    with other_program(sqlite_file) as connection:
        for table in reversed(_tables(connection)):
            connection.execute(f'DROP TABLE "{table}"')
        connection.execute("DELETE FROM alembic_version")
        connection.execute("CREATE TABLE kept (word TEXT)")
        connection.execute("INSERT INTO kept VALUES ('before')")
    with pytest.raises(RegisterOutdated):
        open_register(f"sqlite:///{sqlite_file}")
    backup = migrate_register(f"sqlite:///{sqlite_file}", now=NOW)
    assert backup == f"{sqlite_file}.before-{HEAD}-20261123T020000Z"
    with other_program(Path(backup)) as connection:
        assert connection.execute("SELECT word FROM kept").fetchall() == [("before",)]
        assert _tables(connection) == ["kept"]
    open_register(f"sqlite:///{sqlite_file}").close()
    assert migrate_register(f"sqlite:///{sqlite_file}", now=NOW) is None


def _tables(connection: sqlite3.Connection) -> list[str]:
    named = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('alembic_version', 'sqlite_sequence')"
    return [name for (name,) in connection.execute(named)]


@pytest.mark.postgresql
def test_an_older_register_in_postgresql_is_upgraded(postgresql_url: str) -> None:
    register = Register(postgresql_url)
    with register.write() as session:
        session.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
    with pytest.raises(RegisterOutdated):
        open_register(postgresql_url)
    assert migrate_register(postgresql_url, now=NOW) is None
    assert officers(register) == 0
    register.close()


def test_a_register_of_a_newer_dockd_is_left_alone(sqlite_file: Path) -> None:
    with other_program(sqlite_file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for act in (open_register, lambda url: migrate_register(url, now=NOW)):
        with pytest.raises(RegisterTooNew):
            act(f"sqlite:///{sqlite_file}")
    assert os.listdir(sqlite_file.parent) == ["register.db"]


def test_a_register_for_reading_only_is_not_written_whoever_tries(register: Register) -> None:
    register.forbid_writing()
    with pytest.raises(RegisterClosedToWriting), register.write():
        pass
    with register.read() as session:
        assert session.scalar(text("SELECT count(*) FROM officer")) == 0
