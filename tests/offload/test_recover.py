"""The recovery table, row by row: each state is made by a real crash and put in order without the card."""

from __future__ import annotations

import ctypes
import errno
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import disks
import pytest
from dock import MTIME, SECOND, Dock, Steps, in_child, killer, once
from sqlalchemy import select

from dockd.errors import StoreReadOnly
from dockd.offload import durable
from dockd.offload.lock import holding_card
from dockd.offload.steps import Passed, Step, ignore
from dockd.register.alerts import list_alerts
from dockd.register.tables import EventRow, FootageRow, VisitRow
from dockd.visit import planning
from dockd.visit.copying import Guards
from dockd.visit.meter import Meter
from dockd.visit.recovery import recover_visits

pytestmark = pytest.mark.usefixtures("small_chunks")


def recover(dock: Dock, *, passed: Passed = ignore, before_write: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """What start-up does, with no card in reach; returns the ledger's account of it."""
    guards = Guards(before_write=before_write, passed=passed)
    recover_visits(dock.station, own_card=None, meter=Meter(lambda _: None), guards=guards)
    return last_event(dock, "visit.recovered")


def last_event(dock: Dock, kind: str) -> dict[str, Any]:
    with dock.station.register.read() as session:
        line = session.scalars(select(EventRow.line).where(EventRow.kind == kind).order_by(EventRow.seq.desc())).first()
    return dict(json.loads(line)["data"]) if line else {}


def alerts(dock: Dock) -> list[tuple[str, Any]]:
    with dock.station.register.read() as session:
        return [(a.kind, a.facts.get("finding")) for a in list_alerts(session, open_only=True)]


def visit_states(dock: Dock) -> list[str]:
    with dock.station.register.read() as session:
        return list(session.scalars(select(VisitRow.state).order_by(VisitRow.id)))


# --- copying ----------------------------------------------------------------------------------------------


def test_copying_without_a_temp_is_forgotten_and_copied_when_the_card_returns(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.PLAN_KEPT)
    assert recover(dock)["forgotten"] == 1
    assert dock.transfers() == [("done", None, "interrupted")]
    assert visit_states(dock) == ["ended"]
    assert dock.shown(1)["outcome"] == "partial"
    dock.require_complete(dock.visit())


def test_copying_with_a_temp_is_kept_and_resumed_by_its_marks_when_the_card_returns(dock: Dock) -> None:
    dock.lay("A.dat", 1_500_000)
    assert dock.crash(Step.MARK_KEPT, 3)
    assert recover(dock)["kept"] == 1
    assert len(dock.temps()) == 1
    shown = dock.visit()
    assert shown["bytes_read"] == 1_500_000 - 3 * (256 << 10)
    dock.require_complete(shown)


@pytest.mark.parametrize("step", [Step.TEMP_SYNCED, Step.READ_BACK])
def test_a_temp_that_was_sealed_just_before_the_crash_is_resumed_too(dock: Dock, step: Step) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(step)
    (temp,) = dock.temps()
    assert (dock.store / temp).stat().st_mode & 0o777 == 0o440
    recover(dock)
    shown = dock.visit()
    assert shown["bytes_read"] == 600_000 - 2 * (256 << 10)
    dock.require_complete(shown)


@pytest.mark.parametrize("change", ["other bytes", "longer", "touched"])
def test_a_kept_temp_of_a_file_that_is_another_one_now_is_never_mixed_with_it(dock: Dock, change: str) -> None:
    data = dock.lay("A.dat", 1_500_000)
    assert dock.crash(Step.MARK_KEPT, 3)
    match change:
        case "longer":
            dock.lay("A.dat", 1_500_001)
        case "touched":
            dock.lay("A.dat", data, mtime_ns=MTIME + SECOND)
        case _:
            dock.lay("A.dat", 1_500_000, mtime_ns=MTIME + SECOND)
    shown = dock.visit()
    assert shown["outcome"] == "complete"
    assert {f["path"]: f["sha256"] for f in shown["files"]} == dock.truth()
    dock.require_no_false_word()


def test_a_temp_that_was_moved_aside_just_before_a_crash_is_told_of_by_the_next_visit(dock: Dock) -> None:
    dock.lay("A.dat", 1_500_000)
    assert dock.crash(Step.MARK_KEPT, 3)
    (temp,) = dock.temps()
    dock.lay("A.dat", 1_500_001)
    assert dock.crash(Step.PLAN_KEPT, before=die_before_drop)
    assert dock.quarantined() == [os.path.basename(temp)]
    dock.visit()
    told = last_event(dock, "visit.temp_set_aside")
    assert (told["temp"], told["quarantined"]) == (temp, f".dockd/quarantine/{os.path.basename(temp)}")


def die_before_drop() -> None:
    """In a child: the crash comes between the move and the row that tells of it."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    planning._drop = die


def test_the_newest_of_two_temps_of_one_name_is_resumed(dock: Dock) -> None:
    dock.lay("A.dat", 1_500_000)
    assert dock.crash(Step.MARK_KEPT, 3)
    dock.lay("A.dat", 1_400_000, mtime_ns=MTIME + SECOND)
    assert dock.crash(Step.MARK_KEPT, 2)
    shown = dock.visit()
    assert shown["bytes_read"] == 1_400_000 - 2 * (256 << 10)
    assert shown["outcome"] == "complete"


def test_a_reset_clock_never_lets_a_prefix_be_believed(dock: Dock) -> None:
    dock.lay("A.dat", 1_500_000, mtime_ns=0)
    assert dock.crash(Step.MARK_KEPT, 3)
    dock.lay("A.dat", 1_500_000, mtime_ns=0)  # new footage with the same name, size and time
    shown = dock.visit()
    assert shown["bytes_read"] == 1_500_000
    dock.require_complete(shown)


# --- verified ---------------------------------------------------------------------------------------------


def test_verified_with_its_temp_is_proven_again_and_stored_without_the_card(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.VERIFIED_KEPT)
    assert recover(dock)["stored"] == 1
    assert dock.stored() == list(dock.truth().items())
    assert dock.temps() == []
    shown = dock.visit()
    assert shown["bytes_read"] == 0
    dock.require_complete(shown)


@pytest.mark.parametrize("step", [Step.RENAMED, Step.DIRECTORY_SYNCED])
def test_verified_under_its_final_name_is_proven_again_and_stored(dock: Dock, step: Step) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(step)
    assert (dock.stored(), dock.temps()) == ([], [])
    assert recover(dock)["stored"] == 1
    assert dock.stored() == list(dock.truth().items())
    dock.require_complete(dock.visit())


def test_verified_with_neither_temp_nor_file_is_an_alarm_and_copied_anew(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.VERIFIED_KEPT)
    (dock.store / dock.temps()[0]).unlink()
    assert recover(dock)["vanished"] == 1
    assert ("store_altered", "temp_vanished") in alerts(dock)
    assert dock.stored() == []
    dock.require_complete(dock.visit())


def test_verified_with_an_altered_temp_is_an_alarm_with_evidence_and_copied_anew(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.VERIFIED_KEPT)
    alter(dock.store / dock.temps()[0])
    assert recover(dock)["altered"] == 1
    assert ("store_altered", "temp_altered") in alerts(dock)
    assert (dock.stored(), dock.temps(), len(dock.quarantined())) == ([], [], 1)
    dock.require_complete(dock.visit())


def test_verified_with_an_altered_file_is_an_alarm_and_the_file_is_kept(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.RENAMED)
    (final,) = (dock.store / "footage").rglob("*.dat")
    alter(final)
    assert recover(dock)["altered"] == 1
    assert ("store_altered", "temp_altered") in alerts(dock)
    assert final.exists()
    assert dock.stored() == []
    shown = dock.visit()
    assert shown["outcome"] == "complete"
    assert dock.stored() == list(dock.truth().items())


def alter(path: Path) -> None:
    path.chmod(0o640)
    with path.open("r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([byte ^ 1]))


def link_only() -> None:
    """In a child: a file system without renameat2, and a crash between link and unlink."""

    def refuse(*_: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1

    durable._libc = SimpleNamespace(renameat2=refuse, fallocate=durable._libc.fallocate)  # type: ignore[assignment]
    real = os.unlink

    def unlink(path: str, **given: Any) -> None:
        if str(path).endswith(".part"):
            os.kill(os.getpid(), signal.SIGKILL)
        real(path, **given)

    os.unlink = unlink  # type: ignore[assignment]


def test_verified_under_both_names_loses_the_temps_name_and_is_stored(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.STORED_KEPT, before=link_only)
    (temp,) = dock.temps()
    assert (dock.store / temp).samefile(dock.store / temp.removesuffix(".part"))
    assert dock.stored() == []
    assert recover(dock)["stored"] == 1
    dock.require_complete(dock.visit())


def test_verified_under_both_names_is_put_in_order_without_renameat2_too(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.STORED_KEPT, before=link_only)

    def refuse(*_: object) -> int:
        ctypes.set_errno(errno.EINVAL)
        return -1

    monkeypatch.setattr(durable, "_libc", SimpleNamespace(renameat2=refuse, fallocate=durable._libc.fallocate))
    recover(dock)
    dock.require_complete(dock.visit())


def test_footage_that_was_being_stored_again_is_a_further_place_and_no_second_recording(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    first = dock.visit()
    (dock.store / first["files"][0]["location"]).unlink()
    assert dock.crash(Step.RENAMED)
    recover(dock)
    assert [state for state, _ in dock.locations()] == ["missing", "present"]
    with dock.station.register.read() as session:
        assert len(session.scalars(select(FootageRow)).all()) == 1
    dock.require_complete(dock.visit())


def test_a_copy_in_recovery_that_turns_out_to_be_known_leaves_no_second_recording(dock: Dock) -> None:
    data = dock.lay("A.dat", 600_000)
    dock.visit()
    dock.lay("A.dat", data, mtime_ns=MTIME + SECOND)
    assert dock.crash(Step.VERIFIED_KEPT)
    recover(dock)
    assert [outcome for _, outcome, _ in dock.transfers()] == ["stored", "already_stored"]
    dock.require_complete(dock.visit())


def test_bytes_that_were_first_docked_earlier_stay_so_when_their_second_visit_is_cut_short(
    dock: Dock, clock: Any
) -> None:
    # Else the station's own crash would make the officer late.
    dock.lay("A.dat", 1_500_000)
    docked = clock()
    assert dock.crash(Step.MARK_KEPT, 3)
    clock.move(hours=40)
    assert dock.crash(Step.VERIFIED_KEPT)
    recover(dock)
    with dock.station.register.read() as session:
        assert session.scalars(select(FootageRow.docked_at)).all() == [docked]


# --- done, none ---------------------------------------------------------------------------------------------


def die_before_removal() -> None:
    """In a child: the crash comes between the row ``done`` and the removal of its temp."""

    def die(path: str) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    durable.remove_durably = die


def test_done_with_a_temp_that_is_known_already_has_it_removed(dock: Dock) -> None:
    data = dock.lay("A.dat", 600_000)
    dock.visit()
    dock.lay("A.dat", data, mtime_ns=MTIME + SECOND)
    assert dock.crash(Step.STORED_KEPT, 9, before=die_before_removal)
    assert len(dock.temps()) == 1
    recover(dock)
    assert (dock.temps(), dock.quarantined()) == ([], [])
    dock.require_complete(dock.visit())


def test_done_with_the_temp_of_a_file_that_changed_has_it_removed(dock: Dock) -> None:
    dock.lay("A.dat", 3_000_000)

    def life() -> None:
        die_before_removal()
        dock.visit(passed=Steps({Step.CHUNK_WRITTEN: once(lambda: os.truncate(dock.files / "A.dat", 5))}))

    assert in_child(life) == -signal.SIGKILL
    assert len(dock.temps()) == 1
    recover(dock)
    assert (dock.temps(), dock.quarantined()) == ([], [])
    dock.require_complete(dock.visit())


def test_a_temp_without_a_row_is_moved_to_quarantine_and_reported(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.MARK_KEPT)
    (temp,) = dock.temps()
    stray = dock.store / temp.replace("-00001.", "-00099.")
    stray.write_bytes(b"nobody's")
    assert recover(dock)["quarantined"] == [f".dockd/quarantine/{stray.name}"]
    assert (dock.quarantined(), dock.temps()) == ([stray.name], [temp])
    dock.require_complete(dock.visit())


def test_quarantine_never_replaces_what_is_there(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    for round_ in range(2):
        assert dock.crash(Step.MARK_KEPT)
        temp = dock.temps()[-1]
        (dock.store / os.path.dirname(temp) / "S1-20261123-000099-00001.dat.part").write_bytes(b"%d" % round_)
        recover(dock)
    kept = sorted(path.read_bytes() for path in (dock.store / ".dockd/quarantine").iterdir())
    assert kept == [b"0", b"1"]


def test_files_that_others_are_writing_in_the_same_folder_are_left_alone(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.MARK_KEPT)
    folder = dock.store / os.path.dirname(dock.temps()[0])
    others = [folder / "S1-20261123-000007-00001.dat.xmp.part", folder / ".visit-000007.sha256.0123456789abcdef.part"]
    for path in others:
        path.touch()
    assert recover(dock)["quarantined"] == []
    assert all(path.exists() for path in others)


def test_a_file_without_a_row_is_reported_and_never_deleted(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.MARK_KEPT)
    strange = dock.store / os.path.dirname(dock.temps()[0]) / "strange.mp4"
    strange.write_bytes(b"nobody's")
    recover(dock)
    assert strange.read_bytes() == b"nobody's"


def test_stored_with_its_follow_up_pending_is_described_and_ended(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.STORED_KEPT)
    assert dock.stored() == list(dock.truth().items())
    recover(dock)
    shown = dock.shown(1)
    assert (shown["state"], shown["files"][0]["outcome"]) == ("ended", "stored")
    assert shown["files"][0]["record_id"] is not None
    assert (dock.store / shown["manifest"]).is_file()
    dock.require_complete(dock.visit())


# --- recovery itself ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [Step.VERIFIED_KEPT, Step.RENAMED])
@pytest.mark.parametrize("second", [Step.RENAMED, Step.DIRECTORY_SYNCED, Step.STORED_KEPT])
def test_a_recovery_that_is_cut_short_is_recovered(dock: Dock, first: Step, second: Step) -> None:
    dock.lay_many(3)
    dock.lay("A.dat", 600_000)
    assert dock.crash(first)
    in_child(lambda: recover(dock, passed=killer(second, 1)))
    recover(dock)
    assert visit_states(dock) == ["ended"]
    dock.require_no_false_word()
    dock.require_complete(dock.visit())


def test_recovering_twice_changes_nothing(dock: Dock) -> None:
    dock.lay("A.dat", 1_500_000)
    dock.lay_many(3)
    assert dock.crash(Step.MARK_KEPT, 2)
    recover(dock)
    before = (dock.transfers(), dock.temps(), dock.stored())
    recover(dock)
    assert (dock.transfers(), dock.temps(), dock.stored()) == before


def test_a_visit_that_is_at_work_in_another_process_is_left_alone(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.VERIFIED_KEPT)
    with dock.station.register.read() as session:
        card = session.scalars(select(VisitRow.card_instance)).one()
    with holding_card(str(dock.store), card):
        assert recover(dock) == {}
        assert visit_states(dock) == ["open"]
    assert recover(dock)["stored"] == 1


def test_a_recovery_that_may_not_write_any_more_stops_at_once(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.VERIFIED_KEPT)

    class OwnerGone(BaseException):
        pass

    def gone() -> None:
        raise OwnerGone

    with pytest.raises(OwnerGone):
        recover(dock, before_write=gone)
    assert dock.stored() == []
    assert len(dock.temps()) == 1


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_store_that_fails_in_recovery_loses_nothing(dock: Dock, tmp_path: Path) -> None:
    dock.lay("A.dat", 600_000)
    assert dock.crash(Step.VERIFIED_KEPT)
    os.rename(dock.store, tmp_path / "kept")
    with disks.ext4(tmp_path / "image", dock.store, size=16 << 20) as disk:
        os.system(f"cp -a {tmp_path}/kept/. {disk}/")
        disks.remount(disk, writable=False)
        with pytest.raises(StoreReadOnly):
            recover(dock)
        disks.remount(disk, writable=True)
        assert recover(dock)["stored"] == 1
        dock.require_complete(dock.visit())
