"""``dockd offload PATH``: one visit of a card that is reachable as a directory, with a progress bar and a summary."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from dockd.cli.invocation import Invocation, json_option, pass_invocation, utc_now
from dockd.errors import BadValue, Exit, PathMissing, PathUnreadable
from dockd.locale import _
from dockd.nouns import Source

if TYPE_CHECKING:
    from dockd.visit.request import Progress, VisitRequest
    from dockd.visit.worker import Lifeline


@click.command(
    help=_(
        "Copy the card at PATH into the store: everything on it is read, proven by reading it back from the "
        "medium, tagged and accounted for. Nothing on the card is changed."
    )
)
@click.argument("path", type=click.Path())
@click.option("--device-no", metavar="N", help=_("the recorder's number in the register, when a person knows it"))
@click.option("--docked-at", metavar="T", help=_("when the footage was handed in by hand (source: manual)"))
@json_option
@pass_invocation
def offload(invocation: Invocation, path: str, device_no: str | None, docked_at: str | None, as_json: bool) -> None:
    from dockd.cli.screen import Screen
    from dockd.visit.worker import run_in_worker

    settings = invocation.settings()
    request = _request(invocation, path, device_no, docked_at)

    with Screen(quiet=as_json or not sys.stderr.isatty()) as screen:
        patience_s = settings.card.patience.total_seconds()
        summary = run_in_worker(_work(invocation, request), on_progress=screen.show, patience_s=patience_s)
    _report(summary, as_json, str(settings.store.root))
    sys.exit(exit_code(summary))


def _request(invocation: Invocation, path: str, device_no: str | None, docked_at: str | None) -> VisitRequest:
    from dockd.visit.request import VisitRequest

    when = invocation.parse_time(docked_at) if docked_at else None
    if when and when > invocation.now():
        raise BadValue(what="--docked-at", value=docked_at, expected=_("a time that is not in the future"))
    return VisitRequest(
        path=_reached(invocation, path),
        called=invocation.absolute(path),
        source=Source.MANUAL if when else Source.DOCK,
        device_no=device_no,
        docked_at=when,
        person=invocation.actor,
    )


def _reached(invocation: Invocation, path: str) -> str:
    """How this process reaches the caller's folder: a caller elsewhere has it opened by his client.

    So a card that a desktop mounted for its user alone can be read: the way to it is the caller's, and the
    files on it must be readable by the service's user. Raises what is wrong with the path.
    """
    if invocation.caller is None:
        return invocation.absolute(path)
    try:
        return f"/proc/self/fd/{invocation.caller.open(path)}"
    except FileNotFoundError:
        raise PathMissing(path=path) from None
    except OSError as error:
        raise PathUnreadable(path=path, reason=error.strerror) from error


def _work(invocation: Invocation, request: VisitRequest) -> Callable[[Callable[[Progress], None], Lifeline], Any]:
    """What the worker does: the whole visit; its answer is the visit's summary."""

    def work(send: Callable[[Progress], None], lifeline: Lifeline) -> Any:
        from dockd import log
        from dockd.register.visits import show_visit
        from dockd.visit.clock import this_boot
        from dockd.visit.meter import Meter
        from dockd.visit.numbers import Guards
        from dockd.visit.patience import Patience
        from dockd.visit.story import attend

        # On a terminal the summary says it better; a service or a script gets the journal's lines.
        if invocation.caller is None:
            log.configure("critical" if sys.stderr.isatty() else invocation.settings().log.level)
        station = invocation.station()
        meter = Meter(send)
        meter.start()
        try:
            patience = Patience(station.settings.card.patience.total_seconds())
            boot = this_boot if invocation.now is utc_now else lambda: None  # a clock that was given is no machine's
            guards = Guards(before_write=lifeline.check, patience=patience, boot=boot)
            visit_id = attend(station, request, meter=meter, guards=guards)
            with station.register.read() as session:
                return show_visit(session, visit_id, zone=station.zone)
        finally:
            meter.stop()
            station.register.close()

    return work


def exit_code(summary: dict[str, Any]) -> Exit:
    """The code of a visit that ended: 5 before 3 before 0."""
    if any(file["reason"] == "copy_differs" for file in summary["files"]):
        return Exit.PROOF_FAILED
    return Exit.DONE if summary["outcome"] == "complete" else Exit.PARTIAL


def _report(summary: dict[str, Any], as_json: bool, store: str) -> None:
    from dockd.cli.output import print_json

    if as_json:
        print_json(summary)
        return
    from dockd.cli.visit import print_visit

    print_visit(summary, store)
