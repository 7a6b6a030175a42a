"""``dockd interruption``: where a recording may have been interrupted (article 22): list, explain, dismiss."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.law.vocabulary import INTERRUPTION_CAUSES, INTERRUPTION_FORMS, INTERRUPTION_STATES
from dockd.locale import N_, _, language


@click.group(help=N_("Interruptions of recordings (article 22): list, explain, dismiss."))
def interruption() -> None:
    """The noun's group."""


@interruption.command("list", help=N_("Candidates that wait for a person; with --all also what is decided."))
@click.option("--all", "everything", is_flag=True, help=N_("also those that are decided or withdrawn"))
@click.option("--case", "case_no", metavar="NO", help=N_("of this case"))
@json_option
@pass_invocation
def list_(invocation: Invocation, everything: bool, case_no: str | None, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.register.interruptions import list_interruptions

    with invocation.station().register.read() as session:
        found = list_interruptions(session, open_only=not everything, case_no=case_no)
    rows = [asdict(one) for one in found]
    if not as_json:
        rows = [row | _words(row) for row in rows]
    columns = (
        ("interruption_id", _("interruption")),
        ("severity", _("severity")),
        ("device_no", _("recorder")),
        ("case_no", _("case")),
        ("file_before", _("file before")),
        ("file_after", _("file after")),
        ("from_at", _("from")),
        ("to_at", _("to")),
        ("seconds", _("seconds")),
        ("cause", _("cause of the interruption")),
        ("state", _("state")),
    )
    print_listing(rows, columns, as_json=as_json)


def _words(row: dict[str, Any]) -> dict[str, Any]:
    severity = {"notice": _("notice"), "warning": _("warning")}
    cause = INTERRUPTION_CAUSES.get(row["cause"] or "")
    return {
        "severity": severity.get(row["severity"], row["severity"]),
        "cause": cause.text(language()) if cause else None,
        "state": INTERRUPTION_STATES[row["state"]].text(language()),
    }


@interruption.command(help=N_("Keep the note of article 22: spoken on restart, or written and signed by two."))
@click.argument("interruption_id", metavar="ID", type=int)
@click.option("--cause", type=click.Choice(list(INTERRUPTION_CAUSES)), required=True, help=N_("why it was interrupted"))
@click.option("--form", type=click.Choice(list(INTERRUPTION_FORMS)), required=True, help=N_("how it was explained"))
@click.option("--position", metavar="TEXT", help=N_("where in the next file the cause is spoken, such as 00:00:12"))
@click.option("--doc-no", metavar="NO", help=N_("the number of the written account"))
@click.option("--signed-by", multiple=True, metavar="CERT_NO", help=N_("an officer who signed; two at least"))
@click.option("--note", metavar="TEXT", help=N_("the circumstances"))
@json_option
@pass_invocation
def explain(invocation: Invocation, /, interruption_id: int, as_json: bool, **said: Any) -> None:
    from dockd.register.interruptions import Note, explain_interruption

    station = invocation.station()
    with station.register.write() as session:
        explain_interruption(
            session,
            interruption_id,
            Note(**said),
            station_no=station.station_no,
            now=station.now(),
            actor=station.actor,
        )
    _finish(invocation, interruption_id, as_json)


@interruption.command(help=N_("Say that this was no interruption, and why."))
@click.argument("interruption_id", metavar="ID", type=int)
@click.option("--note", metavar="TEXT", required=True, help=N_("why it is none"))
@json_option
@pass_invocation
def dismiss(invocation: Invocation, interruption_id: int, note: str, as_json: bool) -> None:
    from dockd.register.interruptions import dismiss_interruption

    station = invocation.station()
    with station.register.write() as session:
        dismiss_interruption(
            session,
            interruption_id,
            note=note,
            station_no=station.station_no,
            now=station.now(),
            actor=station.actor,
        )
    _finish(invocation, interruption_id, as_json)


def _finish(invocation: Invocation, interruption_id: int, as_json: bool) -> None:
    from dockd.cli.output import print_summary
    from dockd.register.interruptions import get_interruption
    from dockd.visit.watch import watch_deadlines

    station = invocation.station()
    watch_deadlines(station)
    station.mirror_ledger()
    with station.register.read() as session:
        row = asdict(get_interruption(session, interruption_id))
    lines = [(name, value) for name, value in (row | _words(row)).items() if value not in (None, ())]
    print_summary(row, lines, as_json=as_json)
