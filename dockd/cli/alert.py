"""``dockd alert``: what somebody must know: list, acknowledge, close; and how it gets to whom it concerns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.locale import N_, _

if TYPE_CHECKING:
    from dockd.alert.text import Names, Told
    from dockd.register.alerts import Alert
    from dockd.register.outbox import Message
    from dockd.register.station import Station

SEVERITIES = ("notice", "warning", "critical")


@click.group(help=N_("Alerts: list, acknowledge, close; outbox, send, test, report."))
def alert() -> None:
    """The noun's group."""


@alert.command("list", help=N_("Alerts, the most severe first, then the oldest, with what they are about."))
@click.option("--open", "open_only", is_flag=True, help=N_("only those that are not closed"))
@click.option("--severity", type=click.Choice(SEVERITIES), help=N_("only those of at least this severity"))
@click.option("--older-than", metavar="SPAN", help=N_("only those opened longer ago, such as 4h or 2d"))
@json_option
@pass_invocation
def list_(invocation: Invocation, open_only: bool, severity: str | None, older_than: str | None, as_json: bool) -> None:
    from dockd.alert.text import look_up, tell
    from dockd.cli.output import print_json
    from dockd.register.alerts import list_alerts
    from dockd.register.outbox import unsent_of

    station = invocation.station()
    age, rank = _span(older_than), SEVERITIES.index(severity or "notice")
    with station.register.read() as session:
        every = list_alerts(session, open_only=open_only)
        # Unasked for, age hides nothing: a clock that was set back makes the latest alerts lie in the future.
        old = [a for a in every if not age or a.opened_at <= station.now() - age]
        found = [a for a in old if SEVERITIES.index(a.severity) >= rank]
        names = look_up(session, found)
        unsent = unsent_of(session, [a.alert_id for a in found])
    found.sort(key=lambda a: (-SEVERITIES.index(a.severity), a.opened_at, a.alert_id))
    told = [(one, tell(one, names, station.zone)) for one in found]
    if as_json:
        now = station.now()
        print_json([_row(one, words, names) | _sending(one, unsent.get(one.alert_id, ()), now) for one, words in told])
    else:
        _print(told, unsent)


def _span(text: str | None) -> timedelta:
    from pydantic_core import PydanticCustomError

    from dockd.errors import BadValue
    from dockd.settings import parse_duration

    try:
        return parse_duration(text) if text else timedelta()
    except PydanticCustomError:
        raise BadValue(what="--older-than", value=str(text), expected=_("a length of time such as 4h or 2d")) from None


def _sending(one: Alert, unsent: Sequence[Message], now: datetime) -> dict[str, Any]:
    """How old it is, and on which channels it could not be sent."""
    return {
        "age_s": int((now - one.opened_at).total_seconds()),
        "level": one.level,
        "undelivered": [{"channel": m.channel or None, "error": m.last_error, "attempts": m.attempts} for m in unsent],
    }


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


# --- on their way --------------------------------------------------------------------------------------


