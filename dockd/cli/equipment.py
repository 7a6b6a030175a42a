"""``dockd recorder inspect``, ``fault``, ``repair`` …: articles 24 and 26 as a clerk types them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.locale import N_, _

if TYPE_CHECKING:
    from dockd.register.dues import Due
    from dockd.register.equipment import EquipmentEvent

BATTERY = click.IntRange(0, 100)


def act_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The number of the recorder, ``--at``, ``--person`` and ``--json``."""
    command = json_option(command)
    command = click.option("--person", metavar="WHO", help=N_("who did it; the caller, if left out"))(command)
    command = click.option("--at", metavar="T", help=N_("when it happened; now, if left out"))(command)
    return click.argument("device_no", metavar="N")(command)


@click.command(help=N_("Check a recorder: battery and memory (article 24)."))
@act_options
@click.option("--battery", type=BATTERY, metavar="PCT", help=N_("the battery in percent"))
@click.option("--free", metavar="SIZE", help=N_("the room left on its card, such as 12GB"))
@click.option("--note", metavar="TEXT", help=N_("what was seen"))
@pass_invocation
def inspect(
    invocation: Invocation,
    device_no: str,
    at: str | None,
    person: str | None,
    battery: int | None,
    free: str | None,
    note: str | None,
    as_json: bool,
) -> None:
    from dockd.alert.upkeep import inspect_by_hand

    station = invocation.station()
    when, size = _time(invocation, at), _size(free)
    with station.register.write() as session:
        done = inspect_by_hand(
            session, station, device_no, at=when, person=person, battery=battery, free=size, note=note
        )
    _tell(invocation, done, as_json)


@click.command(help=N_("Report a fault: the recorder is out of service at once (article 26)."))
@act_options
@click.option("--text", required=True, metavar="TEXT", help=N_("what is wrong with it"))
@pass_invocation
def fault(invocation: Invocation, device_no: str, at: str | None, person: str | None, text: str, as_json: bool) -> None:
    from dockd.register.equipment import report_fault

    station, when = invocation.station(), _time(invocation, at)
    with station.register.write() as session:
        done = report_fault(session, station, device_no, told=text, at=when, person=person)
    _tell(invocation, done, as_json)


@click.command(help=N_("Send a recorder to the repairer (--sent, --by), or take it back (--back, --result)."))
@click.argument("device_no", metavar="N")
@click.option("--sent", metavar="T", help=N_("when it was sent; “now” for now"))
@click.option("--by", metavar="WHO", help=N_("who repairs it"))
@click.option("--back", metavar="T", help=N_("when it came back; “now” for now"))
@click.option("--result", metavar="TEXT", help=N_("what was done"))
@click.option("--not-fit", is_flag=True, help=N_("it came back and does not work: it stays out of service"))
@click.option("--person", metavar="WHO", help=N_("who did it; the caller, if left out"))
@json_option
@pass_invocation
def repair(
    invocation: Invocation,
    device_no: str,
    sent: str | None,
    by: str | None,
    back: str | None,
    result: str | None,
    not_fit: bool,
    person: str | None,
    as_json: bool,
) -> None:
    from dockd.register.equipment import send_to_repair, take_back

    if (sent is None) == (back is None):
        raise click.UsageError(_("Give either --sent with --by, or --back with --result."))
    station, when = invocation.station(), _time(invocation, sent or back)
    with station.register.write() as session:
        if sent is not None:
            done = send_to_repair(session, station, device_no, by=by or "", at=when, person=person)
        else:
            done = take_back(session, station, device_no, result=result or "", fit=not not_fit, at=when, person=person)
    _tell(invocation, done, as_json)


@click.command(help=N_("Put a recorder back in service that needed no repair."))
@act_options
@click.option("--note", required=True, metavar="TEXT", help=N_("why it is fit for use"))
@pass_invocation
def restore(
    invocation: Invocation, device_no: str, at: str | None, person: str | None, note: str, as_json: bool
) -> None:
    from dockd.register.equipment import restore as put_back

    station, when = invocation.station(), _time(invocation, at)
    with station.register.write() as session:
        done = put_back(session, station, device_no, note=note, at=when, person=person)
    _tell(invocation, done, as_json)


