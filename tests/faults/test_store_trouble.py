"""The store full, over quota, read-only, failing or gone: everything waits, nothing is lost, the next run completes."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import disks
import faultfs
import pytest
from bureau import Bureau
from faultfs import Fault, faulty_card
from faultstore import FaultyStore, Refusal, faulty_store
from troubles import (
    Acts,
    at_once,
    configure,
    ends_complete,
    fails,
    fails_in_both_languages,
    free,
    lay_card,
    move_store,
    need,
    nth,
    sha256,
    stored,
    temps,
    truth,
    workers,
)

from dockd.errors import StoreFailing, StoreFilled, StoreFull, StoreMissing, StoreReadOnly, WorkerDied
from dockd.offload.steps import Step

pytestmark = pytest.mark.usefixtures("small_chunks", "deadline")

MIB = 1 << 20

TEMP, SIDECAR, MANIFEST, LISTING, LEDGER = r"\.dat\.part$", r"\.xmp", r"\.sha256", r"visit-\d+\.json", r"\.jsonl"
WRITTEN = {"copy": TEMP, "sidecar": SIDECAR, "manifest": MANIFEST, "listing": LISTING, "ledger": LEDGER}
"""Everything that a visit writes into the store."""


@pytest.fixture
def failing(bureau: Bureau, tmp_path: Path) -> Iterator[FaultyStore]:
    """A disk whose calls fail on demand; the bureau's store is on it."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("no access to /dev/fuse")
    with faulty_store(tmp_path / "medium", tmp_path / "disk") as disk:
        move_store(bureau, disk.path)
        yield disk


# --- full ------------------------------------------------------------------------------------------------


@need(disks.root)
def test_a_full_store_is_told_and_alerted_and_the_next_run_goes_on(bureau: Bureau, tmp_path: Path) -> None:
    files = lay_card(bureau, large=6 * MIB)
    with disks.tmpfs(tmp_path / "disk", size=4 * MIB) as disk:
        move_store(bureau, disk)
        fails_in_both_languages(bureau, StoreFull)
        assert len(stored(bureau)) == 3, "only what does not fit waits: what is listed behind it is stored"
        assert temps(bureau) == []
        (alert,) = bureau.alerts("store_full")
        assert alert["state"] == "open"
        assert "New copies wait" in alert["text"]
        disks.resize(disk, size=20 * MIB)
        ends_complete(bureau, files)
        assert [a["state"] for a in bureau.alerts("store_full")] == ["closed"]


@need(disks.root)
def test_a_disk_that_others_fill_up_in_mid_file_keeps_the_temp_and_the_next_run_goes_on_inside_it(
    bureau: Bureau, tmp_path: Path, at_step: Acts
) -> None:
    # A file system that cannot reserve space: ENOSPC is met by a write.
    files = lay_card(bureau)
    with disks.ext4(tmp_path / "image", tmp_path / "disk", size=16 * MIB, features="^extents,^64bit") as disk:
        move_store(bureau, disk)
        with at_step({Step.TEMP_CREATED: nth(3, lambda: disks.fill(disk, leave=MIB))}):
            assert str(bureau.store) in fails(bureau, StoreFilled)
        fails(bureau, StoreFilled, language="zh")
        assert len(temps(bureau)) == 1
        assert len(stored(bureau)) == 2
        (alert,) = bureau.alerts("store_full")
        assert "no room left" in alert["text"]
        (disk / "ballast").unlink()
        summary = ends_complete(bureau, files)
        assert summary["bytes_read"] < 3 * MIB, "what was proven is not read again"


@need(disks.root)
def test_the_reserve_stops_new_copies_before_the_disk_is_full(bureau: Bureau, tmp_path: Path) -> None:
    files = lay_card(bureau)
    with disks.tmpfs(tmp_path / "disk", size=8 * MIB) as disk:
        move_store(bureau, disk)
        configure(bureau, "reserve: 0", "reserve: 6MiB")
        fails_in_both_languages(bureau, StoreFull)
        assert free(disk) >= 6 * MIB
        assert len(stored(bureau)) == 3, "only what does not fit waits: what is listed behind it is stored"
        (alert,) = bureau.alerts("store_full")
        assert str(6 * MIB) in alert["text"]
        bureau.dockd("verify")
        configure(bureau, "reserve: 6MiB", "reserve: 1MiB")
        ends_complete(bureau, files)
        assert free(disk) >= MIB


