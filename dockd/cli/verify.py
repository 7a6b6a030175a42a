"""``dockd verify``: the store read back from its medium and compared with the register."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.errors import BadValue, Exit
from dockd.locale import N_, _

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from dockd.offload.examine import Audit, Fault, Watch
    from dockd.register.station import Station


@click.command(
    help=N_(
        "Read every stored file back from its medium and compare it with the register. Names what is missing, "
        "altered, unreadable or not registered, and ends with 5 if anything is. Nothing in the store is changed. "
        "It can be stopped at any time: with --due the next call goes on where this one ended."
    )
)
@click.option("--since", metavar="T", help=N_("read only what was stored since then"))
@click.option("--due", is_flag=True, help=N_("read only what was last read verify.every_days ago, the oldest first"))
@click.option("--for", "span", metavar="SPAN", help=N_("with --due: begin no file after that long, such as 2h or 90m"))
@json_option
@pass_invocation
def verify(invocation: Invocation, since: str | None, due: bool, span: str | None, as_json: bool) -> None:
    if due and since:
        raise click.UsageError(_("--due and --since exclude each other"))
    if span and not due:
        raise click.UsageError(_("--for is said together with --due"))
    when = invocation.parse_time(since) if since else None
    until = invocation.now() + _parse_span(span) if span else None
    station = invocation.station()
    with _bar(quiet=as_json or not sys.stderr.isatty()) as watch:
        audit = _renew(station, until, watch) if due else _audit(station, when, watch)
    station.mirror_ledger()
    _report(audit, as_json)
    sys.exit(Exit.PROOF_FAILED if audit.disproven else Exit.DONE)


def _audit(station: Station, since: datetime | None, watch: Watch) -> Audit:
    from dockd.offload.audit import audit_store

    return audit_store(station, since=since, watch=watch)


def _renew(station: Station, until: datetime | None, watch: Watch) -> Audit:
    from dockd.cli.output import say
    from dockd.offload.audit import verify_due

    if not station.settings.verify.every_days:
        say(_("verify.every_days is 0: no file ever falls due."))
    return verify_due(station, until=until, watch=watch)


def _parse_span(text: str) -> timedelta:
    from dockd.settings import parse_duration

    try:
        return parse_duration(text)
    except ValueError:
        raise BadValue(what=_("length of time"), value=text, expected=_("a number with s, m, h or d")) from None


def _report(audit: Audit, as_json: bool) -> None:
    from dockd.cli.output import print_listing, print_summary, say
    from dockd.offload.examine import Finding

    summary: dict[str, Any] = {
        "checked": audit.checked,
        "bytes": audit.size,
        "ok": not audit.disproven,
        "cached": audit.cached,
        "left": audit.left,
    }
    summary |= {finding.value: [_row(fault) for fault in audit.of(finding)] for finding in Finding}
    lines = [
        (_("files read"), audit.checked),
        (_("bytes read"), audit.size),
        *((_finding_words()[finding.value], len(audit.of(finding))) for finding in Finding),
        *([(_("still due"), audit.left)] if audit.left else []),
    ]
    if audit.faults and not as_json:
        columns = (("finding", _("finding")), ("location", _("file in the store")), ("reason", _("why")))
        rows = [_row(fault) | {"finding": _finding_words()[fault.finding.value]} for fault in audit.faults]
        print_listing(rows, columns, as_json=False)
    print_summary(summary, lines, as_json=as_json)
    if audit.cached:
        say(
            _("{count} files came from the page cache: this store's file system cannot show its medium.").format(
                count=audit.cached
            )
        )


def _row(fault: Fault) -> dict[str, Any]:
    return {
        "location": fault.location,
        "kind": fault.kind.value,
        "record_id": fault.record_id,
        "file_no": fault.file_no,
        "reason": fault.reason,
    }


def _finding_words() -> dict[str, str]:
    return {
        "missing": _("missing"),
        "altered": _("altered"),
        "unreadable": _("unreadable"),
        "unregistered": _("not in the register"),
        "unsealed": _("made writable"),
    }


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Watch]:
    """A progress bar on a terminal's stderr; nothing when ``quiet``."""
    from dockd.offload.examine import Watch

    if quiet:
        yield Watch()
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(_("reading back"), total=None)
        yield Watch(
            total=lambda _files, size: bar.update(task, total=size),
            read=lambda count: bar.advance(task, count),
        )
