"""``dockd run`` as a process of its own: killed, ended, started over a broken station, and asked what it does."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from office import MIB, Office
from waiting import until

from dockd.errors import ServiceNotRunning
from dockd.service import teller

PATIENCE_S = 90.0


class Service:
    """A real ``dockd run --bays DIR`` and what systemd hears of it."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.bays = office.folder.parent / "bays"
        self.bays.mkdir(exist_ok=True)
        self.notices: list[str] = []
        self.process: subprocess.Popen[str] | None = None
        self.log = office.folder.parent / "service.log"

    def start(self, **environ: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        path = self.office.folder.parent / f"notify-{time.monotonic_ns()}"
        self.socket.bind(str(path))
        words = [
            sys.executable,
            "-m",
            "dockd",
            "-c",
            str(self.office.folder / "dockd.yaml"),
            "run",
            "--bays",
            str(self.bays),
        ]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                words, stderr=log, env=os.environ | {"NOTIFY_SOCKET": str(path)} | environ, text=True
            )

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        end = time.monotonic() + PATIENCE_S
        while not (found := holds()):
            assert time.monotonic() < end, f"{what} did not come\n{self.log.read_text()[-3000:]}"
            self.listen(0.05)
        return found

    def listen(self, seconds: float) -> None:
        while select.select([self.socket], [], [], seconds)[0]:
            self.notices.append(self.socket.recv(1000).decode())
            seconds = 0.0

    def until_ready(self) -> None:
        self.until(lambda: "READY=1" in self.notices, "READY")

    def told(self) -> dict[str, Any]:
        return teller.ask(self.office.folder / "dockd.yaml", owner=os.geteuid())

    def bay(self, name: str) -> dict[str, Any]:
        with suppress(ServiceNotRunning):
            return next((row for row in self.told()["visits"]["bays"] if row["bay"] == name), {"state": ""})
        return {"state": ""}

    def plug(self, name: str, card: Path) -> Path:
        """The card is moved into the bay."""
        card.rename(self.bays / name)
        return self.bays / name

    def family(self) -> list[int]:
        """The service's process and all below it."""
        assert self.process
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with suppress(OSError):
                todo += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return found

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        assert self.process
        code = self.process.wait(timeout=60)
        self.process = None
        self.listen(0)
        self.socket.close()
        self.notices = []
        return code

    def close(self) -> None:
        if self.process:
            self.end(signal.SIGKILL)


@pytest.fixture
def service(office: Office) -> Iterator[Service]:
    found = Service(office)
    yield found
    found.close()


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_it_is_ready_shows_what_it_does_and_ends_in_order(service: Service, run_cli: Any) -> None:
    service.start()
    service.until_ready()
    card = service.plug("A1", service.office.card("one"))
    service.until(lambda: service.bay("A1")["state"] == "done", "done")
    service.until(lambda: service.told()["visits"]["working"] == 0, "quiet")
    config = service.office.folder / "dockd.yaml"
    seen = run_cli("status", "--json", config=config).json
    assert seen["service"]["state"] == "ready"
    (row,) = [row for row in seen["bays"] if row["bay"] == "A1"]
    assert (row["state"], row["device_no"], row["visit_id"]) == ("done", "YS-07", 1)
    assert seen["store"]["bytes_free"] > 0
    shown = run_cli("status", config=config).stdout
    assert "stored and verified, may be removed" in shown
    assert "YS-07" in shown
    service.office.require_stored(card, service.office.shown()[0])
    assert any(notice.startswith("STATUS=") for notice in service.notices)
    began = time.monotonic()
    assert service.end() == 0
    assert time.monotonic() - began < 10
    assert run_cli("status", "--json", config=config).json["service"]["state"] == "stopped"


def test_a_watched_board_is_drawn_on_a_terminal_until_ctrl_c(office: Office) -> None:
    words = [sys.executable, "-m", "dockd", "-c", str(office.folder / "dockd.yaml"), "status", "--watch"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, words, os.environ | {"TERM": "xterm", "COLUMNS": "120"})
    seen = b""
    end = time.monotonic() + PATIENCE_S
    while seen.count(b"Open alerts") < 2:
        assert time.monotonic() < end, seen
        if select.select([terminal], [], [], 0.2)[0]:
            seen += os.read(terminal, 1 << 16)
    os.write(terminal, b"\x03")
    with suppress(OSError):
        while os.read(terminal, 1 << 16):
            pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)


