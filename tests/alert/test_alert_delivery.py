"""Alerts arrive, or say that they did not: real servers on loopback, which answer as the services do on bad days."""

from __future__ import annotations

import csv
import json
import random
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from alertdesk import raise_alert
from messengers import SECRET, Robot, closed_port, mail_server, robot
from structlog.testing import capture_logs

from dockd.alert.channels import command, robots
from dockd.alert.delivery import deliver_due
from dockd.register import outbox
from dockd.register.alerts import list_alerts
from dockd.register.outbox import channel_states, list_messages
from dockd.register.station import Station
from dockd.register.tables import OutboxState

SERVICES = ["dingtalk", "wecom", "feishu"]


def channel(there: Robot, **said: Any) -> dict[str, Any]:
    """The robot as a channel of the configuration."""
    secret = {} if there.service == "wecom" else {"secret": SECRET}
    return {"name": "duty", "kind": there.service, "url": there.url, **secret, **said}


def numbers(texts: list[str]) -> list[int]:
    """The alerts that these texts tell of, in their order: one by one, or many of a kind in one line."""
    found: list[int] = []
    for line in "\n".join(texts).splitlines():
        if one := re.match(r"\[\w+\] (\d+) ", line):
            found.append(int(one[1]))
        elif many := re.search(r", alerts ([\d–, ]+)\. List them", line):
            runs = [part.split("–") for part in many[1].split(", ")]
            found += [n for run in runs for n in range(int(run[0]), int(run[-1]) + 1)]
    return found


def waiting(station: Station) -> list[outbox.Message]:
    with station.register.read() as session:
        return list_messages(session, "S1")


def kinds(station: Station) -> list[str]:
    with station.register.read() as session:
        return [alert.kind for alert in list_alerts(session, open_only=True)]


# --- the robots ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
def test_a_robot_gets_the_alert_signed_and_once(open_with: Any, service: str) -> None:
    with robot(service) as there:
        station = open_with([channel(there)])
        number = raise_alert(station)
        assert deliver_due(station).sent == 1
        assert deliver_due(station).sent == 0
    (text,) = there.texts
    assert text.startswith("dockd S1: ")
    assert f"[warning] {number} " in text
    assert "YS-07" in text
    assert "article 23(1)" in text
    assert waiting(station) == []


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("answer", ["busy", "error", "429", "500", "400", "nonsense", "drop"])
def test_whatever_the_service_answers_but_yes_the_message_waits_and_arrives_later(
    open_with: Any, clock: Any, service: str, answer: str
) -> None:
    with robot(service) as there:
        there.answers = [answer]
        station = open_with([channel(there)])
        raise_alert(station)
        done = deliver_due(station)
        assert (done.sent, [name for name, _ in done.failing]) == (0, ["duty"])
        (message,) = waiting(station)
        assert (message.state, message.attempts) == ("waiting", 1)
        assert message.last_error
        asked = there.asked
        deliver_due(station)
        assert there.asked == asked, "it is left alone for a while"
        clock.move(minutes=11)
        assert deliver_due(station).sent == 1
        assert len(there.texts) == 1
        assert waiting(station) == []


def test_a_service_that_asks_for_time_gets_it(open_with: Any, clock: Any) -> None:
    with robot("wecom") as there:
        there.answers = ["429"]
        station = open_with([channel(there)])
        raise_alert(station)
        deliver_due(station)
        clock.move(seconds=119)
        assert deliver_due(station).sent == 0
        clock.move(seconds=1)
        assert deliver_due(station).sent == 1


def test_pauses_grow_and_end_at_an_hour(open_with: Any, clock: Any) -> None:
    with robot("wecom") as there:
        there.answers = ["500"] * 12
        station = open_with([channel(there)])
        raise_alert(station)
        pauses = []
        for _ in range(9):
            deliver_due(station)
            with station.register.read() as session:
                (state,) = channel_states(session, "S1")
            pauses.append((state.next_try_at - clock()).total_seconds() / 60)  # type: ignore[operator]
            clock.move(minutes=pauses[-1])
        assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_service_that_does_not_answer_is_given_up_in_time_and_the_message_says_it_may_be_a_repetition(
    open_with: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robots, "ANSWER_S", 0.2)
    with robot("dingtalk") as there:
        there.answers = ["stall", "late"]
        station = open_with([channel(there)])
        raise_alert(station)
        assert deliver_due(station).failing == (("duty", "dingtalk: ReadTimeout"),)
        clock.move(minutes=2)
        deliver_due(station)
        clock.move(minutes=4)
        assert deliver_due(station).sent == 1
    assert ["may be a repetition" in text for text in there.texts] == [True, True]


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_listens(open_with: Any, service: str) -> None:
    secret = {} if service == "wecom" else {"secret": SECRET}
    url = f"http://127.0.0.1:{closed_port()}/robot/send?access_token=t"
    station = open_with([{"name": "duty", "kind": service, "url": url, **secret}])
    raise_alert(station)
    assert deliver_due(station).failing == (("duty", f"{service}: refused"),)
    (message,) = waiting(station)
    assert "unsure" not in message.body, "nothing had left yet"


