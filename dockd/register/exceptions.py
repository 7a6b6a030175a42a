"""例外事由, exceptions: the statements under article 23(2), who made and who confirmed them, and when one came back.

因连续执法、异地执法或者在边远、水上、交通不便地区执法，确实无法及时储存音像记录信息的，行政执法人员应当在返回
所在机关后二十四小时内予以储存。
Where, because of continuous enforcement, enforcement outside the area, or enforcement in remote
places, on water or where transport is poor, the recording truly cannot be stored in time, the
officer shall store it within twenty-four hours of returning to his agency.

A statement may be made before or after docking; every recording that it may cover is judged again,
and the deadline without it stays beside. Nothing is refused because it comes late: what
contradicts the facts is judged so. Every write is in the caller's transaction, together with its
ledger line and the request for that review.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from dockd.errors import BadValue, UnknownNumber
from dockd.law.deadline import ExceptionClaim
from dockd.law.vocabulary import EXCEPTION_REASONS
from dockd.locale import _
from dockd.register import ledger
from dockd.register.officers import get_officer
from dockd.register.recorders import device_no_of, get_row
from dockd.register.reviews import Concerned, ask_review
from dockd.register.tables import ExceptionRow
from dockd.register.values import instant, words

_NOTE_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What somebody declares: for a recorder, for an officer, or for an officer with a recorder."""

    reason: str
    from_at: datetime
    to_at: datetime
    declared_by: str
    device_no: str | None = None
    cert_no: str | None = None
    returned_at: datetime | None = None
    unable: bool = True
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """One statement as it stands now."""

    exception_id: int
    device_no: str | None
    cert_no: str | None
    reason: str
    from_at: datetime
    to_at: datetime
    returned_at: datetime | None
    unable: bool
    declared_by: str
    declared_at: datetime
    confirmed_by: str | None
    confirmed_at: datetime | None
    note: str | None

    @property
    def state(self) -> str:
        """``open`` without a time of return, else ``unconfirmed`` or ``confirmed``."""
        if self.returned_at is None:
            return "open"
        return "confirmed" if self.confirmed_at else "unconfirmed"


# --- writing ----------------------------------------------------------------------------------------------


def add_exception(session: Session, said: Statement, *, station_no: str, now: datetime, actor: str) -> Excuse:
    """Keeps a statement. Raises BadValue for what no statement can say, UnknownNumber."""
    said = _checked(said, now)
    recorder = get_row(session, said.device_no) if said.device_no else None
    for cert_no in (said.cert_no, said.declared_by):
        if cert_no is not None:
            get_officer(session, cert_no)
    row = ExceptionRow(
        recorder_id=recorder.id if recorder else None,
        cert_no=said.cert_no,
        reason=said.reason,
        from_at=said.from_at,
        to_at=said.to_at,
        returned_at=said.returned_at,
        unable=said.unable,
        declared_by=said.declared_by,
        declared_at=now,
        note=said.note,
    )
    session.add(row)
    session.flush()
    return _tell(session, row, "exception.added", station_no=station_no, now=now, actor=actor)


def _checked(said: Statement, now: datetime) -> Statement:
    if said.device_no is None and said.cert_no is None:
        raise BadValue(what="--device-no", value="''", expected=_("a recorder or an officer that it is about"))
    if said.reason not in EXCEPTION_REASONS:
        raise BadValue(what="--reason", value=said.reason, expected=", ".join(EXCEPTION_REASONS))
    if said.to_at < said.from_at:
        raise BadValue(what="--to", value=said.to_at.isoformat(), expected=_("a time not before --from"))
    _check_return(said.from_at, said.returned_at, now)
    return replace(said, note=words("--note", said.note, _NOTE_MAX))


def _check_return(from_at: datetime, returned_at: datetime | None, now: datetime) -> None:
    if returned_at is not None and returned_at > now:
        expected = _("a time that is not in the future")
        raise BadValue(what=_("time of return"), value=returned_at.isoformat(), expected=expected)
    if returned_at is not None and returned_at < from_at:
        expected = _("a time not before the period of the exception")
        raise BadValue(what=_("time of return"), value=returned_at.isoformat(), expected=expected)


def confirm_exception(
    session: Session, exception_id: int, *, by: str, station_no: str, now: datetime, actor: str
) -> Excuse:
    """Another officer than the one who declared it confirms it. Again by the same changes nothing.

    Raises UnknownNumber, BadValue.
    """
    row = _get(session, exception_id)
    get_officer(session, by)
    if by in (row.declared_by, row.cert_no):
        expected = _("another officer than the one whom it excuses or who declared it")
        raise BadValue(what="--by", value=by, expected=expected)
    if row.confirmed_by == by:
        return _noun(session, row)
    row.confirmed_by, row.confirmed_at = by, now
    return _tell(session, row, "exception.confirmed", station_no=station_no, now=now, actor=actor)


