"""The form of a ledger line: the same values always give the same bytes, and nothing breaks a line in two."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.nouns import FileOutcome
from dockd.register.chain import START, Head, Line, link, parse, plain

AT = datetime(2026, 11, 23, 10, 0, tzinfo=timezone(timedelta(hours=8)))
ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))  # control characters and lone surrogates too
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=8,
)


def made(data: Any, **changes: Any) -> bytes:
    line = Line(kind="test.told", subject="test:1", data=data, at=AT)
    return link(line, **{"station_no": "S1", "actor": "dockd", "after": Head(), **changes}).raw


def test_a_line_is_json_with_sorted_keys_and_no_blanks() -> None:
    assert made({"名称": "立案", "n": 1}).decode() == (
        '{"actor":"dockd","at":"2026-11-23T02:00:00.000000Z","data":{"n":1,"名称":"立案"},"kind":"test.told",'
        f'"prev":"{START}","seq":1,"station":"S1","subject":"test:1"}}'
    )


def test_a_line_names_the_digest_of_the_line_before() -> None:
    first = link(Line("a.b", "a:1", {}, AT), station_no="S1", actor="dockd", after=Head())
    second = link(Line("a.b", "a:2", {}, AT), station_no="S1", actor="dockd", after=Head(1, first.sha256))
    assert json.loads(second.raw)["prev"] == hashlib.sha256(first.raw).hexdigest() == first.sha256
    assert second.seq == 2


@given(st.dictionaries(ANY_TEXT, VALUES, max_size=4))
def test_any_values_give_one_line_that_reads_back(data: dict[str, Any]) -> None:
    raw = made(data)
    text = raw.decode("utf-8")
    assert text.splitlines() == [text]
    assert not [c for c in text if ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0]
    said = json.loads(raw)
    assert said["data"] == plain(data)
    told = parse(raw)
    assert told is not None
    assert (told.seq, told.at, told.kind, told.subject, told.prev) == (1, AT, "test.told", "test:1", START)


@given(ANY_TEXT, ANY_TEXT)
def test_subject_and_actor_never_hold_control_characters(subject: str, actor: str) -> None:
    line = link(Line("a.b", subject, {}, AT), station_no="S1", actor=actor, after=Head())
    assert json.loads(line.raw)["subject"] == line.subject
    assert not [c for c in line.subject if ord(c) < 0x20]
    line.subject.encode()


def test_values_that_json_lacks_are_written_so_that_they_can_be_read_again() -> None:
    data = {
        "at": AT,
        "day": date(2026, 11, 23),
        "path": b"\xffIMG.MP4",
        "location": PurePosixPath("footage/1.mp4"),
        "outcome": FileOutcome.STORED,
        "holes": ({"offset": 1},),
        "duration": float("nan"),
        "names": frozenset({"b", "a"}),
        "card": "NO\udcffNAME",
    }
    assert json.loads(made(data))["data"] == {
        "at": "2026-11-23T02:00:00.000000Z",
        "day": "2026-11-23",
        "path": {"b64": "/0lNRy5NUDQ="},
        "location": "footage/1.mp4",
        "outcome": "stored",
        "holes": [{"offset": 1}],
        "duration": None,
        "names": ["a", "b"],
        "card": "NO\\udcffNAME",
    }


def test_a_time_without_a_zone_and_things_that_are_no_values_are_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        made({"at": AT.replace(tzinfo=None)})
    for nonsense in (object(), {1: "one"}, {"x": [object()]}):
        with pytest.raises(TypeError):
            made({"data": nonsense})


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        made({}).replace(b'"seq":1', b'"seq":"1"'),
        made({}).replace(b'"seq":1', b'"seq":true'),
        made({}).replace(b"00Z", b"00"),
        made({}).replace(b'"kind":"test.told"', b'"kind":1'),
        made({}).replace(b'"kind"', b'"kinds"'),
        made({})[:-1],
    ],
)
def test_what_is_no_line_is_not_read_as_one(raw: bytes) -> None:
    assert parse(raw) is None


@given(st.binary() | st.text().map(str.encode) | VALUES.map(lambda value: json.dumps(plain(value)).encode()))
def test_reading_any_bytes_never_fails(raw: bytes) -> None:
    parse(raw)


def test_utc_is_kept_to_the_microsecond() -> None:
    at = datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    assert json.loads(made({"at": at}))["data"]["at"] == "2026-01-01T00:00:00.000001Z"
