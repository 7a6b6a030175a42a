"""``dockd recorder``: the recorder register and who holds what: add, import, list, show, issue, return."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dockd.cli import clock, equipment
from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.locale import N_, _
from dockd.nouns import Recorder

if TYPE_CHECKING:
    from dockd.register.custody import Handover
    from dockd.register.station import Station

BATTERY = equipment.BATTERY
ATTRIBUTES = N_("explosion_proof (防爆), night (夜视) or positioning (定位); may be repeated (article 31)")


@click.group(help=N_("The recorder register: add, import, issue, return, undocked, clock, inspect, fault, due, list."))
def recorder() -> None:
    """The noun's group."""


for one_act in (*equipment.COMMANDS, clock.clock, clock.undocked):
    recorder.add_command(one_act)


# --- the register ------------------------------------------------------------------------------------


@recorder.command(help=N_("Register one recorder under the bureau's number."))
@click.argument("device_no", metavar="N")
@click.option("--serial", "device_serial", metavar="S", help=N_("the maker's serial number"))
@click.option("--model", metavar="M", help=N_("the model"))
@click.option("--profile", metavar="P", help=N_("the profile of its card, where it is not recognised by itself"))
@click.option("--unit", metavar="U", help=N_("the unit"))
@click.option("--custodian", metavar="WHO", help=N_("who keeps it"))
@click.option("--kind", "device_kind", metavar="K", help=N_("the kind of device"))
@click.option("--owner", "owner_cert_no", metavar="CERT_NO", help=N_("the officer who has it for good"))
@click.option("--attribute", "attributes", multiple=True, metavar="A", help=ATTRIBUTES)
@json_option
@pass_invocation
def add(invocation: Invocation, /, as_json: bool, **said: Any) -> None:
    from dockd.register.officers import get_officer
    from dockd.register.recorders import add_recorder
    from dockd.visit.rejudge import rejudge

    station = invocation.station()
    wanted = Recorder(**said)
    _check_profile(station, wanted.profile)
    with station.register.write() as session:
        if wanted.owner_cert_no:
            get_officer(session, wanted.owner_cert_no)
        added = add_recorder(session, wanted, station_no=station.station_no, now=station.now(), actor=station.actor)
    rejudge(station)
    station.mirror_ledger()
    _print(_row(added, None), as_json)


@recorder.command(help=N_("Change what is registered of a recorder; an empty text takes a value away."))
@click.argument("device_no", metavar="N")
@click.option("--serial", "device_serial", metavar="S", help=N_("the maker's serial number"))
@click.option("--model", metavar="M", help=N_("the model"))
@click.option("--profile", metavar="P", help=N_("the profile of its card, where it is not recognised by itself"))
@click.option("--unit", metavar="U", help=N_("the unit"))
@click.option("--custodian", metavar="WHO", help=N_("who keeps it"))
@click.option("--kind", "device_kind", metavar="K", help=N_("the kind of device"))
@click.option("--owner", "owner_cert_no", metavar="CERT_NO", help=N_("the officer who has it for good"))
@click.option("--attribute", "attributes", multiple=True, metavar="A", help=ATTRIBUTES)
@click.option("--no-attributes", is_flag=True, help=N_("it has none of these attributes"))
@json_option
@pass_invocation
def change(invocation: Invocation, /, device_no: str, no_attributes: bool, as_json: bool, **said: Any) -> None:
    from dockd.register.custody import holders
    from dockd.register.officers import get_officer
    from dockd.register.recorders import change_recorder
    from dockd.visit.rejudge import rejudge

    station = invocation.station()
    said["attributes"] = () if no_attributes else said["attributes"] or None
    _check_profile(station, said["profile"])
    with station.register.write() as session:
        if said["owner_cert_no"]:
            get_officer(session, said["owner_cert_no"])
        changed = change_recorder(
            session, device_no, said, station_no=station.station_no, now=station.now(), actor=station.actor
        )
        holder = holders(session).get(device_no)
    rejudge(station)
    station.mirror_ledger()
    _print(_row(changed, holder), as_json)


def _check_profile(station: Station, name: str | None) -> None:
    """Raises BadValue for a profile that this station does not have."""
    from dockd.card.profile import load_profiles
    from dockd.errors import BadValue

    if not name:
        return
    names = load_profiles(station.settings.profiles.folder).names
    if name not in names:
        raise BadValue(what="--profile", value=name, expected=", ".join(names))


