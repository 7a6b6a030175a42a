"""A bureau whose station is copied from one that is made once, and real clips that are made once."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bureau import Bureau, found_bureau


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
def no_parsers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ffprobe and exiftool are not installed: for tests that are not about what a film says, and much quicker."""
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seconds of film without a date in it."""
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    picture = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=5"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-map_metadata", "-1"]
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *picture, *codec, str(path)], check=True)
    return path
