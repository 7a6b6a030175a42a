"""What commands print: results on stdout (a table for people, JSON for programs), everything else on stderr.

Nothing that comes from a card or a table reaches a terminal as a control sequence.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from enum import Enum
from os import PathLike
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation
from dockd.locale import _
from dockd.nouns import display_path, path_text

if TYPE_CHECKING:
    from rich.table import Table

WIDE = 10_000  # where nobody looks, nothing is cut


def print_listing(rows: Sequence[Mapping[str, object]], columns: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    """The whole rows as one JSON array, or the columns (key, header in the person's language) as a table."""
    if as_json:
        print_json(list(rows))
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for _key, header in columns:
        table.add_column(Text(header), overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell_text(row.get(key))) for key, _header in columns))
    _print_table(table)


def print_summary(summary: Mapping[str, object], lines: Iterable[tuple[str, object]], *, as_json: bool) -> None:
    """The whole summary as one JSON object, or the lines (label in the person's language, value)."""
    if as_json:
        print_json(summary)
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in lines:
        table.add_row(Text(label), Text(cell_text(value)))
    _print_table(table)


def print_json(value: object) -> None:
    """``value`` on stdout, with times in the station's zone."""
    print(json.dumps(jsonable(value), ensure_ascii=False, indent=2))


def say(text: str) -> None:
    """A sentence for the person at the keyboard, on stderr."""
    print(printable(text), file=sys.stderr, flush=True)


def cell_text(value: object) -> str:
    """A value as a table shows it. Empty means unknown."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return _local(value).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, bytes):
        return display_path(value)
    if isinstance(value, list | tuple | set | frozenset):
        return "；".join(cell_text(item) for item in value)
    return printable(str(value)).replace("\n", "\\n")


def jsonable(value: object) -> Any:
    """``value`` as JSON has it: ISO 8601 times, seconds for spans, ``\\xNN`` for bytes that are not UTF-8."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, Enum):
        return jsonable(value.value)
    if isinstance(value, datetime):
        return _local(value).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return path_text(value)
    if isinstance(value, PathLike):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: jsonable(getattr(value, item.name)) for item in dataclasses.fields(value)}
    return value


def printable(text: str) -> str:
    """``text`` with every control, reordering and invisible character made visible, but for the line break."""
    return text if text.isprintable() else "".join(_shown(c) for c in text)


def _shown(c: str) -> str:
    # Cc and Cf: controls and marks; Cs: bytes that are not UTF-8; Zl and Zp: Unicode's own line ends.
    if c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return c
    code = ord(c)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _local(time: datetime) -> datetime:
    context = click.get_current_context(silent=True)
    invocation = context.find_object(Invocation) if context else None
    return invocation.local(time) if invocation else time


def _print_table(table: Table) -> None:
    """The table on stdout, as wide as it needs to be where it is not a terminal."""
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, markup=False, width=None if sys.stdout.isatty() else WIDE)
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))
