"""The equipment register: checks, maintenance, faults and repairs of each recorder (articles 24 and 26).

Every act is one row and one ledger line in the caller's transaction. What has happened already is
recorded whenever it is entered; it changes the recorder's state only where nothing later did.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dockd.errors import ActRefused, BadValue
from dockd.law.care import BatterySource
from dockd.law.faults import Act, changes_state, is_possible, state_after
from dockd.law.vocabulary import EQUIPMENT_EVENTS
from dockd.locale import _, language
from dockd.register import alerts, ledger
from dockd.register.recorders import STATE_WORDS, get_row
from dockd.register.station import Station
from dockd.register.tables import RecorderEventRow, RecorderRow, RecorderState
from dockd.register.values import instant, percent, width, words

_TEXT_MAX = 1000
_STATE_ACTS = tuple(act.value for act in Act if changes_state(act))


@dataclass(frozen=True, slots=True, kw_only=True)
class EquipmentEvent:
    """One line of the equipment register. ``person`` is who did it, ``state`` the recorder's state afterwards."""

    event_id: int
    device_no: str
    kind: str
    at: datetime
    person: str | None = None
    battery_pct: int | None = None
    battery_source: str | None = None
    card_size: int | None = None
    card_free: int | None = None
    clock_offset_s: float | None = None
    told: str | None = None
    result: str | None = None
    repairer: str | None = None
    sent_at: datetime | None = None
    back_at: datetime | None = None
    visit_id: int | None = None
    facts: Mapping[str, Any]
    state: str | None = None


_SAID = tuple(f.name for f in fields(EquipmentEvent) if f.name not in ("event_id", "device_no", "state"))


# --- acts ----------------------------------------------------------------------------------------------


def inspect(
    session: Session,
    station: Station,
    device_no: str,
    *,
    at: datetime | None = None,
    person: str | None = None,
    battery: int | None = None,
    battery_source: BatterySource | None = None,
    note: str | None = None,
    card_size: int | None = None,
    card_free: int | None = None,
    clock_offset_s: float | None = None,
    visit_id: int | None = None,
    facts: Mapping[str, Any] | None = None,
) -> EquipmentEvent:
    """A check of battery and memory, by a person or (with ``visit_id``) by a dock. Raises UnknownNumber, BadValue."""
    percent("battery", battery)
    source = battery_source or (BatterySource.UNKNOWN if battery is None else BatterySource.ENTERED)
    return _enter(
        session,
        station,
        device_no,
        Act.CHECKED,
        at=at,
        person=person,
        told=note,
        battery_pct=battery,
        battery_source=source.value,
        card_size=card_size,
        card_free=card_free,
        clock_offset_s=clock_offset_s,
        visit_id=visit_id,
        facts=dict(facts or {}),
    )


def maintain(
    session: Session,
    station: Station,
    device_no: str,
    act: Act = Act.MAINTAINED,
    *,
    told: str,
    at: datetime | None = None,
    person: str | None = None,
) -> EquipmentEvent:
    """Maintenance (维护), care (保养) or putting into store (存放). Raises UnknownNumber, BadValue, ActRefused."""
    return _enter(session, station, device_no, act, at=at, person=person, told=_required("--text", told))


def report_fault(
    session: Session,
    station: Station,
    device_no: str,
    *,
    told: str,
    at: datetime | None = None,
    person: str | None = None,
) -> EquipmentEvent:
    """A fault: out of service at once, and an alert until it is back. Raises UnknownNumber, BadValue, ActRefused."""
    done = _enter(session, station, device_no, Act.FAULTED, at=at, person=person, told=_required("--text", told))
    if done.state != RecorderState.IN_SERVICE:
        alerts.open_alert(
            session,
            station_no=station.station_no,
            kind="recorder_fault",
            about=f"recorder:{device_no}",
            facts={"event_id": done.event_id, "at": instant(done.at), "device_no": device_no},
            at=station.now(),
            device_no=device_no,
            actor=station.actor,
        )
    return done


