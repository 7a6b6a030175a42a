"""What is printed: tables for people, JSON for programs, and never a control sequence."""

from __future__ import annotations

import json
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.cli.invocation import Invocation
from dockd.cli.output import cell_text, jsonable, print_listing, print_summary, printable
from dockd.errors import BadValue
from dockd.nouns import Hole, MediaType
from dockd.settings import Settings

COLUMNS = [("device_no", "Recorder"), ("at", "Time")]
TIME = datetime(2026, 11, 23, 2, 5, tzinfo=UTC)


def test_a_listing_as_json_is_one_array_of_whole_rows(capsys: pytest.CaptureFixture[str]) -> None:
    print_listing([{"device_no": "N1", "at": TIME, "more": b"a\xff"}], COLUMNS, as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"device_no": "N1", "at": "2026-11-23T02:05:00+00:00", "more": "a\\xff"}
    ]


def test_a_listing_for_people_has_its_columns_uncut_and_no_trailing_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    print_listing([{"device_no": "N" * 300, "at": None}, {"device_no": "[bold]x", "at": TIME}], COLUMNS, as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["Recorder", "Time"]
    assert "N" * 300 in lines[1]
    assert "[bold]x" in lines[2]
    assert all(line == line.rstrip() for line in lines)


def test_an_empty_listing_is_an_empty_array(capsys: pytest.CaptureFixture[str]) -> None:
    print_listing([], COLUMNS, as_json=True)
    assert json.loads(capsys.readouterr().out) == []


def test_a_summary_is_one_object_or_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary({"files": 3}, [("Files", 3)], as_json=True)
    assert json.loads(capsys.readouterr().out) == {"files": 3}
    print_summary({"files": 3}, [("Files", 3)], as_json=False)
    assert capsys.readouterr().out.split() == ["Files", "3"]


def test_times_are_shown_in_the_stations_zone(settings: Settings) -> None:
    invocation = Invocation(config=settings.file)
    invocation.settings()
    with click.Context(click.Command("x"), obj=invocation):
        assert cell_text(TIME) == "2026-11-23 10:05:00"
        assert jsonable(TIME) == "2026-11-23T10:05:00+08:00"


def test_values_become_what_json_has() -> None:
    assert jsonable({"a": (Hole(0, 5), MediaType.VIDEO, Path("/x"), timedelta(minutes=1), None, True)}) == {
        "a": [{"offset": 0, "length": 5}, "video", "/x", 60.0, None, True]
    }


def test_cells_are_words() -> None:
    assert [cell_text(v) for v in (None, True, ["a", "b"], b"a\nb", "a\tb", 0)] == [
        "",
        "yes",
        "a；b",
        "a\\x0ab",
        "a\\x09b",
        "0",
    ]


@given(st.text(st.characters(codec=None)))
def test_nothing_printed_can_move_the_cursor_or_reorder_text(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert not {c for c in shown if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")} - {"\n"}


# --- times that people type ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-23T14:05", "2026-11-23T14:05:00+08:00"),
        ("2026-11-23 14:05:09", "2026-11-23T14:05:09+08:00"),
        ("2026-11-23", "2026-11-23T00:00:00+08:00"),
        ("2026-11-23T06:05Z", "2026-11-23T06:05:00+00:00"),
        (" 2026-11-23T14:05+09:00 ", "2026-11-23T14:05:00+09:00"),
    ],
)
def test_a_time_without_an_offset_is_in_the_stations_zone(text: str, expected: str, settings: Settings) -> None:
    assert Invocation(config=settings.file).parse_time(text).isoformat() == expected


@pytest.mark.parametrize("text", ["", "yesterday", "23.11.2026", "2026-13-01", "14:05"])
def test_what_is_no_time_is_refused(text: str, settings: Settings) -> None:
    with pytest.raises(BadValue) as raised:
        Invocation(config=settings.file).parse_time(text)
    assert "2026-11-23T14:05" in str(raised.value)


def test_behind_sudo_the_caller_is_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_USER", "wang")
    assert Invocation(config=None).actor == "person:wang"
