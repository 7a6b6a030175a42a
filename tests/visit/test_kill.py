"""`kill -9` of `dockd offload` at any moment, then a plain second run: nothing is lost, nothing is stored twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

SEED = 20261123


@dataclass(frozen=True)
class Killed:
    """What one round showed."""

    delay: float
    landed: str  # what lay in the store when the kill landed: nothing, mid-file, between, done


def dockd(*arguments: str, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dockd", *(["-c", str(config)] if config else []), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def make_card(card: Path, size: int, rng: random.Random) -> dict[str, str]:
    """Fills a card of ``size`` bytes with one large, several middling and many small files; returns digests."""
    names = {}
    plan = [size * 4 // 10] + [size // 20] * 10 + [size // 400] * 40
    folder = card / "DCIM/100ANDRO"
    folder.mkdir(parents=True)
    for number, length in enumerate(plan, 1):
        data = b"\0\0\0\x18ftypmp42" + rng.randbytes(length)
        path = folder / f"2107731_012345_20261123{8 + number // 60:02d}{number % 60:02d}00_{number:04d}.mp4"
        path.write_bytes(data)
        os.utime(path, (1_790_000_000 + number, 1_790_000_000 + number))
        names[f"DCIM/100ANDRO/{path.name}"] = hashlib.sha256(data).hexdigest()
    return names


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A station that is copied for each round."""
    station = tmp_path / "template"
    assert dockd("init", str(station), "--station-no", "S1", "--language", "en").returncode == 0
    added = dockd("recorder", "add", "YS-07", "--serial", "2107731", config=station / "dockd.yaml")
    assert added.returncode == 0, added.stderr
    text = (station / "dockd.yaml").read_text(encoding="utf-8")
    (station / "dockd.yaml").write_text(text.replace("reserve: 5%", "reserve: 0"), encoding="utf-8")
    return station


def kill_and_run_again(template: Path, station: Path, card: Path, truth: dict[str, str], delay: float) -> Killed:
    """One round: kill the main process only, run again at once, compare everything with the truth."""
    shutil.copytree(template, station)
    config = station / "dockd.yaml"
    killed = subprocess.Popen(
        [sys.executable, "-m", "dockd", "-c", str(config), "offload", str(card)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        killed.wait(timeout=delay)
    except subprocess.TimeoutExpired:
        killed.send_signal(signal.SIGKILL)  # the main process alone: its worker must follow by itself
    landed = look(station)
    said = killed.stdout.read() if killed.stdout else ""
    killed.wait()
    if killed.stdout:
        killed.stdout.close()

    again = dockd("offload", str(card), "--json", config=config)
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert summary["outcome"] == "complete"
    assert {f["path"]: f["sha256"] for f in summary["files"]} == truth
    check_station(station, truth)
    for path in truth:
        if path in said:  # what a killed run called stored is stored
            assert (station / "store" / next(f["location"] for f in summary["files"] if f["path"] == path)).is_file()
    return Killed(delay, landed)


def look(station: Path) -> str:
    temps = list((station / "store/footage").rglob("*.part")) if (station / "store/footage").is_dir() else []
    finals = list((station / "store/footage").rglob("*.mp4")) if (station / "store/footage").is_dir() else []
    return "mid-file" if temps else ("between" if finals else "nothing")


def check_station(station: Path, truth: dict[str, str]) -> None:
    """Store, register, ledger and manifest against the truth, by dockd and without it."""
    config, store = station / "dockd.yaml", station / "store"
    verify = dockd("verify", "--json", config=config)
    assert verify.returncode == 0, verify.stdout + verify.stderr
    assert dockd("ledger", "verify", config=config).returncode == 0
    assert not list(store.rglob("*.part"))
    stored = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in store.rglob("*.mp4"))
    assert stored == sorted(truth.values()), "every file once, none twice, none lost"
    manifest = max((store / "footage").rglob("visit-*.sha256"))
    checked = subprocess.run(
        ["sha256sum", "--quiet", "-c", str(manifest.relative_to(store))], cwd=store, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout


def rounds(template: Path, tmp_path: Path, *, count: int, size: int, longest: float) -> list[Killed]:
    rng = random.Random(SEED)
    card = tmp_path / "card"
    truth = make_card(card, size, rng)
    results = []
    for number in range(count):
        station = tmp_path / f"round-{number}"
        results.append(kill_and_run_again(template, station, card, truth, rng.uniform(0.6, longest)))
        shutil.rmtree(station)
    return results


def test_a_killed_offload_ends_complete_when_it_is_run_again(template: Path, tmp_path: Path) -> None:
    results = rounds(template, tmp_path, count=3, size=60 << 20, longest=2.5)
    assert len(results) == 3


@pytest.mark.slow
def test_fifty_killed_offloads_of_a_300_mb_card_end_complete(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = rounds(template, tmp_path, count=50, size=300 << 20, longest=3.0)
    with capsys.disabled():
        landed = {kind: sum(r.landed == kind for r in results) for kind in ("nothing", "mid-file", "between")}
        print(f"\nseed {SEED}, {len(results)} kills, landed: {landed}")
    assert sum(r.landed == "mid-file" for r in results) > 5
