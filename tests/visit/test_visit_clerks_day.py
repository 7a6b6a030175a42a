"""设备管理员的一天: morning issue with checks, a fault at noon, evening docking, one late, one unassigned, the report.

The README's Chinese page of the same name tells such a day; each of its commands is tried below.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from bureau import BEIJING, LI, WANG, Bureau
from messengers import Robot, robot

ZHAO = "13012303"
TODAY = datetime(2026, 11, 24, tzinfo=BEIJING)


@pytest.fixture
def group(bureau: Bureau) -> Iterator[Robot]:
    """The bureau's group chat, as a robot's address that the station is configured with."""
    with robot("wecom") as there:
        channels = ["journal", {"name": "duty", "kind": "wecom", "url": there.url}]
        bureau.configure(f"alerts: {json.dumps({'channels': channels, 'failing_after': '1d'})}")
        yield there


def at(bureau: Bureau, hour: int, minute: int = 0, *, days: int = 0) -> None:
    bureau.clock.time = TODAY + timedelta(days=days, hours=hour, minutes=minute)


def open_kinds(bureau: Bureau) -> set[str]:
    return {alert["kind"] for alert in bureau.json("alert", "list", "--open")}


@pytest.mark.usefixtures("no_parsers")
def test_a_clerks_day(bureau: Bureau, group: Robot) -> None:
    morning(bureau)
    noon(bureau, group)
    evening(bureau)
    next_morning(bureau, group)


def morning(bureau: Bureau) -> None:
    """八点：发设备. Recorders are checked and handed out, with an expected return."""
    at(bureau, 7)
    bureau.dockd("recorder", "add", "YS-09", "--serial", "2107733", "--unit", "Unit 1", "--attribute", "night")
    bureau.dockd("officer", "add", ZHAO, "赵强", "--badge", "012347", "--unit", "Unit 1")
    at(bureau, 8)
    until = ("--until", "2026-11-24T18:00")
    bureau.dockd("recorder", "issue", "YS-07", WANG, "--battery", 95, *until)
    bureau.dockd("recorder", "issue", "YS-08", LI, "--battery", 60, *until)
    refused = bureau.dockd("recorder", "issue", "YS-09", ZHAO, "--battery", 12, *until, code=6)
    assert "battery is at 12 %" in refused.stderr
    again = bureau.dockd("recorder", "issue", "YS-07", ZHAO, "--battery", 95, code=6)
    assert "still out with" in again.stderr
    at(bureau, 8, 40)
    issued = bureau.json("recorder", "issue", "YS-09", ZHAO, "--battery", 80, *until)
    assert (issued["battery_out"], issued["battery_out_source"], issued["flags"]) == (80, "entered", [])
    held = {r["device_no"]: r["holder_cert_no"] for r in bureau.json("recorder", "list")}
    assert held == {"YS-07": WANG, "YS-08": LI, "YS-09": ZHAO}


def noon(bureau: Bureau, group: Robot) -> None:
    """中午：设备故障. Out of service at once; its card is read all the same; it goes to the repairer."""
    at(bureau, 12, 5)
    done = bureau.json("recorder", "fault", "YS-08", "--text", "没有图像", "--person", "李敏")
    assert (done["state"], done["person"]) == ("out_of_service", "李敏")
    bureau.dockd("alert", "send")
    assert "YS-08" in group.texts[-1]
    assert "没有图像" not in group.texts[-1], "what a person wrote stays in the station"
    assert "李敏" not in group.texts[-1]
    bureau.dockd("recorder", "return", "YS-08", "--battery", 55)
    bureau.record(10, day=24, serial="2107732", badge="012346")
    stored = bureau.offload("--device-no", "YS-08")
    assert stored["outcome"] == "complete"
    assert {"recorder_fault", "out_of_service_docked"} <= open_kinds(bureau)
    refused = bureau.dockd("recorder", "issue", "YS-08", LI, "--battery", 90, code=6)
    assert "out of service" in refused.stderr
    sent = bureau.json("recorder", "repair", "YS-08", "--sent", "now", "--by", "厂家维修部")
    assert sent["state"] == "at_repair"


def evening(bureau: Bureau) -> None:
    """傍晚：收设备、采集. One recording comes too late, one is nobody's, one recorder does not come back."""
    at(bureau, 17, 50)
    for file in bureau.card.rglob("*.mp4"):
        file.unlink()
    bureau.record(9, day=24)
    late = bureau.record(15, day=23, number=2)
    nobodys = bureau.record(7, day=24, number=3, badge="000000")
    stored = bureau.offload()
    assert (stored["device_no"], stored["outcome"]) == ("YS-07", "complete")
    bureau.dockd("recorder", "return", "YS-07", "--battery", 30)
    assert bureau.said_of(late)["late"] is True
    waiting = bureau.json("record", "list", "--unassigned")
    assert bureau.said_of(nobodys)["record_id"] in [record["record_id"] for record in waiting]
    (alert,) = bureau.alerts("late_docked")
    bureau.dockd("alert", "ack", alert["alert_id"], "--note", "王建国补交说明")
    check = bureau.json("recorder", "show", "YS-07")["events"][0]
    assert (check["kind"], check["facts"]["measured"]["read_errors"]) == ("checked", 0)


