"""What becomes of records when their case changes: the number it has, and what it says of them (article 27(1))."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from dockd.register.cases import get_case, renumber_case
from dockd.register.records import find_record, revise_record
from dockd.register.station import Station
from dockd.register.tables import RecordRow
from dockd.visit.following import follow


def renumber(session: Session, station: Station, before: str, after: str) -> list[int]:
    """The case has a new number and so have its records, whoever tagged them; returns those records' ids.

    A person chose the case, not its number: the choice and its basis stay. Raises UnknownNumber,
    BadValue, AlreadyRegistered.
    """
    now, actor = station.now(), station.actor
    had = renumber_case(session, before, after, station_no=station.station_no, now=now, actor=actor)
    if had is None:
        return []
    number = get_case(session, after).case_no
    found = list(session.scalars(select(RecordRow.id).where(RecordRow.case_no == had).order_by(RecordRow.id)))
    for record_id in found:
        _renumber_record(session, station, record_id, number)
    return found


def _renumber_record(session: Session, station: Station, record_id: int, case_no: str) -> None:
    record = find_record(session, record_id)
    if record is None:
        return
    changes: dict[str, object] = {"case_no": case_no}
    basis = {"case_no": record.basis.get("case_no", f"case:{case_no}")}
    for name, (value, why) in follow(session, station, record, changes).items():
        changes[name] = value
        basis |= {name: why} if why else {}
    revise_record(
        session, record_id, changes, actor=station.actor, why=f"case:{case_no}", at=station.now(), basis=basis
    )
