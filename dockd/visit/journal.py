"""What a visit says in the journal: numbers only, for a log is read by more people than the register."""

from __future__ import annotations

import structlog

from dockd.alert.delivery import deliver_due
from dockd.register.station import Station
from dockd.register.tables import VisitRow
from dockd.visit.evidence import Visited

_log = structlog.get_logger("dockd.visit")


def journal_visit(station: Station, visit_id: int) -> None:
    """One line for the visit's end, and whatever the journal has not been told of yet."""
    with station.register.read() as session:
        visit = session.get_one(VisitRow, visit_id)
        visited = Visited.of(session, visit)
    _log.info(
        "visit_ended",
        visit_id=visit_id,
        station_no=visit.station_no,
        device_no=visited.recorder.device_no if visited.recorder else None,
        identified_by=visit.identified_by,
        outcome=visit.outcome,
        bytes_read=visit.bytes_read,
        bytes_stored=visit.bytes_stored,
    )
    deliver_due(station, only=("journal",))