def next_morning(bureau: Bureau, group: Robot) -> None:
    """第二天八点：每日报告. Then the recorder that was docked goes out again, the one that was not does not."""
    at(bureau, 8, 1, days=1)
    said = len(group.texts)
    bureau.dockd("alert", "send")
    bureau.dockd("alert", "send")
    report = [text for text in group.texts[said:] if "Daily report 2026-11-25" in text]
    assert len(report) == 1, "once a day"
    figures = bureau.json("alert", "report")
    assert (figures["recorders_docked"], figures["visits"], figures["late_docked"]) == (2, 2, 1)
    assert [one["device_no"] for one in figures["not_docked"]] == ["YS-09"]
    assert figures["unassigned"] >= 1
    assert (figures["faults"], figures["at_repair"]) == (1, ["YS-08"])
    for words in ("2 recorders", "1 docked late", "YS-09 (13012303", "at repair: YS-08", "GiB free"):
        assert words in report[0]
    assert not [name for name in ("王建国", "李敏", "赵强") if name in "".join(group.texts)]
    assert "return_overdue" in open_kinds(bureau)
    assert [row["device_no"] for row in bureau.json("recorder", "due", "--overdue")] == ["YS-09"]
    bureau.dockd("recorder", "issue", "YS-07", WANG, "--battery", 100, "--until", "2026-11-25T18:00")
    bureau.dockd("recorder", "issue", "YS-09", LI, "--battery", 90, code=6)
    waiting = [record["record_id"] for record in bureau.json("record", "list", "--unassigned")]
    bureau.dockd("record", "tag", *waiting, "--officer", WANG)
    assert bureau.json("record", "list", "--unassigned") == []
    tell_of_ys08(bureau)
    bureau.prove()


def tell_of_ys08(bureau: Bureau) -> None:
    """一页履历. Everything that happened to one recorder, on one page, from the ledger."""
    whole = bureau.json("recorder", "show", "YS-08")
    kinds = [line["kind"] for line in whole["history"]]
    for kind in ("recorder.added", "custody.issued", "recorder.faulted", "custody.returned", "visit.opened"):
        assert kind in kinds
    assert kinds[-1] in ("recorder.sent", "alert.repeated", "alert.closed")
    page = bureau.dockd("--lang", "zh", "recorder", "show", "YS-08").stdout
    for words in ("故障", "没有图像", "送修", "厂家维修部", "领用", "归还", "停用设备接入"):
        assert words in page


# --- the page itself, command for command --------------------------------------------------------------------------


def page() -> Iterator[tuple[str, str]]:
    """Every command line of the README's page with the time of day under which it stands."""
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    told = readme.partition("### 设备管理员的一天")[2].partition("\n### ")[0]
    hour = ""
    for line in told.splitlines():
        hour = line[2:4] if line.startswith("**") else hour
        if line.startswith("dockd "):
            yield hour, line


@pytest.mark.usefixtures("no_parsers")
def test_every_command_of_the_page_does_what_it_says(bureau: Bureau) -> None:
    at(bureau, 7)
    for number, cert_no in (("YS-09", ZHAO), ("YS-10", "13012304")):
        bureau.dockd("recorder", "add", number, "--serial", f"21077{number[-2:]}")
        bureau.dockd("officer", "add", cert_no, "赵强")
    bureau.dockd("recorder", "issue", "YS-08", LI, "--battery", 60)
    lines = sorted(page(), key=lambda said: "--back" in said[1])  # it is repaired a week later
    hours = {"早上": (8, 0), "中午": (12, 0), "傍晚": (17, 0), "第二": (8, 1)}
    assert len(lines) >= 18
    for hour, line in lines:
        days = 7 if "--back" in line else hours[hour][1]
        at(bureau, hours[hour][0], days=days)
        if line.startswith("dockd recorder return YS-07"):
            come_back(bureau)
        bureau.dockd(*spelled(bureau, line), code=6 if "# 拒绝" in line else 0)
    assert bureau.json("record", "list", "--unassigned") == []
    assert "acknowledged" in {alert["state"] for alert in bureau.alerts("late_docked")}
    shown = {row["device_no"]: row["state"] for row in bureau.json("recorder", "list")}
    assert shown["YS-08"] == "in_service"


def come_back(bureau: Bureau) -> None:
    """The evening's card: one recording too late, one of nobody."""
    bureau.record(15, day=23)
    bureau.record(7, day=24, number=2, badge="000000")
    bureau.offload()


def spelled(bureau: Bureau, line: str) -> list[str]:
    """The line's words, with this station's card and numbers in the place of the page's."""
    words = shlex.split(line, comments=True)[1:]
    if words[:2] == ["alert", "ack"]:
        words[2] = str(bureau.alerts("late_docked")[0]["alert_id"])
    if words[:2] == ["record", "tag"]:
        words[2:3] = [str(one["record_id"]) for one in bureau.json("record", "list", "--unassigned")]
    return [str(bureau.card) if word == "/media/卡" else word for word in words]
