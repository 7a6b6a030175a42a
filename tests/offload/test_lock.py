"""One card has one visit at work: the lock is its process's, and the kernel takes it back when that dies."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import disks
import pytest
from dock import Dock, Steps, in_child

from dockd.errors import StoreFailing, StoreMissing, StoreReadOnly, VisitBusy
from dockd.offload.layout import PRIVATE
from dockd.offload.lock import card_lock_path, holding_card, sharing_lanes, try_lock
from dockd.offload.steps import Step


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "store").mkdir()
    return str(tmp_path / "store")


def hold_in_child(store: str, card: str) -> int:
    """A process that holds the card's lock; returns its number once it does."""
    told, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            assert try_lock(store, card) is not None
            os.write(tells, b".")
            signal.pause()
        finally:
            os._exit(1)
    os.close(tells)
    assert os.read(told, 1) == b"."
    os.close(told)
    return pid


def test_a_second_process_is_told_that_the_card_is_busy(store: str) -> None:
    with holding_card(store, "card"):

        def second() -> None:
            with pytest.raises(VisitBusy), holding_card(store, "card"):
                pass

        assert in_child(second) == 0


def test_two_cards_do_not_wait_for_each_other(store: str) -> None:
    with holding_card(store, "one"), holding_card(store, "other"):
        pass


def test_a_card_is_free_again_after_its_block_also_when_that_fails(store: str) -> None:
    with pytest.raises(ZeroDivisionError), holding_card(store, "card"):
        raise ZeroDivisionError
    with holding_card(store, "card"):
        pass


def test_the_lock_of_a_killed_process_is_free(store: str) -> None:
    pid = hold_in_child(store, "card")
    assert try_lock(store, "card") is None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with holding_card(store, "card"):
        pass


def test_a_lock_that_is_released_while_somebody_waits_is_taken(store: str) -> None:
    pid = hold_in_child(store, "card")
    os.kill(pid, signal.SIGKILL)  # it may take a moment to be gone
    with holding_card(store, "card", wait_s=10):
        pass
    os.waitpid(pid, 0)


def test_a_program_that_was_started_meanwhile_does_not_keep_the_lock(store: str) -> None:
    with holding_card(store, "card"):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    try:
        fd = try_lock(store, "card")
        assert fd is not None
        os.close(fd)
    finally:
        child.communicate(b"\n")


def test_whatever_a_card_is_called_its_lock_lies_in_the_store(store: str) -> None:
    for card in ("../../etc/passwd", "fs:1234-ABCD:vfat:64", "名" * 200, ""):
        path = card_lock_path(store, card)
        assert os.path.dirname(path) == f"{store}/.dockd/locks"
        with holding_card(store, card):
            assert os.path.exists(path)


def test_a_store_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing), holding_card(str(tmp_path / "absent"), "card"):
        pass


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_read_only_store_is_called_read_only(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "disk", size=1 << 20) as disk:
        disks.remount(disk, writable=False)
        with pytest.raises(StoreReadOnly), holding_card(str(disk), "card"):
            pass


def test_a_file_system_without_locks_is_the_stores_trouble(store: str, monkeypatch: pytest.MonkeyPatch) -> None:

    def refuse(fd: int, how: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StoreFailing), holding_card(store, "card"):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_visit_of_a_card_that_is_at_work_is_refused_and_leaves_it_alone(
    dock: Dock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dockd.visit.story._LOCK_WAIT_S", 0)
    dock.lay("A.dat", 1000)

    def second() -> None:
        with pytest.raises(VisitBusy):
            dock.visit()

    dock.require_complete(dock.visit(passed=Steps({Step.TEMP_CREATED: lambda: _expect(in_child(second) == 0)})))


def _expect(holds: bool) -> None:
    assert holds


def test_lanes_are_shared_by_all_and_each_one_gets_at_least_one(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkdir(f"{store}/{PRIVATE}")
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    asked: list[int] = []
    with sharing_lanes(store, 2, check=lambda: None) as first:
        with (
            sharing_lanes(store, 2, check=lambda: None) as second,
            sharing_lanes(store, 2, check=lambda: asked.append(1), patience_s=0.2) as third,
        ):
            assert (first, second, third) == (2, 1, 1)
        assert asked, "who waits asks whether it may go on"
        with sharing_lanes(store, 9, check=lambda: None) as again:
            assert again == 1
    with sharing_lanes(store, 9, check=lambda: None) as alone:
        assert alone == 3


def test_a_waiting_process_that_may_not_go_on_stops_at_once(store: str) -> None:
    os.mkdir(f"{store}/{PRIVATE}")

    def refuse() -> None:
        raise KeyboardInterrupt

    with (
        sharing_lanes(store, 999, check=lambda: None),
        pytest.raises(KeyboardInterrupt),
        sharing_lanes(store, 1, check=refuse),
    ):
        pass
