"""What all tests share: a clock that only tests move, a station in a temporary folder, the command run in-process."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dockd.locale import use_language

if TYPE_CHECKING:
    from dockd.register.station import Station
    from dockd.settings import Settings

pytest_plugins = ["postgres"]

BEIJING = timezone(timedelta(hours=8))

STATION_YAML = """\
agency:
  name: Test Bureau
  station_no: S1
  language: en
store:
  root: store
  reserve: 0
register:
  url: sqlite:///register.db
inventory:
  path: exports/inventory.csv
"""


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    time: datetime = field(default=datetime(2026, 11, 23, 10, 0, tzinfo=BEIJING))

    def __call__(self) -> datetime:
        return self.time

    def move(self, **span: float) -> None:
        """``clock.move(hours=25)``"""
        self.time += timedelta(**span)


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What runs in guests has a command of its own: ``.ci/vm``."""
    for item in items:
        if item.path.parent.name == "vm":
            item.add_marker(pytest.mark.vm)


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    """English, and nothing of the caller's own settings."""
    for name in ("DOCKD_LANG", "DOCKD_CONFIG", "LC_ALL", "LC_MESSAGES", "LANGUAGE", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "en_US.UTF-8")
    use_language("en")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A valid configuration at ``tmp_path/station/dockd.yaml``; nothing else of a station is made."""
    from dockd.settings import load_settings

    folder = tmp_path / "station"
    folder.mkdir()
    (folder / "dockd.yaml").write_text(STATION_YAML, encoding="utf-8")
    return load_settings(folder / "dockd.yaml")


@pytest.fixture
def station(settings: Settings, clock: Clock) -> Iterator[Station]:
    """An open station on SQLite in a temporary folder, English, on the fixed clock."""
    from dockd.register.station import create_station, open_station

    created = create_station(settings, now=clock, actor="person:tester")
    if created is not None:
        created.register.close()
    opened = open_station(settings, now=clock, actor="person:tester")
    yield opened
    opened.register.close()


@pytest.fixture
def run_cli(clock: Clock) -> Callable[..., Result]:
    """``run_cli("check", "--json", config=FILE)``: the real command in this process, on the test's clock."""

    def run(*args: object, config: Path | None = None, stdin: str = "") -> Result:
        from dockd.cli.main import run as carry_out

        argv = [*(["-c", str(config)] if config else []), *(str(arg) for arg in args)]
        out, err = io.StringIO(), io.StringIO()
        before, sys.stdin = sys.stdin, io.StringIO(stdin)
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = carry_out(argv, now=clock)
        finally:
            sys.stdin = before
        return Result(code, out.getvalue(), err.getvalue())

    return run


# --- parsers that misbehave -----------------------------------------------------------------------------------------

PutTool = Callable[[str, str], Path]


@pytest.fixture
def put_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PutTool:
    """Puts a stand-in for a parser first in PATH; it may only reach what a real one could."""
    place = tmp_path / "tools" / "bin"
    place.mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")

    def put(name: str, script: str) -> Path:
        tool = place / name
        tool.write_text(script)
        tool.chmod(0o755)
        return tool

    return put
