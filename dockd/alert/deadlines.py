"""What runs out (articles 23 and 28): warnings before the deadline, who has not docked, exceptions that lack something.

Computed from the register whenever it is asked, never from a date that was planned before: a custody, a
docking or a statement that is entered afterwards changes the answer at the next call.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from dockd.alert.standing import Matter, keep_standing
from dockd.law.deadline import EXCEPTION_OPEN, EXCEPTION_UNCONFIRMED
from dockd.law.filing import warning
from dockd.law.outing import Expected, Outing, expect
from dockd.register import exceptions, interruptions, records
from dockd.register.filings import filings
from dockd.register.outings import outings
from dockd.register.station import Station
from dockd.register.values import instant

KINDS = (
    *("due_soon", "not_docked", "exception_open", "exception_unconfirmed"),
    *("filing_due", "filing_overdue", "interruption"),
)


@dataclass(frozen=True, slots=True)
class Undocked:
    """A recorder that is out, or back and not docked: until when, and how that stands at the time of asking."""

    outing: Outing
    expected: Expected
    state: str  # out, due_soon, not_docked, exception_open
    overdue_s: int


def undocked(session: Session, station: Station) -> list[Undocked]:
    """Every recorder of which something may be outstanding, the nearest deadline first."""
    now, settings = station.now(), station.settings.deadline
    found = []
    for outing, recorder_id in outings(session, now):
        claims = exceptions.claims_on(session, recorder_id, (outing.cert_no,), (outing.issued_at, now))
        expected = expect(outing, claims, settings.hours)
        if expected is not None:
            found.append(_undocked(outing, expected, now, settings.warn_before))
    return sorted(found, key=lambda one: (one.expected.deadline_at is None, one.expected.deadline_at or now))


def _undocked(outing: Outing, expected: Expected, now: datetime, before: tuple[timedelta, ...]) -> Undocked:
    late = now - expected.deadline_at if expected.deadline_at else timedelta(0)
    if expected.deadline_at is None:
        state = "exception_open"
    elif expected.is_overdue(now):
        state = "not_docked"
    else:
        state = "due_soon" if expected.warning(now, before) is not None else "out"
    return Undocked(outing, expected, state, max(0, -(-late // timedelta(seconds=1))))


def keep_deadlines(session: Session, station: Station) -> int:
    """The alerts of these kinds are those that the register gives reason for now; returns how many it opened."""
    matters = [
        *_outstanding(session, station),
        *_statements(session, station),
        *_unfiled(session, station),
        *_unexplained(session),
    ]
    return keep_standing(session, station, KINDS, matters, "done")


def _outstanding(session: Session, station: Station) -> Iterator[Matter]:
    now, before = station.now(), station.settings.deadline.warn_before
    for one in undocked(session, station):
        about = f"custody:{one.outing.custody_id}/{instant(one.expected.since)}"
        if one.state == "not_docked":
            yield Matter("not_docked", about, _facts(one), one.outing.device_no)
        warning = one.expected.warning(now, before)
        if warning is not None:  # each time of warning is a matter of its own: the second is told, too
            yield Matter("due_soon", f"{about}/{int(warning.total_seconds())}", _facts(one), one.outing.device_no)


def _facts(one: Undocked) -> dict[str, Any]:
    return {
        "cert_nos": [one.outing.cert_no],
        "since": instant(one.expected.since),
        "deadline_at": instant(one.expected.deadline_at),
        "due_at": instant(one.outing.due_at),
        "basis": one.expected.basis,
    }


def _statements(session: Session, station: Station) -> Iterator[Matter]:
    """Statements without a return after their time, or on which a judgement waits; and those nobody has confirmed."""
    for one in exceptions.list_exceptions(session, open_only=True):
        about = f"exception:{one.exception_id}"
        facts = {
            "exception_id": one.exception_id,
            "cert_nos": [n for n in dict.fromkeys((one.cert_no, one.declared_by)) if n],
            "to_at": instant(one.to_at),
        }
        if one.returned_at is None:
            if one.to_at < station.now() or records.any_judged(session, one.exception_id, EXCEPTION_OPEN):
                yield Matter("exception_open", about, facts, one.device_no)
        elif records.any_judged(session, one.exception_id, EXCEPTION_UNCONFIRMED):
            yield Matter("exception_unconfirmed", about, facts, one.device_no)


def _unfiled(session: Session, station: Station) -> Iterator[Matter]:
    """Closed cases whose thirty days run out, or have (article 28)."""
    settings = station.settings.filing
    for one in filings(session, now=station.now(), zone=station.zone, holidays=settings.holidays):
        about = f"case:{one.case_no}/{one.standing.last_day}"
        facts = {
            "case_no": one.case_no,
            "last_day": one.standing.last_day.isoformat(),
            "days_left": one.standing.days_left,
            "missing": list(one.missing),
        }
        span = warning(one.standing, settings.warn_before)
        if one.standing.overdue:
            yield Matter("filing_overdue", about, facts)
        elif span is not None:
            yield Matter("filing_due", f"{about}/{span.days}", facts)


def _unexplained(session: Session) -> Iterator[Matter]:
    """Cases whose whole course is to be recorded, with gaps that nobody has explained (articles 19 and 22)."""
    for case_no, count in sorted(interruptions.open_by_case(session).items()):
        yield Matter("interruption", f"case:{case_no}", {"case_no": case_no, "count": count})
