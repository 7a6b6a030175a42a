"""Articles 24 and 26 as a clerk types them, and alerts on their way, by the commands."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from messengers import closed_port, robot

from dockd.locale import use_language

Dockd = Callable[..., Any]


@pytest.fixture
def dockd(station: Any, settings: Any, run_cli: Any) -> Dockd:
    """``dockd("recorder", "list")`` on a station with YS-07 and the officer C1; must end with ``code``."""
    del station

    def run(*words: object, code: int = 0) -> Any:
        done = run_cli(*words, config=settings.file)
        assert done.exit_code == code, (words, done.stdout, done.stderr)
        return done

    run("recorder", "add", "YS-07", "--serial", "2107731", "--attribute", "夜视", "--attribute", "night")
    run("officer", "add", "C1", "李明")
    return run


def test_attributes_are_shown_in_words_changed_and_exported_and_come_back(dockd: Dockd, tmp_path: Path) -> None:
    assert dockd("recorder", "show", "YS-07", "--json").json["attributes"] == ["night"]
    assert "night vision" in dockd("recorder", "show", "YS-07").stdout
    dockd("recorder", "change", "YS-07", "--attribute", "positioning", "--attribute", "防爆", "--custodian", "钱某")
    file = tmp_path / "recorders.csv"
    dockd("register", "export", "recorders", file)
    assert "explosion_proof；positioning" in file.read_text(encoding="utf-8")
    dockd("recorder", "change", "YS-07", "--no-attributes", "--custodian", "")
    changed = dockd("recorder", "show", "YS-07", "--json").json
    assert (changed["attributes"], changed["custodian"]) == ([], None)
    dockd("recorder", "import", file)
    assert dockd("recorder", "show", "YS-07", "--json").json["attributes"] == ["explosion_proof", "positioning"]
    assert "positioning" in dockd("recorder", "add", "YS-10", "--attribute", "flying", code=2).stderr


def test_a_fault_is_refused_at_issue_repaired_and_on_the_page(dockd: Dockd, clock: Any) -> None:
    done = dockd("recorder", "fault", "YS-07", "--text", "no picture", "--person", "C1", "--json").json
    assert (done["kind"], done["state"], done["person"]) == ("faulted", "out_of_service", "C1")
    assert "out of service" in dockd("recorder", "issue", "YS-07", "C1", "--battery", 90, code=6).stderr
    dockd("recorder", "repair", "YS-07", "--sent", "now", "--by", "Maker")
    clock.move(days=2)
    assert "at repair" in dockd("recorder", "list").stdout
    back = dockd("recorder", "repair", "YS-07", "--back", "now", "--result", "new lens")
    assert "in service" in back.stdout
    dockd("recorder", "issue", "YS-07", "C1", "--battery", 90)
    page = dockd("recorder", "show", "YS-07").stdout
    for words in ("fault", "no picture", "sent to repair", "Maker", "back from repair", "new lens", "issued", "C1"):
        assert words in page
    kinds = [line["kind"] for line in dockd("recorder", "show", "YS-07", "--json").json["history"]]
    assert kinds == [
        "recorder.added",
        "recorder.faulted",
        "alert.opened",
        "recorder.sent",
        "recorder.back",
        "alert.closed",
        "custody.issued",
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("restore", "YS-07", "--note", "x"), 6, "it is in service"),
        (("repair", "YS-07", "--back", "now", "--result", "x"), 6, "it is in service"),
        (("repair", "YS-07"), 2, "either --sent"),
        (("repair", "YS-07", "--sent", "now", "--back", "now"), 2, "either --sent"),
        (("repair", "YS-07", "--sent", "now"), 2, "--by"),
        (("fault", "YS-07", "--text", " "), 2, "--text"),
        (("fault", "YS-99", "--text", "x"), 2, "no recorder"),
        (("fault", "YS-07", "--text", "x", "--at", "2030-01-01T00:00"), 2, "not in the future"),
        (("inspect", "YS-07", "--battery", "101"), 2, "101"),
        (("inspect", "YS-07", "--free", "much"), 2, "12GB"),
    ],
)
def test_what_cannot_be_is_said_with_its_code(dockd: Dockd, words: tuple[str, ...], code: int, said: str) -> None:
    assert said in dockd("recorder", *words, code=code).stderr


def test_a_check_notes_what_it_found(dockd: Dockd) -> None:
    done = dockd("recorder", "inspect", "YS-07", "--battery", "5", "--free", "12GB", "--note", "scratched")
    assert "the battery is low" in done.stderr
    (alert,) = dockd("alert", "list", "--open", "--json").json
    assert (alert["kind"], alert["device_no"]) == ("battery_low", "YS-07")


def test_the_overdue_list_names_what_and_since_when(dockd: Dockd, clock: Any) -> None:
    assert dockd("recorder", "due", "--overdue", "--json").json == []
    clock.move(days=31)
    (row,) = dockd("recorder", "due", "--overdue", "--json").json
    assert (row["device_no"], row["kind"], row["overdue"]) == ("YS-07", "check_due", True)
    assert "a check is due" in dockd("recorder", "due").stdout


def test_alerts_are_listed_by_severity_and_age(dockd: Dockd, clock: Any) -> None:
    dockd("recorder", "fault", "YS-07", "--text", "no picture")
    clock.move(hours=5)
    dockd("recorder", "add", "YS-08")
    dockd("recorder", "fault", "YS-08", "--text", "no sound")
    clock.move(days=31)
    dockd("alert", "send")
    rows = dockd("alert", "list", "--open", "--json").json
    keys = [({"critical": 0, "warning": 1, "notice": 2}[row["severity"]], row["opened_at"]) for row in rows]
    assert keys == sorted(keys)
    assert {row["kind"] for row in rows} == {"recorder_fault", "check_due"}
    assert {row["kind"] for row in dockd("alert", "list", "--severity", "warning", "--json").json} == {"recorder_fault"}
    old = dockd("alert", "list", "--older-than", "745h", "--json").json
    assert [row["device_no"] for row in old] == ["YS-07"]
    assert rows[0]["age_s"] == 31 * 86400 + 5 * 3600
    assert "4h or 2d" in dockd("alert", "list", "--older-than", "long", code=2).stderr


def configure(settings: Any, *channels: Any, **said: Any) -> None:
    with settings.file.open("a", encoding="utf-8") as file:
        file.write(f"alerts: {json.dumps({'channels': list(channels), **said})}\n")


def test_what_was_not_delivered_is_shown_where_people_look(dockd: Dockd, settings: Any, clock: Any) -> None:
    url = f"http://127.0.0.1:{closed_port()}/cgi-bin/webhook/send?key=s3cr3t"
    configure(settings, {"name": "duty", "kind": "wecom", "url": url})
    settings.file.chmod(0o644)
    dockd("recorder", "fault", "YS-07", "--text", "no picture")
    sent = dockd("alert", "send", "--json", code=3).json
    assert sent["failing"] == [{"channel": "duty", "error": "wecom: refused"}]
    assert "not delivered on duty: wecom: refused, tried 1 times" in dockd("alert", "list").stdout
    (row,) = [a for a in dockd("alert", "list", "--json").json if a["kind"] == "recorder_fault"]
    assert row["undelivered"] == [{"channel": "duty", "error": "wecom: refused", "attempts": 1}]
    waiting = dockd("alert", "outbox", "--json").json
    assert [(one["why"], one["state"], one["attempts"]) for one in waiting] == [
        ("opened", "waiting", 1),
        ("report", "waiting", 1),
    ]
    said = dockd("check", "--json", code=0).json
    checks = {c["check"]: c for c in said}
    assert checks["alert_channel"]["result"] == "WARN"
    assert checks["alert_secrets"]["result"] == "WARN"
    assert "s3cr3t" not in str(said)


def test_a_channel_is_tried_by_its_name(dockd: Dockd, settings: Any) -> None:
    with robot("wecom") as there:
        configure(settings, {"name": "duty", "kind": "wecom", "url": there.url}, routes=[])
        assert dockd("alert", "test", "duty", "--json").json == {"channel": "duty", "delivered": True, "error": None}
        assert "This channel works." in there.texts[0]
        there.answers = ["error"]
        assert dockd("alert", "test", "duty", "--json", code=3).json["error"].startswith("wecom: 300001")
        assert "no channel with the number pigeon" in dockd("alert", "test", "pigeon", code=2).stderr


def test_a_route_for_a_class_that_does_not_exist_is_named(dockd: Dockd, settings: Any) -> None:
    configure(settings, "journal", routes=[{"to": ["journal"], "kinds": ["late_docking"]}])
    checks = {c["check"]: c for c in dockd("check", "--json").json}
    assert "late_docking" in checks["alert_routes"]["message"]


def test_the_report_speaks_chinese(dockd: Dockd) -> None:
    try:
        text = dockd("--lang", "zh", "alert", "report").stdout
    finally:
        use_language("en")
    for words in ("每日报告", "接入：", "超时（第二十三条）", "故障（第二十六条）", "存储：剩余", "完好性"):
        assert words in text


def test_the_daily_report_is_made_once_a_day_also_when_its_hour_was_missed(dockd: Dockd, clock: Any) -> None:
    made = []
    clock.time = clock.time.replace(hour=7)
    for _ in range(60):
        made.append(dockd("alert", "send", "--json").json["report"])
        clock.move(hours=1)
    assert made.count(True) == 3, "yesterday's at seven is too long ago"
    assert clock.time - timedelta(hours=60) == clock.time.replace(day=23, hour=7)