@recorder.command("import", help=N_("Register and change recorders from a CSV: good lines are taken, bad ones named."))
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help=N_("take nothing when a line is bad"))
@json_option
@pass_invocation
def import_(invocation: Invocation, file: Path, strict: bool, as_json: bool) -> None:
    from dockd.cli.importing import tell_import
    from dockd.register.imports import import_recorders
    from dockd.visit.rejudge import rejudge

    station = invocation.station()
    report = import_recorders(station, invocation.handed(file), strict=strict)
    rejudge(station)
    station.mirror_ledger()
    tell_import(report, strict=strict, as_json=as_json)


@recorder.command("list", help=N_("Every recorder, and who holds it now."))
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.register.custody import holders
    from dockd.register.recorders import list_recorders

    with invocation.station().register.read() as session:
        held = holders(session)
        rows = [_row(one, held.get(one.device_no)) for one in list_recorders(session)]
    columns = (
        ("device_no", _("recorder")),
        ("device_serial", _("serial")),
        ("model", _("model")),
        ("unit", _("unit")),
        ("state", _("state")),
        ("holder_cert_no", _("held by")),
        ("owner_cert_no", _("owner")),
    )
    print_listing(rows if as_json else [_in_words(row) for row in rows], columns, as_json=as_json)


@recorder.command(help=N_("One recorder: what is registered, who held it, and everything that happened to it."))
@click.argument("device_no", metavar="N")
@json_option
@pass_invocation
def show(invocation: Invocation, device_no: str, as_json: bool) -> None:
    from dockd.cli.history import print_page
    from dockd.register.biography import biography
    from dockd.register.custody import custody_of, holders
    from dockd.register.equipment import events_of
    from dockd.register.recorders import get_recorder, identities

    with invocation.station().register.read() as session:
        row = _row(get_recorder(session, device_no), holders(session).get(device_no))
        handovers = custody_of(session, device_no)
        known_by = identities(session, device_no)
        events = events_of(session, device_no)
        history = biography(session, device_no)
    whole = row | {
        "identities": [asdict(one) for one in known_by],
        "custody": [asdict(one) for one in handovers],
        "events": [asdict(one) for one in events],
        "history": [asdict(line) for line in history],
    }
    _print(whole, as_json)
    if not as_json:
        _print_custody(handovers)
        print_page(known_by, events, history)


def _row(one: Recorder, holder: str | None) -> dict[str, Any]:
    row = asdict(one) | {"holder_cert_no": holder}
    del row["id"]
    return row


def _in_words(row: Mapping[str, Any]) -> dict[str, Any]:
    from dockd.law.vocabulary import RECORDER_ATTRIBUTES
    from dockd.locale import language
    from dockd.register.recorders import STATE_WORDS

    words = [RECORDER_ATTRIBUTES[code].text(language()) for code in row["attributes"]]
    return {**row, "state": _(STATE_WORDS.get(row["state"], row["state"])), "attributes": words}


def _print(row: Mapping[str, Any], as_json: bool) -> None:
    from dockd.cli.output import print_summary

    shown = _in_words(row)
    labels = (
        ("device_no", _("recorder")),
        ("device_serial", _("serial")),
        ("model", _("model")),
        ("profile", _("card profile")),
        ("device_kind", _("kind of device")),
        ("unit", _("unit")),
        ("custodian", _("custodian")),
        ("owner_cert_no", _("owner")),
        ("attributes", _("attributes")),
        ("state", _("state")),
        ("holder_cert_no", _("held by")),
    )
    print_summary(row, [(label, shown[key]) for key, label in labels], as_json=as_json)


def _print_custody(handovers: Sequence[Handover]) -> None:
    from dockd.cli.output import print_listing

    if not handovers:
        return
    click.echo()
    columns = (
        ("cert_no", _("officer")),
        ("issued_at", _("issued")),
        ("due_at", _("due back")),
        ("returned_at", _("returned")),
        ("battery_out", _("battery out")),
        ("battery_in", _("battery in")),
        ("flags", _("remarks")),
    )
    rows = [asdict(one) | {"flags": flag_words(one.flags)} for one in handovers]
    print_listing(rows, columns, as_json=False)


# --- custody -------------------------------------------------------------------------------------------


