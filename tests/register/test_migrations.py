"""The revisions make exactly the tables that the code knows, on either database."""

from __future__ import annotations

import re
import sqlite3
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from shelf import AT, Shelf
from sqlalchemy import Connection, create_engine, select, text, update

from dockd.register import migrations
from dockd.register.session import HEAD, Register, create_register, migrate_register, open_register
from dockd.register.tables import WRITTEN, FootageRow, LocationRow, Table, TransferRow


@pytest.fixture(scope="module")
def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return ScriptDirectory.from_config(config)


def test_the_code_names_the_last_revision(scripts: ScriptDirectory) -> None:
    assert scripts.get_heads() == [HEAD]


def test_revisions_follow_in_the_order_of_their_numbers(scripts: ScriptDirectory) -> None:
    names = [script.revision for script in scripts.walk_revisions()]
    assert names == sorted(names, reverse=True)  # opening tells an older register from a newer one by that


def test_no_revision_offers_a_way_back(scripts: ScriptDirectory) -> None:
    for script in scripts.walk_revisions():
        with pytest.raises(NotImplementedError):
            script.module.downgrade()


def test_autogenerate_finds_no_difference(register: Register) -> None:
    with register.read() as session:
        context = MigrationContext.configure(session.connection(), opts={"compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_sqlite_tables_are_word_for_word_those_of_the_code(sqlite_template: Path) -> None:
    """Also what autogenerate does not compare: checks, partial indexes, names."""
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        Table.metadata.create_all(connection)
        wanted = _statements(connection.connection.dbapi_connection)
    engine.dispose()
    migrated = sqlite3.connect(sqlite_template)
    try:
        made = _statements(migrated)
    finally:
        migrated.close()
    assert made == wanted


def test_places_that_had_no_station_have_that_of_the_visit_that_stored_them_there(
    register: Register, register_url: str
) -> None:
    """0002. What was stored again may lie in another station's store than what was stored first."""
    numbers = count(1)
    first, second = (Shelf(register, station_no=number, numbers=numbers) for number in ("S1", "S2"))
    lost, kept = first.footage(first.visit(), data=b"one"), second.footage(second.visit(), data=b"two")
    again = second.footage(second.visit(), data=b"one, copied again")
    with register.write() as session:
        session.execute(update(LocationRow).where(LocationRow.footage_id == again).values(footage_id=lost))
        place = select(LocationRow.path).order_by(LocationRow.id.desc()).limit(1).scalar_subquery()
        file_no = select(FootageRow.file_no).where(FootageRow.id == lost).scalar_subquery()
        session.execute(
            update(TransferRow).where(TransferRow.final == place).values(reason="stored_again", file_no=file_no)
        )
        for statement in (
            "DROP INDEX ix_location_station_no_verified_at",
            "ALTER TABLE location DROP COLUMN station_no",
            "CREATE INDEX ix_location_verified_at ON location (verified_at)",
            "DROP INDEX ix_record_used_from_docked_at",
            "CREATE INDEX ix_record_used_from ON record (used_from)",
            "DROP INDEX ix_revision_at",
            *(f"DROP INDEX ix_record_by_{name}" for name in (*WRITTEN, "long", "marks")),
            "UPDATE alembic_version SET version_num = '0001'",
        ):
            session.execute(text(statement))
    register.close()
    migrate_register(register_url, now=AT)
    upgraded = open_register(register_url)
    try:
        with upgraded.read() as session:
            found = session.execute(select(LocationRow.footage_id, LocationRow.station_no).order_by(LocationRow.id))
            assert [tuple(row) for row in found] == [(lost, "S1"), (kept, "S2"), (lost, "S2")]
            context = MigrationContext.configure(session.connection(), opts={"compare_server_default": True})
            assert compare_metadata(context, Table.metadata) == []
    finally:
        upgraded.close()


def _statements(connection: Any) -> dict[str, set[str]]:
    query = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'alembic%'"
    return {
        name: {part.strip(" ,\t").replace('"', "") for part in re.split(r"\n", sql)}
        for name, sql in connection.execute(query)
    }


@pytest.mark.postgresql
def test_postgresql_tables_are_those_of_the_code(postgres_server: Any) -> None:
    by_revisions, by_code = (postgres_server.create() for _ in range(2))
    create_register(postgres_server.url(by_revisions))
    engine = create_engine(postgres_server.url(by_code))
    Table.metadata.create_all(engine)
    engine.dispose()
    assert _described(postgres_server.url(by_revisions)) == _described(postgres_server.url(by_code))


def _described(url: str) -> set[tuple[Any, ...]]:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = _columns(connection) | _constraints(connection) | _indexes(connection)
    engine.dispose()
    return found


def _columns(connection: Connection) -> set[tuple[Any, ...]]:
    asked = "table_name, column_name, data_type, character_maximum_length, is_nullable, column_default"
    query = f"SELECT {asked} FROM information_schema.columns WHERE table_schema = 'public' AND table_name !~ 'alembic'"
    return {tuple(row) for row in connection.execute(text(query))}


def _constraints(connection: Connection) -> set[tuple[Any, ...]]:
    query = (
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND conname !~ 'alembic'"
    )
    return {tuple(row) for row in connection.execute(text(query))}


def _indexes(connection: Connection) -> set[tuple[Any, ...]]:
    query = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname !~ 'alembic'"
    return {tuple(row) for row in connection.execute(text(query))}