def test_a_certificate_that_nobody_knows_is_not_trusted(open_with: Any, tmp_path: Path) -> None:
    with robot("feishu", tls=tmp_path) as there:
        station = open_with([channel(there)])
        raise_alert(station)
        assert deliver_due(station).failing == (("duty", "feishu: CERTIFICATE_VERIFY_FAILED"),)
        assert there.asked == 0


def test_a_wrong_secret_is_trouble_of_the_channel_and_loses_nothing(open_with: Any, clock: Any) -> None:
    with robot("feishu") as there:
        station = open_with([channel(there) | {"secret": "another"}])
        raise_alert(station)
        assert deliver_due(station).failing[0][1].startswith("feishu: 19021")
        assert [m.state for m in waiting(station)] == ["waiting"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_message_that_is_refused_for_what_it_says_does_not_hold_up_the_others(open_with: Any, service: str) -> None:
    with robot(service) as there:
        station = open_with([channel(there), "journal"])
        ids = [raise_alert(station, n, device_no=("YS-07", "YS-08")[n % 2]) for n in range(3)]
        there.refuses = lambda text: f" {ids[1]} " in text
        done = deliver_due(station)
        assert done.given_up == 1
        assert numbers(there.texts) == [ids[0], ids[2]]
    (message,) = [m for m in waiting(station) if m.state == OutboxState.FAILED]
    assert (message.alert_id, message.channel) == (ids[1], "duty")
    assert "undelivered" in kinds(station)


# --- nothing lost, nothing twice, in order --------------------------------------------------------------------------


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_through_any_weather_every_alert_arrives_once_and_in_order_per_recorder(
    open_with: Any, clock: Any, service: str, seed: int
) -> None:
    weather = random.Random(seed)
    with robot(service) as there:
        station = open_with([channel(there)], failing_after="30d")
        ids: dict[str, list[int]] = {"YS-07": [], "YS-08": []}
        for number in range(24):
            device = weather.choice(list(ids))
            kind = weather.choice(["not_docked", "late_docked", "owner_conflict"])
            ids[device].append(raise_alert(station, number, kind=kind, device_no=device))
            if weather.random() < 0.6:
                there.answers = weather.choices(["ok", "busy", "500", "429", "error", "nonsense", "drop"], k=2)
                deliver_due(station)
                clock.move(minutes=weather.choice([0, 1, 5, 70]))
        there.answers = []
        for _ in range(3):
            clock.move(hours=1)
            deliver_due(station)
        assert waiting(station) == []
        arrived = numbers(there.texts)
        assert sorted(arrived) == sorted(ids["YS-07"] + ids["YS-08"])
        for device, wanted in ids.items():
            assert [n for n in arrived if n in wanted] == wanted, device


def test_two_senders_at_once_send_each_message_once(open_with: Any) -> None:
    with robot("feishu") as there:
        station = open_with([channel(there)])
        ids = [raise_alert(station, n, kind=("not_docked", "owner_conflict")[n % 2]) for n in range(12)]
        together = threading.Barrier(4)

        def send() -> None:
            together.wait()
            deliver_due(station)

        threads = [threading.Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        deliver_due(station)
        assert numbers(there.texts) == ids


def test_what_a_killed_sender_had_in_hand_is_sent_after_a_while_and_said_to_be_a_repetition(
    open_with: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_args: Any) -> None:
        raise Killed

    with robot("wecom") as there:
        station = open_with([channel(there)])
        raise_alert(station)
        with monkeypatch.context() as patch:
            patch.setattr("dockd.alert.delivery._sent", die)
            with pytest.raises(Killed):
                deliver_due(station)
        assert [m.state for m in waiting(station)] == ["sending"]
        assert deliver_due(station).sent == 0, "another process may still be at it"
        clock.move(minutes=6)
        assert deliver_due(station).sent == 1
    assert ["may be a repetition" in text for text in there.texts] == [False, True]


def test_a_clock_that_was_set_back_holds_nothing_up(open_with: Any, clock: Any) -> None:
    with robot("wecom") as there:
        there.answers = ["500"]
        station = open_with([channel(there)])
        raise_alert(station)
        deliver_due(station)
        clock.move(days=-400)
        raise_alert(station, 2)
        clock.move(hours=1)
        deliver_due(station)
        clock.move(days=401)
        deliver_due(station)
        assert len(numbers(there.texts)) == 2


# --- size and pace ---------------------------------------------------------------------------------------------


def test_many_alerts_go_in_digests_that_keep_to_the_services_size_and_pace(open_with: Any, clock: Any) -> None:
    with robot("wecom") as there:
        station = open_with([channel(there)])
        ids = [
            raise_alert(station, n, kind=("not_docked", "owner_conflict")[n % 2], device_no=f"YS-0{7 + n % 2}")
            for n in range(1, 601)
        ]
        deliver_due(station)
        assert len(there.texts) <= 18
        assert all(len(text.encode()) <= 2048 for text in there.texts)
        assert waiting(station) == [], "one recorder's many alerts of a kind are one line"
        assert "alerts 1" in there.texts[0] or str(ids[0]) in there.texts[0]


def test_what_is_above_the_services_pace_waits_a_minute(open_with: Any, clock: Any) -> None:
    with robot("wecom") as there:
        station = open_with([channel(there)])
        ids = [raise_alert(station, n, kind=("not_docked", "owner_conflict", "late_docked")[n % 3]) for n in range(300)]
        deliver_due(station)
        assert len(there.texts) == 18
        assert deliver_due(station).sent == 0
        for _ in range(20):
            clock.move(seconds=61)
            deliver_due(station)
        assert numbers(there.texts) == ids


# --- who may read what --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [False, True])
def test_names_leave_only_on_a_channel_that_is_marked(open_with: Any, allowed: bool) -> None:
    with robot("dingtalk") as there:
        station = open_with([channel(there, names=allowed)])
        raise_alert(station, kind="late_docked")
        deliver_due(station)
    assert ("王建国" in there.texts[0]) is allowed
    assert "13012301" in there.texts[0]


def test_a_channel_that_fails_for_long_is_an_alert_on_the_others_until_it_works(open_with: Any, clock: Any) -> None:
    with robot("wecom") as there, robot("feishu") as other:
        there.answers = ["500"] * 6
        station = open_with([channel(there), {**channel(other), "name": "leader"}], failing_after="30m")
        raise_alert(station)
        deliver_due(station)
        assert "undelivered" not in kinds(station)
        for _ in range(5):
            clock.move(minutes=20)
            deliver_due(station)
        assert kinds(station).count("undelivered") == 1
        deliver_due(station)
        assert any("Channel duty has delivered nothing" in text for text in other.texts)
        clock.move(hours=2)
        deliver_due(station)
        assert kinds(station) == ["not_docked"]
        assert not any("delivered nothing" in text for text in there.texts), "not told on itself"


def test_a_channel_that_is_configured_no_more_keeps_what_it_owes_in_the_list(open_with: Any, tmp_path: Path) -> None:
    station = open_with([{"name": "duty", "kind": "wecom", "url": f"http://127.0.0.1:{closed_port()}/"}])
    raise_alert(station)
    deliver_due(station)
    object.__setattr__(station.settings.alerts, "channels", ())
    deliver_due(station)
    assert [(m.state, m.last_error) for m in waiting(station)] == [("failed", "no_channel")]


# --- mail ------------------------------------------------------------------------------------------------------------


def test_mail_goes_by_smtp(open_with: Any, clock: Any) -> None:
    with mail_server() as post:
        post.answers = ["451 later", "550 no"]
        url = f"mailto://127.0.0.1:{post.port}?from=dock@example.org&to=duty@example.org"
        station = open_with([{"name": "mail", "kind": "apprise", "url": url}])
        first, second = raise_alert(station), raise_alert(station, 2, kind="late_docked")
        assert deliver_due(station).sent == 0
        clock.move(minutes=2)
        assert deliver_due(station).sent == 0
        clock.move(minutes=4)
        assert deliver_due(station).sent == 2
    ((subject, body),) = post.mails
    assert subject == "dockd S1: 2 messages"
    assert body.index(f"] {first} ") < body.index(f"] {second} ")
    assert "王建国" not in body


def test_a_mail_server_that_is_not_there_and_an_address_with_two_people(open_with: Any) -> None:
    url = f"mailto://127.0.0.1:{closed_port()}?from=dock@example.org&to=duty@example.org"
    station = open_with(
        [
            {"name": "mail", "kind": "apprise", "url": url},
            {"name": "two", "kind": "apprise", "url": url + ",other@example.org"},
            {"name": "odd", "kind": "apprise", "url": "nonsense"},
        ]
    )
    raise_alert(station)
    failing = dict(deliver_due(station).failing)
    assert failing == {
        "mail": "apprise: Connection refused",
        "two": "apprise: more than one recipient; write a channel for each",
        "odd": "apprise: not an address that it knows",
    }
    assert all("example.org" not in str(m.last_error) for m in waiting(station))


# --- the journal -------------------------------------------------------------------------------------------------


def test_the_journal_carries_numbers_and_no_names(open_with: Any) -> None:
    station = open_with(["journal"])
    late = raise_alert(station, kind="late_docked")
    full = raise_alert(station, 2, kind="store_full", device_no=None)
    with capture_logs() as lines:
        deliver_due(station)
        deliver_due(station)
    assert [(line["event"], line["log_level"], line["alert_id"], line["kind"]) for line in lines] == [
        ("alert_opened", "warning", late, "late_docked"),
        ("alert_opened", "critical", full, "store_full"),
    ]
    assert (lines[0]["device_no"], lines[0]["cert_no"]) == ("YS-07", "13012301")
    assert "王建国" not in str(lines)


# --- on this machine --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_spool_folder_gets_a_whole_file_for_each_message(open_with: Any, clock: Any, kind: str) -> None:
    station = open_with([{"name": "desk", "kind": "spool", "folder": "spool", "format": kind}])
    folder = station.settings.alerts.channels[0].folder
    number = raise_alert(station, kind="late_docked")
    deliver_due(station)
    (file,) = folder.iterdir()
    assert re.fullmatch(rf"S1-\d{{8}}\.{kind}", file.name)
    if kind == "json":
        row = json.loads(file.read_text(encoding="utf-8"))
    else:
        with file.open(encoding="utf-8", newline="") as lines:
            (row,) = csv.DictReader(lines)
    assert (int(row["alert_id"]), row["kind"], row["severity"]) == (number, "late_docked", "warning")
    assert "王建国" not in file.read_text(encoding="utf-8")


def test_a_spool_folder_that_cannot_be_written_waits(open_with: Any, clock: Any) -> None:
    station = open_with([{"name": "desk", "kind": "spool", "folder": "spool"}])
    folder = station.settings.alerts.channels[0].folder
    folder.write_text("in the way")
    raise_alert(station)
    assert deliver_due(station).failing[0][0] == "desk"
    folder.unlink()
    clock.move(minutes=1)
    assert deliver_due(station).sent == 1


def test_a_command_is_run_for_each_message_until_it_succeeds(open_with: Any, clock: Any, tmp_path: Path) -> None:
    lamp, light = tmp_path / "lamp", tmp_path / "light"
    lamp.write_text(
        f'#!/bin/sh\n[ -e {tmp_path}/power ] || exit 3\necho "$DOCKD_SEVERITY $1" >> {light}\ncat > {light}.json\n'
    )
    lamp.chmod(lamp.stat().st_mode | stat.S_IXUSR)
    station = open_with([{"name": "lamp", "kind": "command", "command": [str(lamp), "red"]}])
    raise_alert(station)
    number = raise_alert(station, 2, kind="store_full", device_no=None)
    assert deliver_due(station).failing == (("lamp", "command: ended with 3"),)
    (tmp_path / "power").touch()
    clock.move(minutes=1)
    assert deliver_due(station).sent == 2
    assert light.read_text().splitlines() == ["warning red", "critical red"]
    assert json.loads(Path(f"{light}.json").read_text())["alert_id"] == number


def test_a_command_that_never_ends_is_ended(open_with: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "PATIENCE_S", 0.1)
    station = open_with([{"name": "lamp", "kind": "command", "command": ["sleep", "60"]}])
    raise_alert(station)
    assert deliver_due(station).failing[0][1].startswith("command: no end within")
    station = open_with([{"name": "lamp", "kind": "command", "command": ["/nowhere/lamp"]}])
    raise_alert(station)
    assert deliver_due(station).failing == (("lamp", "command: No such file or directory"),)


# --- hours -----------------------------------------------------------------------------------------------------


def test_what_waits_for_its_hours_goes_along_with_a_later_message_of_the_same_recorder(
    open_with: Any, clock: Any
) -> None:
    with robot("wecom") as there:
        routes = [
            {"to": ["duty"], "severity": "critical"},
            {"to": ["duty"], "hours": "08:00-18:00"},
        ]
        station = open_with([channel(there)], routes=routes)
        clock.move(hours=10)  # it is eight in the evening
        first = raise_alert(station, 1)
        other = raise_alert(station, 2, device_no="YS-08")
        assert deliver_due(station).sent == 0
        urgent = raise_alert(station, 3, kind="unreadable_file")
        deliver_due(station)
        assert numbers(there.texts) == [first, urgent]
        clock.move(hours=12)
        deliver_due(station)
        assert numbers(there.texts) == [first, urgent, other]


def test_delivery_is_told_to_the_ledger(open_with: Any) -> None:
    with robot("wecom") as there:
        station = open_with([channel(there)])
        number = raise_alert(station)
        deliver_due(station)
    mirrored = "".join(f.read_text(encoding="utf-8") for f in sorted((station.store / "ledger/S1").glob("*.jsonl")))
    lines = [json.loads(line) for line in mirrored.splitlines()]
    assert [line["data"]["alerts"] for line in lines if line["kind"] == "message.sent"] == [[number]]
