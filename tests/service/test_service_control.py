"""The control socket: real people of several roles, a real service that alone may touch its register, real files."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from installed import SERVICE, Office, opened
from waiting import until

from dockd.errors import ControlUnusable
from dockd.service import wire
from dockd.service.client import Call, control_of, converse
from dockd.service.control import MOST_EACH, MOST_REFUSALS, REFUSALS_S, Doorkeeper, open_door
from dockd.service.served import Request

OFFICERS = "officer_cert_no,officer_name\n{cert_no},王强\n"
CASES = "case_no,case_cause,party\nA-1,无证采矿,张某\n"


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    with opened() as one:
        one.start()
        yield one


@pytest.fixture
def idle_office() -> Iterator[Office]:
    """Its service does not run."""
    with opened() as one:
        yield one


def ledger_of(office: Office) -> list[dict[str, Any]]:
    files = sorted((office.folder / "store/ledger/S1").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text("utf-8").splitlines()]


def refusals_of(office: Office, login: str) -> list[str]:
    return [one["data"]["action"] for one in ledger_of(office) if one["kind"] == "command.refused"
            and one["actor"] == f"person:{login}"]  # fmt: skip


# --- the socket ------------------------------------------------------------------------------------------------


def test_without_systemd_the_sockets_folder_is_made_and_everybody_may_come_to_it(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with open_door(str(tmp_path / "run/control")):
            assert (tmp_path / "run").stat().st_mode & 0o777 == 0o755
            assert (tmp_path / "run/control").stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


def test_a_socket_that_cannot_be_made_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file/control", tmp_path / "not/there/control"):
        with pytest.raises(ControlUnusable, match=str(path)) as refused:
            open_door(str(path))
        assert refused.value.exit_code == 7


# --- who may do what ---------------------------------------------------------------------------------------------


@pytest.mark.root
def test_a_file_that_only_its_owner_may_read_is_imported_and_the_ledger_names_him(office: Office) -> None:
    paper = office.paper("clerk", "cases.csv", CASES)
    done = office.type("clerk", "case", "import", paper, "--json")
    assert (done.returncode, json.loads(done.stdout)["added"]) == (0, 1), done.stderr
    assert json.loads(done.stdout)["file"] == str(paper)
    assert ("case.added", "person:clerk") in {(line["kind"], line["actor"]) for line in ledger_of(office)}


@pytest.mark.root
def test_a_relative_name_is_relative_to_where_its_caller_stands(office: Office) -> None:
    office.paper("keeper", "people.csv", OFFICERS.format(cert_no="C-7"))
    done = office.type("keeper", "officer", "import", "people.csv", cwd=office.desk("keeper"))
    assert done.returncode == 0, done.stderr


@pytest.mark.root
def test_what_a_caller_may_not_read_the_service_does_not_read_for_him(office: Office) -> None:
    paper = office.paper("keeper", "secret.csv", CASES)
    done = office.type("clerk", "case", "import", paper)
    assert done.returncode == 2
    assert "Permission denied" in done.stderr
    hidden = office.folder / "register.db"
    done = office.type("clerk", "case", "import", hidden)
    assert (done.returncode, "Permission denied" in done.stderr) == (2, True)


@pytest.mark.root
def test_an_export_lies_in_the_callers_folder_as_his_own_whole_and_described(office: Office) -> None:
    for name in ("first.csv", "second.csv"):
        done = office.type("auditor", "inventory", "export", name, "--json", cwd=office.desk("auditor"))
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["path"] == str(office.desk("auditor") / name)
    found = office.desk("auditor") / "first.csv"
    assert found.stat().st_uid == office.people["auditor"]
    assert next(csv.reader(io.StringIO(found.read_text(encoding="utf-8"))))[0] == "file_no"
    package = json.loads((office.desk("auditor") / "datapackage.json").read_text(encoding="utf-8"))
    assert {resource["path"] for resource in package["resources"]} == {"first.csv", "second.csv"}
    assert office.type("auditor", "inventory", "export", "-").stdout.startswith("file_no,")


@pytest.mark.root
def test_an_export_into_a_folder_that_is_not_the_callers_is_refused_there(office: Office) -> None:
    target = office.desk("keeper") / "mine.csv"
    done = office.type("clerk", "inventory", "export", target)
    assert (done.returncode, "Permission denied" in done.stderr) == (4, True)
    done = office.type("clerk", "inventory", "export", office.folder / "store/footage.csv")
    assert done.returncode == 4
    assert not (office.folder / "store/footage.csv").exists()


@pytest.mark.root
def test_the_auditor_reads_everything_and_changes_nothing(office: Office) -> None:
    for words in (["officer", "list"], ["case", "list"], ["alert", "list"], ["ledger", "head"], ["visit", "list"]):
        assert office.type("auditor", *words, "--json").returncode == 0
    changes = (
        ["officer", "add", "X-1", "X"],
        ["record", "tag", "1", "--title", "x"],
        ["inventory", "export"],
        ["verify"],
        ["case", "import", office.paper("auditor", "cases.csv", CASES)],
    )
    before = len(refusals_of(office, "auditor"))
    for words in changes:
        done = office.type("auditor", *words)
        assert done.returncode == 6, (words, done.stderr)
        assert "auditor may not do this" in done.stderr
    assert refusals_of(office, "auditor")[before:] == [
        "officer add", "record tag", "inventory export", "verify", "case import",
    ]  # fmt: skip


@pytest.mark.root
def test_who_has_no_role_may_do_nothing_and_the_ledger_says_who_tried_what(office: Office) -> None:
    done = office.type("stranger", "officer", "list")
    assert (done.returncode, done.stdout) == (6, "")
    assert refusals_of(office, "stranger") == ["officer list"]
    assert "stranger" not in office.type("boss", "officer", "list").stdout


@pytest.mark.root
def test_a_role_counts_from_the_command_after_it_was_given_and_no_longer_than_it_is_held(office: Office) -> None:
    assert office.type("newcomer", "case", "list").returncode == 6
    office.groups["dockd-clerk"] += ",newcomer"
    office.write_etc()
    assert office.type("newcomer", "case", "list").returncode == 0
    office.groups["dockd-clerk"] = "clerk,auditor"
    office.write_etc()
    assert office.type("newcomer", "case", "list").returncode == 6


@pytest.mark.root
def test_root_acts_as_the_person_who_became_root_and_alone_as_the_administrator(office: Office) -> None:
    done = office.type("root", "officer", "add", "R-1", "R", SUDO_USER="clerk")
    assert (done.returncode, "clerk may not do this" in done.stderr) == (6, True)
    assert office.type("root", "officer", "list", SUDO_USER="nosuchname").returncode == 6
    assert office.type("root", "officer", "add", "R-1", "R", SUDO_USER="keeper").returncode == 0
    assert office.type("root", "officer", "add", "R-2", "R").returncode == 0
    by = {line["subject"]: line["actor"] for line in ledger_of(office) if line["kind"] == "officer.added"}
    assert (by["officer:R-1"], by["officer:R-2"]) == ("person:keeper", "person:root")


@pytest.mark.root
def test_nobody_but_root_is_believed_to_stand_for_somebody_else(office: Office) -> None:
    assert office.type("clerk", "officer", "add", "S-1", "S", SUDO_USER="boss").returncode == 6


@pytest.mark.root
def test_nobody_but_the_service_can_touch_the_register_or_the_store(office: Office) -> None:
    for name in ("register.db", "store/.dockd/store.json"):
        for mode in (os.R_OK, os.W_OK):
            tried = ["setpriv", "--reuid=4103", "--regid=4103", "--clear-groups", "--",
                     "test", "-r" if mode == os.R_OK else "-w", office.folder / name]  # fmt: skip
            assert subprocess.run(tried).returncode == 1, name


@pytest.mark.root
def test_the_configuration_is_the_services_whatever_a_caller_names(office: Office) -> None:
    other = office.paper("clerk", "other.yaml", office.config.read_text(encoding="utf-8").replace("S1", "S9"))
    done = office.type("clerk", "-c", other, "ledger", "head", "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["station_no"] == "S1"


@pytest.mark.root
def test_a_configuration_that_only_the_service_may_read_still_leads_to_it(tmp_path: Path) -> None:
    file = tmp_path / "dockd.yaml"
    assert control_of(file, ["case", "list"], "case") is None
    for text, found in (
        ("service:\n  control: /run/x\n", Path("/run/x")),
        ("agency:\n  name: x\nservice:\n  # 说明\n\n  control: 'run/x'  # why\n", tmp_path / "run/x"),
        ("service: {control: /run/x}\n", Path("/run/x")),
        ('service:\n  control: ""\n', None),
        ("service:\n  # control: /run/x\nlog:\n  level: info\n", None),
        ("agency: {control: /run/x}\n", None),
        ("broken: [", None),
    ):
        file.write_text(text, encoding="utf-8")
        assert control_of(file, ["case", "list"], "case") == found, text
    assert control_of(file, ["case", "list", "--help"], "case") is None
    assert control_of(file, ["demo"], "demo") is None
    file.write_text("service: {control: /run/x}\n")
    assert control_of(file, ["init"], "init") is None


# --- cards ---------------------------------------------------------------------------------------------------------


def card_of(office: Office, who: str, *, size: int = 4096) -> Path:
    """A card that lies where only its owner can go, as a desktop mounts it for its user."""
    folder = office.desk(who) / f"card-{size}"
    (folder / "DCIM").mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "DCIM/0001.MP4").write_bytes(b"\0\0\0\x18ftypmp42")
    os.truncate(folder / "DCIM/0001.MP4", size)
    return folder


@pytest.mark.root
def test_a_card_that_only_its_owner_can_reach_is_offloaded_by_the_service(office: Office) -> None:
    office.type("keeper", "recorder", "add", "YS-07", "--serial", "2107731")
    card = card_of(office, "clerk")
    done = office.type("clerk", "offload", card.name, "--device-no", "YS-07", "--json", cwd=card.parent)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert [file["outcome"] for file in summary["files"]] == ["stored"]
    assert (office.folder / "store" / summary["files"][0]["location"]).stat().st_uid == SERVICE
    shown = json.loads(office.type("auditor", "visit", "show", summary["visit_id"], "--json").stdout)
    assert shown["outcome"] == "complete"
    for path, message in (("nowhere", "there is nothing"), (office.folder / "store", "Permission denied")):
        wrong = office.type("clerk", "offload", path)
        assert (wrong.returncode, message in wrong.stderr) == (2, True), wrong.stderr
    overlap = office.type("root", "offload", office.folder / "store", SUDO_USER="boss")
    assert (overlap.returncode, "overlaps with the store" in overlap.stderr) == (2, True)


@pytest.mark.root
def test_ctrl_c_ends_an_offload_and_the_next_one_goes_on(office: Office) -> None:
    office.type("keeper", "recorder", "add", "YS-08", "--serial", "2107732")
    card = card_of(office, "clerk", size=1 << 30)
    words = ("offload", card, "--device-no", "YS-08", "--json")
    with office.begin("clerk", *words) as offload:
        until(lambda: any(part.stat().st_size for part in (office.folder / "store").rglob("*.part")))
        offload.send_signal(signal.SIGINT)
        assert offload.wait(30) == 130
        assert b"what is stored is safe" in offload.communicate()[1]
    os.truncate(card / "DCIM/0001.MP4", 8192)
    done = office.type("clerk", *words)
    assert done.returncode == 0, done.stderr


@pytest.mark.root
def test_commands_use_the_configuration_that_the_running_service_has_taken(office: Office) -> None:
    before = office.config.read_text(encoding="utf-8")
    try:
        office.config.write_text(before.replace("exports/inventory.csv}", "exports/inventory.csv, headers: zh}"))
        until(lambda: office.type("auditor", "inventory", "export", "-").stdout.startswith("文件编号"))
        office.config.write_text(before.replace("language: en", "language: xx"))
        refused = "line 1, agency.language"
        until(lambda: parts_of(office)["configuration"] == {"refused": refused})
        assert office.type("auditor", "inventory", "export", "-").stdout.startswith("文件编号")
        checked = office.type("auditor", "check")
        assert (checked.returncode, "agency.language" in checked.stdout) == (7, True)
    finally:
        office.config.write_text(before)
    until(lambda: parts_of(office)["configuration"] == {"refused": None})


def parts_of(office: Office) -> Any:
    return json.loads(office.type("auditor", "status", "--json").stdout)["parts"]


# --- streams, signals, clients of all kinds -------------------------------------------------------------------------


@pytest.mark.root
def test_a_command_speaks_to_its_callers_terminal_in_his_language(office: Office) -> None:
    ours, its = pty.openpty()
    argv, environ = office.command("clerk", "officer", "list", DOCKD_LANG="zh", COLUMNS="60")
    with closing(os.fdopen(ours, "rb", buffering=0)) as screen:
        child = subprocess.Popen(argv, env=environ, stdin=its, stdout=its, stderr=its, cwd="/")
        os.close(its)
        shown = b""
        with suppress(OSError):  # EIO: the terminal's other end is closed
            while data := screen.read(4096):
                shown += data
        assert child.wait(30) == 0
    assert "执法证号" in shown.decode()


@pytest.mark.root
def test_who_stops_reading_stops_his_command_and_nothing_else(office: Office) -> None:
    many = "officer_cert_no,officer_name\n" + "".join(f"M-{n},{'长' * 30}{n}\n" for n in range(3000))
    paper = office.paper("keeper", "many.csv", many)
    assert office.type("keeper", "officer", "import", paper).returncode == 0
    reading = office.begin("clerk", "officer", "list")
    with reading:
        assert reading.stdout
        reading.stdout.close()
        assert reading.wait(30) == 141
    assert office.type("clerk", "case", "list").returncode == 0


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_client_that_goes_takes_its_command_along(office: Office, number: signal.Signals) -> None:
    """Its listing does not fit into the pipe that nobody reads: it waits until it is interrupted."""
    before = workers_of(office)
    with office.begin("clerk", "officer", "list", "--json") as listing:
        until(lambda: workers_of(office) - before)
        until(lambda: all(is_waiting(pid) for pid in workers_of(office) - before))
        listing.send_signal(number)
        until(lambda: not workers_of(office) - before)
        assert listing.wait(30) == (130 if number == signal.SIGINT else -number)


def workers_of(office: Office) -> set[int]:
    """The service's processes but itself and its nursery."""
    assert office.service
    every = {int(name) for name in os.listdir("/proc") if name.isdigit()}
    parents = {pid: parent for pid in every if (parent := parent_of(pid))}
    nurseries = {pid for pid, parent in parents.items() if parent == office.service.pid}
    return {pid for pid, parent in parents.items() if parent in nurseries}


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError):
        return 0


