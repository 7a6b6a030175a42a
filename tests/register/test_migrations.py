"""The revisions make exactly the tables that the code knows, on either database."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text

from dockd.register import migrations
from dockd.register.session import HEAD, Register, create_register
from dockd.register.tables import Table


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
