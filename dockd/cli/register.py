"""``dockd register export``: the registers as CSV."""

from __future__ import annotations

from typing import Literal

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.locale import N_, _


@click.group(help=N_("The registers of recorders, custody, equipment and interruptions as CSV."))
def register() -> None:
    """The noun's group."""


@register.command(help=N_("Write one register as CSV to FILE or to standard output (-)."))
@click.argument("name", metavar="REGISTER", type=click.Choice(["recorders", "custody", "events", "interruptions"]))
@click.argument("file", metavar="FILE|-")
@click.option("--headers", type=click.Choice(["en", "zh"]), help=N_("words of the header line; else as configured"))
@json_option
@pass_invocation
def export(invocation: Invocation, name: str, file: str, headers: str | None, as_json: bool) -> None:
    from dockd.cli.files import write_out
    from dockd.cli.output import print_summary
    from dockd.export.registers import render_register

    if file == "-" and as_json:
        raise click.UsageError(_("--json prints a summary: the CSV cannot go to standard output too"))
    station = invocation.station()
    look = station.settings.inventory
    chinese = (headers or look.headers) == "zh"
    words: Literal["en", "zh"] = "zh" if chinese else "en"
    data, rows = render_register(station.register, name, headers=words, bom=look.bom, zone=station.zone)
    write_out(invocation, file, data)
    if file != "-":
        summary = {"register": name, "path": file, "rows": rows, "bytes": len(data)}
        lines = ((_("file"), file), (_("rows"), rows), (_("bytes"), len(data)))
        print_summary(summary, lines, as_json=as_json)
