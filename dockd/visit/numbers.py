"""Who and which visit: what every step of a visit needs to name things, and what it may be watched and stopped by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from dockd.errors import StoreError
from dockd.offload.steps import Passed, ignore
from dockd.register.station import Boot
from dockd.visit.patience import Patience
from dockd.visit.request import Claim, Root, Turn


@dataclass(frozen=True, slots=True)
class Numbers:
    """Who and which visit: what every step of a visit needs to name things."""

    visit_id: int
    docked_at: datetime
    recorder_id: int | None
    device_no: str | None


def _nobody_else(claim: Claim) -> str | None:
    del claim
    return None


@dataclass(frozen=True, slots=True)
class Guards:
    """What the copy asks and tells besides copying; the service answers here, and tests put their faults here.

    ``claim`` names the bay in which another recorder with the same identity is docked. ``turn`` returns when
    the card may be copied. ``card_again`` is a card that went away, back in its bay; None when it does not
    come. ``store_again`` is true when the store's trouble is over; false where nobody waits for that.
    ``boot`` is this machine's life so far; None where the clock is not this machine's.
    """

    before_write: Callable[[], None] = lambda: None
    passed: Passed = ignore
    patience: Patience = field(default_factory=Patience)
    claim: Callable[[Claim], str | None] = _nobody_else
    turn: Callable[[Turn], None] = lambda _turn: None
    card_again: Callable[[], Root | None] = lambda: None
    store_again: Callable[[StoreError], bool] = lambda _error: False
    boot: Callable[[], Boot | None] = lambda: None
