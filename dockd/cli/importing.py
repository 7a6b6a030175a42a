"""What every ``import`` command says of its file: what was taken, which lines were not, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockd.errors import ImportRejected
from dockd.locale import _

if TYPE_CHECKING:
    from dockd.register.imports import ImportReport


def tell_import(report: ImportReport, *, strict: bool, as_json: bool) -> None:
    """Prints the report. Raises ImportRejected when there is a line that was not taken."""
    from dockd.cli.output import print_summary, say
    from dockd.register.importwords import notes_of, summary_of

    counts = report.counts
    summary = summary_of(report, strict=strict)
    lines = (
        (_("lines read"), report.lines),
        (_("added"), counts.added),
        (_("changed"), counts.changed),
        (_("unchanged"), counts.unchanged),
        (_("lines not taken"), len(report.bad)),
    )
    print_summary(summary, lines, as_json=as_json)
    for note in notes_of(report):
        say(note)
    if report.bad:
        raise ImportRejected(file=report.file, bad=len(report.bad), lines=report.lines)
