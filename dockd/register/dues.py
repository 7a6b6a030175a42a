"""What is due for each recorder: checks, maintenance, the repairer's answer, the return (articles 24 and 26)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from dockd.law.care import due_at
from dockd.law.faults import Act
from dockd.register.tables import CustodyRow, RecorderEventRow, RecorderRow, RecorderState

CHECK, MAINTENANCE, REPAIR, RETURN = "check_due", "maintenance_due", "repair_overdue", "return_overdue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One thing that is due; ``kind`` is also its class of alert. ``since`` is what the time runs from."""

    device_no: str
    kind: str
    due_at: datetime
    since: datetime
    cert_no: str | None = None
    repairer: str | None = None
    custody_id: int | None = None

    @property
    def about(self) -> str:
        """The matter of its alert: each handing-over that is overdue is one of its own."""
        return f"custody:{self.custody_id}" if self.custody_id else f"recorder:{self.device_no}"


@dataclass(frozen=True, slots=True)
class Periods:
    """How often the agency wants it; zero for never."""

    check: timedelta
    maintenance: timedelta
    repair: timedelta


def dues(session: Session, periods: Periods) -> list[Due]:
    """What is due when, for every recorder that is in use or being repaired, the earliest first."""
    rows = session.scalars(select(RecorderRow).where(RecorderRow.state != RecorderState.RETIRED)).all()
    recorders = {row.id: row for row in rows}
    found = [*_checks(session, recorders, periods), *_repairs(session, recorders, periods), *_returns(session)]
    return sorted(found, key=lambda due: (due.due_at, due.device_no, due.kind))


def _checks(session: Session, recorders: Mapping[int, RecorderRow], periods: Periods) -> Iterator[Due]:
    by_hand = RecorderEventRow.visit_id.is_(None)  # a dock reads no battery
    checked = _newest(session, Act.CHECKED, by_hand)
    for recorder_id, at in _newest_battery(session).items():
        checked[recorder_id] = max(at, checked.get(recorder_id, at))
    maintained = _newest(session, Act.MAINTAINED)
    for key, row in recorders.items():
        if row.state == RecorderState.AT_REPAIR:
            continue
        for kind, last, period in (
            (CHECK, checked.get(key, row.created_at), periods.check),
            (MAINTENANCE, maintained.get(key, row.created_at), periods.maintenance),
        ):
            if then := due_at(last, period):
                yield Due(device_no=row.device_no, kind=kind, due_at=then, since=last)


def _repairs(session: Session, recorders: Mapping[int, RecorderRow], periods: Periods) -> Iterator[Due]:
    for key, row in recorders.items():
        if row.state != RecorderState.AT_REPAIR:
            continue
        sent = session.scalar(
            select(RecorderEventRow)
            .where(RecorderEventRow.recorder_id == key, RecorderEventRow.kind == Act.SENT.value)
            .order_by(RecorderEventRow.at.desc())
            .limit(1)
        )
        if sent and (at := due_at(sent.at, periods.repair)):
            yield Due(device_no=row.device_no, kind=REPAIR, due_at=at, since=sent.at, repairer=sent.repairer)


def _returns(session: Session) -> Iterator[Due]:
    rows = session.execute(
        select(CustodyRow, RecorderRow.device_no)
        .join(RecorderRow, RecorderRow.id == CustodyRow.recorder_id)
        .where(CustodyRow.returned_at.is_(None), CustodyRow.due_at.is_not(None))
    )
    for row, device_no in rows:
        if row.due_at:
            yield Due(
                device_no=device_no,
                kind=RETURN,
                due_at=row.due_at,
                since=row.issued_at,
                cert_no=row.cert_no,
                custody_id=row.id,
            )


def _newest(session: Session, act: Act, *only: ColumnElement[bool]) -> dict[int, datetime]:
    rows = session.execute(
        select(RecorderEventRow.recorder_id, func.max(RecorderEventRow.at))
        .where(RecorderEventRow.kind == act.value, *only)
        .group_by(RecorderEventRow.recorder_id)
    )
    return {recorder_id: at for recorder_id, at in rows}  # noqa: C416 (rows are not pairs to mypy)


def _newest_battery(session: Session) -> dict[int, datetime]:
    """When each recorder's battery was last looked at while it was handed out."""
    rows = session.execute(
        select(CustodyRow.recorder_id, func.max(CustodyRow.issued_at))
        .where(CustodyRow.battery_out.is_not(None))
        .group_by(CustodyRow.recorder_id)
    )
    return {recorder_id: at for recorder_id, at in rows}  # noqa: C416
