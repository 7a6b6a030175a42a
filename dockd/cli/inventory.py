"""``dockd inventory``: the CSV of everything that is stored."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.errors import ExportUnwritable, UnknownNumber
from dockd.locale import N_, _

if TYPE_CHECKING:
    from datetime import datetime

    from dockd.export.inventory import Inventory
    from dockd.settings import Settings


@click.group(help=N_("Write the inventory of all footage as CSV."))
def inventory() -> None:
    """The noun's group."""


@inventory.command(
    help=N_(
        "Write the CSV to FILE, to standard output (-), or where the configuration says. A reader never sees half "
        "of it; datapackage.json beside it describes it."
    )
)
@click.argument("file", metavar="[FILE|-]", required=False)
@click.option("--since", metavar="T", help=N_("only what was stored or revised since then"))
@click.option("--name", metavar="EXPORT", help=N_("one of the configured exports, instead of the default one"))
@json_option
@pass_invocation
def export(invocation: Invocation, file: str | None, since: str | None, name: str | None, as_json: bool) -> None:
    from dockd.cli.files import to_stdout
    from dockd.cli.output import print_summary
    from dockd.export import datapackage
    from dockd.export.inventory import export_inventory, write_inventory

    if file == "-" and as_json:
        raise click.UsageError(_("--json prints a summary: the CSV cannot go to standard output too"))
    settings = invocation.settings()
    path, wanted = _wanted(settings, name, invocation.parse_time(since) if since else None)
    station = invocation.station()
    if file == "-":
        write_inventory(station.register, station.zone, to_stdout, wanted)
        return
    if file is None:
        _make_folder(os.path.dirname(path))
        done = export_inventory(station.register, station.zone, path, wanted)
    else:
        with invocation.delivering(file, beside=datapackage.NAME) as target:
            done = export_inventory(station.register, station.zone, target, wanted)
        done = replace(done, path=os.path.realpath(invocation.absolute(file)))
    summary: dict[str, Any] = {"path": done.path, "rows": done.rows, "bytes": done.bytes, "sha256": done.sha256}
    lines = [(_("file"), done.path), (_("rows"), done.rows), (_("bytes"), done.bytes), ("SHA-256", done.sha256)]
    print_summary(summary, lines, as_json=as_json)


def _make_folder(path: str) -> None:
    try:
        os.makedirs(path, mode=0o750, exist_ok=True)
    except OSError as error:
        raise ExportUnwritable(path=path, reason=error.strerror or str(error)) from error


def _wanted(settings: Settings, name: str | None, since: datetime | None) -> tuple[str, Inventory]:
    """Where to, and how it looks. Raises UnknownNumber for an export that is not configured."""
    from dockd.export.standing import exports_of

    known = exports_of(settings)
    if name is not None and name not in known:
        listed = ", ".join(one for one in known if one) or "-"
        raise UnknownNumber(
            noun=_("export"),
            number=name,
            command=_("exports in {file}: {known}").format(file=settings.file, known=listed),
        )
    path, look = known[name or ""]
    return path, replace(look, since=since)
