"""A month of a small bureau through the real commands: nobody is wronged, no duty is lost, and everything adds up.

The whole month runs with .ci/full, some days of a smaller one with .ci/run.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from bureau_month import BureauMonth
from month import SMALL, WHOLE, Month, Size


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Five seconds of film."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=32x24:r=2:d=5", "-c:v", "libx264", "-preset", "ultrafast"]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *picture, "-pix_fmt", "yuv420p", str(path)], check=True)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("seed", "size"),
    [
        pytest.param(2, SMALL, id="some days"),
        pytest.param(1, WHOLE, id="the whole month", marks=pytest.mark.slow),
    ],
)
def test_a_month_of_a_small_bureau(
    tmp_path: Path,
    clock: Any,
    clip: bytes,
    seed: int,
    size: Size,
) -> None:
    month = Month(seed, size)
    life = BureauMonth(month, tmp_path, clip, clock)
    life.live()
    logged = life.logged()

    found = life.compare()
    print(found.officers, found.cases, found.lateness)
    assert found.faults == []
    assert found.missing == 0, "every recording is stored and described"
    assert sum(found.officers.values()) == size.files
    assert found.officers["wrong"] == found.cases["wrong"] == 0
    assert found.officers["right"] > 0.8 * size.files, "honestly empty is the exception"
    assert "visit_ended" in logged
    assert not [name for name in names(month) if name in logged], "no personal names in logs"
    assert_it_adds_up(life)


def names(month: Month) -> list[str]:
    """Of officers and parties."""
    return [p.name for p in month.people] + [case.party for case in month.cases]


def assert_it_adds_up(life: BureauMonth) -> None:
    """Figures, persons' words, protected names and proofs, once everything has happened."""
    files = life.month.files
    total = life.json("stats", "--month", "2026-11")["total"]
    knowable = [f for f in files if not f.clock_unset]
    assert total["late"] == sum(f.late is True for f in knowable)
    assert total["in_time"] == sum(f.late is False for f in knowable)
    assert life.by_hand == {
        r["file_no"]: r["case_no"] for r in life.json("record", "list") if r["file_no"] in life.by_hand
    }, "a person's word stays"
    life.dockd("inventory", "export")
    hidden = [case.party for case in life.month.cases if case.protected]
    text = (life.folder / "station/exports/inventory.csv").read_text(encoding="utf-8")
    assert not [party for party in hidden if party in text]
    paths = "\n".join(str(path) for path in (life.folder / "station").rglob("*"))
    assert not [name for name in names(life.month) if name in paths], "no personal names in paths of the store"
    view = life.folder / "view"
    assert life.json("view", "build", view)["recordings"] == len(files)
    assert not [path for path in view.rglob("*") if any(party in path.name for party in hidden)]
    life.dockd("verify")
    life.dockd("ledger", "verify")
