"""A station whose service runs in the test's own process."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from bureau import found_bureau
from office import CONFIGURATION, Office

from dockd import log


@pytest.fixture(scope="session")
def _founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("office") / "station"
    found_bureau(folder, CONFIGURATION)
    return folder


@pytest.fixture
def _journal() -> Iterator[None]:
    """What is logged goes to standard error itself: workers keep no other descriptor."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log.configure("info", stream=open(2, "w", encoding="utf-8", closefd=False))  # noqa: SIM115
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def office(_founded: Path, _journal: None, tmp_path: Path) -> Iterator[Office]:
    shutil.copytree(_founded, tmp_path / "station")
    found = Office(tmp_path / "station")
    yield found
    found.stop()
