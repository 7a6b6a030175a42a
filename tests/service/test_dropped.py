"""The drop folder: what other systems drop is taken in, moved and reported; nothing is lost or read wrongly."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from dockd.errors import ExportUnwritable
from dockd.register import alerts
from dockd.register.cases import list_cases
from dockd.register.station import Station, create_station
from dockd.register.tables import EventRow
from dockd.service import dropped
from dockd.service.dropped import BAD, DONE, REPORT, WORK, look, take_in
from dockd.settings import parse_settings

CASES = "case_no,case_cause,party\nA-1,无证采矿,张某\nA-2,越界采矿,李某\n"
OFFICERS = "执法证号,执法人员姓名,警号\n13012301,王强,012345\n"
RECORDERS = "device_no,device_serial,unit\nYS-07,2107731,一中队\n"
BAD_CASES = "case_no,case_cause,closed_at\nA-3,x,never\nA-4,y,\n"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def station(request: pytest.FixtureRequest, tmp_path: Path, clock: Any) -> Iterator[Station]:
    url = "sqlite:///register.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    text = f'agency: {{station_no: S1}}\nstore: {{root: store, reserve: 0}}\nregister: {{url: "{url}"}}\n'
    made = create_station(parse_settings(text, tmp_path / "dockd.yaml"), now=clock, actor="dockd")
    yield made
    made.close()


@pytest.fixture
def drop(tmp_path: Path) -> Path:
    folder = tmp_path / "drop"
    folder.mkdir()
    return folder


def put(drop: Path, name: str, text: str | bytes) -> str:
    (drop / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def report_of(path: str) -> Any:
    return json.loads(Path(path + REPORT).read_text(encoding="utf-8"))


def open_kinds(station: Station) -> list[str]:
    with station.register.read() as session:
        return [one.kind for one in alerts.list_alerts(session, open_only=True)]


@pytest.mark.parametrize(
    ("text", "kind", "lines"), [(CASES, "cases", 2), (OFFICERS, "officers", 1), (RECORDERS, "recorders", 1)]
)
def test_a_table_is_known_by_its_header_taken_in_and_lies_in_done_with_its_report(
    station: Station, drop: Path, text: str, kind: str, lines: int
) -> None:
    ended = take_in(station, str(drop), put(drop, "导出.csv", text))
    assert Path(ended).parent == drop / DONE
    assert ended.endswith("-导出.csv")
    assert Path(ended).read_text(encoding="utf-8") == text
    report = report_of(ended)
    assert (report["kind"], report["lines"], report["added"], report["bad"]) == (kind, lines, lines, [])
    assert report["sha256"] == hashlib.sha256(text.encode()).hexdigest()
    assert look(str(drop)).marks == {}
    with station.register.read() as session:
        assert session.scalar(select(EventRow.line).where(EventRow.kind == "import.taken"))
    assert "import_refused" not in open_kinds(station)


def test_a_table_of_a_chinese_spreadsheet_is_read(station: Station, drop: Path) -> None:
    ended = take_in(station, str(drop), put(drop, "人员.CSV", OFFICERS.encode("gb18030")))
    assert report_of(ended)["kind"] == "officers"


def test_good_lines_of_a_bad_table_are_taken_and_the_report_names_the_others(station: Station, drop: Path) -> None:
    ended = take_in(station, str(drop), put(drop, "cases.csv", BAD_CASES))
    assert Path(ended).parent == drop / BAD
    report = report_of(ended)
    assert (report["added"], [bad["line_no"] for bad in report["bad"]]) == (1, [2])
    assert "line 2" in report["messages"][0]
    with station.register.read() as session:
        assert [case.case_no for case in list_cases(session)] == ["A-4"]
    assert open_kinds(station) == ["import_refused"]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xfe\x00junk", b"a,b\n1,2\n", b"file_no,title,case_no\nx,y,A-9\n", b"\0" * 5000]
)
def test_what_is_no_table_of_ours_goes_to_bad_and_says_why(station: Station, drop: Path, data: bytes) -> None:
    ended = take_in(station, str(drop), put(drop, "x.csv", data))
    assert Path(ended).parent == drop / BAD
    assert report_of(ended)["messages"]
    assert open_kinds(station) == ["import_refused"]
    with station.register.read() as session:
        assert not list(list_cases(session))


def test_two_tables_of_one_name_both_stay(station: Station, drop: Path, clock: Any) -> None:
    first = take_in(station, str(drop), put(drop, "cases.csv", CASES))
    clock.move(seconds=1)
    second = take_in(station, str(drop), put(drop, "cases.csv", CASES))
    assert first != second
    assert Path(first).exists()
    assert report_of(second)["unchanged"] == 2


def test_a_table_that_a_crash_left_is_taken_in_again(
    station: Station, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = put(drop, "cases.csv", CASES)
    with monkeypatch.context() as patch:
        patch.setattr("dockd.service.dropped.rejudge", lambda _station: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            take_in(station, str(drop), name)
    (left,) = look(str(drop)).marks
    assert left.startswith(WORK)
    ended = take_in(station, str(drop), left)
    assert Path(ended).parent == drop / DONE
    assert report_of(ended)["unchanged"] == 2
    assert look(str(drop)).marks == {}


def test_a_refused_table_that_lies_in_its_place_has_been_told_of(
    station: Station, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash just before the move leaves it to be taken in again, one just after it nothing to be told."""

    def die(source: str, target: str) -> None:
        if f"/{BAD}/" in target:
            raise KeyboardInterrupt
        move(source, target)

    move = dropped._move
    monkeypatch.setattr(dropped, "_move", die)
    (drop / "wrong.csv").write_text("nonsense\n")
    with pytest.raises(KeyboardInterrupt):
        take_in(station, str(drop), "wrong.csv")
    with station.register.read() as session:
        (told,) = alerts.list_alerts(session, open_only=True)
    assert told.kind == "import_refused"
    monkeypatch.setattr(dropped, "_move", move)
    (left,) = look(str(drop)).marks
    take_in(station, str(drop), left)
    with station.register.read() as session:
        assert [one.alert_id for one in alerts.list_alerts(session, open_only=True)] == [told.alert_id], "once"


