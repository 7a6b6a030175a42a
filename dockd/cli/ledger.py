"""``dockd ledger``: whether the chain of all events is whole, and its head for keeping outside."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.errors import BadValue, LedgerBroken
from dockd.locale import N_, _

if TYPE_CHECKING:
    from dockd.register.ledger import Head, LedgerProblem, LedgerReport

FINDINGS = {
    "changed": N_("the line was changed"),
    "removed": N_("the line is missing"),
    "inserted": N_("a line was inserted here"),
    "reordered": N_("the line stands in another's place"),
    "unlinked": N_("the line was written after another line than the one before it"),
    "columns": N_("the register says something else than the line"),
    "tail_cut": N_("the end of the ledger is missing"),
    "head_differs": N_("the ledger's head names another last line"),
    "ahead": N_("the line is in the store but not in the register"),
    "anchor": N_("the line is not the one whose anchor was kept"),
}
PLACES = {"register": N_("register"), "mirror": N_("store")}
_ANCHOR = re.compile(r"(\d{1,18}):([0-9a-fA-F]{64})\Z")


@click.group(help=N_("The ledger: verify its chain, show its head."))
def ledger() -> None:
    """The noun's group."""


@ledger.command(help=N_("Check every line of the ledger and its copy in the store."))
@click.option(
    "--anchor",
    "anchors",
    multiple=True,
    metavar="SEQ:SHA256",
    help=N_("An anchor that was kept outside (dockd ledger head); may be given several times."),
)
@json_option
@pass_invocation
def verify(invocation: Invocation, anchors: tuple[str, ...], as_json: bool) -> None:
    from dockd.register.ledger import verify_ledger

    kept = [_parse_anchor(anchor) for anchor in anchors]
    station = invocation.station()
    report = verify_ledger(station.register, station.store, station.station_no, anchors=kept)
    _print_report(report, station.station_no, as_json=as_json)
    if report.problems:
        first = report.problems[0]
        raise LedgerBroken(seq=first.seq, reason=_describe(first))


@ledger.command(help=N_("Show the ledger's last line: its number and digest, to be kept on paper or elsewhere."))
@json_option
@pass_invocation
def head(invocation: Invocation, as_json: bool) -> None:
    from dockd.cli.output import print_json
    from dockd.register import ledger as lines

    station = invocation.station()
    with station.register.read() as session:
        end = lines.head(session, station.station_no)
    at = invocation.local(end.at) if end.at else None
    if as_json:
        print_json({"station_no": station.station_no, "seq": end.seq, "sha256": end.sha256, "at": at})
    else:
        print(station.station_no, f"{end.seq}:{end.sha256}", at.isoformat() if at else "")


def _parse_anchor(text: str) -> Head:
    from dockd.register.ledger import Head

    found = _ANCHOR.match(text.strip())
    if not found:
        raise BadValue(what="--anchor", value=text, expected=_("SEQ:SHA256 as dockd ledger head prints it"))
    return Head(int(found[1]), found[2].lower())


def _describe(problem: LedgerProblem) -> str:
    return _(FINDINGS[problem.kind_code])


def _print_report(report: LedgerReport, station_no: str, *, as_json: bool) -> None:
    from dockd.cli.output import print_summary

    problems = [
        {
            "where": problem.where,
            "seq": problem.seq,
            "until": problem.until or problem.seq,
            "kind": problem.kind_code,
            "detail": problem.detail,
        }
        for problem in report.problems
    ]
    summary = {
        "station_no": station_no,
        "ok": not problems,
        "lines": report.lines,
        "mirrored": report.mirrored,
        "head": {"seq": report.head.seq, "sha256": report.head.sha256, "at": report.head.at},
        "problems": problems,
        "problems_unlisted": report.unlisted,
    }
    shown = [
        (_("lines"), report.lines),
        (_("of which in the store"), report.mirrored),
        (_("head"), f"{report.head.seq}:{report.head.sha256}"),
        (_("problems"), len(problems) + report.unlisted),
    ]
    print_summary(summary, shown, as_json=as_json)
    if problems and not as_json:
        _print_problems(report)


def _print_problems(report: LedgerReport) -> None:
    from dockd.cli.output import print_listing

    rows = [
        {
            "where": _(PLACES[problem.where]),
            "line": f"{problem.seq}–{problem.until}" if (problem.until or 0) > problem.seq else str(problem.seq),
            "what": _describe(problem),
            "detail": problem.detail,
        }
        for problem in report.problems
    ]
    columns = (("where", _("where")), ("line", _("line")), ("what", _("what")), ("detail", _("detail")))
    print_listing(rows, columns, as_json=False)
