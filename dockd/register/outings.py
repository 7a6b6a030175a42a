"""Which recorders are out and have not been docked: read from custody and visits, never from a planned date."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from dockd.law.outing import Outing
from dockd.register.tables import CustodyRow, RecorderRow, VisitRow

REMEMBERED = timedelta(days=30)
"""A recorder that came back longer ago and was never docked is a matter that somebody has been told of."""


def outings(session: Session, now: datetime) -> list[tuple[Outing, int]]:
    """Every custody that lasts or ended lately, with its recorder's key; the newest of each recorder only.

    An older custody of the same recorder that was never ended says nothing of where it is.
    """
    query = (
        select(CustodyRow, RecorderRow.device_no)
        .join(RecorderRow, RecorderRow.id == CustodyRow.recorder_id)
        .where(or_(CustodyRow.returned_at.is_(None), CustodyRow.returned_at > now - REMEMBERED))
        .order_by(CustodyRow.issued_at.desc(), CustodyRow.id.desc())
    )
    newest: dict[int, tuple[Outing, int]] = {}
    for row, device_no in session.execute(query):
        if row.recorder_id not in newest:
            newest[row.recorder_id] = (_outing(session, row, device_no), row.recorder_id)
    return sorted(newest.values(), key=lambda found: found[0].device_no)


def _outing(session: Session, row: CustodyRow, device_no: str) -> Outing:
    docked = select(func.max(VisitRow.docked_at)).where(
        VisitRow.recorder_id == row.recorder_id, VisitRow.docked_at >= row.issued_at
    )
    return Outing(
        custody_id=row.id,
        device_no=device_no,
        cert_no=row.cert_no,
        issued_at=row.issued_at,
        due_at=row.due_at,
        returned_at=row.returned_at,
        docked_at=session.scalar(docked),
    )
