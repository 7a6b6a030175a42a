"""The power is cut at every system call of a visit; store and register lie on a disk that forgets what was not synced.

After each cut: nothing that is durable says more than what is there, and a plain second visit ends as if
nothing had happened: every file of the card stored once and whole, audit and ledger clean, nothing left over,
nobody alarmed. One run is recorded and cut at all its calls (``medium``); some runs are really cut and killed.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cuts
import forgetful
import pytest
from cuts import Scene, make_scene, some_bytes
from forgetful import Manner, Trace
from medium import ALL, DATA, NAMES, NOTHING, Fate

pytestmark = forgetful.fuse

SEED = 20261123
PATHS = {"renameat2": Manner(), "link_and_unlink": Manner(renames_flagged=False)}
PARTS = 6
"""In so many tests all calls are tried, so that several processors can share them."""
CARDS = {"new_card": cuts.small_card, "known_card": cuts.returning_card}


@dataclass(frozen=True)
class Run:
    """A recorded visit. Where everything is tried, every call is, or every fourth one, as ``every`` says."""

    scene: Scene
    trace: Trace
    every: int = 1

    def recover(self, cuts_: Iterable[tuple[int, Fate]]) -> list[str]:
        """What the visit after each cut complains of, one line for each cut that was not survived.

        Cuts that leave the same are one.
        """
        wanted: dict[int, list[Fate]] = {}
        for number, fate in cuts_:
            wanted.setdefault(number, []).append(fate)
        found, left = [], set()
        for number, medium in self.trace.media():
            for fate in wanted.get(number, ()):
                image = medium.cut(fate)
                if image.digest in left:
                    continue
                left.add(image.digest)
                if complaints := self.scene.complaints(self.scene.recover(image)):
                    found.append(f"cut before call {number} ({fate.name}): {complaints}")
        self.tell(f"{sum(map(len, wanted.values()))} cuts, {len(left)} different disks, {len(found)} not survived")
        return found

    def tell(self, text: str) -> None:
        """For whoever runs this with ``-rP``: what was done."""
        print(f"{len(self.trace)} calls, {self.trace.names().count('sync')} of them syncs: {text}")

    def broken(self, fates: Iterable[Fate]) -> Iterator[str]:
        """What was promised and not kept, over the cuts at every call."""
        fates = list(fates)
        self.tell(f"{(len(self.trace) + 1) * len(fates)} cuts, looked at without a visit")
        for number, medium in self.trace.media():
            for fate in fates:
                if broken := self.scene.broken(medium.cut(fate), self.trace.said(number)):
                    yield f"cut before call {number} ({fate.name}): {broken}"

    def some(self, count: int) -> list[int]:
        """Some calls, spread over the run and the same each time."""
        rng = random.Random(SEED)
        each = len(self.trace) / count
        return [int(each * (part + rng.random())) for part in range(count)]


@pytest.fixture(scope="module", params=[(path, card) for path in PATHS for card in CARDS], ids="-".join)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    path, card = request.param
    folder = tmp_path_factory.mktemp(path)
    scene = make_scene(folder / "scene", CARDS[card])
    yield Run(scene, scene.record(manner=PATHS[path]), every=1 if card == "new_card" else 4)
    shutil.rmtree(folder)


# --- a few minutes ----------------------------------------------------------------------------------------------


def test_the_recorded_visit_did_what_a_visit_does(run: Run) -> None:
    calls = run.trace.names()
    assert run.trace.said(len(calls)) == ["safe", "returned"]
    flagged = [call for call in run.trace.log if call[0] == "rename" and call[2].endswith(".part")]
    linked = [call for call in run.trace.log if call[0] == "link" and call[3].endswith((".dat", ".mp4"))]
    assert bool(flagged) != bool(linked), "one rename path or the other"
    assert {"sync", "allocate", "utime", "create", "unlink"} <= set(calls)


@pytest.mark.parametrize("fate", [NOTHING, ALL, NAMES, DATA, Fate(SEED), Fate(SEED + 1)], ids=lambda fate: fate.name)
def test_whatever_a_cut_leaves_nothing_durable_says_more_than_is_there(run: Run, fate: Fate) -> None:
    assert list(run.broken([fate])) == []


def test_after_some_cuts_the_next_visit_ends_as_if_nothing_had_happened(run: Run) -> None:
    forgotten = [(number, NOTHING) for number in run.trace.durable_points()[::6]]
    torn = [(number, Fate(number)) for number in run.some(8)]
    assert run.recover(forgotten + torn) == []


@pytest.mark.slow
def test_a_visit_that_is_really_cut_off_leaves_what_was_recorded_of_it(run: Run) -> None:
    for number in run.some(2):
        trace = run.scene.cut_alive(number)
        # How many calls a visit makes hangs on how its threads run: one that makes fewer has ended before the cut.
        assert len(trace) == number or trace.said(len(trace))[-1] == "returned"
        assert trace.said(number) == [] or number > len(run.trace) // 2
        assert Run(run.scene, trace).recover([(number, NOTHING), (number, Fate(number))]) == []


def test_who_goes_on_after_a_kill_makes_durable_what_the_dead_one_had_not(run: Run) -> None:
    """SIGKILL first, a whole second visit, and only then the cut: no sync may be left to a process that is gone."""
    for number in run.some(4):
        _require_kept(run.scene, number)


def _require_kept(scene: Scene, number: int) -> None:
    trace = scene.record(killed_at=number)
    image = trace.at(len(trace), NOTHING)
    assert scene.broken(image, trace.said(len(trace))) == [], f"killed at {number}"
    assert scene.complaints(scene.recover(image)) == [], f"killed at {number}"


def test_a_second_cut_during_the_recovery_is_survived(run: Run) -> None:
    for number in run.some(3):
        _cut_twice(run, number, random.Random(number))


def _cut_twice(run: Run, number: int, rng: random.Random) -> None:
    second = run.scene.on(run.trace.at(number, Fate(number)), "second")
    again = Run(second, second.record())
    cuts_ = [(rng.randrange(len(again.trace)), Fate(rng.randrange(1000))) for _ in range(3)]
    again_complains = _judged_by(run.scene, again, cuts_)
    shutil.rmtree(second.station)
    assert again_complains == [], f"first cut before call {number}"


def _judged_by(scene: Scene, run: Run, cuts_: Iterable[tuple[int, Fate]]) -> list[str]:
    """What visits after the second cut leave, compared with what a visit of the first station leaves."""
    found = []
    for number, fate in cuts_:
        if complaints := scene.complaints(scene.recover(run.trace.at(number, fate))):
            found.append(f"cut before call {number} ({fate.name}): {complaints}")
    return found


# --- all of them ------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_after_a_cut_at_any_call_that_forgets_everything_the_next_visit_ends_as_if_nothing_had_happened(
    run: Run,
) -> None:
    """Between two syncs nothing becomes durable: these cuts stand for all."""
    assert run.recover((number, NOTHING) for number in run.trace.durable_points()) == []


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_after_a_cut_at_any_call_that_leaves_any_part_the_next_visit_ends_as_if_nothing_had_happened(
    run: Run, part: int
) -> None:
    points = run.trace.points()[part * run.every :: PARTS * run.every]
    assert run.recover((number, Fate(SEED * number)) for number in points) == []


@pytest.mark.slow
@pytest.mark.parametrize("fate", [ALL, NAMES, DATA], ids=lambda fate: fate.name)
def test_names_without_data_and_data_without_names_are_survived(run: Run, fate: Fate) -> None:
    assert run.recover((number, fate) for number in run.trace.points()[::16]) == []


@pytest.mark.slow
def test_a_kill_before_any_sync_leaves_none_undone(run: Run) -> None:
    syncs = [number for number, call in enumerate(run.trace.log) if call[0] == "sync"]
    for number in syncs[:: run.every]:
        _require_kept(run.scene, number)


# --- a larger visit -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Sixty files, some of them long, in several groups."""
    folder = tmp_path_factory.mktemp("large")
    scene = make_scene(folder / "scene", _large_card)
    yield Run(scene, scene.record())
    shutil.rmtree(folder)


def _large_card(scene: Scene) -> Scene:
    rng = random.Random(SEED)
    for number in range(60):
        size = rng.choice((0, 10, 600, 5_000, 40_000, 40_000, 300_000))
        scene.lay(f"DCIM/{100 + number // 20}/{number:04d}.dat", some_bytes(str(number % 50), size))
    return scene


def test_random_cuts_of_a_larger_visit_are_survived(large: Run) -> None:
    assert large.recover((number, Fate(number)) for number in large.some(8)) == []


@pytest.mark.slow
def test_many_random_cuts_of_a_larger_visit_are_survived(large: Run) -> None:
    rng = random.Random(SEED)
    chosen = [(rng.randrange(len(large.trace)), Fate(rng.randrange(1 << 32))) for _ in range(100)]
    assert large.recover(chosen) == []