@click.command(help=N_("Note maintenance, care or putting into store (article 24)."))
@act_options
@click.option("--text", required=True, metavar="TEXT", help=N_("what was done"))
@click.option(
    "--kind",
    type=click.Choice(["maintained", "cared_for", "kept"]),
    default="maintained",
    help=N_("maintained (维护), cared_for (保养) or kept (存放)"),
)
@pass_invocation
def maintain(
    invocation: Invocation, device_no: str, at: str | None, person: str | None, text: str, kind: str, as_json: bool
) -> None:
    from dockd.law.faults import Act
    from dockd.register.equipment import maintain as note_maintenance

    station, when = invocation.station(), _time(invocation, at)
    with station.register.write() as session:
        done = note_maintenance(session, station, device_no, Act(kind), told=text, at=when, person=person)
    _tell(invocation, done, as_json)


@click.command(help=N_("Take a recorder out of use for good."))
@act_options
@click.option("--reason", required=True, metavar="TEXT", help=N_("why"))
@pass_invocation
def retire(
    invocation: Invocation, device_no: str, at: str | None, person: str | None, reason: str, as_json: bool
) -> None:
    from dockd.register.equipment import retire as put_away

    station, when = invocation.station(), _time(invocation, at)
    with station.register.write() as session:
        done = put_away(session, station, device_no, reason=reason, at=when, person=person)
    _tell(invocation, done, as_json)


@click.command(help=N_("What is due: checks, maintenance, repairs, returns. Overdue first."))
@click.option("--overdue", is_flag=True, help=N_("only what is overdue"))
@json_option
@pass_invocation
def due(invocation: Invocation, overdue: bool, as_json: bool) -> None:
    from dockd.alert.upkeep import periods_of
    from dockd.cli.output import print_listing
    from dockd.register.dues import dues

    station = invocation.station()
    with station.register.read() as session:
        found = dues(session, periods_of(station.settings))
    now = station.now()
    rows = [_due_row(one, now) for one in found if not overdue or one.due_at < now]
    columns = (
        ("device_no", _("recorder")),
        ("what", _("what")),
        ("due_at", _("due")),
        ("overdue", _("overdue")),
        ("cert_no", _("officer")),
        ("repairer", _("repairer")),
    )
    print_listing(rows, columns, as_json=as_json)


def _due_row(one: Due, now: datetime) -> dict[str, Any]:
    from dockd.law.vocabulary import ALERT_CLASSES
    from dockd.locale import language

    row = asdict(one)
    return row | {"what": ALERT_CLASSES[one.kind].text(language()), "overdue": one.due_at < now}


def _time(invocation: Invocation, text: str | None) -> datetime | None:
    return None if text is None or text.strip() == "now" else invocation.parse_time(text)


def _size(text: str | None) -> int | None:
    from pydantic_core import PydanticCustomError

    from dockd.errors import BadValue
    from dockd.settings import parse_size

    if text is None:
        return None
    try:
        return parse_size(int(text) if text.isdigit() else text)
    except PydanticCustomError:
        raise BadValue(what="--free", value=text, expected=_("a size such as 12GB")) from None


def _tell(invocation: Invocation, done: EquipmentEvent, as_json: bool) -> None:
    """What was entered, and the recorder's state after it."""
    from dockd.cli.output import print_summary, say
    from dockd.cli.recordwords import who
    from dockd.law.vocabulary import ALERT_CLASSES, EQUIPMENT_EVENTS
    from dockd.locale import language
    from dockd.register.recorders import STATE_WORDS

    invocation.station().mirror_ledger()
    summary = asdict(done)
    shown: Mapping[str, Any] = summary | {
        "kind": EQUIPMENT_EVENTS[done.kind].text(language()),
        "state": _(STATE_WORDS[done.state or "in_service"]),
        "person": who(done.person) if done.person else None,
    }
    labels = (
        ("device_no", _("recorder")),
        ("kind", _("entered")),
        ("at", _("time")),
        ("person", _("by")),
        ("battery_pct", _("battery")),
        ("told", _("text")),
        ("repairer", _("repairer")),
        ("result", _("result")),
        ("state", _("state")),
    )
    print_summary(summary, [(label, shown[key]) for key, label in labels if shown[key] is not None], as_json=as_json)
    for finding in done.facts.get("findings", ()):
        say(_("Note: {text}").format(text=ALERT_CLASSES[finding].text(language())))


COMMANDS = (inspect, fault, repair, restore, maintain, retire, due)
