"""``dockd visit``: what was on each card and what became of every file."""

from __future__ import annotations

from typing import Any

import click

from dockd.alert.reasons import reason_words
from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.errors import UnknownNumber
from dockd.locale import _


@click.group(help=_("visits of recorders, with every file's outcome"))
def visit() -> None:
    """The noun's group."""


@visit.command("list", help=_("the newest visits first"))
@click.option("--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help=_("how many"))
@json_option
@pass_invocation
def list_(invocation: Invocation, limit: int, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.register import visits

    station = invocation.station()
    with station.register.read() as session:
        rows = visits.list_visits(session, limit=limit, zone=station.zone)
    columns = (
        ("visit_id", _("visit")),
        ("device_no", _("recorder")),
        ("docked_at", _("docked")),
        ("outcome", _("outcome")),
        ("bytes_stored", _("bytes stored")),
        ("bay", _("bay")),
        ("source", _("source")),
    )
    print_listing(rows, columns, as_json=as_json)


@visit.command(help=_("one visit with the outcome of every file on the card"))
@click.argument("visit_id", metavar="ID", type=int)
@json_option
@pass_invocation
def show(invocation: Invocation, visit_id: int, as_json: bool) -> None:
    from dockd.cli.output import print_json
    from dockd.register import visits

    station = invocation.station()
    with station.register.read() as session:
        summary = visits.show_visit(session, visit_id, zone=station.zone)
    if summary is None:
        raise UnknownNumber(noun=_("visit"), number=visit_id, command="dockd visit list")
    if as_json:
        print_json(summary)
    else:
        print_visit(summary, str(station.store))


def outcome_words() -> dict[str | None, str]:
    """The outcome of a file, in words."""
    return {
        "stored": _("stored and verified"),
        "stored_damaged": _("stored, damaged"),
        "already_stored": _("already stored"),
        "unreadable": _("NOT stored"),
        "skipped": _("left out"),
        None: _("interrupted"),
    }


def print_visit(summary: dict[str, Any], store: str) -> None:
    """One visit for a person: a line per file, then what to do now."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from dockd.nouns import display_text

    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)  # a pipe has no edge: one line a file
    table = Table(box=None, pad_edge=False)
    table.add_column(Text(_("outcome")), no_wrap=True)
    table.add_column(Text(_("bytes")), justify="right", no_wrap=True)
    table.add_column(Text(_("file on the card")), overflow="fold")
    words = outcome_words()
    for file in summary["files"]:
        name = Text(display_text(file["path"]))
        if why := reason_words(file["reason"]):
            name.append(f"  ({why})", style="dim")
        table.add_row(
            Text(words.get(file["outcome"], str(file["outcome"])), style=_style(file["outcome"])),
            Text(f"{file['size']:,}"),
            name,
        )
    console.print(table)
    for line in closing_lines(summary, store):
        console.print(Text(line))


def _style(outcome: str | None) -> str:
    return {"stored": "green", "already_stored": "green", "skipped": "dim"}.get(outcome or "", "bold red")


def closing_lines(summary: dict[str, Any], store: str) -> list[str]:
    """What a clerk needs to know of a visit that ended."""
    counts = summary["counts"]
    done = counts.get("stored", 0) + counts.get("stored_damaged", 0)
    lines = [
        "",
        _(
            "Visit {visit_id}, recorder {device_no}: {stored} stored, {already} already stored, {failed} not stored, "
            "{skipped} left out; {read} bytes read, {kept} bytes stored."
        ).format(
            visit_id=summary["visit_id"],
            device_no=summary["device_no"] or _("unknown"),
            stored=done,
            already=counts.get("already_stored", 0),
            failed=counts.get("unreadable", 0) + counts.get("pending", 0),
            skipped=counts.get("skipped", 0),
            read=f"{summary['bytes_read']:,}",
            kept=f"{summary['bytes_stored']:,}",
        ),
    ]
    if summary["state"] == "held":
        lines.append(
            _(
                "! The recorder is not registered: its card was listed and not copied. Register it with dockd "
                "recorder add: if it is still docked it is then read by itself, otherwise dock it again."
            )
        )
    elif summary["safe_at"]:
        lines.append(_("✓ Stored and verified. The recorder may be removed."))
    elif {file["reason"] for file in summary["files"] if file["outcome"] == "stored_damaged"} & {"source_unsteady"}:
        lines.append(
            _(
                "✗ The card gave a file in two ways. The first is stored and marked, but nobody knows which is right: "
                "keep the card aside and copy it with another reader."
            )
        )
    else:
        lines.append(_("✗ Not everything is stored. Dock the recorder again; copying goes on where it stopped."))
    if summary["manifest"]:
        lines.append(
            _("Check without dockd: cd {store} && sha256sum -c {manifest}").format(
                store=store, manifest=summary["manifest"]
            )
        )
    if summary["alerts"]:
        lines.append(_("{count} alerts were opened: dockd alert list --open").format(count=len(summary["alerts"])))
    return lines
