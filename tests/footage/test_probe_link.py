"""The parsers behind a socket, as systemd would start them, and what happens when they are not there."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import dockd
from dockd.footage import probe_link
from dockd.footage.probe import ProbeLimits, isolation, probe_batch
from dockd.footage.probe_link import Child, Unit, reach_parsers
from dockd.nouns import MediaFacts


class Unitd:
    """What systemd does for ``dockd-probe.socket``: a process for each connection, which is its input and output."""

    def __init__(self, at: Path) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(at))
        self._listening.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listening.accept()[0]
            except OSError:
                return
            command = [sys.executable, "-B", "-s", "-P", "-m", "dockd.footage.probe_child"]
            with connection:
                self.started.append(
                    subprocess.Popen(
                        command,
                        stdin=connection,
                        stdout=connection,
                        cwd="/",
                        env={"PYTHONPATH": str(Path(dockd.__file__).parents[1]), "PATH": "/usr/bin:/bin"},
                        start_new_session=True,
                    )
                )

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        self.ended()

    def ended(self) -> list[int]:
        """How all that was started has ended."""
        return [process.wait(timeout=30) for process in self.started]


@pytest.fixture
def unitd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Unitd]:
    monkeypatch.setattr(probe_link, "SOCKET", str(tmp_path / "probe.sock"))
    serving = Unitd(tmp_path / "probe.sock")
    yield serving
    serving.close()


def test_the_unit_says_of_a_recording_what_a_child_says(clips: Path, unitd: Unitd, monkeypatch: pytest.MonkeyPatch):
    names = [clips / "h264.mp4", clips / "still.jpg", clips / "no-moov.mp4"]
    by_unit = probe_batch(names)
    assert len(unitd.started) == 2
    monkeypatch.setattr(probe_link, "SOCKET", "/nowhere")
    assert by_unit == probe_batch(names)


def test_the_unit_ends_with_its_batch(clips: Path, unitd: Unitd):
    probe_batch([clips / "voice.wav"])
    assert unitd.ended() == [-signal.SIGKILL]


def test_the_unit_knows_how_well_it_is_shut_in(unitd: Unitd):
    found = isolation()
    assert (found.ffprobe, found.exiftool) == (True, True)
    assert len(unitd.started) == 1


def test_a_unit_that_dies_costs_no_batch(clips: Path, unitd: Unitd):
    def kill(path: Path, _facts: MediaFacts) -> None:
        if path == clips / "h264.mp4":
            unitd.started[0].kill()

    names = [clips / "h264.mp4", clips / "voice.wav", clips / "still.jpg"]
    facts = probe_batch(names, limits=ProbeLimits(lanes=1), on_result=kill)
    assert facts[clips / "voice.wav"].problems in ((), ("probe_failed",))
    assert facts[clips / "still.jpg"].problems == ()
    assert len(unitd.started) == 2


def test_without_the_socket_a_child_does_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(probe_link, "SOCKET", "/nowhere")
    link = reach_parsers({"bounds": {}, "paths": []}, patience_s=5)
    assert isinstance(link, Child)
    link.stop()


def test_a_socket_that_is_not_for_us_means_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    at = tmp_path / "probe.sock"
    with socket.socket(socket.AF_UNIX) as never_listening:
        never_listening.bind(str(at))
        monkeypatch.setattr(probe_link, "SOCKET", str(at))
        link = reach_parsers({"bounds": {}, "paths": []}, patience_s=5)
        assert isinstance(link, Child)
        link.stop()


def test_a_batch_of_thousands_reaches_the_unit(clips: Path, unitd: Unitd):
    paths = [Path(f"/nowhere/{number:060d}.mp4") for number in range(10_000)]
    link = reach_parsers(
        {
            "bounds": {"memory_bytes": 1 << 30, "cpu_seconds": 30, "open_files": 64},
            "paths": [str(path) for path in paths],
            "exiftool": False,
        },
        patience_s=30,
    )
    assert isinstance(link, Unit)
    link.stop()
