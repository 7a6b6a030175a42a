"""Clips made by ffmpeg."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

MakeClip = Callable[..., Path]


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one clip of each kind; nobody changes them."""
    folder = tmp_path_factory.mktemp("clips")
    stamp = ("-metadata", "creation_time=2024-01-28T09:54:20Z")
    picture = ("-f", "lavfi", "-i", "testsrc=d=1:s=64x48:r=5")
    sound = ("-f", "lavfi", "-i", "sine=d=1:sample_rate=8000")
    x264 = ("-c:v", "libx264", "-preset", "ultrafast")
    for name, *args in (
        ("h264.mp4", *picture, *sound, *x264, "-c:a", "aac", *stamp),
        ("hevc.mp4", *picture, "-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"),
        ("film.mov", *picture, *x264, *stamp),
        ("film.avi", *picture, "-c:v", "mjpeg"),
        ("film.ts", *picture, *x264, "-f", "mpegts"),
        ("voice.wav", *sound),
        ("front.mp4", *picture, *x264, "-movflags", "+faststart", *stamp),
        ("still.jpg", *picture, "-frames:v", "1"),
    ):
        _run("ffmpeg", "-v", "error", *args, str(folder / name))
    _run(
        *("exiftool", "-q", "-overwrite_original", "-Make=GBPE", "-Model=zfy-1", "-SerialNumber=0012345"),
        *("-DateTimeOriginal=2024:01:28 17:54:20", "-OffsetTimeOriginal=+08:00", str(folder / "still.jpg")),
    )
    whole, front = (folder / "h264.mp4").read_bytes(), (folder / "front.mp4").read_bytes()
    (folder / "no-moov.mp4").write_bytes(whole[: whole.index(b"moov") - 4])
    (folder / "cut.mp4").write_bytes(front[: front.index(b"mdat") + 600])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "words.mp4").write_bytes(b"this is a log, not a film\n" * 20)
    return folder


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
