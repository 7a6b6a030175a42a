"""Records with their revisions, sidecars and alerts out of their ledger lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from sqlalchemy import delete, select

from dockd.register.rebuilding.lines import TaleLine
from dockd.register.rebuilding.rows import Rows, said, typed
from dockd.register.records import NewRecord
from dockd.register.tables import (
    AlertRow,
    AlertState,
    InterruptionRow,
    RecordOfficerRow,
    RecordRow,
    RecordTokenRow,
    ReviewRow,
    RevisionRow,
    SidecarRow,
)

# The recorder's key is looked up by its number.
_RECORD = (
    *(f.name for f in fields(NewRecord) if f.name not in ("recorder_id", "tokens")),
    *("tags_complete", "witnessed_from", "witnessed_to"),
)
_SIDECAR = ("record_id", "revision", "path", "sha256", "written_at")
_REVIEW = ("cert_no", "case_no", "record_id", "token", "waiting", "from_at", "to_at")
_INTERRUPTION = (
    *("about", "kind", "case_no", "before_record_id", "after_record_id", "severity", "state"),
    *("cause", "form", "position", "doc_no", "signed_by", "note", "decided_by"),
    *("from_at", "to_at", "found_at", "decided_at"),
)
_ALERT = ("kind", "about", "severity", "visit_id", "record_id", "facts")


def record_added(rows: Rows, line: TaleLine) -> None:
    data = line.data
    rows.add(
        RecordRow,
        id=data["record_id"],
        recorder_id=rows.recorder(data["device_no"]),
        revision=0,
        **said(RecordRow, data, _RECORD),
    )
    _name_officers(rows, data["record_id"], data["officers"])
    for token in data["tokens"]:
        rows.add(RecordTokenRow, record_id=data["record_id"], token=token)


def record_revised(rows: Rows, line: TaleLine) -> None:
    record_id, number, changes = line.data["record_id"], line.data["revision"], line.data["changes"]
    after = {name: typed(RecordRow, name, value) for name, (_before, value) in changes.items()}
    if "basis" in after:  # a line holds only the reasons that are new
        rows.flush()
        known = rows.session.scalar(select(RecordRow.basis).where(RecordRow.id == record_id))
        after["basis"] = {**(known or {}), **after["basis"]}
    rows.change(RecordRow, {"id": record_id}, **after, revision=number)
    if "officers" in after:
        dropped = rows.session.execute(delete(RecordOfficerRow).where(RecordOfficerRow.record_id == record_id))
        rows.counts["record_officer"] -= int(dropped.rowcount)  # type: ignore[attr-defined]
        _name_officers(rows, record_id, after["officers"])
    rows.add(
        RevisionRow,
        record_id=record_id,
        number=number,
        at=line.at,
        actor=line.actor,
        why=line.data["why"],
        changes=changes,
    )


def _name_officers(rows: Rows, record_id: int, cert_nos: Sequence[str]) -> None:
    for position, cert_no in enumerate(dict.fromkeys(cert_nos)):
        rows.add(RecordOfficerRow, record_id=record_id, cert_no=cert_no, position=position)


def review_asked(rows: Rows, line: TaleLine) -> None:
    """What was to be judged again; ``review_done`` takes it away, and what is left is done after the replay."""
    for data in line.data["reviews"]:
        rows.add(
            ReviewRow,
            id=data["review_id"],
            station_no=rows.station_no,
            recorder_id=rows.recorder(data["device_no"]),
            why=line.data["why"],
            asked_at=line.at,
            done_id=0,
            **said(ReviewRow, data, _REVIEW),
        )


def review_done(rows: Rows, line: TaleLine) -> None:
    rows.remove(ReviewRow, {"id": line.data["review_id"]})


def sidecar_written(rows: Rows, line: TaleLine) -> None:
    rows.add(SidecarRow, **said(SidecarRow, line.data, _SIDECAR))


def interruption_told(rows: Rows, line: TaleLine) -> None:
    """A candidate as it was found, withdrawn or decided: each line says all of it."""
    data = line.data
    values = said(InterruptionRow, data, _INTERRUPTION) | {"recorder_id": rows.recorder(data["device_no"])}
    if not rows.change_any(InterruptionRow, {"id": data["interruption_id"]}, **values):
        rows.add(InterruptionRow, id=data["interruption_id"], station_no=rows.station_no, **values)


def alert_opened(rows: Rows, line: TaleLine) -> None:
    rows.add(
        AlertRow,
        id=line.data["alert_id"],
        station_no=rows.station_no,
        recorder_id=rows.recorder(line.data["device_no"]),
        state=AlertState.OPEN.value,
        opened_at=line.at,
        **said(AlertRow, line.data, _ALERT),
    )


def alert_acknowledged(rows: Rows, line: TaleLine) -> None:
    rows.change(
        AlertRow,
        {"id": line.data["alert_id"]},
        state=AlertState.ACKNOWLEDGED.value,
        acknowledged_at=line.at,
        acknowledged_by=line.actor,
        acknowledge_note=line.data["note"],
    )


def alert_escalated(rows: Rows, line: TaleLine) -> None:
    values = {name: line.data[name] for name in ("level", "severity")}
    rows.change(AlertRow, {"id": line.data["alert_id"]}, **values, repeated_at=line.at)


def alert_repeated(rows: Rows, line: TaleLine) -> None:
    rows.change(AlertRow, {"id": line.data["alert_id"]}, repeated_at=line.at)


def alert_closed(rows: Rows, line: TaleLine) -> None:
    rows.change(
        AlertRow,
        {"id": line.data["alert_id"]},
        state=AlertState.CLOSED.value,
        closed_at=line.at,
        closed_by=line.actor,
        close_note=line.data["note"],
    )
