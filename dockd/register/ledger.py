"""台账, the ledger: one append-only hash chain per station, committed with what it tells of.

A line is appended in the caller's transaction, so that the register and its history cannot disagree.
``chain`` says what a line looks like, ``mirror`` keeps the copy in the store, ``proof`` checks both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, text, update
from sqlalchemy.orm import Session

from dockd.register.chain import START, Head, Line, Linked, link
from dockd.register.mirror import mirror_ledger
from dockd.register.proof import Finding, LedgerProblem, LedgerReport, Where, verify_ledger
from dockd.register.tables import EventRow, LedgerHeadRow


def append(
    session: Session, *, station_no: str, kind: str, subject: str, data: Mapping[str, Any], at: datetime, actor: str
) -> None:
    """Adds one line to the station's chain in the caller's transaction.

    ``kind`` is ``<noun>.<verb>``, ``subject`` ``<noun>:<natural key>``; ``data`` holds all values that are
    needed to make the row again. Raises ValueError for a time without a zone, TypeError for data that is no value.
    """
    append_many(session, station_no=station_no, actor=actor, lines=[Line(kind, subject, data, at)])


def append_many(session: Session, *, station_no: str, actor: str, lines: Iterable[Line]) -> None:
    """Adds lines in their order, as ``append`` does, with one lock and one insert for all of them."""
    told = list(lines)
    if not told:
        return
    end = _lock_head(session, station_no)
    linked: list[Linked] = []
    for line in told:
        linked.append(link(line, station_no=station_no, actor=actor, after=end))
        end = Head(linked[-1].seq, linked[-1].sha256)
    session.execute(insert(EventRow), [_row(station_no, line) for line in linked])
    session.execute(
        update(LedgerHeadRow)
        .where(LedgerHeadRow.station_no == station_no)
        .values(seq=end.seq, sha256=end.sha256)
        .execution_options(synchronize_session=False)
    )


def head(session: Session, station_no: str) -> Head:
    """The end of the station's chain with the time of its last line: the anchor for keeping outside."""
    row = session.execute(
        select(LedgerHeadRow.seq, LedgerHeadRow.sha256, EventRow.at)
        .outerjoin(EventRow, (EventRow.station_no == LedgerHeadRow.station_no) & (EventRow.seq == LedgerHeadRow.seq))
        .where(LedgerHeadRow.station_no == station_no)
    ).one_or_none()
    return Head(*row) if row else Head()


def _row(station_no: str, line: Linked) -> dict[str, Any]:
    return {
        "station_no": station_no,
        "seq": line.seq,
        "at": line.at,
        "kind": line.kind,
        "subject": line.subject,
        "line": line.text,
        "sha256": line.sha256,
    }


def _lock_head(session: Session, station_no: str) -> Head:
    """The chain's end, locked until the transaction ends: writers of one chain come one after another.

    SQLite's writing transaction has that lock already. The first line of two writers at once is no
    race: the second insert waits for the first and then does nothing.
    """
    query = select(LedgerHeadRow.seq, LedgerHeadRow.sha256).where(LedgerHeadRow.station_no == station_no)
    row = session.execute(query.with_for_update()).one_or_none()
    if row is None:
        session.execute(
            text("INSERT INTO ledger_head (station_no, seq, sha256) VALUES (:no, 0, :start) ON CONFLICT DO NOTHING"),
            {"no": station_no, "start": START},
        )
        row = session.execute(query.with_for_update()).one()
    return Head(row.seq, row.sha256)


__all__ = [
    "START",
    "Finding",
    "Head",
    "LedgerProblem",
    "LedgerReport",
    "Line",
    "Where",
    "append",
    "append_many",
    "head",
    "mirror_ledger",
    "verify_ledger",
]
