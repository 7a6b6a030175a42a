"""``dockd officer``: who may be named as 执法人员: add, import, list, show."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.locale import N_, _
from dockd.nouns import Officer


@click.group(help=N_("The officers: add, import, list."))
def officer() -> None:
    """The noun's group."""


@officer.command(help=N_("Register one officer."))
@click.argument("cert_no", metavar="CERT_NO")
@click.argument("name", metavar="NAME")
@click.option("--badge", metavar="B", help=N_("the number that recorders carry for this officer"))
@click.option("--unit", metavar="U", help=N_("the unit"))
@json_option
@pass_invocation
def add(invocation: Invocation, cert_no: str, name: str, badge: str | None, unit: str | None, as_json: bool) -> None:
    from dockd.register.officers import add_officer
    from dockd.visit.rejudge import rejudge

    station = invocation.station()
    wanted = Officer(cert_no, name, badge, unit)
    with station.register.write() as session:
        added = add_officer(session, wanted, station_no=station.station_no, now=station.now(), actor=station.actor)
    rejudge(station)
    station.mirror_ledger()
    _print(added, as_json)


@officer.command("import", help=N_("Register and change officers from a CSV: good lines are taken, bad ones named."))
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help=N_("take nothing when a line is bad"))
@json_option
@pass_invocation
def import_(invocation: Invocation, file: Path, strict: bool, as_json: bool) -> None:
    from dockd.cli.importing import tell_import
    from dockd.register.imports import import_officers
    from dockd.visit.rejudge import rejudge

    station = invocation.station()
    report = import_officers(station, invocation.handed(file), strict=strict)
    rejudge(station)
    station.mirror_ledger()
    tell_import(report, strict=strict, as_json=as_json)


@officer.command("list", help=N_("Every officer, by certificate number."))
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.register.officers import list_officers

    with invocation.station().register.read() as session:
        rows = [asdict(one) for one in list_officers(session)]
    columns = (("cert_no", _("certificate")), ("name", _("name")), ("badge", _("badge")), ("unit", _("unit")))
    print_listing(rows, columns, as_json=as_json)


@officer.command(help=N_("One officer."))
@click.argument("cert_no", metavar="CERT_NO")
@json_option
@pass_invocation
def show(invocation: Invocation, cert_no: str, as_json: bool) -> None:
    from dockd.register.officers import get_officer

    with invocation.station().register.read() as session:
        found = get_officer(session, cert_no)
    _print(found, as_json)


def _print(one: Officer, as_json: bool) -> None:
    from dockd.cli.output import print_summary

    lines = (
        (_("certificate"), one.cert_no),
        (_("name"), one.name),
        (_("badge"), one.badge),
        (_("unit"), one.unit),
    )
    print_summary(asdict(one), lines, as_json=as_json)
