from __future__ import annotations

import errno
import http.server
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import exiftool
import ffmpeg
import pytest

from dockd.footage import probe
from dockd.footage.confine import FILES_OPEN, NETWORK_OPEN
from dockd.footage.probe import ProbeLimits, is_safe_name, isolation, probe_batch
from dockd.footage.probe_child import PROBE_OPTIONS
from dockd.nouns import MediaFacts

PutTool = Callable[[str, str], Path]
MADE_AT = datetime(2024, 1, 28, 9, 54, 20, tzinfo=UTC)
REAL = {name: shutil.which(name) for name in ("ffprobe", "exiftool")}


@pytest.fixture(scope="module")
def found(clips: Path) -> dict[str, MediaFacts]:
    return {path.name: facts for path, facts in probe_batch(sorted(clips.iterdir())).items()}


# --- what is found ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "codec"),
    [("h264.mp4", "h264"), ("hevc.mp4", "hevc"), ("film.mov", "h264"), ("film.avi", "mjpeg"), ("film.ts", "h264")],
)
def test_a_film_tells_codec_size_and_duration(found: dict[str, MediaFacts], name: str, codec: str):
    facts = found[name]
    assert (facts.video_codec, facts.width, facts.height, facts.problems) == (codec, 64, 48, ())
    assert facts.duration_s == pytest.approx(1.0, abs=0.2)


def test_the_containers_date_is_read_as_utc(found: dict[str, MediaFacts]):
    assert found["h264.mp4"].created == found["film.mov"].created == MADE_AT
    assert found["h264.mp4"].audio_codec == "aac"


def test_a_date_that_was_never_set_is_reported_as_written(found: dict[str, MediaFacts]):
    assert found["hevc.mp4"].created is None
    assert found["hevc.mp4"].created_raw == "0000:00:00 00:00:00"


def test_a_voice_recording_has_no_picture(found: dict[str, MediaFacts]):
    facts = found["voice.wav"]
    assert (facts.container, facts.audio_codec, facts.width, facts.problems) == ("wav", "pcm_s16le", None, ())


def test_a_photo_tells_maker_serial_and_zoned_date_but_no_duration(found: dict[str, MediaFacts]):
    facts = found["still.jpg"]
    assert (facts.make, facts.model, facts.serial, facts.duration_s) == ("GBPE", "zfy-1", "0012345", None)
    assert facts.zoned == datetime(2024, 1, 28, 17, 54, 20, tzinfo=timezone(timedelta(hours=8)))
    assert (facts.width, facts.height, facts.problems) == (64, 48, ())


# --- what is wrong with a file -----------------------------------------------------------------------------


def test_a_recording_without_its_index_says_so(found: dict[str, MediaFacts]):
    assert found["no-moov.mp4"].problems == ("no_index",)


def test_a_recording_that_is_cut_off_keeps_what_its_index_says(found: dict[str, MediaFacts]):
    facts = found["cut.mp4"]
    assert (facts.problems, facts.created) == (("truncated",), MADE_AT)
    assert facts.duration_s == pytest.approx(1.0, abs=0.2)


def test_text_under_a_films_name_is_not_media(found: dict[str, MediaFacts]):
    assert found["words.mp4"].problems == ("not_media",)


def test_an_empty_file_is_empty_without_asking_a_parser(clips: Path, put_tool: PutTool):
    put_tool("ffprobe", "#!/bin/sh\nexec sleep 1000\n")
    began = time.monotonic()
    assert probe_batch([clips / "empty.mp4"])[clips / "empty.mp4"] == MediaFacts(problems=("empty",))
    assert time.monotonic() - began < 20


def test_what_is_no_regular_file_is_never_read(tmp_path: Path, clips: Path):
    fifo, link, folder = tmp_path / "fifo.mp4", tmp_path / "link.mp4", tmp_path / "folder.mp4"
    os.mkfifo(fifo)
    link.symlink_to(clips / "h264.mp4")
    folder.mkdir()
    answers = probe_batch([fifo, link, folder, tmp_path / "gone.mp4"])
    assert [facts.problems for facts in answers.values()] == [
        ("not_regular",),
        ("not_regular",),
        ("not_regular",),
        ("unreadable",),
    ]


# --- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        *("relative.mp4", "-version", "/store/-version.mp4", "/store/-x/a.mp4", "/store/a\n-ver.mp4", "/store/a\r.mp4"),
        *("/store/\x1b[2J.mp4", "/store/../etc/a.mp4", "/store/rm a|", "/store/a.mp4 ", "/store/\udcff.mp4"),
    ],
)
def test_a_name_that_dockd_would_not_make_reaches_no_parser(name: str, put_tool: PutTool):
    put_tool("exiftool", "#!/bin/sh\nexec sleep 1000\n")
    assert not is_safe_name(Path(name))
    assert probe_batch([Path(name)]) == {Path(name): MediaFacts(problems=("unsafe_name",))}


