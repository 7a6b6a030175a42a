"""``dockd view``: article 27's classified storage as links."""

from __future__ import annotations

from pathlib import Path

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.locale import N_, _


@click.group(help=N_("Classified folders of links: by case, officer, recorder, month."))
def view() -> None:
    """The noun's group."""


@view.command(help=N_("Make the view in DIR anew from the register; it can be thrown away and made again at will."))
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@json_option
@pass_invocation
def build(invocation: Invocation, folder: Path, as_json: bool) -> None:
    from dockd.cli.output import print_summary
    from dockd.export.view import build_view

    station = invocation.station()
    built = build_view(
        station.register,
        station.store,
        Path(invocation.absolute(str(folder))),
        station_no=station.station_no,
        zone=station.zone,
        language=station.settings.agency.language,
    )
    summary = {"path": built.path, "recordings": built.recordings, "links": built.links}
    lines = ((_("folder"), built.path), (_("recordings"), built.recordings), (_("links"), built.links))
    print_summary(summary, lines, as_json=as_json)
