"""verify: every kind of change of the store is found, named and written down, and nothing else is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import faultfs
import pytest
from shelf import Shelf
from sqlalchemy import select

from dockd.errors import StoreError, StoreMissing
from dockd.export.manifest import render_manifest, write_manifest
from dockd.offload.audit import audit_store
from dockd.offload.examine import Audit, Fault, Finding, Kind, Pace, Watch
from dockd.register.alerts import list_alerts
from dockd.register.footage import manifest_lines
from dockd.register.records import find_record
from dockd.register.station import Station
from dockd.register.tables import EventRow, LocationRow, SidecarRow, TransferRow, VisitRow
from dockd.visit.sidecars import write_sidecars


@pytest.fixture
def shelf(station: Station) -> Shelf:
    """One ended visit with three files, their sidecars and their manifest."""
    shelf = Shelf(station.register, station.store, at=station.now())
    visit = shelf.visit(shelf.recorder("YS-07"))
    records = [shelf.record(visit, b"%d.MP4" % i, b"bytes of %d" % i * 1000) for i in range(3)]
    write_sidecars(station, records, check=lambda: None)
    with station.register.read() as session:
        lines = manifest_lines(session, visit)
    place = f"{os.path.dirname(lines[0][1])}/visit-{visit:06d}.sha256"
    write_manifest(f"{station.store}/{place}", render_manifest(lines))
    shelf.end(visit, place)
    return shelf


def at(station: Station, record_id: int) -> Path:
    with station.register.read() as session:
        found = find_record(session, record_id)
    assert found is not None
    return station.store / str(found.location)


def beside(station: Station, ending: str) -> Path:
    return next(iter(sorted(station.store.glob(f"footage/**/*{ending}"))))


def told(station: Station, kind: str) -> list[Any]:
    with station.register.read() as session:
        lines = session.scalars(select(EventRow.line).where(EventRow.kind == kind).order_by(EventRow.seq))
        return [json.loads(line)["data"] for line in lines]


def change(path: Path, data: bytes) -> None:
    os.chmod(path, 0o640)
    path.write_bytes(data)


def only(audit: Audit) -> Fault:
    (fault,) = audit.faults
    return fault


def test_an_untouched_store_is_clean_and_its_proof_is_renewed(station: Station, shelf: Shelf, clock: Any) -> None:
    clock.move(days=30)
    audit = audit_store(station)
    assert audit.faults == ()
    assert audit.checked == 3 + 3 + 1
    assert audit.size > 3 * 10_000
    with station.register.read() as session:
        assert {row.verified_at for row in session.scalars(select(LocationRow))} == {clock()}
    assert told(station, "store.verified")[0]["checked"] == 7
    with station.register.read() as session:
        assert list_alerts(session) == ()


def test_an_empty_store_is_clean(station: Station) -> None:
    assert audit_store(station).faults == ()


# --- each kind of change ----------------------------------------------------------------------------------


def same_length(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    change(path, bytes(data))


def cut(path: Path) -> None:
    change(path, path.read_bytes()[:-1])


def to_a_link(path: Path) -> None:
    path.rename(path.with_suffix(".away"))
    path.symlink_to(path.with_suffix(".away"))
    path.with_suffix(".away").rename(path.parents[5] / "away")


def to_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("damage", "finding", "reason"),
    [
        (same_length, Finding.ALTERED, "sha256 "),
        (cut, Finding.ALTERED, "size 9999 instead of 10000"),
        (to_a_link, Finding.ALTERED, "not a plain file"),
        (to_a_pipe, Finding.ALTERED, "not a plain file"),
        (to_a_folder, Finding.ALTERED, "not a plain file"),
        (Path.unlink, Finding.MISSING, ""),
    ],
)
def test_changed_footage_is_named_with_the_first_differing_fact(
    station: Station, shelf: Shelf, damage: Callable[[Path], object], finding: Finding, reason: str
) -> None:
    path = at(station, 2)
    damage(path)
    fault = only(audit_store(station))
    assert (fault.finding, fault.kind, fault.record_id) == (finding, Kind.FOOTAGE, 2)
    assert fault.reason.startswith(reason)
    assert station.store / fault.location == path
    with station.register.read() as session:
        states = session.scalars(select(LocationRow.state).order_by(LocationRow.id)).all()
        (alert,) = list_alerts(session, open_only=True)
    assert states == ["present", finding.value, "present"]
    assert (alert.kind, alert.record_id, alert.facts["location"]) == ("store_altered", 2, fault.location)
    assert told(station, f"footage.{finding}")[0]["location"] == fault.location


@pytest.mark.parametrize("damage", [same_length, cut, Path.unlink])
@pytest.mark.parametrize(("ending", "kind"), [(".xmp", Kind.SIDECAR), (".sha256", Kind.MANIFEST)])
def test_changed_sidecars_and_manifests_are_found(
    station: Station, shelf: Shelf, ending: str, kind: Kind, damage: Callable[[Path], object]
) -> None:
    path = beside(station, ending)
    damage(path)
    fault = only(audit_store(station))
    assert fault.kind is kind
    assert fault.finding is (Finding.MISSING if damage is Path.unlink else Finding.ALTERED)
    assert station.store / fault.location == path


def test_a_manifest_that_leaves_a_file_out_or_names_a_wrong_one_is_altered(station: Station, shelf: Shelf) -> None:
    path = beside(station, ".sha256")
    lines = path.read_text().splitlines(keepends=True)
    change(path, "".join(lines[1:]).encode())
    assert only(audit_store(station)).reason == "1 files of the visit are not in it"
    change(path, "".join([*lines, f"{'0' * 64}  footage/other.mp4\n"]).encode())
    assert only(audit_store(station)).reason == "line 4 differs from the register"


@pytest.mark.parametrize(
    "name", ["copy.mp4", "visit-000009.sha256", f"visit-{'9' * 30}.sha256", ".hidden", "two\nlines", b"\xff.mp4"]
)
def test_what_nobody_registered_is_named_and_left_alone(station: Station, shelf: Shelf, name: str | bytes) -> None:
    path = os.fsencode(at(station, 1).parent) + b"/" + os.fsencode(name)
    with open(path, "wb") as file:
        file.write(b"x")
    fault = only(audit_store(station))
    assert (fault.finding, fault.kind) == (Finding.UNREGISTERED, Kind.UNKNOWN)
    assert fault.location.isprintable()
    assert os.path.lexists(path)


def test_a_second_audit_finds_the_same_and_alerts_no_more(station: Station, shelf: Shelf) -> None:
    cut(at(station, 1))
    (at(station, 1).parent / "stranger").write_text("x")
    first, second = audit_store(station), audit_store(station)
    assert first.faults == second.faults
    with station.register.read() as session:
        assert len(list_alerts(session)) == 2


def test_what_was_put_right_is_said_to_be_right(station: Station, shelf: Shelf, clock: Any) -> None:
    path = at(station, 1)
    good = path.read_bytes()
    change(path, b"bad")
    audit_store(station)
    change(path, good)
    path.chmod(0o440)
    clock.move(hours=1)
    assert audit_store(station).faults == ()
    with station.register.read() as session:
        assert set(session.scalars(select(LocationRow.state))) == {"present"}
        assert list_alerts(session, open_only=True) == ()
    assert told(station, "footage.found")


# --- what is no fault -----------------------------------------------------------------------------------------


def test_a_living_temp_and_files_of_a_visit_at_work_are_no_strangers(station: Station, shelf: Shelf) -> None:
    folder = at(station, 1).parent
    visit = shelf.visit(1)
    with station.register.write() as session:
        transfer = session.scalars(select(TransferRow)).first()
        assert transfer is not None
        transfer.temp = str((folder / "waiting.mp4.part").relative_to(station.store))
    (folder / "waiting.mp4.part").write_text("x")
    (folder / f"S1-20261123-{visit:06d}-00001.mp4").write_text("on its way")
    (folder / f"visit-{visit:06d}.sha256").write_text("on its way")
    assert audit_store(station).faults == ()


def test_footage_that_was_stored_again_is_not_missed_at_its_old_place(station: Station, shelf: Shelf) -> None:
    path = at(station, 1)
    again = path.with_name("again.mp4")
    path.rename(again)
    with station.register.write() as session:
        old = session.scalars(select(LocationRow).order_by(LocationRow.id)).first()
        assert old is not None
        old.state = "missing"
        place = str(again.relative_to(station.store))
        proof = {"stored_at": old.stored_at, "verified_at": old.verified_at, "verified_via": "o_direct"}
        session.add(LocationRow(station_no="S1", footage_id=old.footage_id, path=place, **proof))
    assert audit_store(station).faults == ()


def test_since_reads_only_what_was_stored_since(station: Station, shelf: Shelf, clock: Any) -> None:
    cut(at(station, 1))
    clock.move(hours=2)
    shelf.at = clock()
    newer = shelf.record(shelf.visit(1), b"new.MP4", b"new")
    audit = audit_store(station, since=clock() - timedelta(hours=1))
    assert (audit.faults, audit.checked, audit.size) == ((), 1, 3)
    change(at(station, newer), b"old")
    assert only(audit_store(station, since=clock() - timedelta(hours=1))).record_id == newer


# --- the store's own trouble -----------------------------------------------------------------------------------


def test_a_store_that_goes_away_loses_no_file(station: Station, shelf: Shelf) -> None:
    def unmount(_location: str) -> None:
        if station.store.exists():
            shutil.move(station.store, station.store.parent / "elsewhere")

    with pytest.raises(StoreMissing):
        audit_store(station, watch=Watch(file=unmount))
    with station.register.read() as session:
        assert set(session.scalars(select(LocationRow.state))) == {"present"}
        assert list_alerts(session) == ()


def test_progress_names_the_bytes_to_come_and_counts_every_one(station: Station, shelf: Shelf) -> None:
    totals: list[tuple[int, int]] = []
    counts: list[int] = []
    files: list[str] = []
    audit = audit_store(station, watch=Watch(lambda *total: totals.append(total), files.append, counts.append))
    assert totals == [(3, 30_000)]
    assert len(files) == audit.checked
    assert sum(counts) >= 30_000


def test_the_pace_is_kept_and_a_pause_is_not_made_up_for() -> None:
    time, slept = [0.0], [0.0]

    def sleep(seconds: float) -> None:
        slept[0] += seconds
        time[0] += seconds

    pace = Pace(1000, clock=lambda: time[0], sleep=sleep)
    for _block in range(10):
        pace.keep(500)
    assert time[0] == pytest.approx(5.0)
    assert slept[0] == pytest.approx(5.0)
    time[0] += 3600
    for _block in range(10):
        pace.keep(500)
    assert slept[0] == pytest.approx(5.0 + 5.0 - 1.0), "one second of a pause is, so that a slow disk keeps the rate"


def test_a_folder_that_cannot_be_listed_is_named(station: Station, shelf: Shelf, monkeypatch: Any) -> None:
    real = os.scandir
    folder = str(at(station, 1).parent)

    def scandir(path: Any) -> Any:
        if str(path) == folder:
            raise OSError(5, "Input/output error")
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    fault = only(audit_store(station))
    assert (fault.finding, fault.reason) == (Finding.UNREADABLE, "Input/output error")


def test_the_rows_of_a_visit_are_not_touched(station: Station, shelf: Shelf) -> None:
    def rows() -> list[Any]:
        with station.register.read() as session:
            return [tuple(row) for table in (VisitRow, SidecarRow) for row in session.execute(select(table.__table__))]

    before = rows()
    audit_store(station)
    assert rows() == before


class TestOnAFailingDisk:
    """The footage lies on a real file system that fails where it is told to."""

    pytestmark = faultfs.fuse

    @pytest.fixture
    def disk(self, station: Station, shelf: Shelf) -> Iterator[faultfs.FaultyCard]:
        footage = station.store / "footage"
        footage.rename(station.store.parent / "disk")
        with faultfs.faulty_card(root=station.store.parent / "disk", at=footage) as disk:
            yield disk

    def test_a_file_that_cannot_be_read_is_unreadable_and_the_rest_is_checked(
        self, station: Station, disk: faultfs.FaultyCard
    ) -> None:
        name = str(at(station, 2).relative_to(disk.path))
        for fault in (faultfs.Fault(unreadable=((4096, 8192),)), faultfs.Fault(refuses_open=True)):
            disk.spoil(name, fault)
            audit = audit_store(station)
            assert (only(audit).finding, only(audit).record_id) == (Finding.UNREADABLE, 2)
            assert only(audit).reason == "Input/output error"
            assert audit.checked == 7
            with station.register.read() as session:
                assert set(session.scalars(select(LocationRow.state))) == {"present"}
                assert len(list_alerts(session, open_only=True)) == 1
        disk.heal()
        assert audit_store(station).faults == ()
        with station.register.read() as session:
            assert list_alerts(session, open_only=True) == ()

    def test_a_disk_that_goes_away_is_the_stores_trouble_and_no_files(
        self, station: Station, disk: faultfs.FaultyCard
    ) -> None:
        disk.spoil(str(at(station, 2).relative_to(disk.path)), faultfs.Fault(gone_at=0))
        with pytest.raises(StoreError):
            audit_store(station)
        with station.register.read() as session:
            assert list_alerts(session) == ()
