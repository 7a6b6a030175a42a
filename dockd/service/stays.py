"""What the service knows of each bay: a stay of a recorder in it, and the cards that the recorder shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from dockd.service.devices import Block, Gadget, Sighting
from dockd.visit.request import Claim, Phase, Progress, Turn


class State(StrEnum):
    """A bay in the words of the dock's screen (domain.md 6.6)."""

    EMPTY = "empty"
    IDENTIFYING = "identifying"
    LOCKED = "locked"
    UNLOCKING = "unlocking"
    UNKNOWN = "unknown"
    QUEUED = "queued"
    COPYING = "copying"
    VERIFYING = "verifying"
    AWAY = "away"
    DONE = "done"
    DONE_LATE = "done_late"
    REMOVED_EARLY = "removed_early"
    FAILED = "failed"
    NOT_ANSWERING = "not_answering"
    OUT_OF_SERVICE = "out_of_service"
    PAUSED = "paused"


_BY_PHASE = {
    Phase.RECOVERING: State.IDENTIFYING,
    Phase.LISTING: State.IDENTIFYING,
    Phase.QUEUED: State.QUEUED,
    Phase.COPYING: State.COPYING,
    Phase.PROVING: State.VERIFYING,
    Phase.PAUSED: State.PAUSED,
    Phase.AWAY: State.AWAY,
}

# What a bay with several cards shows is what most needs a person, or still keeps the recorder there.
_WEIGHT = tuple(
    reversed(
        (
            State.NOT_ANSWERING,
            State.FAILED,
            State.OUT_OF_SERVICE,
            State.PAUSED,
            State.AWAY,
            State.COPYING,
            State.VERIFYING,
            State.QUEUED,
            State.IDENTIFYING,
            State.UNKNOWN,
            State.REMOVED_EARLY,
            State.DONE_LATE,
            State.DONE,
        )
    )
)


@dataclass(frozen=True, slots=True)
class Report:
    """What a visit's worker answers at its end. ``late``: how many recordings came after their deadline."""

    visit_id: int
    outcome: str
    safe: bool
    late: int = 0


@dataclass(slots=True)
class Card:
    """One card of a recorder, and the one visit that reads it. ``block`` None: it is away."""

    key: int
    block: Block | None
    kept: Block
    docked_at: datetime
    order: int
    at_work: bool = False
    may_copy: bool = False
    claim: Claim | None = None
    turn: Turn | None = None
    progress: Progress | None = None
    report: Report | None = None
    trouble: str = ""
    tries: int = 0
    retry_at: float | None = None
    gone_at: float | None = None
    told_gone: bool = False

    @property
    def state(self) -> State:
        """What is to be said of this card."""
        if self.at_work:
            return self._at_work()
        if self.report:
            if not self.report.safe:
                return State.REMOVED_EARLY if self.block is None else State.FAILED
            return State.DONE_LATE if self.report.late else State.DONE
        if self.trouble:
            return _BY_TROUBLE.get(self.trouble, State.PAUSED if self.retry_at is not None else State.FAILED)
        return State.IDENTIFYING

    def _at_work(self) -> State:
        if self.progress is None:
            return State.IDENTIFYING
        if known := _BY_PHASE.get(self.progress.phase):
            read = self.progress.bytes_read >= self.progress.bytes_total > 0
            return State.VERIFYING if known is State.COPYING and read else known
        if self.progress.phase is Phase.UNSAFE:
            return State.REMOVED_EARLY if self.block is None else State.FAILED
        return State.DONE_LATE if self.turn and self.turn.overdue else State.DONE

    @property
    def is_copying(self) -> bool:
        """Whether it uses its controller: given its turn, and not through with the card yet."""
        done = self.progress and self.progress.phase in (Phase.SAFE, Phase.UNSAFE, Phase.DESCRIBING, Phase.ENDED)
        return self.at_work and self.may_copy and not done

    @property
    def is_safe(self) -> bool:
        return self.state in (State.DONE, State.DONE_LATE)


_BY_TROUBLE = {
    "not_answering": State.NOT_ANSWERING,
    "recorder_not_registered": State.UNKNOWN,
    "recorder_out_of_service": State.OUT_OF_SERVICE,
    "card_mounted_elsewhere": State.FAILED,
    "card_held_elsewhere": State.FAILED,
}


@dataclass(slots=True)
class Stay:
    """One stay of one recorder at one port, from plug-in to removal."""

    port: str
    since: datetime
    changed_at: float
    here: Sighting = field(default_factory=Sighting)
    cards: list[Card] = field(default_factory=list)
    unlocks: int = 0
    unlocking: bool = False
    locked: bool = False
    unlock_trouble: str = ""
    driver_serial: str | None = None
    empty_at: float | None = None

    @property
    def gadget(self) -> Gadget | None:
        return next(iter(sorted(self.here.gadgets, key=lambda one: one.address)), None)

    @property
    def state(self) -> State:
        """The bay's state: of several cards that which most needs to be said."""
        if self.cards:
            return max((card.state for card in self.cards), key=_WEIGHT.index)
        if self.unlocking:
            return State.UNLOCKING
        if self.locked:
            return State.LOCKED
        if any(block.ownership == "blank" for block in self.here.blocks):
            return State.FAILED
        if any(block.ownership == "empty" for block in self.here.blocks):
            return State.EMPTY
        return State.IDENTIFYING

    @property
    def device_no(self) -> str | None:
        return next((card.claim.device_no for card in self.cards if card.claim and card.claim.device_no), None)
