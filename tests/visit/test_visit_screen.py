"""What people see of a visit: progress on a terminal, quiet when piped, one line for each file at the end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from bureau import Bureau, media, outcomes

from dockd.cli.screen import phase_words
from dockd.visit.request import Phase

PROFILE = """\
name: acme
title: {en: ACME recorders, zh: ACME 记录仪}
sources: ["a drawer of ACME recorders"]
recognise: {paths: ['ACME/.*'], marks: ['acme\\.id']}
grammars:
  - name: dotted
    pattern: '(?P<device>\\d{7})\\.(?P<officer>\\d{6})\\.(?P<time>\\d{8}T\\d{6})'
    time: '%Y%m%dT%H%M%S'
    examples: ["2107731.012345.20261123T080000.acm"]
extensions: {video: [acm]}
bindings:
  - {path: 'acme\\.id', format: properties, device: recorder}
clock: {container: unreliable, mtime: end}
"""


def words(bureau: Bureau, *more: str) -> list[str]:
    return [sys.executable, "-m", "dockd", "-c", str(bureau.config), "offload", str(bureau.card), *more]


def on_a_terminal(bureau: Bureau) -> tuple[int, str]:
    """Exit code and everything that a real offload shows on a terminal of 100 columns."""
    main, terminal = os.openpty()
    surroundings = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LANG": "en_US.UTF-8"}
    process = subprocess.Popen(words(bureau), stdout=terminal, stderr=terminal, stdin=terminal, env=surroundings)
    os.close(terminal)
    shown = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # the last one with the terminal open has gone
            break
        if not part:
            break
        shown += part
    os.close(main)
    return process.wait(), shown.decode("utf-8")


def test_every_phase_has_its_words() -> None:
    assert set(phase_words()) == {phase.value for phase in Phase}
    assert {code for code, text in phase_words().items() if "may be removed" in text} == {"safe", "describing"}


def test_a_terminal_shows_progress_and_then_a_line_for_each_file(bureau: Bureau) -> None:
    paths = [bureau.record(8 + n / 10, media(str(n), 100_000), number=n) for n in range(4)]
    (bureau.card / "link").symlink_to("/etc")
    code, shown = on_a_terminal(bureau)
    assert code == 0
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert "copying, do not remove" in plain or "stored and verified, may be removed" in plain
    assert re.search(r"\d/5", plain), "files done of all"
    table = plain[plain.rindex("file on the card") :]
    assert table.count("stored and verified ") == len(paths)
    assert all(Path(path).name in table for path in paths)
    assert "not a file: symlink" in table
    assert "The recorder may be removed" in table
    assert '"visit_ended"' not in plain, "the summary says it better"


def test_piped_it_is_quiet_but_for_the_journals_lines(bureau: Bureau) -> None:
    path = bureau.record(8)
    done = subprocess.run(words(bureau, "--json"), capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert outcomes(json.loads(done.stdout)) == {path: "stored"}
    assert [json.loads(line) for line in done.stderr.splitlines()]
    assert "\x1b" not in done.stderr + done.stdout


def test_a_person_reads_in_chinese_where_the_station_does(bureau: Bureau) -> None:
    bureau.record(8)
    shown = bureau.dockd("--lang", "zh", "offload", bureau.card).stdout
    assert "记录仪可以取走" in shown
    assert "may be removed" not in shown


def test_a_new_camera_needs_a_profile_file_in_the_configuration_folder_and_no_code(bureau: Bureau) -> None:
    path = "ACME/2107731.012345.20261123T080000.acm"
    bureau.lay(path, media("acme"))
    bureau.lay("acme.id", b"version=1\n")
    before = bureau.dockd("offload", bureau.card, code=6)
    assert "not registered" in before.stderr
    folder = bureau.folder / "profiles"
    folder.mkdir(exist_ok=True)
    (folder / "acme.yaml").write_text(PROFILE, encoding="utf-8")

    summary = bureau.offload()

    assert (summary["profile"], summary["device_no"], summary["identified_by"]) == ("acme", "YS-07", "file_names")
    record = bureau.said_of(path)
    assert (record["media_type"], record["officers"]) == ("video", ["13012301"])
    assert record["used_from"] == "2026-11-23T08:00:00+08:00"
    bureau.prove(summary)


def test_the_profile_that_a_recorder_is_registered_with_comes_before_what_the_card_looks_like(bureau: Bureau) -> None:
    bureau.dockd("recorder", "add", "YS-11", "--serial", "2107741", "--profile", "boblov")
    path = bureau.record(8, serial="2107741", ext="log")
    bureau.lay("gbpe.prop", b"devNum=2107741\n")
    summary = bureau.offload()
    assert (summary["device_no"], summary["profile"]) == ("YS-11", "boblov")
    assert outcomes(summary)[path] == "stored"


def test_a_wrong_profile_file_is_a_wrong_configuration_that_names_it(bureau: Bureau) -> None:
    bureau.record(8)
    (bureau.folder / "profiles").mkdir(exist_ok=True)
    (bureau.folder / "profiles/acme.yaml").write_text(PROFILE.replace("(?P<device>", "(?P<device"), encoding="utf-8")
    said = bureau.dockd("offload", bureau.card, code=7).stderr
    assert "acme.yaml" in said
    assert "grammars" in said
    assert bureau.json("visit", "list") == []


def test_without_ffprobe_and_exiftool_footage_is_stored_all_the_same(
    bureau: Bureau, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = bureau.record(8, clip)
    monkeypatch.setenv("PATH", str(bureau.folder))
    summary = bureau.offload()
    assert outcomes(summary) == {path: "stored"}
    record = bureau.said_of(path)
    assert record["used_from"] == "2026-11-23T08:00:00+08:00", "the name still speaks"
    assert record["facts"]["problems"]


def test_the_listing_of_the_whole_card_is_fixed_before_the_first_byte(bureau: Bureau) -> None:
    bureau.record(8)
    bureau.lay("DCIM/LOGS/1.log", b"x")
    (bureau.card / "link").symlink_to("/etc")
    summary = bureau.offload()
    (line,) = bureau.ledger_lines("visit.listed")
    assert (line["data"]["entries"], line["data"]["files"]) == (6, 3), "folders are listed too"
    assert line["data"]["bytes"] == sum(file["size"] for file in summary["files"])
    assert re.fullmatch("[0-9a-f]{64}", line["data"]["listing_sha256"])
    order = [one["seq"] for kind in ("visit.listed", "footage.stored") for one in bureau.ledger_lines(kind)]
    assert order == sorted(order)
