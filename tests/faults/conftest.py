"""A bureau whose station is copied from one that is made once, and the copy's steps as places for faults."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from bureau import Bureau, found_bureau
from dock import Steps

from dockd.offload import pipeline, reader
from dockd.offload.steps import Step
from dockd.visit.numbers import Guards

pytest.register_assert_rewrite("troubles")

DEADLINE_S = 240


@pytest.fixture(scope="session")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station with two recorders and two officers, closed."""
    folder = tmp_path_factory.mktemp("founded") / "station"
    found_bureau(folder)
    return folder


@pytest.fixture
def bureau(founded: Path, tmp_path: Path, run_cli: Callable[..., Any], clock: Any) -> Bureau:
    shutil.copytree(founded, tmp_path / "station")
    return Bureau(tmp_path / "station", run_cli, clock)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers of 64 KiB and a mark every 256 KiB, so that a large file is a small one."""
    monkeypatch.setattr(pipeline, "CHUNK", 64 << 10)
    monkeypatch.setattr(reader, "MARK_EVERY", 256 << 10)


@pytest.fixture
def deadline() -> Iterator[None]:
    """Whatever hangs fails."""

    def fail(*_: object) -> None:
        raise TimeoutError(f"nothing happened for {DEADLINE_S} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(DEADLINE_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[Step, Callable[[], object]]], Any]:
    """``with at_step({Step.MARK_KEPT: act}):`` the worker of ``dockd offload`` does ``act`` after that step.

    The worker is a fork of this process, so that what is changed here is changed there.
    """

    @contextmanager
    def acting(acts: dict[Step, Callable[[], object]]) -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr("dockd.visit.numbers.Guards", partial(Guards, passed=Steps(acts)))  # type: ignore[arg-type]
            yield

    return acting
