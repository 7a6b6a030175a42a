"""Docks that deliver by a share: each folder is a visit of its recorder, once; the register knows what was seen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dockd.nouns import Recorder
from dockd.register import recorders, visits
from dockd.register.session import open_register
from dockd.register.station import Station, create_station
from dockd.service.deliveries import WHOLE, look, mark_of, receive
from dockd.settings import parse_settings

HEADER = b"\0\0\0\x18ftypmp42"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def station(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Station]:
    """One registered recorder; the real clock, because the file system's change times are the real one's."""
    url = "sqlite:///register.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    text = f'agency: {{station_no: S1}}\nstore: {{root: store, reserve: 0}}\nregister: {{url: "{url}"}}\n'
    made = create_station(parse_settings(text, tmp_path / "dockd.yaml"), now=lambda: datetime.now(UTC), actor="dockd")
    register(made, "YS-07", "2107731")
    yield made
    made.close()


def register(station: Station, device_no: str, serial: str) -> None:
    with station.register.write() as session:
        new = Recorder(device_no, serial)
        recorders.add_recorder(session, new, station_no="S1", now=station.now(), actor="person:tester")


@pytest.fixture
def dock(tmp_path: Path) -> Path:
    folder = tmp_path / "dock"
    folder.mkdir()
    return folder


def deliver(dock: Path, name: str = "2107731", number: int = 1, serial: str = "2107731") -> Path:
    folder = dock / name / "20261123"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{serial}_012345_20261123090000_{number:04d}.mp4"
    file.write_bytes(HEADER + str(number).encode())
    return dock / name


def take(station: Station, path: Path) -> bool:
    return receive(station, str(path), "D1", check=lambda: None)


def visits_of(station: Station) -> list[dict[str, Any]]:
    with station.register.read() as session:
        listed = visits.list_visits(session, zone=station.zone, limit=100)
        return [visits.show_visit(session, one["visit_id"], zone=station.zone) for one in listed]


def test_a_delivery_is_a_visit_of_its_recorder_with_source_folder(station: Station, dock: Path) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    assert take(station, deliver(dock))
    (visit,) = visits_of(station)
    assert (visit["source"], visit["bay"], visit["device_no"], visit["outcome"]) == (
        "folder", "D1", "YS-07", "complete",
    )  # fmt: skip
    assert [file["outcome"] for file in visit["files"] if file["outcome"]] == ["stored"]
    assert before <= datetime.fromisoformat(str(visit["docked_at"])) <= datetime.now(UTC)
    assert list((dock / "2107731/20261123").iterdir())  # nothing of it was changed


def test_a_delivery_that_has_not_changed_is_not_visited_again_also_after_a_restart(
    station: Station, dock: Path
) -> None:
    path = deliver(dock)
    take(station, path)
    again = replace(station, register=open_register(station.settings.register.url))
    assert take(again, path)
    again.close()
    assert len(visits_of(station)) == 1


def test_what_came_later_is_another_visit_docked_when_it_came(station: Station, dock: Path) -> None:
    path = deliver(dock)
    take(station, path)
    middle = datetime.now(UTC) - timedelta(milliseconds=50)  # a file system's clock ticks more slowly
    deliver(dock, number=2)
    assert take(station, path)
    visit = max(visits_of(station), key=lambda one: one["visit_id"])
    assert sorted(file["outcome"] for file in visit["files"] if file["outcome"]) == ["already_stored", "stored"]
    assert datetime.fromisoformat(str(visit["docked_at"])) >= middle


def test_two_recorders_in_two_folders_are_two_visits_and_nothing_is_mixed(station: Station, dock: Path) -> None:
    register(station, "YS-08", "2107732")
    for name in ("2107731", "2107732"):
        take(station, deliver(dock, name, serial=name))
    assert sorted(visit["device_no"] for visit in visits_of(station)) == ["YS-07", "YS-08"]
    assert [visit["files"][-1]["outcome"] for visit in visits_of(station)] == ["stored", "stored"]


def test_an_unregistered_recorder_is_held_once_and_visited_when_it_has_been_registered(
    station: Station, dock: Path
) -> None:
    path = deliver(dock, "7654321", serial="7654321")
    assert not take(station, path)
    assert not take(station, path)
    assert [visit["reason"] for visit in visits_of(station)] == ["unknown_recorder"]
    register(station, "YS-09", "7654321")
    assert take(station, path)
    assert sorted(visit["outcome"] for visit in visits_of(station)) == ["complete", "failed"]


# --- what a look sees --------------------------------------------------------------------------------------------


def test_a_look_sees_every_folder_with_files_and_counts_what_is_in_none(dock: Path, tmp_path: Path) -> None:
    deliver(dock)
    (dock / "empty").mkdir()
    deliver(dock, ".hidden")
    (dock / "link").symlink_to(deliver(tmp_path, "elsewhere"))
    (dock / "loose.mp4").write_bytes(HEADER)
    found = look(str(dock), whole=False)
    assert (set(found.marks), found.outside, found.absent) == ({"2107731"}, 1, False)
    assert set(look(str(dock), whole=True).marks) == {WHOLE}
    assert look(str(dock / "nowhere"), whole=False).absent


def test_the_mark_changes_with_names_sizes_times_and_files_that_were_exchanged(dock: Path) -> None:
    path = deliver(dock)
    (file,) = path.rglob("*.mp4")
    marks = [mark_of(str(path))]
    os.utime(file, ns=(0, 1))
    marks.append(mark_of(str(path)))
    file.write_bytes(HEADER + b"xx")
    os.utime(file, ns=(0, 1))
    marks.append(mark_of(str(path)))
    file.rename(file.with_name("b.mp4"))
    marks.append(mark_of(str(path)))
    deliver(dock, number=2)
    marks.append(mark_of(str(path)))
    assert len(set(marks)) == len(marks)
    assert mark_of(str(path)) == marks[-1]
