"""What is done with what is plugged in: pure decisions, no device, process or clock is touched here.

The dock is told what is seen (``see``), what visits say and how they end, and that time has passed
(``decide``); it answers with acts for somebody else to carry out. Every rule of a bay's life is
here: settling, return within seconds, unlocking, whose turn it is, trying again.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from dockd.service.devices import Block, Gadget, Ownership, Sighting
from dockd.service.stays import Card, Report, State, Stay
from dockd.visit.request import Claim, Phase, Progress, Turn

_RETRIES = (2.0, 5.0, 15.0, 30.0, 60.0)
_OURS_TRIES = 3  # a worker that fails by a fault of ours is not tried for ever
_UNSURE_S = 2.0  # what shows no file system may still change by itself
_LOCKED_S = 5.0  # a disk may come so long after its USB device
_UNLOCKS = 2
_FAR = datetime.max.replace(tzinfo=UTC)

WAITABLE = frozenset({"broker_silent", "card_mounted_elsewhere", "card_held_elsewhere"})
"""Troubles of a card that may end by themselves while it is docked."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says of docking. ``bays``: by port, name and whether it goes first."""

    settle_s: float
    return_s: float
    visits: int
    per_controller: int
    bays: Mapping[str, tuple[str, bool]]
    can_unlock: Callable[[Gadget], bool] = lambda _gadget: False


# --- acts ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """A worker reads this card."""

    key: int
    block: Block
    port: str
    bay: str
    docked_at: datetime
    driver_serial: str | None = None


@dataclass(frozen=True, slots=True)
class Go:
    """The visit may copy now."""

    key: int


@dataclass(frozen=True, slots=True)
class Back:
    """The visit's card is there again, as this device."""

    key: int
    block: Block


@dataclass(frozen=True, slots=True)
class Gone:
    """The visit's card does not come back."""

    key: int


@dataclass(frozen=True, slots=True)
class Unlock:
    """A recorder that shows no disk is asked to."""

    port: str
    gadget: Gadget


Act = Begin | Go | Back | Gone | Unlock


@dataclass(frozen=True, slots=True)
class Removed:
    """What is still to be said of a bay whose recorder was taken away."""

    state: State
    device_no: str | None
    at: datetime


