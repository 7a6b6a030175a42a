"""``dockd recorder clock`` and ``undocked``: a recorder's clock, and who still has recordings out (articles 23, 27)."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.locale import N_, _


@click.command(help=N_("What a recorder's clock shows now, or showed --at; without --reads: every reading so far."))
@click.argument("device_no", metavar="N")
@click.option("--reads", metavar="T", help=N_("what its clock shows"))
@click.option("--at", metavar="T", help=N_("when it was looked at; now, if left out"))
@click.option("--set", "set_after", is_flag=True, help=N_("it was then set right"))
@click.option("--evidence", type=click.Choice(["clerk", "driver"]), default="clerk", help=N_("who or what read it"))
@click.option("--note", metavar="TEXT", help=N_("the circumstances"))
@json_option
@pass_invocation
def clock(
    invocation: Invocation,
    device_no: str,
    reads: str | None,
    at: str | None,
    set_after: bool,
    evidence: str,
    note: str | None,
    as_json: bool,
) -> None:
    from dockd.cli.output import say
    from dockd.register.clocks import NewReading, add_reading
    from dockd.visit.rejudge import rejudge

    if reads is None:
        _list(invocation, device_no, as_json)
        return
    station = invocation.station()
    when = invocation.parse_time(at) if at else station.now()
    ahead = (invocation.parse_time(reads) - when).total_seconds()
    new = NewReading(at=when, offset_s=ahead, evidence=evidence, set_after=set_after, person=station.actor, note=note)
    with station.register.write() as session:
        add_reading(session, device_no, new, station_no=station.station_no, now=station.now(), actor=station.actor)
    done = rejudge(station)
    station.mirror_ledger()
    _list(invocation, device_no, as_json)
    text = _("{count} recordings were judged again, {changed} of them otherwise than before")
    say(text.format(count=done.records, changed=len(done.revised)))


def _list(invocation: Invocation, device_no: str, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.register.clocks import list_readings

    with invocation.station().register.read() as session:
        rows: list[dict[str, Any]] = [asdict(one) for one in list_readings(session, device_no)]
    if not as_json:
        rows = [row | {"ahead": str(timedelta(seconds=round(row["offset_s"])))} for row in rows]
    columns = (
        ("at", _("time")),
        ("ahead", _("ahead")),
        ("evidence", _("evidence")),
        ("at_least", _("at least")),
        ("set_after", _("then set right")),
        ("person", _("by")),
        ("note", _("note")),
    )
    print_listing(rows, columns, as_json=as_json)


@click.command(help=N_("Who has not docked: recorders out, or back and not docked. The nearest deadline first."))
@json_option
@pass_invocation
def undocked(invocation: Invocation, as_json: bool) -> None:
    from dockd.alert.deadlines import undocked as outstanding
    from dockd.cli.output import print_listing
    from dockd.register.officers import officer_names

    station = invocation.station()
    with station.register.read() as session:
        found = outstanding(session, station)
        names = officer_names(session, [one.outing.cert_no for one in found])
    rows = [
        asdict(one.outing)
        | asdict(one.expected)
        | {"officer_name": names.get(one.outing.cert_no), "state": one.state, "overdue_s": one.overdue_s}
        for one in found
    ]
    if not as_json:
        words = {
            "out": _("out"),
            "due_soon": _("due soon"),
            "not_docked": _("overdue"),
            "exception_open": _("exception without a return"),
        }
        rows = [row | {"state": words[row["state"]]} for row in rows]
    columns = (
        ("device_no", _("recorder")),
        ("cert_no", _("officer")),
        ("officer_name", _("name")),
        ("issued_at", _("issued")),
        ("due_at", _("due back")),
        ("docked_at", _("last docked")),
        ("deadline_at", _("to be stored by")),
        ("state", _("state")),
    )
    print_listing(rows, columns, as_json=as_json)
