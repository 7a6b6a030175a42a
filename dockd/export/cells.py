"""How a CSV is written: RFC 4180, times with their offset, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

BOM = b"\xef\xbb\xbf"
JOINED_BY = "；"
_FORMULA = frozenset("=+-@\t\r\n＝＋－＠'")


def csv_lines(rows: Iterable[Sequence[str]]) -> bytes:
    """Finished cells as lines of a CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode()


@lru_cache(maxsize=1024)  # the files of a visit share most of theirs
def time_cell(at: datetime | None, zone: ZoneInfo) -> str:
    """A time in ``zone``, cut to whole seconds; empty for none."""
    return at.astimezone(zone).isoformat(timespec="seconds") if at else ""


def guard_formula(text: str) -> str:
    """``text`` so that no spreadsheet takes it for a formula: led by an apostrophe where it could.

    That is where it begins with ``= + - @``, their full-width forms, a tab or line break, or
    with an apostrophe itself, so that removing one leading apostrophe always gives ``text`` back.
    """
    return "'" + text if text and text[0] in _FORMULA else text


def plain_cell(value: object, zone: ZoneInfo) -> str:
    """Any value as a cell: words are guarded, numbers, times and yes or no stand as they are."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return time_cell(value, zone)
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple | list):
        return guard_formula(JOINED_BY.join(str(item) for item in value))
    return guard_formula(str(value))