@need(faultfs.fuse)
@pytest.mark.parametrize("what", at_once(WRITTEN, "manifest"))
def test_no_space_is_a_full_store_whatever_is_written(bureau: Bureau, failing: FaultyStore, what: str) -> None:
    files = lay_card(bureau)
    failing.refuse(Refusal("write", "ENOSPC", on=WRITTEN[what]))
    fails_in_both_languages(bureau, StoreFilled)
    stored(bureau)
    assert [a["state"] for a in bureau.alerts("store_full")] == ["open"]
    failing.heal()
    ends_complete(bureau, files)
    assert [a["state"] for a in bureau.alerts("store_full")] == ["closed"]


@need(faultfs.fuse)
@pytest.mark.parametrize("call", at_once(["create", "write", "fsync"], "fsync"))
def test_a_quota_that_is_used_up_is_a_full_store(bureau: Bureau, failing: FaultyStore, call: str) -> None:
    # Kernels in small machines know no quotas, so the errno comes from FUSE; NFS gives it at the fsync.
    files = lay_card(bureau)
    failing.refuse(Refusal(call, "EDQUOT", on=TEMP))
    fails_in_both_languages(bureau, StoreFilled)
    assert stored(bureau) == {}
    failing.heal()
    ends_complete(bureau, files)


# --- read-only -------------------------------------------------------------------------------------------


@need(disks.root)
def test_a_store_that_is_read_only_from_the_start_is_called_so(bureau: Bureau, tmp_path: Path) -> None:
    files = lay_card(bureau)
    with disks.ext4(tmp_path / "image", tmp_path / "disk", size=16 * MIB) as disk:
        move_store(bureau, disk)
        disks.remount(disk, writable=False)
        fails_in_both_languages(bureau, StoreReadOnly)
        disks.remount(disk, writable=True)
        ends_complete(bureau, files)


MIDDLE = [Step.PLAN_KEPT, Step.TEMP_CREATED, Step.MARK_KEPT, Step.TEMP_SYNCED, Step.RENAMED, Step.STORED_KEPT]
"""Places in a visit at which the store fails."""


@need(disks.root)
@pytest.mark.parametrize("step", at_once(MIDDLE, Step.MARK_KEPT))
def test_a_store_that_the_kernel_makes_read_only_in_the_middle_loses_nothing(
    bureau: Bureau, tmp_path: Path, at_step: Acts, step: Step
) -> None:
    # What ext4 does when it finds an error on its disk: errors=remount-ro.
    files = lay_card(bureau, alone=True)
    image, at = tmp_path / "image", tmp_path / "disk"
    with disks.ext4(image, at, size=16 * MIB, options="errors=remount-ro") as disk:
        move_store(bureau, disk)
        with at_step({step: nth(1, lambda: disks.break_ext4(disk))}):
            fails(bureau, StoreReadOnly, StoreFailing)  # the journal that was cut off answers EIO
        fails(bureau, StoreReadOnly, language="zh")
    with disks.ext4(image, at, size=0, options="errors=remount-ro"):
        stored(bureau)
        ends_complete(bureau, files)


# --- failing ---------------------------------------------------------------------------------------------


@need(disks.root)
@pytest.mark.parametrize("step", at_once(MIDDLE, Step.RENAMED))
def test_a_store_whose_disk_dies_in_the_middle_loses_nothing(
    bureau: Bureau, tmp_path: Path, at_step: Acts, step: Step
) -> None:
    files = lay_card(bureau, alone=True)
    image, at = tmp_path / "image", tmp_path / "disk"
    with disks.ext4(image, at, size=16 * MIB) as disk:
        move_store(bureau, disk)
        with at_step({step: nth(1, lambda: disks.shut_down(disk))}):
            fails(bureau, StoreFailing)
        fails(bureau, StoreFailing, language="zh")
    with disks.ext4(image, at, size=0):
        stored(bureau)
        ends_complete(bureau, files)


