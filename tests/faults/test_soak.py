"""Nothing is lost, nothing is called stored that is not, nothing is stored twice, however often visits are killed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from soak import SEED, Soak, Tally, soak_stations


def test_thirty_rounds_of_random_kills_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_clean(Soak(tmp_path, SEED).run(30), rounds=30, capsys=capsys, mid_file=5)


@pytest.mark.slow
def test_five_hundred_rounds_of_random_kills_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require_clean(soak_stations(tmp_path, SEED + 100, 500), rounds=500, capsys=capsys, mid_file=100)


def require_clean(tally: Tally, *, rounds: int, capsys: pytest.CaptureFixture[str], mid_file: int) -> None:
    with capsys.disabled():
        print(f"\n{tally}")
    assert tally.faults == []
    assert tally.rounds == rounds
    assert tally.landed["mid-file"] >= mid_file, "too few kills hit the middle of a file to show anything"


# --- the soak itself would notice --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def soaked(tmp_path_factory: pytest.TempPathFactory) -> Soak:
    """A station after three rounds, as it should be."""
    soak = Soak(tmp_path_factory.mktemp("soaked"), SEED)
    assert soak.run(3).faults == []
    return soak


def footage(soak: Soak) -> Path:
    """A stored file that is not empty."""
    return next(f for f in sorted((soak.station / "store/footage").rglob("*.log")) if f.stat().st_size > 1)


def found(soak: Soak, pattern: str) -> Path:
    return next((soak.station / "store").rglob(pattern))


def flip(path: Path) -> Callable[[], None]:
    data, mode, status = path.read_bytes(), path.stat().st_mode, path.stat()
    path.chmod(0o640)
    path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def undo() -> None:
        path.write_bytes(data)
        path.chmod(mode)

    return undo


def hide(path: Path) -> Callable[[], None]:
    aside = path.parents[len(path.parents) - 3] / "aside"
    path.rename(aside)
    return lambda: (aside.rename(path), None)[1]


def plant(path: Path, data: bytes = b"half") -> Callable[[], None]:
    path.write_bytes(data)
    return path.unlink


def double(path: Path) -> Callable[[], None]:
    return plant(path.with_suffix(".mp4"), path.read_bytes())


def lengthen(path: Path) -> Callable[[], None]:
    size = path.stat().st_size
    with path.open("ab") as file:
        file.write(b"{}\n")
    return lambda: os.truncate(path, size)


DAMAGES: dict[str, tuple[str, Callable[[Soak], Callable[[], None]]]] = {
    "a flipped byte": ("false stored", lambda soak: flip(footage(soak))),
    "a file that is gone": ("lost", lambda soak: hide(footage(soak))),
    "half a file under a final name": ("false stored", lambda soak: plant(footage(soak).with_suffix(".mp4"))),
    "a whole file that nobody knows": ("duplicate", lambda soak: double(footage(soak))),
    "a temp": ("temp", lambda soak: plant(footage(soak).with_suffix(".log.part"))),
    "a flipped sidecar": ("record", lambda soak: flip(found(soak, "*.xmp"))),
    "a flipped manifest": (
        "manifest",
        lambda soak: flip(found(soak, "visit-*.sha256")),
    ),
    "a longer mirror": ("ledger", lambda soak: lengthen(found(soak, "*.jsonl"))),
}


@pytest.mark.parametrize(("kind", "damage"), DAMAGES.values(), ids=DAMAGES.keys())
def test_the_soak_would_notice(soaked: Soak, kind: str, damage: Callable[[Soak], Callable[[], None]]) -> None:
    undo = damage(soaked)
    try:
        soaked.comparison.forget()
        soaked.compare(at_rest=True)
        assert kind in {found for found, _ in soaked.comparison.faults}
    finally:
        undo()
        soaked.comparison.faults.clear()
        soaked.comparison.forget()


def test_the_soak_would_notice_a_recording_that_was_never_stored(soaked: Soak) -> None:
    card = soaked.cards[0]
    card.lay("DCIM/100ANDRO/forgotten.log", b"never docked", 1_790_000_000)
    soaked.truth.due |= card.recordings()
    soaked.compare(at_rest=True)
    kinds = {kind for kind, _ in soaked.comparison.faults}
    soaked.comparison.faults.clear()
    card.remove("DCIM/100ANDRO/forgotten.log")
    assert kinds == {"lost"}
