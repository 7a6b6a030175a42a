"""The supervisor: ready when all parts stand, down as a whole when one ends, in order at a signal."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dockd.errors import ConfigNeedsRestart, Exit, StoreMissing
from dockd.service.crew import Crew
from dockd.service.loop import Loop
from dockd.service.notify import Herald
from dockd.service.parts import Part, Surroundings
from dockd.service.supervisor import Supervisor
from dockd.settings import Settings, parse_settings


class Scripted(Part):
    """A part that does what a test says, and writes down what was asked of it."""

    name = "scripted"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.stands = True
        self.lives = True
        self.on_start: Callable[[Surroundings], None] = lambda around: None

    def start(self, around: Surroundings) -> None:
        self.asked.append("start")
        self.on_start(around)

    def stop(self) -> None:
        self.asked.append("stop")

    def ready(self) -> bool:
        return self.stands

    def alive(self) -> bool:
        return self.lives

    def reload(self, settings: Settings) -> None:
        self.asked.append(f"reload {settings.deadline.hours}")

    def show(self) -> Any:
        return {"asked": len(self.asked)}

    def status(self) -> str:
        return "one bay"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "notify"))
        end.settimeout(10)
        yield end


@pytest.fixture
def part() -> Scripted:
    return Scripted()


Make = Callable[..., Supervisor]


@pytest.fixture
def make(settings: Settings, clock: Any, tmp_path: Path) -> Iterator[Make]:
    loops = []

    def make(*parts: Part, watchdog_s: float | None = None, load: Callable[[], Settings] | None = None) -> Supervisor:
        loop = Loop()
        loops.append(loop)
        environ = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        if watchdog_s:
            environ["WATCHDOG_USEC"] = str(int(watchdog_s * 1_000_000))
        return Supervisor(
            parts,
            settings,
            loop=loop,
            crew=Crew(loop),
            now=clock,
            herald=Herald(environ),
            load=load or (lambda: settings),
        )

    yield make
    for loop in loops:
        loop.close()


def heard(systemd: socket.socket) -> list[str]:
    systemd.setblocking(False)
    words = []
    while True:
        try:
            words.append(systemd.recv(1000).decode())
        except BlockingIOError:
            return words


def send_self(number: int) -> Callable[[Surroundings], None]:
    return lambda around: around.loop.say(lambda: os.kill(os.getpid(), number)) and None


def test_a_signal_ends_it_in_order_and_systemd_hears_each_step(
    make: Make, part: Scripted, systemd: socket.socket
) -> None:
    part.on_start = send_self(signal.SIGTERM)
    assert make(part).run() == Exit.DONE
    words = heard(systemd)
    assert words.index("READY=1") < words.index("STOPPING=1")
    assert "STATUS=one bay" in words
    assert part.asked == ["start", "stop"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_ready_is_said_only_when_every_part_stands(make: Make, part: Scripted, systemd: socket.socket) -> None:
    slow = Scripted()
    slow.stands = False
    seen: list[list[str]] = []

    def stand(around: Surroundings) -> None:
        seen.append(heard(systemd))
        slow.stands = True
        around.loop.after(0.05, lambda: os.kill(os.getpid(), signal.SIGTERM))

    slow.on_start = lambda around: around.loop.after(0.05, lambda: stand(around)) and None
    make(part, slow).run()
    assert "READY=1" not in seen[0]
    assert "EXTEND_TIMEOUT_USEC=30000000" in seen[0], "a start that waits asks for more time"
    assert "READY=1" in heard(systemd)


def test_a_part_that_raises_in_the_loop_ends_the_whole(make: Make, part: Scripted, systemd: socket.socket) -> None:
    other = Scripted()
    part.on_start = lambda around: around.loop.say(lambda: 1 / 0)  # type: ignore[func-returns-value]
    assert make(part, other).run() == Exit.BUG
    assert part.asked == other.asked == ["start", "stop"]


def test_a_part_without_a_sign_of_life_ends_the_whole_and_the_watchdog_is_not_fed(
    make: Make, part: Scripted, systemd: socket.socket
) -> None:
    part.lives = False
    assert make(part, watchdog_s=0.3).run() == Exit.BUG
    assert "WATCHDOG=1" not in heard(systemd)


def test_the_watchdog_is_fed_while_all_parts_live(make: Make, part: Scripted, systemd: socket.socket) -> None:
    part.on_start = lambda around: around.loop.after(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM)) and None
    make(part, watchdog_s=0.3).run()
    assert heard(systemd).count("WATCHDOG=1") >= 3


def test_a_part_that_cannot_start_is_the_services_error_and_the_others_end(
    make: Make, part: Scripted, systemd: socket.socket
) -> None:
    broken = Scripted()

    def fail(around: Surroundings) -> None:
        raise StoreMissing(path="/store")

    broken.on_start = fail
    with pytest.raises(StoreMissing):
        make(part, broken).run()
    assert part.asked == ["start", "stop"]


def test_a_hangup_takes_the_whole_new_configuration_or_nothing(
    make: Make, part: Scripted, settings: Settings, systemd: socket.socket
) -> None:
    text = settings.file.read_text(encoding="utf-8")
    better = parse_settings(text + "deadline: {hours: 20}\n", settings.file)
    service = make(part, load=lambda: better)

    def hang_up(around: Surroundings) -> None:
        around.loop.say(lambda: os.kill(os.getpid(), signal.SIGHUP))
        around.loop.after(0.2, lambda: os.kill(os.getpid(), signal.SIGTERM))

    part.on_start = hang_up
    service.run()
    assert part.asked == ["start", "reload 20", "stop"]
    words = heard(systemd)
    assert any(word.startswith("RELOADING=1\nMONOTONIC_USEC=") for word in words)
    assert words.count("READY=1") == 2


def test_what_a_running_service_cannot_change_is_refused_as_a_whole(
    make: Make, part: Scripted, settings: Settings
) -> None:
    text = settings.file.read_text(encoding="utf-8").replace("root: store", "root: elsewhere")
    moved = parse_settings(text + "deadline: {hours: 20}\n", settings.file)
    service = make(part, load=lambda: moved)
    with pytest.raises(ConfigNeedsRestart) as refusal:
        service.reload()
    assert refusal.value.fields["key"] == "store.root"
    assert service.around.settings is settings
    assert part.asked == []


def test_parts_show_themselves_by_name(make: Make, part: Scripted) -> None:
    assert make(part).show() == {"scripted": {"asked": 0}}