def is_waiting(pid: int) -> bool:
    """Whether the process sleeps in a write."""
    try:
        return "pipe" in Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return False


def knock(office: Office) -> socket.socket:
    conn = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    conn.connect(str(office.control))
    return conn


@pytest.mark.root
def test_clients_that_say_nothing_use_up_their_own_places_only(office: Office) -> None:
    held = [knock(office) for _ in range(MOST_EACH)]  # all of them are root's
    try:
        with knock(office) as one_more:
            assert wire.receive(one_more) == ({"busy": True}, [])
        busy = office.type("root", "case", "list")
        assert (busy.returncode, "too many commands" in busy.stderr) == (4, True)
        assert office.type("clerk", "case", "list").returncode == 0
    finally:
        for conn in held:
            conn.close()
    until(lambda: office.type("root", "case", "list").returncode == 0)


@pytest.mark.root
@pytest.mark.parametrize(
    ("packet", "fds"),
    [
        (b"\xff\xfe", 3),
        (b"[" * 50_000, 3),
        (b"[]", 3),
        (b'{"words": "officer list", "folder": "/", "environ": {}, "behind": null}', 3),
        (b'{"words": ["officer", "list"], "folder": "/", "environ": {}, "behind": null}', 0),
        (b'{"words": ["officer", "list"], "folder": "/", "environ": {}, "behind": null}', 9),
        (b'{"words": ["officer\\u0000"], "folder": "/", "environ": {}, "behind": 7}', 3),
        (b"{}", 3),
    ],
)
def test_what_is_no_request_ends_its_own_connection_and_nothing_else(office: Office, packet: bytes, fds: int) -> None:
    with knock(office) as conn:
        nothing = os.open(os.devnull, os.O_RDWR)
        socket.send_fds(conn, [packet], [nothing] * fds)
        os.close(nothing)
        conn.settimeout(30)
        assert conn.recv(100) == b""
    assert office.service
    assert office.service.poll() is None


