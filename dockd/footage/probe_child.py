"""Ask ffprobe and exiftool about one file at a time, shut in, until the caller hangs up.

``python -m dockd.footage.probe_child FD``: FD holds the batch as JSON (limits, paths). Without FD, as
``dockd-probe@.service`` starts it, the first line of standard input is the batch. Then a
line on standard input names a file, the line on standard output that says ``done``
answers it; one before it may carry what is known so far. The process and all it has
started end at once when standard input ends, the caller's thread ends, or exiftool
ends (pyexiftool would wait for it for ever at full speed).
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import select
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import exiftool
import ffmpeg
from exiftool.exceptions import ExifToolException

from dockd.footage import boxes
from dockd.footage.confine import Bounds, confine, die_with_parent
from dockd.footage.facts import TAGS, describe, is_media, to_wire

Tell = Callable[[dict[str, object]], None]

DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,asf,flv,dhav,m4v,h264,hevc,mjpeg,"
    "wav,w64,amr,amrnb,amrwb,aac,mp3,flac,ogg,caf"
)
"""Containers of recorders. None of them opens a further file: playlists and concat scripts are not here."""

PROBE_OPTIONS = {
    "v": "error",
    "protocol_whitelist": "file",
    "format_whitelist": DEMUXERS,
    "probesize": 8_000_000,
    "analyzeduration": 8_000_000,
    "threads": 1,
}
OLDEST_EXIFTOOL = (12, 15)
_NOT_THE_FILES_FAULT = (b"Cannot allocate memory", b"error while loading shared libraries")


@dataclass(frozen=True, slots=True)
class Tools:
    """The parsers that can be asked; None for one that is not installed."""

    ffprobe: str | None
    exif: exiftool.ExifTool | None


def main() -> None:
    batch = _read_batch(int(sys.argv[1])) if len(sys.argv) > 1 else _hear_batch()
    requests, tell = _take_pipes()
    weaker = confine(Bounds(**batch["bounds"]), batch["paths"])
    signal.signal(signal.SIGTERM, lambda *_: end_all())
    if "parent" in batch:
        die_with_parent(signal.SIGTERM)
        if os.getppid() != batch["parent"]:
            end_all()
    tools = Tools(shutil.which("ffprobe"), _start_exiftool() if batch["exiftool"] else None)
    paths = _guard(requests, tools.exif)
    tell({"ready": list(weaker), "ffprobe": tools.ffprobe is not None, "exiftool": tools.exif is not None})
    while True:
        examine(paths.get(), tools, tell)


def end_all() -> NoReturn:
    """End this process and everything it has started, now."""
    os.killpg(0, signal.SIGKILL)
    raise SystemExit(1)


# --- one file ----------------------------------------------------------------------------------------


def examine(path: str, tools: Tools, tell: Tell) -> None:
    """Answer for one file: partial facts after ffprobe, then all of them with ``done``."""
    try:
        head, size, problems = _look(path)
    except OSError:
        return _answer(tell, None, None, ("unreadable",))
    if head is None:
        return _answer(tell, None, None, ("not_regular",))
    if size == 0:
        return _answer(tell, None, None, ("empty",))
    # ffprobe has nothing to say of a still picture but a duration that it has not.
    wanted = not boxes.is_photo(head)
    probe, fault = _ask_ffprobe(path, tools) if wanted else (None, "")
    tell({"facts": to_wire(describe(probe, None, problems))})
    tags, missing = _ask_exiftool(path, tools)
    verdict = _verdict(problems, fault, is_media(tags), not wanted or bool(probe and probe.get("streams")))
    return _answer(tell, probe, tags, (*problems, *verdict, *missing))


def _answer(tell: Tell, probe: Any, tags: Any, problems: tuple[str, ...]) -> None:
    tell({"facts": to_wire(describe(probe, tags, tuple(dict.fromkeys(problems)))), "done": True})


def _look(path: str) -> tuple[bytes | None, int, tuple[str, ...]]:
    """First bytes, size and outermost damage; the first is None for what is no regular file."""
    # Opening a device can already do something; O_NONBLOCK, should a FIFO take its place meanwhile.
    if not stat.S_ISREG(os.lstat(path).st_mode):
        return None, 0, ()
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(fd)
        read_at = boxes.reader(fd)
        return read_at(0, boxes.HEAD_SIZE), found.st_size, boxes.problems(read_at, found.st_size)
    finally:
        os.close(fd)


def _verdict(problems: tuple[str, ...], fault: str, known: bool, playable: bool) -> tuple[str, ...]:
    """What the parsers' silence means, where the outermost lengths have not said it already."""
    if fault:
        return (fault,)
    if playable or "no_index" in problems:
        return () if known or playable else ("not_media",)
    return ("unplayable",) if known else ("not_media",)