def test_a_table_of_somebody_elses_that_cannot_be_linked_is_renamed(
    station: Station, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_names: str, **_said: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    name = put(drop, "cases.csv", CASES)
    monkeypatch.setattr(os, "link", refuse)
    assert Path(take_in(station, str(drop), name)).read_text() == CASES
    assert not (drop / "cases.csv").exists()


def test_a_link_is_not_followed(station: Station, drop: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text(CASES)
    (drop / "cases.csv").symlink_to(secret)
    assert look(str(drop)).marks == {}
    with pytest.raises(ExportUnwritable):
        take_in(station, str(drop), "cases.csv")
    with station.register.read() as session:
        assert not list(list_cases(session))


def test_half_written_hidden_and_other_files_are_left_alone(drop: Path) -> None:
    for name in (".cases.csv", "~$cases.csv", "cases.csv.part", "cases.xlsx", "readme"):
        put(drop, name, CASES)
    (drop / "folder.csv").mkdir()
    os.mkfifo(drop / "pipe.csv")
    found = look(str(drop))
    assert (found.marks, found.outside) == ({}, 3)
    assert look(str(drop / "nowhere")).absent


def test_a_folder_that_lets_nothing_be_moved_takes_nothing_in(
    station: Station, drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_names: str, **_said: object) -> None:
        raise PermissionError(13, "Permission denied")

    name = put(drop, "cases.csv", CASES)
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(ExportUnwritable, match="Permission denied"):
        take_in(station, str(drop), name)
    with station.register.read() as session:
        assert not list(list_cases(session))
    assert (drop / "cases.csv").exists()
