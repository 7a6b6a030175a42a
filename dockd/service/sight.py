"""The dock as others see it: plain values for ``dockd status``, one row a bay. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from dockd.service.dock import Dock
from dockd.service.stays import Card, State, Stay
from dockd.visit.request import Phase, Progress

_SMOOTH_S = 10.0


class Pace:
    """How fast a visit reads, over the last ten seconds or so."""

    def __init__(self) -> None:
        self.rate = 0.0
        self._at: float | None = None
        self._read = 0

    def note(self, progress: Progress, now: float) -> None:
        """A new snapshot of the visit."""
        if progress.phase is not Phase.COPYING:
            self._at, self.rate = None, 0.0
            return
        if self._at is None or now - self._at >= 1.0:
            if self._at is not None:
                span = now - self._at
                speed = max(0, progress.bytes_read - self._read) / span
                share = min(1.0, span / _SMOOTH_S) if self.rate else 1.0
                self.rate += (speed - self.rate) * share
            self._at, self._read = now, progress.bytes_read


def show_dock(dock: Dock, paces: Mapping[int, Pace], *, zone: ZoneInfo) -> Mapping[str, Any]:
    """All bays of the configuration and whatever else is docked, and the queue."""
    queue = [card.key for card in dock.queue()]
    rows = {dock.bay(stay.port): _stay(dock, stay, paces, queue, zone) for stay in dock.stays.values()}
    for bay in sorted({name for name, _first in dock.rules.bays.values()} - rows.keys()):
        gone = dock.removed.get(bay)
        rows[bay] = _row(bay, gone.state if gone else State.EMPTY)
        if gone:
            rows[bay] |= {"device_no": gone.device_no, "since": _time(gone.at, zone)}
    return {"bays": [rows[bay] for bay in sorted(rows)], "queued": len(queue), "working": len(paces)}


def _row(bay: str, state: State) -> dict[str, Any]:
    return {
        "bay": bay,
        "state": state.value,
        "device_no": None,
        "visit_id": None,
        "since": None,
        "files": 0,
        "files_done": 0,
        "bytes_total": 0,
        "bytes_done": 0,
        "rate": 0,
        "seconds_left": None,
        "position": None,
        "reason": "",
    }


def _stay(dock: Dock, stay: Stay, paces: Mapping[int, Pace], queue: list[int], zone: ZoneInfo) -> dict[str, Any]:
    row = _row(dock.bay(stay.port), stay.state)
    rates = [paces[card.key].rate for card in stay.cards if card.key in paces]
    places = [queue.index(card.key) + 1 for card in stay.cards if card.key in queue]
    left = sum(max(0, p.bytes_total - p.bytes_read) for card in stay.cards if (p := card.progress) and card.at_work)
    rate = sum(rates)
    row |= {
        "port": stay.port,
        "device_no": stay.device_no,
        "visit_id": next((number for card in stay.cards if (number := visit_of(card))), None),
        "since": _time(stay.since, zone),
        "rate": round(rate),
        "seconds_left": round(left / rate) if rate > 0 and stay.state is State.COPYING else None,
        "position": min(places, default=None),
        "reason": next((reason for card in stay.cards if (reason := reason_of(card))), stay.unlock_trouble),
    }
    for card in stay.cards:
        if progress := card.progress:
            row["files"] += progress.files
            row["files_done"] += progress.files_done
            row["bytes_total"] += progress.bytes_total
            row["bytes_done"] += min(progress.bytes_read, progress.bytes_total)
    return row


def visit_of(card: Card) -> int | None:
    """The visit's number, once it has one."""
    if card.report:
        return card.report.visit_id
    return card.turn.visit_id if card.turn else None


def reason_of(card: Card) -> str:
    """Why a card is not simply being read: an error's name."""
    return card.trouble or (card.progress.reason if card.progress else "")


def _time(at: datetime, zone: ZoneInfo) -> str:
    return at.astimezone(zone).isoformat()
