"""Cards as attackers, dying recorders and other programs leave them: all has an outcome, the rest is stored."""

from __future__ import annotations

import base64
import csv
import ctypes
import json
import os
import shutil
import socket
import stat
import struct
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bureau import DOCKED, Bureau, by_path, found_bureau, media, outcomes, run_command
from dock import in_child, once

from dockd.nouns import display_path, path_text
from dockd.offload import pipeline
from dockd.offload.steps import Step

SECRET = b"not on the card"

NAMES = {
    "not UTF-8": b"\xff\xfe\x80.mp4",
    "GB18030": "执法记录".encode("gb18030") + b".log",
    "half a character": "王".encode()[:2] + b".log",
    "an encoded surrogate": b"\xed\xb2\x80.log",
    "newline": b"two\nlines.mp4",
    "carriage return and tab": b"a\r\tb.log",
    "escape sequence": b"\x1b[2J\x1b[31mred.log",
    "right to left": "gpj.\u202e4pm.log".encode(),
    "leading dash": b"-rf.mp4",
    "double dash": b"--help",
    "parent and more": b"..log",
    "three dots": b"...",
    "dots and a blank": b".. ",
    "hidden": b".hidden.log",
    "255 bytes": b"x" * 251 + b".log",
    "255 bytes of Chinese": "长".encode() * 83 + b"xx.log",
    "formula": b"=cmd|' C'!A0.log",
    "formula with plus": b"+1+1.log",
    "formula with at": b"@SUM(1).log",
    "quotes and commas": b"\"a\",'b';c.log",
    "backslashes": b"C:\\new\\x41.log",
    "percent and braces": b"%s{0}{path}%n.log",
    "markup": b"[bold red]x[/] <b>&amp;</b>.log",
    "a temp's name": b"S1-20261123-000001-00001.mp4.part",
    "a manifest's name": b"visit-000001.sha256",
    "no extension": b"NOEXT",
    "a long extension": b"a.mp4mp4mp4mp4",
    "lower twin": b"twin.log",
    "upper twin": b"TWIN.LOG",
    "blank": b" ",
    "emoji": "📹.log".encode(),
    "zero width": "a\u200bb.log".encode(),
    "shell": b"$(touch x)`id`;&|.log",
}


@dataclass
class Seen:
    """What came of one visit of a card with every hostile name on it; tests only look."""

    bureau: Bureau
    summary: dict[str, Any]
    table: str
    content: dict[str, bytes]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder = tmp_path_factory.mktemp("hostile")
    found_bureau(folder / "station")
    bureau = Bureau(folder / "station", run_command, lambda: DOCKED)
    content = {}
    for number, (why, name) in enumerate(NAMES.items()):
        content[path_text(b"DCIM/" + name)] = media(f"{number} {why}")
        bureau.lay(b"DCIM/" + name, media(f"{number} {why}"))
    summary = bureau.offload("--device-no", "YS-07")
    table = bureau.dockd("visit", "show", summary["visit_id"]).stdout
    bureau.dockd("inventory", "export")
    return Seen(bureau, summary, table, content)


# --- names ---------------------------------------------------------------------------------------------------


def test_a_file_with_a_hostile_name_is_stored_like_any_other(seen: Seen) -> None:
    assert seen.summary["outcome"] == "complete"
    assert outcomes(seen.summary) == dict.fromkeys(seen.content, "stored")
    for path, file in by_path(seen.summary).items():
        assert (seen.bureau.store / file["location"]).read_bytes() == seen.content[path]


def test_bytes_that_are_not_utf8_are_told_as_escapes_and_whole_in_base64(seen: Seen) -> None:
    for why, name in NAMES.items():
        file = by_path(seen.summary)[path_text(b"DCIM/" + name)]
        if why in ("not UTF-8", "GB18030", "half a character", "an encoded surrogate"):
            assert base64.b64decode(file["path_b64"]) == b"DCIM/" + name
            assert "\\x" in file["path"]
        else:
            assert "path_b64" not in file
            assert file["path"].encode() == b"DCIM/" + name


