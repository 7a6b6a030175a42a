"""Who and which visit: what every step of a visit needs to name things, and what it may be watched and stopped by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from dockd.offload.steps import Passed, ignore
from dockd.visit.patience import Patience


@dataclass(frozen=True, slots=True)
class Numbers:
    """Who and which visit: what every step of a visit needs to name things."""

    visit_id: int
    docked_at: datetime
    recorder_id: int | None
    device_no: str | None


@dataclass(frozen=True, slots=True)
class Guards:
    """What the copy asks and tells besides copying; tests put their faults here."""

    before_write: Callable[[], None] = lambda: None
    passed: Passed = ignore
    patience: Patience = field(default_factory=Patience)
