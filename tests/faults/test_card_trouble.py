"""The card worn, pulled, swapped, silent, slow or unsteady: that file fails, everything else goes on and is stored."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import disks
import faultfs
import pytest
from bureau import DOCKED, Bureau, by_path, media, outcomes
from faultfs import Fault, FaultyCard, faulty_card
from faultstore import Refusal, faulty_store
from sqlalchemy import select
from troubles import (
    MIB,
    Acts,
    at_once,
    ends_complete,
    fails,
    lay_card,
    move_store,
    need,
    nth,
    says,
    sha256,
    stored,
    temps,
    truth,
)
from waiting import LIMIT_S, until

from dockd.errors import NotAnswering, PathUnreadable, StoreFailing, WorkerDied
from dockd.footage.sidecar import parse_sidecar
from dockd.nouns import Hole
from dockd.offload.steps import Step
from dockd.register.tables import FootageRow

pytestmark = pytest.mark.usefixtures("small_chunks", "deadline")

PAGE = 4096


@pytest.fixture
def worn(bureau: Bureau, tmp_path: Path) -> Iterator[FaultyCard]:
    """The bureau's card in a reader whose reads fail on demand."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("no access to /dev/fuse")
    with faulty_card(bureau.card, tmp_path / "reader") as card:
        yield card


def large_of(bureau: Bureau) -> str:
    """The path of the largest file on the card."""
    files = [path for path in bureau.card.rglob("*") if path.is_file()]
    return str(max(files, key=lambda path: path.stat().st_size).relative_to(bureau.card))


def configure_patience(bureau: Bureau, seconds: int) -> None:
    bureau.configure(f"card: {{patience: {seconds}s}}")


# --- unreadable sectors ------------------------------------------------------------------------------------------

SIZE = 300_000
RANGES: dict[str, list[tuple[int, int]]] = {
    "one": [(100_000, 100_001)],
    "the first": [(0, 10)],
    "the last": [(SIZE - 1, SIZE)],
    "the first two": [(10, PAGE + 1)],
    "several": [(5 * PAGE, 6 * PAGE), (20 * PAGE - 3, 20 * PAGE + 3), (50 * PAGE, 58 * PAGE)],
    "at a buffer's end": [((64 << 10) - 1, (64 << 10) + 1)],
    "every second": [(start, start + 1) for start in range(0, SIZE, 2 * PAGE)],
    "all but one": [(0, 30 * PAGE), (31 * PAGE, SIZE)],
}


