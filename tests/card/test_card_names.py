"""Names are bytes: whatever a card calls a file, it is shown in one way only and read without harm."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st
from laid_card import Card

from dockd.card.profile import load_profiles
from dockd.nouns import Entry, EntryType, display_path, path_text

NAME = st.binary(min_size=1, max_size=255).map(lambda raw: raw.replace(b"\0", b"\1").replace(b"/", b"|"))
PATH = st.lists(NAME, min_size=1, max_size=4).map(b"/".join)
# Names that nearly are what grammars look for find more than random bytes do.
LIKELY_PARTS = b"DCIM/|100ANDRO/|8888888|012345|_|20160129205547|0001|IMP|.mp4|\xff|\n".split(b"|")
LIKELY = st.lists(st.sampled_from(LIKELY_PARTS), min_size=1, max_size=12).map(b"".join)
PROFILES = load_profiles(None)


@given(PATH, PATH)
def test_two_different_names_are_never_shown_alike(one: bytes, other: bytes) -> None:
    assert (display_path(one) == display_path(other)) == (one == other)


@given(PATH)
def test_a_shown_name_is_one_line_of_plain_characters(raw: bytes) -> None:
    shown = display_path(raw)
    assert all(ord(c) >= 0x20 and ord(c) != 0x7F for c in shown)
    shown.encode("utf-8")
    path_text(raw).encode("utf-8")


@settings(max_examples=200, deadline=None)
@given(PATH | LIKELY, st.sampled_from(PROFILES.names), st.sampled_from(EntryType))
def test_no_name_makes_a_profile_fail_and_what_it_reads_can_be_stored(raw: bytes, name: str, kind: EntryType) -> None:
    said = PROFILES.by_name[name].classify(Entry(raw, kind, size=1))
    for parsed in (said.parsed,) if said.parsed else ():
        texts = [parsed.unmarked, parsed.sequence, parsed.time_text, parsed.channel]
        texts += [token for reading in parsed.readings for token in (reading.device, reading.officer)]
        for text in texts:
            assert "\0" not in (text or "")
            (text or "").encode("utf-8")
        assert parsed.wall is None or parsed.wall.tzinfo is None


@settings(max_examples=50, deadline=None)
@given(NAME)
def test_a_card_gives_back_every_name_that_was_put_on_it(tmp_path_factory, raw: bytes) -> None:
    if raw in (b".", b".."):
        return
    made = Card(tmp_path_factory.mktemp("card"))
    try:
        made.put(raw)
        assert made.paths() == [raw]
    finally:
        os.close(made.fd)
