"""Where devices are seen: with real libudev and made-up devices, and with a monitor that fails in every way."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockd.service import udev
from dockd.service.devices import Sighting
from dockd.service.loop import Loop

HERE = Path(__file__).parent


@pytest.mark.skipif(shutil.which("umockdev-wrapper") is None, reason="needs umockdev")
def test_real_libudev_shows_what_is_there_what_comes_and_what_goes() -> None:
    program = ["umockdev-wrapper", sys.executable, str(HERE / "mocked_udev.py")]
    done = subprocess.run(program, check=True, capture_output=True, text=True, timeout=60)
    there, parted, many, pulled = (json.loads(line) for line in done.stdout.splitlines())
    assert there["blocks"] == {"sda": ["whole", "1-4.1", "0000:00:14.0"]}, "the stranger sdz stays unseen"
    assert there["gadgets"] == {"1-4.1": ["4255", "2107731", "Ambarella"]}
    assert parted["blocks"]["sda1"] == ["card", "1-4.1", "0000:00:14.0"]
    assert len(many["gadgets"]) == 8
    assert "sda1" not in pulled["blocks"]


# --- a monitor that fails --------------------------------------------------------------------------------------


class Device(dict[str, str]):
    """As much of a pyudev Device as is looked at."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.sys_name = name
        self.sys_path = f"/sys/devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4:1.0/host0/block/{name}"
        self.properties = {
            "CURRENT_TAGS": ":dockd:",
            "DEVTYPE": "disk",
            "MAJOR": "8",
            "MINOR": "0",
            "ID_FS_USAGE": "filesystem",
            "DISKSEQ": "1",
        }
        self.attributes = self

    def asstring(self, name: str) -> str:
        return {"size": "1000"}[name]


class Vanishing(Device):
    """It is gone while it is looked at."""

    def asstring(self, name: str) -> str:
        raise OSError(errno.ENODEV, "gone")

    @property
    def properties(self) -> Any:  # type: ignore[override]
        raise KeyError("gone")

    @properties.setter
    def properties(self, value: Any) -> None: ...


class Script:
    """udev as a test tells it: which devices there are, and what each monitor says."""

    def __init__(self) -> None:
        self.devices: list[Device] = []
        self.monitors: list[Monitor] = []
        self.refuse = 0
        self.order: list[str] = []

    def list_devices(self, *, subsystem: str, **_conditions: str) -> list[Device]:
        self.order.append(f"list {subsystem}")
        return self.devices if subsystem == "block" else []


class Monitor:
    """A monitor whose descriptor is a pipe; ``answers`` are what its polls give or raise."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.read, self.write = os.pipe()
        self.answers: list[Any] = []

    @classmethod
    def from_netlink(cls, script: Script) -> Monitor:
        if script.refuse:
            script.refuse -= 1
            raise OSError(errno.EMFILE, "too many")
        script.monitors.append(cls(script))
        return script.monitors[-1]

    def filter_by(self, subsystem: str, kind: str | None) -> None:
        self.script.order.append(f"filter {subsystem}")

    def start(self) -> None:
        self.script.order.append("start")

    def fileno(self) -> int:
        return self.read

    def poll(self, timeout: float) -> Any:
        assert timeout == 0
        answer = self.answers.pop(0) if self.answers else None
        if answer is None and self.script.monitors[-1] is self:
            os.read(self.read, 100)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def say(self, *answers: Any) -> None:
        self.answers += answers
        os.write(self.write, b"x")


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watching:
    """The source under test."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.seconds = Seconds()
        self.loop = Loop(self.seconds)
        self.sights: list[Sighting] = []
        self.source = udev.Udev()
        self.source.start(self.loop, self.sights.append)

    def turn(self, seconds: float = 0.0) -> None:
        """What is to be heard is heard, and so much time passes."""
        self.loop.turn(0)
        self.seconds.now += seconds
        self.loop.turn(0)

    @property
    def names(self) -> set[str]:
        return {block.name for block in self.sights[-1].blocks}


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    import pyudev

    script = Script()
    monkeypatch.setattr(udev, "context", lambda: script)
    monkeypatch.setattr(pyudev, "Monitor", Monitor)
    return script


