"""``dockd officer``, ``recorder`` and ``case`` as people and programs use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Clock, Result

    from dockd.register.station import Station

Run = Callable[..., "Result"]

OFFICERS = "执法证号,执法人员姓名,警号\n13012301,李明,JX0227\n13012302,赵强,JX0228\n"
CASES = (
    "case_no,case_cause,party,officer_cert_no,used_from,used_to\n"
    "A1,无照经营,甲公司；王某,13012301,2026-11-20 09:00,2026-11-20 11:30\n"
    "A1,占道经营,,13012301,2026-11-21 09:00,2026-11-21 11:30\n"
    "A2,,,,2026-11-21 09:00,2026-11-20 11:30\n"
)


@pytest.fixture
def dockd(run_cli: Run, station: Station) -> Run:
    """``dockd("officer", "list")`` on a new station."""
    return lambda *args: run_cli(*args, config=station.settings.file)


@pytest.fixture
def staffed(dockd: Run, tmp_path: Path) -> Run:
    """The same with two officers and the recorder YS-07."""
    file = tmp_path / "officers.csv"
    file.write_text(OFFICERS, encoding="gb18030")
    assert dockd("officer", "import", file).exit_code == 0
    assert dockd("recorder", "add", "YS-07", "--serial", "TA00716", "--owner", "13012301").exit_code == 0
    return dockd


def mirrored(station: Station) -> list[Any]:
    """The kinds of the lines that stand in the store."""
    files = sorted((station.store / "ledger" / "S1").glob("*.jsonl"))
    return [json.loads(line)["kind"] for file in files for line in file.read_text().splitlines()]


# --- officers ------------------------------------------------------------------------------------------


def test_an_officer_is_added_listed_and_shown(dockd: Run, station: Station) -> None:
    added = dockd("officer", "add", "13012301", "李明", "--badge", "JX0227", "--unit", "大队", "--json")
    expected = {"cert_no": "13012301", "name": "李明", "badge": "JX0227", "unit": "大队"}
    assert (added.exit_code, added.json) == (0, expected)
    assert dockd("officer", "list", "--json").json == [expected]
    assert dockd("officer", "show", "13012301", "--json").json == expected
    assert "李明" in dockd("officer", "list").stdout
    assert mirrored(station)[-1] == "officer.added"


def test_an_officer_who_is_registered_or_unknown_is_wrong_use(staffed: Run) -> None:
    again = staffed("officer", "add", "13012301", "李明")
    assert again.exit_code == 2
    assert "officer 13012301 is already registered" in again.stderr
    assert "dockd officer show 13012301" in again.stderr
    assert staffed("officer", "show", "X").exit_code == 2
    assert staffed("officer", "add", "000000", "零").exit_code == 2


def test_an_import_names_its_bad_lines_and_takes_the_others(dockd: Run, tmp_path: Path) -> None:
    file = tmp_path / "cases.csv"
    file.write_text(CASES, encoding="utf-8-sig")
    done = dockd("case", "import", file, "--json")
    assert done.exit_code == 2
    assert done.json == {
        "file": str(file),
        "strict": False,
        "lines": 3,
        "added": 1,
        "changed": 0,
        "unchanged": 0,
        "bad": [
            {
                "line_no": 3,
                "column": "case_cause",
                "value": "占道经营",
                "reason": "line 2 says 无照经营 of the same case",
            },
            {
                "line_no": 4,
                "column": "used_to",
                "value": "2026-11-20 11:30",
                "reason": "expected: a time not before used_from",
            },
        ],
        "ignored_columns": [],
        "unknown_officers": ["13012301"],
    }
    assert "line 3: case_cause 占道经营: line 2 says 无照经营 of the same case" in done.stderr
    assert "2 of 3 lines cannot be taken" in done.stderr
    assert "No officer is registered as: 13012301" in done.stderr
    assert [case["case_no"] for case in dockd("case", "list", "--json").json] == ["A1"]


def test_a_strict_import_takes_nothing_from_a_file_with_bad_lines(dockd: Run, tmp_path: Path) -> None:
    file = tmp_path / "cases.csv"
    file.write_text(CASES)
    done = dockd("case", "import", file, "--strict")
    assert done.exit_code == 2
    assert "line 4: used_to" in done.stderr
    assert dockd("case", "list", "--json").json == []


def test_what_is_no_csv_is_wrong_use_and_says_which_headers_are_known(dockd: Run, tmp_path: Path) -> None:
    file = tmp_path / "book.csv"
    file.write_bytes(b"PK\x03\x04\0\0")
    for noun in ("officer", "recorder", "case"):
        for path in (file, tmp_path / "absent.csv", tmp_path):
            refused = dockd(noun, "import", path)
            assert refused.exit_code == 2
            assert "cannot be read as a table" in refused.stderr
            assert "执法证号" in refused.stderr


def test_hundreds_of_bad_lines_do_not_bury_the_summary(dockd: Run, tmp_path: Path) -> None:
    file = tmp_path / "officers.csv"
    file.write_text("执法证号,执法人员姓名\n" + ",x\n" * 300)
    done = dockd("officer", "import", file, "--json")
    assert (len(done.json["bad"]), done.stderr.count("\nline ")) == (300, 49)
    assert "and 250 more" in done.stderr


def test_a_person_sees_escapes_and_never_a_control_sequence(dockd: Run, tmp_path: Path) -> None:
    file = tmp_path / "recorders.csv"
    file.write_text("device_no,\x1b]0;x\x07\na\x1b[2Jb,y\n")
    done = dockd("recorder", "import", file)
    assert "line 2: device_no a\\x1b[2Jb" in done.stderr
    assert "\x1b" not in done.stdout + done.stderr


# --- recorders -----------------------------------------------------------------------------------------


def test_a_recorder_is_added_listed_and_shown_with_all_that_happened(staffed: Run, clock: Clock) -> None:
    assert staffed("recorder", "issue", "YS-07", "13012302", "--battery", "95").exit_code == 0
    clock.move(hours=8)
    assert staffed("recorder", "return", "YS-07", "--battery", "12").exit_code == 0
    (row,) = staffed("recorder", "list", "--json").json
    assert (row["device_no"], row["device_serial"], row["state"]) == ("YS-07", "TA00716", "in_service")
    assert (row["owner_cert_no"], row["holder_cert_no"]) == ("13012301", None)
    whole = staffed("recorder", "show", "YS-07", "--json").json
    assert [line["kind"] for line in whole["history"]] == ["recorder.added", "custody.issued", "custody.returned"]
    (custody,) = whole["custody"]
    assert (custody["issued_at"], custody["returned_at"]) == ("2026-11-23T10:00:00+08:00", "2026-11-23T18:00:00+08:00")
    text = staffed("recorder", "show", "YS-07").stdout
    for words in ("in service", "2026-11-23 18:00:00", "registered", "returned", "person:"):
        assert words in text


@pytest.mark.parametrize("number", ["0000000", "8888888", "99999"])
def test_numbers_for_unset_are_refused_as_number_and_as_serial(dockd: Run, number: str) -> None:
    assert dockd("recorder", "add", number).exit_code == 2
    refused = dockd("recorder", "add", "YS-07", "--serial", number)
    assert refused.exit_code == 2
    assert f"{number} is a number that recorders use for 'not set'" in refused.stderr
    assert dockd("recorder", "list", "--json").json == []


def test_unknown_owners_profiles_and_numbers_are_wrong_use(dockd: Run) -> None:
    assert "no officer with the number X" in dockd("recorder", "add", "YS-07", "--owner", "X").stderr
    profile = dockd("recorder", "add", "YS-07", "--profile", "no-such")
    assert profile.exit_code == 2
    assert "gat947" in profile.stderr
    assert dockd("recorder", "show", "YS-07").exit_code == 2
    assert dockd("recorder", "show", "\udcff").exit_code == 2
    assert dockd("recorder", "add", "a/b").exit_code == 2


def test_an_issue_that_breaks_a_rule_is_refused_now_and_recorded_for_the_past(staffed: Run, clock: Clock) -> None:
    assert staffed("recorder", "issue", "YS-07", "13012301").exit_code == 0
    clock.move(hours=1)
    refused = staffed("recorder", "issue", "YS-07", "13012302")
    assert refused.exit_code == 6
    assert "it is still out with 13012301" in refused.stderr
    assert "--override" in refused.stderr
    past = staffed("recorder", "issue", "YS-07", "13012302", "--at", "2026-11-23T10:30", "--json")
    assert (past.exit_code, past.json["flags"]) == (0, ["issue_backdated", "overlap"])
    assert past.json["issued_at"] == "2026-11-23T10:30:00+08:00"
    assert "entered afterwards" in past.stderr
    forced = staffed("recorder", "issue", "YS-07", "13012302", "--battery", "90", "--override", "urgent", "--json")
    assert (forced.exit_code, forced.json["override_reason"]) == (0, "urgent")
    back = staffed("recorder", "return", "YS-07", "--json").json
    assert (back["cert_no"], len(back["also_ended"])) == ("13012302", 2)
    assert staffed("recorder", "return", "YS-07").exit_code == 6


@pytest.mark.parametrize(
    "arguments",
    [
        ("issue", "YS-07", "X"),
        ("issue", "YS-99", "13012301"),
        ("issue", "YS-07", "13012301", "--battery", "101"),
        ("issue", "YS-07", "13012301", "--at", "yesterday"),
        ("issue", "YS-07", "13012301", "--at", "2027-01-01T00:00"),
        ("issue", "YS-07", "13012301", "--until", "2026-11-23T09:00"),
        ("issue", "YS-07", "13012301", "--override", " "),
        ("return", "YS-99"),
    ],
)
def test_what_cannot_be_is_wrong_use(staffed: Run, arguments: tuple[str, ...]) -> None:
    refused = staffed("recorder", *arguments)
    assert refused.exit_code == 2, refused.stderr
    assert staffed("recorder", "list", "--json").json[0]["holder_cert_no"] is None


# --- cases ---------------------------------------------------------------------------------------------


def test_a_case_is_shown_and_closed(dockd: Run, tmp_path: Path, station: Station) -> None:
    file = tmp_path / "cases.csv"
    file.write_text("".join(CASES.splitlines(keepends=True)[:2]))
    assert dockd("case", "import", file).exit_code == 0
    shown = dockd("case", "show", "A1", "--json").json
    assert (shown["case_no"], shown["parties"], shown["officers"]) == ("A1", ["甲公司", "王某"], ["13012301"])
    assert shown["works"][0]["used_from"] == "2026-11-20T09:00:00+08:00"
    closed = dockd("case", "close", "A1", "--at", "2026-11-22T17:00", "--json")
    assert (closed.exit_code, closed.json["closed_at"]) == (0, "2026-11-22T17:00:00+08:00")
    assert mirrored(station)[-1] == "case.closed"
    text = dockd("case", "show", "A1").stdout
    assert "甲公司；王某" in text
    assert "2026-11-22 17:00:00" in text
    assert dockd("case", "show", "A9").exit_code == 2
    assert dockd("case", "close", "A9", "--at", "2026-11-22T17:00").exit_code == 2
