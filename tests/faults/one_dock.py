"""The fixture ``dock`` for tests of single guards: a docked card, its station copied from one that is made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from dock import Dock, make_station, open_dock

from dockd.offload import pipeline, reader


@pytest.fixture(scope="session")
def docked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A station with one recorder, closed."""
    folder = tmp_path_factory.mktemp("docked") / "station"
    make_station(folder, now=lambda: datetime.fromisoformat("2026-11-23T09:00:00+08:00"))
    return folder


@pytest.fixture
def dock(
    docked: Path, tmp_path: Path, clock: Callable[[], datetime], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Dock]:
    """Buffers hold 64 KiB and marks come every 256 KiB, so that a large file is a small one."""
    monkeypatch.setattr(pipeline, "CHUNK", 64 << 10)
    monkeypatch.setattr(reader, "MARK_EVERY", 256 << 10)
    shutil.copytree(docked, tmp_path / "station")
    dock = open_dock(tmp_path / "station", tmp_path / "files", now=clock)
    yield dock
    dock.station.close()