@pytest.fixture
def watching(script: Script) -> Iterator[Watching]:
    script.devices = [Device("sda")]
    found = Watching(script)
    yield found
    found.source.stop()
    found.loop.close()


def test_the_monitor_listens_before_anything_is_enumerated(watching: Watching) -> None:
    assert watching.script.order == ["filter block", "filter usb", "start", "list block", "list usb"]
    assert watching.names == {"sda"}, "what was there at the start"


def test_a_burst_of_messages_is_one_look(watching: Watching) -> None:
    watching.script.devices.append(Device("sdb"))
    for _ in range(5):
        watching.script.monitors[0].say("add", "change")
        watching.turn(0.02)
    assert len(watching.sights) == 1
    watching.turn(0.15)
    assert len(watching.sights) == 2
    assert watching.names == {"sda", "sdb"}


def test_the_first_message_is_followed_at_once_and_the_rest_of_its_burst_by_one_look(watching: Watching) -> None:
    watching.turn(10)
    watching.script.devices.append(Device("sdb"))
    watching.script.monitors[0].say("add")
    watching.turn()
    assert watching.names == {"sda", "sdb"}
    watching.script.devices.append(Device("sdc"))
    for _ in range(5):
        watching.script.monitors[0].say("change")
        watching.turn(0.02)
    assert len(watching.sights) == 2
    watching.turn(0.1)
    assert len(watching.sights) == 3
    assert watching.names == {"sda", "sdb", "sdc"}


def test_a_device_that_never_falls_silent_does_not_hide_the_others(watching: Watching) -> None:
    watching.script.devices.append(Device("sdb"))
    for _ in range(5):
        watching.script.monitors[0].say("change")
        watching.turn(0.1)
    assert watching.names == {"sda", "sdb"}


def test_a_message_of_nothing_ends_no_listening(watching: Watching) -> None:
    watching.script.monitors[0].say(None)
    watching.turn(0.2)
    watching.script.devices.append(Device("sdb"))
    watching.script.monitors[0].say("add")
    watching.turn(0.2)
    assert watching.names == {"sda", "sdb"}


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOBUFS, "No buffer space available"), RuntimeError("whatever"), ValueError()]
)
def test_an_overrun_or_any_other_end_of_the_monitor_is_a_new_monitor_and_a_fresh_look(
    watching: Watching, error: Exception
) -> None:
    watching.script.devices = [Device("sdc")]  # the messages of this were lost
    watching.script.monitors[0].say(error)
    watching.turn(0.2)
    assert len(watching.script.monitors) == 2
    assert watching.names == {"sdc"}
    watching.script.devices = []
    watching.script.monitors[1].say("remove")
    watching.turn(0.2)
    assert watching.names == set()


def test_a_monitor_that_cannot_be_made_is_tried_again_and_meanwhile_it_is_looked(watching: Watching) -> None:
    watching.script.refuse = 3
    watching.script.monitors[0].say(OSError(errno.ENOBUFS, "overrun"))
    watching.script.devices = [Device("sdd")]
    watching.turn(1.0)
    assert watching.names == {"sdd"}
    for _ in range(3):
        watching.turn(1.0)
    assert len(watching.script.monitors) == 2
    assert watching.source.alive()


def test_a_source_that_stays_deaf_is_no_longer_alive(watching: Watching) -> None:
    watching.script.refuse = 1000
    watching.script.monitors[0].say(OSError(errno.ENOBUFS, "overrun"))
    for _ in range(40):
        watching.turn(1.0)
    assert not watching.source.alive()


def test_an_event_that_nobody_told_of_is_found_within_a_minute(watching: Watching) -> None:
    watching.script.devices = [Device("sde")]
    watching.turn(60)
    assert watching.names == {"sde"}


def test_a_device_that_vanishes_while_it_is_looked_at_is_not_there(watching: Watching) -> None:
    watching.script.devices = [Vanishing("sdf"), Device("sdg")]
    watching.turn(60)
    assert watching.names == {"sdg"}
