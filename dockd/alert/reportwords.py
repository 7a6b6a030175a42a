"""The daily report in words, a line each, in the language in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from dockd.law.vocabulary import ALERT_CLASSES
from dockd.locale import _, language

_GIB = 1 << 30
_LONG = 3650  # days: beyond that nobody wants the number


def report_text(figures: Mapping[str, Any], zone: ZoneInfo) -> tuple[str, list[str]]:
    """The title and the lines of a report."""
    title = _("Daily report {date}").format(date=figures["date"])
    lines = [
        _("{title}, station {station_no}").format(title=title, station_no=figures["station_no"]),
        *_footage_lines(figures, zone),
        *_equipment_lines(figures),
        *_store_lines(figures, zone),
    ]
    return title, lines


def _footage_lines(figures: Mapping[str, Any], zone: ZoneInfo) -> list[str]:
    docked = _(
        "Docked: {recorders} recorders in {visits} visits, {gib} GiB stored; {incomplete} incomplete, {held} held"
    )
    lines = [
        docked.format(
            recorders=figures["recorders_docked"],
            visits=figures["visits"],
            gib=f"{figures['bytes_stored'] / _GIB:.1f}",
            incomplete=figures["visits_incomplete"],
            held=figures["visits_held"],
        ),
        _("Late (article 23): {docked} docked late, {stored} stored late by the station").format(
            docked=figures["late_docked"], stored=figures["late_stored"]
        ),
    ]
    missing = [_missing(one, zone) for one in figures["not_docked"]]
    lines.append(_("Not docked: {list}").format(list=_joined(missing)))
    since = _day(figures["unassigned_since"], zone)
    unassigned = _("Unassigned: {count}, the oldest since {since}") if since else _("Unassigned: {count}")
    lines.append(unassigned.format(count=figures["unassigned"], since=since))
    return lines


def _missing(one: Mapping[str, Any], zone: ZoneInfo) -> str:
    words = _("{recorder} ({cert_no}, out since {since})")
    return words.format(recorder=one["device_no"], cert_no=one["cert_no"], since=_day(one["issued_at"], zone))


def _equipment_lines(figures: Mapping[str, Any]) -> list[str]:
    overdue = [f"{one['device_no']} {ALERT_CLASSES[one['kind']].text(language())}" for one in figures["overdue"]]
    return [
        _("Faults (article 26): {count} new; out of service: {out}; at repair: {repair}").format(
            count=figures["faults"], out=_joined(figures["out_of_service"]), repair=_joined(figures["at_repair"])
        ),
        _("Overdue (article 24): {list}").format(list=_joined(overdue)),
    ]


def _store_lines(figures: Mapping[str, Any], zone: ZoneInfo) -> list[str]:
    space = _("Store: {free} GiB free, enough for {days} days at the present rate")
    if figures["days_left"] is None:
        space = _("Store: {free} GiB free")
    elif figures["days_left"] > _LONG:
        space = _("Store: {free} GiB free, enough for more than ten years at the present rate")
    proof = _("Fixity: {due} proofs due, {wrong} files missing or altered, the oldest proof of {oldest}")
    opened = figures["open"]
    alerts = _("Open alerts: {critical} critical, {warning} warnings, {notice} notices; {acknowledged} acknowledged")
    lines = [
        space.format(free=f"{figures['free'] / _GIB:.1f}", days=figures["days_left"]),
        proof.format(
            due=figures["proofs_due"],
            wrong=figures["files_wrong"],
            oldest=_day(figures["oldest_proof"], zone) or _("never"),
        ),
        alerts.format(
            **{severity: opened.get(severity, 0) for severity in ("critical", "warning", "notice")},
            acknowledged=figures["acknowledged"],
        ),
    ]
    if figures["unsent"]:
        lines.append(_("Not delivered: {count} messages (dockd alert outbox)").format(count=figures["unsent"]))
    return lines


def _joined(items: Sequence[str]) -> str:
    return _(", ").join(items) if items else _("none")


def _day(value: str | None, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(value).astimezone(zone):%Y-%m-%d %H:%M}" if value else ""
