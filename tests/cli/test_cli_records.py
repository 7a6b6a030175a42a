"""record, alert, inventory, verify as people and programs call them."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shelf import Shelf

from dockd.nouns import MediaType, OwnerState
from dockd.register.alerts import open_alert
from dockd.register.ledger import verify_ledger
from dockd.register.records import find_record, revise_record
from dockd.register.station import Station
from dockd.register.tables import SidecarRow
from dockd.visit.sidecars import write_sidecars

Call = Callable[..., Any]


@pytest.fixture
def shelf(station: Station) -> Shelf:
    shelf = Shelf(station.register, station.store, at=station.now())
    shelf.officer("13012301", "王强")
    shelf.officer("13012302", "李敏")
    shelf.case("A-1", place="南佐镇")
    visit = shelf.visit(shelf.recorder("YS-07"))
    records = [
        shelf.record(visit, b"DCIM/1.MP4", b"one", title="first", used_from=shelf.at, used_to=shelf.at),
        shelf.record(visit, b"DCIM/2\xff.MP4", b"two", officers=("13012301",), owner_state=OwnerState.ASSIGNED),
        shelf.record(visit, b"DCIM/3.MP4", b"three"),
    ]
    write_sidecars(station, records, check=lambda: None)
    station.mirror_ledger()
    return shelf


@pytest.fixture
def dockd(run_cli: Call, station: Station) -> Call:
    return lambda *args: run_cli(*args, config=station.settings.file)


def read(station: Station, record_id: int) -> Any:
    with station.register.read() as session:
        return find_record(session, record_id)


# --- record -------------------------------------------------------------------------------------------------


def test_record_list_is_one_array_of_whole_records(dockd: Call, shelf: Shelf) -> None:
    rows = dockd("record", "list", "--json").json
    assert [row["record_id"] for row in rows] == [1, 2, 3]
    assert rows[0]["used_from"] == "2026-11-23T10:00:00+08:00"
    assert rows[1]["original_path"] == "DCIM/2\\xff.MP4"
    assert (rows[1]["officers"], rows[1]["officer_names"]) == (["13012301"], ["王强"])
    assert rows[1]["sha256"]


def test_record_list_without_a_match_is_an_empty_array(dockd: Call, shelf: Shelf) -> None:
    assert dockd("record", "list", "--party", "nobody", "--json").json == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--unassigned"], [1, 3]),
        (["--officer", "13012301"], [2]),
        (["--device-no", "YS-07"], [1, 2, 3]),
        (["--from", "2026-11-23", "--to", "2026-11-24"], [1]),
        (["--from", "2026-11-23T11:00"], []),
        (["--limit", "2"], [1, 2]),
        (["--after", "2"], [3]),
        (["--visit", "1", "--media", "video", "--limit", "1", "--after", "1"], [2]),
    ],
)
def test_record_list_finds_what_is_asked(dockd: Call, shelf: Shelf, options: list[str], expected: list[int]) -> None:
    assert [row["record_id"] for row in dockd("record", "list", *options, "--json").json] == expected


@pytest.mark.parametrize(
    "options",
    [
        ["--case", "A-9"],
        ["--officer", "99"],
        ["--device-no", "XX"],
        ["--from", "soon"],
        ["--media", "smell"],
        ["--limit", "0"],
    ],
)
def test_a_number_that_nobody_has_is_wrong_use(dockd: Call, shelf: Shelf, options: list[str]) -> None:
    result = dockd("record", "list", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert options[1] in result.stderr


def test_record_list_for_people_says_when_there_is_more(dockd: Call, shelf: Shelf) -> None:
    result = dockd("record", "list", "--limit", "2")
    assert "S1-20261123-000001-00002" in result.stdout
    assert "S1-20261123-000001-00003" not in result.stdout
    assert "--after 2" in result.stderr


def test_a_record_is_shown_by_its_number_and_by_its_file_number(dockd: Call, shelf: Shelf) -> None:
    by_id = dockd("record", "show", "1", "--json").json
    assert by_id["title"] == "first"
    assert dockd("record", "show", by_id["file_no"], "--json").json == by_id
    assert "first" in dockd("record", "show", "1").stdout


@pytest.mark.parametrize("number", ["77", "nothing", "9" * 30, "²"])
@pytest.mark.parametrize("command", ["show", "history"])
def test_an_unknown_record_is_named(dockd: Call, shelf: Shelf, command: str, number: str) -> None:
    result = dockd("record", command, number)
    assert result.exit_code == 2
    assert number in result.stderr


def test_tagging_several_records_makes_revisions_sidecars_and_history(
    dockd: Call, station: Station, shelf: Shelf
) -> None:
    result = dockd(
        *("record", "tag", "1", "S1-20261123-000001-00003", "--case", "A-1", "--evidence", "yes"),
        *("--officer", "13012301", "--officer", "13012302", "--act-type", "行政处罚", "--remark", " x\ty ", "--json"),
    )
    assert result.exit_code == 0, result.stderr
    assert [(row["record_id"], row["revision"], row["changed"]) for row in result.json] == [(1, 1, True), (3, 1, True)]
    for number in (1, 3):
        found = read(station, number)
        assert (found.case_no, found.party, found.place, found.act_type) == ("A-1", "张某", "南佐镇", "penalty")
        assert (found.officers, found.is_evidence, found.remark) == (("13012301", "13012302"), True, "x y")
    # Three of the shelf, one of each tag; what follows from a tag (``visit.rejudge``) has its own.
    assert len(list(station.store.glob("footage/**/*.xmp"))) >= 5
    history = dockd("record", "history", "1", "--json").json
    assert [(row["record_id"], row["revision"]) for row in history[:2]] == [(1, 0), (1, 1)]
    assert {row["actor"] for row in history[2:]} <= {"dockd"}
    assert history[1]["changes"]["party"] == [None, "张某"]
    assert history[1]["actor"].startswith("person:")
    assert "张某" in dockd("record", "history", "1").stdout
    report = verify_ledger(station.register, station.store, "S1")
    assert not report.problems
    assert dockd("verify").exit_code == 0


def test_tagging_again_changes_nothing_and_says_so(dockd: Call, station: Station, shelf: Shelf) -> None:
    dockd("record", "tag", "1", "--title", "x")
    before = read(station, 1).revision
    row = dockd("record", "tag", "1", "--title", "x", "--json").json[0]
    assert (row["revision"], row["changed"]) == (None, False)
    assert read(station, 1).revision == before


def test_tagging_again_makes_good_for_a_sidecar_that_could_not_be_written(
    dockd: Call, station: Station, shelf: Shelf
) -> None:
    dockd("record", "tag", "1", "--title", "x")
    with station.register.write() as session:
        present = read(station, 1).revision
        lost = session.query(SidecarRow).filter_by(record_id=1, revision=present).one()
        (station.store / lost.path).unlink()
        session.delete(lost)
    assert dockd("record", "tag", "1", "--title", "x").exit_code == 0
    assert (station.store / lost.path).exists()
    assert dockd("verify").exit_code == 0


def test_an_empty_value_clears_an_item(dockd: Call, station: Station, shelf: Shelf) -> None:
    dockd("record", "tag", "1", "--title", "", "--officer", "13012301")
    dockd("record", "tag", "1", "--officer", "")
    found = read(station, 1)
    assert (found.title, found.officers, found.owner_state) == (None, (), OwnerState.UNASSIGNED)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["1"], "option"),
        (["--title", "x"], "ID"),
        (["1", "77", "--title", "x"], "77"),
        (["1", "--case", "A-9"], "A-9"),
        (["1", "--officer", "99"], "99"),
        (["1", "--evidence", "maybe"], "maybe"),
        (["1", "--act-type", "lunch"], "penalty"),
        (["1", "--title", "长" * 201], "200"),
    ],
)
def test_wrong_tags_are_refused_and_change_nothing(
    dockd: Call, station: Station, shelf: Shelf, args: list[str], word: str
) -> None:
    result = dockd("record", "tag", *args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert word in result.stderr
    assert read(station, 1).revision == 0


# --- alert --------------------------------------------------------------------------------------------------


@pytest.fixture
def late(station: Station, shelf: Shelf) -> int:
    facts = {"cert_nos": ["13012301"], "file_no": "S1-20261123-000001-00001", "overdue_s": 7200}
    with station.register.write() as session:
        asked: dict[str, Any] = {"kind": "late_docked", "about": "record:1", "at": station.now(), "record_id": 1}
        return open_alert(session, station_no="S1", facts=facts, device_no="YS-07", **asked) or 0


def test_alert_list_names_recorder_officer_file_hours_and_article(dockd: Call, late: int) -> None:
    shown = dockd("alert", "list").stdout
    for word in ("YS-07", "王强 (13012301)", "1.MP4", "2 h 0 min late", "article 23(1)", "twenty-four hours"):
        assert word in shown
    (row,) = dockd("alert", "list", "--open", "--json").json
    assert (row["alert_id"], row["state"], row["device_no"], row["overdue_s"]) == (late, "open", "YS-07", 7200)
    assert row["officers"] == [{"cert_no": "13012301", "name": "王强"}]
    assert row["original_name"] == "1.MP4"


def test_an_alert_is_seen_then_done_with(dockd: Call, station: Station, late: int) -> None:
    assert dockd("alert", "ack", late, "--note", "called him", "--json").json == {
        "alert_id": late,
        "state": "acknowledged",
        "changed": True,
    }
    assert len(dockd("alert", "list", "--open", "--json").json) == 1
    assert dockd("alert", "close", late, "--note", "written down", "--json").json["state"] == "closed"
    assert dockd("alert", "list", "--open", "--json").json == []
    (row,) = dockd("alert", "list", "--json").json
    assert (row["acknowledge_note"], row["close_note"]) == ("called him", "written down")
    again = dockd("alert", "close", late, "--note", "again")
    assert (again.exit_code, "already" in again.stdout) == (0, True)
    assert not verify_ledger(station.register, station.store, "S1").problems


@pytest.mark.parametrize("args", [["9", "--note", "x"], ["1"], ["1", "--note", " "], ["x", "--note", "x"]])
@pytest.mark.parametrize("command", ["ack", "close"])
def test_wrong_alerts_and_empty_notes_are_refused(dockd: Call, late: int, command: str, args: list[str]) -> None:
    assert dockd("alert", command, *args).exit_code == 2


def test_no_alerts_is_said(dockd: Call, station: Station) -> None:
    assert dockd("alert", "list").stdout == "There are no alerts.\n"
    assert dockd("alert", "list", "--json").json == []


# --- inventory ----------------------------------------------------------------------------------------------


def test_the_default_export_goes_where_the_configuration_says(dockd: Call, station: Station, shelf: Shelf) -> None:
    summary = dockd("inventory", "export", "--json").json
    path = station.settings.inventory.path
    assert (summary["path"], summary["rows"], summary["bytes"]) == (str(path), 3, path.stat().st_size)
    assert len(list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))) == 3
    assert (path.parent / "datapackage.json").exists()


def test_an_export_to_a_named_file_and_since_a_time(dockd: Call, tmp_path: Path, shelf: Shelf) -> None:
    path = tmp_path / "x.csv"
    assert dockd("inventory", "export", path, "--since", "2026-11-24").exit_code == 0
    assert len(path.read_text().splitlines()) == 1


def test_a_configured_export_has_its_own_look(run_cli: Call, station: Station, shelf: Shelf) -> None:
    file = station.settings.file
    file.write_text(
        file.read_text()
        + "exports:\n  - name: clerk\n    path: exports/clerk.csv\n    headers: zh\n    bom: true\n"
        + "    masked: false\n    columns: [file_no, title]\n"
    )
    assert run_cli("inventory", "export", "--name", "clerk", config=file).exit_code == 0
    lines = (file.parent / "exports/clerk.csv").read_bytes().decode().splitlines()
    assert lines[:2] == ["\ufeff文件编号,名称", "S1-20261123-000001-00001,first"]
    unknown = run_cli("inventory", "export", "--name", "nobody", config=file)
    assert (unknown.exit_code, "clerk" in unknown.stderr) == (2, True)


def test_a_folder_that_takes_nothing_ends_4_and_names_the_file(dockd: Call, tmp_path: Path, shelf: Shelf) -> None:
    result = dockd("inventory", "export", tmp_path / "gone" / "x.csv")
    assert (result.exit_code, "gone" in result.stderr) == (4, True)


def test_the_csv_goes_to_standard_output_alone(station: Station, shelf: Shelf) -> None:
    command = [sys.executable, "-c", "from dockd.cli.main import main; main()", "-c", str(station.settings.file)]
    done = subprocess.run([*command, "inventory", "export", "-"], capture_output=True, check=True)
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode(), newline="")))
    assert [row["title"] for row in rows] == ["first", "", ""]
    assert done.stderr == b""
    assert not os.path.exists(station.settings.inventory.path)


def test_a_full_standard_output_ends_4(station: Station, shelf: Shelf) -> None:
    command = [sys.executable, "-c", "from dockd.cli.main import main; main()", "-c", str(station.settings.file)]
    with open("/dev/full", "wb") as full:
        done = subprocess.run([*command, "inventory", "export", "-"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 4, done.stderr


def test_a_file_where_the_exports_folder_should_be_ends_4(dockd: Call, station: Station, shelf: Shelf) -> None:
    station.settings.inventory.path.parent.write_text("in the way")
    assert dockd("inventory", "export").exit_code == 4


def test_a_summary_and_the_csv_cannot_both_go_to_standard_output(dockd: Call, shelf: Shelf) -> None:
    assert dockd("inventory", "export", "-", "--json").exit_code == 2


# --- verify -------------------------------------------------------------------------------------------------


def test_verify_says_what_it_read(dockd: Call, station: Station, shelf: Shelf) -> None:
    result = dockd("verify", "--json")
    assert result.exit_code == 0, result.stdout
    assert result.json["checked"] == 6
    assert result.json["ok"] is True
    assert [result.json[name] for name in ("missing", "altered", "unreadable", "unregistered")] == [[]] * 4
    assert not verify_ledger(station.register, station.store, "S1").problems


def test_verify_names_each_file_that_is_not_as_it_was_stored(dockd: Call, station: Station, shelf: Shelf) -> None:
    one, two, three = (read(station, number) for number in (1, 2, 3))
    (station.store / one.location).write_bytes(b"One")
    (station.store / two.location).unlink()
    stranger = (station.store / three.location).with_name("stranger.mp4")
    stranger.write_bytes(b"x")
    result = dockd("verify", "--json")
    assert result.exit_code == 5
    found = json.loads(result.stdout)
    assert found["ok"] is False
    assert [(f["location"], f["record_id"], f["file_no"]) for f in found["altered"]] == [(one.location, 1, one.file_no)]
    assert [(f["location"], f["record_id"]) for f in found["missing"]] == [(two.location, 2)]
    assert [f["location"] for f in found["unregistered"]] == [str(stranger.relative_to(station.store))]
    shown = dockd("verify")
    assert shown.exit_code == 5
    assert one.location in shown.stdout
    assert one.location in dockd("alert", "list", "--open").stdout


def test_verify_since_a_time_reads_what_is_newer(dockd: Call, shelf: Shelf) -> None:
    assert dockd("verify", "--since", "2026-11-24", "--json").json["checked"] == 0
    assert dockd("verify", "--since", "soon").exit_code == 2


# --- by every item of article 27, and many at once -----------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--title", "irs"], [1]),
        (["--officer-name", "王"], [2]),
        (["--officer-name", "赵"], []),
        (["--incomplete"], [1, 2, 3]),
        (["--no-case"], [1, 2, 3]),
        (["--class", "unclassified"], []),
        (["--late", "yes"], []),
        (["--evidence", "no", "--title", "first"], [1]),
        (["--cause", "采矿"], []),
        (["--act-type", "行政处罚"], []),
        (["--session", "4"], []),
    ],
)
def test_records_are_found_by_every_item(dockd: Call, shelf: Shelf, options: list[str], expected: list[int]) -> None:
    assert [row["record_id"] for row in dockd("record", "list", *options, "--json").json] == expected


def test_an_item_that_a_person_said_is_found_by_its_words(dockd: Call, shelf: Shelf) -> None:
    assert dockd("record", "tag", "1", "--case", "A-1", "--act-type", "行政处罚", "--evidence", "yes").exit_code == 0
    for options in (["--cause", "采矿"], ["--act-type", "penalty"], ["--evidence", "yes"], ["--place", "南佐"]):
        assert [row["record_id"] for row in dockd("record", "list", *options, "--json").json] == [1]


def test_what_waits_is_shown_with_its_candidates_and_its_age(
    dockd: Call, shelf: Shelf, station: Station, clock: Any
) -> None:
    with station.register.write() as session:
        changes = {"officer_candidates": ("13012301", "13012302"), "case_candidates": ("A-1",)}
        revise_record(session, 1, changes, actor="dockd", why="test", at=station.now())
    clock.move(hours=50)
    first = dockd("record", "list", "--unassigned", "--json").json[0]
    assert (first["waiting_s"], first["officer_candidates"]) == (50 * 3600, ["13012301", "13012302"])
    told = dockd("record", "list", "--unassigned").stdout
    assert "2 d 2 h" in told
    assert "13012301；13012302" in told
    assert "A-1" in told


def test_a_whole_visit_is_tagged_at_once_but_not_its_logs(dockd: Call, shelf: Shelf) -> None:
    log = shelf.record(1, b"4.log", b"four", media_type=MediaType.LOG)
    rows = dockd("record", "tag", "--visit", "1", "--case", "A-1", "--json").json
    assert [row["record_id"] for row in rows] == [1, 2, 3]
    assert dockd("record", "show", str(log), "--json").json["case_no"] is None
    assert dockd("record", "tag", "--visit", "9", "--case", "A-1").exit_code == 2
    assert dockd("record", "tag", "--case", "A-1").exit_code == 2


def test_a_whole_session_is_tagged_at_once(dockd: Call, shelf: Shelf, station: Station) -> None:
    with station.register.write() as session:
        for record_id in (1, 3):
            revise_record(session, record_id, {"session_id": 1}, actor="dockd", why="test", at=station.now())
    rows = dockd("record", "tag", "2", "--session", "1", "--point", "21(9)", "--json")
    assert rows.exit_code == 2
    rows = dockd("record", "tag", "2", "--session", "1", "--point", "scene", "--party-notified", "yes", "--json").json
    assert [row["record_id"] for row in rows] == [2, 1, 3]
    assert dockd("record", "show", "3", "--json").json["points"] == ["scene"]


def test_a_class_is_one_of_the_table_and_the_longest_counts(dockd: Call, shelf: Shelf, station: Station) -> None:
    assert dockd("record", "show", "1", "--json").json["retention_class"] in (None, "unclassified")
    station.settings.file.write_text(
        station.settings.file.read_text()
        + "retention:\n  classes:\n    brief: {title: 短期, keep: 30 days}\n    long: {keep: 3 years}\n"
        + "  rules: [{class: long, evidence: true}]\n"
    )
    assert dockd("record", "tag", "1", "--class", "forever").exit_code == 2
    assert dockd("record", "tag", "1", "--class", "短期").exit_code == 0
    said = dockd("record", "show", "1", "--json").json
    assert (said["retention_class"], said["retain_until"]) == ("brief", "2026-12-23T00:00:00+08:00")
    dockd("record", "tag", "1", "--evidence", "yes")
    said = dockd("record", "show", "1", "--json").json
    assert (said["retention_class"], said["retain_until"]) == ("long", "2029-11-23T00:00:00+08:00")
    assert said["retention_by_hand"] == "brief"
    dockd("record", "tag", "1", "--case", "A-1")
    assert dockd("record", "show", "1", "--json").json["retain_until"] is None, "its case is open"
