"""From card to store: bytes equal, trouble kept where it belongs, and nothing called stored that is not."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import disks
import pytest
from dock import MTIME, SECOND, Dock, Steps, once, require_no_leftovers, sha256
from faultfs import Fault, FaultyCard, faulty_card
from sqlalchemy import select, update

from dockd.errors import (
    ProofFailed,
    StoreError,
    StoreFailing,
    StoreFull,
    StoreMissing,
    StoreReadOnly,
)
from dockd.offload import books, durable, pipeline
from dockd.offload.steps import Step
from dockd.register.tables import EventRow, JournalRow, LocationRow, TransferRow
from dockd.settings import Reserve

MIB = 1 << 20
pytestmark = pytest.mark.usefixtures("small_chunks")


def outcomes(shown: dict[str, Any]) -> dict[str, str]:
    return {file["path"]: file["outcome"] for file in shown["files"]}


def reasons(shown: dict[str, Any]) -> dict[str, str | None]:
    return {file["path"]: file["reason"] for file in shown["files"]}


def place(dock: Dock, shown: dict[str, Any], name: str) -> Path:
    return dock.store / next(str(file["location"]) for file in shown["files"] if file["path"] == name)


def events(dock: Dock, kind: str) -> list[str]:
    with dock.station.register.read() as session:
        return list(session.scalars(select(EventRow.line).where(EventRow.kind == kind)))


# --- what is stored --------------------------------------------------------------------------------------


def test_every_byte_is_stored_and_every_digest_is_the_cards(dock: Dock) -> None:
    for size in (0, 1, 4095, 4096, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, (256 << 10), 3 * (256 << 10) + 7):
        dock.lay(f"{size}.dat", size)
    shown = dock.visit()
    dock.require_complete(shown)
    assert shown["bytes_read"] == shown["bytes_stored"] == sum(f["size"] for f in shown["files"])
    require_no_leftovers(dock)


def test_a_stored_file_is_sealed_and_keeps_the_cards_time(dock: Dock) -> None:
    dock.lay("A.dat", 5000, mtime_ns=MTIME + 123_456_700)
    status = place(dock, dock.visit(), "A.dat").stat()
    assert stat.S_IMODE(status.st_mode) == 0o440
    assert status.st_mtime_ns == MTIME + 123_456_700


@pytest.mark.parametrize(
    "name",
    [
        b"n" * 251 + b".dat",
        "名".encode() * 83 + b".dat",
        b"\xff\xfe\x80.dat",
        b"new\nline.dat",
        b"-rf.dat",
        b"..dat",
        b" .dat",
        b"%s.dat",
        b"deep/" * 40 + b"A.dat",
    ],
)
def test_no_name_on_the_card_keeps_its_file_from_being_stored(dock: Dock, name: bytes) -> None:
    data = dock.lay(name, 1000)
    shown = dock.visit()
    assert shown["outcome"] == "complete"
    assert [(f["outcome"], f["sha256"]) for f in shown["files"]] == [("stored", sha256(data))]


@pytest.mark.parametrize("year", [-60, 0, 1, 230, 370])
def test_no_date_on_the_card_keeps_its_file_from_being_stored(dock: Dock, year: int) -> None:
    dock.lay("A.dat", 1000, mtime_ns=year * 366 * 86_400 * SECOND)
    dock.require_complete(dock.visit())


def test_a_second_visit_reads_and_stores_nothing(dock: Dock) -> None:
    dock.lay("A.dat", 5000)
    dock.visit()
    shown = dock.visit()
    assert (shown["bytes_read"], shown["bytes_stored"]) == (0, 0)
    assert outcomes(shown) == {"A.dat": "already_stored"}
    dock.require_complete(shown)


def test_many_small_files_share_commits(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    dock.lay_many(60)
    calls: list[int] = []
    real = books.Books.verified
    monkeypatch.setattr(books.Books, "verified", lambda self, proven: (calls.append(len(proven)), real(self, proven)))
    all_read = threading.Event()
    steps = Steps()

    def passed(step: Step) -> None:
        steps(step)
        if steps.counts[Step.SOURCE_READ] == 60:
            all_read.set()
        if step is Step.TEMP_SYNCED:
            assert all_read.wait(60)  # the first proof waits until everything else could be waiting, too

    dock.require_complete(dock.visit(passed=passed))
    assert sum(calls) == 60
    assert len(calls) <= 6
    assert steps.counts[Step.VERIFIED_KEPT] == steps.counts[Step.STORED_KEPT] == len(calls)


# --- equal bytes -----------------------------------------------------------------------------------------


def test_equal_bytes_under_two_names_are_two_records_with_two_files(dock: Dock) -> None:
    dock.lay("A.dat", b"same" * 1000)
    dock.lay("B.dat", b"same" * 1000)
    shown = dock.visit()
    dock.require_complete(shown)
    assert len({file["record_id"] for file in shown["files"]}) == 2
    assert len({file["location"] for file in shown["files"]}) == 2


@pytest.mark.parametrize("names", [("", "_IMP"), ("_IMP", "")], ids=["marked later", "marked first"])
def test_a_copy_for_the_important_mark_is_one_recording_also_within_one_visit(
    dock: Dock, names: tuple[str, str]
) -> None:
    prefixes = ("a", "b")  # the order in which the card shows them
    for prefix, mark in zip(prefixes, names, strict=True):
        dock.lay(f"{prefix}/2107731_012345_20261123080000_0001{mark}.mp4", b"same" * 1000)
    all_read = threading.Event()

    def passed(step: Step) -> None:
        steps(step)
        if steps.counts[Step.SOURCE_READ] == 2:
            all_read.set()
        if step is Step.TEMP_SYNCED:
            assert all_read.wait(60)

    steps = Steps()
    shown = dock.visit(passed=passed)
    assert [(file["outcome"], file["reason"]) for file in shown["files"]] == [
        ("stored", None),
        ("already_stored", "important_mark"),
    ]
    assert len({file["record_id"] for file in shown["files"]}) == len(dock.stored()) == 1
    assert dock.temps() == []


def test_many_empty_files_are_many_records(dock: Dock) -> None:
    for number in range(5):
        dock.lay(f"{number}.dat", b"")
    dock.require_complete(dock.visit())


def test_the_same_path_with_the_same_bytes_is_stored_already_and_leaves_no_temp(dock: Dock) -> None:
    data = dock.lay("A.dat", 5000)
    first = dock.visit()
    dock.lay("A.dat", data, mtime_ns=MTIME + SECOND)  # touched: read whole, decided by digest
    second = dock.visit()
    assert second["bytes_read"] == 5000
    assert second["bytes_stored"] == 0
    assert reasons(second) == {"A.dat": "same_bytes"}
    assert [f["record_id"] for f in second["files"]] == [f["record_id"] for f in first["files"]]
    dock.require_complete(second)


def test_new_footage_that_shares_path_size_and_a_reset_clock_is_never_taken_for_the_old(dock: Dock) -> None:
    dock.lay("A.dat", 5000, mtime_ns=0)
    dock.visit()
    new = dock.lay("A.dat", 5000, mtime_ns=0)
    shown = dock.visit()
    assert [(f["outcome"], f["sha256"]) for f in shown["files"]] == [("stored", sha256(new))]
    assert len(dock.stored()) == 2


def test_footage_that_is_gone_from_the_store_is_stored_again_as_a_further_place(dock: Dock) -> None:
    dock.lay("A.dat", 5000)
    first = dock.visit()
    place(dock, first, "A.dat").unlink()
    second = dock.visit()
    assert reasons(second) == {"A.dat": "stored_again"}
    assert [state for state, _ in dock.locations()] == ["missing", "present"]
    assert [f["record_id"] for f in second["files"]] == [f["record_id"] for f in first["files"]]
    assert len(events(dock, "footage.stored_again")) == 1
    dock.require_complete(second)


def test_footage_that_is_known_to_be_altered_is_stored_again_and_the_altered_file_kept(dock: Dock) -> None:
    data = dock.lay("A.dat", 5000)
    altered = place(dock, dock.visit(), "A.dat")
    altered.chmod(0o640)
    altered.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with dock.station.register.write() as session:
        session.execute(update(LocationRow).values(state="altered"))
    shown = dock.visit()
    assert reasons(shown) == {"A.dat": "stored_again"}
    assert place(dock, shown, "A.dat").read_bytes() == data
    assert [state for state, _ in dock.locations()] == ["altered", "present"]
    assert altered.exists()
    assert '"altered"' in events(dock, "footage.stored_again")[0]


# --- the card's trouble ------------------------------------------------------------------------------------


@pytest.fixture
def worn(dock: Dock, tmp_path: Path) -> Iterator[FaultyCard]:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("no access to /dev/fuse")
    with faulty_card(dock.files, tmp_path / "card") as card:
        dock.card = card.path
        yield card


def test_one_file_that_changes_while_it_is_read_does_not_stop_the_others(dock: Dock) -> None:
    dock.lay("A.dat", 200_000)
    dock.lay("B.dat", 3_000_000)  # longer than what may be read ahead
    dock.lay("C.dat", 200_000)

    def grow() -> None:
        with (dock.files / "B.dat").open("ab") as file:
            file.write(b"more")

    steps = Steps({Step.CHUNK_WRITTEN: once(grow)})
    shown = dock.visit(passed=steps)
    assert outcomes(shown) == {"A.dat": "stored", "B.dat": "unreadable", "C.dat": "stored"}
    assert reasons(shown)["B.dat"] == "changed_while_read"
    assert shown["outcome"] == "partial"
    assert shown["safe_at"] is None, "something is left on the card that a later try can read"
    assert dock.temps() == []
    dock.require_no_false_word()
    dock.require_complete(dock.visit())


def test_a_file_that_vanishes_is_named_and_the_others_are_stored(dock: Dock) -> None:
    dock.lay("A.dat", 1000)
    dock.lay("B.dat", 1000)
    shown = dock.visit(passed=Steps({Step.PLAN_KEPT: (dock.files / "A.dat").unlink}))
    assert outcomes(shown) == {"A.dat": "unreadable", "B.dat": "stored"}
    assert reasons(shown)["A.dat"] == "card_file_replaced"


@pytest.mark.fuse
def test_thirty_unreadable_files_in_a_row_hold_up_nothing(dock: Dock, worn: FaultyCard) -> None:
    for number in range(30):
        dock.lay(f"A{number:02d}.dat", 70_000)
        worn.spoil(f"A{number:02d}.dat", Fault(unreadable=((0, 1 << 30),)))
    dock.lay("B.dat", 70_000)
    shown = dock.visit()
    assert outcomes(shown) == {f"A{n:02d}.dat": "unreadable" for n in range(30)} | {"B.dat": "stored"}
    assert dock.temps() == []
    require_no_leftovers(dock)


@pytest.mark.fuse
def test_thirty_files_that_cannot_be_opened_hold_up_nothing(dock: Dock, worn: FaultyCard) -> None:
    for number in range(30):
        dock.lay(f"A{number:02d}.dat", 1000)
        worn.spoil(f"A{number:02d}.dat", Fault(refuses_open=True))
    dock.lay("B.dat", 1000)
    shown = dock.visit()
    assert [outcome for path, outcome in outcomes(shown).items() if path != "B.dat"] == ["unreadable"] * 30
    assert outcomes(shown)["B.dat"] == "stored"


@pytest.mark.fuse
def test_a_damaged_file_is_stored_with_its_holes_and_the_digest_of_what_was_saved(dock: Dock, worn: FaultyCard) -> None:
    data = dock.lay("A.dat", 600_000)
    worn.spoil("A.dat", Fault(unreadable=((300_000, 300_001),)))
    shown = dock.visit()
    (file,) = shown["files"]
    saved = data[:299_008] + bytes(4096) + data[299_008 + 4096 :]
    assert (file["outcome"], file["sha256"]) == ("stored_damaged", sha256(saved))
    assert file["holes"] == [{"offset": 299_008, "length": 4096}]
    assert place(dock, shown, "A.dat").read_bytes() == saved


@pytest.mark.fuse
def test_a_card_that_is_pulled_and_put_back_is_resumed_inside_the_file(dock: Dock, worn: FaultyCard) -> None:
    dock.lay("A.dat", 1000)
    dock.lay("B.dat", 1_500_000)
    dock.lay("C.dat", 1000)
    worn.spoil("B.dat", Fault(gone_at=1_200_000))
    first = dock.visit()
    assert outcomes(first) == {"A.dat": "stored", "B.dat": "unreadable", "C.dat": "unreadable"}
    assert {reasons(first)[name] for name in ("B.dat", "C.dat")} == {"card_gone"}
    assert first["safe_at"] is None
    assert len(dock.temps()) == 1

    worn.heal()
    second = dock.visit()
    assert outcomes(second) == {"A.dat": "already_stored", "B.dat": "stored", "C.dat": "stored"}
    proven = 1_000_000 // (256 << 10) * (256 << 10)
    assert second["bytes_read"] <= 1_500_000 - proven + 1000, "the bytes before are not read again"
    dock.require_complete(second)


@pytest.mark.fuse
def test_bytes_of_a_file_that_can_no_longer_be_opened_are_not_thrown_away(dock: Dock, worn: FaultyCard) -> None:
    # What a pulled card left may by now be the only copy.
    data = dock.lay("A.dat", 1_500_000)
    worn.spoil("A.dat", Fault(gone_at=1_200_000))
    dock.visit()
    worn.heal()
    worn.spoil("A.dat", Fault(refuses_open=True))
    second = dock.visit()
    assert outcomes(second) == {"A.dat": "unreadable"}
    (temp,) = dock.temps()
    assert (dock.store / temp).read_bytes()[:1_000_000] == data[:1_000_000]
    worn.heal()
    third = dock.visit()
    assert third["bytes_read"] < 600_000
    dock.require_complete(third)


@pytest.mark.fuse
def test_a_pulled_card_that_fails_in_any_other_way_is_still_gone(
    dock: Dock, worn: FaultyCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without its device a file may just be refused: its temp must wait for the card all the same.
    dock.lay("A.dat", 1_500_000)
    worn.spoil("A.dat", Fault(unreadable=((1_200_000, 1 << 30),), error="EACCES"))
    monkeypatch.setattr("dockd.visit.copying.is_there", lambda fd: False)
    shown = dock.visit()
    assert reasons(shown) == {"A.dat": "card_gone"}
    assert len(dock.temps()) == 1


@pytest.mark.fuse
def test_a_source_that_is_not_steady_is_kept_and_marked_and_not_safe(dock: Dock, worn: FaultyCard) -> None:
    dock.lay("A.dat", 100_000)
    dock.lay("B.dat", 100_000)
    worn.spoil("A.dat", Fault(unsteady_at=50_000))
    dock.change("verify", source_twice=True)
    shown = dock.visit()
    assert outcomes(shown) == {"A.dat": "stored_damaged", "B.dat": "stored"}
    assert reasons(shown)["A.dat"] == "source_unsteady"
    assert (shown["outcome"], shown["safe_at"]) == ("partial", None)
    assert shown["bytes_read"] == 300_000


# --- the store's trouble -----------------------------------------------------------------------------------


@pytest.fixture
def store_on(dock: Dock, tmp_path: Path) -> Callable[[Path], None]:
    """Moves the (empty) store to another disk."""

    def move(disk: Path) -> None:
        shutil.copytree(dock.store, disk / "store")
        dock.change("store", root=disk / "store")

    return move


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_store_ends_the_visit_and_the_next_goes_on_where_it_stopped(
    dock: Dock, store_on: Callable[[Path], None], tmp_path: Path
) -> None:
    dock.lay("A.dat", 300_000)
    dock.lay("B.dat", 6 * MIB)
    dock.lay_many(5)
    with disks.tmpfs(tmp_path / "disk", size=5 * MIB) as disk:
        store_on(disk)
        with pytest.raises(StoreFull) as caught:
            dock.visit()
        assert caught.value.fields["need"] == 6 * MIB
        require_no_leftovers(dock)
        dock.require_no_false_word()
        disks._run("mount", "-o", f"remount,size={20 * MIB}", disk)
        dock.require_complete(dock.visit())


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_disk_that_fills_up_in_the_middle_of_a_file_leaves_a_temp_that_is_resumed(
    dock: Dock, store_on: Callable[[Path], None], tmp_path: Path
) -> None:
    # No preallocation here, and others write to the disk, too: ENOSPC is met in the middle.
    dock.lay("A.dat", 3 * MIB)
    with disks.ext4(tmp_path / "image", tmp_path / "disk", size=16 * MIB, features="^extents,^64bit") as disk:
        store_on(disk)
        steps = Steps({Step.TEMP_CREATED: once(lambda: _take_space(disk, leave=MIB))})
        with pytest.raises(StoreFull):
            dock.visit(passed=steps)
        require_no_leftovers(dock)
        assert dock.stored() == []
        assert len(dock.temps()) == 1
        (disk / "ballast").unlink()
        shown = dock.visit()
        dock.require_complete(shown)
        assert shown["bytes_read"] < 3 * MIB, "what was proven is not read again"


def _take_space(disk: Path, *, leave: int) -> None:
    found = os.statvfs(disk)
    with (disk / "ballast").open("wb") as file:
        file.write(bytes(found.f_bavail * found.f_frsize - leave))
        os.fsync(file.fileno())


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_that_was_begun_has_its_space_whatever_others_write(
    dock: Dock, store_on: Callable[[Path], None], tmp_path: Path
) -> None:
    dock.lay("A.dat", 3 * MIB)
    with disks.ext4(tmp_path / "image", tmp_path / "disk", size=16 * MIB) as disk:
        store_on(disk)
        dock.require_complete(
            dock.visit(passed=Steps({Step.TEMP_CREATED: once(lambda: _take_space(disk, leave=MIB // 2))}))
        )


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_temp_that_has_its_space_already_does_not_need_it_twice(
    dock: Dock, store_on: Callable[[Path], None], tmp_path: Path
) -> None:
    dock.lay("A.dat", 6 * MIB)
    with disks.tmpfs(tmp_path / "disk", size=8 * MIB) as disk:
        store_on(disk)
        assert dock.crash(Step.MARK_KEPT, 3)
        dock.require_complete(dock.visit())


def test_the_reserve_is_kept_free(dock: Dock) -> None:
    dock.lay("A.dat", 1000)
    total = os.statvfs(dock.store).f_blocks * os.statvfs(dock.store).f_frsize
    dock.change("store", reserve=Reserve(size=total))
    with pytest.raises(StoreFull) as caught:
        dock.visit()
    assert caught.value.fields["reserve"] == total
    assert dock.temps() == []
    require_no_leftovers(dock)
    dock.change("store", reserve=Reserve())
    dock.require_complete(dock.visit())


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_store_is_called_read_only(dock: Dock, store_on: Callable[[Path], None], tmp_path: Path) -> None:
    dock.lay("A.dat", 1000)
    with disks.ext4(tmp_path / "image", tmp_path / "disk", size=16 * MIB) as disk:
        store_on(disk)
        disks.remount(disk, writable=False)
        with pytest.raises(StoreReadOnly):
            dock.visit()
        disks.remount(disk, writable=True)
        dock.require_complete(dock.visit())


_EXT4_SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN: the file system answers EIO from now on, as when its disk dies


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize(
    "step", [Step.TEMP_CREATED, Step.MARK_KEPT, Step.TEMP_SYNCED, Step.VERIFIED_KEPT, Step.RENAMED]
)
def test_a_store_whose_disk_dies_ends_the_visit_and_loses_nothing(
    dock: Dock, store_on: Callable[[Path], None], tmp_path: Path, step: Step
) -> None:
    dock.lay("A.dat", 700_000)
    dock.lay_many(3)
    image, at = tmp_path / "image", tmp_path / "disk"
    with disks.ext4(image, at, size=16 * MIB) as disk:
        store_on(disk)
        with pytest.raises(StoreError):
            dock.visit(passed=Steps({step: once(lambda: _shut_down(disk))}))
        require_no_threads()
    with disks.ext4(image, at, size=0):
        dock.require_no_false_word()
        dock.require_complete(dock.visit())


def _shut_down(disk: Path) -> None:
    fd = os.open(disk, os.O_RDONLY)
    fcntl.ioctl(fd, _EXT4_SHUTDOWN, (2).to_bytes(4, "little"))  # without writing the journal out first
    os.close(fd)


def require_no_threads() -> None:
    assert [thread.name for thread in threading.enumerate() if thread.daemon] == []


@pytest.fixture
def under(dock: Dock, tmp_path: Path) -> Iterator[Path]:
    """The store is a mounted disk; under its mount point lies the folder where a visit of today would write."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    at = tmp_path / "disk"
    under = at / "store/footage/2026/11/23/YS-07"
    under.mkdir(parents=True)
    with disks.ext4(tmp_path / "image", at, size=16 * MIB) as disk:
        shutil.copytree(dock.store, disk / "store")
        dock.change("store", root=disk / "store")
        yield under