def test_a_service_gets_no_file_that_its_caller_did_not_name(tmp_path: Path) -> None:
    secret, named = tmp_path / "secret", tmp_path / "named.csv"
    secret.write_text("x")
    named.write_text("y")
    asked = [
        ({"open": str(secret)}, {"failed": 1}),
        ({"take": str(secret)}, {"failed": 1}),
        ({"open": f"{tmp_path}/../{tmp_path.name}/named.csv"}, {"failed": 1}),
        ({"open": str(tmp_path / "nothing/datapackage.json")}, {"failed": 1}),
        ({"open": str(tmp_path / "datapackage.json")}, {"failed": 2}),
        ({"open": str(named)}, {"done": True}),
    ]
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    child = os.fork()
    if child == 0:  # the service
        ours.close()
        wire.receive(its)
        for question, expected in asked:
            wire.send(its, question)
            heard = wire.receive(its)
            if not heard or heard[0] != expected or len(heard[1]) != ("done" in expected):
                os._exit(1)
        wire.send(its, {"exit": 42})
        os._exit(0)
    its.close()
    with ours:
        assert converse(ours, Call(["case", "import", str(named)], {})) == 42
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_only_what_is_needed_of_the_environment_crosses() -> None:
    said = {"words": ["a"], "folder": "/", "behind": None}
    environ = {"LANG": "zh_CN.UTF-8", "LD_PRELOAD": "/tmp/x.so", "TERM": "x\ny", "COLUMNS": 80}
    assert Request.of({**said, "environ": environ}).environ == {"LANG": "zh_CN.UTF-8", "COLUMNS": 80}


