"""Everything that ever happened to one recorder, on one page, out of the ledger.

The ledger tells of a recorder under several subjects: its own, its visits' and its alerts'.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dockd.register.recorders import get_row
from dockd.register.tables import AlertRow, EventRow, VisitRow
from dockd.register.values import chunks

# What says something of the recorder; the other lines of a visit are about its footage.
_OF_VISITS = ("visit.opened", "visit.found", "visit.ended")


@dataclass(frozen=True, slots=True)
class Happening:
    """One ledger line about the recorder: ``seq`` is its number in the chain of ``station_no``."""

    station_no: str
    seq: int
    at: datetime
    kind: str
    subject: str
    actor: str
    data: Mapping[str, Any]


def biography(session: Session, device_no: str) -> list[Happening]:
    """Every line, in the order in which things were written down. Raises UnknownNumber."""
    recorder = get_row(session, device_no)
    visits = session.scalars(select(VisitRow.id).where(VisitRow.recorder_id == recorder.id))
    alerts = session.scalars(select(AlertRow.id).where(AlertRow.recorder_id == recorder.id))
    subjects = [f"recorder:{recorder.device_no}", *(f"visit:{n}" for n in visits), *(f"alert:{n}" for n in alerts)]
    found: list[EventRow] = []
    for some in chunks(subjects):
        found += session.scalars(select(EventRow).where(EventRow.subject.in_(some))).all()
    lines = [_happening(row) for row in found if not row.subject.startswith("visit:") or row.kind in _OF_VISITS]
    return sorted(lines, key=lambda line: (line.at, line.station_no, line.seq))


def _happening(row: EventRow) -> Happening:
    line = json.loads(row.line)
    return Happening(row.station_no, row.seq, row.at, row.kind, row.subject, line["actor"], line["data"])
