"""``dockd init`` and ``dockd check``: making a station, and telling what it lacks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.cli.output import print_json, print_summary, printable, say
from dockd.errors import DockdError
from dockd.locale import N_, Language, _, language

if TYPE_CHECKING:
    from dockd.cli.verdict import Check


@click.command(
    help=N_(
        "Make a complete station in DIR: configuration, store, register, folders for exports and profiles. "
        "Needs no root. A DIR that holds a station or anything else is refused."
    )
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--name", default="", metavar="NAME", help=N_("Name of the agency."))
@click.option("--station-no", default="station-1", show_default=True, metavar="NO", help=N_("Number of the station."))
@click.option(
    "--timezone", default="Asia/Shanghai", show_default=True, metavar="ZONE", help=N_("Time zone of the station.")
)
@click.option(
    "--language",
    "spoken",
    type=click.Choice(["zh", "en"]),
    help=N_("Language of the station's messages. Without it: the one in use now."),
)
@json_option
@pass_invocation
def init(
    invocation: Invocation,
    folder: Path,
    name: str,
    station_no: str,
    timezone: str,
    spoken: Language | None,
    as_json: bool,
) -> None:
    from dockd.cli.founding import found_station

    settings = found_station(
        folder,
        name=name,
        station_no=station_no,
        timezone=timezone,
        language=spoken or language(),
        now=invocation.now,
        actor=invocation.actor,
    )
    made = {"station_no": station_no, "config": settings.file, "store": settings.store.root}
    lines = [
        (_("configuration"), settings.file),
        (_("store"), settings.store.root),
        (_("register"), settings.register_file),
    ]
    print_summary(made, lines, as_json=as_json)
    say(_("The station is ready. Next:"))
    for command in ("check", "officer add …", "recorder add …", "offload …"):
        say(f"  dockd -c {settings.file} {command}")


@click.command(
    help=N_(
        "Check the configuration and everything the station needs: tools, space, clock, register, ledger, "
        "what the store's disk promises. Ends 0 when nothing fails."
    )
)
@click.option("--migrate", is_flag=True, help=N_("First bring an older register up to date, after a backup."))
@json_option
@pass_invocation
def check(invocation: Invocation, migrate: bool, as_json: bool) -> None:
    from dockd.cli.verdict import exit_code

    if migrate:
        _migrate(invocation)
    checks = []
    for one in _all_checks(invocation):
        checks.append(one)
        if not as_json:
            _print_check(one.result, one.message, one.hint)
    if as_json:
        shown = ("check", "result", "message", "hint")
        print_json([{key: getattr(one, key) for key in shown} for one in checks])
    sys.exit(exit_code(checks))


def _all_checks(invocation: Invocation) -> Iterator[Check]:
    from dockd.cli.checks import surroundings, survey
    from dockd.cli.verdict import failed

    try:
        settings = invocation.settings_on_file()
    except DockdError as error:
        yield failed("configuration", error)
        yield from surroundings()
        return
    yield from survey(settings, invocation.station, invocation.now())


def _print_check(result: str, message: str, hint: str) -> None:
    print(printable(f"{result:<5} {message}"), flush=True)
    if hint:
        print(printable(f"      {hint}"), flush=True)


def _migrate(invocation: Invocation) -> None:
    from dockd.register.session import migrate_register

    backup = migrate_register(invocation.settings().register.url, now=invocation.now())
    if backup:
        say(_("The register was brought up to date. Its backup: {path}").format(path=backup))
