"""What the last visit of a card saw and how it ended: whether a folder that others fill holds anything new."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from dockd.nouns import EntryType
from dockd.register.tables import ObservationRow, VisitRow

Seen = Mapping[bytes, tuple[int, int]]
"""Size and mtime of files by their path."""


@dataclass(frozen=True, slots=True)
class LastVisit:
    """``outcome`` None: it has not ended. ``seen`` are the files of its listing."""

    visit_id: int
    outcome: str | None
    reason: str | None
    seen: Seen


def last_visit(session: Session, card_instance: str) -> LastVisit | None:
    """The newest visit of this card."""
    visit = session.scalars(
        select(VisitRow).where(VisitRow.card_instance == card_instance).order_by(VisitRow.id.desc()).limit(1)
    ).first()
    if visit is None:
        return None
    rows = session.execute(
        select(ObservationRow.path, ObservationRow.size, ObservationRow.mtime_ns).where(
            ObservationRow.visit_id == visit.id, ObservationRow.type == EntryType.FILE.value
        )
    )
    return LastVisit(visit.id, visit.outcome, visit.reason, {path: (size, mtime) for path, size, mtime in rows})