def send_to_repair(
    session: Session,
    station: Station,
    device_no: str,
    *,
    by: str,
    at: datetime | None = None,
    person: str | None = None,
) -> EquipmentEvent:
    """Sent to the repairer ``by``. Raises UnknownNumber, BadValue, ActRefused."""
    repairer = words("--by", by, width(RecorderEventRow.repairer))
    if repairer is None:
        raise BadValue(what="--by", value="''", expected=_("who repairs it"))
    return _enter(session, station, device_no, Act.SENT, at=at, person=person, repairer=repairer)


def take_back(
    session: Session,
    station: Station,
    device_no: str,
    *,
    result: str,
    fit: bool = True,
    at: datetime | None = None,
    person: str | None = None,
) -> EquipmentEvent:
    """Back from repair: in service by this person's word, or with ``fit`` False out of service still.

    Raises UnknownNumber, BadValue, ActRefused.
    """
    said: dict[str, Any] = {"result": _required("--result", result), "facts": {"fit": fit}}
    sent = _last_sent(session, get_row(session, device_no).id)
    if sent:
        said |= {"repairer": sent.repairer, "sent_at": sent.at}
    return _enter(session, station, device_no, Act.BACK, at=at, person=person, fit=fit, **said)


def restore(
    session: Session,
    station: Station,
    device_no: str,
    *,
    note: str,
    at: datetime | None = None,
    person: str | None = None,
) -> EquipmentEvent:
    """Back in service without a repair, by a named person. Raises UnknownNumber, BadValue, ActRefused."""
    return _enter(session, station, device_no, Act.RESTORED, at=at, person=person, told=_required("--note", note))


def retire(
    session: Session,
    station: Station,
    device_no: str,
    *,
    reason: str,
    at: datetime | None = None,
    person: str | None = None,
) -> EquipmentEvent:
    """Out of use for good. Raises UnknownNumber, BadValue, ActRefused."""
    return _enter(session, station, device_no, Act.RETIRED, at=at, person=person, told=_required("--reason", reason))


def _enter(
    session: Session,
    station: Station,
    device_no: str,
    act: Act,
    *,
    at: datetime | None,
    person: str | None,
    told: str | None = None,
    fit: bool = True,
    **said: Any,
) -> EquipmentEvent:
    """One act: its row, the recorder's new state, the ledger line, and the end of the alerts that it settles."""
    now = station.now()
    at = at or now
    if at > now:
        raise BadValue(what="--at", value=at.isoformat(), expected=_("a time that is not in the future"))
    recorder = get_row(session, device_no, lock=True)
    before = recorder.state
    superseded = at < now and changes_state(act) and _later_act(session, recorder.id, at)
    if not superseded:
        _require_possible(recorder, act)
        recorder.state = state_after(act, before, fit=fit)
    if recorder.state != before:
        recorder.updated_at = now
    who = words("--person", person, width(RecorderEventRow.person)) or station.actor
    values = {"kind": act.value, "at": at, "person": who, "told": words("--text", told, _TEXT_MAX), "facts": {}} | said
    times = {Act.SENT: "sent_at", Act.BACK: "back_at"}
    if act in times:
        values[times[act]] = at
    row = RecorderEventRow(recorder_id=recorder.id, created_at=now, **values)
    session.add(row)
    session.flush()
    _tell(session, station, recorder, row, before)
    if row.visit_id is None:  # a dock reads no battery: its check is not the one that falls due
        _settle(session, station, recorder, act)
    return _event(row, recorder.device_no, recorder.state)


def _require_possible(recorder: RecorderRow, act: Act) -> None:
    if not is_possible(act, recorder.state):
        act_words = EQUIPMENT_EVENTS[act.value].text(language())
        reason = _("it is {state}").format(state=_(STATE_WORDS[recorder.state]))
        raise ActRefused(device_no=recorder.device_no, act=act_words, reason=reason)


