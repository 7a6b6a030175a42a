"""A visit's listing as a file: everything comes back out of it, and nothing is put in its place."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.errors import StoredFileAltered
from dockd.export.visitfile import parse_visit, render_visit, write_visit
from dockd.register.listings import Kept, Seen, VisitListing

AT = datetime(2026, 11, 23, 2, 0, 0, 7, tzinfo=UTC)

texts = st.none() | st.text(max_size=20)
times = st.none() | st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
sizes = st.integers(0, 2**63 - 1)
holes = st.lists(st.fixed_dictionaries({"offset": sizes, "length": sizes}), max_size=3).map(tuple)
kept = st.builds(
    Kept,
    state=st.sampled_from(["stored", "done", "copying"]),
    outcome=st.none() | st.sampled_from(["stored", "unreadable", "skipped"]),
    reason=texts,
    temp=texts,
    final=texts,
    file_no=texts,
    sha256=texts,
    size=st.none() | sizes,
    verified_via=texts,
    verified_at=times,
    holes=holes,
    attempts=st.integers(0, 9),
)
entries = st.builds(
    Seen,
    observation_id=sizes,
    seq=sizes,
    path=st.binary(min_size=1, max_size=40),
    type=st.sampled_from(["file", "directory"]),
    size=sizes,
    mtime_ns=st.integers(-(2**63), 2**63 - 1),
    inode=st.integers(0, 2**64 - 1).map(str),
    error=texts,
    media=texts,
    place=texts,
    kept=st.none() | kept,
    record_id=st.none() | sizes,
    location=texts,
)


def listing(*seen: Seen) -> VisitListing:
    return VisitListing(
        visit_id=7,
        station_no="S1",
        card_instance="card",
        opened_at=AT,
        docked_at=AT - timedelta(minutes=1),
        first_byte_at=None,
        safe_at=AT + timedelta(minutes=1),
        stored_at=None,
        device_no="YS-07",
        identified_by="file_names",
        bay=None,
        source="dock",
        profile="gbpe",
        person="person:tester",
        note=None,
        outcome="complete",
        reason=None,
        bytes_read=3,
        bytes_stored=2,
        manifest=None,
        entries=seen,
    )


def seen(path: bytes = b"DCIM/1.mp4", outcome: str | None = "stored") -> Seen:
    said = Kept(state="stored", outcome=outcome)
    return Seen(observation_id=1, seq=1, path=path, type="file", size=2, mtime_ns=3, inode="4", kept=said)


@given(st.lists(entries, max_size=4))
def test_what_is_rendered_is_read_back_whole(found: list[Seen]) -> None:
    said = listing(*found)
    data = render_visit(said)
    assert parse_visit(data) == said
    assert render_visit(parse_visit(data)) == data


@given(st.binary(min_size=1, max_size=60))
def test_no_name_on_a_card_reaches_a_terminal_as_a_control(path: bytes) -> None:
    text = render_visit(listing(seen(path))).decode()
    assert all(c == "\n" or c.isprintable() or ord(c) > 0xFF for c in text)
    assert not set(text) & set("\u200e\u202e\u2028\u2066\ufeff\x9b\x7f")


def test_an_entry_stands_on_a_line_of_its_own_and_says_its_outcome() -> None:
    folder = replace(seen(b"DCIM"), type="directory", kept=None)
    lines = render_visit(listing(folder, seen("现场\n.mp4".encode()), seen(b"\xff", None))).decode().splitlines()
    said = [json.loads(line.strip().rstrip(",")) for line in lines if line.startswith("  {")]
    assert [one.get("outcome", "none") for one in said] == ["none", "stored", None]
    assert said[1]["path"] == "现场\n.mp4"
    assert (said[2]["path"], said[2]["path_b64"]) == ("\\xff", "/w==")
    assert json.loads("\n".join(lines))["counts"] == {"stored": 1, "pending": 1}


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"\xff", b'{"schema": "dockd.visit/2"}', b'{"schema": "dockd.visit/1", "entries": 5}'],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_visit(data)


def test_it_is_written_once_read_only_and_the_same_again_is_no_error(tmp_path: Path) -> None:
    path = tmp_path / "visit-000007.json"
    first = write_visit(str(path), listing(seen()))
    assert path.stat().st_mode & 0o777 == 0o440
    assert write_visit(str(path), listing(seen())) == first
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_one_that_a_crash_left_is_taken_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "visit-000007.json"
    first = write_visit(str(path), listing(seen()))
    data = path.read_bytes()
    assert write_visit(str(path), replace(listing(), outcome="partial")) == first
    assert path.read_bytes() == data


@pytest.mark.parametrize("standing", [b"strange", render_visit(replace(listing(), visit_id=8))])
def test_what_speaks_of_something_else_is_kept_and_told(tmp_path: Path, standing: bytes) -> None:
    path = tmp_path / "visit-000007.json"
    path.write_bytes(standing)
    with pytest.raises(StoredFileAltered):
        write_visit(str(path), listing())
    assert path.read_bytes() == standing
