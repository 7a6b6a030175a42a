"""A crash at any step loses nothing: the process is killed there, and the next visit ends complete by itself."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from dock import Dock, Steps, make_station, open_dock

from dockd.offload.steps import Step

pytestmark = pytest.mark.usefixtures("small_chunks")


def one_large(dock: Dock) -> None:
    dock.lay("large.dat", 1_400_000)  # five marks


def many_small(dock: Dock) -> None:
    dock.lay_many(12)
    dock.lay("empty.dat", b"")
    dock.lay("twin.dat", (dock.files / "many/0003.dat").read_bytes())


def a_mix(dock: Dock) -> None:
    dock.lay("1-large.dat", 1_000_000)
    dock.lay_many(6, folder="2-many")
    dock.lay("3-large.dat", 600_000)


LOADS = [one_large, many_small, a_mix]


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.__name__)
@pytest.mark.parametrize("step", list(Step))
def test_a_crash_at_any_step_is_put_right_by_the_next_visit(
    dock: Dock, step: Step, load: Callable[[Dock], None]
) -> None:
    load(dock)
    rng = random.Random(f"{step} {load.__name__}")
    # The second visit is killed, too, further on: what it resumes and recovers is put right by the third.
    landed = dock.crash(step, 1)
    dock.require_no_false_word()
    dock.crash(rng.choice(list(Step)), rng.randint(1, 6))
    dock.require_no_false_word()
    dock.require_complete(dock.visit())
    marks = step in (Step.MARK_SYNCED, Step.MARK_KEPT)
    assert landed == (not marks or load is not many_small)


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.__name__)
def test_crashes_one_after_the_other_until_the_visit_gets_through_lose_nothing(
    dock: Dock, load: Callable[[Dock], None]
) -> None:
    load(dock)
    counted = Steps()
    rng = random.Random(load.__name__)
    for _ in range(8):
        dock.crash(rng.choice([Step.CHUNK_WRITTEN, Step.MARK_KEPT, Step.READ_BACK, Step.RENAMED]), rng.randint(1, 3))
        dock.require_no_false_word()
    dock.require_complete(dock.visit(passed=counted))


@pytest.mark.postgresql
def test_crashes_lose_nothing_where_the_register_is_postgresql(
    postgresql_url: str, tmp_path: Path, clock: Callable[[], datetime]
) -> None:
    make_station(tmp_path / "station", now=clock, register=postgresql_url)
    dock = open_dock(tmp_path / "station", tmp_path / "files", now=clock)
    a_mix(dock)
    for step in (Step.MARK_KEPT, Step.READ_BACK, Step.VERIFIED_KEPT, Step.RENAMED, Step.STORED_KEPT):
        assert dock.crash(step)
        dock.require_no_false_word()
    dock.require_complete(dock.visit())
    dock.station.close()


def test_the_bytes_before_a_mark_are_not_copied_again(dock: Dock) -> None:
    one_large(dock)
    assert dock.crash(Step.MARK_KEPT, 4)
    shown = dock.visit()
    assert shown["bytes_read"] == 1_400_000 - 4 * (256 << 10)
    dock.require_complete(shown)
