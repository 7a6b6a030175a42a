"""``dockd case``: the cases of the case system: import, list, show, close, renumber."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.locale import N_, _, language

if TYPE_CHECKING:
    from dockd.register.cases import Case


@click.group(help=N_("The cases: import, list, show, close, filing, filed, renumber."))
def case() -> None:
    """The noun's group."""


@case.command("import", help=N_("Register and change cases from a CSV: good lines are taken, bad ones named."))
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--strict", is_flag=True, help=N_("take nothing when a line is bad"))
@click.option(
    "--whole",
    is_flag=True,
    help=N_("FILE says everything of its cases: periods of work it does not name are withdrawn"),
)
@json_option
@pass_invocation
def import_(invocation: Invocation, file: Path, strict: bool, whole: bool, as_json: bool) -> None:
    from dockd.cli.importing import tell_import
    from dockd.register.imports import import_cases
    from dockd.visit.rejudge import rejudge

    station = invocation.station()
    report = import_cases(station, invocation.handed(file), strict=strict, whole=whole)
    rejudge(station)
    station.mirror_ledger()
    tell_import(report, strict=strict, as_json=as_json)


@case.command("list", help=N_("Every case, by number."))
@json_option
@pass_invocation
def list_(invocation: Invocation, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.register.cases import list_cases

    with invocation.station().register.read() as session:
        rows = [_row(one) for one in list_cases(session)]
    columns = (
        ("case_no", _("case")),
        ("case_cause", _("cause")),
        ("parties", _("parties")),
        ("officers", _("officers")),
        ("used_from", _("from")),
        ("used_to", _("to")),
        ("closed_at", _("closed")),
    )
    print_listing(rows, columns, as_json=as_json)


@case.command(help=N_("One case and everybody's work on it."))
@click.argument("case_no", metavar="NO")
@json_option
@pass_invocation
def show(invocation: Invocation, case_no: str, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.register.cases import get_case
    from dockd.register.records import count_records

    with invocation.station().register.read() as session:
        found = get_case(session, case_no)
        records = count_records(session, found.case_no)
    _print(found, as_json, records)
    if not as_json and found.works:
        columns = (("cert_no", _("officer")), ("used_from", _("from")), ("used_to", _("to")), ("place", _("place")))
        print_listing([asdict(work) for work in found.works], columns, as_json=False)


@case.command(help=N_("Say when a case ended: it is to be filed within thirty days (article 28)."))
@click.argument("case_no", metavar="NO")
@click.option("--at", metavar="T", required=True, help=N_("when it ended"))
@json_option
@pass_invocation
def close(invocation: Invocation, case_no: str, at: str, as_json: bool) -> None:
    from dockd.register.cases import close_case, get_case
    from dockd.visit.rejudge import rejudge

    station = invocation.station()
    ended = invocation.parse_time(at)
    with station.register.write() as session:
        close_case(session, case_no, at=ended, station_no=station.station_no, now=station.now(), actor=station.actor)
        found = get_case(session, case_no)
    rejudge(station)
    station.mirror_ledger()
    _print(found, as_json)


@case.command(help=N_("Closed cases that are not filed: the last day of article 28's thirty, and what each lacks."))
@json_option
@pass_invocation
def filing(invocation: Invocation, as_json: bool) -> None:
    from dockd.cli.output import print_listing
    from dockd.law.filing import MISSING
    from dockd.register.filings import filings

    station = invocation.station()
    with station.register.read() as session:
        found = filings(session, now=station.now(), zone=station.zone, holidays=station.settings.filing.holidays)
    rows = [asdict(one) | asdict(one.standing) | {"overdue": one.standing.overdue} for one in found]
    for row in rows:
        del row["standing"]
        if not as_json:
            row["missing"] = [MISSING[code].text(language()) for code in row["missing"]]
    columns = (
        ("case_no", _("case")),
        ("closed_at", _("closed")),
        ("last_day", _("last day")),
        ("days_left", _("days left")),
        ("records", _("recordings")),
        ("missing", _("what is missing")),
    )
    print_listing(rows, columns, as_json=as_json)


@case.command(help=N_("Say that a closed case was filed (article 28); what it lacked then is traced."))
@click.argument("case_no", metavar="NO")
@click.option("--at", metavar="T", help=N_("when it was filed; now, if left out"))
@json_option
@pass_invocation
def filed(invocation: Invocation, case_no: str, at: str | None, as_json: bool) -> None:
    from dockd.cli.output import say
    from dockd.law.filing import MISSING
    from dockd.register.cases import get_case
    from dockd.register.filings import file_case
    from dockd.visit.watch import watch_deadlines

    station = invocation.station()
    time = invocation.parse_time(at) if at else station.now()
    with station.register.write() as session:
        lacking = file_case(
            session, case_no, at=time, station_no=station.station_no, now=station.now(), actor=station.actor
        )
        found = get_case(session, case_no)
    watch_deadlines(station)
    station.mirror_ledger()
    _print(found, as_json)
    for code in lacking:
        say(_("Note: {text}").format(text=MISSING[code].text(language())))


@case.command(help=N_("The case system gave the case OLD the number NEW: its records follow, both numbers find it."))
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@json_option
@pass_invocation
def renumber(invocation: Invocation, old: str, new: str, as_json: bool) -> None:
    from dockd.register.cases import get_case, renumber_case
    from dockd.visit.rejudge import rejudge

    station = invocation.station()
    with station.register.write() as session:
        renumber_case(session, old, new, station_no=station.station_no, now=station.now(), actor=station.actor)
        found = get_case(session, new)
    rejudge(station)
    station.mirror_ledger()
    _print(found, as_json)


def _row(one: Case) -> dict[str, Any]:
    """A case with the officers and the whole time of its works."""
    begins = [work.used_from for work in one.works if work.used_from]
    ends = [work.used_to for work in one.works if work.used_to]
    return asdict(one) | {
        "officers": list(dict.fromkeys(work.cert_no for work in one.works if work.cert_no)),
        "used_from": min(begins, default=None),
        "used_to": max(ends, default=None),
    }


def _print(one: Case, as_json: bool, records: int | None = None) -> None:
    from dockd.cli.output import print_summary

    lines = (
        (_("case"), one.case_no),
        (_("cause"), one.case_cause),
        (_("parties"), one.parties),
        (_("kind of act"), one.act_type),
        (_("stage"), one.stage),
        (_("matter"), one.matter),
        (_("place"), one.place),
        (_("confidentiality"), one.confidentiality),
        (_("whole course to be recorded"), one.full_course_required),
        (_("former numbers"), one.former_numbers),
        (_("closed"), one.closed_at),
        (_("filed"), one.filed_at),
    )
    counted = {} if records is None else {"records": records}
    print_summary(_row(one) | counted, (*lines, *((_("recordings"), n) for n in counted.values())), as_json=as_json)
