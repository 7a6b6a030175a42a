"""A long history: one real visit of a register, multiplied in the database into as many as a bureau has in years.

Every row that a visit fills is copied with keys, numbers, names, digests and times of its own, spread over
recorders, officers and cases. Ledger lines are copied under another station's number: this one's chain stays whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Connection, DateTime, LargeBinary, create_engine, text

from dockd.register.tables import Table, UtcTime

RECORDERS, OFFICERS, CASES, PLACES = 200, 200, 20_000, 300
MINUTES = 90  # between two visits of the history: 16 a day, four years for a million records

# Parents first.
_COPIED = (
    *("visit", "observation", "transfer", "footage", "location", "record", "record_officer", "record_token"),
    *("sidecar", "revision", "recorder_event", "alert", "event"),
)
_KEYS = {"id", "visit_id", "observation_id", "footage_id", "record_id", "session_id", "seq"}
# Texts that are unique, or that a search is to tell apart.
_NUMBERED = {
    "file_no",
    "temp",
    "final",
    "manifest",
    "path",
    "original_name",
    "original_path",
    "about",
    "subject",
    "token",
}
_EARLIER = {
    "sqlite": "strftime('%Y-%m-%d %H\\:%M\\:%f000', {c}, '-' || (({last} - n) * {minutes}) || ' minutes')",
    "postgresql": "{c} - ({last} - n) * INTERVAL '{minutes} minutes'",
}
_DIGEST = {"sqlite": "randomblob(16)", "postgresql": "decode(md5(CAST(id AS text) || '/' || n), 'hex')"}
_BYTES = {"sqlite": "CAST({c} || '-' || n AS BLOB)", "postgresql": "{c} || convert_to('-' || n, 'UTF8')"}
_LIST = {"sqlite": "'[\"' || {word} || '\"]'", "postgresql": "to_json(ARRAY[{word}])"}


def multiply(url: str, copies: int) -> int:
    """Every visit of the register stands in it ``copies`` times more, each before the first. Returns its records.

    The register has a recorder, an officer and a case that the others are made like.
    """
    engine = create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.execute(text("PRAGMA synchronous=OFF"))
            connection.commit()
        with connection.begin():
            lines = connection.execute(text("SELECT max(seq) FROM event")).scalar_one()
            step = max(lines, *(_last(connection, name) for name in ("visit", "observation", "record", "alert"))) + 1
            first = _last(connection, "recorder") + 1
            _copy(connection, "recorder", RECORDERS, {"device_no": "'YS-H' || n", "device_serial": "'88' || n"})
            _copy(connection, "officer", OFFICERS, {"cert_no": "'1301' || n", "name": "'王' || n"})
            _copy(connection, "case_file", CASES, {"case_no": "'罚〔2024〕' || n || '号'"})
            for name in _COPIED:
                _copy(connection, name, copies, _values(connection, name, copies, step, first))
            if engine.dialect.name == "postgresql":
                _catch_up(connection)
            count: int = connection.execute(text("SELECT count(*) FROM record")).scalar_one()
    # As autovacuum leaves it.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        words = ("ANALYZE",) if engine.dialect.name == "sqlite" else ("VACUUM ANALYZE", "CHECKPOINT")
        for word in words:
            connection.execute(text(word))
    engine.dispose()
    return count


def _last(connection: Connection, table: str) -> int:
    return int(connection.execute(text(f"SELECT coalesce(max(id), 0) FROM {table}")).scalar_one())


def _copy(connection: Connection, table: str, copies: int, said: Mapping[str, str]) -> None:
    """``copies`` rows for each row of a table (of what people enter: for its last), with ``said`` in its columns."""
    names = [column.name for column in Table.metadata.tables[table].columns]
    values = [said.get(name, "id + n" if name == "id" else name) for name in names]
    first = f"WHERE id = (SELECT max(id) FROM {table})" if table in ("recorder", "officer", "case_file") else ""
    connection.execute(
        text(
            f"WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {copies}), "
            f"origin AS (SELECT * FROM {table} {first}) "
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(values)} FROM numbers CROSS JOIN origin"
        )
    )


def _values(connection: Connection, table: str, copies: int, step: int, recorder: int) -> dict[str, str]:
    columns = Table.metadata.tables[table].columns
    found = {c.name: _value(c, connection.dialect.name, copies, step, recorder) for c in columns}
    if table == "alert":
        found |= {"state": "'closed'", "closed_at": "opened_at"}
    if table == "event":
        found |= {"station_no": "'S0'"}
    if table == "revision":  # it is its record that counts, not its own row
        found |= {"number": "number"}
    return found


def _value(column: Column[Any], dialect: str, copies: int, step: int, recorder: int) -> str:
    name = column.name
    officer = f"'1301' || (1 + n % {OFFICERS})"
    special = {
        # An empty one stays empty.
        "recorder_id": f"recorder_id - recorder_id + {recorder} + n % {RECORDERS}",
        "cert_no": officer,
        "officers": _LIST[dialect].format(word=officer),
        "case_no": f"CASE WHEN n % 3 = 0 THEN '罚〔2024〕' || (1 + n % {CASES}) || '号' END",
        "title": "title || ' 超越批准的矿区范围采矿现场检查 ' || n",
        "case_cause": "CASE n % 3 WHEN 0 THEN '未取得采矿许可证擅自采矿' WHEN 1 THEN '超越批准的矿区范围采矿' END",
        "matter": "'矿产资源执法检查'",
        "place": f"'元氏县南佐镇' || (n % {PLACES}) || '号矿点'",
        "party": "CASE WHEN n % 3 = 0 THEN '张' || n END",
        "owner_state": "CASE WHEN n % 500 = 0 THEN 'unassigned' ELSE 'assigned' END",
        "late": "n % 20 = 0",
        "card_instance": f"'card-' || (n % {RECORDERS})",
        "path_hash": _DIGEST[dialect],
        "sha256": "substr(sha256, 1, 44) || '-' || n",
    }
    if name in special:
        return special[name]
    if name in _KEYS:
        return f"{name} + CAST({step} AS BIGINT) * n"
    if name in _NUMBERED:
        return _BYTES[dialect].format(c=name) if isinstance(column.type, LargeBinary) else f"{name} || '-' || n"
    if isinstance(column.type, UtcTime | DateTime):
        return _EARLIER[dialect].format(c=name, last=copies + 1, minutes=MINUTES)
    return name


def _catch_up(connection: Connection) -> None:
    """PostgreSQL's counters go on behind the new rows."""
    for table in Table.metadata.tables.values():
        if "id" in table.columns:
            counter = f"pg_get_serial_sequence('{table.name}', 'id')"
            connection.execute(text(f"SELECT setval({counter}, max(id)) FROM {table.name} HAVING max(id) IS NOT NULL"))
