"""``dockd run``: the service in the foreground; what systemd starts."""

from __future__ import annotations

import sys

import click

from dockd.cli.invocation import Invocation, pass_invocation
from dockd.locale import _


@click.command(help=_("The service in the foreground, as systemd starts it: recorders are read as they are docked."))
@pass_invocation
def run(invocation: Invocation) -> None:
    from dockd import log
    from dockd.service.assembly import assemble
    from dockd.settings import load_settings

    settings = invocation.settings()
    log.configure(settings.log.level)
    service = assemble(settings, now=invocation.now, load=lambda: load_settings(invocation.file))
    sys.exit(service.run())
