"""The inventory CSV: one row per stored record, whole or not there, in bounded memory.

RFC 4180, UTF-8, columns as ``columns.py`` says. Rows are read in pages of their own short
transactions, so that a slow disk or pipe never holds the register.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Row, Select, select

from dockd.export import datapackage
from dockd.export.atomic import publishing
from dockd.export.cells import BOM, JOINED_BY, csv_lines, guard_formula, time_cell
from dockd.export.columns import BY_NAME, Column, Type, chosen
from dockd.law.masking import is_protected, mask_field
from dockd.law.vocabulary import ACT_TYPES, CONFIDENTIALITY, METHODS, STAGES, Term, method_of
from dockd.nouns import UNCLASSIFIED, MediaType
from dockd.register.officers import officer_names
from dockd.register.records import newest_location
from dockd.register.session import Register
from dockd.register.tables import (
    ExceptionRow,
    FootageRow,
    LocationRow,
    RecorderRow,
    RecordRow,
    RevisionRow,
    VisitRow,
)

PAGE = 2000

Cell = Callable[[Mapping[str, Any]], str]


@dataclass(frozen=True, slots=True)
class Inventory:
    """How one export looks. ``columns`` empty means all; ``since`` limits it to what is new or revised."""

    headers: Literal["en", "zh"] = "en"
    bom: bool = False
    masked: bool = True
    columns: tuple[str, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished export: ``sha256`` and ``bytes`` are of the file as it lies there."""

    path: str
    rows: int
    bytes: int
    sha256: str


def export_inventory(register: Register, zone: ZoneInfo, path: str, wanted: Inventory) -> Exported:
    """``path`` holds the inventory, durably, with its ``datapackage.json`` beside it.

    A reader sees the old file or the new one. Raises ExportUnwritable and leaves the old
    file as it was when the folder does not take the new one.
    """
    target = os.path.realpath(path)  # a link that points to the file stays a link
    datapackage.require_mergeable(os.path.dirname(target))
    with publishing(target) as draft:
        rows = write_inventory(register, zone, draft.write, wanted)
    done = Exported(path=target, rows=rows, bytes=draft.size, sha256=draft.sha256)
    datapackage.describe_beside(
        target,
        chosen(wanted.columns),
        headers=wanted.headers,
        bom=wanted.bom,
        masked=wanted.masked,
        size=done.bytes,
        sha256=done.sha256,
    )
    return done


def write_inventory(register: Register, zone: ZoneInfo, write: Callable[[bytes], object], wanted: Inventory) -> int:
    """Gives the CSV to ``write`` piece by piece; returns the number of rows."""
    columns = chosen(wanted.columns)
    cells = [_cell(column, zone) for column in columns]
    write((BOM if wanted.bom else b"") + csv_lines([[c.zh if wanted.headers == "zh" else c.name for c in columns]]))
    rows = 0
    for page in _pages(register, wanted):
        write(csv_lines([cell(row) for cell in cells] for row in page))
        rows += len(page)
    return rows


# What the register says of a record itself; the rest of a row is looked up beside it.
_SAID = tuple(
    column for column in RecordRow.__table__.columns if column.name in {"id", "officers"} or column.name in BY_NAME
)


# --- what is read ----------------------------------------------------------------------------------------


def _pages(register: Register, wanted: Inventory) -> Iterator[list[dict[str, Any]]]:
    after = 0
    while True:
        with register.read() as session:
            # Columns alone, past the session: it keeps no objects here, and a million rows are many.
            found = session.connection().execute(_query(wanted.since, after)).all()
            names = officer_names(session, (c for row in found for c in row.officers))
        if not found:
            return
        after = found[-1].id
        yield [_values(row, names, wanted) for row in found]


