"""Footage that the store lost while its card still has it: said first, copied anew, one recording all the time."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dock import MTIME, SECOND, Dock
from sqlalchemy import func, select

from dockd.errors import StoreMissing
from dockd.offload.audit import audit_store
from dockd.offload.pipeline import look_for
from dockd.offload.steps import Step
from dockd.register import transfers
from dockd.register.alerts import list_alerts
from dockd.register.tables import EventRow, FootageRow, LocationState, RecordRow
from dockd.visit import follow


@pytest.fixture
def lost(dock: Dock) -> Path:
    """Where the file was that the store lost after the visit that stored it."""
    dock.lay("A.dat", 5000)
    dock.lay("B.dat", 3000)
    path = dock.store / str(dock.visit()["files"][0]["location"])
    path.unlink()
    return path


def alarms(dock: Dock) -> list[tuple[str, str, str]]:
    """(finding, reason, state) of every alert about the store, oldest first."""
    with dock.station.register.read() as session:
        found = list_alerts(session, kind="store_altered")
    return [(str(a.facts["finding"]), str(a.facts.get("reason", "")), a.state.value) for a in found]


def lines(dock: Dock, kind: str) -> int:
    with dock.station.register.read() as session:
        return session.scalar(select(func.count()).select_from(EventRow).where(EventRow.kind == kind)) or 0


def require_one_recording(dock: Dock) -> None:
    with dock.station.register.read() as session:
        for table in (RecordRow, FootageRow):
            assert session.scalar(select(func.count()).select_from(table)) == 2


def test_it_is_said_before_the_first_byte_is_copied(dock: Dock, lost: Path) -> None:
    seen: list[Any] = []

    def passed(step: Step) -> None:
        if step is Step.PLAN_KEPT:
            seen.append((alarms(dock), lines(dock, "footage.missing"), dock.locations()[0][0]))

    dock.visit(passed=passed)
    assert seen == [([("missing", "", "open")], 1, "missing")]
    assert alarms(dock) == [("missing", "", "closed"), ("missing", "stored_again", "open")]
    assert lines(dock, "footage.stored_again") == 1
    require_one_recording(dock)


def test_it_is_said_although_the_copy_never_comes(dock: Dock, lost: Path) -> None:
    assert dock.crash(Step.PLAN_KEPT)
    assert alarms(dock) == [("missing", "", "open")]
    shutil.rmtree(dock.files)
    dock.files.mkdir()
    dock.visit()
    assert alarms(dock) == [("missing", "", "open")]
    assert [state for state, _ in dock.locations()] == ["missing", "present"]


STEPS = (Step.PLAN_KEPT, Step.TEMP_SYNCED, Step.VERIFIED_KEPT, Step.RENAMED, Step.DIRECTORY_SYNCED, Step.STORED_KEPT)


@pytest.mark.parametrize("step", STEPS)
def test_after_a_crash_it_is_one_recording_in_two_places(dock: Dock, lost: Path, step: Step) -> None:
    dock.crash(step)
    shown = dock.visit()
    assert [state for state, _ in dock.locations()] == ["missing", "present", "present"]
    assert not lost.exists()
    assert alarms(dock) == [("missing", "", "closed"), ("missing", "stored_again", "open")]
    assert (lines(dock, "footage.missing"), lines(dock, "footage.stored_again")) == (1, 1)
    require_one_recording(dock)
    dock.require_complete(shown)


def test_a_file_whose_time_changed_on_the_card_is_said_when_its_bytes_are_known(dock: Dock, lost: Path) -> None:
    dock.lay("A.dat", (dock.files / "A.dat").read_bytes(), mtime_ns=MTIME + 7 * SECOND)
    shown = dock.visit()
    assert [file["reason"] for file in shown["files"]] == ["stored_again", "known"]
    assert alarms(dock) == [("missing", "stored_again", "open")]
    require_one_recording(dock)
    dock.require_complete(shown)


@pytest.mark.parametrize("state", ["shorter", "link", "folder"])
def test_what_stands_in_its_place_is_kept_and_said_to_be_altered(dock: Dock, lost: Path, state: str) -> None:
    if state == "shorter":
        lost.write_bytes(b"short")
    elif state == "link":
        lost.symlink_to("/dev/null")
    else:
        lost.mkdir()
    dock.visit()
    assert [place for place, _ in dock.locations()] == ["altered", "present", "present"]
    assert alarms(dock) == [("altered", "", "open"), ("altered", "stored_again", "open")]
    assert lost.is_symlink() or lost.exists()
    require_one_recording(dock)


def test_a_file_that_came_back_is_believed_when_it_is_proven(dock: Dock, lost: Path) -> None:
    audit_store(dock.station)
    shutil.copy(dock.files / "A.dat", lost)
    lost.chmod(0o440)
    shown = dock.visit()
    assert shown["files"][0]["reason"] == "stored_again"
    assert audit_store(dock.station).faults == ()
    assert [state for state, _ in dock.locations()] == ["present", "present", "present"]
    again = dock.visit()
    assert again["bytes_read"] == 0
    require_one_recording(dock)
    assert audit_store(dock.station).faults == ()


def test_it_may_be_lost_a_second_time(dock: Dock, lost: Path) -> None:
    (dock.store / str(dock.visit()["files"][0]["location"])).unlink()
    dock.require_complete(dock.visit())
    assert [state for state, _ in dock.locations()] == ["missing", "present", "missing", "present"]
    assert alarms(dock).count(("missing", "stored_again", "open")) == 2
    require_one_recording(dock)


def test_a_visit_that_was_cut_short_makes_the_same_papers_although_a_file_was_lost_since(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.lay("A.dat", 5000)

    def stop(*_: object) -> None:
        raise InterruptedError

    with monkeypatch.context() as patch:
        patch.setattr(follow, "alarm_files", stop)  # the manifest and the listing are written, the last row is not
        with pytest.raises(InterruptedError):
            dock.visit()
    papers = sorted((dock.store / "footage").rglob("visit-*"))
    before = [path.read_bytes() for path in papers]
    (dock.store / dock.locations()[0][1]).unlink()
    audit_store(dock.station)
    dock.visit()
    assert len(papers) == 2
    assert [path.read_bytes() for path in papers] == before
    assert "unfinished" not in {finding for finding, _, _ in alarms(dock)}


def test_a_store_that_is_not_mounted_has_lost_nothing(dock: Dock, lost: Path) -> None:
    with dock.station.register.read() as session:
        (known, _) = transfers.known_on_card(
            session,
            station_no=dock.station.station_no,
            card_instance=_instance(dock),
            recorder_id=1,
            paths=[b"A.dat", b"B.dat"],
        ).values()
    empty = dock.store.parent / "not mounted"
    empty.mkdir()
    assert look_for(str(dock.store), known) is LocationState.MISSING
    with pytest.raises(StoreMissing):
        look_for(str(empty), known)
    assert look_for(str(empty), replace(known, state=LocationState.ALTERED)) is LocationState.ALTERED


def _instance(dock: Dock) -> str:
    with dock.station.register.read() as session:
        return str(session.scalars(select(FootageRow.card_instance)).first())