def return_exception(
    session: Session, exception_id: int, *, at: datetime, station_no: str, now: datetime, actor: str
) -> Excuse:
    """They came back at ``at``: the 24 hours run from there. Said again otherwise it is put right, and both are traced.

    Raises UnknownNumber, BadValue for a time in the future or before the period.
    """
    row = _get(session, exception_id)
    _check_return(row.from_at, at, now)
    if row.returned_at == at:
        return _noun(session, row)
    before, row.returned_at = row.returned_at, at
    if before is not None:  # what was confirmed was another statement
        row.confirmed_by = row.confirmed_at = None
    return _tell(session, row, "exception.returned", station_no=station_no, now=now, actor=actor)


def _tell(session: Session, row: ExceptionRow, kind: str, *, station_no: str, now: datetime, actor: str) -> Excuse:
    """The ledger line, and the review of every recording that the statement may cover."""
    session.flush()
    said = _noun(session, row)
    concerned = Concerned(
        recorder_id=row.recorder_id,
        cert_no=None if row.recorder_id is not None else row.cert_no,
        frm=row.from_at,
        to=row.to_at,
    )
    why = f"exception:{row.id}"
    ask_review(session, [concerned], why=why, station_no=station_no, at=now, actor=actor)
    ledger.append(
        session, station_no=station_no, kind=kind, subject=f"exception:{row.id}", data=_data(said), at=now, actor=actor
    )
    return said


def _data(said: Excuse) -> dict[str, Any]:
    return {
        "exception_id": said.exception_id,
        "device_no": said.device_no,
        "cert_no": said.cert_no,
        "reason": said.reason,
        "from_at": instant(said.from_at),
        "to_at": instant(said.to_at),
        "returned_at": instant(said.returned_at),
        "unable": said.unable,
        "declared_by": said.declared_by,
        "declared_at": instant(said.declared_at),
        "confirmed_by": said.confirmed_by,
        "confirmed_at": instant(said.confirmed_at),
        "note": said.note,
    }


def _get(session: Session, exception_id: int) -> ExceptionRow:
    row = session.get(ExceptionRow, exception_id, with_for_update=True)
    if row is None:
        raise UnknownNumber(noun=_("exception"), number=exception_id, command="dockd exception list")
    return row


# --- reading ------------------------------------------------------------------------------------------------


def list_exceptions(session: Session, *, open_only: bool = False) -> list[Excuse]:
    """Every statement, oldest first; ``open_only``: those without a time of return or not confirmed."""
    query = select(ExceptionRow).order_by(ExceptionRow.id)
    if open_only:
        query = query.where(or_(ExceptionRow.returned_at.is_(None), ExceptionRow.confirmed_at.is_(None)))
    return [_noun(session, row) for row in session.scalars(query)]


def find_exception(session: Session, exception_id: int) -> Excuse | None:
    """The statement with this number."""
    row = session.get(ExceptionRow, exception_id)
    return _noun(session, row) if row else None


def claims_on(
    session: Session, recorder_id: int | None, cert_nos: Collection[str], ends: Iterable[datetime]
) -> list[ExceptionClaim]:
    """The statements with a moment from the first of ``ends`` to the last: for this recorder, or for these officers.

    One that names both a recorder and an officer covers what that officer recorded with it.
    """
    known = sorted(ends)
    if not known:
        return []
    query = select(ExceptionRow).where(
        _whose(recorder_id, cert_nos), ExceptionRow.from_at <= known[-1], ExceptionRow.to_at >= known[0]
    )
    return [_claim(row) for row in session.scalars(query.order_by(ExceptionRow.id))]


def _whose(recorder_id: int | None, cert_nos: Collection[str]) -> ColumnElement[bool]:
    own, theirs = ExceptionRow.recorder_id == recorder_id, ExceptionRow.cert_no.in_(sorted(cert_nos))
    anybodys, anythings = ExceptionRow.cert_no.is_(None), ExceptionRow.recorder_id.is_(None)
    return or_(own & anybodys, anythings & theirs, own & theirs)


def _claim(row: ExceptionRow) -> ExceptionClaim:
    return ExceptionClaim(
        exception_id=row.id,
        reason=row.reason,
        period_from=row.from_at,
        period_to=row.to_at,
        returned_at=row.returned_at,
        unable=row.unable,
        confirmed=row.confirmed_at is not None,
    )


def _noun(session: Session, row: ExceptionRow) -> Excuse:
    return Excuse(
        exception_id=row.id,
        device_no=device_no_of(session, row.recorder_id) if row.recorder_id is not None else None,
        cert_no=row.cert_no,
        reason=row.reason,
        from_at=row.from_at,
        to_at=row.to_at,
        returned_at=row.returned_at,
        unable=row.unable,
        declared_by=row.declared_by,
        declared_at=row.declared_at,
        confirmed_by=row.confirmed_by,
        confirmed_at=row.confirmed_at,
        note=row.note,
    )
