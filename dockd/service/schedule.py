"""The part that knows when: apscheduler says that a round is due, a worker does it, and nothing is done twice at once.

The scheduler's thread only says a word into the loop. It keeps no state (``ticks``): after a start every round
is done once, soon, so that a station that is switched off at night does its nightly work in the morning.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pkgutil import resolve_name
from typing import Any, ClassVar

import structlog
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_MAX_INSTANCES, EVENT_JOB_MISSED, JobExecutionEvent
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

from dockd import trace
from dockd.errors import DockdError, StoreError
from dockd.register import alerts, outbox
from dockd.register.station import Station, open_station
from dockd.service.crew import Ended
from dockd.service.parts import Part, Surroundings
from dockd.service.ticks import TICKS, Round, Tick
from dockd.settings import Settings
from dockd.visit.worker import Lifeline, OwnerGone

SOON_S = {Round.DELIVER: 2.0, Round.WATCH: 5.0, Round.EXPORTS: 20.0, Round.NIGHTLY: 300.0, Round.FIXITY: 600.0}
"""When after a start a round is first done: what people wait for first, what loads the disk last."""

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an act ended: ``error`` is empty, the name of what a person can put right, or ``fault`` of our own."""

    name: str
    seconds: float
    error: str = ""
    frames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Going:
    """A worker's round. Returns whether the outbox holds anything when it is done."""

    settings: Settings
    ticks: tuple[Tick, ...]
    now: Callable[[], datetime]

    def __call__(self, send: Callable[[object], None], lifeline: Lifeline, fds: tuple[int, ...]) -> bool:
        del fds
        station = open_station(self.settings, now=self.now, actor="dockd")
        try:
            for tick in self.ticks:
                lifeline.check()
                send(carry_out(tick, station))
            with station.register.read() as session:
                return outbox.holds_any(session, station.station_no)
        finally:
            station.close()


def carry_out(tick: Tick, station: Station) -> Outcome:
    """One act; whatever it raises is its outcome. That it failed, and that it no longer does, are alerted.

    Trouble of store or register has alerts of its own and passes by itself.
    """
    begun = time.monotonic()
    try:
        resolve_name(tick.act)(station)
    except StoreError as error:
        return Outcome(tick.name, time.monotonic() - begun, error.name)
    except OwnerGone:
        raise
    except Exception as error:  # noqa: BLE001 - told with its place, and the other acts go on
        known = error.name if isinstance(error, DockdError) else "fault"
        frames = () if isinstance(error, DockdError) else (trace.kind(error), *trace.frames(error))
        _say(station, tick, known)
        return Outcome(tick.name, time.monotonic() - begun, known, frames)
    _say(station, tick, "")
    return Outcome(tick.name, time.monotonic() - begun)


def _say(station: Station, tick: Tick, error: str) -> None:
    matter: dict[str, Any] = {"station_no": station.station_no, "kind": "job_failed", "about": f"job:{tick.name}"}
    try:
        with station.register.read() as session:
            if alerts.stands(session, **matter) == bool(error):
                return
        with station.register.write() as session:
            if error:
                facts = {"job": tick.name, "evidence": error}
                alerts.open_alert(session, **matter, facts=facts, at=station.now())
            else:
                alerts.settle_alert(session, **matter, note="done", at=station.now())
    except StoreError as trouble:
        _log.warning("alert_not_kept", job=tick.name, error=trouble.name)


