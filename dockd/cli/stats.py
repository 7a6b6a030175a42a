"""``dockd stats``: the figures of article 30."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.errors import BadValue
from dockd.locale import N_, _

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dockd.law.statistics import Statistics
    from dockd.register.figures import Period

_SHOWN = ("files", "hours", "in_time", "late", "excused", "undecided", "unassigned", "incomplete")


@click.command(help=N_("The figures of article 30: of all, and of each unit, officer, recorder and month."))
@click.option("--month", metavar="YYYY-MM", help=N_("only this month"))
@click.option("--csv", "file", metavar="FILE|-", help=N_("write them as CSV to FILE or to standard output (-)"))
@json_option
@pass_invocation
def stats(invocation: Invocation, month: str | None, file: str | None, as_json: bool) -> None:
    from dockd.register.figures import Period

    if file and as_json:
        raise click.UsageError(_("--csv and --json are two forms of the same: take one"))
    zone = invocation.settings().zone
    period = _month(month, invocation) if month else Period(zone)
    found, names = _count(invocation, period)
    if file:
        _write(invocation, file, found, names)
    elif as_json:
        _print_json(month, period, found, names)
    else:
        _print(found, names)


def _month(text: str, invocation: Invocation) -> Period:
    from dockd.register.figures import month_of

    try:
        return month_of(text, invocation.settings().zone)
    except ValueError:
        raise BadValue(what="--month", value=text, expected=_("a month such as 2026-11")) from None


def _count(invocation: Invocation, period: Period) -> tuple[Statistics, Mapping[str, str]]:
    from dockd.law.statistics import count
    from dockd.register import figures
    from dockd.register.officers import officer_names

    station = invocation.station()
    with station.register.read() as session:
        matters = figures.matters(session, period, station.now(), station.settings.filing.holidays)
        found = count(figures.recordings(session, period), matters)
        return found, officer_names(session, found.officers)


def _write(invocation: Invocation, file: str, found: Statistics, names: Mapping[str, str]) -> None:
    from dockd.cli.files import write_out
    from dockd.export.statistics import render_statistics

    settings = invocation.settings()
    look = settings.inventory
    write_out(invocation, file, render_statistics(found, names, headers=look.headers, bom=look.bom, zone=settings.zone))


def _print_json(month: str | None, period: Period, found: Statistics, names: Mapping[str, str]) -> None:
    from dockd.cli.output import print_json
    from dockd.export.statistics import rows_of

    lists: dict[str, list[dict[str, Any]]] = {"total": [], "unit": [], "officer": [], "recorder": [], "month": []}
    key = {"unit": "unit", "officer": "cert_no", "recorder": "device_no", "month": "month"}
    for row in rows_of(found, names):
        group = row.pop("group")
        named = {key[group]: row.pop("key")} if group in key else {}
        lists[group].append(
            named | {n: v for n, v in row.items() if n != "key" and (n != "name" or group == "officer")}
        )
    print_json(
        {
            "month": month,
            "from": period.begin,
            "to": period.end,
            "total": lists["total"][0],
            "units": lists["unit"],
            "officers": lists["officer"],
            "recorders": lists["recorder"],
            "months": lists["month"],
        }
    )


def _print(found: Statistics, names: Mapping[str, str]) -> None:
    """The whole with every figure, and the groups with those that fit a screen."""
    from dockd.cli.output import print_listing, print_summary
    from dockd.export.statistics import GROUPS, HEADERS, rows_of
    from dockd.locale import language

    chinese = language() == "zh"

    def word(name: str) -> str:
        return HEADERS[name] if chinese else name.replace("_", " ")

    rows = list(rows_of(found, names))
    print_summary(
        {}, [(word(name), rows[0][name]) for name in HEADERS if name not in ("group", "key", "name")], as_json=False
    )
    for group in ("unit", "officer", "recorder", "month"):
        members = [row for row in rows if row["group"] == group]
        if members:
            print()
            first = (("key", GROUPS[group] if chinese else group), ("name", _("name")))
            columns = [*first[: 2 if group == "officer" else 1], *((name, word(name)) for name in _SHOWN)]
            print_listing(members, columns, as_json=False)
