"""``dockd mounts``: which recorders' cards are plugged in and which of them are open, and by whom."""

from __future__ import annotations

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.cli.output import print_listing
from dockd.locale import N_, _


@click.command(
    help=N_(
        "Every recorder's device that udev marked, and who holds it open. Cards are mounted in no mount table, so that "
        "findmnt does not show them. Of other users' processes only root sees what they hold."
    )
)
@json_option
@pass_invocation
def mounts(invocation: Invocation, as_json: bool) -> None:
    from dockd.broker.held import Marked, marked
    from dockd.service.devices import port_of

    bays = {port: name for name, bay in invocation.settings().bays.items() for port in bay.ports}

    def row(one: Marked) -> dict[str, object]:
        port = port_of(one.place)
        return {
            "device": one.name,
            "port": port,
            "bay": bays.get(port or ""),
            "fs_type": one.fs_type,
            "label": one.label,
            "read_only": one.read_only,
            "mounted_at": one.mounted_at,
            "holders": [f"{holder.program} ({holder.pid})" for holder in one.holders],
        }

    columns = (
        ("device", _("device")),
        ("bay", _("bay")),
        ("port", _("port")),
        ("fs_type", _("file system")),
        ("label", _("label")),
        ("read_only", _("read-only")),
        ("holders", _("held by")),
        ("mounted_at", _("mounted at")),
    )
    print_listing([row(one) for one in marked()], columns, as_json=as_json)
