"""What speaks for one recording: its file, its card and its visit. The same whenever it is asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from dockd.law.deadline import StationClock
from dockd.nouns import ClockRule, MediaFacts, MediaType, ParsedName, Recorder
from dockd.register import officers, recorders
from dockd.register.tables import VisitRow


@dataclass(frozen=True, slots=True)
class Visited:
    """What a visit's row says, as far as its footage is described by it."""

    visit_id: int
    station_no: str
    docked_at: datetime
    recorder_id: int | None
    recorder: Recorder | None
    mtime_is_wall: bool
    binding_officer: str | None
    binding_tokens: tuple[str, ...] = ()
    station_clock: StationClock | None = None

    @classmethod
    def of(cls, session: Session, row: VisitRow) -> Visited:
        device_no = recorders.device_no_of(session, row.recorder_id) if row.recorder_id else None
        evidence = row.evidence or {}
        tokens = sorted({t for t in evidence.get("binding_officers", []) if t})
        clock = evidence.get("station_clock")
        return cls(
            visit_id=row.id,
            station_no=row.station_no,
            docked_at=row.docked_at,
            recorder_id=row.recorder_id,
            recorder=recorders.find_recorder(session, device_no) if device_no else None,
            mtime_is_wall=bool((row.card or {}).get("mtime_is_wall")),
            binding_officer=officers.officer_by_token(session, tokens[0]) if len(tokens) == 1 else None,
            binding_tokens=tuple(tokens),
            station_clock=StationClock(clock) if clock else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one stored file, its card and its visit say: the same whenever it is asked. ``number`` is for titles."""

    visited: Visited
    media: MediaType
    original_name: str
    number: str
    parsed: ParsedName | None
    facts: MediaFacts
    clock: ClockRule
    mtime_ns: int
    docked_at: datetime
    stored_at: datetime

    @property
    def tokens(self) -> tuple[str, ...]:
        """The numbers by which name and card mean somebody or a recorder, whoever has them now."""
        readings = self.parsed.readings if self.parsed else ()
        said = {token for reading in readings for token in (reading.device, reading.officer) if token}
        return tuple(sorted({*said, *self.visited.binding_tokens}))
