"""Officers and recorders that are registered, or put right, after the footage that speaks of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from bureau import BEIJING, DOCKED, LI, WANG, Bureau
from lost import lose

from dockd.nouns import Officer
from dockd.register import officers, reviews

pytestmark = pytest.mark.usefixtures("no_parsers")

MORNING = datetime(2026, 11, 23, 6, 0, tzinfo=BEIJING)
ZHAO = "13012309"


def stored(bureau: Bureau, **said: Any) -> dict[str, Any]:
    """The record of one recording of eight o'clock, after its visit."""
    path = bureau.record(8, **said)
    bureau.offload()
    return bureau.said_of(path)


def owner(bureau: Bureau, record: dict[str, Any]) -> tuple[list[str], str, str]:
    after = bureau.json("record", "show", record["record_id"])
    return after["officers"], after["owner_state"], after["basis"].get("officers", "")


def last_why(bureau: Bureau, record: dict[str, Any]) -> str:
    return str(bureau.json("record", "history", record["record_id"])[-1]["why"])


def test_an_officer_who_is_registered_later_gets_the_recordings_that_name_him(bureau: Bureau) -> None:
    record = stored(bureau, badge="012399")
    assert owner(bureau, record) == ([], "unassigned", "")
    bureau.dockd("officer", "add", ZHAO, "赵国", "--badge", "012399")
    assert owner(bureau, record) == ([ZHAO], "assigned", "name")
    assert last_why(bureau, record) == f"officer:{ZHAO}"
    assert [a["state"] for a in bureau.alerts("unassigned")] == ["closed"]


def test_an_imported_officer_whom_the_name_means_against_custody_is_a_conflict(bureau: Bureau) -> None:
    bureau.issue(WANG, MORNING)
    record = stored(bureau, badge="012399")
    assert owner(bureau, record) == ([WANG], "assigned", "custody")
    table = bureau.folder / "officers.csv"
    table.write_text(f"执法证号,执法人员姓名,警号\n{ZHAO},赵国,012399\n", encoding="utf-8")
    bureau.dockd("officer", "import", table)
    assert owner(bureau, record)[:2] == ([], "conflict")


def test_a_badge_that_is_put_right_takes_the_recordings_with_it(bureau: Bureau) -> None:
    record = stored(bureau)
    assert owner(bureau, record) == ([WANG], "assigned", "name")
    table = bureau.folder / "officers.csv"
    table.write_text(f"执法证号,执法人员姓名,警号\n{WANG},王建国,012388\n{ZHAO},赵国,012345\n", encoding="utf-8")
    bureau.dockd("officer", "import", table)
    assert owner(bureau, record) == ([ZHAO], "assigned", "name")


def test_a_serial_that_turns_out_to_be_another_recorders_leaves_the_owner_open(bureau: Bureau) -> None:
    path = bureau.record(8, serial="2107755")
    bureau.offload("--device-no", "YS-07")
    record = bureau.said_of(path)
    assert owner(bureau, record) == ([WANG], "assigned", "name")
    bureau.dockd("recorder", "add", "YS-12", "--serial", "2107755")
    assert owner(bureau, record)[:2] == ([], "conflict")
    bureau.dockd("recorder", "change", "YS-12", "--serial", "2107756")
    assert owner(bureau, record) == ([WANG], "assigned", "name")


def test_the_first_standing_owner_also_has_what_was_recorded_before(bureau: Bureau) -> None:
    record = stored(bureau, badge="000000")
    bureau.dockd("recorder", "change", "YS-07", "--owner", LI)
    assert owner(bureau, record) == ([LI], "assigned", "standing_owner")
    assert last_why(bureau, record) == "recorder:YS-07"


def test_a_recorder_that_changes_hands_for_good_leaves_the_old_recordings_where_they_were(bureau: Bureau) -> None:
    bureau.dockd("recorder", "change", "YS-07", "--owner", LI)
    old = stored(bureau, badge="000000")
    bureau.clock.move(hours=1)
    bureau.dockd("recorder", "change", "YS-07", "--owner", WANG)
    bureau.clock.move(hours=3)
    path = bureau.record(13, badge="000000", number=2)
    bureau.offload()
    bureau.dockd("record", "rejudge")
    assert owner(bureau, old) == ([LI], "assigned", "standing_owner")
    assert owner(bureau, bureau.said_of(path)) == ([WANG], "assigned", "standing_owner")
    lose(bureau)
    bureau.dockd("rebuild")
    bureau.dockd("record", "rejudge")
    assert owner(bureau, old) == ([LI], "assigned", "standing_owner")


def test_what_was_still_to_be_judged_again_is_so_in_a_register_that_is_made_again(bureau: Bureau) -> None:
    record = stored(bureau, badge="012399")
    station = bureau.open()
    with station.register.write() as session:
        new = Officer(ZHAO, "赵国", "012399")
        officers.add_officer(session, new, station_no="S1", now=station.now(), actor="person:tester")
    station.mirror_ledger()
    station.close()
    lose(bureau)
    bureau.dockd("rebuild")
    station = bureau.open()
    with station.register.read() as session:
        left = reviews.next_review(session, "S1")
    station.close()
    assert left is not None
    assert (left.concerned.token, left.why) == ("012399", f"officer:{ZHAO}")
    bureau.dockd("recorder", "return", "YS-07", "--at", (DOCKED - timedelta(hours=1)).isoformat())
    assert owner(bureau, record) == ([ZHAO], "assigned", "name")
