"""Stored footage for tests of what comes after storing: real rows by the real functions, real files on demand."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

from dockd.nouns import (
    CardIdentity,
    Entry,
    EntryType,
    MediaType,
    Officer,
    Place,
    Recorder,
    Source,
    VerifiedVia,
    VisitOutcome,
    display_path,
)
from dockd.offload import layout
from dockd.register import cases, officers, recorders, records, transfers, visits
from dockd.register.cases import CaseLine
from dockd.register.records import NewRecord
from dockd.register.session import Register
from dockd.register.tables import FootageRow, RecorderRow, VisitRow

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


@dataclass
class Shelf:
    """Puts footage into a register, and with ``store`` its files into that store."""

    register: Register
    store: Path | None = None
    station_no: str = "S1"
    at: datetime = AT
    numbers: Any = field(default_factory=lambda: count(1))

    def recorder(self, device_no: str = "YS-07", **said: Any) -> int:
        """Registers a recorder; returns its key."""
        with self.register.write() as session:
            new = Recorder(device_no, **{"device_serial": f"{device_no}-SN", **said})
            recorders.add_recorder(session, new, station_no=self.station_no, now=self.at, actor="person:tester")
            return session.query(RecorderRow.id).filter_by(device_no=device_no).scalar()

    def officer(self, cert_no: str = "13012301", name: str = "王强") -> str:
        with self.register.write() as session:
            new = Officer(cert_no, name)
            officers.add_officer(session, new, station_no=self.station_no, now=self.at, actor="person:tester")
        return cert_no

    def case(self, case_no: str = "A-1", **said: Any) -> str:
        line = cases.check_line(CaseLine(case_no, **{"case_cause": "无证采矿", "parties": ("张某",), **said}))
        with self.register.write() as session:
            cases.put_case_lines(session, [line], station_no=self.station_no, now=self.at, actor="person:tester")
        return case_no

    def visit(self, recorder_id: int | None = None, **said: Any) -> int:
        """Opens a visit; returns its number."""
        new = NewVisitDefaults(self.station_no, self.at)
        with self.register.write() as session:
            return visits.open_visit(session, new.visit(recorder_id, **said), actor="dockd")

    def footage(
        self,
        visit_id: int,
        name: bytes = b"DCIM/0001.MP4",
        data: bytes = b"bytes",
        *,
        media: MediaType = MediaType.VIDEO,
        mtime_ns: int = 1,
    ) -> int:
        """Stores one file; returns the key of its footage."""
        number = next(self.numbers)
        day = self.at.date()
        file_no = layout.file_no(self.station_no, day, visit_id, number)
        entry = Entry(name, EntryType.FILE, size=len(data), mtime_ns=mtime_ns)
        with self.register.write() as session:
            visit = session.get_one(VisitRow, visit_id)
            recorder = session.get(RecorderRow, visit.recorder_id) if visit.recorder_id else None
            device_no = recorder.device_no if recorder else None
            final = layout.final_path(day, device_no, file_no, name)
            plan = transfers.Planned(
                number, entry, media, Place.NORMAL, temp=layout.temp_path(final), final=final, file_no=file_no
            )
            ids = transfers.keep_listing(session, visit_id=visit_id, card_instance="card", planned=[plan])
            transfers.keep_plan(session, visit_id=visit_id, planned=[plan], ids=ids)
            digest = hashlib.sha256(data).hexdigest()
            proven = transfers.Proven(ids[number], digest, len(data), VerifiedVia.DROPPED, self.at)
            transfers.mark_verified(session, [proven])
            placed = transfers.Placed(proven, entry, final, file_no, self.at, self.at)
            transfers.mark_stored(session, [placed], visit=visit, device_no=device_no, actor="dockd")
            footage_id = session.query(FootageRow.id).filter_by(file_no=file_no).scalar()
        if self.store:
            path = self.store / final
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.chmod(0o440)
        return int(footage_id)

    def record(
        self, visit_id: int | None = None, name: bytes = b"DCIM/0001.MP4", data: bytes = b"bytes", **said: Any
    ) -> int:
        """Stores one file and says of it what is given; returns the record's id."""
        visit_id = visit_id or self.visit()
        footage_id = self.footage(visit_id, name, data)
        with self.register.write() as session:
            row = session.get_one(FootageRow, footage_id)
            new = NewRecord(
                **{
                    "file_no": row.file_no,
                    "footage_id": footage_id,
                    "visit_id": visit_id,
                    "station_no": self.station_no,
                    "media_type": MediaType.VIDEO,
                    "place_on_card": Place.NORMAL,
                    "original_path": name,
                    "original_name": display_path(name.rpartition(b"/")[2]),
                    "docked_at": self.at,
                    "stored_at": self.at,
                    "recorder_id": row.recorder_id,
                    **said,
                }
            )
            return records.add_record(session, new, at=self.at, actor="dockd")

    def end(self, visit_id: int, manifest: str | None = None) -> None:
        with self.register.write() as session:
            visits.end_visit(
                session,
                visit_id,
                outcome=VisitOutcome.COMPLETE,
                reason=None,
                manifest=manifest,
                at=self.at + timedelta(minutes=1),
                actor="dockd",
            )


@dataclass(frozen=True)
class NewVisitDefaults:
    """What a visit says unless a test says otherwise."""

    station_no: str
    at: datetime

    def visit(self, recorder_id: int | None, **said: Any) -> visits.NewVisit:
        return visits.NewVisit(
            **{
                "station_no": self.station_no,
                "source": Source.DOCK,
                "docked_at": self.at,
                "opened_at": self.at,
                "card": CardIdentity("card"),
                "bay": "3",
                "recorder_id": recorder_id,
                **said,
            }
        )
