"""The parts that watch, on real folders with real inotify and workers: late shares, wrong configurations."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from test_deliveries import deliver, register
from watchdog.events import FileSystemEvent

from dockd.register import alerts
from dockd.register.station import create_station, open_station
from dockd.service.crew import Crew
from dockd.service.dropped import BAD, DONE, REPORT
from dockd.service.hot import HotFolders
from dockd.service.loop import Loop
from dockd.service.parts import Part, Surroundings
from dockd.service.rereading import Rereading
from dockd.service.watching import Watch
from dockd.settings import Settings, load_settings

YAML = """\
agency: {{station_no: S1, language: en}}
store: {{root: store, reserve: 0}}
register: {{url: "sqlite:///register.db"}}
folders:
  deliveries: {{D1: {{path: dock}}}}
  imports: drop
  settle: 1s
  rescan: {rescan}
"""
CASES = "case_no,case_cause\nA-1,x\n"


def now() -> datetime:
    return datetime.now(UTC)


class Stand:
    """A loop, its crew, and parts of the service at a station in ``folder``."""

    def __init__(self, folder: Path, *, rescan: str = "1h") -> None:
        self.folder = folder
        self.file = folder / "dockd.yaml"
        self.file.write_text(YAML.format(rescan=rescan), encoding="utf-8")
        station = create_station(load_settings(self.file), now=now, actor="dockd")
        register(station, "YS-07", "2107731")
        station.close()
        self.loop = Loop()
        self.crew = Crew(self.loop)
        self.crew.start()
        self.parts: list[Part] = []
        self.taken: list[Settings] = []
        self.around = Surroundings(self.loop, load_settings(self.file), now, self.crew, self.reload, dict)

    def reload(self) -> None:
        self.around.settings = load_settings(self.file)
        self.taken.append(self.around.settings)
        for part in self.parts:
            part.reload(self.around.settings)

    def run(self, part: Part) -> None:
        self.parts.append(part)
        part.start(self.around)
        if isinstance(part, HotFolders):
            part.begin()

    def until(self, true: Callable[[], Any]) -> None:
        end = self.loop.clock() + 30
        while not true():
            assert self.loop.clock() < end, "it did not come in time"
            self.loop.turn(0.1)

    def visits(self) -> list[str]:
        return sorted(str(path) for path in (self.folder / "store/footage").rglob("*.mp4"))

    def alerts(self) -> list[str]:
        station = open_station(self.around.settings, now=now, actor="dockd")
        try:
            with station.register.read() as session:
                return [one.kind for one in alerts.list_alerts(session, open_only=True)]
        finally:
            station.close()

    def close(self) -> None:
        for part in self.parts:
            part.stop()
        self.crew.let_go()
        self.until(lambda: not self.crew.size)
        self.crew.close()
        self.loop.close()


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    one = Stand(tmp_path)
    yield one
    one.close()


@pytest.fixture
def looking_stand(tmp_path: Path) -> Iterator[Stand]:
    """It looks every second, as where inotify tells nothing."""
    one = Stand(tmp_path, rescan="1s")
    yield one
    one.close()


def ended(stand: Stand, folder: str) -> list[Path]:
    place = stand.folder / "drop" / folder
    return sorted(path for path in place.glob("*.csv")) if place.exists() else []


def test_a_table_that_is_dropped_is_taken_in_at_once_told_by_inotify(stand: Stand) -> None:
    (stand.folder / "drop").mkdir()
    folders = HotFolders()
    stand.run(folders)
    stand.until(lambda: all(hot.watch and hot.watch.lives() for hot in folders._folders if hot.name == "imports"))
    (stand.folder / "drop/cases.csv").write_text(CASES)
    (stand.folder / "drop/wrong.csv").write_text("nonsense\n")
    stand.until(lambda: ended(stand, DONE) and ended(stand, BAD))
    assert json.loads(Path(f"{ended(stand, DONE)[0]}{REPORT}").read_text())["added"] == 1
    assert stand.alerts() == ["import_refused"]


def test_a_delivery_that_grows_is_visited_when_it_has_come_to_rest_and_again_when_more_comes(stand: Stand) -> None:
    (stand.folder / "dock").mkdir()
    folders = HotFolders()
    stand.run(folders)
    stand.until(lambda: any(hot.watch and hot.watch.lives() for hot in folders._folders))
    deliver(stand.folder / "dock")
    deliver(stand.folder / "dock", number=2)
    stand.until(lambda: len(stand.visits()) == 2)
    deliver(stand.folder / "dock", number=3)
    stand.until(lambda: len(stand.visits()) == 3)
    stand.until(lambda: folders.show()[0]["done"] == 2)
    assert folders.show()[0] | {"path": ""} == {
        "name": "D1", "path": "", "absent": False, "waiting": 0, "working": 0, "done": 2, "outside": 0, "trouble": None,
    }  # fmt: skip


def test_what_comes_while_the_folder_is_being_looked_at_does_not_wait_for_the_next_rescan(stand: Stand) -> None:
    (stand.folder / "drop").mkdir()
    folders = HotFolders()
    stand.run(folders)
    (hot,) = [hot for hot in folders._folders if hot.name == "imports"]
    stand.until(lambda: hot.watch and hot.watch.lives() and not hot.looking and not hot.changed)
    folders._look(hot)
    folders._hear(hot)  # a change is told while the look is under way: it may have passed that place already
    stand.until(lambda: not hot.looking)
    assert hot.moment
    assert hot.moment.when <= stand.loop.clock() + 1, "not only after the rescan"


def test_a_share_that_is_mounted_late_is_found_by_looking(looking_stand: Stand) -> None:
    folders = HotFolders()
    looking_stand.run(folders)
    looking_stand.until(lambda: folders.show()[0]["absent"])
    deliver(looking_stand.folder / "dock")
    looking_stand.until(lambda: len(looking_stand.visits()) == 1)
    looking_stand.until(lambda: not folders.show()[0]["absent"])


def test_other_folders_are_minded_when_the_configuration_names_them(stand: Stand) -> None:
    folders = HotFolders()
    stand.run(folders)
    stand.until(folders.ended)
    deliver(stand.folder / "other")
    stand.file.write_text(stand.file.read_text().replace("path: dock", "path: other"))
    stand.reload()
    stand.until(lambda: len(stand.visits()) == 1)


def test_a_watch_tells_of_what_was_renamed_into_place_and_of_nothing_else(tmp_path: Path) -> None:
    told: list[int] = []
    watch = Watch(str(tmp_path), lambda: told.append(1), names=["dockd.yaml"])
    watch.renew()
    end = Loop().clock
    limit = end() + 20
    while not watch.lives():
        assert end() < limit
    told.clear()
    (tmp_path / "other.yaml").write_text("x")
    (tmp_path / "new").write_text("x")
    os.replace(tmp_path / "new", tmp_path / "dockd.yaml")
    while not told:
        assert end() < limit
    assert watch.lives()
    watch.end()
    assert not watch.lives()


def test_looking_and_reading_is_no_change(tmp_path: Path) -> None:
    """Otherwise each look at a folder would call for the next one."""
    heard: list[str] = []

    class Heard(Watch):
        def on_any_event(self, event: FileSystemEvent) -> None:
            heard.append(os.path.basename(os.fsdecode(event.src_path)))

    (tmp_path / "kept").write_text("x")
    watch = Heard(str(tmp_path), lambda: None, deep=True)
    watch.renew()
    end = Loop().clock
    limit = end() + 20
    while not watch.lives():
        assert end() < limit
    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept").read_text() == "x"
    (tmp_path / "new").write_text("x")
    while "new" not in heard:  # events come in their order
        assert end() < limit
    watch.end()
    assert "kept" not in heard


# --- the configuration ---------------------------------------------------------------------------------------------


def test_a_changed_configuration_is_taken_when_it_is_right_and_alerted_when_it_is_not(stand: Stand) -> None:
    part = Rereading()
    stand.run(part)
    stand.until(lambda: all(watch.lives() for watch in part._watches))
    right = stand.file.read_text()
    stand.file.write_text(right.replace("settle: 1s", "settle: never"))
    stand.until(lambda: part.show()["refused"])
    assert part.show()["refused"] == "line 7, folders.settle"
    assert not stand.taken
    assert stand.around.settings.folders.settle.total_seconds() == 1
    stand.until(lambda: not stand.crew.size)
    assert stand.alerts() == ["config_refused"]
    (stand.folder / "new.yaml").write_text(right.replace("settle: 1s", "settle: 2s"))
    os.replace(stand.folder / "new.yaml", stand.file)  # as editors and administration tools do
    stand.until(lambda: stand.taken)
    assert stand.around.settings.folders.settle.total_seconds() == 2
    stand.until(lambda: not stand.crew.size)
    assert stand.alerts() == []


def test_a_configuration_is_taken_however_much_else_happens_in_its_folder(stand: Stand) -> None:
    """The register lies there too, and each command makes and removes files beside it."""
    part = Rereading()
    stand.run(part)
    stand.until(lambda: all(watch.lives() for watch in part._watches))
    stand.file.write_text(stand.file.read_text().replace("settle: 1s", "settle: 2s"))

    def taken() -> list[Settings]:
        (stand.folder / "beside").touch()
        (stand.folder / "beside").unlink()
        return stand.taken

    stand.until(taken)


def test_a_configuration_that_is_away_for_a_moment_changes_nothing(stand: Stand) -> None:
    part = Rereading()
    stand.run(part)
    aside = stand.file.rename(stand.folder / "aside")
    part._look()
    assert part.show() == {"refused": None}
    aside.rename(stand.file)
    part._look()
    assert not stand.taken
