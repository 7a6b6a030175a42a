"""名称: a title by the template follows its case; a title that a person gave stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dockd.register import records
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards
from dockd.visit.request import VisitRequest
from dockd.visit.story import attend

CASES = """案件编号,案由名称,案件当事人,执法证号,使用开始时间,使用结束时间
C-1,无证采砂,河畔砂石厂,,,
C-2,占用土地,赵某某,,,
"""


def make_record(station: Any, run_cli: Any, folder: Path) -> Path:
    config = station.settings.file
    card = folder / "card"
    (card / "DCIM").mkdir(parents=True)
    (card / "DCIM/20261123_080000_0007.jpg").write_bytes(b"\xff\xd8\xff\xe0x")
    (folder / "cases.csv").write_text(CASES, encoding="utf-8")
    assert run_cli("recorder", "add", "YS-07", config=config).exit_code == 0
    assert run_cli("case", "import", folder / "cases.csv", config=config).exit_code == 0
    request = VisitRequest(path=str(card), device_no="YS-07")
    attend(station, request, meter=Meter(lambda _: None), guards=Guards())
    return config


def title(station: Any) -> str | None:
    with station.register.read() as session:
        return records.list_records(session, records.RecordFilter(), limit=1)[0].title


def test_a_title_that_nobody_gave_follows_the_case(station: Any, run_cli: Any, tmp_path: Path) -> None:
    config = make_record(station, run_cli, tmp_path)
    assert run_cli("record", "tag", "1", "--case", "C-1", config=config).exit_code == 0
    first = title(station)
    assert first is not None
    assert first.startswith("无证采砂-河畔砂石厂-")
    assert run_cli("record", "tag", "1", "--case", "C-2", config=config).exit_code == 0
    second = title(station)
    assert second is not None
    assert second.startswith("占用土地-赵某某-")


def test_a_title_that_a_person_gave_stays(station: Any, run_cli: Any, tmp_path: Path) -> None:
    config = make_record(station, run_cli, tmp_path)
    assert run_cli("record", "tag", "1", "--title", "现场全程", config=config).exit_code == 0
    assert run_cli("record", "tag", "1", "--case", "C-1", config=config).exit_code == 0
    assert title(station) == "现场全程"


def test_a_log_does_not_wait_for_an_officer(station: Any, run_cli: Any, tmp_path: Path) -> None:
    config = make_record(station, run_cli, tmp_path)
    (tmp_path / "card/DCIM/20261123.log").write_text("power on", encoding="utf-8")
    request = VisitRequest(path=str(tmp_path / "card"), device_no="YS-07")
    attend(station, request, meter=Meter(lambda _: None), guards=Guards())
    waiting = run_cli("record", "list", "--unassigned", "--json", config=config).json
    assert [record["media_type"] for record in waiting] == ["photo"]
