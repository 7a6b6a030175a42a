"""stats, register export, view build and matter list as people and programs call them."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shelf import Shelf

from dockd.nouns import LateKind, OwnerState
from dockd.register.imports import RECORDER_COLUMNS
from dockd.register.station import Station

Call = Callable[..., Any]


@pytest.fixture
def shelf(station: Station) -> Shelf:
    shelf = Shelf(station.register, station.store, at=station.now())
    shelf.officer("13012301", "王强")
    shelf.case("A-1")
    visit = shelf.visit(shelf.recorder("YS-07", unit="一大队"))
    told = {"officers": ("13012301",), "owner_state": OwnerState.ASSIGNED, "used_from": shelf.at, "used_to": shelf.at}
    shelf.record(visit, b"1.MP4", b"one", case_no="A-1", late=False, duration_s=1800.0, **told)
    shelf.record(visit, b"2.MP4", b"three", late=True, late_kind=LateKind.DOCKED, is_evidence=True, **told)
    shelf.record(visit, b"3.MP4", b"four")
    return shelf


@pytest.fixture
def dockd(run_cli: Call, station: Station) -> Call:
    return lambda *args: run_cli(*args, config=station.settings.file)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


# --- stats ------------------------------------------------------------------------------------------------


def test_stats_are_one_object_with_the_whole_and_its_parts(dockd: Call, shelf: Shelf) -> None:
    said = dockd("stats", "--month", "2026-11", "--json").json
    assert said["month"] == "2026-11"
    assert (said["from"], said["to"]) == ("2026-11-01T00:00:00+08:00", "2026-12-01T00:00:00+08:00")
    total = said["total"]
    assert (total["files"], total["bytes"], total["hours"]) == (3, 12, 0.5)
    assert (total["in_time"], total["late"], total["undecided"], total["late_rate"]) == (1, 1, 1, 0.5)
    assert (total["unassigned"], total["discs_due"], total["cases_with_footage"]) == (1, 1, 1)
    assert [row["unit"] for row in said["units"]] == ["", "一大队"], "the case has no unit"
    assert [(row["cert_no"], row["name"], row["files"]) for row in said["officers"]] == [
        ("", "", 1),
        ("13012301", "王强", 2),
    ]
    assert [row["device_no"] for row in said["recorders"]] == ["", "YS-07"]
    assert [row["month"] for row in said["months"]] == ["2026-11"]


def test_faults_and_the_days_they_cost_stand_in_their_months(dockd: Call, shelf: Shelf, clock: Any) -> None:
    dockd("recorder", "fault", "YS-07", "--text", "no picture", "--at", "2026-10-30T00:00")
    clock.move(days=12)
    months = {row["month"]: row for row in dockd("stats", "--json").json["months"]}
    assert (months["2026-10"]["faults"], months["2026-10"]["days_out_of_service"]) == (1, 2)
    assert (months["2026-11"]["faults"], months["2026-11"]["days_out_of_service"]) == (0, 30)
    assert months["2026-12"]["days_out_of_service"] == 4.42
    only = dockd("stats", "--month", "2026-11", "--json").json
    assert only["total"]["days_out_of_service"] == 30
    assert [r["days_out_of_service"] for r in only["recorders"] if r["device_no"] == "YS-07"] == [30]


def test_a_case_counts_as_past_its_thirty_days_from_the_day_after_the_last(
    dockd: Call, shelf: Shelf, clock: Any
) -> None:
    dockd("case", "close", "A-1", "--at", "2026-11-23T09:00")
    clock.move(days=30)
    assert dockd("stats", "--json").json["total"]["cases_past_30_days"] == 0
    clock.move(days=1)
    assert dockd("stats", "--json").json["total"]["cases_past_30_days"] == 1


def test_another_month_is_empty(dockd: Call, shelf: Shelf) -> None:
    assert dockd("stats", "--month", "2026-12", "--json").json["total"]["files"] == 0


def test_stats_as_csv_have_a_line_for_each(dockd: Call, shelf: Shelf, tmp_path: Path) -> None:
    assert dockd("stats", "--csv", tmp_path / "stats.csv").exit_code == 0
    rows = rows_of((tmp_path / "stats.csv").read_text())
    assert [(row["group"], row["key"]) for row in rows][:2] == [("total", ""), ("unit", "")]
    assert rows[0]["files"] == "3"


def test_stats_for_people_show_every_figure(dockd: Call, shelf: Shelf) -> None:
    told = dockd("stats").stdout
    assert "late rate" in told
    assert "王强" in told


@pytest.mark.parametrize("month", ["2026", "2026-13", "soon", "2026-11-01"])
def test_what_is_no_month_is_wrong_use(dockd: Call, shelf: Shelf, month: str) -> None:
    assert dockd("stats", "--month", month).exit_code == 2


# --- register export -----------------------------------------------------------------------------------------


def test_the_recorders_can_be_imported_again(dockd: Call, shelf: Shelf, tmp_path: Path) -> None:
    for headers in ("en", "zh"):
        said = dockd("register", "export", "recorders", tmp_path / "r.csv", "--headers", headers, "--json").json
        assert (said["register"], said["rows"]) == ("recorders", 1)
        again = dockd("recorder", "import", tmp_path / "r.csv", "--json").json
        assert (again["unchanged"], again["bad"]) == (1, [])
    assert {column.name for column in RECORDER_COLUMNS} <= {
        *rows_of((dockd("register", "export", "recorders", tmp_path / "r.csv"), (tmp_path / "r.csv").read_text())[1])[0]
    }


def test_custody_has_its_excuse_and_events_have_the_handings_over(dockd: Call, shelf: Shelf, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    dockd("recorder", "issue", "YS-07", "13012301", "--at", "2026-11-22T08:00", "--battery", "90")
    dockd("recorder", "return", "YS-07", "--at", "2026-11-22T18:00")
    dockd("register", "export", "custody", out, "--headers", "zh")
    (row,) = rows_of(out.read_text())
    assert (row["领用人"], row["领用时电量"], row["归还时间"]) == ("王强", "90", "2026-11-22T18:00:00+08:00")
    dockd("register", "export", "events", out, "--headers", "zh")
    assert [row["事件类型"] for row in rows_of(out.read_text())] == ["领用", "归还"]
    header = out.read_text().splitlines()[0]
    assert header == (
        "登记编号,记录设备编号,事件类型,发生时间,电池电量百分比,电池读数来源,内存总量字节,内存剩余字节,时钟偏差秒,故障描述,处理情况,"
        "维修单位,送修日期,返回日期,经办人,保管人,备注"
    )


def test_interruptions_have_their_columns_without_any(dockd: Call, shelf: Shelf, tmp_path: Path) -> None:
    dockd("register", "export", "interruptions", tmp_path / "i.csv", "--headers", "zh")
    assert (tmp_path / "i.csv").read_text() == (
        "中断编号,记录设备编号,前一文件,后一文件,中断开始,中断结束,间隔秒,中断原因,说明方式,说明位置或文号,签字人一,签字人二,处理状态\n"
    )


def test_an_unknown_register_and_a_place_that_takes_no_file(dockd: Call, shelf: Shelf, tmp_path: Path) -> None:
    assert dockd("register", "export", "weather", tmp_path / "x.csv").exit_code == 2
    assert dockd("register", "export", "events", tmp_path / "nowhere/x.csv").exit_code == 4


# --- view, matters --------------------------------------------------------------------------------------------


def test_a_view_is_built_and_built_again(dockd: Call, shelf: Shelf, tmp_path: Path) -> None:
    for _time in range(2):
        said = dockd("view", "build", tmp_path / "view", "--json").json
        assert (said["recordings"], said["links"]) == (3, 12)
    assert dockd("view", "build", shelf.store).exit_code == 2


def test_the_bureaus_list_of_matters_is_shown_and_asked(
    dockd: Call, shelf: Shelf, station: Station, run_cli: Call
) -> None:
    assert dockd("matter", "list", "--json").json == []
    assert dockd("record", "tag", "1", "--matter", "anything").exit_code == 0
    config = station.settings.file
    (config.parent / "matters.csv").write_text(
        "序号,记录事项,执法环节,记录内容\n1,现场勘验,调查取证,全貌\n2,留置送达,送达执行,见证\n"
    )
    config.write_text(config.read_text() + "tags: {matters: matters.csv}\n")
    assert [(m["item_no"], m["stage"]) for m in dockd("matter", "list", "--json").json] == [
        ("1", "investigation"),
        ("2", "execution"),
    ]
    assert dockd("record", "tag", "1", "--matter", "2").exit_code == 0
    assert dockd("record", "show", "1", "--json").json["matter"] == "留置送达"
    refused = dockd("record", "tag", "1", "--matter", "现场堪验")
    assert (refused.exit_code, "现场勘验" in refused.stderr) == (2, True)
    assert dockd("record", "tag", "1", "--matter", "").exit_code == 0


def test_check_reads_the_list_of_matters_and_the_rules_of_retention(dockd: Call, station: Station) -> None:
    def checks() -> dict[str, str]:
        return {check["check"]: check["result"] for check in dockd("check", "--json").json}

    config = station.settings.file
    assert not {"matters", "retention"} & set(checks())
    rules = "retention: {classes: {a: {keep: 1 years}}, rules: [{class: a, act_type: WORD}]}\n"
    told = config.read_text() + "tags: {matters: matters.csv}\n"
    (config.parent / "matters.csv").write_text("记录事项\n现场勘验\n")
    config.write_text(told + rules.replace("WORD", "penalty"))
    assert {n: v for n, v in checks().items() if n in ("matters", "retention")} == {"matters": "OK", "retention": "OK"}
    (config.parent / "matters.csv").write_text("什么\n现场勘验\n")
    config.write_text(told + rules.replace("WORD", "fine"))
    assert {n: v for n, v in checks().items() if n in ("matters", "retention")} == {
        "matters": "FAIL",
        "retention": "WARN",
    }
