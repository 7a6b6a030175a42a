"""Sessions, interruptions (article 22) and filing (article 28) through the real commands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from bureau import BEIJING, LI, WANG, Bureau

from dockd.visit.watch import watch_deadlines

pytestmark = pytest.mark.usefixtures("no_parsers")

HEADER = "case_no,case_cause,party,officer_cert_no,used_from,used_to,place,matter,full_course_required"
ON_SITE = f"A-1,强制拆除,张某,{WANG},2026-11-21T08:00,2026-11-21T09:00,南佐镇,强制拆除"


def cases(bureau: Bureau, *lines: str) -> None:
    file = bureau.folder / "cases.csv"
    file.write_text("\n".join([HEADER, *lines]) + "\n", encoding="utf-8")
    bureau.dockd("case", "import", file)


def stored(bureau: Bureau, *minutes: float) -> list[dict[str, Any]]:
    """Recordings so many minutes after eight on the 21st; without a parser each lasts five seconds by its mtime."""
    paths = [bureau.record(8 + m / 60, day=21, number=n) for n, m in enumerate(minutes, 1)]
    bureau.offload()
    return [bureau.said_of(path) for path in paths]


def listed(bureau: Bureau, *words: object) -> list[dict[str, Any]]:
    return list(bureau.json("interruption", "list", *words))


def standing(bureau: Bureau) -> set[str]:
    station = bureau.open()
    watch_deadlines(station)
    station.close()
    return {a["kind"] for a in bureau.json("alert", "list", "--open")}


def test_files_that_follow_each_other_are_one_session_and_each_keeps_its_record(bureau: Bureau) -> None:
    one, two, far = stored(bureau, 0, 2, 30)
    assert one["session_id"] == two["session_id"] == one["record_id"]
    assert far["session_id"] == far["record_id"]
    assert {r["revision"] for r in (one, two, far)} == {0}
    (gap,) = listed(bureau)
    assert (gap["kind"], gap["severity"], gap["file_before"]) == ("session", "notice", one["file_no"])
    assert 100 < gap["seconds"] < 120
    bureau.dockd("record", "tag", "--session", one["session_id"], "--place", "南佐镇")
    assert [r["place"] for r in bureau.records()] == ["南佐镇", "南佐镇", None]


def test_a_file_that_comes_later_joins_sessions_and_withdraws_the_gap(bureau: Bureau) -> None:
    one, two = stored(bureau, 0, 8)
    assert one["session_id"] != two["session_id"]
    bureau.record(8 + 4 / 60, day=21, number=3)
    bureau.offload()
    assert len({r["session_id"] for r in bureau.records()}) == 1
    assert len(listed(bureau)) == 2
    bureau.prove()


def test_a_case_of_the_whole_course_shows_what_nobody_recorded_and_a_person_decides(bureau: Bureau) -> None:
    stored(bureau, 10, 12)
    cases(bureau, ON_SITE + ",true")
    gaps = listed(bureau, "--case", "A-1")
    assert [(g["kind"], g["severity"]) for g in gaps] == [
        ("case", "warning"),
        ("session", "warning"),
        ("case", "warning"),
    ]
    assert "interruption" in standing(bureau)
    head, within, tail = (g["interruption_id"] for g in gaps)
    bureau.dockd("interruption", "explain", within, "--cause", "weather", "--form", "voice", code=2)
    bureau.dockd("interruption", "explain", within, "--cause", "weather", "--form", "voice", "--position", "00:03")
    signed = ("--cause", "equipment", "--form", "written", "--doc-no", "说明7号", "--signed-by", WANG)
    assert "--signed-by" in bureau.dockd("interruption", "explain", tail, *signed, code=2).stderr
    bureau.dockd("interruption", "explain", tail, *signed, "--signed-by", LI)
    bureau.dockd("interruption", "dismiss", head, "--note", "尚未到达现场")
    assert listed(bureau) == []
    assert {g["state"] for g in listed(bureau, "--all")} == {"explained", "dismissed"}
    assert "interruption" not in standing(bureau)
    cases(bureau, ON_SITE.replace("南佐镇", "北正乡") + ",true")  # judged again, and what a person said stays
    assert listed(bureau) == []
    file = bureau.folder / "gaps.csv"
    bureau.dockd("register", "export", "interruptions", file, "--headers", "zh")
    text = file.read_text(encoding="utf-8")
    assert "中断编号" in text
    assert "说明7号" in text
    bureau.prove()


def test_a_case_of_the_whole_course_without_any_footage_is_one_gap(bureau: Bureau) -> None:
    cases(bureau, ON_SITE + ",true")
    assert "interruption" in standing(bureau)
    (gap,) = listed(bureau)
    assert (gap["from_at"], gap["seconds"]) == ("2026-11-21T08:00:00+08:00", 3600)


def test_what_may_not_be_stored_yet_is_no_gap(bureau: Bureau) -> None:
    cases(bureau, ON_SITE.replace("2026-11-21", "2026-11-23") + ",true")
    assert standing(bureau) == set()
    assert listed(bureau) == []


# --- filing ------------------------------------------------------------------------------------------------


def test_thirty_days_count_down_with_what_is_missing_until_it_is_filed(bureau: Bureau) -> None:
    bureau.configure('filing: {holidays: ["2026-12-21/2026-12-22"]}')
    cases(bureau, ON_SITE + ",")
    (record,) = stored(bureau, 10)
    (row,) = bureau.json("record", "tag", record["record_id"], "--evidence", "yes", "--place", "")
    assert row["missing_notes"] == ["place"]
    bureau.dockd("case", "close", "A-1", "--at", "2026-11-21T18:00")
    (filing,) = bureau.json("case", "filing")
    assert (filing["last_day"], filing["days_left"], filing["records"]) == ("2026-12-23", 30, 1)
    assert filing["missing"] == ["evidence_notes", "disc"]
    assert not standing(bureau) & {"filing_due", "filing_overdue"}
    bureau.clock.time = datetime(2026, 12, 16, 9, 0, tzinfo=BEIJING)
    assert "filing_due" in standing(bureau)
    bureau.clock.move(days=8)
    assert "filing_overdue" in standing(bureau)
    (alert,) = bureau.alerts("filing_overdue")
    assert "article 28(1)" in alert["article"]
    bureau.dockd("record", "tag", record["record_id"], "--place", "南佐镇")
    done = bureau.dockd("case", "filed", "A-1", "--at", (bureau.clock.time - timedelta(hours=1)).isoformat())
    assert "disc" in done.stderr
    assert bureau.json("case", "filing") == []
    assert not standing(bureau) & {"filing_due", "filing_overdue"}
    (line,) = bureau.ledger_lines("case.filed")
    assert line["data"]["lacking"] == ["disc"]


def test_a_case_that_is_not_closed_cannot_be_filed(bureau: Bureau) -> None:
    cases(bureau, ON_SITE + ",")
    bureau.dockd("case", "filed", "A-1", code=2)
    bureau.dockd("case", "filed", "A-9", code=2)