def test_the_table_has_one_line_for_each_file_and_no_control_character(seen: Seen) -> None:
    body = seen.table.split("Visit 1,")[0]
    assert not [c for c in seen.table if unicodedata.category(c) == "Cc" and c != "\n"]
    assert "\u202e" not in seen.table
    assert body.count("stored and verified") == len(NAMES)
    assert len(body.strip().splitlines()) == len(NAMES) + 1
    for name in (b"-rf.mp4", b"...", b"[bold red]x[/] <b>&amp;</b>.log", b"two\nlines.mp4", b"x" * 251 + b".log"):
        assert display_path(b"DCIM/" + name) in body


def test_no_name_from_a_card_is_part_of_a_path_in_the_store(seen: Seen) -> None:
    for file in seen.summary["files"]:
        folder, _, name = file["location"].rpartition("/")
        assert folder == "footage/2026/11/23/YS-07"
        assert name.partition(".")[0] == file["file_no"]
        assert name.rpartition(".")[2] in ("mp4", "log", "bin", "sha256")
    inside = {path.relative_to(seen.bureau.store).parts[0] for path in seen.bureau.store.rglob("*")}
    assert inside == {".dockd", "footage", "ledger"}


def test_names_that_differ_in_case_only_are_two_files(seen: Seen) -> None:
    twins = [by_path(seen.summary)[f"DCIM/{name}"] for name in ("twin.log", "TWIN.LOG")]
    assert len({twin["location"] for twin in twins}) == len({twin["record_id"] for twin in twins}) == 2


def test_after_hostile_names_store_ledger_and_manifest_still_prove(seen: Seen) -> None:
    seen.bureau.prove(seen.summary)
    manifest = (seen.bureau.store / seen.summary["manifest"]).read_text(encoding="ascii")
    assert len(manifest.splitlines()) == len(NAMES)