CALLS = {
    "making a folder": Refusal("mkdir", on="/2026$"),
    "making a temp": Refusal("create", on=TEMP, after=2),
    "the third write": Refusal("write", on=TEMP, after=2),
    "a write in the large file": Refusal("write", on=TEMP, after=20),
    "the first sync of a temp": Refusal("fsync", on=TEMP),
    "a mark's sync": Refusal("fsync", on=TEMP, after=4),
    "reading back": Refusal("read", on=TEMP),
    "the final name": Refusal("rename", on=r"\.dat$"),
    "the sync of the folder": Refusal("fsyncdir", on="YS-07$", after=1),
    "writing a sidecar": Refusal("write", on=SIDECAR),
    "the sync of a sidecar": Refusal("fsync", on=SIDECAR, after=2),
    "writing the manifest": Refusal("write", on=MANIFEST),
    "the sync of the manifest": Refusal("fsync", on=MANIFEST),
    "writing the listing": Refusal("write", on=LISTING),
    "writing the ledger": Refusal("write", on=LEDGER),
    "the sync of the ledger": Refusal("fsync", on=LEDGER, after=1),
}

QUICK = ("a mark's sync", "reading back", "the final name")


@need(faultfs.fuse)
@pytest.mark.parametrize("what", at_once(CALLS, *QUICK))
def test_an_input_or_output_error_of_the_store_ends_the_visit_and_loses_nothing(
    bureau: Bureau, failing: FaultyStore, what: str
) -> None:
    files = lay_card(bureau)
    failing.refuse(CALLS[what])
    fails(bureau, StoreFailing, language="en" if what in QUICK else "zh")
    stored(bureau)
    failing.heal()
    ends_complete(bureau, files)


@need(faultfs.fuse)
def test_a_store_that_cannot_say_what_it_holds_is_not_taken_for_an_empty_one(
    bureau: Bureau, failing: FaultyStore, tmp_path: Path
) -> None:
    """The temp of a pulled card and the stored files are there; not being able to look is no reason to forget them."""
    lay_card(bureau)
    files = truth(bureau)
    real = bureau.card
    with faulty_card(real, tmp_path / "reader") as card:
        bureau.card = card.path
        large = next(path for path in files if os.path.getsize(real / path) > MIB)
        card.spoil(large, Fault(gone_at=2 * MIB))
        bureau.dockd("offload", card.path, code=3)
        (temp,) = temps(bureau)
        card.heal()
        failing.refuse(Refusal("getattr", on=TEMP))
        fails(bureau, StoreFailing)
        failing.refuse(Refusal("getattr", on=r"\.dat$"))
        fails(bureau, StoreFailing)
        failing.heal()
        assert temp.exists()
        summary = bureau.offload()
        assert summary["outcome"] == "complete"
        assert summary["bytes_read"] < 2 * MIB, "neither stored files nor the proven part are read again"
        bureau.prove(summary)


# --- one bad place of the disk -----------------------------------------------------------------------------


@need(faultfs.fuse)
def test_one_bad_place_of_the_stores_disk_is_stepped_around_and_told(bureau: Bureau, failing: FaultyStore) -> None:
    files = lay_card(bureau)
    failing.refuse(Refusal("read", on=TEMP, times=1))
    ends_complete(bureau, files)
    (alert,) = bureau.alerts("store_altered")
    assert "the disk fails in this place" in alert["text"]
    assert ".dockd/quarantine/" in alert["text"], "it names the copy that keeps the bad place occupied"


BAD_TWICE = [("en", "the store gave back other bytes, twice"), ("zh", "存储两次读回的内容都不一致")]


def flip(bureau: Bureau) -> None:
    """A bit of every waiting temp is another one now, on the disk."""
    for temp in temps(bureau):
        temp.chmod(0o640)
        with temp.open("r+b") as file:
            file.seek(1000)
            byte = file.read(1)[0]
            file.seek(1000)
            file.write(bytes([byte ^ 1]))


