"""``dockd run``: the service in the foreground; what systemd starts."""

from __future__ import annotations

import sys

import click

from dockd.cli.invocation import Invocation, pass_invocation
from dockd.locale import _


@click.command(help=_("The service in the foreground, as systemd starts it: recorders are read as they are docked."))
@click.option(
    "--bays",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help=_("for demonstrations, instead of USB: every folder in DIR is a bay with a card in it"),
)
@pass_invocation
def run(invocation: Invocation, bays: str | None) -> None:
    from dockd import log
    from dockd.cli.main import commandline
    from dockd.service.assembly import assemble
    from dockd.service.folders import Folders
    from dockd.settings import load_settings

    settings = invocation.settings()
    log.configure(settings.log.level)
    source = Folders(bays) if bays else None
    service = assemble(
        settings,
        commands=commandline(),
        now=invocation.now,
        load=lambda: load_settings(invocation.file),
        source=source,
    )
    sys.exit(service.run())