def _query(since: datetime | None, after: int) -> Select[*tuple[Any, ...]]:
    query = (
        select(
            *_SAID,
            FootageRow.size.label("size_bytes"),
            FootageRow.sha256.label("digest"),
            LocationRow.path.label("location"),
            LocationRow.verified_at,
            VisitRow.bay,
            RecorderRow.device_no,
            RecorderRow.device_serial,
            RecorderRow.device_kind,
            RecorderRow.unit,
            ExceptionRow.reason.label("exception_reason"),
        )
        .join(FootageRow, FootageRow.id == RecordRow.footage_id)
        .join(VisitRow, VisitRow.id == RecordRow.visit_id)
        .outerjoin(LocationRow, LocationRow.id == newest_location(RecordRow.station_no))
        .outerjoin(RecorderRow, RecorderRow.id == RecordRow.recorder_id)
        .outerjoin(ExceptionRow, ExceptionRow.id == RecordRow.exception_id)
        .where(RecordRow.id > after)
        .order_by(RecordRow.id)
        .limit(PAGE)
    )
    if since is None:
        return query
    # Two indexes, and never a look at what is older.
    stored = select(RecordRow.id).where(RecordRow.stored_at >= since)
    revised = select(RevisionRow.record_id).where(RevisionRow.at >= since)
    return query.where(RecordRow.id.in_(stored.union(revised)))


# --- how it is said ----------------------------------------------------------------------------------------


def _values(row: Row[*tuple[Any, ...]], names: Mapping[str, str], wanted: Inventory) -> dict[str, Any]:
    """A row's values by column name, in the words of the headers, masked where the record is protected."""
    values = dict(row._mapping)
    values["officer_cert_no"] = JOINED_BY.join(values["officers"])
    values["officer_name"] = JOINED_BY.join(names.get(cert_no, "") for cert_no in values["officers"])
    values["digest_algo"] = "sha256"
    values["retention_class"] = values["retention_class"] or UNCLASSIFIED
    values["method"] = _method(values["method"], values["media_type"], wanted.headers)
    if wanted.masked and is_protected(values["confidentiality"]):
        for name in _MASKED:
            values[name] = _mask(name, values[name] or "")
    for name, terms in _WORDED.items():
        if values[name]:
            values[name] = _word(values[name], terms, wanted.headers)
    return values


_MASKED = ("party", "title", "place", "remark")
_WORDED: dict[str, Mapping[str, Term]] = {
    "act_type": ACT_TYPES,
    "stage": STAGES,
    "confidentiality": CONFIDENTIALITY,
}


def _method(said: str | None, media_type: str, language: str) -> str:
    term = METHODS.get(said) if said else method_of(MediaType(media_type))
    return term.text(language) if term else said or ""


def _mask(name: str, text: str) -> str:
    """Several parties are masked one by one, so that none of them shows more than its first character."""
    return (
        JOINED_BY.join(mask_field(name, part) for part in text.split(JOINED_BY))
        if name == "party"
        else mask_field(name, text)
    )


def _word(value: str | None, terms: Mapping[str, Term], headers: str) -> str | None:
    """A vocabulary's value as its code, with Chinese headers its Chinese word; other wording as it is."""
    term = next((t for t in terms.values() if value in (t.code, t.zh, t.en)), None)
    if term is None:
        return value
    return term.zh if headers == "zh" else term.code


def _cell(column: Column, zone: ZoneInfo) -> Cell:
    """How a column's values are written; unknown is empty."""
    name = column.name
    if column.type is Type.BOOLEAN:
        return lambda row: _BOOLEAN[row[name]]
    if column.type is Type.DATETIME:
        return lambda row: time_cell(row[name], zone)
    if column.type is Type.DATE:
        return lambda row: row[name].astimezone(zone).date().isoformat() if row[name] else ""
    if column.type is Type.NUMBER:
        return lambda row: "" if row[name] is None else f"{row[name]:.3f}"
    if column.type is Type.INTEGER:
        return lambda row: "" if row[name] is None else str(row[name])
    return lambda row: guard_formula(said) if (said := row[name]) else ""


_BOOLEAN = {True: "true", False: "false", None: ""}
