"""Custody 领用: who held a recorder from when to when; what a handing-over breaks is refused or flagged, never hidden.

应当及时检查记录设备的电池容量、内存空间
Battery and memory of the recorders shall be checked in time (article 24): a recorder is handed out
in service, back from the last officer, with its battery read. What has happened already is only ever
recorded. Every write is in the caller's transaction, together with its ledger line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from dockd.errors import BadValue, IssueRefused, ReturnRefused
from dockd.law.care import BatterySource, awaits_storing
from dockd.locale import _
from dockd.nouns import Custody
from dockd.register import ledger
from dockd.register.officers import get_officer
from dockd.register.recorders import STATE_WORDS, get_row
from dockd.register.reviews import Concerned, ask_review
from dockd.register.tables import CustodyRow, RecorderEventRow, RecorderRow, RecorderState, VisitRow
from dockd.register.values import instant, percent, words

# How many handings-over before a moment may still last at it. Only forgotten returns reach
# back further than one; without a bound every look-up would read all of a recorder's history.
_REACH = 16
_REASON_MAX = 1000


class Flag(StrEnum):
    """What is unusual about a handing-over."""

    ISSUE_BACKDATED = "issue_backdated"  # entered after it happened
    RETURN_BACKDATED = "return_backdated"
    OVERLAP = "overlap"  # somebody else is registered as holding it within this time
    NOT_IN_SERVICE = "not_in_service"  # handed out by override
    BATTERY_UNCHECKED = "battery_unchecked"  # article 24 asks for it
    CLOSED_WITH_LATER = "closed_with_later"  # never returned by itself: ended when the recorder came back from another
    NOT_OUT = "not_out"  # came back although nobody was registered as holding it
    NOT_OFFLOADED = "not_offloaded"  # handed out before what it held was stored
    BATTERY_LOW = "battery_low"  # handed out below the station's least percentage


@dataclass(frozen=True, slots=True)
class Handover:
    """One custody with all that was said at issue and return. ``custody_id`` None: a return of what was not out."""

    custody_id: int | None
    device_no: str
    cert_no: str | None
    issued_at: datetime | None
    due_at: datetime | None
    returned_at: datetime | None
    battery_out: int | None
    battery_in: int | None
    override_reason: str | None
    flags: tuple[str, ...]
    battery_out_source: str | None = None
    battery_in_source: str | None = None


# --- issue and return ------------------------------------------------------------------------------------


def issue_recorder(
    session: Session,
    device_no: str,
    cert_no: str,
    *,
    at: datetime | None,
    until: datetime | None,
    battery: int | None,
    override: str | None,
    station_no: str,
    now: datetime,
    actor: str,
    battery_min: int = 0,
    battery_read: bool = False,
    returned: datetime | None = None,
) -> Handover:
    """Hands a recorder to an officer at ``at`` (None: now), due back at ``until``; ``battery`` is in percent.

    An issue that lies in the past is never refused; one of now that breaks a rule needs
    ``override``, a reason that is traced. ``battery_read``: the recorder said it, as against a person.
    ``returned``: it has come back since, so that nothing recorded later is doubted.
    Raises UnknownNumber, BadValue, IssueRefused.
    """
    at = _not_later(at, now)
    percent("battery", battery)
    if until is not None and until <= at:
        raise BadValue(what="--until", value=until.isoformat(), expected=_("a time after the issue"))
    if returned is not None and not at < returned <= now:
        expected = _("a time after the issue that is not in the future")
        raise BadValue(what="--returned", value=returned.isoformat(), expected=expected)
    recorder = get_row(session, device_no, lock=True)
    officer = get_officer(session, cert_no)
    reason = _reason(override)
    held = _overlapping(session, recorder.id, at, returned)
    low = battery is not None and battery < battery_min
    unstored = _awaits_storing(session, recorder.id, at)
    if at == now and reason is None:
        _check_issue(recorder, held, unstored=unstored, low=battery if low else None)
    row = CustodyRow(
        recorder_id=recorder.id,
        cert_no=officer.cert_no,
        issued_at=at,
        due_at=until,
        issued_by=actor,
        battery_out=battery,
        battery_out_source=_source(battery, battery_read),
        override_reason=reason,
        flags=_issue_flags(recorder, held, battery, past=at < now, unstored=unstored, low=low),
    )
    session.add(row)
    session.flush()
    _ask(session, recorder, at, returned, f"custody:{row.id}", station_no=station_no, now=now, actor=actor)
    _tell_issue(session, recorder, row, station_no=station_no, now=now, actor=actor)
    if returned is not None:
        _end(session, recorder, row, returned, station_no=station_no, now=now, actor=actor)
    return _handover(row, recorder.device_no)


def _ask(
    session: Session,
    recorder: RecorderRow,
    frm: datetime,
    to: datetime | None,
    why: str,
    *,
    station_no: str,
    now: datetime,
    actor: str,
) -> None:
    """What was recorded within that time may have been recorded by somebody else."""
    concerned = [Concerned(recorder_id=recorder.id, frm=frm, to=to)]
    ask_review(session, concerned, why=why, station_no=station_no, at=now, actor=actor)


def _end(
    session: Session,
    recorder: RecorderRow,
    row: CustodyRow,
    at: datetime,
    *,
    battery: int | None = None,
    battery_read: bool = False,
    newest: bool = True,
    station_no: str,
    now: datetime,
    actor: str,
) -> None:
    """The recorder came back at ``at``: by a return of its own, or entered together with its issue."""
    row.returned_at, row.returned_by, row.battery_in = at, actor, battery
    row.battery_in_source = _source(battery, battery_read)
    session.flush()
    row.flags = _return_flags(session, row, past=at < now, newest=newest)
    _tell_return(session, recorder, row, station_no=station_no, now=now, actor=actor)


def _source(battery: int | None, read: bool) -> str:
    if battery is None:
        return BatterySource.UNKNOWN.value
    return (BatterySource.READ if read else BatterySource.ENTERED).value


def _awaits_storing(session: Session, recorder_id: int, at: datetime) -> bool:
    """Whether what the last officer recorded may still be on the card alone at ``at``."""
    returned = session.scalar(
        select(func.max(CustodyRow.returned_at)).where(
            CustodyRow.recorder_id == recorder_id, CustodyRow.returned_at <= at
        )
    )
    docked = session.execute(
        select(VisitRow.docked_at, VisitRow.safe_at)
        .where(VisitRow.recorder_id == recorder_id, VisitRow.docked_at <= at)
        .order_by(VisitRow.docked_at.desc(), VisitRow.id.desc())
        .limit(1)
    ).one_or_none()
    return awaits_storing(returned, docked.docked_at if docked else None, safe=bool(docked and docked.safe_at))


def _check_issue(recorder: RecorderRow, held: Sequence[CustodyRow], *, unstored: bool, low: int | None) -> None:
    if recorder.state != RecorderState.IN_SERVICE:
        reason = _("it is {state}").format(state=_(STATE_WORDS[recorder.state]))
        raise IssueRefused(device_no=recorder.device_no, reason=reason)
    if held:
        reason = _("it is still out with {cert_no}").format(cert_no=", ".join(sorted({row.cert_no for row in held})))
        raise IssueRefused(device_no=recorder.device_no, reason=reason)
    if unstored:
        reason = _("what it recorded last is not stored yet; dock it first")
        raise IssueRefused(device_no=recorder.device_no, reason=reason)
    if low is not None:
        reason = _("its battery is at {percent} %; charge it first (article 24)").format(percent=low)
        raise IssueRefused(device_no=recorder.device_no, reason=reason)


def _issue_flags(
    recorder: RecorderRow, held: Sequence[CustodyRow], battery: int | None, *, past: bool, unstored: bool, low: bool
) -> list[str]:
    """The state of now, and that no battery was entered, say nothing of an issue in the past."""
    found = {
        Flag.ISSUE_BACKDATED: past,
        Flag.OVERLAP: bool(held),
        Flag.NOT_IN_SERVICE: not past and recorder.state != RecorderState.IN_SERVICE,
        Flag.BATTERY_UNCHECKED: not past and battery is None,
        Flag.NOT_OFFLOADED: unstored,
        Flag.BATTERY_LOW: low,
    }
    return [flag.value for flag, is_so in found.items() if is_so]


def return_recorder(
    session: Session,
    device_no: str,
    *,
    at: datetime | None,
    battery: int | None,
    station_no: str,
    now: datetime,
    actor: str,
    battery_read: bool = False,
) -> list[Handover]:
    """Takes a recorder back at ``at`` (None: now): every custody that was open then ends, newest first.

    A return in the past of a recorder that nobody held is recorded with the flag ``not_out``;
    one of now is refused. Raises UnknownNumber, BadValue, ReturnRefused.
    """
    at = _not_later(at, now)
    percent("battery", battery)
    recorder = get_row(session, device_no, lock=True)
    rows = _open(session, recorder.id, at)
    if not rows and at == now:
        raise ReturnRefused(device_no=device_no, reason=_("nobody is registered as holding it"))
    if not rows:
        return [_note_stray_return(session, recorder, at, battery, station_no=station_no, now=now, actor=actor)]
    _ask(session, recorder, at, None, f"custody:{rows[0].id}", station_no=station_no, now=now, actor=actor)
    for row in rows:
        _end(
            session,
            recorder,
            row,
            at,
            battery=battery,
            battery_read=battery_read,
            newest=row is rows[0],
            station_no=station_no,
            now=now,
            actor=actor,
        )
    return [_handover(row, recorder.device_no) for row in rows]


def _return_flags(session: Session, row: CustodyRow, *, past: bool, newest: bool) -> list[str]:
    """The row's flags with the return's; an overlap that the return has shown to be none is gone."""
    others = [r for r in _overlapping(session, row.recorder_id, row.issued_at, row.returned_at) if r is not row]
    flags = [flag for flag in row.flags if flag != Flag.OVERLAP]
    flags += [Flag.OVERLAP.value] if others else []
    flags += [Flag.RETURN_BACKDATED.value] if past else []
    return flags if newest else [*flags, Flag.CLOSED_WITH_LATER.value]


def _note_stray_return(
    session: Session,
    recorder: RecorderRow,
    at: datetime,
    battery: int | None,
    *,
    station_no: str,
    now: datetime,
    actor: str,
) -> Handover:
    """A return without a custody, as a line of the equipment register."""
    flags = (Flag.RETURN_BACKDATED.value, Flag.NOT_OUT.value)
    row = RecorderEventRow(
        recorder_id=recorder.id,
        kind="returned",
        at=at,
        person=actor,
        battery_pct=battery,
        battery_source=_source(battery, False),
        result=Flag.NOT_OUT.value,
        created_at=now,
    )
    session.add(row)
    session.flush()
    stray = Handover(None, recorder.device_no, None, None, None, at, None, battery, None, flags)
    ledger.append(
        session,
        station_no=station_no,
        kind="custody.returned",
        subject=f"recorder:{recorder.device_no}",
        data={
            "custody_id": None,
            "event_id": row.id,
            "device_no": recorder.device_no,
            "returned_at": instant(at),
            "returned_by": actor,
            "battery_in": battery,
            "battery_in_source": row.battery_source,
            "flags": list(flags),
        },
        at=now,
        actor=actor,
    )
    return stray


def _not_later(at: datetime | None, now: datetime) -> datetime:
    if at is not None and at > now:
        raise BadValue(what="--at", value=at.isoformat(), expected=_("a time that is not in the future"))
    return at or now


def _reason(override: str | None) -> str | None:
    reason = words("--override", override, _REASON_MAX)
    if override is not None and reason is None:
        raise BadValue(what="--override", value="''", expected=_("a reason"))
    return reason


# --- what custody says -----------------------------------------------------------------------------------


def custody_around(session: Session, device_no: str, frm: datetime, to: datetime) -> list[Custody]:
    """Every custody of the recorder that has a moment in ``frm`` to ``to``, both included, oldest first.

    Reads what began within that time and the last 16 that began before it, whatever the
    length of the history.
    """
    recorder_id = select(RecorderRow.id).where(RecorderRow.device_no == device_no).scalar_subquery()
    before = (
        select(CustodyRow)
        .where(CustodyRow.recorder_id == recorder_id, CustodyRow.issued_at < frm)
        .order_by(CustodyRow.issued_at.desc(), CustodyRow.id.desc())
        .limit(_REACH)
    )
    within = (
        select(CustodyRow)
        .where(CustodyRow.recorder_id == recorder_id, CustodyRow.issued_at.between(frm, to))
        .order_by(CustodyRow.issued_at, CustodyRow.id)
    )
    lasting = [row for row in session.scalars(before) if row.returned_at is None or row.returned_at >= frm]
    return [_noun(row) for row in (*reversed(lasting), *session.scalars(within))]


def custody_of(session: Session, device_no: str, *, limit: int = 20) -> list[Handover]:
    """The newest handings-over of a recorder, newest first."""
    query = (
        select(CustodyRow)
        .join(RecorderRow, RecorderRow.id == CustodyRow.recorder_id)
        .where(RecorderRow.device_no == device_no)
        .order_by(CustodyRow.issued_at.desc(), CustodyRow.id.desc())
        .limit(limit)
    )
    return [_handover(row, device_no) for row in session.scalars(query)]


def holders(session: Session) -> dict[str, str]:
    """Who holds which recorder now: its number and the certificate number of the newest open custody."""
    query = (
        select(RecorderRow.device_no, CustodyRow.cert_no)
        .join(RecorderRow, RecorderRow.id == CustodyRow.recorder_id)
        .where(CustodyRow.returned_at.is_(None))
        .order_by(CustodyRow.issued_at, CustodyRow.id)
    )
    return {row.device_no: row.cert_no for row in session.execute(query)}


def _overlapping(session: Session, recorder_id: int, frm: datetime, to: datetime | None) -> list[CustodyRow]:
    """Custody with a moment in the half-open period from ``frm`` to ``to`` (None: without end)."""
    query = select(CustodyRow).where(
        CustodyRow.recorder_id == recorder_id,
        or_(CustodyRow.returned_at.is_(None), CustodyRow.returned_at > frm),
    )
    if to is not None:
        query = query.where(CustodyRow.issued_at < to)
    return list(session.scalars(query.order_by(CustodyRow.issued_at, CustodyRow.id)))


def _open(session: Session, recorder_id: int, at: datetime) -> list[CustodyRow]:
    """Custody that was issued by ``at`` and has not ended, newest first."""
    query = (
        select(CustodyRow)
        .where(CustodyRow.recorder_id == recorder_id, CustodyRow.returned_at.is_(None), CustodyRow.issued_at <= at)
        .order_by(CustodyRow.issued_at.desc(), CustodyRow.id.desc())
    )
    return list(session.scalars(query))


# --- the ledger's side -------------------------------------------------------------------------------------


def _tell_issue(
    session: Session, recorder: RecorderRow, row: CustodyRow, *, station_no: str, now: datetime, actor: str
) -> None:
    ledger.append(
        session,
        station_no=station_no,
        kind="custody.issued",
        subject=f"recorder:{recorder.device_no}",
        data={
            "custody_id": row.id,
            "device_no": recorder.device_no,
            "cert_no": row.cert_no,
            "issued_at": instant(row.issued_at),
            "due_at": instant(row.due_at),
            "issued_by": row.issued_by,
            "battery_out": row.battery_out,
            "battery_out_source": row.battery_out_source,
            "override_reason": row.override_reason,
            "flags": row.flags,
        },
        at=now,
        actor=actor,
    )


def _tell_return(
    session: Session, recorder: RecorderRow, row: CustodyRow, *, station_no: str, now: datetime, actor: str
) -> None:
    ledger.append(
        session,
        station_no=station_no,
        kind="custody.returned",
        subject=f"recorder:{recorder.device_no}",
        data={
            "custody_id": row.id,
            "device_no": recorder.device_no,
            "cert_no": row.cert_no,
            "issued_at": instant(row.issued_at),
            "returned_at": instant(row.returned_at),
            "returned_by": row.returned_by,
            "battery_in": row.battery_in,
            "battery_in_source": row.battery_in_source,
            "flags": row.flags,
        },
        at=now,
        actor=actor,
    )


def _noun(row: CustodyRow) -> Custody:
    return Custody(row.id, row.cert_no, row.issued_at, row.returned_at, row.due_at)


def _handover(row: CustodyRow, device_no: str) -> Handover:
    return Handover(
        custody_id=row.id,
        device_no=device_no,
        cert_no=row.cert_no,
        issued_at=row.issued_at,
        due_at=row.due_at,
        returned_at=row.returned_at,
        battery_out=row.battery_out,
        battery_in=row.battery_in,
        override_reason=row.override_reason,
        flags=tuple(row.flags),
        battery_out_source=row.battery_out_source,
        battery_in_source=row.battery_in_source,
    )
