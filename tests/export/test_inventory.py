"""The inventory CSV: every column, nothing a spreadsheet runs, nothing protected in a masked one, never half a file."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shelf import AT, Shelf

from dockd.errors import ExportUnwritable
from dockd.export import inventory
from dockd.export.cells import csv_lines, guard_formula
from dockd.export.columns import COLUMNS
from dockd.export.inventory import Inventory, export_inventory, write_inventory
from dockd.nouns import INVENTORY_COLUMNS, LateKind, MediaType, OwnerState
from dockd.register.records import revise_record
from dockd.register.session import Register

ZONE = ZoneInfo("Asia/Shanghai")
TEXTS = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=40)


@pytest.fixture
def shelf(register: Register) -> Shelf:
    return Shelf(register)


@pytest.fixture
def rows(register: Register) -> Callable[..., list[dict[str, str]]]:
    def rows(**wanted: Any) -> list[dict[str, str]]:
        out = io.BytesIO()
        count = write_inventory(register, ZONE, out.write, Inventory(**wanted))
        found = list(csv.DictReader(io.StringIO(out.getvalue().decode("utf-8-sig"), newline="")))
        assert len(found) == count
        return found

    return rows


def test_the_columns_are_those_that_others_rely_on() -> None:
    assert ",".join(column.name for column in COLUMNS[:45]) == (
        "file_no,title,original_name,media_type,size_bytes,duration_s,device_no,device_serial,officer_name,"
        "officer_cert_no,used_from,used_to,time_basis,party,case_cause,case_no,act_type,stage,matter,place,method,"
        "important_mark,confidentiality,retention_class,retain_until,docked_at,stored_at,deadline_at,late,"
        "exception_reason,station_no,bay,digest_algo,digest,verified_at,location,owner_state,tags_complete,"
        "is_evidence,disc_no,archived_on,remark,late_kind,device_kind,unit"
    )
    assert ",".join(column.zh for column in COLUMNS[:45]) == (
        "文件编号,名称,原始文件名,媒体类型,大小字节,时长秒,记录设备编号,设备序列号,执法人员姓名,执法证号,使用开始时间,"
        "使用结束时间,时间依据,案件当事人,案由名称,案件编号,执法类别,执法环节,记录事项,记录地点,记录方式,重点标记,密级,"
        "保存类别,保存期限至,接入时间,储存时间,储存时限,是否超时,例外事由,采集站编号,采集口,校验算法,校验值,校验时间,"
        "存储位置,归属状态,著录完整,作为证据,光盘编号,归档日期,备注,超时类别,设备种类,单位"
    )


def test_the_configuration_can_choose_every_column_and_no_other() -> None:
    assert tuple(column.name for column in COLUMNS) == INVENTORY_COLUMNS


def test_a_row_says_all_that_is_known(register: Register, shelf: Shelf, rows: Callable[..., Any]) -> None:
    recorder = shelf.recorder("YS-07", unit="执法大队", device_kind="执法记录仪")
    for cert_no, name in (("1301", "王强"), ("1302", "李敏")):
        shelf.officer(cert_no, name)
    shelf.record(
        shelf.visit(recorder),
        b"DCIM/=1.MP4",
        b"12345",
        title="无证采矿",
        used_from=AT,
        used_to=AT + timedelta(seconds=61),
        time_basis="name+container",
        party="张某；李某",
        officers=("1301", "1302"),
        owner_state=OwnerState.ASSIGNED,
        act_type="行政处罚",
        stage="investigation",
        method="video",
        late=True,
        late_kind=LateKind.STORED,
        deadline_at=AT + timedelta(hours=24),
        duration_s=61.44,
        case_cause="c",
        retain_until=AT + timedelta(days=1),
    )
    (row,) = rows()
    assert {name: value for name, value in row.items() if value} == {
        "file_no": "S1-20261123-000001-00001",
        "title": "无证采矿",
        "original_name": "'=1.MP4",
        "media_type": "video",
        "size_bytes": "5",
        "duration_s": "61.440",
        "device_no": "YS-07",
        "device_serial": "YS-07-SN",
        "officer_name": "王强；李敏",
        "officer_cert_no": "1301；1302",
        "used_from": "2026-11-23T10:00:00+08:00",
        "used_to": "2026-11-23T10:01:01+08:00",
        "time_basis": "name+container",
        "party": "张某；李某",
        "case_cause": "c",
        "act_type": "penalty",
        "stage": "investigation",
        "method": "video recording",
        "important_mark": "false",
        "retain_until": "2026-11-24",
        "docked_at": "2026-11-23T10:00:00+08:00",
        "stored_at": "2026-11-23T10:00:00+08:00",
        "deadline_at": "2026-11-24T10:00:00+08:00",
        "late": "true",
        "station_no": "S1",
        "bay": "3",
        "digest_algo": "sha256",
        "digest": "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5",
        "verified_at": "2026-11-23T10:00:00+08:00",
        "location": "footage/2026/11/23/YS-07/S1-20261123-000001-00001.mp4",
        "owner_state": "assigned",
        "tags_complete": "true",
        "is_evidence": "false",
        "retention_class": "unclassified",
        "late_kind": "stored",
        "device_kind": "执法记录仪",
        "unit": "执法大队",
    }


def test_what_is_unknown_is_empty(shelf: Shelf, rows: Callable[..., Any]) -> None:
    shelf.record(media_type=MediaType.LOG)
    (row,) = rows()
    assert [row[name] for name in ("late", "device_no", "used_from", "method", "officer_name", "duration_s")] == [
        ""
    ] * 6


def test_chinese_headers_bring_chinese_words(shelf: Shelf, rows: Callable[..., Any]) -> None:
    shelf.record(act_type="penalty", stage="审查决定", confidentiality="涉密文件", media_type=MediaType.AUDIO)
    (row,) = rows(headers="zh", bom=True)
    assert (row["执法类别"], row["执法环节"], row["密级"], row["记录方式"]) == (
        "行政处罚",
        "审查决定",
        "涉密文件",
        "录音",
    )
    assert row["归属状态"] == "unassigned"


def test_excel_finds_its_byte_order_mark_only_when_asked(register: Register) -> None:
    for bom in (False, True):
        out = io.BytesIO()
        write_inventory(register, ZONE, out.write, Inventory(bom=bom))
        assert out.getvalue().startswith(b"\xef\xbb\xbf") is bom
        assert out.getvalue().endswith(b"\r\n")
        assert out.getvalue().count(b"\n") == 1


def test_a_masked_export_hides_what_is_protected_and_only_that(shelf: Shelf, rows: Callable[..., Any]) -> None:
    said = {
        "party": "张三；李四公司",
        "title": "张三案",
        "place": "张三家",
        "remark": "张三说",
        "case_cause": "无证采矿",
    }
    shelf.record(confidentiality="privacy", **said)
    shelf.record(**said)
    protected, public = rows(masked=True)
    assert [protected[name] for name in ("party", "title", "place", "remark")] == ["张*；李*", *["（受保护）"] * 3]
    assert protected["case_cause"] == "无证采矿"
    assert {name: public[name] for name in said} == said
    assert [row["party"] for row in rows(masked=False)] == ["张三；李四公司"] * 2


def test_chosen_columns_come_in_the_order_they_were_chosen(shelf: Shelf, rows: Callable[..., Any]) -> None:
    shelf.record(title="t")
    (row,) = rows(columns=("title", "file_no"))
    assert list(row.items()) == [("title", "t"), ("file_no", "S1-20261123-000001-00001")]


def test_since_takes_what_is_new_and_what_was_revised(
    register: Register, shelf: Shelf, rows: Callable[..., Any]
) -> None:
    old, revised = shelf.record(title="old"), shelf.record(title="revised")
    later = AT + timedelta(days=1)
    shelf.record(title="new", stored_at=later)
    with register.write() as session:
        revise_record(session, revised, {"place": "x"}, actor="dockd", why="test", at=later)
    assert [row["title"] for row in rows(since=later)] == ["revised", "new"]
    assert len(rows(since=AT)) == 3
    assert old


def test_footage_that_was_stored_again_is_one_row_at_its_new_place(register: Register, shelf: Shelf, rows: Any) -> None:
    from dockd.register.tables import FootageRow, LocationRow

    shelf.record()
    with register.write() as session:
        footage_id = session.query(FootageRow.id).scalar()
        session.query(LocationRow).update({"state": "missing"})
        again = {"stored_at": AT, "verified_at": AT, "verified_via": "o_direct"}
        session.add(LocationRow(station_no="S1", footage_id=footage_id, path="footage/again.mp4", **again))
    (row,) = rows()
    assert row["location"] == "footage/again.mp4"


def test_pages_join_without_gap(register: Register, shelf: Shelf, rows: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "PAGE", 2)
    visit = shelf.visit()
    for number in range(5):
        shelf.record(visit, title=str(number))
    assert [row["title"] for row in rows()] == ["0", "1", "2", "3", "4"]


# --- formulas ------------------------------------------------------------------------------------------------


@given(TEXTS)
def test_no_cell_begins_as_a_formula_does(text: str) -> None:
    assert not guard_formula(text).startswith(tuple("=+-@\t\r\n＝＋－＠"))


@given(TEXTS)
def test_a_guarded_cell_gives_its_text_back(text: str) -> None:
    cell = guard_formula(text)
    assert (cell[1:] if cell.startswith("'") else cell) == text


@given(st.text(st.sampled_from("张a1 =+-@'\"，,;\r\n\t＝"), min_size=1, max_size=12))
def test_only_the_beginning_matters(text: str) -> None:
    assert guard_formula("x" + text) == "x" + text


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), max_size=5))
def test_python_reads_back_every_cell_that_was_written(table: list[list[str]]) -> None:
    guarded = [[guard_formula(cell) for cell in row] for row in table]
    text = csv_lines(guarded).decode()
    assert list(csv.reader(io.StringIO(text, newline=""), strict=True)) == guarded


# --- the file -------------------------------------------------------------------------------------------------


def test_an_export_stands_whole_with_its_description(register: Register, shelf: Shelf, tmp_path: Path) -> None:
    shelf.record()
    path = tmp_path / "inventory.csv"
    done = export_inventory(register, ZONE, str(path), Inventory())
    assert (done.path, done.rows, done.bytes) == (str(path), 1, path.stat().st_size)
    package = json.loads((tmp_path / "datapackage.json").read_text())
    (resource,) = package["resources"]
    assert (resource["path"], resource["bytes"], resource["hash"]) == (
        "inventory.csv",
        done.bytes,
        f"sha256:{done.sha256}",
    )
    assert sorted(name for name in os.listdir(tmp_path) if not name.startswith("register")) == [
        "datapackage.json",
        "inventory.csv",
    ]


def test_a_failed_export_leaves_the_old_file(register: Register, shelf: Shelf, tmp_path: Path) -> None:
    path = tmp_path / "x" / "inventory.csv"
    path.parent.mkdir()
    path.write_text("old")
    (path.parent / "datapackage.json").write_text("{]")
    with pytest.raises(ExportUnwritable, match="move"):
        export_inventory(register, ZONE, str(path), Inventory())
    assert path.read_text() == "old"
    assert len(os.listdir(path.parent)) == 2


def test_a_link_to_the_file_stays_a_link(register: Register, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "inventory.csv"
    link.symlink_to(tmp_path / "real" / "inventory.csv")
    export_inventory(register, ZONE, str(link), Inventory())
    assert link.is_symlink()
    assert sorted(os.listdir(tmp_path / "real")) == ["datapackage.json", "inventory.csv"]
