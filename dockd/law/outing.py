"""Article 23(1) before the fact: until when a recorder that is out should be docked, as far as anybody can know.

音像记录完成后，行政执法人员应当在二十四小时内将音像记录信息储存至所在机关的行政执法信息系统或者指定的存储设备，
不得私自保管或者擅自交给他人保管，不得泄露音像记录信息。
Within twenty-four hours of completing an audio-visual recording, the officer shall store it in the
administrative enforcement information system of his agency or in the designated storage device; he
shall not keep it privately or hand it to others to keep without leave, and shall not disclose it.

What lies on a recorder that is out is not known. Its recordings end before it is due back, where that is
within the hours of the article; otherwise the first of them may end as soon as the recorder was
handed out or last docked, and the warning counts from there: it wrongs nobody, for it judges no
recording, and it loses no duty. A statement under 23(2) that covers the time moves the hours to the return.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dockd.law.deadline import ExceptionClaim
from dockd.law.instants import later, utc
from dockd.law.vocabulary import EXCEPTION_REASONS

ON_RETURN = timedelta(hours=1)
"""A recorder that was docked this shortly before its return was written down has brought everything."""


@dataclass(frozen=True, slots=True)
class Outing:
    """One custody and when its recorder was last docked since (None: not since it was handed out)."""

    custody_id: int
    device_no: str
    cert_no: str
    issued_at: datetime
    due_at: datetime | None = None
    returned_at: datetime | None = None
    docked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Expected:
    """Until when the recorder should be docked, counted from ``since`` for the reason ``basis``.

    ``basis``: ``due_back``, ``issued``, ``docked``, ``returned`` or ``exception``. ``deadline_at`` None:
    a statement without a return holds it up.
    """

    since: datetime
    deadline_at: datetime | None
    basis: str
    exception_id: int | None = None

    def is_overdue(self, now: datetime) -> bool:
        """Exactly at the deadline it is not."""
        return self.deadline_at is not None and utc(now) > self.deadline_at

    def warning(self, now: datetime, before: Sequence[timedelta]) -> timedelta | None:
        """The nearest of the times ``before`` the deadline that has come, while it is not overdue."""
        if self.deadline_at is None or self.is_overdue(now):
            return None
        left = self.deadline_at - utc(now)
        return min((span for span in before if left <= span), default=None)


def expect(outing: Outing, claims: Sequence[ExceptionClaim], hours: int) -> Expected | None:
    """What is expected of a recorder that is out; None where it has brought everything."""
    end, basis = _last_use(outing, hours)
    if end is None:
        return None
    own = Expected(end, later(end, timedelta(hours=hours)), basis)
    covering = [c for c in claims if _excuses(c) and utc(c.period_from) <= end <= utc(c.period_to)]
    pending = [c for c in covering if c.returned_at is None]
    if pending:
        return Expected(end, None, "exception", min(c.exception_id for c in pending))
    extended = [
        Expected(utc(c.returned_at), later(c.returned_at, timedelta(hours=hours)), "exception", c.exception_id)
        for c in covering
        if c.returned_at is not None
    ]
    return max([own, *extended], key=lambda e: (e.deadline_at or own.since, e.exception_id or 0))


def _last_use(outing: Outing, hours: int) -> tuple[datetime | None, str]:
    """When its recordings are taken to have ended, and by what that is known."""
    docked = utc(outing.docked_at) if outing.docked_at else None
    start, basis = (docked, "docked") if docked else (utc(outing.issued_at), "issued")
    if outing.returned_at is not None:
        returned = utc(outing.returned_at)
        if docked is not None and docked >= returned - ON_RETURN:
            return None, ""
        return (returned, "returned") if returned - start <= timedelta(hours=hours) else (start, basis)
    due = utc(outing.due_at) if outing.due_at else None
    if due is not None and start < due <= later(start, timedelta(hours=hours)):
        return due, "due_back"
    return start, basis


def _excuses(claim: ExceptionClaim) -> bool:
    return claim.unable and claim.reason in EXCEPTION_REASONS
