"""Station, officers, recorders, custody and cases out of their ledger lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from dockd.register.rebuilding.lines import TaleLine
from dockd.register.rebuilding.rows import Rows, said
from dockd.register.tables import (
    CaseRow,
    CaseWorkRow,
    ClockReadingRow,
    CustodyRow,
    ExceptionRow,
    InterruptionRow,
    OfficerRow,
    RecorderEventRow,
    RecorderIdentityRow,
    RecorderRow,
    ReviewRow,
    StationRow,
)

_OFFICER = ("cert_no", "name", "badge", "unit")
_RECORDER = (
    *("device_no", "device_serial", "model", "profile", "unit"),
    *("custodian", "device_kind", "owner_cert_no", "past_owners", "attributes", "state"),
)
_ISSUED = (
    *("cert_no", "issued_at", "due_at", "issued_by", "battery_out", "battery_out_source"),
    *("override_reason", "flags"),
)
_RETURNED = ("returned_at", "returned_by", "battery_in", "battery_in_source", "flags")
_EQUIPMENT = (
    *("kind", "at", "person", "battery_pct", "battery_source", "card_size", "card_free", "clock_offset_s"),
    *("told", "result", "repairer", "sent_at", "back_at", "visit_id", "facts"),
)
_READING = (
    *("at", "offset_s", "evidence", "at_least", "set_after"),
    *("visit_id", "record_id", "person", "note"),
)
_EXCEPTION = (
    *("cert_no", "reason", "from_at", "to_at", "returned_at", "unable"),
    *("declared_by", "declared_at", "confirmed_by", "confirmed_at", "note"),
)
_CASE = (
    *("case_no", "case_cause", "parties", "place", "matter", "act_type", "stage"),
    *("confidentiality", "full_course_required", "closed_at", "filed_at", "former_numbers"),
)
_WORK = ("cert_no", "used_from", "used_to", "place")


def station_created(rows: Rows, line: TaleLine) -> None:
    values = said(StationRow, line.data, ("station_no", "store_id"))
    rows.add(StationRow, **values, created_at=line.at, last_seen_at=line.at)


def officer_added(rows: Rows, line: TaleLine) -> None:
    rows.add(OfficerRow, **said(OfficerRow, line.data, _OFFICER), created_at=line.at, updated_at=line.at)


def officer_changed(rows: Rows, line: TaleLine) -> None:
    values = said(OfficerRow, line.data, _OFFICER)
    rows.change(OfficerRow, {"cert_no": line.data["cert_no"]}, **values, updated_at=line.at)


def recorder_added(rows: Rows, line: TaleLine) -> None:
    key = len(rows.recorders) + 1
    values = said(RecorderRow, line.data, _RECORDER)
    rows.add(RecorderRow, id=key, **values, created_at=line.at, updated_at=line.at)
    rows.recorders[line.data["device_no"]] = key


def recorder_changed(rows: Rows, line: TaleLine) -> None:
    values = said(RecorderRow, line.data, _RECORDER)
    rows.change(RecorderRow, {"id": rows.recorders[line.data["device_no"]]}, **values, updated_at=line.at)


def identity_trusted(rows: Rows, line: TaleLine) -> None:
    note_identity(rows, line, line.data["device_no"], line.data["kind"], line.data["value"])
    named = {"kind": line.data["kind"], "value": line.data["value"]}
    rows.change(RecorderIdentityRow, {"recorder_id": rows.recorders[line.data["device_no"]], **named}, trusted=True)


def note_identity(rows: Rows, line: TaleLine, device_no: str, kind: str, value: str) -> None:
    """A recorder was seen with this identity."""
    where = {"recorder_id": rows.recorders[device_no], "kind": kind, "value": value}
    rows.flush()
    known = select(RecorderIdentityRow.first_seen_at, RecorderIdentityRow.last_seen_at).filter_by(**where)
    if times := rows.session.execute(known).one_or_none():
        first, last = min(times[0], line.at), max(times[1], line.at)
        rows.change(RecorderIdentityRow, where, first_seen_at=first, last_seen_at=last)
    else:
        rows.add(RecorderIdentityRow, **where, trusted=False, first_seen_at=line.at, last_seen_at=line.at)


def custody_issued(rows: Rows, line: TaleLine) -> None:
    recorder_id = rows.recorders[line.data["device_no"]]
    rows.add(CustodyRow, id=line.data["custody_id"], recorder_id=recorder_id, **said(CustodyRow, line.data, _ISSUED))


def custody_returned(rows: Rows, line: TaleLine) -> None:
    """The end of a custody, or, where nobody was registered as holding it, a line of the equipment register."""
    if line.data["custody_id"] is not None:
        rows.change(CustodyRow, {"id": line.data["custody_id"]}, **said(CustodyRow, line.data, _RETURNED))
        return
    values = said(CustodyRow, line.data, _RETURNED)
    rows.add(
        RecorderEventRow,
        id=line.data["event_id"],
        recorder_id=rows.recorders[line.data["device_no"]],
        kind="returned",
        at=values["returned_at"],
        person=values["returned_by"],
        battery_pct=values["battery_in"],
        battery_source=values["battery_in_source"],
        result="not_out",
        facts={},
        created_at=line.at,
    )


def equipment_event(rows: Rows, line: TaleLine) -> None:
    """A line of the equipment register, and the state in which it left the recorder."""
    recorder_id = rows.recorders[line.data["device_no"]]
    values = said(RecorderEventRow, line.data, _EQUIPMENT)
    rows.add(RecorderEventRow, id=line.data["event_id"], recorder_id=recorder_id, **values, created_at=line.at)
    if line.data["state_before"] != line.data["state"]:
        rows.change(RecorderRow, {"id": recorder_id}, state=line.data["state"], updated_at=line.at)


def clock_read(rows: Rows, line: TaleLine) -> None:
    values = said(ClockReadingRow, line.data, _READING)
    recorder_id = rows.recorders[line.data["device_no"]]
    rows.add(ClockReadingRow, id=line.data["reading_id"], recorder_id=recorder_id, **values, created_at=line.at)


def exception_added(rows: Rows, line: TaleLine) -> None:
    recorder_id = rows.recorder(line.data["device_no"])
    values = said(ExceptionRow, line.data, _EXCEPTION)
    rows.add(ExceptionRow, id=line.data["exception_id"], recorder_id=recorder_id, **values)


def exception_changed(rows: Rows, line: TaleLine) -> None:
    rows.change(ExceptionRow, {"id": line.data["exception_id"]}, **said(ExceptionRow, line.data, _EXCEPTION))


def case_added(rows: Rows, line: TaleLine) -> None:
    key = len(rows.cases) + 1
    rows.add(CaseRow, id=key, **said(CaseRow, line.data, _CASE), created_at=line.at, updated_at=line.at)
    rows.cases[line.data["case_no"]] = key
    _works(rows, key, line.data)


def case_changed(rows: Rows, line: TaleLine) -> None:
    key = rows.cases[line.data["case_no"]]
    rows.change(CaseRow, {"id": key}, **said(CaseRow, line.data, _CASE), updated_at=line.at)
    _works(rows, key, line.data)


def case_renumbered(rows: Rows, line: TaleLine) -> None:
    before, after = line.data["changes"]["case_no"]
    rows.cases[after] = rows.cases.pop(before)
    for table in (InterruptionRow, ReviewRow):
        rows.change_any(table, {"case_no": before}, case_no=after)
    case_changed(rows, line)


def _works(rows: Rows, case_id: int, data: Mapping[str, Any]) -> None:
    for work in data.get("works_added", ()):
        rows.add(CaseWorkRow, case_id=case_id, **said(CaseWorkRow, work, _WORK))
    for work in data.get("works_changed", ()):
        before = said(CaseWorkRow, work["before"], _WORK)
        rows.change(CaseWorkRow, {"case_id": case_id, **before}, **said(CaseWorkRow, work["after"], _WORK))
    for work in data.get("works_removed", ()):
        rows.remove(CaseWorkRow, {"case_id": case_id, **said(CaseWorkRow, work, _WORK)})
