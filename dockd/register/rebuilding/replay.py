"""The whole ledger replayed: each line is kept as it is, and the rows that it told of stand again.

A kind of line that this version does not know is kept too, and counted, so that nobody takes the
register for whole where it is not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import insert
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, StatementError
from sqlalchemy.orm import Session

from dockd.errors import LedgerBroken
from dockd.law.faults import Act
from dockd.locale import _
from dockd.register.rebuilding import registry, sayings, stays
from dockd.register.rebuilding.lines import Tale, TaleLine
from dockd.register.rebuilding.rows import Rows
from dockd.register.rebuilding.stays import ReadListing
from dockd.register.tables import EventRow, LedgerHeadRow, LocationState, StationRow

_BATCH = 1000
Handler = Callable[[Rows, TaleLine], None]

HANDLERS: Mapping[str, Handler] = {
    "station.created": registry.station_created,
    "officer.added": registry.officer_added,
    "officer.changed": registry.officer_changed,
    "recorder.added": registry.recorder_added,
    "recorder.changed": registry.recorder_changed,
    "recorder.identity_trusted": registry.identity_trusted,
    **{f"recorder.{act}": registry.equipment_event for act in Act},
    "custody.issued": registry.custody_issued,
    "custody.returned": registry.custody_returned,
    "clock.read": registry.clock_read,
    "exception.added": registry.exception_added,
    "exception.confirmed": registry.exception_changed,
    "exception.returned": registry.exception_changed,
    "case.added": registry.case_added,
    "case.changed": registry.case_changed,
    "case.closed": registry.case_changed,
    "case.filed": registry.case_changed,
    "case.renumbered": registry.case_renumbered,
    "visit.opened": stays.visit_opened,
    "visit.found": stays.visit_opened,
    "visit.stored": stays.visit_stored,
    "visit.temp_set_aside": stays.temp_set_aside,
    "footage.stored": stays.footage_stored,
    "footage.stored_again": stays.footage_stored_again,
    "footage.stored_here_too": stays.footage_stored,  # the ledger of the station that stored it first is not read
    "footage.missing": stays.footage_state(LocationState.MISSING),
    "footage.altered": stays.footage_state(LocationState.ALTERED),
    "footage.found": stays.footage_state(LocationState.PRESENT),
    "record.added": sayings.record_added,
    "record.revised": sayings.record_revised,
    "review.asked": sayings.review_asked,
    "review.done": sayings.review_done,
    "interruption.found": sayings.interruption_told,
    "interruption.withdrawn": sayings.interruption_told,
    "interruption.decided": sayings.interruption_told,
    "sidecar.written": sayings.sidecar_written,
    "alert.opened": sayings.alert_opened,
    "alert.acknowledged": sayings.alert_acknowledged,
    "alert.escalated": sayings.alert_escalated,
    "alert.repeated": sayings.alert_repeated,
    "alert.closed": sayings.alert_closed,
}
"""What each kind of line does to the rows; ``visit.ended`` needs the visits' listings and is made for a replay."""

WITHOUT_ROWS = frozenset(
    {"visit.listed", "visit.recovered", "store.verified", "register.rebuilt"}
    | {"message.sent", "report.made", "command.refused", "quarantine.removed", "import.taken"}
    | {"footage.unreadable", "unknown.unregistered", "unknown.unreadable"}
    | {"sidecar.missing", "sidecar.altered", "sidecar.unreadable"}
    | {"listing.missing", "listing.altered", "listing.unreadable"}
    | {"manifest.missing", "manifest.altered", "manifest.unreadable"}
    | {"footage.unsealed", "sidecar.unsealed", "listing.unsealed", "manifest.unsealed"}
)
"""Lines that tell of an act and of no row but themselves."""


@dataclass(slots=True)
class Replayed:
    """What a replay did: rows by table, lines of kinds that this version does not know, visits without an end."""

    lines: int = 0
    tables: dict[str, int] = field(default_factory=dict)
    unknown_kinds: Counter[str] = field(default_factory=Counter)
    unfinished: list[int] = field(default_factory=list)


def replay(
    session: Session,
    tale: Tale,
    *,
    station_no: str,
    store_id: str,
    read_listing: ReadListing,
    on_lines: Callable[[int], None] = lambda count: None,
) -> Replayed:
    """The rows of every line of ``tale``, in an empty register and in the caller's transaction.

    ``on_lines`` is told how many lines are done, now and then. Raises LedgerBroken where the chain is
    broken, is another store's, or a line says what no row can hold; then the register is worth nothing.
    """
    done = Replayed()
    rows = Rows(session, station_no)
    handlers = {**HANDLERS, "visit.ended": stays.end_visits_with(read_listing)}
    events: list[dict[str, object]] = []
    newest = None
    for line in tale:
        if line.seq == 1:
            _require_own(line, store_id)
        with _naming(line):
            _take(rows, handlers, line, done)
        events.append(_event(station_no, line))
        newest = max(newest or line.at, line.at)
        if len(events) == _BATCH:
            session.execute(insert(EventRow), events)
            done.lines, events = line.seq, []
            on_lines(line.seq)
    if events:
        session.execute(insert(EventRow), events)
    done.lines = tale.head.seq
    with _naming(line):
        done.unfinished = stays.reopen_unfinished(rows)
    rows.change(StationRow, {"station_no": station_no}, last_seen_at=newest)
    session.add(LedgerHeadRow(station_no=station_no, seq=tale.head.seq, sha256=tale.head.sha256))
    session.flush()
    done.tables = {**{name: count for name, count in sorted(rows.counts.items()) if count}, "event": done.lines}
    return done


def _require_own(line: TaleLine, store_id: str) -> None:
    if line.kind != "station.created" or line.data.get("store_id") != store_id:
        raise LedgerBroken(seq=1, reason=_("{where}: it is not this store's ledger").format(where=line.where))


def _take(rows: Rows, handlers: Mapping[str, Handler], line: TaleLine, done: Replayed) -> None:
    handler = handlers.get(line.kind)
    if handler:
        handler(rows, line)
    elif line.kind not in WITHOUT_ROWS:
        done.unknown_kinds[line.kind] += 1


@contextmanager
def _naming(line: TaleLine) -> Iterator[None]:
    """Names the line that tells what no row can hold. Rows are written in batches: it is this one or one before it."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, StatementError) as error:
        if isinstance(error, DBAPIError) and not isinstance(error, IntegrityError | DataError):
            raise  # the disk's or the database's trouble
        what = str(error.orig) if isinstance(error, StatementError) else f"{type(error).__name__}: {error}"
        reason = _("{where}: {kind} tells what no row can hold ({what})")
        raise LedgerBroken(seq=line.seq, reason=reason.format(where=line.where, kind=line.kind, what=what)) from error


def _event(station_no: str, line: TaleLine) -> dict[str, object]:
    return {
        "station_no": station_no,
        "seq": line.seq,
        "at": line.at,
        "kind": line.kind,
        "subject": line.subject,
        "line": line.text,
        "sha256": line.sha256,
    }
