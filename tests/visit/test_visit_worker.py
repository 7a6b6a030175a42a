"""The process that reads the card and the one that owns it: neither outlives the other, and one card has one visit."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from bureau import Bureau, media, outcomes
from dock import in_child
from waiting import until

from dockd.card.identity import identify_card
from dockd.errors import PathMissing, VisitBusy, WorkerDied
from dockd.offload.lock import card_lock_path
from dockd.offload.steps import Step
from dockd.visit import story
from dockd.visit.request import Phase, Progress
from dockd.visit.worker import Lifeline, OwnerGone, WorkerFault, run_in_worker

PATIENCE_S = 20.0


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


@dataclass
class Offload:
    """A real ``dockd offload`` and, once it copies, its worker (a pidfd, which is readable when it has ended)."""

    process: subprocess.Popen[bytes]
    worker: int = -1

    def send_worker(self, number: signal.Signals) -> None:
        signal.pidfd_send_signal(self.worker, number)

    def worker_has_ended(self) -> bool:
        return bool(select.select([self.worker], [], [], PATIENCE_S)[0])


@contextmanager
def copying(bureau: Bureau) -> Iterator[Offload]:
    """An offload that has begun to copy; both of its processes are ended afterwards whatever happens."""
    words = [sys.executable, "-m", "dockd", "-c", str(bureau.config), "offload", str(bureau.card), "--json"]
    run = Offload(subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
    try:
        (worker,) = until(lambda: children(run.process.pid), "a worker")
        run.worker = os.pidfd_open(worker)
        until(lambda: list(bureau.store.rglob("*.log.part")), "a temp")
        yield run
    finally:
        run.process.kill()
        if run.worker >= 0:
            with suppress(ProcessLookupError):
                run.send_worker(signal.SIGKILL)
            os.close(run.worker)
        run.process.communicate()


def large(bureau: Bureau) -> str:
    """A recording that takes a moment to copy."""
    path = bureau.record(8, media("large", 1), ext="log")
    os.truncate(bureau.card / path, 96 << 20)
    os.utime(bureau.card / path, (1_795_392_000, 1_795_392_000))
    return path


def lock_is_free(bureau: Bureau) -> bool:
    fd = os.open(bureau.card, os.O_RDONLY)
    instance = identify_card(str(bureau.card), fd).instance
    os.close(fd)
    lock = os.open(card_lock_path(str(bureau.store), instance), os.O_RDWR)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(lock)
    return True


# --- who dies with whom --------------------------------------------------------------------------------------


def test_a_worker_ends_when_only_its_owner_is_killed_and_lets_go_of_the_card(bureau: Bureau) -> None:
    path = large(bureau)
    with copying(bureau) as run:
        run.process.kill()
        assert run.worker_has_ended(), "the worker went on without its owner"
    until(lambda: lock_is_free(bureau), "the card's lock")
    again = bureau.offload()
    assert outcomes(again) == {path: "stored"}
    bureau.prove(again)


def test_a_stopped_worker_ends_as_soon_as_its_owner_is_gone(bureau: Bureau) -> None:
    """One that was asleep when the owner died, as in a hanging read, must not wake up and write."""
    large(bureau)
    with copying(bureau) as run:
        run.send_worker(signal.SIGSTOP)
        run.process.kill()
        assert run.worker_has_ended()


def test_a_killed_worker_is_told_with_exit_code_4_and_the_next_run_completes(bureau: Bureau) -> None:
    path = large(bureau)
    with copying(bureau) as run:
        run.send_worker(signal.SIGKILL)
        out, err = run.process.communicate(timeout=PATIENCE_S)
    assert run.process.returncode == 4
    assert out == b""
    assert b"ended unexpectedly (SIGKILL)" in err
    assert b"Run the same command again" in err
    assert b"Traceback" not in err
    again = bureau.offload()
    assert outcomes(again) == {path: "stored"}
    bureau.prove(again)
    (first, _) = sorted(bureau.json("visit", "list"), key=lambda v: v["visit_id"])
    assert (first["outcome"], first["reason"], first["state"]) == ("partial", "interrupted", "ended")


def test_an_interrupt_of_the_keyboard_ends_both_and_the_next_run_completes(bureau: Bureau) -> None:
    path = large(bureau)
    with copying(bureau) as run:
        run.process.send_signal(signal.SIGINT)
        _, err = run.process.communicate(timeout=PATIENCE_S)
        assert run.worker_has_ended()
    assert run.process.returncode == 130
    assert b"what is stored is safe" in err
    assert b"Traceback" not in err
    assert outcomes(bureau.offload()) == {path: "stored"}


# --- one card, one visit -----------------------------------------------------------------------------------------


def test_a_second_offload_of_a_card_at_work_ends_with_exit_code_4_and_a_hint(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "_LOCK_WAIT_S", 0)
    large(bureau)
    with copying(bureau) as run:
        run.send_worker(signal.SIGSTOP)
        busy = bureau.dockd("offload", bureau.card, code=4)
        assert "still at work" in busy.stderr
        assert "Wait until it has ended" in busy.stderr
        run.send_worker(signal.SIGCONT)
        out, _ = run.process.communicate(timeout=60)
    assert run.process.returncode == 0
    assert json.loads(out)["outcome"] == "complete"
    assert len(bureau.json("visit", "list")) == 1


def test_a_second_offload_waits_for_one_that_is_about_to_end(bureau: Bureau) -> None:
    path = bureau.record(8, ext="log")
    entered, answers = threading.Event(), []

    def second() -> None:
        entered.wait(PATIENCE_S)
        answers.append(bureau.attend())

    waiting = threading.Thread(target=second)
    waiting.start()
    first = bureau.attend(passed=lambda step: entered.set() if step is Step.PLAN_KEPT else None)
    waiting.join(PATIENCE_S)
    (answer,) = answers
    assert outcomes(first) == {path: "stored"}
    assert outcomes(answer) == {path: "already_stored"}
    assert answer["bytes_read"] == 0


def test_another_card_is_not_kept_waiting(bureau: Bureau) -> None:
    path = bureau.record(8, ext="log")
    busy = bureau.card
    shown = []

    def other(step: Step) -> None:
        if step is Step.PLAN_KEPT and not shown:
            bureau.card = busy.parent / "another"
            bureau.lay("1.log", b"x")
            shown.append(None)
            shown.append(bureau.attend(device_no="YS-08"))

    first = bureau.attend(passed=other)
    assert outcomes(first) == {path: "stored"}
    assert outcomes(shown[1]) == {"1.log": "stored"}
    assert len(bureau.json("visit", "list")) == 2


def test_a_visit_of_a_busy_card_raises_what_the_service_can_wait_for(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "_LOCK_WAIT_S", 0)
    bureau.record(8, ext="log")
    seen = []

    def again(step: Step) -> None:
        if step is Step.PLAN_KEPT:
            with pytest.raises(VisitBusy):
                bureau.attend()
            seen.append(step)

    bureau.attend(passed=again)
    assert seen


# --- what crosses the pipe ------------------------------------------------------------------------------------------


def in_worker(work: Callable[..., Any]) -> Any:
    return run_in_worker(work, on_progress=lambda _: None, patience_s=PATIENCE_S)


def test_an_answer_and_progress_cross_the_pipe() -> None:
    said: list[Progress] = []

    def work(send: Callable[[Progress], None], lifeline: Lifeline) -> dict[str, int]:
        send(Progress(Phase.LISTING, files=3))
        lifeline.check()
        return {"a": 1}

    assert run_in_worker(work, on_progress=said.append, patience_s=PATIENCE_S) == {"a": 1}
    assert said == [Progress(Phase.LISTING, files=3)]


def test_a_failure_of_the_work_is_raised_here_as_what_it_was() -> None:
    def work(*_: Any) -> None:
        raise PathMissing(path="/nothing")

    with pytest.raises(PathMissing, match="there is nothing at /nothing"):
        in_worker(work)


def test_a_fault_of_our_own_comes_with_its_places_in_the_code_and_without_its_words() -> None:
    def work(*_: Any) -> None:
        raise ValueError("王建国")

    with pytest.raises(WorkerFault) as caught:
        in_worker(work)
    assert "ValueError" in caught.value.trace_lines[0]
    assert not [line for line in caught.value.trace_lines if "王建国" in line]


def test_a_worker_that_dies_while_it_speaks_is_a_died_worker() -> None:
    """Half a message is no message: the pipe says so with an OSError, not with its end."""

    def half_of_it(pipe: Any, message: bytes, write: Callable[[int, bytes], int] = os.write) -> None:
        write(pipe.fileno(), bytes(message)[: len(message) // 2])
        os.kill(os.getpid(), signal.SIGKILL)

    def work(send: Callable[[Any], None], _: Lifeline) -> None:
        Connection._send = half_of_it  # in the child alone
        send(b"x" * 1000)

    with pytest.raises(WorkerDied, match="SIGKILL"):
        run_in_worker(work, on_progress=lambda _: None, patience_s=PATIENCE_S)


@pytest.mark.parametrize(
    ("end", "reason"), [(lambda: os._exit(7), "exit 7"), (lambda: signal.raise_signal(signal.SIGTERM), "SIGTERM")]
)
def test_a_worker_that_ends_without_an_answer_is_told_with_how_it_ended(end: Callable[[], Any], reason: str) -> None:
    with pytest.raises(WorkerDied, match=reason):
        in_worker(lambda *_: end())


def test_the_lifeline_may_be_asked_by_all_threads_at_once() -> None:
    """The writer and the prover of a copy both ask before they write."""

    def work(_: Any, lifeline: Lifeline) -> list[str]:
        faults: list[str] = []

        def ask() -> None:
            try:
                for _ in range(3000):
                    lifeline.check()
            except BaseException as error:
                faults.append(repr(error))

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return faults

    assert in_worker(work) == []


def test_the_lifeline_says_when_the_owner_is_gone() -> None:
    read, write = os.pipe()
    lifeline = Lifeline(read)
    lifeline.check()
    os.close(write)
    with pytest.raises(OwnerGone):
        lifeline.check()
    os.close(read)


def test_nothing_is_left_of_a_worker_after_its_answer() -> None:
    def life() -> None:
        before = set(os.listdir("/proc/self/fd"))
        in_worker(lambda *_: 1)
        assert set(os.listdir("/proc/self/fd")) == before
        assert children(os.getpid()) == []

    assert in_child(life) == 0
