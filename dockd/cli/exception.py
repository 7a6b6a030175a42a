"""``dockd exception``: statements under article 23(2): add, confirm, return, list."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.law.vocabulary import EXCEPTION_REASONS
from dockd.locale import N_, _, language

if TYPE_CHECKING:
    from dockd.register.exceptions import Excuse
    from dockd.register.station import Station


@click.group(help=N_("Exceptions under article 23(2): add, confirm, return, list."))
def exception() -> None:
    """The noun's group."""


@exception.command(help=N_("Keep a statement that storing in time was not possible, before or after docking."))
@click.option("--device-no", metavar="N", help=N_("the recorder that it is about"))
@click.option("--officer", "cert_no", metavar="CERT_NO", help=N_("the officer whom it is about"))
@click.option("--reason", type=click.Choice(list(EXCEPTION_REASONS)), required=True, help=N_("why"))
@click.option("--from", "from_at", metavar="T", required=True, help=N_("when it began"))
@click.option("--to", "to_at", metavar="T", required=True, help=N_("when it ended or will end"))
@click.option("--returned-at", metavar="T", help=N_("when they came back to the agency; later: exception return"))
@click.option("--declared-by", metavar="CERT_NO", required=True, help=N_("the officer who declares it"))
@click.option("--note", metavar="TEXT", required=True, help=N_("the circumstances"))
@json_option
@pass_invocation
def add(
    invocation: Invocation,
    /,
    from_at: str,
    to_at: str,
    returned_at: str | None,
    as_json: bool,
    **said: Any,
) -> None:
    from dockd.register.exceptions import Statement, add_exception

    station = invocation.station()
    statement = Statement(
        from_at=invocation.parse_time(from_at),
        to_at=invocation.parse_time(to_at),
        returned_at=invocation.parse_time(returned_at) if returned_at else None,
        unable=True,  # to enter it is to state it: 确实无法及时储存
        **said,
    )
    with station.register.write() as session:
        added = add_exception(session, statement, station_no=station.station_no, now=station.now(), actor=station.actor)
    _follow_and_print(station, added, as_json)


@exception.command(help=N_("Another officer confirms a statement."))
@click.argument("exception_id", metavar="ID", type=int)
@click.option("--by", metavar="CERT_NO", required=True, help=N_("the officer who confirms it"))
@json_option
@pass_invocation
def confirm(invocation: Invocation, exception_id: int, by: str, as_json: bool) -> None:
    from dockd.register.exceptions import confirm_exception

    station = invocation.station()
    with station.register.write() as session:
        done = confirm_exception(
            session, exception_id, by=by, station_no=station.station_no, now=station.now(), actor=station.actor
        )
    _follow_and_print(station, done, as_json)


@exception.command("return", help=N_("Say when they came back to the agency: the 24 hours run from there."))
@click.argument("exception_id", metavar="ID", type=int)
@click.option("--at", metavar="T", required=True, help=N_("when they came back"))
@json_option
@pass_invocation
def return_(invocation: Invocation, exception_id: int, at: str, as_json: bool) -> None:
    from dockd.register.exceptions import return_exception

    station = invocation.station()
    time = invocation.parse_time(at)
    with station.register.write() as session:
        done = return_exception(
            session, exception_id, at=time, station_no=station.station_no, now=station.now(), actor=station.actor
        )
    _follow_and_print(station, done, as_json)


@exception.command("list", help=N_("Every statement, and what each still lacks."))
@click.option("--open", "open_only", is_flag=True, help=N_("only those without a return, or not confirmed"))
@json_option
@pass_invocation
def list_(invocation: Invocation, open_only: bool, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.register.exceptions import list_exceptions

    with invocation.station().register.read() as session:
        rows = [_row(one) for one in list_exceptions(session, open_only=open_only)]
    if not as_json:
        rows = [row | {"reason": EXCEPTION_REASONS[row["reason"]].text(language())} for row in rows]
        rows = [row | {"state": _states()[row["state"]]} for row in rows]
    columns = (
        ("exception_id", _("exception")),
        ("device_no", _("recorder")),
        ("cert_no", _("officer")),
        ("reason", _("reason")),
        ("from_at", _("from")),
        ("to_at", _("to")),
        ("returned_at", _("returned")),
        ("declared_by", _("declared by")),
        ("confirmed_by", _("confirmed by")),
        ("state", _("state")),
    )
    print_listing(rows, columns, as_json=as_json)


def _states() -> dict[str, str]:
    return {"open": _("no time of return"), "unconfirmed": _("not confirmed"), "confirmed": _("confirmed")}


def _row(one: Excuse) -> dict[str, Any]:
    return asdict(one) | {"state": one.state}


def _follow_and_print(station: Station, one: Excuse, as_json: bool) -> None:
    """Every recording that it may cover is judged again before anything is said."""
    from dockd.cli.output import print_summary, say
    from dockd.visit.rejudge import rejudge
    from dockd.visit.watch import watch_deadlines

    done = rejudge(station)
    watch_deadlines(station)
    station.mirror_ledger()
    lines = (
        (_("exception"), one.exception_id),
        (_("recorder"), one.device_no),
        (_("officer"), one.cert_no),
        (_("reason"), EXCEPTION_REASONS[one.reason].text(language())),
        (_("from"), one.from_at),
        (_("to"), one.to_at),
        (_("returned"), one.returned_at),
        (_("declared by"), one.declared_by),
        (_("confirmed by"), one.confirmed_by),
        (_("state"), _states()[one.state]),
    )
    summary = _row(one) | {"judged_again": done.records, "changed": list(done.revised)}
    print_summary(summary, lines, as_json=as_json)
    if done.records:
        text = _("{count} recordings were judged again, {changed} of them otherwise than before")
        say(text.format(count=done.records, changed=len(done.revised)))
