"""Guards of the copy that nothing else shows: each test here fails when one of them is taken away (see mutants)."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import disks
import pytest
from dock import Dock, Steps, once, sha256

from dockd.offload import durable, pipeline
from dockd.offload.books import Books
from dockd.offload.reader import prove_prefix
from dockd.offload.steps import Step

pytestmark = pytest.mark.usefixtures("small_chunks")


# --- what is known already -----------------------------------------------------------------------------------


def test_a_stored_file_that_was_cut_short_is_not_called_already_stored(dock: Dock) -> None:
    data = dock.lay("A.dat", 5000)
    (file,) = dock.visit()["files"]
    cut = dock.store / file["location"]
    cut.chmod(0o640)
    os.truncate(cut, 4999)
    (again,) = dock.visit()["files"]
    assert (again["outcome"], again["reason"]) == ("stored", "stored_again")
    assert (dock.store / again["location"]).read_bytes() == data
    assert cut.stat().st_size == 4999, "what was found is kept as it is"


def test_a_marked_copy_that_is_proven_together_with_its_original_is_no_second_recording(dock: Dock) -> None:
    name = "DCIM/100ANDRO/2107731_012345_20261123080000_0001"
    data = dock.lay(f"{name}.log", 5000)
    dock.lay(f"{name}_IMP.log", data)
    both_read, steps = threading.Event(), Steps()

    def passed(step: Step) -> None:
        steps(step)
        if steps.counts[Step.SOURCE_READ] == 2:
            both_read.set()
        if step is Step.TEMP_SYNCED:
            assert both_read.wait(10)  # so that both can be in one group

    shown = dock.visit(passed=passed)
    assert sorted((f["outcome"], f["reason"]) for f in shown["files"]) == [
        ("already_stored", "important_mark"),
        ("stored", None),
    ]
    assert [digest for _, digest in dock.stored()] == [sha256(data)]


# --- resuming -------------------------------------------------------------------------------------------------


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_prefix_is_proven_from_the_medium_and_not_from_memory(tmp_path: Path) -> None:
    image = tmp_path / "image"
    with disks.ext4(image, tmp_path / "disk", size=16 << 20) as disk:
        data = os.urandom(1 << 20)
        temp = os.open(disk / "temp", os.O_RDWR | os.O_CREAT)
        durable.write_all(temp, memoryview(data), 0)
        os.fsync(temp)
        with image.open("r+b", buffering=0) as medium:
            medium.seek(disks.extent_of(disk / "temp") + 700_000)
            medium.write(bytes([data[700_000] ^ 0xFF]))
            os.fsync(medium.fileno())
        assert os.pread(temp, 1, 700_000) == data[700_000:700_001], "the cache still tells the old byte"
        marks = tuple((end, hashlib.sha256(data[:end]).hexdigest()) for end in (1 << 19, 1 << 20))
        _, proven = prove_prefix(temp, marks, memoryview(bytearray(64 << 10)))
        os.close(temp)
    assert proven == 1 << 19


# --- who may write ----------------------------------------------------------------------------------------------


class Withdrawn(BaseException):
    """As the worker's OwnerGone: nothing of ours catches it."""


ACTS = {
    "bytes": ((durable, "write_all"),),
    "temp": ((durable, "create_temp"),),
    "row": ((Books, "verified"), (Books, "stored")),
    "name": ((durable, "rename_without_replacing"),),
}


@pytest.mark.parametrize(
    ("step", "nothing_of"),
    [
        (Step.PLAN_KEPT, ("temp", "bytes", "row", "name")),
        (Step.TEMP_CREATED, ("bytes", "row", "name")),
        (Step.CHUNK_WRITTEN, ("bytes", "row", "name")),
        (Step.SOURCE_READ, ("row", "name")),
        (Step.READ_BACK, ("row", "name")),
        (Step.STORED_KEPT, ("temp", "bytes", "row", "name")),
    ],
)
def test_after_its_leave_is_withdrawn_a_process_writes_nothing_more(
    dock: Dock, monkeypatch: pytest.MonkeyPatch, step: Step, nothing_of: tuple[str, ...]
) -> None:
    dock.lay("A.dat", 200_000)
    withdrawn = threading.Event()
    if step is Step.STORED_KEPT:  # there must be something left to do
        dock.lay("B.dat", 200_000)
        hold_back_second_file(monkeypatch, withdrawn)
    acts: list[str] = []
    for act in nothing_of:
        for where, name in ACTS[act]:
            monkeypatch.setattr(where, name, noting(getattr(where, name), act, acts, withdrawn))

    def before_write() -> None:
        if withdrawn.is_set():
            raise Withdrawn

    with pytest.raises(Withdrawn):
        dock.visit(before_write=before_write, passed=Steps({step: once(withdrawn.set)}))
    assert acts == []
    dock.require_no_false_word()
    monkeypatch.undo()
    dock.require_complete(dock.visit())


def noting(call: Callable[..., Any], act: str, acts: list[str], withdrawn: threading.Event) -> Callable[..., Any]:
    def noted(*args: Any, **kwargs: Any) -> Any:
        if withdrawn.is_set():
            acts.append(act)
        return call(*args, **kwargs)

    return noted


def hold_back_second_file(patch: pytest.MonkeyPatch, until: threading.Event) -> None:
    """The card gives its second file only then."""
    read = pipeline._Run._read_one

    def read_one(self: Any, job: pipeline.Job) -> None:
        if job.entry.name == b"B.dat":
            assert until.wait(10)
        read(self, job)

    patch.setattr(pipeline._Run, "_read_one", read_one)


# --- the follow-up ------------------------------------------------------------------------------------------------


def test_a_visit_that_was_cut_short_before_its_folder_was_made_is_ended_on_another_day(dock: Dock, clock: Any) -> None:
    # Known files and a new one on a new day: the crash comes before the new one makes the day's folder.
    dock.lay("A.dat", 5000)
    dock.visit()
    dock.lay("B.dat", 5000)
    clock.move(days=1)
    assert dock.crash(Step.PLAN_KEPT)
    shutil.rmtree(dock.store / "footage/2026/11/24", ignore_errors=True)
    dock.require_complete(dock.visit())