def holes_of(ranges: list[tuple[int, int]], size: int) -> list[Hole]:
    """The whole sectors that ``ranges`` touch, adjacent ones as one."""
    found: list[Hole] = []
    for page in sorted({page for start, end in ranges for page in range(start // PAGE, (end - 1) // PAGE + 1)}):
        begin, end = page * PAGE, min((page + 1) * PAGE, size)
        if found and found[-1].offset + found[-1].length == begin:
            begin = found.pop().offset
        found.append(Hole(begin, end - begin))
    return found


@need(faultfs.fuse)
@pytest.mark.parametrize("which", at_once(RANGES, "the last", "several"))
def test_unreadable_sectors_are_holes_in_register_summary_and_sidecar_and_the_rest_is_at_its_place(
    bureau: Bureau, worn: FaultyCard, which: str
) -> None:
    lay_card(bureau, large=1000)
    data = media(os.urandom(SIZE))[:SIZE]
    bureau.lay("DCIM/100ANDRO/2107731_012345_20261123091500_0001.dat", data)
    damaged = large_of(bureau)
    worn.spoil(damaged, Fault(unreadable=tuple(RANGES[which])))
    holes = holes_of(RANGES[which], SIZE)
    saved = bytearray(data)
    for hole in holes:
        saved[hole.offset : hole.offset + hole.length] = bytes(hole.length)

    summary = bureau.offload(card=worn.path, code=3)
    assert summary["outcome"] == "partial"
    assert summary["safe_at"], "nothing is left that a later try could read"
    assert {outcome for path, outcome in outcomes(summary).items() if path != damaged} == {"stored"}
    file = by_path(summary)[damaged]
    assert (file["outcome"], file["sha256"]) == ("stored_damaged", sha256(saved))
    assert [Hole(**hole) for hole in file["holes"]] == holes
    assert (bureau.store / file["location"]).read_bytes() == saved
    assert [Hole(**hole) for hole in _register_holes(bureau, file["file_no"])] == holes
    said = parse_sidecar((bureau.store / f"{file['location']}.xmp").read_bytes())
    assert (said.holes, said.digest) == (tuple(holes), sha256(saved))
    assert f"holes:{sum(hole.length for hole in holes)}" in str(bureau.said_of(damaged)["remark"])
    (alert,) = bureau.alerts("unreadable_file")
    assert alert["visit_id"] == summary["visit_id"]
    bureau.prove(summary)


def _register_holes(bureau: Bureau, file_no: str) -> list[dict[str, int]]:
    station = bureau.open()
    try:
        with station.register.read() as session:
            return list(session.scalar(select(FootageRow.holes).where(FootageRow.file_no == file_no)) or [])
    finally:
        station.close()


@need(faultfs.fuse)
def test_a_file_of_which_nothing_can_be_read_is_named_and_the_rest_is_stored(bureau: Bureau, worn: FaultyCard) -> None:
    lay_card(bureau, large=SIZE)
    lost = large_of(bureau)
    worn.spoil(lost, Fault(unreadable=((0, 1 << 30),)))
    for language in ("en", "zh"):
        result = bureau.run("--lang", language, "offload", worn.path, config=bureau.config)
        assert result.exit_code == 3
        assert lost in result.stdout
    summary = bureau.offload(card=worn.path, code=3)
    assert outcomes(summary)[lost] == "unreadable"
    assert by_path(summary)[lost]["location"] is None
    assert len(stored(bureau)) == 3
    assert len(bureau.alerts("unreadable_file")) >= 1
    bureau.prove(summary)
    worn.heal()
    ends_complete(bureau, truth(bureau), card=worn.path)


# --- pulled and put back -------------------------------------------------------------------------------------------


@need(faultfs.fuse)
def test_a_card_that_is_pulled_and_put_back_goes_on_inside_the_file(bureau: Bureau, worn: FaultyCard) -> None:
    files = lay_card(bureau)
    large = large_of(bureau)
    worn.spoil(large, Fault(gone_at=2 * MIB))
    first = bureau.offload(card=worn.path, code=3)
    assert outcomes(first)[large] == "unreadable"
    assert {f["reason"] for f in first["files"] if f["outcome"] == "unreadable"} == {"card_gone"}
    assert first["safe_at"] is None
    assert len(temps(bureau)) == 1
    assert len(bureau.alerts("removed_early")) == 1
    assert len(stored(bureau)) == 2

    worn.heal()
    size = os.path.getsize(bureau.card / large)
    last = os.path.getsize(bureau.card / sorted(files)[-1])
    proven = 2 * MIB // (256 << 10) * (256 << 10) - (256 << 10)
    second = ends_complete(bureau, files, card=worn.path)
    assert second["bytes_read"] <= size - proven + last, "the bytes before the last mark are not read again"


@need(faultfs.fuse)
def test_what_a_person_is_told_of_a_pulled_card_is_to_dock_it_again(bureau: Bureau, worn: FaultyCard) -> None:
    lay_card(bureau)
    worn.spoil(large_of(bureau), Fault(gone_at=2 * MIB))
    for language, words in (("en", "Dock the recorder again"), ("zh", "重新接入")):
        result = bureau.run("--lang", language, "offload", worn.path, config=bureau.config)
        assert result.exit_code == 3
        assert words in result.stdout
        worn.heal()
        worn.spoil(large_of(bureau), Fault(gone_at=2 * MIB + 300_000))


@pytest.mark.slow
@need(faultfs.fuse)
def test_a_large_file_is_resumed_at_the_last_of_its_64_mib_marks(
    founded: Path, tmp_path: Path, run_cli: Callable[..., Any], clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    shutil.copytree(founded, tmp_path / "station2")
    bureau = Bureau(tmp_path / "station2", run_cli, clock)
    path = bureau.lay("DCIM/100ANDRO/2107731_012345_20261123091500_0001.dat", media("large"))
    status = path.stat()
    os.truncate(path, 200 * MIB)
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    files = truth(bureau)
    with faulty_card(bureau.card, tmp_path / "reader") as card:
        card.spoil(large_of(bureau), Fault(gone_at=150 * MIB))
        bureau.offload(card=card.path, code=3)
        card.heal()
        second = ends_complete(bureau, files, card=card.path)
        assert second["bytes_read"] == 72 * MIB


@pytest.mark.slow
def test_a_file_beyond_4_gib_is_resumed_beyond_4_gib(
    founded: Path,
    tmp_path: Path,
    run_cli: Callable[..., Any],
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
    at_step: Acts,
) -> None:
    # What exFAT cards hold.
    signal.alarm(1500)
    monkeypatch.undo()
    shutil.copytree(founded, tmp_path / "station2")
    bureau = Bureau(tmp_path / "station2", run_cli, clock)
    path = bureau.lay("DCIM/100ANDRO/2107731_012345_20261123091500_0001.dat", media("large"))
    status, size = path.stat(), (4 << 30) + 70 * MIB
    with path.open("r+b") as file:
        file.seek(size - 5)
        file.write(b"ended")
    os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    with at_step({Step.MARK_KEPT: nth(65, lambda: os.kill(os.getpid(), signal.SIGKILL))}):
        fails(bureau, WorkerDied)
    summary = bureau.offload()
    assert summary["outcome"] == "complete"
    assert summary["bytes_read"] == size - 65 * 64 * MIB
    assert by_path(summary)[large_of(bureau)]["size"] == size
    bureau.prove(summary)


@need(faultfs.fuse)
def test_a_card_whose_reader_dies_is_gone_and_nothing_of_it_is_lost(
    bureau: Bureau, worn: FaultyCard, at_step: Acts
) -> None:
    """ENOTCONN and ECONNABORTED, as when the process behind a FUSE file system (exFAT, NTFS) ends."""
    files = lay_card(bureau)
    with at_step({Step.MARK_KEPT: nth(3, worn.kill)}):
        first = bureau.offload(card=worn.path, code=3)
    assert "card_gone" in {f["reason"] for f in first["files"]}
    assert first["safe_at"] is None
    assert len(bureau.alerts("removed_early")) == 1
    fails(bureau, PathUnreadable, code=2, card=worn.path)
    fails(bureau, PathUnreadable, code=2, card=worn.path, language="zh")
    summary = bureau.offload()
    assert summary["outcome"] == "complete"
    assert {f["path"]: f["sha256"] for f in summary["files"]} == files


@need(faultfs.fuse)
@pytest.mark.parametrize("step", [Step.SOURCE_READ, Step.READ_BACK])
def test_a_card_that_is_pulled_between_copy_and_proof_is_not_needed_any_more(
    bureau: Bureau, worn: FaultyCard, at_step: Acts, step: Step
) -> None:
    files = lay_card(bureau, alone=True)
    with at_step({step: nth(1, worn.kill)}):
        summary = bureau.offload(card=worn.path)
    assert {f["path"]: f["sha256"] for f in summary["files"]} == files
    assert summary["safe_at"]
    bureau.prove(summary)


@dataclass
class Socket:
    """A reader's slot and the images of two cards: same label, same names, sizes and times, other bytes."""

    slot: disks.Slot
    first: Path
    second: Path
    files: dict[str, str]
    others: dict[str, str]


@pytest.fixture
def socket(bureau: Bureau, tmp_path: Path) -> Iterator[Socket]:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    files = lay_card(bureau)
    first = disks.card_image(tmp_path / "first.img", bureau.card, label="BWC", born=1_790_000_000)
    for path in [path for path in bureau.card.rglob("*") if path.is_file()]:
        status = path.stat()
        path.write_bytes(media(b"another card's")[: status.st_size].ljust(status.st_size, b"#"))
        os.utime(path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    second = disks.card_image(tmp_path / "second.img", bureau.card, label="BWC", born=1_790_000_100)
    with disks.slot(tmp_path / "medium", tmp_path / "reader") as slot:
        yield Socket(slot, first, second, files, truth(bureau))


@need(disks.root)
def test_a_card_of_a_block_device_that_is_pulled_is_gone_and_not_one_large_hole(
    bureau: Bureau, socket: Socket, at_step: Acts
) -> None:
    # A pulled card answers EIO like a bad sector.
    slot = socket.slot
    slot.insert(socket.first)
    with at_step({Step.MARK_KEPT: nth(2, slot.pull)}):
        first = bureau.offload(card=slot.path, code=3)
    slot.eject()
    assert "stored_damaged" not in outcomes(first).values()
    assert "card_gone" in {f["reason"] for f in first["files"]}
    assert len(temps(bureau)) == 1
    assert len(bureau.alerts("removed_early")) == 1
    slot.insert(socket.first)
    second = ends_complete(bureau, socket.files, card=slot.path)
    assert second["bytes_read"] < 3 * MIB
    slot.eject()


@need(disks.root)
def test_another_card_under_the_same_label_is_never_mixed_with_the_one_that_was_pulled(
    bureau: Bureau, socket: Socket, at_step: Acts
) -> None:
    slot = socket.slot
    slot.insert(socket.first)
    with at_step({Step.MARK_KEPT: nth(2, slot.pull)}):
        bureau.offload(card=slot.path, code=3)
    slot.eject()
    (waiting,) = temps(bureau)

    slot.insert(socket.second)
    other = bureau.offload(card=slot.path)
    slot.eject()
    assert {f["path"]: f["sha256"] for f in other["files"]} == socket.others
    assert set(outcomes(other).values()) == {"stored"}, "nothing of it is taken for the first card's"
    assert other["bytes_read"] == sum(f["size"] for f in other["files"])
    assert temps(bureau) == [waiting], "the first card's temp waits for it"

    slot.insert(socket.first)
    again = bureau.offload(card=slot.path)
    slot.eject()
    assert {f["path"]: f["sha256"] for f in again["files"]} == socket.files
    assert again["bytes_read"] < 3 * MIB
    assert sorted(stored(bureau).values()) == sorted([*socket.files.values(), *socket.others.values()])
    bureau.prove(other, again)


# --- a card that does not answer --------------------------------------------------------------------------------------


@contextmanager
def started(bureau: Bureau, card: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The real command in a process of its own, with a mark every 256 KiB."""
    script = (
        "from dockd.offload import pipeline, reader; pipeline.CHUNK = 64 << 10; reader.MARK_EVERY = 256 << 10;"
        "from dockd.cli.main import main; main()"
    )
    words = [sys.executable, "-c", script, "-c", str(bureau.config), *options, "offload", str(card)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def states(pid: int) -> str:
    """The state of every thread of a process, as ``/proc/PID/stat`` has it."""
    found = []
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            found.append(stat.read_text().rpartition(") ")[2][0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return "".join(sorted(found))


HANGS = {
    "a read": Fault(hangs_at=MIB),
    "the first read": Fault(hangs_at=0),
    "opening the file": Fault(hangs_open=True),
}
PLACES = {"opening a folder": "DCIM", "opening the card": ""}


@need(disks.root, faultfs.fuse)
@pytest.mark.parametrize("what", at_once([*HANGS, *PLACES], "a read"))
def test_a_card_that_never_answers_is_given_up_and_everything_else_goes_on(
    bureau: Bureau, worn: FaultyCard, what: str
) -> None:
    """Past the page cache, and in opening, the kernel keeps the thread in D until the connection is aborted."""
    files = lay_card(bureau)
    configure_patience(bureau, 2)
    worn.spoil(PLACES.get(what, large_of(bureau)), HANGS.get(what, Fault(hangs_open=True)))
    with started(bureau, worn.path) as process:
        (worker,) = until(lambda: children(process.pid), "a worker")
        begun = time.monotonic()
        out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 3, err
    assert says(NotAnswering, err, "en")
    assert "Traceback" not in err
    assert out == ""
    assert time.monotonic() - begun < 40
    until(lambda: "D" in states(worker), "a thread that the kernel keeps")

    other = bureau.card.with_name("another card")
    bureau.card, card = other, bureau.card
    bureau.card.mkdir()
    others = lay_card(bureau, large=1000)
    shown = bureau.offload(card=other)
    assert {f["path"]: f["sha256"] for f in shown["files"]} == others
    bureau.dockd("verify")
    assert "D" in states(worker), "it hangs still"

    worn.abort()
    until(lambda: not states(worker).strip("Z"), "the end of the worker")
    bureau.card = card
    summary = bureau.offload()
    assert summary["outcome"] == "complete"
    assert {f["path"]: f["sha256"] for f in summary["files"]} == files


@need(disks.root, faultfs.fuse)
def test_a_visit_that_is_given_up_has_ended_with_what_was_stored_and_the_card_goes_on_where_it_stopped(
    bureau: Bureau, worn: FaultyCard
) -> None:
    files = lay_card(bureau)
    configure_patience(bureau, 2)
    worn.spoil(large_of(bureau), Fault(hangs_at=2 * MIB))
    with started(bureau, worn.path, "--lang", "zh") as process:
        out, err = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, out) == (3, "")
    assert says(NotAnswering, err, "zh")

    (visit,) = bureau.json("visit", "list")
    assert (visit["state"], visit["outcome"], visit["reason"]) == ("ended", "partial", "interrupted")
    assert visit["safe_at"] is None
    shown = bureau.json("visit", "show", visit["visit_id"])
    assert sorted(str(outcome) for outcome in outcomes(shown).values()) == ["None", "None", "stored", "stored"]
    assert len(bureau.records()) == 2, "what was stored is described"
    assert len(stored(bureau)) == 2
    assert len(temps(bureau)) == 1
    (alert,) = bureau.alerts("not_answering")
    assert "stopped answering" in alert["text"]

    worn.heal()
    summary = ends_complete(bureau, files, card=worn.path)
    assert summary["bytes_read"] < 2 * MIB, "the bytes before the last mark are not read again"


@pytest.mark.slow
@need(disks.root, faultfs.fuse)
def test_a_store_that_fails_while_the_card_is_silent_is_what_is_told(
    bureau: Bureau, worn: FaultyCard, tmp_path: Path
) -> None:
    lay_card(bureau)
    configure_patience(bureau, 2)
    worn.spoil(large_of(bureau), Fault(hangs_at=0))
    with faulty_store(tmp_path / "disk", tmp_path / "mnt") as disk:
        move_store(bureau, disk.path)
        disk.refuse(Refusal("read", on=r"\.dat\.part$"))
        with started(bureau, worn.path) as process:
            _out, err = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 4, err
        assert says(StoreFailing, err, "en")
        worn.abort()


@need(faultfs.fuse)
def test_a_hanging_read_of_the_page_cache_leaves_no_process_behind(bureau: Bureau, worn: FaultyCard) -> None:
    lay_card(bureau)
    configure_patience(bureau, 1)
    worn.spoil(large_of(bureau), Fault(hangs_at=MIB, cached=True))
    with started(bureau, worn.path) as process:
        (worker,) = until(lambda: children(process.pid), "a worker")
        _out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 3
    assert says(NotAnswering, err, "en")
    until(lambda: not states(worker).strip("Z"), "the end of the worker")


@pytest.mark.slow
@need(faultfs.fuse)
def test_a_worker_that_is_frozen_altogether_is_given_up_too(bureau: Bureau, worn: FaultyCard) -> None:
    files = lay_card(bureau)
    configure_patience(bureau, 1)
    worn.spoil(large_of(bureau), Fault(slow_s=0.2))
    with started(bureau, worn.path) as process:
        (worker,) = until(lambda: children(process.pid), "a worker")
        until(lambda: temps(bureau), "a temp")
        os.kill(worker, signal.SIGSTOP)
        _out, err = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 3, err
    assert says(NotAnswering, err, "en")
    worn.heal()
    ends_complete(bureau, files, card=worn.path)


# --- no fault -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@need(faultfs.fuse)
@pytest.mark.parametrize("fault", [Fault(slow_s=0.3), Fault(short=100)], ids=["slow", "short"])
def test_slow_reads_and_short_reads_are_no_fault(bureau: Bureau, worn: FaultyCard, fault: Fault) -> None:
    """The whole takes much longer than the patience; no single answer does."""
    files = lay_card(bureau, large=400_000)
    configure_patience(bureau, 1)
    worn.spoil(large_of(bureau), fault)
    ends_complete(bureau, files, card=worn.path)


@pytest.mark.slow
@need(faultfs.fuse)
def test_many_bad_sectors_that_each_take_their_time_are_no_silence(bureau: Bureau, worn: FaultyCard) -> None:
    lay_card(bureau, large=SIZE)
    configure_patience(bureau, 1)
    bad = (10 * PAGE, 20 * PAGE)
    worn.spoil(large_of(bureau), Fault(unreadable=(bad,), slow_s=0.25))
    summary = bureau.offload(card=worn.path, code=3)
    assert by_path(summary)[large_of(bureau)]["holes"] == [{"offset": bad[0], "length": bad[1] - bad[0]}]


# --- a source that changes its mind ----------------------------------------------------------------------


UNSTEADY = {
    "another byte": Fault(unsteady_at=123_456),
    "an error": Fault(unreadable=((200_000, 200_001),), good_reads=1),
}


@need(faultfs.fuse)
@pytest.mark.parametrize("what", UNSTEADY)
def test_a_file_that_the_card_gives_in_two_ways_is_kept_and_never_called_right(
    bureau: Bureau, worn: FaultyCard, what: str
) -> None:
    """Its first reading may be the best that will ever be had; that it is the file, nobody can say."""
    files = lay_card(bureau, large=SIZE)
    bureau.configure("verify: {source_twice: true}")
    large = large_of(bureau)
    worn.spoil(large, UNSTEADY[what])
    summary = bureau.offload(card=worn.path, code=3)
    file = by_path(summary)[large]
    assert (file["outcome"], file["reason"]) == ("stored_damaged", "source_unsteady")
    assert file["sha256"] == sha256((bureau.store / file["location"]).read_bytes())
    assert (summary["outcome"], summary["safe_at"]) == ("partial", None)
    assert {outcome for path, outcome in outcomes(summary).items() if path != large} == {"stored"}
    assert bureau.said_of(large)["remark"].split()[-1] == "source_unsteady"
    said = parse_sidecar((bureau.store / f"{file['location']}.xmp").read_bytes())
    assert str(said.remark).split()[-1] == "source_unsteady"
    (alert,) = bureau.alerts("unreadable_file")
    assert "the card gave other bytes on the second read" in alert["text"]
    bureau.prove(summary)
    worn.heal()
    whole = bureau.offload(card=worn.path)
    assert {f["path"]: f["sha256"] for f in whole["files"]} == files, "it was read again, and now it is the file"
    assert whole["safe_at"]
    bureau.prove(whole)


@pytest.mark.slow
@need(faultfs.fuse)
def test_what_a_person_is_told_of_a_card_that_gives_a_file_in_two_ways(bureau: Bureau, worn: FaultyCard) -> None:
    lay_card(bureau, large=SIZE)
    bureau.configure("verify: {source_twice: true}")
    worn.spoil(large_of(bureau), Fault(unsteady_at=123_456))
    for language, words in (
        ("en", ("other bytes on the second read", "keep the card aside")),
        ("zh", ("两次读取的内容不一致", "单独保管")),
    ):
        result = bureau.run("--lang", language, "offload", worn.path, config=bureau.config)
        assert result.exit_code == 3
        assert all(word in result.stdout for word in words), result.stdout


@need(faultfs.fuse)
def test_a_card_that_changes_its_mind_between_proof_and_row_is_remembered_after_a_crash(
    bureau: Bureau, worn: FaultyCard, at_step: Acts
) -> None:
    lay_card(bureau, large=SIZE, alone=True)
    bureau.configure("verify: {source_twice: true}")
    large = large_of(bureau)
    worn.spoil(large, Fault(unsteady_at=123_456))
    with at_step({Step.VERIFIED_KEPT: nth(1, lambda: os.kill(os.getpid(), signal.SIGKILL))}):
        fails(bureau, WorkerDied, card=worn.path)
    worn.heal()
    bureau.offload(card=worn.path)
    first = bureau.json("visit", "show", 1)
    assert by_path(first)[large]["outcome"] == "stored_damaged"
    assert by_path(first)[large]["reason"] == "source_unsteady"


@pytest.mark.slow
@need(faultfs.fuse)
def test_what_a_card_did_not_give_rightly_survives_the_loss_of_the_register(bureau: Bureau, worn: FaultyCard) -> None:
    lay_card(bureau, large=SIZE)
    bureau.configure("verify: {source_twice: true}")
    worn.spoil(large_of(bureau), Fault(unsteady_at=123_456))
    small = sorted(truth(bureau))[0]
    worn.spoil(small, Fault(unreadable=((5000, 5001),)))
    before = bureau.offload(card=worn.path, code=3)
    remarks = {record["original_name"]: record["remark"] for record in bureau.records()}
    for file in bureau.folder.glob("register.db*"):
        file.unlink()
    bureau.dockd("rebuild")
    after = bureau.json("visit", "show", before["visit_id"])
    assert after["files"] == before["files"]
    assert {file["outcome"] for file in after["files"]} == {"stored", "stored_damaged"}
    assert {record["original_name"]: record["remark"] for record in bureau.records()} == remarks
    again = bureau.offload(card=worn.path, code=3)
    assert again["bytes_read"] > SIZE + 40_000, "both are read again"


# --- a card that has more to give the next time --------------------------------------------------------------


@need(faultfs.fuse)
def test_a_damaged_file_is_read_again_at_every_visit_and_stored_whole_as_soon_as_the_card_gives_it(
    bureau: Bureau, worn: FaultyCard
) -> None:
    files = lay_card(bureau, large=SIZE)
    damaged = large_of(bureau)
    worn.spoil(damaged, Fault(unreadable=((100_000, 100_001),)))
    first = bureau.offload(card=worn.path, code=3)
    second = bureau.offload(card=worn.path, code=3)
    assert second["outcome"] == "partial", "it is no better than it was"
    assert by_path(second)[damaged]["outcome"] == "stored_damaged"
    assert by_path(second)[damaged]["location"] == by_path(first)[damaged]["location"], "and not stored twice"
    assert second["bytes_stored"] == 0
    worn.heal()  # cleaned contacts, another reader
    bureau.lay("DCIM/100ANDRO/zz.dat", b"new", at=DOCKED)
    files = truth(bureau)
    third = bureau.offload(card=worn.path)
    order = bureau.ledger_lines("footage.stored")[-2:]
    assert order[0]["data"]["size"] == 3, "what was damaged comes last"
    assert {f["path"]: f["sha256"] for f in third["files"]} == files
    assert by_path(third)[damaged]["location"] != by_path(first)[damaged]["location"], "the salvaged one stays too"
    assert bureau.offload(card=worn.path)["bytes_read"] == 0
    bureau.prove(first, second, third)


# --- a directory that lies -----------------------------------------------------------------------------------


@need(faultfs.fuse)
def test_a_file_that_is_listed_larger_than_its_card_is_stored_as_far_as_it_goes_and_nobody_waits_for_it(
    bureau: Bureau, tmp_path: Path
) -> None:
    # A worn FAT entry: the size is nonsense, behind the end of the clusters the driver answers EIO.
    files = lay_card(bureau, large=SIZE)
    path, data = large_of(bureau), (bureau.card / large_of(bureau)).read_bytes()
    status = (bureau.card / path).stat()
    os.truncate(bureau.card / path, 1 << 40)
    os.utime(bureau.card / path, ns=(status.st_mtime_ns, status.st_mtime_ns))
    end = -(-SIZE // PAGE) * PAGE
    with faulty_card(bureau.card, tmp_path / "reader", capacity=16 * MIB) as card:
        card.spoil(path, Fault(unreadable=((end, 1 << 41),)))
        summary = bureau.offload(card=card.path, code=3)
        file = by_path(summary)[path]
        assert file["outcome"] == "stored_damaged"
        assert (bureau.store / file["location"]).read_bytes() == data.ljust(end, b"\0")
        assert file["holes"] == [{"offset": end, "length": (1 << 40) - end}]
        assert {f["path"]: f["sha256"] for f in summary["files"] if f is not file} == {
            name: digest for name, digest in files.items() if name != path
        }
        assert summary["safe_at"], "nothing is left that a later try could read"
        bureau.prove(summary)


@pytest.mark.slow
@need(faultfs.fuse)
def test_a_file_that_is_listed_larger_than_its_card_and_of_which_nothing_can_be_read_is_named(
    bureau: Bureau, tmp_path: Path
) -> None:
    lay_card(bureau, large=SIZE)
    path = large_of(bureau)
    os.truncate(bureau.card / path, 1 << 40)
    with faulty_card(bureau.card, tmp_path / "reader", capacity=16 * MIB) as card:
        card.spoil(path, Fault(unreadable=((0, 1 << 41),)))
        summary = bureau.offload(card=card.path, code=3)
    assert by_path(summary)[path]["reason"] == "unreadable_at:0"
    assert len(stored(bureau)) == 3
    assert summary["safe_at"]


@pytest.mark.slow
@need(disks.root)
def test_sizes_that_no_number_of_the_register_could_hold_together_keep_nothing_from_being_stored(
    bureau: Bureau, tmp_path: Path
) -> None:
    with disks.tmpfs(tmp_path / "reader", size=4 * MIB) as card:
        bureau.card = card
        lay_card(bureau, large=SIZE)
        for number in (3, 4):
            os.truncate(bureau.lay(f"DCIM/100ANDRO/huge{number}.dat", b"#" * PAGE), (1 << 63) - 1)
        summary = bureau.offload(code=3)
        assert sorted(outcomes(summary).values()) == ["stored"] * 4 + ["stored_damaged"] * 2
        bureau.prove(summary)
