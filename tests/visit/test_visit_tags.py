"""Article 27's six items from custody, name and case: each with its basis, empty where evidence lacks or disagrees."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
from datetime import datetime, timedelta
from typing import Any

import pytest
from bureau import BEIJING, DOCKED, LI, WANG, Bureau, kinds, media, outcomes

from dockd.footage.sidecar import parse_sidecar

pytestmark = pytest.mark.usefixtures("no_parsers")

EXIFTOOL = shutil.which("exiftool") or "exiftool"
MORNING = datetime(2026, 11, 23, 6, 0, tzinfo=BEIJING)
NOON = datetime(2026, 11, 23, 9, 0, tzinfo=BEIJING)
NOBODY = "000000"
MINE = f"A-1,无证采矿,张某；李某,{WANG},2026-11-23T07:30,2026-11-23T08:30,南佐镇,现场勘验"
SAND = f"A-2,无证采砂,王某,{WANG},2026-11-23T07:45,2026-11-23T08:15,北正乡,调查取证"


def said(bureau: Bureau, path: str) -> dict[str, Any]:
    """The record of ``path`` after one visit, which proves."""
    summary = bureau.offload()
    assert outcomes(summary)[path] == "stored"
    bureau.prove(summary)
    return bureau.said_of(path)


def require_owner(record: dict[str, Any], state: str, officers: list[str], basis: str, candidates: list[str]) -> None:
    assert (record["owner_state"], record["officers"]) == (state, officers)
    assert record["basis"].get("officers", "") == basis
    assert record["officer_candidates"] == candidates


# --- officer ---------------------------------------------------------------------------------------------


def test_custody_and_name_that_agree_give_the_officer(bureau: Bureau) -> None:
    bureau.issue(WANG, MORNING)
    record = said(bureau, bureau.record(8))
    require_owner(record, "assigned", [WANG], "custody+name", [])
    assert record["officer_names"] == ["王建国"]
    assert not kinds(bureau.alerts()) & {"unassigned", "owner_conflict"}


def test_custody_alone_gives_the_officer(bureau: Bureau) -> None:
    bureau.issue(LI, MORNING)
    require_owner(said(bureau, bureau.record(8, badge=NOBODY)), "assigned", [LI], "custody", [])


@pytest.mark.parametrize("token", ["012345", WANG])
def test_the_name_alone_gives_the_officer_by_badge_or_certificate(bureau: Bureau, token: str) -> None:
    require_owner(said(bureau, bureau.record(8, badge=token)), "assigned", [WANG], "name", [])


def test_custody_and_name_that_disagree_give_nobody_and_an_alert(bureau: Bureau) -> None:
    bureau.issue(LI, MORNING)
    path = bureau.record(8)
    record = said(bureau, path)
    require_owner(record, "conflict", [], "", [LI, WANG])
    assert record["tags_complete"] is False
    (alert,) = bureau.alerts("owner_conflict")
    assert (alert["device_no"], alert["visit_id"]) == ("YS-07", 1)
    assert [r["record_id"] for r in bureau.json("record", "list", "--unassigned")] == [record["record_id"]]
    bureau.dockd("inventory", "export")
    with open(bureau.folder / "exports/inventory.csv", encoding="utf-8", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["owner_state"], row["officer_name"], row["officer_cert_no"]) == ("conflict", "", "")


def test_custody_at_another_time_says_nothing(bureau: Bureau) -> None:
    bureau.issue(LI, MORNING - timedelta(days=2), MORNING - timedelta(days=1))
    require_owner(said(bureau, bureau.record(8)), "assigned", [WANG], "name", [])


def test_a_change_of_hands_within_a_recording_is_a_conflict(bureau: Bureau) -> None:
    bureau.issue(WANG, MORNING, MORNING + timedelta(hours=2, seconds=2))
    bureau.issue(LI, MORNING + timedelta(hours=2, seconds=2))
    record = said(bureau, bureau.record(8, badge=NOBODY))
    require_owner(record, "conflict", [], "", [WANG, LI])


def test_nobody_is_named_where_nothing_speaks(bureau: Bureau) -> None:
    path = bureau.record(8, badge="099999")
    record = said(bureau, path)
    require_owner(record, "unassigned", [], "", ["099999"])
    (alert,) = bureau.alerts("unassigned")
    assert alert["device_no"] == "YS-07"


def test_the_standing_owner_counts_only_where_custody_and_name_are_silent(bureau: Bureau) -> None:
    bureau.dockd("recorder", "add", "YS-10", "--serial", "2107740", "--owner", LI)
    silent = bureau.record(6.5, serial="2107740", badge=NOBODY)
    named = bureau.record(8, serial="2107740", number=2)
    bureau.offload()
    require_owner(bureau.said_of(silent), "assigned", [LI], "standing_owner", [])
    require_owner(bureau.said_of(named), "assigned", [WANG], "name", [])


def test_custody_comes_before_the_standing_owner(bureau: Bureau) -> None:
    bureau.dockd("recorder", "add", "YS-10", "--serial", "2107740", "--owner", LI)
    bureau.issue(WANG, MORNING, device_no="YS-10")
    path = bureau.record(8, serial="2107740", badge=NOBODY)
    require_owner(said(bureau, path), "assigned", [WANG], "custody", [])


def test_a_binding_file_names_an_officer_only_where_custody_and_name_are_silent(bureau: Bureau) -> None:
    bureau.lay("station_bind.ini", b"[binding]\nrecorder_serial=2107731\nuser_no=012346\n")
    silent, named = bureau.record(8, badge=NOBODY), bureau.record(8.5, number=2)
    bureau.offload()
    require_owner(bureau.said_of(silent), "assigned", [LI], "binding_file", [])
    require_owner(bureau.said_of(named), "assigned", [WANG], "name", [LI])


def test_two_officers_on_one_card_have_each_their_own_recordings(bureau: Bureau) -> None:
    bureau.issue(WANG, MORNING, NOON)
    bureau.issue(LI, NOON)
    paths = [bureau.record(8, number=1), bureau.record(9.5, number=2, badge="012346")]
    summary = bureau.offload()
    assert [bureau.said_of(path)["officers"] for path in paths] == [[WANG], [LI]]
    assert [r["original_name"] for r in bureau.json("record", "list", "--officer", LI)] == [paths[1].rpartition("/")[2]]
    bureau.prove(summary)


@pytest.mark.parametrize("order", ["{serial}_{badge}", "{badge}_{serial}"])
def test_the_known_recorder_fixes_the_order_of_the_tokens(bureau: Bureau, order: str) -> None:
    path = f"DCIM/100ANDRO/{order.format(serial='2107731', badge='012345')}_20261123080000_0001.mp4"
    bureau.lay(path, media("1"))
    record = said(bureau, path)
    assert (record["device_no"], record["officers"]) == ("YS-07", [WANG])


def test_a_name_that_another_recorder_wrote_is_no_evidence_and_a_conflict(bureau: Bureau) -> None:
    bureau.issue(WANG, MORNING)
    path = bureau.record(8, serial="2107732")
    bureau.offload("--device-no", "YS-07")
    require_owner(bureau.said_of(path), "conflict", [], "", [WANG])


def test_an_unregistered_recorders_name_still_names_its_officer(bureau: Bureau) -> None:
    bureau.configure("unknown_recorder: ingest")
    path = bureau.record(8, serial="3000001")
    bureau.offload()
    require_owner(bureau.said_of(path), "assigned", [WANG], "name", [])


# --- case and title ------------------------------------------------------------------------------------------


def test_exactly_one_case_gives_all_that_it_knows_and_all_six_items(bureau: Bureau) -> None:
    bureau.issue(WANG, MORNING)
    bureau.cases(MINE)
    record = said(bureau, bureau.record(8))
    assert (record["case_no"], record["basis"]["case_no"], record["case_candidates"]) == ("A-1", "officer+time", [])
    assert (record["case_cause"], record["party"], record["place"], record["matter"]) == (
        "无证采矿",
        "张某；李某",
        "南佐镇",
        "现场勘验",
    )
    assert record["title"] == "无证采矿-张某；李某-20261123-0001"
    assert record["basis"]["title"] == "template"
    assert record["basis"]["device_no"] == "visit"
    assert record["basis"]["used_from"] == record["time_basis"] == "name"
    assert record["tags_complete"] is True
    sidecar = parse_sidecar((bureau.store / (record["location"] + ".xmp")).read_bytes())
    assert (sidecar.case_no, sidecar.case_cause, sidecar.party) == ("A-1", "无证采矿", ("张某", "李某"))
    assert (sidecar.title, sidecar.device_no) == (record["title"], "YS-07")
    assert [(o.cert_no, o.name, o.badge) for o in sidecar.officers] == [(WANG, "王建国", "012345")]
    assert (sidecar.digest, sidecar.size) == (record["sha256"], record["size"])
    assert sidecar.used_from == datetime.fromisoformat(record["used_from"])


def test_several_cases_give_none_and_are_kept_for_a_person(bureau: Bureau) -> None:
    bureau.cases(MINE, SAND)
    record = said(bureau, bureau.record(8))
    assert (record["case_no"], record["party"], record["case_cause"]) == (None, None, None)
    assert record["case_candidates"] == ["A-1", "A-2"]
    assert record["tags_complete"] is False


def test_no_case_leaves_it_empty_and_the_title_is_the_name_on_the_card(bureau: Bureau) -> None:
    bureau.cases(MINE)
    path = bureau.record(9)
    record = said(bureau, path)
    assert (record["case_no"], record["case_candidates"]) == (None, [])
    assert record["title"] == path.rpartition("/")[2]


def test_the_case_of_another_officer_is_not_taken(bureau: Bureau) -> None:
    bureau.cases(MINE.replace(WANG, LI))
    record = said(bureau, bureau.record(8))
    assert (record["officers"], record["case_no"]) == ([WANG], None)


def test_a_case_that_covers_half_a_recording_is_a_candidate_only(bureau: Bureau) -> None:
    bureau.cases(MINE.replace("08:30", "08:00:02"))
    record = said(bureau, bureau.record(8))
    assert (record["case_no"], record["case_candidates"]) == (None, [])


def test_the_title_follows_the_configured_template(bureau: Bureau) -> None:
    bureau.configure('title: {template: "{date} {time} {officer} {device_no} ({case_no}) {media}"}')
    bureau.cases(MINE)
    record = said(bureau, bureau.record(8))
    assert record["title"] == "20261123 080000 王建国 YS-07 (A-1) video recording"


def test_what_is_no_recording_has_neither_officer_nor_case_nor_deadline(bureau: Bureau) -> None:
    bureau.issue(WANG, MORNING)
    bureau.cases(MINE)
    path = bureau.record(8, ext="log")
    bureau.offload("--device-no", "YS-07")
    record = bureau.said_of(path)
    assert (record["media_type"], record["officers"], record["case_no"], record["late"]) == ("log", [], None, None)
    assert bureau.alerts() == []


# --- what a person says -----------------------------------------------------------------------------------------


def test_a_persons_tags_are_a_revision_with_history_sidecar_and_ledger_line(bureau: Bureau) -> None:
    bureau.issue(LI, MORNING)
    bureau.cases(MINE)
    path = bureau.record(8)
    record = said(bureau, path)
    assert record["owner_state"] == "conflict"
    bureau.clock.move(hours=1)

    (tagged,) = bureau.json(
        "record", "tag", record["record_id"], "--officer", WANG, "--case", "A-1", "--place", "镇政府"
    )

    assert (tagged["changed"], tagged["revision"]) == (True, 1)
    now = bureau.said_of(path)
    assert (now["officers"], now["owner_state"], now["case_no"], now["place"]) == ([WANG], "assigned", "A-1", "镇政府")
    assert (now["party"], now["revision"], now["tags_complete"]) == ("张某；李某", 1, True)
    assert now["basis"]["officers"].startswith("person:")
    assert now["basis"]["party"] == "case:A-1"
    made, revised = bureau.json("record", "history", record["record_id"])
    assert (made["revision"], made["at"]) == (0, DOCKED.isoformat())
    assert (revised["revision"], revised["at"]) == (1, (DOCKED + timedelta(hours=1)).isoformat())
    assert revised["actor"].startswith("person:")
    assert revised["changes"]["officers"] == [[], [WANG]]
    assert revised["changes"]["place"] == [None, "镇政府"]
    table = bureau.dockd("record", "history", record["record_id"]).stdout
    assert "镇政府" in next(line for line in table.splitlines() if " place " in line)
    (line,) = bureau.ledger_lines("record.revised")
    assert line["data"]["changes"]["place"] == [None, "镇政府"]
    assert [a["state"] for a in bureau.alerts("owner_conflict")] == ["closed"]
    first, second = (bureau.store / (record["location"] + end) for end in (".xmp", ".r2.xmp"))
    assert (parse_sidecar(first.read_bytes()).place, parse_sidecar(second.read_bytes()).place) == (None, "镇政府")
    bureau.prove()


def test_a_sidecar_is_read_by_exiftool_as_it_was_meant(bureau: Bureau) -> None:
    bureau.cases(MINE)
    record = said(bureau, bureau.record(8))
    bureau.json("record", "tag", record["record_id"], "--title", "=1+1 <\"&>' 标题")
    for end in (".xmp", ".r2.xmp"):
        sidecar = bureau.store / (record["location"] + end)
        words = [EXIFTOOL, "-j", "-G1", "-struct", "-charset", "utf8", str(sidecar)]
        done = subprocess.run(words, capture_output=True, check=True)
        (tags,) = json.loads(done.stdout)
        assert not [name for name in tags if name.endswith((":Error", ":Warning"))]
        said_by_dockd = parse_sidecar(sidecar.read_bytes())
        assert tags["XMP-dc:Title"] == said_by_dockd.title


def test_tagging_the_same_again_is_no_revision(bureau: Bureau) -> None:
    record = said(bureau, bureau.record(8))
    bureau.json("record", "tag", record["record_id"], "--title", "勘验")
    (again,) = bureau.json("record", "tag", record["record_id"], "--title", "勘验")
    assert (again["changed"], again["revision"]) == (False, None)
    assert len(bureau.json("record", "history", record["record_id"])) == 2
    assert len(list(bureau.store.rglob("*.xmp"))) == 2


@pytest.mark.parametrize("words", [("--officer", "99999999"), ("--case", "A-9"), ("--stage", "nonsense")])
def test_tagging_with_an_unknown_number_changes_nothing(bureau: Bureau, words: tuple[str, ...]) -> None:
    record = said(bureau, bureau.record(8))
    bureau.dockd("record", "tag", record["record_id"], *words, code=2)
    assert bureau.said_of(record["original_name"])["revision"] == 0


def test_a_tag_of_a_file_whose_folder_is_gone_is_the_stores_trouble_and_no_fault_of_ours(bureau: Bureau) -> None:
    record = said(bureau, bureau.record(8))
    folder = (bureau.store / record["location"]).parent
    folder.rename(folder.parent / "elsewhere")
    result = bureau.dockd("record", "tag", record["record_id"], "--title", "勘验", code=4)
    assert "Hint:" in result.stderr
    (folder.parent / "elsewhere").rename(folder)
    bureau.offload()  # the next visit that sees the file writes what lacks
    assert (bureau.store / (record["location"] + ".r2.xmp")).is_file()
    bureau.prove()