@recorder.command(help=N_("Hand a recorder to an officer. A time in the past only records what happened."))
@click.argument("device_no", metavar="N")
@click.argument("cert_no", metavar="CERT_NO")
@click.option("--at", metavar="T", help=N_("when it was handed out; now, if left out"))
@click.option("--until", metavar="T", help=N_("when it is due back"))
@click.option("--returned", metavar="T", help=N_("when it came back, where that is entered afterwards, too"))
@click.option("--battery", type=BATTERY, metavar="PCT", help=N_("the battery in percent (article 24)"))
@click.option("--override", metavar="REASON", help=N_("why it is handed out against a rule"))
@json_option
@pass_invocation
def issue(
    invocation: Invocation,
    device_no: str,
    cert_no: str,
    at: str | None,
    until: str | None,
    returned: str | None,
    battery: int | None,
    override: str | None,
    as_json: bool,
) -> None:
    from dockd.cli.output import say
    from dockd.law.vocabulary import ALERT_CLASSES
    from dockd.locale import language
    from dockd.register.alerts import open_alerts_of
    from dockd.register.custody import issue_recorder
    from dockd.visit.rejudge import rejudge

    station = invocation.station()
    begin, due, back = _time(invocation, at), _time(invocation, until), _time(invocation, returned)
    with station.register.write() as session:
        done = issue_recorder(
            session,
            device_no,
            cert_no,
            at=begin,
            until=due,
            battery=battery,
            override=override,
            station_no=station.station_no,
            now=station.now(),
            actor=station.actor,
            battery_min=station.settings.checks.battery_min,
            returned=back,
        )
    rejudge(station)
    station.mirror_ledger()
    with station.register.read() as session:
        found = open_alerts_of(session, device_no)
    said = [{"alert_id": one.alert_id, "kind": one.kind, "severity": one.severity} for one in found]
    _tell_handover(asdict(done) | {"open_alerts": said}, done.flags, as_json)
    for one in found:
        words = ALERT_CLASSES[one.kind].text(language())
        say(_("Note: alert {alert_id} is still open: {text}").format(alert_id=one.alert_id, text=words))


@recorder.command("return", help=N_("Take a recorder back. A time in the past only records what happened."))
@click.argument("device_no", metavar="N")
@click.option("--at", metavar="T", help=N_("when it came back; now, if left out"))
@click.option("--battery", type=BATTERY, metavar="PCT", help=N_("the battery in percent"))
@json_option
@pass_invocation
def return_(invocation: Invocation, device_no: str, at: str | None, battery: int | None, as_json: bool) -> None:
    from dockd.register.custody import return_recorder
    from dockd.visit.rejudge import rejudge

    station = invocation.station()
    end = _time(invocation, at)
    with station.register.write() as session:
        ended = return_recorder(
            session,
            device_no,
            at=end,
            battery=battery,
            station_no=station.station_no,
            now=station.now(),
            actor=station.actor,
        )
    rejudge(station)
    station.mirror_ledger()
    newest, *others = ended
    summary = asdict(newest) | {"also_ended": [asdict(one) for one in others]}
    _tell_handover(summary, tuple(dict.fromkeys(flag for one in ended for flag in one.flags)), as_json)


def _time(invocation: Invocation, text: str | None) -> datetime | None:
    return invocation.parse_time(text) if text is not None else None


def _tell_handover(summary: Mapping[str, Any], flags: Sequence[str], as_json: bool) -> None:
    from dockd.cli.output import print_summary, say

    labels = (
        ("device_no", _("recorder")),
        ("cert_no", _("officer")),
        ("issued_at", _("issued")),
        ("due_at", _("due back")),
        ("returned_at", _("returned")),
        ("battery_out", _("battery out")),
        ("battery_in", _("battery in")),
        ("override_reason", _("against the rule because")),
    )
    lines = [(label, summary[key]) for key, label in labels if summary[key] is not None]
    print_summary(summary, lines, as_json=as_json)
    for words in flag_words(flags):
        say(_("Note: {text}").format(text=words))


def flag_words(flags: Iterable[str]) -> list[str]:
    """What is unusual about a handing-over, in words; an unknown code is shown as it is."""
    words = {
        "issue_backdated": _("the issue was entered afterwards"),
        "return_backdated": _("the return was entered afterwards"),
        "overlap": _("somebody else is registered as holding it within this time"),
        "not_in_service": _("it was not in service"),
        "battery_unchecked": _("the battery was not checked (article 24)"),
        "closed_with_later": _("never returned by itself: ended when the recorder came back from another officer"),
        "not_out": _("nobody was registered as holding it"),
        "not_offloaded": _("what it recorded before is not stored yet"),
        "battery_low": _("the battery was low (article 24)"),
    }
    return [words.get(flag, flag) for flag in flags]