def test_a_killed_service_takes_its_workers_along_and_the_next_one_resumes(service: Service) -> None:
    office = service.office
    service.start()
    service.until_ready()
    place = service.plug("A1", office.card("one", large=128 * MIB))
    service.until(lambda: list(office.store.rglob("*_9999*.part")) or list(office.store.rglob("*.part")), "a temp")
    family = service.family()
    service.end(signal.SIGKILL)
    until(lambda: not any(is_alive(pid) for pid in family), "the workers' end")
    service.start()
    service.until(lambda: service.bay("A1")["state"] == "done", "done")
    service.until(lambda: service.told()["visits"]["working"] == 0, "quiet")
    service.end()
    office.require_stored(place, office.shown()[-1])
    assert not list(office.store.rglob("*.part"))


def test_it_ends_quickly_at_any_load_and_every_visit_goes_on_afterwards(service: Service) -> None:
    office = service.office
    office.configure("unknown_recorder: ingest")
    service.start()
    service.until_ready()
    places = {
        f"B{number}": service.plug(
            f"B{number}", office.card(f"b{number}", serial=f"{3000000 + number}", large=96 * MIB)
        )
        for number in range(4)
    }
    service.until(lambda: len(list(office.store.rglob("*.part"))) >= 2, "copies")
    family = service.family()
    began = time.monotonic()
    assert service.end() == 0
    assert time.monotonic() - began < 20
    assert not any(is_alive(pid) for pid in family)
    service.start()
    for bay in places:
        service.until(lambda bay=bay: service.bay(bay)["state"] == "done", bay)  # type: ignore[misc]
    service.until(lambda: service.told()["visits"]["working"] == 0, "quiet")
    service.end()
    newest = {visit["bay"]: visit for visit in office.shown()}
    for bay, place in places.items():
        office.require_stored(place, newest[bay])


def test_a_store_that_is_not_mounted_yet_is_waited_for_and_said(service: Service) -> None:
    office = service.office
    aside = office.store.with_name("aside")
    office.store.rename(aside)
    service.start()
    service.until(lambda: any("waiting:" in notice for notice in service.notices), "a word of waiting")
    assert "READY=1" not in service.notices
    aside.rename(office.store)
    service.until_ready()
    assert service.end() == 0


def test_a_corrupt_register_keeps_it_down_with_code_5(service: Service) -> None:
    register = service.office.folder / "register.db"
    for extra in ("-wal", "-shm"):
        register.with_name(register.name + extra).unlink(missing_ok=True)
    data = bytearray(register.read_bytes())
    data[100 : len(data)] = b"\xff" * (len(data) - 100)
    register.write_bytes(data)
    service.start()
    assert service.wait() == 5
    assert "rebuild" in service.log.read_text()


@pytest.mark.slow  # a figure of an idle machine: others at work on it make it another
def test_idle_it_is_small_and_sleeps(service: Service) -> None:
    service.start()
    service.until_ready()
    service.until(lambda: "visits_recovered" in service.log.read_text(), "the recovery")
    family = [pid for pid in service.family() if is_alive(pid)]
    assert len(family) == 2, "the service and its nursery"
    assert sum(pss(pid) for pid in family) < 100 << 10, "KiB of memory"
    before = sum(switches(pid) for pid in family)
    service.listen(4)
    # The folders that stand for bays here are looked at five times a second; udev's devices once a minute.
    assert sum(switches(pid) for pid in family) - before < 4 * 5 + 10


def pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def switches(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("voluntary"))


def test_status_answers_only_the_stations_own_user(service: Service) -> None:
    service.start()
    service.until_ready()
    assert json.dumps(service.told())
    with pytest.raises(ServiceNotRunning):
        teller.ask(service.office.folder / "dockd.yaml", owner=65534) if os.geteuid() else _ask_as_nobody(service)


def _ask_as_nobody(service: Service) -> None:
    os.seteuid(65534)
    try:
        teller.ask(service.office.folder / "dockd.yaml", owner=0)
    finally:
        os.seteuid(0)