def _ask_ffprobe(path: str, tools: Tools) -> tuple[dict[str, Any] | None, str]:
    """ffprobe's answer, or None with a problem code where the fault may not be the file's."""
    if tools.ffprobe is None:
        return None, "tools_missing"
    try:
        found = ffmpeg.probe("file:" + path, cmd=tools.ffprobe, **PROBE_OPTIONS)
    except ffmpeg.Error as refused:
        told = (refused.stderr or b"").strip()
        # A process ended by a signal or a limit has said nothing, or that.
        return None, "probe_failed" if not told or any(w in told for w in _NOT_THE_FILES_FAULT) else ""
    except (OSError, ValueError, MemoryError):
        return None, "probe_failed"
    return (found, "") if isinstance(found, dict) else (None, "probe_failed")


def _ask_exiftool(path: str, tools: Tools) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
    if tools.exif is None:
        return None, ("tools_missing",)
    try:
        found = tools.exif.execute_json(*(f"-{tag}" for tag in TAGS), path)
    except (ExifToolException, OSError, ValueError, MemoryError):
        return None, ()
    return (found[0], ()) if found and isinstance(found[0], dict) else (None, ())


# --- starting and ending -----------------------------------------------------------------------------


def _read_batch(fd: int) -> dict[str, Any]:
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        batch: dict[str, Any] = json.loads(file.read())
    return batch


def _hear_batch() -> dict[str, Any]:
    """The first line of standard input: nothing follows it before we say that we are ready."""
    line = b""
    while not line.endswith(b"\n"):
        came = os.read(0, 1 << 16)
        if not came:
            raise SystemExit(1)
        line += came
    batch: dict[str, Any] = json.loads(line)
    return batch


def _take_pipes() -> tuple[int, Tell]:
    """Requests and answers move to descriptors of their own; parsers inherit neither."""
    requests, answers = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for standard in (0, 1):
        os.dup2(null, standard)

    def tell(message: dict[str, object]) -> None:
        line = json.dumps(message).encode() + b"\n"
        while line:
            line = line[os.write(answers, line) :]

    return requests, tell


def _start_exiftool() -> exiftool.ExifTool | None:
    """A running exiftool that answers; None where there is none, or one that pyexiftool cannot use."""
    program = shutil.which("exiftool")
    if program is None or not _is_recent(program):
        return None
    # No configuration file: it is Perl that exiftool would run.
    common = ["-G", "-charset", "filename=utf8", "-api", "LargeFileSupport=1"]
    started = exiftool.ExifTool(executable=program, common_args=common, config_file="", encoding="utf-8")
    started.run()
    return started


def _is_recent(program: str) -> bool:
    try:
        said = subprocess.run([program, "-ver"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=True)
        return tuple(int(part) for part in said.stdout.split(b".")[:2]) >= OLDEST_EXIFTOOL
    except (OSError, ValueError, subprocess.SubprocessError):
        return False


def _guard(requests: int, exif: exiftool.ExifTool | None) -> queue.SimpleQueue[str]:
    """Requested paths as they come; a thread of its own, so that hanging up works while a parser is at work."""
    paths: queue.SimpleQueue[str] = queue.SimpleQueue()
    watched = [requests]
    if exif is not None:
        # Where the kernel has no such descriptor, the caller's deadline ends what would spin.
        with contextlib.suppress(OSError):
            watched.append(os.pidfd_open(exif._process.pid))

    def stand() -> None:
        for line in _lines(requests, watched):
            paths.put(json.loads(line)["path"])
        end_all()

    threading.Thread(target=stand, daemon=True).start()
    return paths


def _lines(requests: int, watched: list[int]) -> Iterator[bytes]:
    """Lines of requests until they end or another watched descriptor speaks."""
    rest = b""
    while True:
        speaking = select.select(watched, [], [])[0]
        came = os.read(requests, 1 << 16) if speaking == [requests] else b""
        if not came:
            return
        *lines, rest = (rest + came).split(b"\n")
        yield from lines


if __name__ == "__main__":
    main()
