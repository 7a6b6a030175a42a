"""What systemd hears: real datagrams on a real socket, by path and by abstract name."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from dockd.service.notify import Herald


@pytest.mark.parametrize("abstract", [False, True])
def test_each_word_is_one_datagram(tmp_path: Path, abstract: bool) -> None:
    name = f"@dockd-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + name[1:] if abstract else name)
        herald = Herald({"NOTIFY_SOCKET": name})
        herald.ready()
        herald.status("two\nlines")
        herald.status("two\nlines")
        herald.wait(1.5)
        herald.alive()
        heard = [systemd.recv(200).decode() for _ in range(4)]
    assert heard == ["READY=1", "STATUS=two lines", "EXTEND_TIMEOUT_USEC=1500000", "WATCHDOG=1"]


def test_nobody_to_tell_is_no_trouble(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}, {"NOTIFY_SOCKET": "vsock:2:1"}):
        Herald(environ).ready()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_only_where_systemd_asked_this_process(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert Herald(environ).watchdog_s == seconds
