"""Workers from the nursery: real processes that answer, fail, die, hang, and end with the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import waiting

from dockd.errors import StoreMissing, WorkerDied
from dockd.service.crew import Crew, Ended
from dockd.service.loop import Loop
from dockd.visit.worker import Lifeline, WorkerFault

Send = Callable[[object], None]


def answer(send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> object:
    send("a word")
    return {"pid": os.getpid(), "big": "x" * 300_000}


def fail(send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> object:
    raise StoreMissing(path="/store")


def stumble(send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> object:
    raise ZeroDivisionError


def die(send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> object:
    os.kill(os.getpid(), signal.SIGKILL)
    return None


def go_on(send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> object:
    send(os.getpid())
    while True:
        lifeline.check()
        time.sleep(0.01)


def stop_still(send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> object:
    send(os.getpid())
    os.kill(os.getpid(), signal.SIGSTOP)
    return None


@dataclass(frozen=True)
class WriteInto:
    text: bytes

    def __call__(self, send: Send, lifeline: Lifeline, fds: tuple[int, ...]) -> object:
        return os.write(fds[0], self.text)


@pytest.fixture
def crew() -> Iterator[Crew]:
    loop = Loop()
    crew = Crew(loop)
    crew.start()
    yield crew
    crew.close()
    loop.close()


def until(crew: Crew, condition: Callable[[], object], seconds: float = 20) -> None:
    last = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < last, "in vain"
        crew.loop.turn(0.5)


def run(crew: Crew, work: Any, **rest: Any) -> tuple[Ended, list[Any]]:
    ends: list[Ended] = []
    words: list[Any] = []
    crew.hire(work, on_end=ends.append, on_word=words.append, **rest)
    until(crew, lambda: ends)
    return ends[0], words


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_says_its_words_and_then_its_value_however_long_it_is(crew: Crew) -> None:
    ended, words = run(crew, answer)
    assert words == ["a word"]
    assert len(ended.value["big"]) == 300_000
    assert ended.value["pid"] != os.getpid()
    assert crew.size == 0


def test_a_failure_comes_back_with_its_name_and_a_fault_of_ours_with_its_place(crew: Crew) -> None:
    assert isinstance(run(crew, fail)[0].error, StoreMissing)
    fault = run(crew, stumble)[0].error
    assert isinstance(fault, WorkerFault)
    assert any("stumble" in line for line in fault.trace_lines)


def test_a_worker_that_is_killed_ends_with_the_signals_name(crew: Crew) -> None:
    error = run(crew, die)[0].error
    assert isinstance(error, WorkerDied)
    assert error.fields["reason"] == "SIGKILL"


def test_a_work_that_cannot_be_read_is_its_workers_trouble_only(crew: Crew) -> None:
    class Unknown:
        def __reduce__(self) -> Any:
            return (getattr, ("text", "no_such_attribute"))

    assert isinstance(run(crew, Unknown())[0].error, WorkerFault)
    assert run(crew, answer)[0].value


def test_a_descriptor_is_handed_to_the_worker(crew: Crew) -> None:
    ours, theirs = os.pipe()
    assert run(crew, WriteInto(b"hello"), fds=(theirs,))[0].value == 5
    os.close(theirs)
    assert os.read(ours, 100) == b"hello"
    assert os.read(ours, 100) == b"", "the nursery keeps nothing that it was given"
    os.close(ours)


def test_a_worker_that_is_let_go_ends_before_its_next_write(crew: Crew) -> None:
    ends: list[Ended] = []
    pids: list[int] = []
    hand = crew.hire(go_on, on_end=ends.append, on_word=pids.append)
    until(crew, lambda: pids)
    hand.let_go()
    until(crew, lambda: ends)
    assert not alive(pids[0])


def test_a_worker_that_does_not_answer_is_abandoned_and_others_go_on(crew: Crew) -> None:
    ends: list[Ended] = []
    pids: list[int] = []
    hand = crew.hire(stop_still, on_end=ends.append, on_word=pids.append)
    until(crew, lambda: pids)
    hand.abandon()
    assert crew.size == 0
    assert run(crew, answer)[0].value
    until(crew, lambda: not alive(pids[0]))
    assert ends == []


def test_the_end_of_the_nursery_is_noticed(crew: Crew) -> None:
    os.kill(crew._nursery, signal.SIGKILL)
    until(crew, lambda: not crew.alive())


def test_a_nursery_that_does_not_answer_is_not_alive() -> None:
    ahead = [0.0]
    loop = Loop(lambda: time.monotonic() + ahead[0])
    crew = Crew(loop)
    crew.start()
    assert crew.alive()
    until(crew, lambda: crew._asked_at is None)
    os.kill(crew._nursery, signal.SIGSTOP)
    assert crew.alive(), "it has only just been asked"
    ahead[0] += 120
    assert not crew.alive()
    os.kill(crew._nursery, signal.SIGCONT)
    until(crew, lambda: crew._asked_at is None)
    assert crew.alive()
    crew.close()
    loop.close()


def test_workers_die_with_a_service_that_is_killed() -> None:
    program = textwrap.dedent("""
        import sys
        sys.path.insert(0, sys.argv[1])
        from test_service_crew import go_on
        from dockd.service.crew import Crew
        from dockd.service.loop import Loop
        loop = Loop()
        crew = Crew(loop)
        crew.start()
        crew.hire(go_on, on_end=print, on_word=lambda pid: print(pid, crew._nursery, flush=True))
        while True:
            loop.turn()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program, os.path.dirname(__file__)], stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdout
        pids = [int(word) for word in service.stdout.readline().split()]
        service.kill()
        service.wait()
        waiting.until(lambda: not any(alive(pid) for pid in pids), "the workers' end")