def test_the_inventory_has_one_row_for_each_hostile_name_and_no_formula(seen: Seen) -> None:
    with open(seen.bureau.folder / "exports/inventory.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(NAMES)
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r")]
    assert {row["digest"] for row in rows} == {file["sha256"] for file in seen.summary["files"]}


def test_frictionless_validates_the_inventory_of_hostile_names(seen: Seen) -> None:
    from frictionless import validate

    report = validate(str(seen.bureau.folder / "exports/datapackage.json"))
    assert report.valid, report.flatten(["rowNumber", "fieldName", "message"])


def test_a_second_visit_of_hostile_names_reads_nothing(seen: Seen) -> None:
    again = seen.bureau.offload("--device-no", "YS-07")
    assert again["bytes_read"] == 0
    assert outcomes(again) == dict.fromkeys(seen.content, "already_stored")


# --- what is not a file ----------------------------------------------------------------------------------------


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the card, with a secret in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.mp4").write_bytes(media(SECRET))
    return folder


def require_left_out(bureau: Bureau, path: str, kind: str, *, code: int = 0) -> None:
    """``path`` is named as what it is, everything else is stored, and a person is told."""
    good = bureau.record(8, ext="log")
    summary = bureau.offload("--device-no", "YS-07", code=code)
    found = by_path(summary)
    assert (found[path]["outcome"], found[path]["reason"]) == ("skipped", f"not_a_file:{kind}")
    assert found[path]["location"] is found[path]["sha256"] is None
    assert found[good]["outcome"] == "stored"
    table = bureau.dockd("visit", "show", summary["visit_id"]).stdout
    assert f"not a file: {kind}" in next(line for line in table.splitlines() if path in line)
    assert [a["device_no"] for a in bureau.alerts("not_a_file_on_card")] == ["YS-07"]
    assert not bureau.holds(SECRET)
    bureau.prove(summary)


@pytest.mark.parametrize("target", ["secret.mp4", ".", "nothing"])
def test_a_symlink_to_the_outside_is_named_and_never_followed(bureau: Bureau, outside: Path, target: str) -> None:
    (bureau.card / "DCIM").mkdir()
    (bureau.card / "DCIM/link.mp4").symlink_to(outside / target)
    require_left_out(bureau, "DCIM/link.mp4", "symlink")


@pytest.mark.parametrize("target", ["self.mp4", "..", "DCIM", "100ANDRO"])
def test_a_symlink_that_leads_back_into_the_card_is_named_and_never_followed(bureau: Bureau, target: str) -> None:
    (bureau.card / "DCIM/100ANDRO").mkdir(parents=True)
    (bureau.card / "DCIM/self.mp4").symlink_to(target)
    require_left_out(bureau, "DCIM/self.mp4", "symlink")


def test_a_fifo_is_named_and_never_waited_for(bureau: Bureau) -> None:
    os.mkfifo(bureau.card / "pipe.mp4")
    require_left_out(bureau, "pipe.mp4", "fifo")


def test_a_socket_is_named(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bureau.card)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.mp4")
        require_left_out(bureau, "socket.mp4", "socket")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes device nodes")
@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_a_device_node_is_named_and_never_opened(bureau: Bureau, kind: int) -> None:
    os.mknod(bureau.card / "device.mp4", kind | 0o666, os.makedev(1, 5) if kind == stat.S_IFCHR else os.makedev(7, 200))
    require_left_out(bureau, "device.mp4", "device")


def test_names_of_index_files_cannot_hide_what_is_not_a_file(bureau: Bureau, outside: Path) -> None:
    (bureau.card / "Thumbs.db").symlink_to(outside / "secret.mp4")
    require_left_out(bureau, "Thumbs.db", "symlink")


# --- depth and directories ---------------------------------------------------------------------------------------


def test_a_file_200_directories_deep_is_stored(bureau: Bureau) -> None:
    folder = "directory-with-a-long-name-0123456789"
    fd = os.open(bureau.card, os.O_RDONLY)
    for _ in range(200):
        os.mkdir(folder, dir_fd=fd)
        inner = os.open(folder, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    with open(os.open("deep.log", os.O_WRONLY | os.O_CREAT, dir_fd=fd), "wb") as file:
        file.write(media("deep"))
    os.utime("deep.log", (1_790_000_000, 1_790_000_000), dir_fd=fd)
    os.close(fd)

    summary = bureau.offload("--device-no", "YS-07")

    path = "/".join([folder] * 200 + ["deep.log"])
    assert len(path) > 4096
    assert outcomes(summary) == {path: "stored"}
    assert path in bureau.dockd("visit", "show", summary["visit_id"]).stdout
    assert bureau.offload("--device-no", "YS-07")["bytes_read"] == 0
    bureau.dockd("inventory", "export")
    bureau.prove(summary)
    shutil.rmtree(bureau.card)


def without_override(act: Callable[[], None]) -> int:
    """Does ``act`` in a child to which the modes of files apply, root or not; returns its exit code."""

    def life() -> None:
        header = struct.pack("=Ii", 0x20080522, 0)
        words = ctypes.create_string_buffer(24)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.capget(header, words) == 0
        sets = list(struct.unpack("=6I", words.raw))
        for index in (0, 1):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, effective and permitted
            sets[index] &= ~0b110
        assert libc.capset(header, ctypes.create_string_buffer(struct.pack("=6I", *sets), 24)) == 0
        act()

    return in_child(life)


def test_an_unreadable_directory_and_file_are_named_and_the_rest_is_stored(bureau: Bureau, tmp_path: Path) -> None:
    good = bureau.record(8, ext="log")
    bureau.lay("DCIM/closed/in.log", media("in"))
    bureau.lay("DCIM/locked.log", media("locked"))
    (bureau.card / "DCIM/closed").chmod(0)
    (bureau.card / "DCIM/locked.log").chmod(0)
    answer = tmp_path / "answer.json"

    def act() -> None:
        result = bureau.run("offload", bureau.card, "--device-no", "YS-07", "--json", config=bureau.config)
        answer.write_text(json.dumps([result.exit_code, result.stdout, result.stderr]), encoding="utf-8")

    assert without_override(act) == 0
    code, out, err = json.loads(answer.read_text(encoding="utf-8"))
    assert code == 3, err
    summary = json.loads(out)
    assert summary["outcome"] == "partial"
    found = by_path(summary)
    assert found[good]["outcome"] == "stored"
    assert (found["DCIM/closed"]["outcome"], found["DCIM/closed"]["reason"]) == ("unreadable", "cannot_list:EACCES")
    locked = found["DCIM/locked.log"]
    assert (locked["outcome"], locked["reason"], locked["location"]) == ("unreadable", "unreadable_at:0", None)
    (alert,) = bureau.alerts("unreadable_file")
    assert alert["device_no"] == "YS-07"
    table = bureau.dockd("visit", "show", summary["visit_id"]).stdout
    assert "cannot be listed: EACCES" in table
    assert table.count("NOT stored") == 2
    bureau.prove(summary)
    # The trouble gone, the next visit stores the rest.
    (bureau.card / "DCIM/closed").chmod(0o755)
    (bureau.card / "DCIM/locked.log").chmod(0o644)
    assert outcomes(bureau.offload("--device-no", "YS-07")) == {
        good: "already_stored",
        "DCIM/closed/in.log": "stored",
        "DCIM/locked.log": "stored",
    }


# --- media that is not whole ---------------------------------------------------------------------------------------


def test_half_written_empty_and_orphaned_media_are_stored_remarked_and_alerted(bureau: Bureau, clip: Path) -> None:
    whole = clip.read_bytes()
    half = bureau.record(8, whole[: len(whole) // 2], number=1)
    empty = bureau.record(8.2, b"", number=2)
    bureau.lay("DCIM/100ANDRO/0003.srt", b"1\n00:00:00,000 --> 00:00:01,000\nGPS\n")  # its film is missing
    noise = bureau.record(8.4, b"\xa5" * 5000, number=4)

    summary = bureau.offload()

    assert set(outcomes(summary).values()) == {"stored"}
    assert summary["outcome"] == "complete"
    assert "media:" in bureau.said_of(half)["remark"]
    assert "media:empty" in bureau.said_of(empty)["remark"]
    assert "media:" in bureau.said_of(noise)["remark"]
    assert by_path(summary)[empty]["size"] == 0
    (alert,) = bureau.alerts("damaged_media")
    assert (alert["visit_id"], alert["device_no"]) == (1, "YS-07")
    assert bureau.offload()["bytes_read"] == 0
    bureau.prove(summary)


@pytest.fixture
def slow_to_examine(bureau: Bureau, clip: Path, put_tool: Callable[[str, str], Path]) -> Callable[[int, int], str]:
    """Gives the path of a recording at which ffprobe sleeps for so long first, and how long it may take."""
    real = shutil.which("ffprobe")

    def record(sleep_s: int, deadline_s: int) -> str:
        bureau.configure(f"probe: {{deadline_s: {deadline_s}}}")
        put_tool("ffprobe", f'#!/bin/sh\nsleep {sleep_s}\nexec {real} "$@"\n')
        return bureau.record(8, clip.read_bytes())

    return record


def test_what_could_not_be_examined_is_not_called_damaged(
    bureau: Bureau, slow_to_examine: Callable[[int, int], str]
) -> None:
    path = slow_to_examine(1000, 1)

    summary = bureau.offload()

    assert outcomes(summary) == {path: "stored"}
    assert bureau.said_of(path)["remark"] == "probe:timeout"
    assert bureau.alerts("damaged_media") == []
    (alert,) = bureau.alerts("not_examined")
    assert alert["severity"] == "notice"
    bureau.prove(summary)


@pytest.mark.slow
def test_what_was_not_examined_in_time_is_given_more_time_once(
    bureau: Bureau, slow_to_examine: Callable[[int, int], str]
) -> None:
    path = slow_to_examine(5, 5)
    bureau.offload()
    assert not bureau.said_of(path)["remark"]
    assert bureau.said_of(path)["duration_s"]
    assert not bureau.alerts("not_examined")


def test_media_in_trash_recovery_and_temp_folders_is_stored_remarked_and_alerted(bureau: Bureau, clip: Path) -> None:
    places = {
        "$RECYCLE.BIN/S-1-5-21/$R1.MP4": "trash",
        "FOUND.000/FILE0000.CHK": "recovered",
        "DCIM/SEGTEMP/1.mp4": "temp",
        "System Volume Information/x.bin": "system",
    }
    for path in places:
        bureau.lay(path, clip.read_bytes() + path.encode())

    summary = bureau.offload("--device-no", "YS-07")

    assert outcomes(summary) == dict.fromkeys(places, "stored")
    for path, place in places.items():
        record = bureau.said_of(path)
        assert (record["media_type"], record["place_on_card"]) == ("video", place)
        assert f"place:{place}" in record["remark"]
    (alert,) = bureau.alerts("media_in_unusual_place")
    assert alert["device_no"] == "YS-07"
    bureau.prove(summary)


def test_only_index_files_of_operating_systems_are_left_out_and_only_if_they_are_no_media(bureau: Bureau) -> None:
    bureau.lay("Thumbs.db", b"\xd0\xcf\x11\xe0 index")
    bureau.lay(".DS_Store", media("hidden film"))
    bureau.lay("DCIM/LOGS/20261123.log", b"power on")

    summary = bureau.offload("--device-no", "YS-07")

    found = by_path(summary)
    assert outcomes(summary) == {"Thumbs.db": "skipped", ".DS_Store": "stored", "DCIM/LOGS/20261123.log": "stored"}
    assert found["Thumbs.db"]["reason"] == "system_index:windows_thumbnails"
    assert "index file of an operating system" in bureau.dockd("visit", "show", 1).stdout
    bureau.prove(summary)


# --- the same again -------------------------------------------------------------------------------------------------


def test_one_name_with_two_contents_and_one_content_under_two_names_are_all_recordings(bureau: Bureau) -> None:
    same_name = [
        bureau.record(8, media("one"), folder="DCIM/100ANDRO"),
        bureau.record(8, media("two"), folder="DCIM/102ANDRO"),
    ]
    same_bytes = [bureau.record(9, media("both"), number=7), bureau.record(9, media("both"), number=8)]

    summary = bureau.offload()

    found = by_path(summary)
    assert set(outcomes(summary).values()) == {"stored"}
    files = [found[path] for path in same_name + same_bytes]
    for what in ("record_id", "file_no", "location"):
        assert len({file[what] for file in files}) == 4
    assert found[same_bytes[0]]["sha256"] == found[same_bytes[1]]["sha256"]
    assert all((bureau.store / file["location"]).is_file() for file in files)
    bureau.prove(summary)


def test_two_recordings_of_one_second_are_two_records(bureau: Bureau) -> None:
    first, second = (bureau.record(8, media(str(n)), number=n) for n in (1, 2))
    summary = bureau.offload()
    assert outcomes(summary) == {first: "stored", second: "stored"}
    assert len({r["record_id"] for r in bureau.records() if r["used_from"] == "2026-11-23T08:00:00+08:00"}) == 2


# --- a card that changes while it is read --------------------------------------------------------------


@pytest.fixture
def slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader is never more than one small chunk ahead of the writer."""
    monkeypatch.setattr(pipeline, "CHUNK", 64 << 10)
    monkeypatch.setattr(pipeline, "_BUFFERS", 1)


def once_at(step: Step, act: Callable[[], object]) -> Callable[[Step], None]:
    """``act`` when ``step`` is passed for the first time."""
    do = once(lambda: (act(), None)[1])
    return lambda now: do() if now is step else None


def require_changed(bureau: Bureau, path: str, good: str, shown: dict[str, Any]) -> None:
    found = by_path(shown)
    assert (found[path]["outcome"], found[path]["reason"]) == ("unreadable", "changed_while_read")
    assert found[path]["location"] is None
    assert found[good]["outcome"] == "stored"
    assert (shown["outcome"], shown["safe_at"]) == ("partial", None)
    table = bureau.dockd("visit", "show", shown["visit_id"]).stdout
    assert "changed while it was read" in table
    assert "Not everything is stored" in table
    assert [a["kind"] for a in bureau.alerts("unreadable_file")] == ["unreadable_file"]
    bureau.prove(shown)
    again = bureau.offload("--device-no", "YS-07")
    assert by_path(again)[path]["outcome"] == "stored"
    assert again["safe_at"]
    assert (bureau.store / by_path(again)[path]["location"]).read_bytes() == (bureau.card / path).read_bytes()
    bureau.prove(again)


@pytest.mark.usefixtures("slow_reader")
def test_a_file_that_grows_while_it_is_read_is_named_and_stored_whole_by_the_next_visit(bureau: Bureau) -> None:
    path, good = bureau.record(8, media("grows", 1 << 20), ext="log"), bureau.record(9, ext="log")

    def grow() -> None:
        with open(bureau.card / path, "ab") as file:
            file.write(b"more")

    shown = bureau.attend(passed=once_at(Step.CHUNK_WRITTEN, grow), device_no="YS-07")
    require_changed(bureau, path, good, shown)


@pytest.mark.usefixtures("slow_reader")
def test_a_file_that_shrinks_while_it_is_read_is_named_and_stored_whole_by_the_next_visit(bureau: Bureau) -> None:
    path, good = bureau.record(8, media("shrinks", 1 << 20), ext="log"), bureau.record(9, ext="log")
    shrink = once_at(Step.CHUNK_WRITTEN, lambda: os.truncate(bureau.card / path, 1000))
    shown = bureau.attend(passed=shrink, device_no="YS-07")
    require_changed(bureau, path, good, shown)


@pytest.mark.usefixtures("slow_reader")
def test_a_file_that_is_rewritten_in_its_length_while_it_is_read_is_not_stored_as_a_mixture(bureau: Bureau) -> None:
    path, good = bureau.record(8, media("before", 1 << 20), ext="log"), bureau.record(9, ext="log")
    rewrite = once_at(Step.CHUNK_WRITTEN, lambda: (bureau.card / path).write_bytes(media("after", 1 << 20)))
    shown = bureau.attend(passed=rewrite, device_no="YS-07")
    require_changed(bureau, path, good, shown)


def test_a_file_that_became_a_symlink_after_the_listing_is_not_followed_and_the_visit_not_called_safe(
    bureau: Bureau, outside: Path
) -> None:
    path, good = bureau.record(8, ext="log"), bureau.record(9, ext="log")

    def swap() -> None:
        (bureau.card / path).unlink()
        (bureau.card / path).symlink_to(outside / "secret.mp4")

    shown = bureau.attend(passed=once_at(Step.PLAN_KEPT, swap), device_no="YS-07")

    found = by_path(shown)
    assert (found[path]["outcome"], found[path]["reason"]) == ("unreadable", "card_file_replaced")
    assert found[good]["outcome"] == "stored"
    assert shown["outcome"] == "partial"
    assert shown["safe_at"] is None, "a new listing may show what can be read"
    assert "is no longer the listed file" in bureau.dockd("visit", "show", shown["visit_id"]).stdout
    assert not bureau.holds(SECRET)
    bureau.prove(shown)


def test_a_folder_that_became_a_symlink_after_the_listing_is_not_followed(bureau: Bureau, outside: Path) -> None:
    bureau.lay("DCIM/secret.mp4", media("own"))

    def swap() -> None:
        (bureau.card / "DCIM").rename(bureau.folder / "gone")
        (bureau.card / "DCIM").symlink_to(outside)

    shown = bureau.attend(passed=once_at(Step.PLAN_KEPT, swap), device_no="YS-07")

    assert by_path(shown)["DCIM/secret.mp4"]["reason"] == "card_file_replaced"
    assert not bureau.holds(SECRET)


def test_a_file_that_vanished_after_the_listing_is_named(bureau: Bureau) -> None:
    path, good = bureau.record(8, ext="log"), bureau.record(9, ext="log")
    gone = once_at(Step.PLAN_KEPT, lambda: (bureau.card / path).unlink())
    shown = bureau.attend(passed=gone, device_no="YS-07")
    assert outcomes(shown) == {path: "unreadable", good: "stored"}
    bureau.prove(shown)


# --- cards with little on them, and what is no card ----------------------------------------------------


def test_an_empty_card_is_a_complete_visit(bureau: Bureau) -> None:
    summary = bureau.offload("--device-no", "YS-07")
    assert (summary["outcome"], summary["files"], summary["manifest"]) == ("complete", [], None)
    assert summary["safe_at"]
    assert bureau.dockd("offload", bureau.card, "--device-no", "YS-07").stdout.count("may be removed") == 1
    bureau.prove(summary)


def test_a_card_of_empty_folders_is_a_complete_visit(bureau: Bureau) -> None:
    (bureau.card / "DCIM/100ANDRO").mkdir(parents=True)
    assert bureau.offload("--device-no", "YS-07")["outcome"] == "complete"


def wrong_paths(bureau: Bureau) -> dict[str, tuple[Path, str]]:
    """PATHs that cannot be a card, with a word of the message."""
    file = bureau.lay("file.mp4", media())
    link = bureau.folder / "link"
    link.symlink_to(bureau.store)
    return {
        "missing": (bureau.folder / "nothing\nthere", "there is nothing at"),
        "file": (file, "is not a directory"),
        "below a file": (file / "x", "is not a directory"),
        "store": (bureau.store, "overlaps with the store"),
        "link to the store": (link, "overlaps with the store"),
        "in the store": (bureau.store / ".dockd", "overlaps with the store"),
        "around the store": (bureau.folder, "overlaps with the store"),
        "root": (Path("/"), "overlaps with the store"),
    }


@pytest.mark.parametrize(
    "which",
    ["missing", "file", "below a file", "store", "link to the store", "in the store", "around the store", "root"],
)
def test_a_path_that_is_no_card_is_wrong_use_and_leaves_no_trace(bureau: Bureau, which: str) -> None:
    path, words = wrong_paths(bureau)[which]
    before = bureau.json("ledger", "head")
    result = bureau.dockd("offload", path, code=2)
    assert words in result.stderr
    assert "Hint:" in result.stderr
    assert "Traceback" not in result.stderr
    assert bureau.json("visit", "list") == []
    assert bureau.json("ledger", "head") == before


def test_a_card_whose_own_path_is_not_utf8_is_stored(bureau: Bureau) -> None:
    odd = os.path.join(os.fsencode(bureau.folder.parent), b"card \xff\xfe\n")
    os.rename(bureau.card, odd)
    bureau.card = Path(os.fsdecode(odd))
    path = bureau.record(8, ext="log")
    summary = bureau.offload()
    assert outcomes(summary) == {path: "stored"}
    bureau.prove(summary)


def test_an_unregistered_number_is_wrong_use_and_leaves_no_visit(bureau: Bureau) -> None:
    bureau.record(8, ext="log")
    for number in ("YS-99", "", "\udcff", "8888888", "x" * 5000):
        assert (
            "no recorder with the number" in bureau.dockd("offload", bureau.card, "--device-no", number, code=2).stderr
        )
    assert bureau.json("visit", "list") == []


def test_a_visit_changes_nothing_on_the_card(bureau: Bureau) -> None:
    bureau.record(8, ext="log")
    bureau.lay("gbpe.prop", b"devNum=2107731\n")
    bureau.lay("Thumbs.db", b"index")

    def look() -> dict[str, tuple[Any, ...]]:
        every = (bureau.card, *bureau.card.rglob("*"))
        return {
            str(p): (s.st_mode, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_atime_ns)
            for p in every
            for s in [p.lstat()]
        }

    before = look()
    bureau.offload()
    bureau.offload()
    assert look() == before


def test_dates_that_no_register_could_hold_are_taken_as_they_are(bureau: Bureau) -> None:
    shm = Path("/dev/shm")
    if not shm.is_dir():
        pytest.skip("no tmpfs to lay such a card on")
    folder = shm / f"dockd-card-{os.getpid()}"
    folder.mkdir()
    try:
        file = folder / "far.mp4"
        file.write_bytes(media("far"))
        os.utime(file, (2**40, 2**62))
        summary = bureau.offload("--device-no", "YS-07", card=folder)
        assert outcomes(summary) == {"far.mp4": "stored"}
        bureau.prove(summary)
    finally:
        shutil.rmtree(folder)