class Dock:
    """``see`` and ``decide`` take the time twice: ``now`` counts seconds, ``wall`` is what people call it."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.stays: dict[str, Stay] = {}
        self.removed: dict[str, Removed] = {}
        self._homes: dict[str, str] = {}
        self._keys = itertools.count(1)

    # --- what is told ---------------------------------------------------------------------------------

    def see(self, sighting: Sighting, *, now: float, wall: datetime) -> None:
        """All that is plugged in now. What is missing is away at once, what is new has to settle."""
        sighting = self._by_bays(sighting)
        for port in sorted(sighting.ports - self.stays.keys()):
            self.stays[port] = Stay(port, wall, now)
            self.removed.pop(self.bay(port), None)
        for stay in self.stays.values():
            here = sighting.at(stay.port)
            if here == stay.here:
                continue
            stay.here, stay.changed_at, stay.locked = here, now, False
            stay.empty_at = None if here.ports else now
            media = {(block.number, block.diskseq) for block in here.blocks}
            for card in stay.cards:
                if card.block and (card.block.number, card.block.diskseq) not in media:
                    card.block, card.gone_at = None, now

    def claimed(self, key: int, claim: Claim) -> str | None:
        """Remembers whose recorder a visit found; the bay of another that claims the same identity, if any."""
        stay, card = self._find(key)
        card.claim = claim
        twins = [
            other
            for other in self.stays.values()
            if other is not stay and any(_same(one, claim) for one in other.cards if one is not card)
        ]
        if not twins:
            return None
        card.claim = Claim(None, claim.rung, claim.instance, claim.files)
        return self.bay(twins[0].port)

    def copy_of(self, key: int) -> tuple[str, str | None] | None:
        """Bay and recorder where a card that looks the same in every way is being read; None if there is none."""
        stay, card = self._find(key)
        for other, one in self._cards():
            if other is not stay and one.at_work and card.kept.fs_uuid and one.kept.card == card.kept.card:
                return self.bay(other.port), one.claim.device_no if one.claim else None
        return None

    def asked(self, key: int, turn: Turn) -> None:
        """A visit has listed its card and waits for its turn."""
        self._find(key)[1].turn = turn

    def progressed(self, key: int, progress: Progress) -> Phase | None:
        """Remembers how far a visit is; the phase that it was in."""
        card = self._find(key)[1]
        before, card.progress = card.progress, progress
        return before.phase if before else None

    def reported(self, key: int, report: Report) -> None:
        """The visit has ended."""
        card = self._rest(key)
        card.report, card.trouble, card.retry_at = report, "", None

    def failed(self, key: int, trouble: str, *, waits: bool, ours: bool, now: float) -> None:
        """The visit ended by ``trouble`` (an error's name). ``waits``: the store's; ``ours``: a fault of our own."""
        card = self._rest(key)
        card.trouble, card.tries = trouble, card.tries + 1
        again = waits or trouble in WAITABLE or (ours and card.tries < _OURS_TRIES)
        card.retry_at = now + _RETRIES[min(card.tries, len(_RETRIES)) - 1] if again else None

    def registered(self, key: int, *, now: float) -> None:
        """A recorder that nobody knew may be known now: its card is read at once."""
        for _stay, card in self._cards():
            if card.key == key and not card.at_work:
                card.retry_at = now

    def unlocked(self, port: str, trouble: str, *, now: float, serial: str | None = None) -> None:
        """The command has ended; what it did shows itself as a new device, or ``trouble`` says why not."""
        if stay := self.stays.get(port):
            stay.unlocking, stay.unlock_trouble, stay.changed_at = False, trouble, now
            stay.driver_serial = serial or stay.driver_serial

    # --- what is to be done ---------------------------------------------------------------------------

    def decide(self, *, now: float, wall: datetime) -> list[Act]:
        """The acts that are due; each is given once."""
        acts: list[Act] = []
        for stay in list(self.stays.values()):
            acts += self._settle(stay, now)
            acts += self._part(stay, now)
            self._clear(stay, now, wall)
        return [*acts, *self._start(now), *self._grant()]

    def next_at(self, now: float) -> float | None:
        """When ``decide`` should be asked again, should nothing happen before."""
        times = [time for stay in self.stays.values() for time in self._times(stay)]
        return min((time for time in times if time > now), default=None)

    def _times(self, stay: Stay) -> Iterator[float]:
        yield stay.changed_at + self.rules.settle_s
        yield self._settled_at(stay)
        yield stay.changed_at + _LOCKED_S
        if stay.empty_at is not None:
            yield stay.empty_at + self.rules.return_s
        for card in stay.cards:
            if card.retry_at is not None:
                yield card.retry_at
            if card.gone_at is not None:
                yield card.gone_at + self.rules.return_s

    def _settle(self, stay: Stay, now: float) -> Iterator[Act]:
        if now < stay.changed_at + self.rules.settle_s:
            return
        known = {(card.block.number, card.block.diskseq) for card in stay.cards if card.block}
        for block in sorted(stay.here.blocks, key=lambda one: one.name):
            if block.ownership is Ownership.CARD and (block.number, block.diskseq) not in known:
                yield from self._take(stay, block)
        if stay.gadget and not stay.here.blocks and self.has_settled(stay, now):
            yield from self._knock(stay, stay.gadget, now)

    def _take(self, stay: Stay, block: Block) -> Iterator[Act]:
        """A card that has settled: one that was away is back, any other is a new one."""
        for card in stay.cards:
            if card.block is None and card.kept.card == block.card and not card.told_gone:
                finished = not card.at_work and not (card.report and card.report.safe)
                if finished and card.retry_at is None:
                    stay.cards.remove(card)  # what it left is for a visit of its own
                    break
                card.block, card.kept, card.gone_at = block, block, None
                if card.at_work:
                    yield Back(card.key, block)
                return
        key = next(self._keys)
        stay.cards.append(Card(key, block, block, stay.since, key))

    def _knock(self, stay: Stay, gadget: Gadget, now: float) -> Iterator[Act]:
        if stay.unlocking:
            return
        if stay.unlocks < _UNLOCKS and self.can_unlock(gadget):
            stay.unlocks, stay.unlocking, stay.locked = stay.unlocks + 1, True, False
            yield Unlock(stay.port, gadget)
        elif now >= stay.changed_at + _LOCKED_S:
            stay.locked = True

    def can_unlock(self, gadget: Gadget) -> bool:
        """Whether the configuration names a command for this very device, and it is in a bay."""
        return gadget.port in self.rules.bays and self.rules.can_unlock(gadget)

    def _part(self, stay: Stay, now: float) -> Iterator[Act]:
        """Cards that were away for too long do not belong to this visit any more."""
        for card in list(stay.cards):
            if card.gone_at is None or card.told_gone or now < card.gone_at + self.rules.return_s:
                continue
            card.told_gone = True
            if card.at_work:
                yield Gone(card.key)
            elif stay.here.ports:
                stay.cards.remove(card)  # the reader stays, its card was taken out

    def _clear(self, stay: Stay, now: float, wall: datetime) -> None:
        """An empty port: what is left to say of it stays on the screen, and its visits end by themselves."""
        if stay.empty_at is None or now < stay.empty_at + self.rules.return_s:
            return
        if any(card.at_work for card in stay.cards):
            return
        del self.stays[stay.port]
        if stay.cards and not all(card.is_safe for card in stay.cards):
            self.removed[self.bay(stay.port)] = Removed(State.REMOVED_EARLY, stay.device_no, wall)

    def _start(self, now: float) -> Iterator[Act]:
        """Cards get a worker as they come, priority bays first; more than can be copied soon are not even listed."""
        at_work = sum(card.at_work for _stay, card in self._cards())
        waiting = [
            (not self._goes_first(stay), card.order, stay, card)
            for stay, card in self._cards()
            if not card.at_work and card.block and (_is_new(card) or _is_due(card, now))
        ]
        for _first, _order, stay, card in sorted(waiting, key=lambda one: one[:2])[
            : max(0, 3 * self.rules.visits - at_work)
        ]:
            assert card.block is not None
            card.at_work, card.may_copy, card.retry_at = True, False, None
            card.progress = card.turn = card.claim = None
            yield Begin(card.key, card.block, stay.port, self.bay(stay.port), card.docked_at, stay.driver_serial)

    def _grant(self) -> Iterator[Act]:
        """Turns: the nearest deadline first, priority bays above, as many at once as station and controller bear."""
        busy = Counter(card.kept.controller for _stay, card in self._cards() if card.is_copying)
        for card in self.queue():
            if card.block is None:
                card.may_copy = True  # it is away: there is nothing to wait for
                yield Go(card.key)
                continue
            if sum(busy.values()) >= self.rules.visits:
                return
            if busy[card.kept.controller] >= self.rules.per_controller:
                continue
            busy[card.kept.controller] += 1
            card.may_copy = True
            yield Go(card.key)

    def queue(self) -> list[Card]:
        """The cards that wait for their turn, next first."""
        waiting = [(stay, card) for stay, card in self._cards() if card.at_work and card.turn and not card.may_copy]
        return [card for _stay, card in sorted(waiting, key=lambda one: self._urgency(*one))]

    def _urgency(self, stay: Stay, card: Card) -> tuple[bool, datetime, int]:
        deadline = card.turn.deadline if card.turn else None
        return (not self._goes_first(stay), deadline or _FAR, card.order)

    def _by_bays(self, sighting: Sighting) -> Sighting:
        """Everything of one bay under one port: its USB 2 and USB 3 sides, and what hangs on a recorder's own hub.

        A stay keeps its port when the configuration's bays change meanwhile.
        """
        for port in sighting.ports:
            if self._homes.get(port) not in self.stays:
                self._homes[port] = self._socket(port)
        return Sighting(
            frozenset(replace(block, port=self._homes[block.port]) for block in sighting.blocks),
            frozenset(replace(gadget, port=self._homes[gadget.port]) for gadget in sighting.gadgets),
        )

    def _socket(self, port: str) -> str:
        bays, above = self.rules.bays, port
        while above not in bays and "." in above:
            above = above.rpartition(".")[0]
        if above not in bays:
            return port
        return next(one for one, (name, _first) in bays.items() if name == bays[above][0])

    # --- small words ----------------------------------------------------------------------------------

    def bay(self, port: str) -> str:
        """The bay's name; the port itself where no bay has it."""
        return self.rules.bays.get(port, (port, False))[0]

    def bay_of(self, key: int) -> str:
        return self.bay(self.port_of(key))

    def port_of(self, key: int) -> str:
        return self._find(key)[0].port

    def phase_of(self, key: int) -> Phase | None:
        progress = self._find(key)[1].progress
        return progress.phase if progress else None

    def numbers_of(self, key: int) -> tuple[int | None, str | None]:
        """The visit and its recorder, as far as they are known."""
        card = self._find(key)[1]
        return (card.turn.visit_id if card.turn else None), (card.claim.device_no if card.claim else None)

    def has_settled(self, stay: Stay, now: float) -> bool:
        """Whether what shows no card will not show one by itself."""
        return now >= self._settled_at(stay)

    def _settled_at(self, stay: Stay) -> float:
        return stay.changed_at + max(self.rules.settle_s, _UNSURE_S)

    def _goes_first(self, stay: Stay) -> bool:
        return self.rules.bays.get(stay.port, ("", False))[1]

    def _cards(self) -> Iterator[tuple[Stay, Card]]:
        return ((stay, card) for stay in self.stays.values() for card in stay.cards)

    def _find(self, key: int) -> tuple[Stay, Card]:
        return next((stay, card) for stay, card in self._cards() if card.key == key)

    def _rest(self, key: int) -> Card:
        _stay, card = self._find(key)
        card.at_work = card.may_copy = False
        return card


def _is_new(card: Card) -> bool:
    return card.report is None and not card.trouble


def _is_due(card: Card, now: float) -> bool:
    return card.retry_at is not None and now >= card.retry_at


def _same(card: Card, claim: Claim) -> bool:
    """Whether a card that is docked (or was a moment ago) claims the same recorder, or is the same card."""
    said = card.claim
    if said is None or card.told_gone:
        return False
    return said.instance == claim.instance or bool(said.device_no and said.device_no == claim.device_no)
