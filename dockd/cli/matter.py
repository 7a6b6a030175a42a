"""``dockd matter``: the bureau's list of matters to be recorded (article 20)."""

from __future__ import annotations

from dataclasses import asdict

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.locale import N_, _


@click.group(help=N_("The bureau's list of matters to be recorded: list."))
def matter() -> None:
    """The noun's group."""


@matter.command("list", help=N_("Every item of the list, in the list's order."))
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    from dockd.cli.output import print_listing, say
    from dockd.register.matters import read_matters

    file = invocation.settings().tags.matters
    rows = [asdict(one) for one in read_matters(file)] if file else []
    columns = (
        ("item_no", _("number")),
        ("matter", _("matter")),
        ("act_type", _("kind of act")),
        ("stage", _("stage")),
        ("content", _("content")),
    )
    print_listing(rows, columns, as_json=as_json)
    if not file:
        say(_("No list is configured (tags.matters): any text is a matter."))
