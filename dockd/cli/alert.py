"""``dockd alert``: what somebody must know: list, acknowledge, close."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.locale import N_, _

if TYPE_CHECKING:
    from dockd.alert.text import Names, Told
    from dockd.register.alerts import Alert
    from dockd.register.station import Station


@click.group(help=N_("Alerts: list, acknowledge, close."))
def alert() -> None:
    """The noun's group."""


@alert.command("list", help=N_("Alerts with recorder, officer, file, and the article they are about."))
@click.option("--open", "open_only", is_flag=True, help=N_("only those that are not closed"))
@json_option
@pass_invocation
def list_(invocation: Invocation, open_only: bool, as_json: bool) -> None:
    from dockd.alert.text import look_up, tell
    from dockd.cli.output import print_json
    from dockd.register.alerts import list_alerts

    station = invocation.station()
    with station.register.read() as session:
        found = list_alerts(session, open_only=open_only)
        names = look_up(session, found)
    told = [(one, tell(one, names, station.zone)) for one in found]
    if as_json:
        print_json([_row(one, words, names) for one, words in told])
    else:
        _print(told)


@alert.command(help=N_("Say that somebody has seen it."))
@click.argument("alert_id", metavar="ID", type=int)
@click.option("--note", required=True, metavar="TEXT", help=N_("what was found or is done about it"))
@json_option
@pass_invocation
def ack(invocation: Invocation, alert_id: int, note: str, as_json: bool) -> None:
    from dockd.register.alerts import acknowledge_alert

    station = invocation.station()
    with station.register.write() as session:
        done = acknowledge_alert(session, alert_id, note=_note(note), by=station.actor, at=station.now())
    _report(station, alert_id, done, as_json)


@alert.command(help=N_("Say that the matter is done with."))
@click.argument("alert_id", metavar="ID", type=int)
@click.option("--note", required=True, metavar="TEXT", help=N_("how it ended"))
@json_option
@pass_invocation
def close(invocation: Invocation, alert_id: int, note: str, as_json: bool) -> None:
    from dockd.register.alerts import close_alert

    station = invocation.station()
    with station.register.write() as session:
        done = close_alert(session, alert_id, note=_note(note), by=station.actor, at=station.now())
    _report(station, alert_id, done, as_json)


def _note(text: str) -> str:
    """A note says something. Raises BadValue."""
    from dockd.errors import BadValue
    from dockd.register.values import words

    note = words("--note", text, 1000)
    if note is None:
        raise BadValue(what="--note", value="''", expected=_("a few words"))
    return note


def _report(station: Station, alert_id: int, done: bool, as_json: bool) -> None:
    """How the alert stands now, and the ledger's mirror brought up to date."""
    from dockd.cli.output import print_summary
    from dockd.register.alerts import find_alert

    if done:
        station.mirror_ledger()
    with station.register.read() as session:
        found = find_alert(session, alert_id)
    state = found.state.value if found else ""
    summary = {"alert_id": alert_id, "state": state, "changed": done}
    said = (
        _state_words().get(state, state)
        if done
        else _("{state} already; nothing changed").format(state=_state_words().get(state, state))
    )
    print_summary(summary, [(_("alert {alert_id}").format(alert_id=alert_id), said)], as_json=as_json)


def _state_words() -> dict[str, str]:
    return {"open": _("open"), "acknowledged": _("acknowledged"), "closed": _("closed")}


def _severity_words() -> dict[str, str]:
    return {"notice": _("notice"), "warning": _("warning"), "critical": _("critical")}


def _row(one: Alert, words: Told, names: Names) -> dict[str, Any]:
    """An alert for programs: numbers, names and words."""
    from dockd.alert.text import cert_nos_of

    return {
        "alert_id": one.alert_id,
        "kind": one.kind,
        "severity": one.severity,
        "state": one.state,
        "about": one.about,
        "title": words.title,
        "text": words.text,
        "article": words.article,
        "quotation": words.quotation,
        "visit_id": one.visit_id,
        "record_id": one.record_id,
        "device_no": one.device_no,
        "officers": [{"cert_no": c, "name": names.officers.get(c)} for c in cert_nos_of(one)],
        "file_no": one.facts.get("file_no"),
        "original_name": names.files.get(one.record_id or 0),
        "overdue_s": one.facts.get("overdue_s"),
        "opened_at": one.opened_at,
        "acknowledged_at": one.acknowledged_at,
        "acknowledged_by": one.acknowledged_by,
        "acknowledge_note": one.acknowledge_note,
        "closed_at": one.closed_at,
        "closed_by": one.closed_by,
        "close_note": one.close_note,
        "facts": one.facts,
    }


def _print(told: Sequence[tuple[Alert, Told]]) -> None:
    """A block an alert; the articles they are about are quoted once, below."""
    from dockd.cli.output import cell_text, printable

    for one, words in told:
        head = _("{alert_id}  {severity}  {state}  {opened_at}  {title} ({article})").format(
            alert_id=one.alert_id,
            severity=_severity_words().get(one.severity, one.severity),
            state=_state_words().get(one.state, one.state),
            opened_at=cell_text(one.opened_at),
            title=words.title,
            article=words.article,
        )
        print(printable(head), printable(f"    {words.text}"), sep="\n")
    quoted = {words.article: words.quotation for _alert, words in told}
    for article, quotation in quoted.items():
        print("", printable(f"{article}: {quotation}"), sep="\n")
    if not told:
        print(_("There are no alerts."))
