"""One visit in its worker: the card is opened, and the story of every visit (``visit/story.py``) is told.

What the story asks of the service (is this recorder docked twice? is it my turn? is the card back?) goes out
as words and comes back as orders through a pipe of the visit's own.
"""

from __future__ import annotations

import os
import pickle
import select
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from dockd.errors import CardNotOpened, DockdError, StoreError
from dockd.register import alerts, visits
from dockd.register.station import Station, open_station
from dockd.register.tables import VisitRow
from dockd.service.dock import Back, Go, Gone
from dockd.service.mounting import Way, open_root
from dockd.service.stays import Report
from dockd.service.storecheck import takes_data
from dockd.settings import Settings
from dockd.visit.clock import this_boot
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards
from dockd.visit.patience import Patience
from dockd.visit.request import Claim, Phase, Root, Turn, VisitRequest
from dockd.visit.story import attend
from dockd.visit.worker import Lifeline, OwnerGone

_FRAME = struct.Struct("!I")
_LOOK_S = 1.0
_STORE_S = 5.0


@dataclass(frozen=True, slots=True)
class Twin:
    """The answer to a claim: the bay of another recorder with the same identity, or None."""

    bay: str | None


Order = Go | Back | Gone | Twin


def as_frame(order: Order) -> bytes:
    """An order as it goes through the pipe; small enough to be written at once."""
    body = pickle.dumps(order)
    return _FRAME.pack(len(body)) + body


class Orders:
    """The worker's end of the pipe. Orders that are not waited for now are kept for later."""

    def __init__(self, fd: int, lifeline: Lifeline) -> None:
        self._fd = fd
        self._lifeline = lifeline
        self._kept: list[Order] = []

    def wait_for(self, *kinds: type) -> Order:
        """The next order of one of ``kinds``. Raises OwnerGone."""
        while True:
            for order in self._kept:
                if isinstance(order, kinds):
                    self._kept.remove(order)
                    return order
            self.pause(_LOOK_S)

    def pause(self, seconds: float) -> None:
        """Waits for an order, ``seconds`` at the most, and keeps it. Raises OwnerGone."""
        self._lifeline.check()
        if select.select([self._fd], [], [], seconds)[0]:
            (size,) = _FRAME.unpack(self._read(_FRAME.size))
            self._kept.append(pickle.loads(self._read(size)))  # noqa: S301 (the service's own)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = os.read(self._fd, size - len(data))
            if not part:
                raise OwnerGone
            data += part
        return data


@dataclass(frozen=True, slots=True)
class Attendance:
    """The work of one visit. ``folder`` is given where the card is a directory already (demonstrations, tests)."""

    settings: Settings
    way: Way
    broker: str
    device: str
    number: int
    diskseq: int
    bay: str
    docked_at: datetime
    folder: str = ""
    driver_serial: str | None = None

    def __call__(self, send: Callable[[object], None], lifeline: Lifeline, fds: tuple[int, ...]) -> Report:
        orders = Orders(fds[0], lifeline)
        meter = Meter(send)
        meter.enter(Phase.LISTING)
        meter.start()
        patience = Patience(self.settings.card.patience.total_seconds())
        root = patience.wait_for(lambda: self._open(self.number, self.diskseq))
        station = open_station(self.settings, now=utc_now, actor="dockd")
        try:
            guards = Guards(
                before_write=lifeline.check,
                patience=patience,
                boot=this_boot,
                claim=lambda claim: _claim(claim, send, orders),
                turn=lambda turn: _await_turn(turn, meter, send, orders),
                card_again=lambda: self._await_card(orders),
                store_again=lambda error: await_store(station, error, orders.pause),
            )
            return _report(station, attend(station, self._request(root), meter=meter, guards=guards))
        finally:
            meter.stop()
            station.close()

    def _open(self, number: int, diskseq: int) -> Root | None:
        return None if self.folder else open_root(self.way, number, diskseq, broker=self.broker)

    def _request(self, root: Root | None) -> VisitRequest:
        path = self.folder or f"/dev/{self.device}"
        return VisitRequest(
            path=path, bay=self.bay, docked_at=self.docked_at, root=root, driver_serial=self.driver_serial
        )

    def _await_card(self, orders: Orders) -> Root | None:
        """The card that came back within the time that the service gives it."""
        while isinstance(order := orders.wait_for(Back, Gone), Back):
            if self.folder:
                return Root(os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), "", ())
            with suppress(CardNotOpened):  # away again: the next order says what follows
                return open_root(self.way, order.block.number, order.block.diskseq, broker=self.broker)
        return None


def await_store(station: Station, error: StoreError, pause: Callable[[float], None]) -> bool:
    """Waits until the store takes data again, as long as the service lives; alerted while it lasts."""
    _alarm_store(station, error)
    while not takes_data(station, need=int(error.fields.get("need") or 0)):
        pause(_STORE_S)
    _settle_store(station)
    return True


def _alarm_store(station: Station, error: StoreError) -> None:
    if error.name in ("store_full", "store_filled"):
        return  # has an alert of its own
    with suppress(DockdError), station.register.write() as session:
        alerts.open_alert(
            session,
            station_no=station.station_no,
            kind="store_trouble",
            about="store",
            facts={"evidence": error.name},
            at=station.now(),
        )


def _settle_store(station: Station) -> None:
    with suppress(DockdError), station.register.write() as session:
        alerts.settle_alert(
            session, station_no=station.station_no, kind="store_trouble", about="store", note="back", at=station.now()
        )


def _claim(claim: Claim, send: Callable[[object], None], orders: Orders) -> str | None:
    send(claim)
    answer = orders.wait_for(Twin)
    return answer.bay if isinstance(answer, Twin) else None


def _await_turn(turn: Turn, meter: Meter, send: Callable[[object], None], orders: Orders) -> None:
    meter.enter(Phase.QUEUED)
    send(turn)
    orders.wait_for(Go)


def _report(station: Station, visit_id: int) -> Report:
    with station.register.read() as session:
        visit = session.get_one(VisitRow, visit_id)
        opened = [alerts.find_alert(session, alert_id) for alert_id in visits.alerts_of(session, visit_id)]
        late = sum(1 for alert in opened if alert and alert.kind in ("late_docked", "late_stored"))
        return Report(visit_id, str(visit.outcome), visit.safe_at is not None, late)


def utc_now() -> datetime:
    return datetime.now(UTC)