def test_names_in_chinese_and_with_spaces_are_described(tmp_path: Path, clips: Path):
    path = tmp_path / "执法 记录" / "一 号.mp4"
    path.parent.mkdir()
    path.write_bytes((clips / "h264.mp4").read_bytes())
    facts = probe_batch([path])[path]
    assert (facts.video_codec, facts.created, facts.problems) == ("h264", MADE_AT, ())


def test_a_newline_would_be_an_option_of_exiftool_if_it_were_let_through(clips: Path):
    with exiftool.ExifTool(common_args=[], config_file="", encoding="utf-8") as tool:
        said = tool.execute(f"{clips}/none.mp4\n-ver")
    assert said.strip().split(".")[0].isdigit()


# --- playlists -----------------------------------------------------------------------------------------------


@pytest.fixture
def web(clips: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server with a film; the list holds what was fetched."""
    fetched: list[str] = []

    class Serve(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fetched.append(self.path)
            body = (clips / "film.ts").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Serve) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/film.ts", fetched
        server.shutdown()
        thread.join()


def playlist(path: Path, target: str) -> Path:
    path.write_text(f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.0,\n{target}\n#EXT-X-ENDLIST\n")
    return path


def test_a_playlist_under_a_films_name_is_not_followed_to_a_file(tmp_path: Path, clips: Path):
    path = playlist(tmp_path / "list.mp4", f"file://{clips}/film.ts")
    facts = probe_batch([path, clips / "film.ts"])[path]
    assert (facts.problems, facts.duration_s) == (("not_media",), None)


def test_a_playlist_under_a_films_name_is_not_followed_to_the_network(tmp_path: Path, web: tuple[str, list[str]]):
    url, fetched = web
    path = playlist(tmp_path / "list.mp4", url)
    assert probe_batch([path])[path].problems == ("not_media",)
    assert fetched == []


def test_a_concat_script_under_a_films_name_is_not_followed(tmp_path: Path, clips: Path):
    path = tmp_path / "script.mp4"
    path.write_text(f"ffconcat version 1.0\nfile {clips}/film.ts\n")
    facts = probe_batch([path, clips / "film.ts"])[path]
    assert (facts.problems, facts.duration_s) == (("not_media",), None)


def test_without_the_list_of_containers_a_playlist_would_be_followed(tmp_path: Path, clips: Path):
    path = playlist(tmp_path / "list.mp4", f"file://{clips}/film.ts")
    unguarded = {name: value for name, value in PROBE_OPTIONS.items() if name != "format_whitelist"}
    assert ffmpeg.probe(f"file:{path}", **unguarded)["format"]["format_name"] == "hls"
    with pytest.raises(ffmpeg.Error):
        ffmpeg.probe(f"file:{path}", **PROBE_OPTIONS)


def test_without_the_list_of_protocols_a_playlist_could_reach_the_network(tmp_path: Path, web: tuple[str, list[str]]):
    url, fetched = web
    path = playlist(tmp_path / "list.mp4", url)
    unguarded = {name: value for name, value in PROBE_OPTIONS.items() if name != "format_whitelist"}
    with pytest.raises(ffmpeg.Error):
        ffmpeg.probe(f"file:{path}", **unguarded)
    assert fetched == []
    ffmpeg.probe(f"file:{path}", **{**unguarded, "protocol_whitelist": "file,http,tcp"})
    assert fetched


# --- parsers that misbehave ------------------------------------------------------------------------------------


def test_a_hanging_parser_costs_its_file_the_deadline_and_the_next_is_answered(clips: Path, put_tool: PutTool):
    put_tool("ffprobe", f'#!/bin/sh\ncase "$*" in *h264.mp4) sleep 1000;; *) exec {REAL["ffprobe"]} "$@";; esac\n')
    limits = ProbeLimits(seconds_per_file=3, lanes=1)
    slow, quick = clips / "h264.mp4", clips / "film.mov"
    answers = probe_batch([slow, quick], limits=limits)
    assert answers[slow].problems == ("probe_timeout",)
    assert (answers[quick].problems, answers[quick].video_codec) == ((), "h264")


def test_a_parser_that_overran_its_deadline_is_gone(clips: Path, tmp_path: Path, put_tool: PutTool):
    fifo = tmp_path / "tools" / "never-written"
    os.mkfifo(fifo)
    put_tool("ffprobe", f"#!/bin/sh\nwhile :; do read word < {fifo}; done\n")
    path = clips / "h264.mp4"
    assert probe_batch([path], limits=ProbeLimits(seconds_per_file=1))[path].problems == ("probe_timeout",)
    until = time.monotonic() + 10
    while _is_read_by_somebody(fifo) and time.monotonic() < until:
        select.select([], [], [], 0.02)
    assert not _is_read_by_somebody(fifo)


def _is_read_by_somebody(fifo: Path) -> bool:
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return False
    return True


FRAIL_EXIFTOOL = """#!{python}
import sys
if "-ver" in sys.argv:
    print("12.57")
    raise SystemExit
asked = []
for line in sys.stdin:
    line = line.rstrip("\\n")
    asked.append(line)
    if not line.startswith("-execute"):
        continue
    if any({poison!r} in word for word in asked):
        raise SystemExit(1)
    number = line[len("-execute"):]
    print('12.57' if "-ver" in asked else '[{{"File:MIMEType": "video/mp4", "Make": "Frail"}}]')
    print("{{ready" + number + "}}", flush=True)
    print("=0=post" + number, file=sys.stderr, flush=True)
    asked = []
"""


def test_an_exiftool_that_dies_in_its_work_is_noticed_at_once(clips: Path, put_tool: PutTool):
    put_tool("exiftool", FRAIL_EXIFTOOL.format(python=sys.executable, poison="h264.mp4"))
    began = time.monotonic()
    deadly, harmless = clips / "h264.mp4", clips / "film.mov"
    answers = probe_batch([deadly, harmless], limits=ProbeLimits(seconds_per_file=120, lanes=1))
    assert time.monotonic() - began < 60, "pyexiftool would have waited for ever"
    assert answers[deadly].problems == ("probe_failed",)
    assert answers[deadly].created == MADE_AT, "what ffprobe had said is kept"
    assert (answers[harmless].problems, answers[harmless].make) == ((), "Frail")


def test_an_exiftool_that_dies_at_its_start_leaves_ffprobe_at_work(clips: Path, put_tool: PutTool):
    put_tool("exiftool", FRAIL_EXIFTOOL.format(python=sys.executable, poison="-execute"))
    path = clips / "h264.mp4"
    facts = probe_batch([path], limits=ProbeLimits(seconds_to_start=4, lanes=1))[path]
    assert (facts.problems, facts.video_codec) == (("tools_missing",), "h264")


def test_a_parser_that_wants_too_much_memory_does_not_get_it(clips: Path, put_tool: PutTool):
    put_tool(
        "ffprobe",
        f"#!{sys.executable}\ntry:\n  held = bytearray(700 << 20)\nexcept MemoryError:\n  raise SystemExit(1)\n"
        'print(\'{"streams": [{"codec_type": "video", "codec_name": "greedy"}]}\')\n',
    )
    path = clips / "h264.mp4"
    greedy = probe_batch([path], limits=ProbeLimits(memory_bytes=512 << 20))[path]
    assert (greedy.problems, greedy.video_codec) == (("probe_failed",), None)
    assert probe_batch([path], limits=ProbeLimits(memory_bytes=8 << 30))[path].video_codec == "greedy"


def test_without_parsers_every_file_is_answered(clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    answers = probe_batch([clips / "h264.mp4", clips / "no-moov.mp4", clips / "empty.mp4"])
    assert [facts.problems for facts in answers.values()] == [
        ("tools_missing",),
        ("no_index", "tools_missing"),
        ("empty",),
    ]


def test_where_no_child_can_be_started_every_file_is_answered(clips: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    path = clips / "h264.mp4"
    assert probe_batch([path]) == {path: MediaFacts(problems=("probe_failed",))}
    assert isolation().weaker == (probe.NOT_STARTED,)


def test_a_child_is_replaced_after_so_many_files(clips: Path):
    wanted = [clips / name for name in ("h264.mp4", "film.mov", "film.ts")]
    answers = probe_batch(wanted, limits=ProbeLimits(files_per_child=1, lanes=1))
    assert [facts.video_codec for facts in answers.values()] == ["h264"] * 3


# --- how parsers are shut in --------------------------------------------------------------------------------------


PRYING_FFPROBE = """#!{python}
import json, socket
streams = []
for name in {files!r}:
    try:
        streams.append(open(name).read())
    except OSError:
        pass
for name in {files!r} + {batch!r}:
    try:
        open(name, "r+").truncate(0)
        streams.append("written")
    except OSError:
        pass
try:
    socket.create_connection(("127.0.0.1", {port}), 2)
    streams.append("connected")
except OSError:
    pass
print(json.dumps({{"format": {{"format_name": "seen:" + ",".join(streams)}}, "streams": [{{"codec_type": "video"}}]}}))
"""


def test_a_parser_reaches_neither_the_network_nor_other_files(
    clips: Path, tmp_path: Path, put_tool: PutTool, web: tuple[str, list[str]]
):
    weaker = isolation().weaker
    if NETWORK_OPEN in weaker or FILES_OPEN in weaker:
        pytest.skip(f"this kernel does not grant it: {weaker}")
    secret = tmp_path / "register.db"
    secret.write_text("secret")
    port = int(web[0].split(":")[2].split("/")[0])
    path = tmp_path / "a.mp4"
    path.write_bytes((clips / "h264.mp4").read_bytes())
    script = PRYING_FFPROBE.format(python=sys.executable, files=[str(secret)], batch=[str(path)], port=port)
    put_tool("ffprobe", script)
    assert probe_batch([path])[path].container == "seen:"
    assert path.stat().st_size > 0


def test_the_environment_of_a_parser_holds_no_secret(clips: Path, put_tool: PutTool, monkeypatch: pytest.MonkeyPatch):
    for name in ("https_proxy", "HOME", "REGISTER_PASSWORD"):
        monkeypatch.setenv(name, "secret")
    script = "import json, os; print(json.dumps({'format': {'format_name': ' '.join(sorted(os.environ))}}))"
    put_tool("ffprobe", f"#!{sys.executable}\n{script}\n")
    path = clips / "h264.mp4"
    assert probe_batch([path])[path].container == "LC_ALL PATH PYTHONPATH"


def test_ffprobe_is_given_a_file_and_no_other_protocol(clips: Path, put_tool: PutTool):
    script = "import json, sys; print(json.dumps({'format': {'format_name': ' '.join(sys.argv[-3:])}}))"
    put_tool("ffprobe", f"#!{sys.executable}\n{script}\n")
    path = clips / "h264.mp4"
    assert probe_batch([path])[path].container == f"-v error file:{path}"


def test_what_is_weaker_here_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    told = isolation()
    assert (told.ffprobe, told.exiftool) == (True, True)
    assert ("runs_as_root" in told.weaker) == (os.geteuid() == 0)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (isolation().ffprobe, isolation().exiftool) == (False, False)


def test_a_killed_caller_takes_every_parser_along(clips: Path, tmp_path: Path, put_tool: PutTool):
    fifo = tmp_path / "tools" / "started"
    os.mkfifo(fifo)
    put_tool("ffprobe", f"#!/bin/sh\nread word < {fifo}\nsleep 1000\n")
    call = (
        f"from pathlib import Path; from dockd.footage.probe import *; probe_batch([Path({str(clips / 'h264.mp4')!r})])"
    )
    caller = subprocess.Popen([sys.executable, "-c", call], cwd=Path(probe.__file__).parents[2])
    with fifo.open("w") as started:  # returns when the parser has opened the other end
        started.write("go\n")
    handles = [os.pidfd_open(pid) for pid in _descendants(caller.pid)]
    assert len(handles) >= 3, "the child, exiftool and ffprobe"
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    left = set(handles)
    until = time.monotonic() + 20
    while left and time.monotonic() < until:
        left -= set(select.select(list(left), [], [], 1)[0])
    for handle in handles:
        os.close(handle)
    assert not left


def _descendants(pid: int) -> list[int]:
    children = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*children, *(grandchild for child in children for grandchild in _descendants(child))]


# --- the batch ------------------------------------------------------------------------------------------------


def test_each_answer_is_given_as_soon_as_it_is_known_and_all_in_order(clips: Path):
    given: list[Path] = []
    wanted = [clips / "film.ts", Path("relative.mp4"), clips / "h264.mp4", clips / "film.ts"]
    answers = probe_batch(wanted, on_result=lambda path, _: given.append(path))
    assert list(answers) == wanted[:3]
    assert sorted(given) == sorted(wanted[:3])


def test_nothing_is_started_for_nothing():
    assert probe_batch([]) == {}


def test_a_caller_that_fails_leaves_no_parser_behind(clips: Path):
    class Enough(Exception):
        pass

    def fail(*_: object) -> None:
        raise Enough

    before = set(_descendants(os.getpid()))
    with pytest.raises(Enough):
        probe_batch([clips / "film.ts", clips / "h264.mp4", clips / "film.mov"], on_result=fail)
    assert set(_descendants(os.getpid())) <= before
