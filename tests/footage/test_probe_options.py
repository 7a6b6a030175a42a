"""What a name or a text would do to parsers if the guards before them were not there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import exiftool
import ffmpeg
import pytest

from dockd.footage.probe import is_safe_name
from dockd.footage.probe_child import PROBE_OPTIONS


def test_a_leading_dash_would_be_an_option_of_ffprobe_without_its_protocol() -> None:
    with pytest.raises(json.JSONDecodeError):  # it tells its version, which is no answer about a file
        ffmpeg.probe("-version")
    with pytest.raises(ffmpeg.Error):  # it looks for a file of that name
        ffmpeg.probe("file:-version", **PROBE_OPTIONS)


def test_a_leading_dash_would_be_an_option_of_exiftool_if_it_were_let_through() -> None:
    with exiftool.ExifTool(common_args=[], config_file="", encoding="utf-8") as tool:
        said = tool.execute("-ver")
    assert said.strip().split(".")[0].isdigit()
    assert not is_safe_name(Path("-ver"))


def test_a_newline_could_write_files_through_exiftool_if_it_were_let_through(tmp_path: Path, clips: Path) -> None:
    out = tmp_path / "written"
    with exiftool.ExifTool(common_args=[], config_file="", encoding="utf-8") as tool:
        tool.execute(f"{clips}/still.jpg\n-W+!\n{out}\n-Make")
    assert out.exists()
    assert not is_safe_name(Path(f"{clips}/still.jpg\n-W+!"))


def test_without_the_list_of_containers_a_concat_script_would_be_followed(tmp_path: Path, clips: Path) -> None:
    os.symlink(clips / "film.ts", tmp_path / "film.ts")
    path = tmp_path / "script.mp4"
    path.write_text("ffconcat version 1.0\nfile film.ts\n")
    unguarded = {name: value for name, value in PROBE_OPTIONS.items() if name != "format_whitelist"}
    assert ffmpeg.probe(f"file:{path}", **unguarded)["format"]["format_name"] == "concat"
    with pytest.raises(ffmpeg.Error):
        ffmpeg.probe(f"file:{path}", **PROBE_OPTIONS)


def test_ffprobe_may_open_files_only(tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1.0,\nhttp://127.0.0.1:9/film.ts\n#EXT-X-ENDLIST\n")
    unlisted = {name: value for name, value in PROBE_OPTIONS.items() if name != "format_whitelist"} | {"v": "warning"}
    with pytest.raises(ffmpeg.Error) as refused:
        ffmpeg.probe(f"file:{path}", **unlisted)
    assert b"'http' not on whitelist 'file'" in refused.value.stderr