def test_who_was_refused_often_waits_and_root_always_comes_in() -> None:
    keeper = Doorkeeper()
    for second in range(MOST_REFUSALS):
        assert keeper.lets_in(7, second)
        keeper.came(7)
        keeper.went(7, 6, second)
    assert not keeper.lets_in(7, MOST_REFUSALS)
    assert keeper.lets_in(8, MOST_REFUSALS)
    assert keeper.lets_in(7, REFUSALS_S)
    for uid in range(100, 132):
        keeper.came(uid)
    assert not keeper.lets_in(8, 1000)
    assert keeper.lets_in(0, 1000)
    for uid in range(100, 132):
        keeper.went(uid, 0, 1000)
    assert not keeper.inside


# --- a service that does not run, or ends ----------------------------------------------------------------------------


@pytest.mark.root
def test_without_a_service_root_works_as_the_stations_user_and_nobody_else_works(idle_office: Office) -> None:
    office = idle_office
    away = office.type("keeper", "officer", "list")
    assert (away.returncode, "systemctl start dockd" in away.stderr) == (4, True)
    assert office.type("root", "officer", "add", "R-1", "R", SUDO_USER="clerk").returncode == 6
    paper = office.paper("keeper", "people.csv", OFFICERS.format(cert_no="C-9"))
    done = office.type("root", "officer", "import", paper, SUDO_USER="keeper")
    assert done.returncode == 0, done.stderr
    assert ("officer.added", "person:keeper") in {(line["kind"], line["actor"]) for line in ledger_of(office)}
    owners = {entry.stat().st_uid for entry in office.folder.rglob("*") if "desk" not in str(entry)
              and not entry.name.startswith("etc-") and entry.name != "dockd.yaml"}  # fmt: skip
    assert owners == {SERVICE}


@pytest.mark.root
def test_a_service_that_ends_interrupts_what_is_under_way_and_a_rebuild_waits_for_its_end(idle_office: Office) -> None:
    office = idle_office
    office.start()
    refused = office.type("boss", "rebuild")
    assert (refused.returncode, "systemctl stop dockd" in refused.stderr) == (4, True)
    many = "officer_cert_no,officer_name\n" + "".join(f"M-{n},{'长' * 30}{n}\n" for n in range(3000))
    assert office.type("keeper", "officer", "import", office.paper("keeper", "many.csv", many)).returncode == 0
    with office.begin("clerk", "officer", "list", "--json") as listing:
        until(lambda: any(is_waiting(pid) for pid in workers_of(office)))
        office.stop()
        assert listing.wait(30) == 130
    assert not office.control.exists()
    assert "service_killed_rest" not in office.journal()