@alert.command(help=N_("Messages that no channel has taken yet, with attempts and the last error."))
@click.option("--all", "every", is_flag=True, help=N_("those that were delivered too"))
@json_option
@pass_invocation
def outbox(invocation: Invocation, every: bool, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.register.outbox import channel_states, list_messages

    station = invocation.station()
    with station.register.read() as session:
        messages = list_messages(session, station.station_no, unsent=not every)
        waits = {state.channel: state.next_try_at for state in channel_states(session, station.station_no)}
    rows = [_message_row(one, waits.get(one.channel)) for one in messages]
    columns = (
        ("message_id", _("no.")),
        ("alert_id", _("alert")),
        ("why", _("why")),
        ("channel", _("channel")),
        ("state", _("state")),
        ("attempts", _("tried")),
        ("created_at", _("written")),
        ("next_try_at", _("next try")),
        ("last_error", _("last error")),
    )
    print_listing(rows, columns, as_json=as_json)


def _message_row(one: Message, paused_until: datetime | None) -> dict[str, Any]:
    from dataclasses import asdict

    row = asdict(one)
    del row["body"]
    waits = one.state == "waiting"
    return row | {"next_try_at": max(one.not_before, paused_until or one.not_before) if waits else None}


@alert.command(help=N_("One round now: due dates, escalation, the daily report, and sending what is due."))
@json_option
@pass_invocation
def send(invocation: Invocation, as_json: bool) -> int:
    from dockd.alert.delivery import deliver_due
    from dockd.alert.escalation import escalate
    from dockd.alert.report import daily_report
    from dockd.alert.upkeep import watch_checks
    from dockd.cli.output import print_summary
    from dockd.errors import Exit

    _log_as_configured(invocation)
    station = invocation.station()
    opened = watch_checks(station)
    raised = escalate(station)
    report = daily_report(station)
    done = deliver_due(station)
    summary = {
        "opened": opened,
        "escalated": raised.escalated,
        "repeated": raised.repeated,
        "report": report is not None,
        "sent": done.sent,
        "given_up": done.given_up,
        "failing": [{"channel": name, "error": reason} for name, reason in done.failing],
    }
    lines: list[tuple[str, object]] = [
        (_("messages sent"), done.sent),
        (_("alerts opened"), opened),
        (_("alerts escalated"), raised.escalated),
        (_("alerts repeated"), raised.repeated),
        *((_("channel {channel}").format(channel=name), reason) for name, reason in done.failing),
    ]
    print_summary(summary, lines, as_json=as_json)
    return Exit.PARTIAL if done.failing else Exit.DONE


def _log_as_configured(invocation: Invocation) -> None:
    """The journal is a channel too: its lines go to standard error, unless the service has its own log."""
    from dockd import log

    if invocation.caller is None:
        log.configure(invocation.settings().log.level)


@alert.command(help=N_("Send a test message on a channel."))
@click.argument("channel", metavar="CHANNEL")
@json_option
@pass_invocation
def test(invocation: Invocation, channel: str, as_json: bool) -> int:
    from dockd.alert.delivery import deliver_due
    from dockd.cli.output import print_summary
    from dockd.errors import Exit, UnknownNumber
    from dockd.register.outbox import TEST, announce

    _log_as_configured(invocation)
    station = invocation.station()
    if channel not in [one.name for one in station.settings.alerts.channels]:
        raise UnknownNumber(noun=_("channel"), number=channel, command="dockd alert outbox")
    with station.register.write() as session:
        announce(session, station_no=station.station_no, why=TEST, at=station.now(), body={"channel": channel})
    failing = dict(deliver_due(station).failing)
    done = channel not in failing
    summary = {"channel": channel, "delivered": done, "error": failing.get(channel)}
    print_summary(summary, [(channel, _("delivered") if done else failing[channel])], as_json=as_json)
    return Exit.DONE if done else Exit.PARTIAL


@alert.command(help=N_("The daily report as it is now; nothing is sent."))
@json_option
@pass_invocation
def report(invocation: Invocation, as_json: bool) -> None:
    from dockd.alert.report import report_figures
    from dockd.alert.reportwords import report_text
    from dockd.cli.output import print_json, printable

    station = invocation.station()
    now = station.now()
    day = now.astimezone(station.zone).date()
    figures = report_figures(station, since=now - timedelta(days=1), day=day)
    if as_json:
        print_json(figures)
        return
    for line in report_text(figures, station.zone)[1]:
        print(printable(line))


# --- words ---------------------------------------------------------------------------------------------


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


def _print(told: Sequence[tuple[Alert, Told]], unsent: Mapping[int, Sequence[Message]]) -> None:
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
        for message in unsent.get(one.alert_id, ()):
            not_sent = _("not delivered on {channel}: {error}, tried {attempts} times").format(
                channel=message.channel or _("no channel"), error=message.last_error, attempts=message.attempts
            )
            print(printable(f"    ! {not_sent}"))
    quoted = {words.article: words.quotation for _alert, words in told}
    for article, quotation in quoted.items():
        print("", printable(f"{article}: {quotation}"), sep="\n")
    if not told:
        print(_("There are no alerts."))
