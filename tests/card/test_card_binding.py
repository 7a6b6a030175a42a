"""Identity files on a card are read as clues, in the encodings that tools write, and never believed when odd."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laid_card import Card

from dockd.card.binding import MAX_BYTES, MAX_FILES, Binding, read_bindings
from dockd.card.profile import load_profiles

PROFILES = load_profiles(None)
GBPE = PROFILES.by_name["gbpe"]

STATION = """[binding]
recorder_serial = TA00716
recorder_model = 执法记录仪 X1 %(evil)s
user_no = JX0227
user_name = 张三
dept_name = 北城大队
sm3 = 0f0f
"""


def read(card, profile=GBPE) -> tuple[Binding, ...]:
    return read_bindings(card.fd, card.listing(), profile)


def test_properties_of_the_recorders_own_app_are_read(card) -> None:
    card.put("gbpe.prop", b"# app\ndevNum=7654321\r\npoliceNumber = 012345\n")
    assert read(card) == (Binding(b"gbpe.prop", "7654321", "012345"),)


def test_numbers_that_mean_unset_are_none(card) -> None:
    card.put("gbpe.prop", b"devNum=8888888\npoliceNumber=000000\n")
    assert read(card) == (Binding(b"gbpe.prop"),)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_stations_binding_file_is_read_in_any_usual_encoding(card, encoding: str) -> None:
    card.put("station_bind.ini", STATION.encode(encoding))
    for profile in PROFILES.by_name.values():
        assert read(card, profile) == (Binding(b"station_bind.ini", "TA00716", "JX0227"),)


def test_a_binding_file_is_never_written_and_its_access_time_stays(card) -> None:
    card.put("station_bind.ini", STATION.encode())
    place = card.root / "station_bind.ini"
    os.utime(place, ns=(1_000_000_000, 1_000_000_000))
    read(card)
    found = place.stat()
    assert (found.st_atime_ns, found.st_mtime_ns) == (1_000_000_000, 1_000_000_000)
    assert place.read_bytes() == STATION.encode()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"recorder_serial = TA00716\n", "malformed"),
        (b"[binding\nrecorder_serial", "malformed"),
        (b"[other]\nrecorder_serial = TA00716\n", "no_section"),
        (b"[binding]\nrecorder_serial = A\nrecorder_serial = B\n", "malformed"),
        (b"[binding]\nrecorder_serial = " + b"9" * 65 + b"\n", "bad_value"),
        (b"[binding]\nrecorder_serial = A\n  B\n", "bad_value"),
        (b"[binding]\nrecorder_serial = A\x1b[2J\n", "bad_value"),
        (b"\xff" * 100, "not_text"),
        (b"[binding]\n\x00\x00", "not_text"),
        (b"[binding]\nrecorder_serial = A\n" + b"#" * MAX_BYTES, "too_large"),
        (b"", "no_section"),
    ],
)
def test_an_odd_file_says_nothing_and_the_reason_is_kept(card, content: bytes, problem: str) -> None:
    card.put("station_bind.ini", content)
    assert read(card) == (Binding(b"station_bind.ini", problem=problem),)


@pytest.mark.parametrize("content", [b"devNum=1\ndevNum=2\n", b"devNum\n", b"\xff\xff\xff"])
def test_odd_properties_say_nothing(card, content: bytes) -> None:
    card.put("gbpe.prop", content)
    assert [one.problem is not None and one.device is None for one in read(card)] == [True]


def test_a_key_that_is_missing_or_empty_is_none(card) -> None:
    card.put("station_bind.ini", b"[BINDING]\nRecorder_Serial = TA00716\nuser_no =\n")
    assert read(card) == (Binding(b"station_bind.ini", "TA00716"),)


def test_a_file_that_is_gone_or_replaced_says_nothing(card, tmp_path: Path) -> None:
    card.put("station_bind.ini", STATION.encode())
    listing = card.listing()
    (card.root / "station_bind.ini").unlink()
    os.symlink("/etc/passwd", card.root / "station_bind.ini")
    assert read_bindings(card.fd, listing, GBPE) == (Binding(b"station_bind.ini", problem="unreadable"),)
    assert read(card) == ()


def test_a_card_full_of_binding_files_does_not_keep_the_reader_busy(card) -> None:
    for number in range(MAX_FILES + 20):
        card.put(f"{number:03d}/station_bind.ini", STATION.encode())
    assert len(read(card)) == MAX_FILES


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400), st.sampled_from(["gbpe.prop", "station_bind.ini"]))
def test_no_content_makes_the_reader_fail(tmp_path_factory, content: bytes, name: str) -> None:
    made = Card(tmp_path_factory.mktemp("card"))
    try:
        made.put(name, content)
        made.put("gbpe.prop", b"[binding]\n" + content)
        assert all(one.problem or one.path for one in read(made))
    finally:
        os.close(made.fd)
