"""The register's side of one visit's copying: every call is one short transaction, none spans file I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from dockd.register import alerts, transfers
from dockd.register.station import Station
from dockd.register.tables import VisitRow
from dockd.register.transfers import KnownFootage, Placed, Proven


@dataclass(frozen=True, slots=True)
class Books:
    """What the copy of one visit writes down, and when (the caller keeps the protocol's order)."""

    station: Station
    visit_id: int
    recorder_id: int | None
    card_instance: str
    device_no: str | None

    def mark(self, observation_id: int, offset: int, prefix_sha256: str) -> None:
        with self.station.register.write() as session:
            transfers.note_mark(session, observation_id, offset, prefix_sha256)

    def resumed(self, observation_id: int, offset: int) -> None:
        with self.station.register.write() as session:
            transfers.cut_journal(session, observation_id, offset)

    def verified(self, proven: Sequence[Proven]) -> None:
        with self.station.register.write() as session:
            transfers.mark_verified(session, proven)

    def stored(self, placed: Sequence[Placed]) -> None:
        with self.station.register.write() as session:
            transfers.mark_stored(
                session, placed, visit=self._visit(session), device_no=self.device_no, actor=self.station.actor
            )

    def stored_again(self, placed: Placed, known: KnownFootage) -> None:
        with self.station.register.write() as session:
            transfers.add_location(
                session,
                placed,
                known,
                visit=self._visit(session),
                device_no=self.device_no,
                actor=self.station.actor,
            )

    def already(self, proven: Proven, known: KnownFootage, reason: str) -> None:
        with self.station.register.write() as session:
            transfers.mark_already_stored(session, proven, known, reason=reason)

    def failed(self, observation_id: int, reason: str, *, keep_temp: bool = False) -> None:
        with self.station.register.write() as session:
            transfers.mark_failed(session, observation_id, reason=reason, keep_temp=keep_temp)

    def again(self, observation_id: int, temp: str, *, aside: str, finding: str) -> None:
        """The copy at ``aside`` is not what was written: somebody must look at the disk, however the next one ends."""
        with self.station.register.write() as session:
            transfers.begin_again(session, observation_id, temp=temp)
            alerts.open_alert(
                session,
                station_no=self.station.station_no,
                kind="store_altered",
                about=f"transfer:{observation_id}",
                facts={"location": aside, "finding": finding},
                at=self.station.now(),
                visit_id=self.visit_id,
                device_no=self.device_no,
            )

    def equals(self, proven: Sequence[Proven]) -> dict[str, list[KnownFootage]]:
        """This recorder's stored footage with the same digest and size, by digest."""
        with self.station.register.read() as session:
            return transfers.known_by_digest(
                session,
                station_no=self.station.station_no,
                recorder_id=self.recorder_id,
                card_instance=self.card_instance,
                wanted=[(p.sha256, p.size) for p in proven],
            )

    def _visit(self, session: Session) -> VisitRow:
        visit = session.get(VisitRow, self.visit_id)
        if visit is None:
            raise LookupError(f"visit {self.visit_id} is not in the register")
        return visit
