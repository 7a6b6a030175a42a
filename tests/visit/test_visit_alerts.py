"""Article 23 in a visit: who is late and by how much, told to people with names and to the journal in numbers only."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from bureau import BEIJING, DOCKED, LI, WANG, Bureau, by_path, kinds, media, outcomes

from dockd import log
from dockd.offload.steps import Step

MORNING = datetime(2026, 11, 21, 6, 0, tzinfo=BEIJING)
ARTICLE = "音像记录完成后，行政执法人员应当在二十四小时内将音像记录信息储存至"


def late_recording(bureau: Bureau) -> str:
    """A recording that ended two days and two hours before it is docked, its officer known by custody and name."""
    bureau.issue(WANG, MORNING)
    return bureau.record(8, day=21)


# --- lateness ------------------------------------------------------------------------------------------------


def test_a_late_recording_is_alerted_with_recorder_officer_file_hours_and_the_article(bureau: Bureau) -> None:
    path = late_recording(bureau)
    bureau.offload()
    record = bureau.said_of(path)
    assert (record["late"], record["late_kind"], record["overdue_s"]) == (True, "docked", 26 * 3600 - 5)
    assert record["deadline_at"] == "2026-11-22T08:00:05+08:00"
    (alert,) = bureau.alerts("late_docked")
    assert (alert["device_no"], alert["record_id"], alert["overdue_s"]) == ("YS-07", record["record_id"], 26 * 3600 - 5)
    assert alert["original_name"] == path.rpartition("/")[2]
    for words in ("YS-07", "王建国 (13012301)", path.rpartition("/")[2], record["file_no"], "26 h 0 min"):
        assert words in alert["text"]
    assert alert["article"].startswith("article 23")
    assert "twenty-four hours" in alert["quotation"]
    table = bureau.dockd("alert", "list", "--open").stdout
    for words in ("YS-07", "王建国", path.rpartition("/")[2], "26 h 0 min", "article 23", "twenty-four hours"):
        assert words in table
    chinese = bureau.dockd("--lang", "zh", "alert", "list").stdout
    for words in ("YS-07", "王建国", "第二十三条", ARTICLE):
        assert words in chinese.replace("\n", "")


@pytest.mark.usefixtures("no_parsers")
def test_every_late_recording_has_an_alert_of_its_own_and_other_matters_one_a_visit(bureau: Bureau) -> None:
    for number in (1, 2, 3):
        bureau.record(8, day=21, number=number, badge="000000")
    bureau.offload()
    assert len(bureau.alerts("late_docked")) == 3
    assert len(bureau.alerts("unassigned")) == len(bureau.alerts("damaged_media")) == 1
    bureau.clock.move(hours=1)
    bureau.record(9, day=21, number=4, badge="000000")
    bureau.offload()
    assert len(bureau.alerts("late_docked")) == 4
    assert len(bureau.alerts("unassigned")) == 2, "another visit"


@pytest.mark.usefixtures("no_parsers")
@pytest.mark.parametrize(("late_by", "late"), [(0, False), (1, True)])
def test_exactly_twenty_four_hours_are_in_time_and_a_second_more_is_not(
    bureau: Bureau, late_by: int, late: bool
) -> None:
    start = DOCKED - timedelta(hours=24, seconds=5 + late_by)
    path = bureau.record((start - start.replace(hour=0, minute=0, second=0)).total_seconds() / 3600, day=start.day)
    bureau.offload()
    record = bureau.said_of(path)
    assert record["used_to"] == (DOCKED - timedelta(hours=24, seconds=late_by)).isoformat()
    assert record["late"] is late
    assert len(bureau.alerts("late_docked")) == late


def test_a_recording_without_a_time_is_alerted_as_unknown_and_neither_late_nor_in_time(bureau: Bureau) -> None:
    bureau.lay("DCIM/100MEDIA/MOVI0001.mp4", media("1"), ns=1)
    bureau.offload("--device-no", "YS-07")
    record = bureau.said_of("MOVI0001.mp4")
    assert (record["used_from"], record["used_to"], record["late"], record["deadline_at"]) == (None, None, None, None)
    assert "mtime_unset" in record["time_flags"]
    (alert,) = bureau.alerts("deadline_unknown")
    assert "MOVI0001.mp4" in alert["text"]
    assert len(bureau.alerts("clock_unset")) == 1


def test_witnesses_that_disagree_about_lateness_leave_it_open_and_say_so(bureau: Bureau, clip: Any) -> None:
    early = datetime(2026, 11, 21, 8, 0, tzinfo=BEIJING)
    path = bureau.record(8, clip)
    bureau.lay(path, clip, at=early)  # the name says today, the mtime two days ago
    bureau.offload()
    record = bureau.said_of(path)
    assert "disagree_mtime" in record["time_flags"]
    assert (record["late"], record["judge_reason"]) == (None, "deadline_disputed")
    assert len(bureau.alerts("deadline_disputed")) == 1
    assert len(bureau.alerts("clock_disagreement")) == 1


def test_a_film_without_a_date_in_it_says_nothing_of_the_recorders_clock(bureau: Bureau, clip: Any) -> None:
    path = bureau.record(8, clip)
    bureau.offload()
    record = bureau.said_of(path)
    assert (record["time_basis"], record["duration_s"]) == ("name+mtime", 5.0)
    assert (record["used_from"], record["used_to"]) == ("2026-11-23T08:00:00+08:00", "2026-11-23T08:00:05+08:00")
    assert not kinds(bureau.alerts()) & {"clock_unset", "clock_disagreement", "deadline_unknown"}


@pytest.mark.usefixtures("no_parsers")
def test_a_store_that_is_not_the_designated_one_judges_nobody(bureau: Bureau) -> None:
    text = bureau.config.read_text(encoding="utf-8")
    bureau.config.write_text(text.replace("language: en", "language: en, designated_storage: false"), encoding="utf-8")
    path = late_recording(bureau)
    bureau.offload()
    record = bureau.said_of(path)
    assert (record["late"], record["judge_reason"]) == (None, "store_not_designated")
    assert bureau.alerts("late_docked") == []


def at_step(step: Step, act: Callable[[], object]) -> Callable[[Step], None]:
    return lambda now: (act(), None)[1] if now is step else None


@pytest.mark.usefixtures("no_parsers")
def test_footage_that_was_docked_in_time_and_stored_late_is_the_stations_lateness(bureau: Bureau) -> None:
    path = bureau.record(8)
    bureau.attend(passed=at_step(Step.READ_BACK, lambda: bureau.clock.move(hours=30)))
    record = bureau.said_of(path)
    assert (record["docked_at"], record["late"], record["late_kind"]) == (DOCKED.isoformat(), True, "stored")
    (alert,) = bureau.alerts("late_stored")
    assert "docked in time" in alert["title"]


class Cut(BaseException):
    """What ends a visit as a crash does."""


def cut_at(step: Step) -> Callable[[Step], None]:
    def passed(now: Step) -> None:
        if now is step:
            raise Cut

    return passed


@pytest.mark.usefixtures("no_parsers")
@pytest.mark.parametrize("step", [Step.PLAN_KEPT, Step.SOURCE_READ, Step.VERIFIED_KEPT, Step.RENAMED])
def test_a_visit_that_was_cut_short_and_goes_on_two_days_later_makes_no_officer_late(
    bureau: Bureau, step: Step
) -> None:
    path = bureau.record(8)
    with pytest.raises(Cut):
        bureau.attend(passed=cut_at(step))
    bureau.clock.move(days=2)
    again = bureau.offload()
    assert by_path(again)[path]["outcome"] in ("stored", "already_stored")
    record = bureau.said_of(path)
    assert (record["docked_at"], record["late"], record["late_kind"]) == (DOCKED.isoformat(), True, "stored")
    assert bureau.alerts("late_docked") == []
    bureau.prove(again)


@pytest.mark.usefixtures("no_parsers")
def test_a_visit_that_was_cut_short_twice_still_knows_when_the_recorder_was_first_docked(bureau: Bureau) -> None:
    path = bureau.record(8)
    with pytest.raises(Cut):
        bureau.attend(passed=cut_at(Step.SOURCE_READ))
    bureau.clock.move(days=1)
    with pytest.raises(Cut):
        bureau.attend(passed=cut_at(Step.VERIFIED_KEPT))
    bureau.clock.move(days=1)
    bureau.offload()
    record = bureau.said_of(path)
    assert (record["docked_at"], record["late_kind"]) == (DOCKED.isoformat(), "stored")


# --- the journal -----------------------------------------------------------------------------------------------


PERSONAL = ("王建国", "李敏", "张某", "无证采矿", "勘验", "DCIM", "mp4", "2107731_", "/card", "footage/")


@pytest.fixture
def journal() -> Iterator[io.StringIO]:
    """What the log of this process says."""
    stream = io.StringIO()
    log.configure("debug", stream=stream, environ={})
    yield stream
    log.configure("info", environ={})


def test_the_journal_tells_of_a_visit_in_numbers_only(bureau: Bureau, journal: io.StringIO) -> None:
    bureau.cases(f"A-1,无证采矿,张某,{WANG},2026-11-21T07:00,2026-11-21T09:00,南佐镇,勘验")
    late = late_recording(bureau)
    bureau.record(9, number=2, badge="012346", data=b"")
    (bureau.card / "link").symlink_to("/etc/passwd")
    bureau.attend()
    said = journal.getvalue()
    lines = [json.loads(line) for line in said.splitlines()]
    assert not [word for word in (*PERSONAL, late) if word in said]
    assert [line["event"] for line in lines].count("visit_ended") == 1
    (ended,) = [line for line in lines if line["event"] == "visit_ended"]
    assert (ended["visit_id"], ended["device_no"], ended["outcome"]) == (1, "YS-07", "complete")
    opened = {line["kind"]: line for line in lines if line["event"] == "alert_opened"}
    assert set(opened) == kinds(bureau.alerts())
    assert (opened["late_docked"]["device_no"], opened["late_docked"]["cert_no"]) == ("YS-07", WANG)
    assert opened["late_docked"]["alert_id"] == bureau.alerts("late_docked")[0]["alert_id"]
    assert {"owner_conflict", "not_a_file_on_card", "damaged_media"} <= set(opened)


@pytest.mark.usefixtures("no_parsers")
def test_a_held_recorder_is_in_the_journal_in_numbers_only(bureau: Bureau, journal: io.StringIO) -> None:
    bureau.record(8, serial="3000001")
    bureau.dockd("offload", bureau.card, code=6)
    with pytest.raises(Exception, match="not registered"):
        bureau.attend()
    said = journal.getvalue()
    assert '"visit_ended"' in said
    assert not [word for word in (*PERSONAL, "3000001") if word in said]


def test_what_a_real_command_writes_to_the_journal_names_nobody(bureau: Bureau) -> None:
    late_recording(bureau)
    words = [sys.executable, "-m", "dockd", "-c", str(bureau.config), "offload", str(bureau.card), "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert set(outcomes(json.loads(done.stdout)).values()) == {"stored"}
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert "late_docked" in {line.get("kind") for line in lines}
    assert not [word for word in PERSONAL if word in done.stderr]


@pytest.mark.usefixtures("no_parsers")
def test_no_name_of_a_person_is_in_any_path_of_the_store(bureau: Bureau) -> None:
    bureau.cases(f"A-1,无证采矿,张某,{LI},2026-11-23T07:00,2026-11-23T09:00,南佐镇,勘验")
    bureau.lay("DCIM/王建国_张某.mp4", media("1"))
    bureau.record(8, badge="012346")
    bureau.offload("--device-no", "YS-07")
    names = " ".join(str(path.relative_to(bureau.folder)) for path in bureau.folder.rglob("*"))
    assert not [word for word in ("王建国", "李敏", "张某", "无证采矿", "012346") if word in names]
