"""A new camera needs a file and no code; a file that is wrong is refused with its place and what is expected."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from laid_card import NOW

from dockd.card.patterns import MAX_PATTERN, MAX_TEXT, PatternRefused, compile_pattern, matches
from dockd.card.profile import load_profiles
from dockd.errors import Exit, ProfileInvalid
from dockd.nouns import Entry, EntryType, Listing, MediaType, Place, Reading

GOOD = r"""
name: county
title: {en: "County recorder", zh: "县局记录仪"}
sources: ["seen on a card, 2026"]
recognise:
  paths: ['REC/.*']
  labels: ['COUNTY\d+']
grammars:
  - name: clip
    pattern: 'C(?P<device>\d{4})-(?P<officer>\w{4})-(?P<date>\d{6})-(?P<clock>\d{4})(?P<mark>!)?'
    time: '%y%m%d %H%M'
    examples: ["C0042-AB12-261123-0930!.vid"]
reserved: ["0042"]
extensions:
  video: [vid]
paths:
  log: ['REC/journal']
places:
  temp: ['REC/cache/.*']
bindings:
  - {path: 'owner\.txt', format: properties, device: number}
clock: {container: local_as_utc, mtime: start}
"""


def load(tmp_path: Path, text: str | bytes, name: str = "county.yaml"):
    raw = text if isinstance(text, bytes) else text.encode()
    (tmp_path / name).write_bytes(raw)
    return load_profiles(tmp_path)


def refusal(tmp_path: Path, text: str | bytes) -> ProfileInvalid:
    with pytest.raises(ProfileInvalid) as caught:
        load(tmp_path, text)
    assert caught.value.exit_code is Exit.CONFIG
    assert str(tmp_path / "county.yaml") in str(caught.value)
    assert caught.value.render_hint(lambda text: text)
    return caught.value


def test_a_new_camera_is_a_file_in_the_folder(tmp_path: Path) -> None:
    profiles = load(tmp_path, GOOD)
    entry = Entry(b"REC/C0007-AB12-261123-0930!.vid", EntryType.FILE, size=1)
    listing = Listing((entry, Entry(b"REC/C0042-AB12-261123-0930.vid", EntryType.FILE), entry), NOW)
    profile = profiles.choose(listing, "COUNTY7", None)
    said = profile.classify(entry)
    assert profile.name == "county"
    assert said.media is MediaType.VIDEO
    assert said.parsed.grammar == "county/clip"
    assert said.parsed.readings == (Reading("0007", "AB12"),)
    assert (said.parsed.time_text, said.parsed.wall.isoformat()) == ("261123 0930", "2026-11-23T09:30:00")
    assert (said.parsed.important, said.parsed.unmarked) == (True, "C0007-AB12-261123-0930.vid")
    assert profile.classify(listing.entries[1]).parsed.readings == (Reading(None, "AB12"),)
    assert profile.classify(Entry(b"REC/cache/x", EntryType.FILE)).place is Place.TEMP
    assert profile.classify(Entry(b"REC/journal", EntryType.FILE)).media is MediaType.LOG


def test_a_file_of_a_shipped_name_replaces_the_shipped_profile(tmp_path: Path) -> None:
    mine = GOOD.replace("name: county", "name: boblov", 1)
    profiles = load(tmp_path, mine)
    assert profiles.by_name["boblov"].title_en == "County recorder"
    assert set(profiles.names) == set(load_profiles(None).names)


def test_a_folder_that_is_not_there_or_holds_other_files_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a profile")
    (tmp_path / ".hidden.yaml").write_text("{")
    assert load_profiles(tmp_path).names == load_profiles(tmp_path / "absent").names


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert "county" in load(tmp_path, b"\xef\xbb\xbf" + GOOD.encode()).names


@pytest.mark.parametrize(
    ("old", "new", "key", "problem", "expected"),
    [
        ("sources:", "source:", "source", "unknown key", "sources"),
        ("    time:", "    tiem:", "grammars.0.tiem", "unknown key", "time"),
        ("clock: {container", "clock: {contaner", "clock.contaner", "unknown key", "container"),
        ("name: county\n", "", "name", "is missing", "this key"),
        ("name: county\n", "name: 'Two Words'\n", "name", "Two Words is not acceptable", "[a-z0-9]"),
        ('reserved: ["0042"]', "reserved: [0042]", "reserved.0", "is not a text", "in quotes"),
        ("device: number", "device: no", "bindings.0.device", "is not a text", "quotes"),
        ("local_as_utc", "gmt", "clock.container", "gmt is unknown", "'utc'"),
        ("  video:", "  film:", "extensions.film", "film is unknown", "'video'"),
        ("  temp:", "  trahs:", "places.trahs", "trahs is unknown", "'trash'"),
        (r"(?P<device>\d{4})", r"(?P<device>\d{4}", "grammars.0.pattern", "not a regular expression", "Python's"),
        ("?P<device>", "?P<serial>", "grammars.0", "unknown group serial", "device"),
        ("?P<device>", "?P<a>", "grammars.0", "a without b", "both"),
        ("?P<device>", "?P<either>", "grammars.0", "order", "either"),
        ("?P<date>", "?P<time>", "grammars.0", "time beside", "the group time"),
        ("    time: '%y%m%d %H%M'\n", "", "grammars.0", "do not fit", "a time format"),
        ("%y%m%d %H%M", "%y%m%d %H%M%z", "grammars.0", "%z", "%Y"),
        ("0930!.vid", "9930!.vid", "grammars.0", "C0042-AB12-261123-9930!.vid is not read", "examples"),
        ("'REC/.*'", "'(?:R+)+'", "recognise.paths.0", "inside another repeat", "Python's"),
        ("format: properties", "format: ini", "bindings.0", "do not fit", "section"),
        (", device: number", "", "bindings.0", "nothing is read", "device"),
        ("format: properties", "format: registry", "bindings.0.format", "registry is unknown", "'ini'"),
        ("video: [vid]", "video: [vid, vid]", "-", "stands twice", "once"),
        ("video: [vid]", "video: [.VID]", "extensions.video.0", "not acceptable", "a-z"),
        ("places:", "paths:", "line", "stands twice", "YAML"),
        ("title: {en", "title: [en", "line", "", "YAML"),
    ],
)
def test_a_wrong_file_is_refused_with_its_key_and_what_is_expected(tmp_path, old, new, key, problem, expected) -> None:
    assert old in GOOD
    error = refusal(tmp_path, GOOD.replace(old, new, 1))
    assert key in str(error)
    assert problem in str(error)
    assert expected in error.render_hint(lambda text: text)


@pytest.mark.parametrize(
    "raw", [b"", b"\xff\xfe\x00", b"- a\n- b\n", b"[1]: 2", b"? [a]\n: b\n", b"x" * 300_000, b"!!python/object:os.x {}"]
)
def test_what_is_no_profile_at_all_is_refused(tmp_path: Path, raw: bytes) -> None:
    refusal(tmp_path, raw)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    with pytest.raises(ProfileInvalid, match="county is taken"):
        load(tmp_path, GOOD)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "county.yaml").mkdir()
    with pytest.raises(ProfileInvalid, match="Is a directory"):
        load_profiles(tmp_path)


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a*)*b",
        "(a|aa)+",
        "(?:a?){1,30}a{30}",
        ".*.*.*.*x",
        "(?:.*a){12}",
        "((ab)*c*)*d",
        r"(\w+\s?)+:",
        "(?=(a+)+b)a",
        "x" * (MAX_PATTERN + 1),
        "(",
        "[",
        "(?P<a",
        "a{99999999999}",
    ],
)
def test_a_pattern_that_could_hang_a_visit_is_refused(pattern: str) -> None:
    with pytest.raises(PatternRefused):
        compile_pattern(pattern)


def test_a_name_that_is_too_long_is_not_tried() -> None:
    pattern = compile_pattern(".*")
    assert matches(pattern, "a" * MAX_TEXT)
    assert matches(pattern, "a" * (MAX_TEXT + 1)) is None


def _all_patterns() -> list[re.Pattern[str]]:
    found: list[re.Pattern[str]] = []
    for profile in load_profiles(None).by_name.values():
        found += [*profile.recognised_paths, *profile.recognised_marks, *profile.recognised_labels]
        for rules in profile.rules:
            found += [grammar.pattern for grammar in rules.grammars]
            found += [pattern for _, pattern in (*rules.paths, *rules.places)]
    return list(dict.fromkeys(found))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["a", "A0", "0", "/", "_", ".", "20160129205547", "DCIM/", "-", "é"]), max_size=1000))
def test_no_shipped_pattern_is_slow_on_a_hostile_name(parts: list[str]) -> None:
    for text in ("".join(parts)[:MAX_TEXT], (parts[0] * MAX_TEXT)[:MAX_TEXT] if parts else ""):
        for pattern in _ALL:
            start = time.perf_counter()
            matches(pattern, text)
            assert time.perf_counter() - start < 0.5, pattern.pattern


_ALL = _all_patterns()
