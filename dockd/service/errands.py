"""Short works at register and store, done in a worker: the service's own process never waits for either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dockd.offload.promises import Promises, require_promises
from dockd.register import alerts, recorders
from dockd.register.station import Station, open_station
from dockd.service.attendance import utc_now
from dockd.settings import Settings
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards
from dockd.visit.recovery import recover_visits
from dockd.visit.worker import Lifeline

Answer = TypeVar("Answer")
Send = Callable[[object], None]


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether register and store stand and belong together, and what the store's mount keeps.

    Raises what ``open_station`` and ``require_promises`` raise.
    """

    settings: Settings

    def __call__(self, send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> Promises:
        return _at(self.settings, lambda station: require_promises(str(station.store)))


@dataclass(frozen=True, slots=True)
class Recovering:
    """Every visit that was cut short is finished; returns how many."""

    settings: Settings

    def __call__(self, send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> int:
        guards = Guards(before_write=lifeline.check)
        quiet = Meter(lambda _progress: None)
        return _at(
            self.settings, lambda station: len(recover_visits(station, own_card=None, meter=quiet, guards=guards))
        )


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alert that the service itself opens; a matter that is alerted already is left as it is."""

    settings: Settings
    kind: str
    about: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    visit_id: int | None = None
    device_no: str | None = None

    def __call__(self, send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> None:
        _at(self.settings, self._open)

    def _open(self, station: Station) -> None:
        with station.register.write() as session:
            alerts.open_alert(
                session,
                station_no=station.station_no,
                kind=self.kind,
                about=self.about,
                facts=self.facts,
                at=station.now(),
                visit_id=self.visit_id,
                device_no=self.device_no,
            )
        station.mirror_ledger()


@dataclass(frozen=True, slots=True)
class Settled:
    """The fact that ended a matter: its alert, if one stands, is closed."""

    settings: Settings
    kind: str
    about: str

    def __call__(self, send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> None:
        _at(self.settings, self._settle)

    def _settle(self, station: Station) -> None:
        with station.register.write() as session:
            alerts.settle_alert(
                session, station_no=station.station_no, kind=self.kind, about=self.about, note="done", at=station.now()
            )


@dataclass(frozen=True, slots=True)
class Registered:
    """``recorders.state_of_register``, as it is now."""

    settings: Settings

    def __call__(self, send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> str:
        return _at(self.settings, self._look)

    def _look(self, station: Station) -> str:
        with station.register.read() as session:
            return recorders.state_of_register(session)


def _at(settings: Settings, act: Callable[[Station], Answer]) -> Answer:
    station = open_station(settings, now=utc_now, actor="dockd")
    try:
        return act(station)
    finally:
        station.close()