def _later_act(session: Session, recorder_id: int, at: datetime) -> bool:
    """Whether an act that says in which state the recorder is happened after ``at``."""
    return bool(
        session.scalar(
            select(RecorderEventRow.id)
            .where(
                RecorderEventRow.recorder_id == recorder_id,
                RecorderEventRow.at > at,
                RecorderEventRow.kind.in_(_STATE_ACTS),
            )
            .limit(1)
        )
    )


def _last_sent(session: Session, recorder_id: int) -> RecorderEventRow | None:
    return session.scalar(
        select(RecorderEventRow)
        .where(RecorderEventRow.recorder_id == recorder_id, RecorderEventRow.kind == Act.SENT.value)
        .order_by(RecorderEventRow.at.desc(), RecorderEventRow.id.desc())
        .limit(1)
    )


def _tell(session: Session, station: Station, recorder: RecorderRow, row: RecorderEventRow, before: str) -> None:
    data = {name: _plain(getattr(row, name)) for name in _SAID}
    numbers = {"event_id": row.id, "device_no": recorder.device_no, "state_before": before, "state": recorder.state}
    ledger.append(
        session,
        station_no=station.station_no,
        kind=f"recorder.{row.kind}",
        subject=f"recorder:{recorder.device_no}",
        data=data | numbers,
        at=row.created_at,
        actor=station.actor,
    )


def _plain(value: Any) -> Any:
    return instant(value) if isinstance(value, datetime) else value


def _settle(session: Session, station: Station, recorder: RecorderRow, act: Act) -> None:
    """The alerts that the act ends: a fault's when the recorder is of use again, or never will be."""
    ended = {
        Act.CHECKED: ("check_due",),
        Act.MAINTAINED: ("maintenance_due",),
        Act.BACK: ("repair_overdue",),
        Act.RETIRED: ("recorder_fault", "repair_overdue", "check_due", "maintenance_due"),
    }
    kinds = ended.get(act, ())
    if recorder.state == RecorderState.IN_SERVICE and act in (Act.BACK, Act.RESTORED):
        kinds = (*kinds, "recorder_fault")
    for kind in kinds:
        alerts.settle_alert(
            session,
            station_no=station.station_no,
            kind=kind,
            about=f"recorder:{recorder.device_no}",
            note=act.value,
            at=station.now(),
            actor=station.actor,
        )


def _required(what: str, text: str) -> str:
    said = words(what, text, _TEXT_MAX)
    if said is None:
        raise BadValue(what=what, value="''", expected=_("a few words"))
    return said


# --- what the register says ------------------------------------------------------------------------------


def events_of(session: Session, device_no: str, *, limit: int | None = None) -> list[EquipmentEvent]:
    """The recorder's lines, newest first."""
    query = (
        select(RecorderEventRow, RecorderRow.device_no)
        .join(RecorderRow, RecorderRow.id == RecorderEventRow.recorder_id)
        .where(RecorderRow.device_no == device_no)
        .order_by(RecorderEventRow.at.desc(), RecorderEventRow.id.desc())
        .limit(limit)
    )
    return [_event(row, number) for row, number in session.execute(query)]


def checks_by_docks(session: Session, recorder_id: int, *, limit: int) -> list[RecorderEventRow]:
    """What docks measured of this recorder, newest first."""
    query = (
        select(RecorderEventRow)
        .where(
            RecorderEventRow.recorder_id == recorder_id,
            RecorderEventRow.kind == Act.CHECKED.value,
            RecorderEventRow.visit_id.is_not(None),
        )
        .order_by(RecorderEventRow.at.desc(), RecorderEventRow.id.desc())
        .limit(limit)
    )
    return list(session.scalars(query))


def _event(row: RecorderEventRow, device_no: str, state: str | None = None) -> EquipmentEvent:
    return EquipmentEvent(
        event_id=row.id, device_no=device_no, state=state, **{name: getattr(row, name) for name in _SAID}
    )
