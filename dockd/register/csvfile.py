"""A CSV of another system as lines of known columns: whatever the bytes, they are read, refused or named by line.

UTF-8 (with or without BOM) is tried first, then GB18030, both strictly: text that happens to be
valid in both is read as UTF-8. Comma, semicolon or tab is what the header line shows it to be.
Header words are English or Chinese, in any order, full-width or not. Nothing is evaluated: a cell
that looks like a formula is its text.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Literal, Protocol

from dockd.errors import NotACsv
from dockd.locale import _
from dockd.register.values import shown

if TYPE_CHECKING:
    from _csv import Reader

FILE_MAX = 64 << 20
CELL_MAX = 4096
# What a cell may hold before it is taken for one that never ends: the csv module's own default, which
# anybody in the process may have raised for all.
ENDLESS = 128 << 10
# A header that is not found here is none; a quote that is never closed must not cost three passes over 64 MiB.
_HEADER_WITHIN = 64 << 10
_DELIMITERS = ",;\t"


@dataclass(frozen=True, slots=True)
class Column:
    """A column that an import understands, by its English and its Chinese word."""

    name: str
    chinese: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of data: ``number`` is where it begins in the file, from 1; cells are stripped, empty ones absent."""

    number: int
    cells: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be taken, and why, in the language in use. ``column`` is empty for the whole line."""

    line_no: int
    column: str
    value: str
    reason: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A whole file: its lines in order, those that are not lines of a table, the header words nobody knows."""

    lines: tuple[Line, ...]
    bad: tuple[BadLine, ...]
    ignored_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Header:
    delimiter: str
    line: int
    names: tuple[str | None, ...]
    ignored: tuple[str, ...]


class Readable(Protocol):
    """A file to be imported: a ``Path``, or what somebody hands over from elsewhere. ``str`` is its whole name."""

    @property
    def name(self) -> str:
        """Without its folder."""

    def open(self, mode: Literal["rb"]) -> IO[bytes]:
        """Raises OSError."""


def read_sheet(path: Readable, columns: Sequence[Column]) -> Sheet:
    """The file at ``path`` as a sheet. Raises NotACsv where it cannot be opened or is no table with these columns."""
    try:
        with path.open("rb") as file:
            raw = file.read(FILE_MAX + 1)
    except (OSError, ValueError) as error:
        raise not_a_csv(path.name, columns, getattr(error, "strerror", None) or str(error)) from error
    return parse_sheet(raw, columns, name=path.name)


def parse_sheet(raw: bytes, columns: Sequence[Column], *, name: str) -> Sheet:
    """The bytes of a file as a sheet; ``name`` is what messages call it. Raises NotACsv."""
    text = _decode(raw, columns, name)
    before = csv.field_size_limit(ENDLESS)
    try:
        return _parse(text, columns, name)
    finally:
        csv.field_size_limit(before)


def _parse(text: str, columns: Sequence[Column], name: str) -> Sheet:
    header = _find_header(text, columns, name)
    lines: list[Line] = []
    bad: list[BadLine] = []
    for number, row in _rows(text, header.delimiter):
        if number <= header.line:
            continue
        taken = row if isinstance(row, BadLine) else _line(number, row, header)
        if isinstance(taken, Line):
            lines.append(taken)
        elif taken:
            bad.append(taken)
    return Sheet(tuple(lines), tuple(bad), header.ignored)


def not_a_csv(name: str, columns: Sequence[Column], reason: str) -> NotACsv:
    """The refusal of a whole file, with the words its header may hold."""
    return NotACsv(file=shown(name), reason=reason, headers=", ".join(f"{c.name} ({c.chinese})" for c in columns))


def _decode(raw: bytes, columns: Sequence[Column], name: str) -> str:
    if len(raw) > FILE_MAX:
        raise not_a_csv(name, columns, _("it is larger than {size} MiB").format(size=FILE_MAX >> 20))
    if b"\0" in raw:
        raise not_a_csv(name, columns, _("it holds NUL bytes, as a spreadsheet's own format or UTF-16 does"))
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return raw.decode(encoding).lstrip("\ufeff")
        except UnicodeDecodeError:
            continue
    raise not_a_csv(name, columns, _("it is neither UTF-8 nor GB18030"))


# --- the header ----------------------------------------------------------------------------------


def _find_header(text: str, columns: Sequence[Column], name: str) -> _Header:
    """The first line that is not empty, read with the delimiter that shows most known words."""
    words = {_fold(word): column.name for column in columns for word in (column.name, column.chinese)}
    first = [(delimiter, *_first_row(text[:_HEADER_WITHIN], delimiter)) for delimiter in _DELIMITERS]
    delimiter, line, cells = max(first, key=lambda one: sum(_fold(cell) in words for cell in one[2]))
    names = tuple(words.get(_fold(cell)) for cell in cells)
    known = [word for word in names if word]
    if missing := [c for c in columns if c.required and c.name not in known]:
        lacking = ", ".join(f"{c.name} ({c.chinese})" for c in missing)
        raise not_a_csv(name, columns, _("the header line lacks {columns}").format(columns=lacking))
    if twice := sorted({word for word in known if known.count(word) > 1}):
        raise not_a_csv(name, columns, _("the header line has {columns} twice").format(columns=", ".join(twice)))
    ignored = (shown(cell.strip()) for cell, known_as in zip(cells, names, strict=True) if not known_as)
    return _Header(delimiter, line, names, tuple(word for word in ignored if word))


def _first_row(text: str, delimiter: str) -> tuple[int, Sequence[str]]:
    """Where the first line that is not empty ends, and its cells."""
    reader = _reader(text, delimiter)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                return reader.line_num, row
    except csv.Error:
        pass  # no header with this delimiter; another one may show it
    return 0, ()


def _fold(word: str) -> str:
    return unicodedata.normalize("NFKC", word).replace("\ufeff", "").strip().casefold()


# --- the lines -----------------------------------------------------------------------------------


def _reader(text: str, delimiter: str) -> Reader:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)


def _rows(text: str, delimiter: str) -> Iterator[tuple[int, list[str] | BadLine]]:
    """Each row with the physical line on which it begins; a row that breaks the format as a BadLine."""
    reader = _reader(text, delimiter)
    while True:
        number = reader.line_num + 1
        try:
            yield number, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            overlong = "field limit" in str(error)
            yield number, BadLine(number, "", "", _format_fault(error, overlong))
            if overlong:
                # What follows may be the inside of a quoted cell: text, not lines.
                return


def _format_fault(error: csv.Error, overlong: bool) -> str:
    if overlong:
        return _("a cell has no end within {limit} characters; nothing after it was read").format(limit=ENDLESS)
    if "unexpected end" in str(error):
        return _("a quotation mark that is opened here is never closed; nothing after it was read")
    return _("quotation marks are not as in a CSV ({error})").format(error=error)


def _line(number: int, row: Sequence[str], header: _Header) -> Line | BadLine | None:
    """A row under its header; None for an empty one."""
    stripped = [cell.strip() for cell in row]
    if not any(stripped):
        return None
    if any(stripped[len(header.names) :]):
        reason = _("{cells} cells under a header of {names}").format(cells=len(row), names=len(header.names))
        return BadLine(number, "", "", reason)
    cells = {name: cell for name, cell in zip(header.names, stripped, strict=False) if name and cell}
    for name, cell in cells.items():
        if len(cell) > CELL_MAX:
            return BadLine(number, name, shown(cell), _("longer than {limit} characters").format(limit=CELL_MAX))
    return Line(number, cells)
