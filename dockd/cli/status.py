"""``dockd status``: bays, visits, queue, store, alerts; with ``--watch`` drawn again every second."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.errors import ServiceNotRunning
from dockd.locale import _

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

_REDRAW_S = 1.0


@click.command(help=_("Bays, visits with files, bytes, rate and time left, the queue, space and alerts."))
@click.option("--watch", is_flag=True, help=_("draw it again every second, until Ctrl-C"))
@json_option
@pass_invocation
def status(invocation: Invocation, watch: bool, as_json: bool) -> None:
    from dockd.cli.output import print_json

    if as_json:
        print_json(look(invocation))
        return
    from rich.console import Console

    if not watch:
        console = Console()
        if not console.is_terminal:
            console = Console(width=10_000)
        console.print(draw(look(invocation)))
        return
    from rich.live import Live

    with suppress(KeyboardInterrupt), Live(draw(look(invocation)), auto_refresh=False, screen=True) as live:
        while True:
            time.sleep(_REDRAW_S)
            live.update(draw(look(invocation)), refresh=True)


def look(invocation: Invocation) -> dict[str, Any]:
    """One object: what the service says of itself, and what store and register say."""
    from dockd.register import alerts
    from dockd.service import teller

    settings, station = invocation.settings(), invocation.station()
    try:
        said = teller.ask(settings.file, owner=os.stat(settings.store.root).st_uid)
    except ServiceNotRunning:
        said = {"state": "stopped", "words": _("not running"), "pid": None}
    visits = said.pop("visits", {})
    fs = os.statvfs(settings.store.root)
    total, free = fs.f_blocks * fs.f_frsize, fs.f_bavail * fs.f_frsize
    with station.register.read() as session:
        open_alerts = alerts.count_open(session, station.station_no)
    return {
        "station_no": settings.agency.station_no,
        "service": {key: said.pop(key) for key in ("state", "words", "pid")},
        "bays": visits.get("bays", []),
        "queued": visits.get("queued", 0),
        "working": visits.get("working", 0),
        "store": {"bytes_total": total, "bytes_free": free, "bytes_reserve": settings.store.reserve.of(total)},
        "alerts_open": open_alerts,
        "last_export": _last_export(settings.inventory.path, invocation),
        "parts": said,
    }


def _last_export(path: os.PathLike[str], invocation: Invocation) -> str | None:
    try:
        written = os.stat(path).st_mtime
    except OSError:
        return None
    return invocation.local(datetime.fromtimestamp(written, UTC)).isoformat(timespec="seconds")


# --- for a person --------------------------------------------------------------------------------------


def board() -> dict[str, tuple[str, str, str]]:
    """Each state of a bay as icon, colour and words: never a colour alone (domain.md 6.6)."""
    return {
        "empty": ("○", "dim", _("empty")),
        "identifying": ("…", "blue", _("identifying")),
        "locked": ("🔒", "yellow", _("connected, locked: unlock it, or type its password in the maker's program")),
        "unlocking": ("…", "blue", _("unlocking")),
        "unknown": ("?", "yellow", _("unregistered, not read")),
        "queued": ("n", "blue", _("queued")),
        "copying": ("▶", "blue", _("copying, do not remove")),
        "verifying": ("✓…", "blue", _("verifying, do not remove")),
        "away": ("…", "yellow", _("the card is away")),
        "done": ("✓", "green", _("stored and verified, may be removed")),
        "done_late": ("!", "dark_orange", _("stored, but after 24 h")),
        "removed_early": ("✗", "red", _("removed early, incomplete")),
        "failed": ("✗", "red", _("failed: {reason}")),
        "not_answering": ("✗", "red", _("the card does not answer: take the recorder out and dock it again")),
        "out_of_service": ("⛔", "red", _("device out of service")),
        "paused": ("■", "red", _("paused: {reason}")),
    }


def reasons() -> dict[str, str]:
    """Why a bay is not simply being read, by the error's name; an unknown code is shown as it is."""
    store_full, ours, held = _("the store is full"), _("a fault of dockd's own"), _("another program has the card")
    broker = _("the mount broker does not answer")
    return {
        "store_full": store_full,
        "store_filled": store_full,
        "store_missing": _("the store is not there"),
        "store_read_only": _("the store is read-only"),
        "store_failing": _("the store fails"),
        "store_not_private": _("the store cannot be written"),
        "register_locked": _("the register is locked"),
        "register_full": _("the register's disk is full"),
        "register_unreachable": _("the register cannot be reached"),
        "register_read_only": _("the register is read-only"),
        "register_failing": _("the register fails"),
        "card_mounted_elsewhere": held,
        "card_held_elsewhere": held,
        "card_unmountable": _("the file system cannot be opened"),
        "card_stays_writable": _("the reader cannot be set read-only"),
        "file_system_not_read": _("a file system that is not read"),
        "device_not_marked": _("not marked as a recorder"),
        "device_not_pluggable": _("not marked as a recorder"),
        "device_gone": _("the card was removed"),
        "card_gone": _("the card was removed"),
        "broker_silent": broker,
        "broker_failed": broker,
        "caller_not_served": broker,
        "request_not_understood": broker,
        "visit_busy": _("the same card is docked elsewhere"),
        "fault": ours,
        "worker_died": ours,
        "unlock_failed": _("unlocking failed"),
    }


def draw(seen: dict[str, Any]) -> Group:
    """The board."""
    from rich.console import Group
    from rich.text import Text

    return Group(_bays(seen["bays"]), *(Text(line) for line in closing_lines(seen)))


def _bays(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for title in (_("bay"), "", _("state"), _("recorder"), _("files"), _("bytes"), _("rate"), _("time left")):
        table.add_column(Text(title), no_wrap=title != _("state"))
    words = board()
    for row in rows:
        icon, colour, state = words.get(row["state"], ("?", "", row["state"]))
        reason = reasons().get(row["reason"], row["reason"])
        text = state.format(reason=reason or _("not everything is stored"))
        if row["position"]:
            icon, text = str(row["position"]), _("queued (number {n})").format(n=row["position"])
        table.add_row(
            Text(row["bay"]),
            Text(icon, style=colour),
            Text(text, style=colour),
            Text(row["device_no"] or ""),
            Text(f"{row['files_done']}/{row['files']}" if row["files"] else ""),
            Text(f"{sized(row['bytes_done'])}/{sized(row['bytes_total'])}" if row["bytes_total"] else ""),
            Text(f"{sized(row['rate'])}/s" if row["rate"] else ""),
            Text(str(timedelta(seconds=row["seconds_left"])) if row["seconds_left"] is not None else ""),
        )
    return table


def closing_lines(seen: dict[str, Any]) -> list[str]:
    """Everything but the bays."""
    store = seen["store"]
    return [
        "",
        _("Service: {words}").format(words=seen["service"]["words"]),
        _("Store: {free} free of {total}, {reserve} in reserve").format(
            free=sized(store["bytes_free"]), total=sized(store["bytes_total"]), reserve=sized(store["bytes_reserve"])
        ),
        _("Open alerts: {count}").format(count=seen["alerts_open"]),
        _("Last export: {time}").format(time=seen["last_export"] or _("none")),
    ]


def sized(count: float) -> str:
    """``1.5 GiB``"""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"
