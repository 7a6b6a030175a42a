"""A docked card for the tests of the copy: its station is copied from one that is made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from dock import Dock, make_station, open_dock

from dockd.offload import pipeline, reader


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station with one recorder, closed."""
    folder = tmp_path_factory.mktemp("template") / "station"
    make_station(folder, now=lambda: datetime.fromisoformat("2026-11-23T09:00:00+08:00"))
    return folder


@pytest.fixture
def dock(template: Path, tmp_path: Path, clock: Callable[[], datetime]) -> Iterator[Dock]:
    shutil.copytree(template, tmp_path / "station")
    dock = open_dock(tmp_path / "station", tmp_path / "files", now=clock)
    yield dock
    dock.station.close()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers of 64 KiB and a mark every 256 KiB, so that a large file is a small one."""
    monkeypatch.setattr(pipeline, "CHUNK", 64 << 10)
    monkeypatch.setattr(reader, "MARK_EVERY", 256 << 10)
