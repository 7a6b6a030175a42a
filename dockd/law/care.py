"""Article 24: whether a recorder is fit for the next shift, judged from what was measured of it.

行政执法机关应当加强音像记录设备的管理，明确专门人员负责音像记录设备的存放、维护、保养、登记。在进行音像记录时，
应当及时检查记录设备的电池容量、内存空间，保证记录设备正常使用。
The agency shall strengthen the management of audio-visual recording equipment and name staff who are
responsible for its storage, maintenance, care and registration. When recording, the battery capacity
and memory space of the equipment shall be checked in time, so that it works as it should.

How it is read: the battery when a recorder is handed out and taken back, the memory each time it is docked.
What was not measured is neither good nor bad. One bad visit is told of by its own alerts; a card is
called worn when it happens again, and slow only against this recorder's own history, twice running.
A recorder whose footage is not stored yet is not handed out: the next shift needs the space, and article
23's hours run on for the last one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

DOCKED_BEFORE_RETURN = timedelta(hours=2)
"""A recorder is often docked first and signed back in afterwards: this far apart it is one home-coming."""

_LOOKED_BACK = 5  # checks before this one in which an error counts as happening again
_HISTORY = 3  # measured rates without which there is no history to compare with


class BatterySource(StrEnum):
    """Where a percentage comes from. ``READ``: from the recorder itself."""

    READ = "read"
    ENTERED = "entered"
    UNKNOWN = "unknown"


class Finding(StrEnum):
    """What a check found; each is a class of alert."""

    BATTERY_LOW = "battery_low"
    CARD_FULL = "card_full"
    CARD_DIRTY = "card_dirty"
    CARD_ERRORS = "card_errors"
    CARD_SLOW = "card_slow"
    LOCKED_LEFT = "locked_left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One check. None: not measured. ``rate`` is bytes per second, ``locked_left`` files that were stored before."""

    battery: int | None = None
    size: int | None = None
    free: int | None = None
    dirty: bool | None = None
    fs_errors: bool | None = None
    read_errors: int | None = None
    rate: float | None = None
    locked_left: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The station's thresholds. ``free_min`` is in bytes of this card; ``rate_drop`` 0 to 1, 0 for none."""

    battery_min: int
    free_min: int
    rate_drop: float
    error_visits: int
    locked_max: int


def judge_check(now: Measured, before: Sequence[Measured], limits: Limits) -> tuple[Finding, ...]:
    """What is wrong, in a fixed order. ``before`` are this recorder's earlier checks, newest first."""
    found = {
        Finding.BATTERY_LOW: now.battery is not None and now.battery < limits.battery_min,
        Finding.CARD_FULL: now.free is not None and now.free < limits.free_min,
        Finding.CARD_DIRTY: bool(now.dirty),
        Finding.CARD_ERRORS: _is_worn(now, before, limits.error_visits),
        Finding.CARD_SLOW: _is_slow(now, before, limits.rate_drop),
        Finding.LOCKED_LEFT: now.locked_left is not None and now.locked_left > limits.locked_max,
    }
    return tuple(finding for finding, holds in found.items() if holds)


def settled_by(now: Measured) -> tuple[Finding, ...]:
    """The findings on which this check has something to say: those it did not find again are over."""
    said = {
        Finding.BATTERY_LOW: now.battery is not None,
        Finding.CARD_FULL: now.free is not None,
        Finding.CARD_DIRTY: now.dirty is not None,
        Finding.CARD_ERRORS: False,  # a worn card does not heal: a person closes it
        Finding.CARD_SLOW: now.rate is not None,
        Finding.LOCKED_LEFT: now.locked_left is not None,
    }
    return tuple(finding for finding, is_said in said.items() if is_said)


def usual_rate(before: Sequence[Measured]) -> float | None:
    """The recorder's own usual read rate; None where it has no history yet."""
    rates = [check.rate for check in before if check.rate is not None]
    return median(rates) if len(rates) >= _HISTORY else None


def _is_worn(now: Measured, before: Sequence[Measured], visits: int) -> bool:
    if now.fs_errors:
        return True
    if not now.read_errors:
        return False
    return 1 + sum(1 for check in before[:_LOOKED_BACK] if check.read_errors) >= visits


def _is_slow(now: Measured, before: Sequence[Measured], drop: float) -> bool:
    """Twice running, so that one crowded hour at the dock is no finding."""
    measured = [check for check in before if check.rate is not None]
    if now.rate is None or not drop or not measured:
        return False
    usual = usual_rate(measured[1:])
    last = measured[0].rate
    return usual is not None and last is not None and max(now.rate, last) < usual * (1 - drop)


# --- handing out -----------------------------------------------------------------------------------------


def awaits_storing(returned_at: datetime | None, docked_at: datetime | None, *, safe: bool) -> bool:
    """Whether what was recorded until ``returned_at`` may still be on the card alone.

    ``docked_at`` is the recorder's newest docking, ``safe`` whether all of it was stored then. A
    recorder that nobody has had (None) holds nothing.
    """
    if returned_at is None:
        return False
    return docked_at is None or not safe or docked_at < returned_at - DOCKED_BEFORE_RETURN


# --- what is due -----------------------------------------------------------------------------------------


def due_at(last: datetime, period: timedelta) -> datetime | None:
    """When the next check or maintenance is due; None where the agency asks for none."""
    return last + period if period else None
