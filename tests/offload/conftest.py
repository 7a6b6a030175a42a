"""A docked card for the tests of the copy.

One station is opened once and its files are put back for every test: what SQLAlchemy has compiled
and what the profiles' patterns are stays warm, also in the children that are killed.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from dock import Dock, make_station, open_dock

from dockd.offload import pipeline, reader
from dockd.visit import look


@pytest.fixture(scope="session")
def _kept_dock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Dock, Path]]:
    """A dock that was used once, and the folder of its station as it was made."""
    folder = tmp_path_factory.mktemp("dock")
    made = datetime.fromisoformat("2026-11-23T09:00:00+08:00")
    make_station(folder / "made", now=lambda: made)
    shutil.copytree(folder / "made", folder / "station")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(look, "load_profiles", functools.cache(look.load_profiles))
        dock = open_dock(folder / "station", folder / "files", now=lambda: made)
        dock.lay("A.dat", 1000)
        dock.require_complete(dock.visit())
        dock.station.close()
        yield dock, folder / "made"


@pytest.fixture
def dock(_kept_dock: tuple[Dock, Path], tmp_path: Path, clock: Callable[[], datetime]) -> Iterator[Dock]:
    kept, made = _kept_dock
    folder = kept.store.parent
    shutil.rmtree(folder)
    shutil.copytree(made, folder)
    yield kept.at(tmp_path / "files", now=clock)
    kept.station.close()


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Buffers of 64 KiB and a mark every 256 KiB, so that a large file is a small one."""
    monkeypatch.setattr(pipeline, "CHUNK", 64 << 10)
    monkeypatch.setattr(reader, "MARK_EVERY", 256 << 10)
