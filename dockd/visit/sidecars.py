"""A sidecar beside each file for the present revision of its record, on the medium and in the register."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from dockd.errors import StoredFileAltered
from dockd.footage.sidecar import SidecarValues, parse_sidecar, render_sidecar, sidecar_name, write_sidecar
from dockd.nouns import Officer
from dockd.offload.durable import blaming_store
from dockd.register import ledger, officers, recorders, records
from dockd.register.footage import holes_of, other_paths, without_own_sidecar
from dockd.register.ledger import Line
from dockd.register.records import Record
from dockd.register.reviews import Concerned, ask_review, take_turn
from dockd.register.station import Station
from dockd.register.tables import SidecarRow
from dockd.register.values import chunks

_BATCH = 64


def write_sidecars(station: Station, record_ids: Sequence[int], *, check: Callable[[], None]) -> None:
    """Each record's present revision has its sidecar when this returns; another station is asked to write its own.

    Done again after a crash it writes the same bytes. Raises StoreError; ``check`` raises when
    this process may not write any more.
    """
    for start in range(0, len(record_ids), _BATCH):
        _write_batch(station, record_ids[start : start + _BATCH], check)


def write_lacking(station: Station, record_ids: Sequence[int]) -> None:
    """The records' present revisions that have no sidecar yet get one. Raises StoreError."""
    with station.register.read() as session:
        lacking = [
            number for some in chunks(dict.fromkeys(record_ids)) for number in without_own_sidecar(session, some)
        ]
    write_sidecars(station, lacking, check=lambda: None)


def _write_batch(station: Station, record_ids: Sequence[int], check: Callable[[], None]) -> None:
    with station.register.read() as session:
        found = [record for number in record_ids if (record := records.find_record(session, number))]
        own = [record for record in found if record.station_no == station.station_no]
        values = [(record, values_of(session, record)) for record in own if record.location]
    if others := [record.record_id for record in found if record.station_no != station.station_no]:
        _ask_others(station, others)
    rows: list[dict[str, Any]] = []
    for record, said in values:
        check()
        place = sidecar_name(str(record.location), said.revision)
        digest = _write(Path(station.store, place), said)
        rows.append(
            {
                "record_id": record.record_id,
                "revision": record.revision,
                "path": place,
                "sha256": digest,
                "written_at": station.now(),
            }
        )
    _keep(station, rows)


def _ask_others(station: Station, record_ids: Sequence[int]) -> None:
    """What a person or a card said here of another station's recordings: that one judges and writes them down."""
    with station.register.write() as session:
        ask_review(
            session,
            [Concerned(record_id=number) for number in record_ids],
            why="sidecar",
            station_no=station.station_no,
            at=station.now(),
            actor=station.actor,
        )


def _write(path: Path, said: SidecarValues) -> str:
    """Writes one sidecar; returns its SHA-256.

    One that a crash left without its row is taken as it stands if it speaks of the same bytes and
    revision: names of officers and units may have changed since, and a sidecar is never rewritten.
    Raises StoredFileAltered for one that does not, StoreError.
    """
    with blaming_store(str(path)):
        try:
            return write_sidecar(path, render_sidecar(said))
        except FileExistsError:
            standing = path.read_bytes()
    if _identity(parse_sidecar(standing)) != _identity(said):
        raise StoredFileAltered(location=path.name, reason="it speaks of other bytes or of another revision")
    return hashlib.sha256(standing).hexdigest()


def _identity(said: SidecarValues) -> tuple[object, ...]:
    return said.file_no, said.revision, said.digest, said.size


def _keep(station: Station, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    with station.register.write() as session:
        take_turn(session, station.station_no)
        known = select(SidecarRow.path).where(SidecarRow.path.in_([row["path"] for row in rows]))
        written = set(session.scalars(known))  # a tag and a visit's end may meet on one revision
        rows = [row for row in rows if row["path"] not in written]
        if not rows:
            return
        session.execute(insert(SidecarRow), rows)
        ledger.append_many(
            session,
            station_no=station.station_no,
            actor=station.actor,
            lines=[Line("sidecar.written", f"record:{row['record_id']}", row, row["written_at"]) for row in rows],
        )


def values_of(session: Session, record: Record) -> SidecarValues:
    """What the sidecar of a record's present revision says."""
    recorder = recorders.find_recorder(session, record.device_no) if record.device_no else None
    facts = record.facts
    return SidecarValues(
        file_no=record.file_no,
        revision=record.revision + 1,  # a sidecar counts from 1: the second one is named .r2.xmp
        record_id=record.record_id,
        visit_id=record.visit_id,
        title=record.title,
        device_no=record.device_no,
        device_serial=record.device_serial,
        device_kind=recorder.device_kind if recorder else None,
        unit=recorder.unit if recorder else None,
        officers=_officers(session, record),
        owner_state=record.owner_state,
        officer_basis=record.basis.get("officers"),
        used_from=record.used_from,
        used_to=record.used_to,
        time_basis=record.time_basis or None,
        time_flags=record.time_flags,
        party=tuple(p for p in (record.party or "").split("；") if p),
        case_cause=record.case_cause,
        case_no=record.case_no,
        case_basis=record.basis.get("case_no"),
        act_type=record.act_type,
        stage=record.stage,
        step=record.step,
        matter=record.matter,
        points=record.points,
        party_notified=record.party_notified,
        place=record.place,
        method=record.method,
        confidentiality=record.confidentiality,
        retention_class=record.retention_class,
        retain_until=record.retain_until,
        is_evidence=record.is_evidence,
        important_mark=record.important_mark,
        remark=record.remark,
        original_path=record.original_path,
        other_paths=other_paths(session, record.file_no, record.original_path),
        media_type=record.media_type,
        location=record.location,
        digest_algo="SHA-256",
        digest=record.sha256,
        size=record.size,
        holes=holes_of(session, record.footage_id),
        station_no=record.station_no,
        bay=record.bay,
        docked_at=record.docked_at,
        stored_at=record.stored_at,
        deadline_at=record.deadline_at,
        late=record.late,
        late_kind=record.late_kind,
        container=facts.get("container"),
        duration_s=facts.get("duration_s"),
        video_codec=facts.get("video_codec"),
        audio_codec=facts.get("audio_codec"),
        width=facts.get("width"),
        height=facts.get("height"),
        make=facts.get("make"),
        model=facts.get("model"),
        gps_position=facts.get("gps_position"),
        problems=tuple(facts.get("problems", ())),
    )


def _officers(session: Session, record: Record) -> tuple[Officer, ...]:
    found = [(number, officers.find_officer(session, number)) for number in record.officers]
    return tuple(officer or Officer(number, number) for number, officer in found)
