"""Rows on their way into a new register: in batches, and never before what they refer to."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, delete, insert, text, update
from sqlalchemy.orm import Session

from dockd.register.tables import Table, UtcTime

_BATCH = 500
_PLACE = {table.name: number for number, table in enumerate(Table.metadata.sorted_tables)}


class Rows:
    """The new register's rows. ``recorders`` and ``cases`` are keys by number, ``counts`` rows by table.

    ``seen`` holds the observations of each visit that is still open.
    """

    def __init__(self, session: Session, station_no: str) -> None:
        self.session = session
        self.station_no = station_no
        self.recorders: dict[str, int] = {}
        self.cases: dict[str, int] = {}
        self.seen: dict[int, set[int]] = {}
        self.counts: Counter[str] = Counter()
        self._waiting: dict[type[Table], list[dict[str, Any]]] = {}
        self._size = 0

    def add(self, table: type[Table], **values: Any) -> None:
        """One more row; it is there when the next ``flush`` returns."""
        self._waiting.setdefault(table, []).append(values)
        self.counts[table.__tablename__] += 1
        self._size += 1
        if self._size >= _BATCH:
            self.flush()

    def flush(self) -> None:
        """Every row added so far can be found."""
        waiting, self._waiting, self._size = self._waiting, {}, 0
        for table in sorted(waiting, key=lambda table: _PLACE[table.__tablename__]):
            self.session.execute(insert(table), waiting[table])

    def change(self, table: type[Table], where: Mapping[str, Any], **values: Any) -> None:
        """Changes the row that ``where`` names (column to value). Raises LookupError where there is none."""
        if not self.change_any(table, where, **values):
            raise LookupError(f"no {table.__tablename__} with {dict(where)}")

    def change_any(self, table: type[Table], where: Mapping[str, Any], **values: Any) -> int:
        """The same for any number of rows; returns how many they are."""
        self.flush()
        query = update(table).where(*_named(table, where)).values(**values)
        done = self.session.execute(query.execution_options(synchronize_session=False))
        return int(done.rowcount)  # type: ignore[attr-defined]

    def remove(self, table: type[Table], where: Mapping[str, Any]) -> None:
        """Removes the rows that ``where`` names (column to value)."""
        self.flush()
        query = delete(table).where(*_named(table, where)).execution_options(synchronize_session=False)
        self.counts[table.__tablename__] -= int(self.session.execute(query).rowcount)  # type: ignore[attr-defined]

    def recorder(self, device_no: str | None) -> int | None:
        """The key of the recorder with this number. Raises KeyError for one that no line has told of."""
        return self.recorders[device_no] if device_no is not None else None


def _named(table: type[Table], where: Mapping[str, Any]) -> list[ColumnElement[bool]]:
    columns = {name: getattr(table, name) for name in where}
    return [columns[n].is_(None) if value is None else columns[n] == value for n, value in where.items()]


def set_sequences(session: Session) -> None:
    """The next row of each table gets a key that was never given (PostgreSQL; SQLite looks for itself)."""
    if session.get_bind().dialect.name != "postgresql":
        return
    for table in Table.metadata.sorted_tables:
        key = table.autoincrement_column
        if key is None:
            continue
        newest = f'(SELECT max("{key.name}") FROM "{table.name}")'  # noqa: S608 (names of our own tables)
        session.execute(
            text(f"SELECT setval(pg_get_serial_sequence(:name, :key), {newest}) WHERE {newest} IS NOT NULL"),
            {"name": f'"{table.name}"', "key": key.name},
        )


def said(table: type[Table], data: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The values of ``names`` in a line's data as the table's columns take them. Raises KeyError for one that lacks."""
    return {name: typed(table, name, data[name]) for name in names}


def typed(table: type[Table], name: str, value: Any) -> Any:
    """A line's value as the column takes it: times aware, bytes out of their base64."""
    if value is None:
        return None
    column = table.__table__.columns[name].type
    if isinstance(column, UtcTime):
        return datetime.fromisoformat(value)
    return base64.b64decode(value["b64"], validate=True) if isinstance(column, LargeBinary) else value