def require_nothing_lost(dock: Dock, under: Path) -> None:
    """Not a byte is on the wrong disk, no false word was said, and with the disk back the visit ends complete."""
    require_no_threads()
    assert sum(path.stat().st_size for path in under.iterdir()) == 0
    at = dock.store.parent
    with disks.ext4(at.with_name("image"), at, size=0):
        dock.require_no_false_word()
        dock.require_complete(dock.visit())


@pytest.mark.root
def test_a_store_that_is_unmounted_before_the_copy_is_missing(dock: Dock, under: Path) -> None:
    # The directory under the mount point looks like an empty store on the wrong disk.
    dock.lay("A.dat", 400_000)
    with pytest.raises(StoreMissing):
        dock.visit(passed=Steps({Step.PLAN_KEPT: lambda: disks.detach(dock.store.parent)}))
    require_nothing_lost(dock, under)


@pytest.mark.root
def test_a_store_that_is_unmounted_between_two_files_is_missing(
    dock: Dock, under: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock.lay("A.dat", 1000)
    for name in "BCDEF":
        dock.lay(f"{name}.dat", 900_000)  # more than what may be read ahead
    stopped = threading.Event()
    stop = pipeline._Run._stop
    monkeypatch.setattr(pipeline._Run, "_stop", lambda self: (stop(self), stopped.set()))
    steps = Steps()

    def passed(step: Step) -> None:
        steps(step)
        if step is Step.TEMP_CREATED and steps.counts[step] == 2:
            disks.detach(dock.store.parent)
        if step is Step.TEMP_SYNCED:
            stopped.wait(60)  # the prover would notice: the writer must

    with pytest.raises(StoreMissing):
        dock.visit(passed=passed)
    assert steps.counts[Step.TEMP_CREATED] == 2
    require_nothing_lost(dock, under)


def test_a_file_that_nobody_knows_under_the_final_name_is_never_replaced(dock: Dock) -> None:
    dock.lay("A.dat", 1000)
    strange: list[Path] = []

    def plant() -> None:
        (temp,) = dock.temps()
        strange.append(dock.store / temp.removesuffix(".part"))
        strange[0].write_bytes(b"somebody's")

    with pytest.raises(ProofFailed):
        dock.visit(passed=Steps({Step.VERIFIED_KEPT: plant}))
    assert strange[0].read_bytes() == b"somebody's"
    assert dock.stored() == []
    assert len(dock.temps()) == 1
    strange[0].unlink()
    dock.require_complete(dock.visit())


# --- what the medium returns -------------------------------------------------------------------------------


def spoil_temp(dock: Dock) -> None:
    """Flips a byte of the only temp on its medium."""
    path = dock.store / dock.temps()[0]
    path.chmod(0o640)
    with path.open("r+b") as file:
        byte = file.read(1)[0]
        file.seek(0)
        file.write(bytes([byte ^ 1]))
        os.fsync(file.fileno())


def test_a_copy_that_reads_back_differently_is_kept_as_evidence_and_made_anew(dock: Dock) -> None:
    data = dock.lay("A.dat", 600_000)
    shown = dock.visit(passed=Steps({Step.TEMP_SYNCED: once(lambda: spoil_temp(dock))}))
    dock.require_complete(shown)
    (evidence,) = dock.quarantined()
    assert (dock.store / ".dockd/quarantine" / evidence).read_bytes() == bytes([data[0] ^ 1]) + data[1:]
    with dock.station.register.read() as session:
        assert session.scalars(select(TransferRow.attempts)).all() == [1]


def test_a_copy_that_differs_twice_is_never_called_stored(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    shown = dock.visit(passed=Steps({Step.TEMP_SYNCED: lambda: spoil_temp(dock)}))
    assert outcomes(shown) == {"A.dat": "unreadable"}
    assert reasons(shown) == {"A.dat": "copy_differs"}
    assert shown["outcome"] == "partial"
    assert shown["safe_at"] is None
    assert dock.stored() == []
    assert dock.temps() == []
    assert len(dock.quarantined()) == 2
    require_no_leftovers(dock)
    dock.require_complete(dock.visit())


def test_a_copy_that_is_too_long_or_too_short_is_a_copy_that_differs(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)

    def stretch() -> None:
        path = dock.store / dock.temps()[0]
        path.chmod(0o640)
        os.truncate(path, 600_001)

    dock.require_complete(dock.visit(passed=Steps({Step.TEMP_SYNCED: once(stretch)})))
    assert len(dock.quarantined()) == 1


def test_evidence_is_never_replaced_by_later_evidence(dock: Dock) -> None:
    data = dock.lay("A.dat", 1_500_000)
    # Differs, is copied once more, and the process dies in that: the next visit takes the temp over.
    steps = Steps({Step.TEMP_SYNCED: once(lambda: spoil_temp(dock))})

    def passed(step: Step) -> None:
        steps(step)
        if step is Step.MARK_KEPT and steps.counts[Step.MARK_KEPT] == 8:
            raise Interrupted

    with pytest.raises(Interrupted):
        dock.visit(passed=passed)
    assert len(dock.quarantined()) == len(dock.temps()) == 1
    dock.require_complete(dock.visit(passed=Steps({Step.TEMP_SYNCED: once(lambda: spoil_temp(dock))})))
    assert len(dock.quarantined()) == 2
    for name in dock.quarantined():
        assert (dock.store / ".dockd/quarantine" / name).read_bytes()[1:] == data[1:]


def test_a_marked_prefix_that_changed_on_the_medium_is_copied_again(dock: Dock) -> None:
    dock.lay("A.dat", 1_500_000)
    assert dock.crash(Step.MARK_KEPT, 4)
    spoil_temp(dock)
    shown = dock.visit()
    assert shown["bytes_read"] == 1_500_000
    dock.require_complete(shown)


# --- stopping -----------------------------------------------------------------------------------------------


class Interrupted(BaseException):
    """As the worker's OwnerGone: nothing of ours catches it."""


@pytest.mark.parametrize("allowed", [0, 1, 3, 10, 11])
def test_a_process_that_may_not_write_any_more_stops_at_once(dock: Dock, allowed: int) -> None:
    dock.lay("A.dat", 600_000)
    dock.lay_many(10)
    left = [allowed]

    def before_write() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Interrupted

    steps = Steps()
    with pytest.raises(Interrupted):
        dock.visit(before_write=before_write, passed=steps)
    assert left[0] == -1 or left[0] == -2  # the prover may ask at the same moment as the writer
    require_no_leftovers(dock)
    dock.require_no_false_word()
    dock.require_complete(dock.visit())


@pytest.mark.parametrize("written", [0, 1, 5])
def test_every_write_asks_first(dock: Dock, written: int) -> None:
    dock.lay("A.dat", 600_000)
    left = [1 + written]  # once for the temp, once for each chunk

    def before_write() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Interrupted

    steps = Steps()
    with pytest.raises(Interrupted):
        dock.visit(before_write=before_write, passed=steps)
    assert steps.counts[Step.CHUNK_WRITTEN] == written
    (temp,) = dock.temps()
    assert any((dock.store / temp).read_bytes()[written * (64 << 10) :]) is False


def test_no_name_is_given_without_asking_first(dock: Dock) -> None:
    dock.lay("A.dat", 1000)
    proven = threading.Event()

    def before_write() -> None:
        if proven.is_set():
            raise Interrupted

    with pytest.raises(Interrupted):
        dock.visit(before_write=before_write, passed=Steps({Step.READ_BACK: proven.set}))
    assert {state for state, _, _ in dock.transfers()} == {"copying"}


def test_an_error_of_the_operating_system_from_before_write_is_not_blamed_on_the_store(dock: Dock) -> None:
    dock.lay("A.dat", 1000)

    def broken() -> None:
        raise BrokenPipeError(errno.EPIPE, "the owner is gone")

    with pytest.raises(BrokenPipeError):
        dock.visit(before_write=broken)


def test_an_interrupt_stops_the_copy_before_it_reaches_the_caller(dock: Dock) -> None:
    # Ctrl-C reaches the thread that waits, not those that write: they must not write on without the card's lock.
    dock.lay("A.dat", 3_000_000)
    dock.lay_many(10)
    main = threading.main_thread().ident
    assert main is not None
    done: list[str] = []

    def interrupt() -> None:
        signal.pthread_kill(main, signal.SIGINT)
        done.append(sha256(bytes(64 * MIB)))  # the caller could be far away by now

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
    try:
        with pytest.raises(KeyboardInterrupt):
            dock.visit(passed=Steps({Step.MARK_KEPT: once(interrupt)}))
        assert done, "who was writing has ended"
    finally:
        signal.signal(signal.SIGINT, before)
    require_no_leftovers(dock)
    dock.require_no_false_word()
    dock.require_complete(dock.visit())


@pytest.mark.parametrize("call", ["mark", "verified", "stored", "failed", "already"])
def test_a_register_that_fails_between_two_steps_stops_the_copy_and_leaks_nothing(
    dock: Dock, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    dock.lay("A.dat", 5000)
    dock.visit()
    dock.lay("A.dat", (dock.files / "A.dat").read_bytes(), mtime_ns=MTIME + SECOND)
    dock.lay("B.dat", 600_000)
    dock.lay_many(8)

    def shrink() -> None:
        if (dock.files / "many/0003.dat").stat().st_size:
            os.truncate(dock.files / "many/0003.dat", 0)

    def fail(*_: object, **__: object) -> None:
        raise StoreFailing(path="register", reason="as told")

    with monkeypatch.context() as patch:
        patch.setattr(books.Books, call, fail)
        with pytest.raises(StoreFailing):
            dock.visit(passed=Steps({Step.PLAN_KEPT: shrink} if call == "failed" else {}))
    require_no_leftovers(dock)
    dock.require_no_false_word()
    dock.require_complete(dock.visit())


def test_a_descriptor_is_never_closed_twice(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    # A second close would hit whatever another thread has just opened, the register itself for example.
    dock.lay("A.dat", 3_000_000)
    failed: list[int] = []
    real = os.close

    def close(fd: int) -> None:
        try:
            real(fd)
        except OSError:
            failed.append(fd)

    def fail(*_: object, **__: object) -> None:
        raise StoreFailing(path="register", reason="as told")

    monkeypatch.setattr(os, "close", close)
    monkeypatch.setattr(books.Books, "failed", fail)
    with pytest.raises(StoreFailing):
        dock.visit(passed=Steps({Step.CHUNK_WRITTEN: once(lambda: os.truncate(dock.files / "A.dat", 1))}))
    assert failed == []


# --- the protocol's order -----------------------------------------------------------------------------------


def test_each_step_is_passed_in_the_order_of_the_protocol(dock: Dock) -> None:
    dock.lay("A.dat", 600_000)
    order: list[Step] = []
    dock.visit(passed=order.append)
    firsts = [step for step in order if order.index(step) == len(order) - 1 - order[::-1].index(step)]
    written = [step for step in Step if step in firsts]
    assert [step for step in order if step in written and step is not Step.SOURCE_READ] == [
        step for step in written if step is not Step.SOURCE_READ
    ]
    assert set(order) == set(Step)


def test_nothing_is_said_before_it_is_on_the_medium(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files, names and rows in one order: data, fsync, proof, row, name, directory's fsync, row."""
    dock.lay("A.dat", 1000)
    seen: list[str] = []
    fsync, rename = os.fsync, durable.rename_without_replacing

    def note_fsync(fd: int) -> None:
        fsync(fd)
        path = os.readlink(f"/proc/self/fd/{fd}")
        seen.append("fsync temp" if path.endswith(".part") else f"fsync {path}")

    def note_rename(old: str, new: str) -> None:
        rename(old, new)
        seen.append("rename")

    def note(name: str) -> Callable[..., None]:
        real = getattr(books.Books, name)

        def call(*args: object) -> None:
            real(*args)
            seen.append(name)

        return call

    for name in ("verified", "stored"):
        monkeypatch.setattr(books.Books, name, note(name))
    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(durable, "rename_without_replacing", note_rename)
    shown = dock.visit()
    folder = str(place(dock, shown, "A.dat").parent)
    begin, renamed = seen.index("fsync temp"), seen.index("rename")
    assert begin < seen.index("verified") < renamed < seen.index("stored")
    assert seen[renamed + 1 : seen.index("stored")] == [f"fsync {folder}"]
    made = {str(dock.store), *map(str, [dock.store / p for p in Path(folder).relative_to(dock.store).parents])}
    assert made <= {line.removeprefix("fsync ") for line in seen[:begin]}, "every directory on the way, too"


def test_a_mark_is_on_the_medium_before_it_is_kept(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> None:
    dock.lay("A.dat", 600_000)
    seen: list[tuple[str, int]] = []
    fdatasync, mark = os.fdatasync, books.Books.mark

    def note_sync(fd: int) -> None:
        fdatasync(fd)
        if os.readlink(f"/proc/self/fd/{fd}").endswith(".part"):
            seen.append(("sync", 0))

    def note_mark(self: books.Books, observation_id: int, offset: int, sha256: str) -> None:
        mark(self, observation_id, offset, sha256)
        seen.append(("mark", offset))

    monkeypatch.setattr(os, "fdatasync", note_sync)
    monkeypatch.setattr(books.Books, "mark", note_mark)
    dock.visit()
    assert seen == [("sync", 0), ("mark", 256 << 10), ("sync", 0), ("mark", 512 << 10)]


def test_the_marks_of_a_finished_file_are_forgotten(dock: Dock) -> None:
    dock.lay("A.dat", 1_500_000)
    dock.visit()
    with dock.station.register.read() as session:
        assert session.scalars(select(JournalRow)).all() == []