class Schedule(Part):
    """``ticks``: what is done. ``soon``: when each round is first done after the start."""

    name: ClassVar[str] = "schedule"

    def __init__(self, ticks: Sequence[Tick] = TICKS, *, soon: dict[Round, float] | None = None) -> None:
        self._ticks = tuple(ticks)
        self._soon = SOON_S if soon is None else soon
        self._around: Surroundings | None = None
        self._scheduler: BackgroundScheduler | None = None
        self._under_way: set[Round] = set()
        self._calm: int | None = None  # how many works had been begun when the outbox was known to be empty
        self._last: dict[str, Outcome] = {}
        self._ending = False

    def start(self, around: Surroundings) -> None:
        self._around = around
        self._scheduler = scheduler_of(around.settings)
        self._scheduler.add_listener(_note, EVENT_JOB_MISSED | EVENT_JOB_ERROR | EVENT_JOB_MAX_INSTANCES)
        for one in self._rounds():
            self._scheduler.add_job(self._due, trigger_of(one, around.settings), args=[one], id=one.value)
            around.loop.after(self._soon[one], lambda one=one: self._go(one))  # type: ignore[misc]
        self._scheduler.start()

    def stop(self) -> None:
        self._ending = True
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
            self._scheduler = None

    def ended(self) -> bool:
        return not self._under_way

    def alive(self) -> bool:
        if self._scheduler is None or self._ending:
            return True
        thread = self._scheduler._thread  # it has no other name, and a dead one says nothing
        return thread is not None and thread.is_alive()

    def show(self) -> Any:
        return {
            name: {"seconds": round(one.seconds, 3), "error": one.error or None} for name, one in self._last.items()
        }

    def reload(self, settings: Settings) -> None:
        """Another rhythm holds from the next round on."""
        if self._scheduler is None:
            return
        for one in self._rounds():
            self._scheduler.reschedule_job(one.value, trigger=trigger_of(one, settings))

    def _rounds(self) -> list[Round]:
        return [one for one in Round if any(tick.round is one for tick in self._ticks)]

    def _due(self, one: Round) -> None:
        """In the scheduler's thread."""
        if self._around:
            self._around.loop.say(lambda: self._go(one))

    def _go(self, one: Round) -> None:
        if self._ending or self._around is None:
            return
        if one in self._under_way:
            _log.info("round_still_under_way", job=one.value)  # a night's proof that takes longer than its turn
            return
        crew = self._around.crew
        if one is Round.DELIVER and crew.begun == self._calm:
            return  # nobody has worked here since the outbox was empty; what others wrote, the next WATCH finds
        self._under_way.add(one)
        ticks = tuple(tick for tick in self._ticks if tick.round is one)
        work, alone = Going(self._around.settings, ticks, self._around.now), not crew.size
        crew.hire(work, on_word=self._hear, on_end=lambda ended: self._end(one, ended, calm))
        calm = crew.begun if alone else None

    def _hear(self, word: object) -> None:
        if not isinstance(word, Outcome):
            return
        self._last[word.name] = word
        if word.error:
            _log.error("job_failed", job=word.name, error=word.error, frames=list(word.frames) or None)
        else:
            _log.debug("job_done", job=word.name, seconds=round(word.seconds, 3))

    def _end(self, one: Round, ended: Ended, calm: int | None) -> None:
        """``calm``: how many works had been begun with this one, if no other was under way then."""
        self._under_way.discard(one)
        if ended.value is False:
            self._calm = calm
        if ended.error is not None and not self._ending:
            name = ended.error.name if isinstance(ended.error, DockdError) else "fault"
            _log.warning("round_failed", job=one.value, error=name)


def scheduler_of(settings: Settings) -> BackgroundScheduler:
    """A scheduler in the station's zone whose jobs are never dropped for being late, and never pile up."""
    scheduler = BackgroundScheduler(
        timezone=settings.zone,
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    scheduler.add_executor(DebugExecutor())  # a job is one word into the loop: the scheduler's own thread says it
    return scheduler


def trigger_of(one: Round, settings: Settings) -> BaseTrigger:
    """When the round comes, in the station's zone."""
    said = settings.schedule
    every = {Round.DELIVER: said.deliver, Round.WATCH: said.watch, Round.EXPORTS: said.exports}
    if one in every:
        return IntervalTrigger(seconds=every[one].total_seconds(), timezone=settings.zone)
    hour, minute = said.nightly.split(":")
    return CronTrigger(hour=int(hour), minute=int(minute), timezone=settings.zone)


def _note(event: JobExecutionEvent) -> None:
    _log.warning("round_not_begun", job=event.job_id, code=event.code)
