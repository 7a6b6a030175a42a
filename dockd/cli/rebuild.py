"""``dockd rebuild``: a lost or damaged register made again from what lies in the store."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation
from dockd.errors import Exit, ServiceAtWork
from dockd.locale import N_, _

if TYPE_CHECKING:
    from dockd.visit.rebuild import Rebuilt

_SHOWN = 50  # files named in the table; --json names all

NOT_BACK = {
    "journal": N_("proven marks of half copies: such a file is copied again from its first byte"),
    "outbox": N_("messages that were not delivered yet: the alerts themselves are back"),
    "location.verified_at": N_("when a stored file was last verified: the time of storing stands there again"),
}
"""What is never in the ledger, by table or column."""


@click.command(
    help=N_(
        "Make a lost or damaged register again from the ledger's copy in the store, the visits' listings and the "
        "sidecars. The damaged register is kept under another name. Ends with 5, and changes nothing, where the "
        "ledger is broken; ends with 5 also when store and new register contradict each other."
    )
)
@json_option
@pass_invocation
def rebuild(invocation: Invocation, as_json: bool) -> None:
    from dockd.visit.rebuild import rebuild_register

    if invocation.caller and invocation.caller.running:
        raise ServiceAtWork  # whose register would be moved away from under it
    settings = invocation.settings()
    with _counter(quiet=as_json or not sys.stderr.isatty()) as on_lines:
        done = rebuild_register(settings, now=invocation.now(), actor=invocation.actor, on_lines=on_lines)
    _report(done, as_json)
    sys.exit(Exit.DONE if done.is_whole else Exit.PROOF_FAILED)


def _report(done: Rebuilt, as_json: bool) -> None:
    from dockd.cli.output import print_json

    if as_json:
        print_json(summary_of(done))
        return
    _print_tables(done)
    _print_differences(done)
    _print_what_to_know(done)


def summary_of(done: Rebuilt) -> dict[str, Any]:
    """The whole result as ``--json`` prints it."""
    from dockd.visit.comparison import Differs

    found = {kind.value: [{"location": one.location, "what": one.what} for one in done.of(kind)] for kind in Differs}
    return {
        "ok": done.is_whole,
        "lines": done.replayed.lines,
        "head": {"seq": done.head.seq, "sha256": done.head.sha256, "at": done.head.at},
        "tables": done.replayed.tables,
        "not_back": list(NOT_BACK),
        "unknown_kinds": dict(done.replayed.unknown_kinds),
        "unfinished_visits": done.replayed.unfinished,
        "found_visits": list(done.found_visits),
        "lines_saved": done.saved,
        "damaged": done.damaged,
        "torn": done.torn,
        **found,
    }


def _print_tables(done: Rebuilt) -> None:
    from dockd.cli.output import print_listing

    rows: list[dict[str, object]] = [{"table": name, "rows": count} for name, count in done.replayed.tables.items()]
    rows += [{"table": name, "rows": "–", "lost": _(why)} for name, why in NOT_BACK.items()]
    columns = (("table", _("table")), ("rows", _("rows back")), ("lost", _("not back")))
    print_listing(rows, columns, as_json=False)


def _print_differences(done: Rebuilt) -> None:
    from dockd.cli.output import print_listing, say

    if not done.differences:
        return
    words = _words()
    rows = [{"kind": words[one.kind.value], "location": one.location, "what": one.what} for one in done.differences]
    columns = (("kind", _("finding")), ("location", _("file in the store")), ("what", _("why")))
    print_listing(rows[:_SHOWN], columns, as_json=False)
    if len(rows) > _SHOWN:
        say(_("… and {count} more: --json names them all").format(count=len(rows) - _SHOWN))


def _words() -> dict[str, str]:
    return {
        "unregistered": _("not in the register"),
        "missing": _("missing"),
        "altered": _("altered"),
        "unreadable": _("unreadable"),
        "says_otherwise": _("says otherwise than the register"),
        "half_copy": _("half copy"),
    }


def _print_what_to_know(done: Rebuilt) -> None:
    from dockd.cli.output import say

    say(_("The register was made again from {lines} lines of the ledger.").format(lines=done.replayed.lines))
    for text in _remarks(done):
        say(text)
    if not done.is_whole:
        say(_("Store and register contradict each other in the files above. Look at them, then run: dockd verify"))


def _remarks(done: Rebuilt) -> Iterator[str]:
    if done.damaged:
        yield _("The damaged register is kept: {path}").format(path=done.damaged)
    if done.saved:
        yield _("{count} lines that were only in the damaged register were saved.").format(count=done.saved)
    if done.torn:
        yield _("The last line of the ledger was torn; what was left of it is kept: {path}").format(path=done.torn)
    if done.replayed.unfinished or done.found_visits:
        numbers = ", ".join(str(number) for number in sorted({*done.replayed.unfinished, *done.found_visits}))
        yield _("Visits {numbers} were cut short: the next offload ends them. Dock their recorders again.").format(
            numbers=numbers
        )
    for kind, count in done.replayed.unknown_kinds.items():
        yield _("{count} lines of the kind {kind} are unknown to this dockd: use the newest one.").format(
            count=count, kind=kind
        )


@contextmanager
def _counter(*, quiet: bool) -> Iterator[Callable[[int], None]]:
    """How many lines are done, on a terminal's stderr; nothing when ``quiet``."""
    if quiet:
        yield lambda count: None
        return
    from rich.console import Console

    with Console(stderr=True).status(_("reading the ledger")) as status:
        yield lambda count: status.update(_("reading the ledger: {count} lines").format(count=count))


__all__ = ["NOT_BACK", "rebuild", "summary_of"]
