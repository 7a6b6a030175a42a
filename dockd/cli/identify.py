"""``dockd identify``: plug a recorder in; what was seen of it, and the lines that bind its bay and register it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.cli.output import say
from dockd.locale import _

if TYPE_CHECKING:
    from dockd.service.introduction import Introduction

_SETTLE_S = 3.0


@click.command(
    help=_(
        "Waits until a recorder is plugged in and prints what was seen of it: port, serial number, card, and the "
        "lines for the configuration. Nothing is opened, mounted or written. --all shows what is plugged in now."
    )
)
@click.option("--all", "everything", is_flag=True, help=_("what is plugged in already, without waiting"))
@click.option("--wait", type=click.IntRange(1, 3600), default=120, show_default=True, help=_("seconds to wait"))
@json_option
@pass_invocation
def identify(invocation: Invocation, everything: bool, wait: int, as_json: bool) -> None:
    from dockd.cli.output import print_json
    from dockd.service.devices import Sighting
    from dockd.service.introduction import news

    settings = invocation.settings()
    bays = {port: name for name, bay in settings.bays.items() for port in bay.ports}
    if everything:
        found = news(Sighting(), _look(), bays)
    else:
        say(_("Plug the recorder into the bay now …"))
        found = _await_news(bays, wait)
    if as_json:
        print_json([_as_object(one) for one in found])
        return
    if not found:
        say(_("Nothing was plugged in that udev calls a USB or card device."))
    for one in found:
        for line in lines(one, list(settings.bays)):
            click.echo(line)


def _look() -> Any:
    from dockd.service.udev import context, look

    return look(context(), everything=True)


def _await_news(bays: dict[str, str], wait_s: int) -> list[Introduction]:
    """What is new, once it has not changed for some seconds."""
    from dockd.service.introduction import news
    from dockd.service.loop import Loop
    from dockd.service.udev import Udev

    loop = Loop()
    source = Udev(everything=True)
    seen: list[Any] = []
    changed: list[float] = []

    def on_sight(sighting: Any) -> None:
        if not seen or seen[-1] != sighting:
            seen.append(sighting)
            changed.append(time.monotonic())

    source.start(loop, on_sight)
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        loop.turn(0.5)
        if len(seen) > 1 and time.monotonic() - changed[-1] > _SETTLE_S and (found := news(seen[0], seen[-1], bays)):
            source.stop()
            return found
    source.stop()
    return []


def _as_object(found: Introduction) -> dict[str, Any]:
    return {
        "port": found.port,
        "bay": found.bay,
        "serial": found.serial,
        "usb": [
            {"vendor": g.vendor, "product": g.product, "maker": g.maker_text, "name": g.product_text}
            for g in found.gadgets
        ],
        "blocks": [
            {"name": b.name, "state": b.ownership.value, "fs_type": b.fs_type, "fs_uuid": b.fs_uuid, "label": b.label}
            for b in found.blocks
        ],
    }


def lines(found: Introduction, names: list[str]) -> list[str]:
    """What a person reads of one port."""
    from dockd.service.introduction import bay_line, cards, device_lines, register_command

    shown = [_("Port {port}, serial number {serial}").format(port=found.port, serial=found.serial or _("none"))]
    shown += [f"  USB {g.vendor}:{g.product}  {g.maker_text}  {g.product_text}" for g in found.gadgets]
    shown += [f"  {b.name}  {b.fs_type}  {b.label}  {b.fs_uuid}" for b in cards(found)]
    if not cards(found):
        shown.append(_("  It shows no file system: it may be locked, or its card is missing or not formatted."))
    if found.bay:
        shown.append(_("This port is bay {bay} already.").format(bay=found.bay))
    else:
        shown += ["", _("For the configuration, under “bays:”"), bay_line(found, names)]
    if devices := device_lines(found):
        shown += [_("and, where not every device in a bay is a recorder, under “devices:”"), *devices]
    shown += ["", _("To register it (N: the bureau's number of the recorder):"), "  " + register_command(found)]
    return shown