def test_a_bit_that_flips_on_its_way_to_the_disk_is_found_told_and_copied_anew(bureau: Bureau, at_step: Acts) -> None:
    files = lay_card(bureau, alone=True)
    with at_step({Step.TEMP_SYNCED: nth(1, lambda: flip(bureau))}):
        ends_complete(bureau, files)
    (alert,) = bureau.alerts("store_altered")
    assert "gave back other bytes than were written" in alert["text"]


@pytest.mark.parametrize(("language", "words"), [BAD_TWICE[0], pytest.param(*BAD_TWICE[1], marks=pytest.mark.slow)])
def test_bits_that_flip_again_and_again_are_exit_5_and_nothing_of_them_is_called_stored(
    bureau: Bureau, at_step: Acts, language: str, words: str
) -> None:
    files = lay_card(bureau, alone=True)
    with at_step({Step.TEMP_SYNCED: lambda: flip(bureau)}):
        result = bureau.run("--lang", language, "offload", bureau.card, config=bureau.config)
    assert result.exit_code == 5, result.stderr
    assert words in result.stdout
    assert stored(bureau) == {}
    assert len(bureau.alerts("copy_differs")) == 1
    assert len(list((bureau.store / ".dockd/quarantine").iterdir())) == 2, "both copies are evidence"
    ends_complete(bureau, files)


def crash(bureau: Bureau, at_step: Acts, step: Step) -> None:
    """The worker dies at ``step``."""
    with at_step({step: nth(1, lambda: os.kill(os.getpid(), signal.SIGKILL))}):
        fails(bureau, WorkerDied)


@need(faultfs.fuse)
@pytest.mark.parametrize("step", at_once([Step.VERIFIED_KEPT, Step.RENAMED], Step.VERIFIED_KEPT))
def test_a_proven_copy_that_cannot_be_read_after_a_crash_stops_nobody_and_is_kept(
    bureau: Bureau, failing: FaultyStore, at_step: Acts, step: Step
) -> None:
    """Nobody has to act first: what can be read is stored, the card is copied again, what is left is told of."""
    files = lay_card(bureau, alone=True)
    crash(bureau, at_step, step)
    (left,) = [path for path in (failing.path / "store/footage").rglob("*.dat*") if path.is_file()]
    failing.refuse(Refusal("read", on=rf"{left.name}$", times=3))
    summary = bureau.offload()
    assert summary["outcome"] == "complete"
    assert {f["path"]: f["sha256"] for f in summary["files"]} == files
    (alert,) = bureau.alerts("store_altered")
    assert "could not be read back" in alert["text"]
    kept = [p for p in (failing.path / "store").rglob("*") if p.is_file() and left.stem.split(".")[0] in p.name]
    assert sha256(next(p for p in kept if ".xmp" not in p.name).read_bytes()) in files.values(), "nothing is lost"
    bureau.dockd("ledger", "verify")


@need(faultfs.fuse)
@pytest.mark.parametrize("step", at_once([Step.VERIFIED_KEPT, Step.RENAMED], Step.RENAMED))
def test_a_proven_copy_on_a_disk_that_takes_no_data_waits_for_the_disk(
    bureau: Bureau, failing: FaultyStore, at_step: Acts, step: Step
) -> None:
    files = lay_card(bureau, alone=True)
    crash(bureau, at_step, step)
    (left,) = [path for path in (failing.path / "store/footage").rglob("*.dat*") if path.is_file()]
    failing.refuse(Refusal("read", on=rf"{left.name}$"), Refusal("write"))
    fails_in_both_languages(bureau, StoreFailing)
    assert left.exists()
    failing.heal()
    assert ends_complete(bureau, files)["bytes_read"] == 0


# --- gone --------------------------------------------------------------------------------------------------


@need(disks.root)
@pytest.mark.parametrize("step", at_once(MIDDLE, Step.MARK_KEPT))
def test_a_store_that_is_unmounted_in_the_middle_loses_nothing_and_nothing_is_written_where_it_was(
    bureau: Bureau, tmp_path: Path, at_step: Acts, step: Step
) -> None:
    # The folder under the mount point looks like an empty store on the wrong disk.
    files = lay_card(bureau)
    image, at = tmp_path / "image", tmp_path / "disk"
    (at / "store").mkdir(parents=True)
    with disks.ext4(image, at, size=16 * MIB) as disk:
        move_store(bureau, disk)
        with at_step({step: nth(1, lambda: disks.detach(disk))}):
            fails(bureau, StoreMissing)
        fails(bureau, StoreMissing, language="zh")
    assert [path for path in (at / "store").rglob("*") if not path.is_dir()] == []
    with disks.ext4(image, at, size=0):
        stored(bureau)
        ends_complete(bureau, files)


