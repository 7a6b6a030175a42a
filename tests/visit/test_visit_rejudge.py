"""What is entered after the footage reaches it: custody, cases and a person's word, each traced as a revision."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from bureau import BEIJING, DOCKED, LI, WANG, Bureau, kinds

from dockd.register.records import revise_record
from dockd.visit.rejudge import rejudge
from dockd.visit.sidecars import write_lacking

pytestmark = pytest.mark.usefixtures("no_parsers")

MORNING = datetime(2026, 11, 23, 6, 0, tzinfo=BEIJING)
NOBODY = "000000"
MINE = f"A-1,无证采矿,张某；李某,{WANG},2026-11-23T07:30,2026-11-23T08:30,南佐镇,现场勘验"
SAND = f"A-2,无证采砂,王某,{WANG},2026-11-23T07:45,2026-11-23T08:15,北正乡,调查取证"


def stored(bureau: Bureau, **said: Any) -> dict[str, Any]:
    """The record of one recording of eight o'clock, after its visit."""
    path = bureau.record(8, **said)
    bureau.offload()
    return bureau.said_of(path)


def again(bureau: Bureau, record: dict[str, Any]) -> dict[str, Any]:
    return dict(bureau.json("record", "show", record["record_id"]))


def test_custody_that_is_entered_afterwards_gives_the_officer_and_ends_the_alert(bureau: Bureau) -> None:
    record = stored(bureau, badge=NOBODY)
    assert record["owner_state"] == "unassigned"
    bureau.issue(LI, MORNING)
    after = again(bureau, record)
    assert (after["officers"], after["basis"]["officers"]) == ([LI], "custody")
    assert [a["state"] for a in bureau.alerts("unassigned")] == ["closed"]
    last = bureau.json("record", "history", record["record_id"])[-1]
    assert (last["actor"], last["why"]) == ("dockd", "custody:1")
    assert (bureau.store / (record["location"] + ".r2.xmp")).is_file()
    bureau.prove()


def test_a_return_that_is_entered_afterwards_takes_back_what_custody_said(bureau: Bureau) -> None:
    bureau.issue(LI, MORNING)
    record = stored(bureau, badge=NOBODY)
    bureau.dockd("recorder", "return", "YS-07", "--at", (MORNING + timedelta(hours=1)).isoformat())
    after = again(bureau, record)
    assert (after["officers"], after["owner_state"], after["basis"]["officers"]) == ([], "unassigned", "")
    assert "unassigned" in kinds(bureau.json("alert", "list", "--open"))


def test_a_case_that_arrives_afterwards_brings_what_it_knows(bureau: Bureau) -> None:
    record = stored(bureau)
    bureau.cases(MINE)
    after = again(bureau, record)
    assert (after["case_no"], after["party"], after["place"]) == ("A-1", "张某；李某", "南佐镇")
    assert after["title"] == "无证采矿-张某；李某-20261123-0001"
    assert after["tags_complete"] is True


def test_a_second_case_of_that_time_makes_both_candidates(bureau: Bureau) -> None:
    bureau.cases(MINE)
    record = stored(bureau)
    assert record["case_no"] == "A-1"
    bureau.cases(SAND)
    after = again(bureau, record)
    assert (after["case_no"], after["party"], after["case_candidates"]) == (None, None, ["A-1", "A-2"])


def test_a_case_that_is_put_right_is_followed_by_its_records(bureau: Bureau) -> None:
    bureau.cases(MINE)
    record = stored(bureau)
    bureau.cases(MINE.replace("无证采矿", "越界采矿"))
    assert again(bureau, record)["case_cause"] == "越界采矿"


def test_a_persons_word_survives_every_case_and_custody(bureau: Bureau) -> None:
    bureau.cases(SAND)
    record = stored(bureau)
    bureau.dockd("record", "tag", record["record_id"], "--case", "", "--officer", LI, "--title", "勘验")
    bureau.issue(WANG, MORNING)
    bureau.cases(MINE)
    after = again(bureau, record)
    assert (after["officers"], after["case_no"], after["title"]) == ([LI], None, "勘验")


def test_the_case_of_an_officer_whom_a_person_named_is_found(bureau: Bureau) -> None:
    bureau.cases(MINE)
    record = stored(bureau, badge=NOBODY)
    bureau.dockd("record", "tag", record["record_id"], "--officer", WANG)
    assert again(bureau, record)["case_no"] == "A-1"


def test_judging_again_what_has_not_changed_is_no_revision(bureau: Bureau) -> None:
    bureau.issue(WANG, MORNING - timedelta(days=1))
    bureau.cases(MINE)
    record = stored(bureau)
    bureau.cases(f"B-9,无证取土,赵某,{WANG},2026-11-23T09:00,2026-11-23T10:00,,", MINE)
    bureau.dockd("recorder", "return", "YS-07", "--at", DOCKED.isoformat())
    assert len(bureau.json("record", "history", record["record_id"])) == 1


def test_a_change_that_concerns_hundreds_of_recordings_writes_each_sidecar_once(bureau: Bureau) -> None:
    record = stored(bureau)
    station = bureau.open()
    with station.register.write() as session:
        revise_record(session, record["record_id"], {"remark": "x"}, actor="dockd", why="a test", at=station.now())
    write_lacking(station, [record["record_id"]] * 1000)
    write_lacking(station, [record["record_id"]] * 1000)
    station.close()
    assert len(list((bureau.store / record["location"]).parent.glob("*.xmp"))) == 2


def test_an_issue_that_is_entered_with_its_return_asks_for_nothing_later(bureau: Bureau) -> None:
    record = stored(bureau, badge=NOBODY)
    long_ago = (MORNING - timedelta(days=9), MORNING - timedelta(days=8))
    words = ("--at", long_ago[0].isoformat(), "--returned", long_ago[1].isoformat())
    bureau.dockd("recorder", "issue", "YS-07", LI, *words)
    assert bureau.ledger_lines("review.asked") == []
    assert again(bureau, record)["officers"] == []


def test_a_change_that_was_cut_short_before_its_review_is_made_good_by_the_next_call(bureau: Bureau) -> None:
    from dockd.register.custody import issue_recorder

    record = stored(bureau, badge=NOBODY)
    station = bureau.open()
    with station.register.write() as session:
        issue_recorder(
            session,
            "YS-07",
            LI,
            at=MORNING,
            until=None,
            battery=None,
            override=None,
            station_no="S1",
            now=station.now(),
            actor="person:tester",
        )
    assert again(bureau, record)["officers"] == []
    assert rejudge(station).revised == (record["record_id"],)
    assert rejudge(station).records == 0
    station.close()
    assert again(bureau, record)["officers"] == [LI]
