"""Cases that arrive, change their number, are put right and close: the records follow, and a person's word stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from bureau import DOCKED, LI, WANG, Bureau

pytestmark = pytest.mark.usefixtures("no_parsers")

NINE = "2026-11-23T08:00,2026-11-23T10:00"
RETENTION = """\
retention:
  classes: {case: {keep: 1 years}, loose: {keep: 30 days}}
  rules: [{class: case, case: true}]
"""


@pytest.fixture
def path(bureau: Bureau) -> str:
    """A recording of Wang's at nine o'clock, docked at ten."""
    bureau.issue(WANG, DOCKED - timedelta(hours=3))
    return bureau.record(9)


def test_a_case_that_arrives_later_gets_its_records(bureau: Bureau, path: str) -> None:
    bureau.offload()
    assert bureau.said_of(path)["case_no"] is None
    bureau.cases(f"A-1,无证采矿,张某,{WANG},{NINE},北乡,检查")
    said = bureau.said_of(path)
    assert (said["case_no"], said["party"], said["title"]) == ("A-1", "张某", "无证采矿-张某-20261123-0001")
    assert bureau.json("case", "show", "A-1")["records"] == 1


def test_a_case_that_changes_its_number_takes_its_records_along(bureau: Bureau, path: str) -> None:
    bureau.cases(f"A-1,无证采矿,张某,{WANG},{NINE},北乡,检查", f"A-2,占地,赵某,{LI},{NINE},,")
    bureau.offload()
    other = bureau.record(8, number=2)
    bureau.offload()
    bureau.dockd("record", "tag", bureau.said_of(other)["record_id"], "--case", "A-2")
    bureau.dockd("case", "renumber", "A-1", "B-1")
    header = "case_no,former_case_no"
    bureau.cases("B-2,A-2", header=header)
    bureau.cases("B-2,A-2", header=header)
    assert (bureau.said_of(path)["case_no"], bureau.said_of(other)["case_no"]) == ("B-1", "B-2")
    assert bureau.said_of(other)["basis"]["case_no"].startswith("person:"), "a person chose the case"
    assert [r["record_id"] for r in bureau.json("record", "list", "--case", "A-1")] == [
        bureau.said_of(path)["record_id"]
    ]
    revised = bureau.said_of(path)["revision"]
    bureau.dockd("case", "renumber", "A-1", "B-1")
    assert bureau.said_of(path)["revision"] == revised, "said again it changes nothing"
    bureau.prove()


def test_a_number_as_a_candidate_changes_too(bureau: Bureau, path: str) -> None:
    bureau.cases(f"A-1,无证采矿,张某,{WANG},{NINE},,", f"A-2,占地,赵某,{WANG},{NINE},,")
    bureau.offload()
    assert bureau.said_of(path)["case_candidates"] == ["A-1", "A-2"]
    bureau.dockd("case", "renumber", "A-2", "C-2")
    assert bureau.said_of(path)["case_candidates"] == ["A-1", "C-2"]


def test_a_case_that_was_put_right_gives_its_records_back(bureau: Bureau, path: str) -> None:
    bureau.cases(f"A-1,无证采矿,张某,{WANG},{NINE},北乡,检查")
    bureau.offload()
    assert bureau.said_of(path)["case_no"] == "A-1"
    bureau.cases(f"A-1,无证采矿,张某,{WANG},2026-11-22T08:00,2026-11-22T10:00,北乡,检查", whole=True)
    said = bureau.said_of(path)
    assert (said["case_no"], said["party"], said["case_candidates"]) == (None, None, [])


def test_the_place_that_a_person_says_decides_between_two_cases(bureau: Bureau, path: str) -> None:
    bureau.cases(f"A-1,无证采矿,张某,{WANG},{NINE},北正乡,", f"A-2,占地,赵某,{WANG},{NINE},南佐镇,")
    bureau.offload()
    assert bureau.said_of(path)["case_no"] is None
    bureau.dockd("record", "tag", bureau.said_of(path)["record_id"], "--place", "南佐镇某采石场")
    said = bureau.said_of(path)
    assert (said["case_no"], said["place"], said["basis"]["case_no"]) == ("A-2", "南佐镇某采石场", "officer+time+place")


def test_retention_follows_case_and_closing(bureau: Bureau, path: str) -> None:
    bureau.configure(RETENTION)
    bureau.offload()
    assert bureau.said_of(path)["retention_class"] == "unclassified"
    bureau.cases(f"A-1,无证采矿,张某,{WANG},{NINE},北乡,检查")
    said = bureau.said_of(path)
    assert (said["retention_class"], said["retain_until"]) == ("case", None), "its case is open"
    bureau.dockd("record", "tag", said["record_id"], "--class", "loose")
    bureau.dockd("case", "close", "A-1", "--at", "2026-11-30")
    said = bureau.said_of(path)
    assert (said["retention_class"], said["retain_until"]) == ("case", "2027-11-30T00:00:00+08:00")
    bureau.dockd("inventory", "export")
    assert ",case,2027-11-30," in (bureau.folder / "exports/inventory.csv").read_text()


def test_a_change_of_the_table_reaches_every_record_once_it_is_asked_for(bureau: Bureau, path: str) -> None:
    bureau.offload()
    bureau.configure("retention:\n  classes: {all: {keep: 6 months}}\n  rules: [{class: all}]\n")
    done = bureau.json("record", "rejudge")
    said = bureau.said_of(path)
    assert (done["records"], done["revised"]) == (1, [said["record_id"]])
    assert (said["retention_class"], said["retain_until"]) == ("all", "2027-05-23T00:00:00+08:00")
    assert bureau.json("record", "rejudge")["revised"] == []
    bureau.prove()