@need(faultfs.fuse)
@pytest.mark.parametrize("step", at_once(MIDDLE, Step.TEMP_SYNCED))
def test_a_store_whose_server_dies_in_the_middle_loses_nothing(
    bureau: Bureau, tmp_path: Path, at_step: Acts, step: Step
) -> None:
    # ENOTCONN, as of a network file system or a disk behind FUSE.
    files = lay_card(bureau)
    medium, at = tmp_path / "medium", tmp_path / "disk"
    with faulty_store(medium, at) as disk:
        move_store(bureau, disk.path)
        with at_step({step: nth(1, disk.kill)}):
            fails(bureau, StoreMissing)
        fails(bureau, StoreMissing, language="zh")
    with faulty_store(medium, at):
        stored(bureau)
        ends_complete(bureau, files)


def _empty(store: Path) -> None:
    store.mkdir()


def _other_station(store: Path) -> None:
    (store / ".dockd").mkdir(parents=True)
    (store / ".dockd/store.json").write_text('{"store_id": "another", "station_no": "S1"}')


def _half_marker(store: Path) -> None:
    (store / ".dockd").mkdir(parents=True)
    (store / ".dockd/store.json").write_text('{"store_id":')


@pytest.mark.parametrize("lay", at_once([lambda store: None, _empty, _other_station, _half_marker], _empty))
def test_what_lies_where_the_store_was_is_not_taken_for_it(bureau: Bureau, lay: Callable[[Path], Any]) -> None:
    """Nothing there, an empty folder, another store, half a marker: not a byte is written."""
    files = lay_card(bureau)
    away = bureau.folder / "away"
    shutil.move(bureau.store, away)
    lay(bureau.store)
    before = sorted(bureau.store.rglob("*"))
    fails_in_both_languages(bureau, StoreMissing)
    assert sorted(bureau.store.rglob("*")) == before
    shutil.rmtree(bureau.store, ignore_errors=True)
    shutil.move(away, bureau.store)
    ends_complete(bureau, files)


@need(disks.root)
def test_an_empty_disk_that_is_mounted_over_the_store_takes_nothing(bureau: Bureau) -> None:
    files = lay_card(bureau)
    with disks.tmpfs(bureau.store, size=8 * MIB):
        fails_in_both_languages(bureau, StoreMissing)
        assert list(bureau.store.iterdir()) == []
    ends_complete(bureau, files)


# --- more than one trouble -----------------------------------------------------------------------------------


@pytest.mark.slow
@need(disks.root)
def test_a_store_that_fails_in_many_ways_one_after_the_other_loses_nothing(
    bureau: Bureau, tmp_path: Path, at_step: Acts
) -> None:
    files = lay_card(bureau, alone=True)
    image, at = tmp_path / "image", tmp_path / "disk"
    acts: list[tuple[Step, Callable[[Path], object]]] = [
        (Step.MARK_KEPT, disks.break_ext4),
        (Step.READ_BACK, disks.detach),
        (Step.RENAMED, disks.shut_down),
        (Step.VERIFIED_KEPT, disks.break_ext4),
        (Step.STORED_KEPT, disks.shut_down),
        (Step.STORED_KEPT, disks.detach),
    ]
    for number, (step, act) in enumerate(acts):
        with disks.ext4(image, at, size=16 * MIB, options="errors=remount-ro") as disk:
            if number == 0:
                move_store(bureau, disk)
            with at_step({step: nth(1, lambda act=act, disk=disk: act(disk))}):  # type: ignore[misc]
                result = bureau.run("offload", bureau.card, config=bureau.config)
                assert result.exit_code in (0, 4), result.stderr  # 0 once all is stored
                assert workers() == []
    with disks.ext4(image, at, size=0):
        stored(bureau)
        ends_complete(bureau, files)
