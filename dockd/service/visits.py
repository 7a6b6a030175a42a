"""The part that carries out what the dock decides: workers for cards, orders to them, alerts about bays."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import structlog

from dockd.errors import (
    CardGone,
    CardNotOpened,
    DockdError,
    NotAnswering,
    RecorderNotRegistered,
    StoreError,
    VisitBusy,
    WorkerDied,
)
from dockd.locale import _
from dockd.service.attendance import Attendance, Order, Twin, as_frame
from dockd.service.crew import Ended, Hand
from dockd.service.devices import Ownership, Sighting
from dockd.service.dock import Act, Begin, Dock, Rules, Unlock
from dockd.service.errands import Alarm, Recovering, Registered
from dockd.service.loop import Moment
from dockd.service.parts import Part, Surroundings
from dockd.service.sight import Pace, show_dock
from dockd.service.stays import Report
from dockd.service.udev import Source
from dockd.service.unlocking import Unlockable, Unlocking
from dockd.settings import Settings
from dockd.visit.request import Claim, Phase, Progress, Turn
from dockd.visit.worker import WorkerFault

_FROZEN_S = 30.0  # a living worker says something five times a second, whatever its card does
_WATCH_S = 10.0
_TIDY_S = 15.0
_HELD_S = 5.0  # how often it is asked whether an unregistered recorder was registered while it is docked
_READING = (Phase.LISTING, Phase.COPYING, Phase.PROVING)

_log = structlog.get_logger()


@dataclass(slots=True)
class _AtWork:
    hand: Hand
    orders: int
    pace: Pace = field(default_factory=Pace)


class Visits(Part):
    """``source`` tells what is plugged in; nothing is touched before ``begin``."""

    name: ClassVar[str] = "visits"

    def __init__(self, source: Source, settings: Settings, *, broker: str) -> None:
        self._source = source
        self._broker = broker
        self._dock = Dock(rules_of(settings))
        self._around: Surroundings | None = None
        self._at_work: dict[int, _AtWork] = {}
        self._told: set[tuple[str, str]] = set()
        self._held: dict[int, str] = {}  # cards of nobody known, and the register of recorders that knew them not
        self._moment: Moment | None = None
        self._seen = self._begun = self._ending = self._tidying = False

    # --- the part -------------------------------------------------------------------------------------

    def start(self, around: Surroundings) -> None:
        self._around = around
        self._source.start(around.loop, self._see)
        around.loop.after(_WATCH_S, self._watch)

    def begin(self) -> None:
        """Register and store stand: cards may be read."""
        self._begun = True
        self._decide()

    def stop(self) -> None:
        self._ending = True
        if self._around:
            self._source.stop()
        for at_work in self._at_work.values():
            at_work.hand.let_go()

    def ready(self) -> bool:
        return self._seen

    def ended(self) -> bool:
        return not self._at_work

    def alive(self) -> bool:
        return self._source.alive()

    def reload(self, settings: Settings) -> None:
        self._dock.rules = rules_of(settings)
        self._decide()

    def status(self) -> str:
        docked = len(self._dock.stays)
        working = len(self._at_work)
        if not docked:
            return _("nothing docked")
        return _("{docked} docked, {working} being read").format(docked=docked, working=working)

    def show(self) -> Mapping[str, Any]:
        around = self._surroundings
        paces = {key: at_work.pace for key, at_work in self._at_work.items()}
        return show_dock(self._dock, paces, zone=around.settings.zone)

    @property
    def _surroundings(self) -> Surroundings:
        if self._around is None:
            raise RuntimeError("the part was not started")
        return self._around

    # --- what is told ---------------------------------------------------------------------------------

    def _see(self, sighting: Sighting) -> None:
        around = self._surroundings
        self._seen = True
        self._dock.see(sighting, now=around.loop.clock(), wall=around.now())
        self._decide()

    def _hear(self, key: int, word: object) -> None:
        if isinstance(word, Progress):
            self._at_work[key].pace.note(word, self._surroundings.loop.clock())
            was = self._dock.progressed(key, word)
            if was != word.phase:
                self._decide()  # a turn may be free now
        elif isinstance(word, Claim):
            self._order(key, Twin(self._dock.claimed(key, word)))
        elif isinstance(word, Turn):
            self._dock.asked(key, word)
            self._decide()

    def _end(self, key: int, ended: Ended) -> None:
        os.close(self._at_work.pop(key).orders)
        if self._ending:
            return
        if isinstance(ended.value, Report):
            self._dock.reported(key, ended.value)
            _log.info("visit_done", visit_id=ended.value.visit_id, outcome=ended.value.outcome)
        else:
            self._fail(key, ended.error)
        self._decide()

    def _fail(self, key: int, error: DockdError | WorkerFault | None) -> None:
        name = error.name if isinstance(error, DockdError) else "fault"
        ours = isinstance(error, WorkerFault | WorkerDied | CardGone) or error is None
        waits = isinstance(error, StoreError) and not isinstance(error, WorkerDied)
        frames = list(error.trace_lines) if isinstance(error, WorkerFault) else None
        _log.warning("visit_failed", bay=self._dock.bay_of(key), error=name, frames=frames)
        twin = self._dock.copy_of(key) if isinstance(error, VisitBusy) else None
        if twin:
            self._alarm("twin_identity", key, {"bay": twin[0], "device_no": twin[1]})
        elif isinstance(error, CardNotOpened):
            self._alarm("card_not_opened", key, {"bay": self._dock.bay_of(key), "evidence": str(error)})
        self._dock.failed(key, name, waits=waits, ours=ours, now=self._surroundings.loop.clock())
        if isinstance(error, RecorderNotRegistered):
            self._hold(key, error.fields["registered"])
        elif not isinstance(error, CardNotOpened):
            self._tidy_later()

    def _hold(self, key: int, registered: str) -> None:
        if not self._held:
            self._surroundings.loop.after(_HELD_S, self._ask_for_held)
        self._held[key] = registered

    def _ask_for_held(self) -> None:
        """While the card of an unregistered recorder is docked: it is read as soon as somebody has registered it."""
        docked = {card.key for stay in self._dock.stays.values() for card in stay.cards}
        self._held = {key: state for key, state in self._held.items() if key in docked}
        if self._held and not self._ending:
            self._surroundings.crew.hire(Registered(self._surroundings.settings), on_end=self._answered_for_held)

    def _answered_for_held(self, ended: Ended) -> None:
        if self._ending:
            return
        around = self._surroundings
        for key, state in list(self._held.items()):
            if isinstance(ended.value, str) and ended.value != state:
                del self._held[key]
                self._dock.registered(key, now=around.loop.clock())
        if self._held:
            around.loop.after(_HELD_S, self._ask_for_held)
        self._decide()

    # --- what is done ---------------------------------------------------------------------------------

    def _decide(self) -> None:
        if not self._begun or self._ending:
            return
        around = self._surroundings
        now = around.loop.clock()
        for act in self._dock.decide(now=now, wall=around.now()):
            self._carry_out(act)
        self._tell_blanks(now)
        if self._moment:
            self._moment.cancel()
        next_at = self._dock.next_at(now)
        self._moment = around.loop.after(next_at - now, self._decide) if next_at is not None else None

    def _carry_out(self, act: Act) -> None:
        if isinstance(act, Begin):
            self._begin_visit(act)
        elif isinstance(act, Unlock):
            self._unlock(act)
        else:
            self._order(act.key, act)

    def _begin_visit(self, act: Begin) -> None:
        around = self._surroundings
        settings, block = around.settings, act.block
        folder = block.name if block.name.startswith("/") else ""
        work = Attendance(
            settings,
            settings.docking.mount,
            self._broker,
            block.name,
            block.number,
            block.diskseq,
            act.bay,
            act.docked_at,
            folder,
            act.driver_serial,
        )
        theirs, ours = os.pipe()
        os.set_blocking(ours, False)
        try:
            hand = around.crew.hire(
                work,
                on_word=lambda word: self._hear(act.key, word),
                on_end=lambda ended: self._end(act.key, ended),
                fds=(theirs,),
            )
        finally:
            os.close(theirs)
        self._at_work[act.key] = _AtWork(hand, ours)
        _log.info("visit_begun", bay=act.bay, port=act.port, diskseq=block.diskseq)

    def _order(self, key: int, order: Order) -> None:
        try:
            os.write(self._at_work[key].orders, as_frame(order))
        except (KeyError, BrokenPipeError):
            return  # it has just ended, and its end is on its way here

    def _unlock(self, act: Unlock) -> None:
        rule = next(one for one in self._surroundings.settings.unlock if Unlockable(one).fits(act.gadget))
        _log.info("unlocking", port=act.port, profile=rule.profile)
        self._surroundings.crew.hire(
            Unlocking(rule, act.gadget), on_end=lambda ended: self._unlocked(act.port, rule.profile, ended)
        )

    def _unlocked(self, port: str, profile: str, ended: Ended) -> None:
        if ended.error:
            evidence = str(ended.error) if isinstance(ended.error, DockdError) else "fault"
            self._tell("unlock_failed", port, {"bay": self._dock.bay(port), "profile": profile, "evidence": evidence})
        trouble = "unlock_failed" if ended.error else ""
        self._dock.unlocked(port, trouble, now=self._surroundings.loop.clock(), serial=ended.value)
        self._decide()

    def _watch(self) -> None:
        """A worker without any word for long is killed and left behind: its bay does not answer."""
        around = self._surroundings
        around.loop.after(_WATCH_S, self._watch)
        now = around.loop.clock()
        for key, at_work in list(self._at_work.items()):
            if now - at_work.hand.heard_at > _FROZEN_S:
                self._abandon(key, now)

    def _abandon(self, key: int, now: float) -> None:
        at_work = self._at_work.pop(key)
        at_work.hand.abandon()
        os.close(at_work.orders)
        reading = self._dock.phase_of(key) in (None, *_READING)
        name = NotAnswering().name if reading else WorkerDied(reason="SIGKILL").name
        _log.error("worker_abandoned", bay=self._dock.bay_of(key), error=name)
        if reading:
            self._alarm("not_answering", key, {})
        self._tidy_later()
        self._dock.failed(key, name, waits=False, ours=not reading, now=now)
        self._decide()

    def _tidy_later(self) -> None:
        """A visit that was cut short is finished also where its card does not come back."""
        if not self._tidying:
            self._tidying = True
            self._surroundings.loop.after(_TIDY_S, self._tidy)

    def _tidy(self) -> None:
        def ended(how: Ended) -> None:
            self._tidying = False
            if how.error and not self._ending:
                self._tidy_later()

        if not self._ending:
            self._surroundings.crew.hire(Recovering(self._surroundings.settings), on_end=ended)

    # --- alerts ---------------------------------------------------------------------------------------

    def _tell_blanks(self, now: float) -> None:
        for port, stay in self._dock.stays.items():
            blank = any(block.ownership is Ownership.BLANK for block in stay.here.blocks)
            if blank and self._dock.has_settled(stay, now):
                self._tell("card_not_opened", port, {"bay": self._dock.bay(port), "evidence": "no file system"})
        self._told = {(kind, port) for kind, port in self._told if port in self._dock.stays}

    def _tell(self, kind: str, port: str, facts: Mapping[str, Any]) -> None:
        """One alert for a stay and matter."""
        if (kind, port) in self._told:
            return
        self._told.add((kind, port))
        stay = self._dock.stays.get(port)
        since = stay.since.isoformat() if stay else ""
        self._errand(Alarm(self._surroundings.settings, kind, f"bay:{self._dock.bay(port)}:{since}", facts))

    def _alarm(self, kind: str, key: int, facts: Mapping[str, Any]) -> None:
        visit_id, device_no = self._dock.numbers_of(key)
        if visit_id is None:
            self._tell(kind, self._dock.port_of(key), facts)
            return
        about = f"visit:{visit_id}"
        self._errand(Alarm(self._surroundings.settings, kind, about, facts, visit_id, device_no))

    def _errand(self, work: Alarm) -> None:
        def ended(how: Ended) -> None:
            if isinstance(how.error, DockdError):
                _log.error("alert_not_kept", kind=work.kind, error=how.error.name)

        self._surroundings.crew.hire(work, on_end=ended)


def rules_of(settings: Settings) -> Rules:
    """What the dock needs of the configuration."""
    docking = settings.docking
    return Rules(
        settle_s=docking.settle.total_seconds(),
        return_s=docking.return_within.total_seconds(),
        visits=docking.visits,
        per_controller=docking.per_controller,
        bays={port: (name, bay.priority) for name, bay in settings.bays.items() for port in bay.ports},
        can_unlock=lambda gadget: any(Unlockable(rule).fits(gadget) for rule in settings.unlock),
    )
