"""What became of an imported file, in words and as JSON: for who typed ``import``, and beside a dropped table."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from dockd.locale import _
from dockd.register.imports import ImportReport

# A person corrects a screenful and imports again; --json names them all.
_NAMED = 50


def summary_of(report: ImportReport, *, strict: bool) -> dict[str, Any]:
    """The whole report as ``--json`` prints it."""
    counts = report.counts
    return {
        "file": report.file,
        "strict": strict,
        "lines": report.lines,
        "added": counts.added,
        "changed": counts.changed,
        "unchanged": counts.unchanged,
        "bad": [asdict(line) for line in report.bad],
        "ignored_columns": list(report.ignored_columns),
        "unknown_officers": list(report.unknown_officers),
    }


def notes_of(report: ImportReport) -> list[str]:
    """What a person should read of it: columns and numbers that are unknown, and every line that was not taken."""
    notes = []
    if report.ignored_columns:
        notes.append(
            _("Columns that are not known were ignored: {columns}").format(columns=_few(report.ignored_columns))
        )
    if report.unknown_officers:
        notes.append(_("No officer is registered as: {numbers}").format(numbers=_few(report.unknown_officers)))
    for bad in report.bad[:_NAMED]:
        where = f"{bad.column} {bad.value}".strip()
        text = _("line {line}: {where}: {reason}") if where else _("line {line}: {reason}")
        notes.append(text.format(line=bad.line_no, where=where, reason=bad.reason))
    if len(report.bad) > _NAMED:
        notes.append(_("… and {count} more; --json names them all").format(count=len(report.bad) - _NAMED))
    return notes


def _few(words: tuple[str, ...]) -> str:
    return ", ".join(words[:_NAMED]) + (" …" if len(words) > _NAMED else "")
