"""Only operating-system indexes are ever skipped, and only when they are what they are called."""

from __future__ import annotations

import pytest

from dockd.card.junk import MAX_INDEX_BYTES, confirm_skip, skip_reason
from dockd.card.profile import load_profiles
from dockd.nouns import Entry, EntryType, MediaType, Place

PROFILE = load_profiles(None).last_resort
APPLEDOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(4000)
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"

SKIPPED = [
    ("System Volume Information/IndexerVolumeGuid", b"{00000000-0000-0000-0000-000000000000}"),
    ("System Volume Information/WPSettings.dat", bytes(12)),
    ("$RECYCLE.BIN/S-1-5-21-1-2-3-1001/desktop.ini", b"[.ShellClassInfo]\n"),
    ("desktop.ini", b"[ViewState]\n"),
    ("Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(4092)),
    ("DCIM/100MEDIA/THUMBS.DB", b"\xd0\xcf\x11\xe0" + bytes(4092)),
    ("._.Trashes", APPLEDOUBLE),
    ("DCIM/._DJI_0009.MP4", APPLEDOUBLE),
    (".Spotlight-V100/VolumeConfiguration.plist", b"<?xml"),
    (".Spotlight-V100/Store-V2/ABC/store.db", b"8tsd"),
    (".fseventsd/fseventsd-uuid", b"0" * 36),
    (".DS_Store", b"\0\0\0\1Bud1"),
    ("DCIM/.ds_store", b"\0\0\0\1Bud1"),
    (".metadata_never_index", b""),
    (".directory", b"[Dolphin]\n"),
    ("Android/data/.nomedia", b""),
]
STORED = [
    ("LOST.DIR/12345", bytes(1024), Place.RECOVERED),
    ("FOUND.000/FILE0000.CHK", bytes(1024), Place.RECOVERED),
    ("FSCK0000.REC", bytes(1024), Place.RECOVERED),
    ("lost+found/#1234", bytes(1024), Place.RECOVERED),
    (".Trashes/501/old.MP4", bytes(1024), Place.TRASH),
    (".Trash-1000/files/old.mp4", bytes(1024), Place.TRASH),
    (".Trash-1000/info/old.mp4.trashinfo", b"[Trash Info]\n", Place.TRASH),  # who deleted what, and when: article 29
    ("$RECYCLE.BIN/S-1-5-21-1-2-3-1001/$R1A2B3C.MP4", bytes(1024), Place.TRASH),
    ("$RECYCLE.BIN/S-1-5-21-1-2-3-1001/$I1A2B3C.MP4", bytes(544), Place.TRASH),
    (".fuse_hidden0000000100000001", bytes(512), Place.TRASH),
    (".TemporaryItems/folders.501/x", bytes(16), Place.TEMP),
    ("DCIM/SEGTEMP/012345_8888888_20160129205527_0000.mp4", bytes(16), Place.TEMP),
    (".thumbnails/1700000000.jpg", bytes(1024), Place.NORMAL),
    ("System Volume Information/tracking.log", bytes(16), Place.SYSTEM),
    ("System Volume Information/hidden.mp4", bytes(16), Place.SYSTEM),
    (".android_secure/smdl2tmp1.asec", bytes(512), Place.SYSTEM),
    ("x.trashinfo", b"[Trash Info]\n", Place.NORMAL),
    ("DCIM/IndexerVolumeGuid", b"x", Place.NORMAL),
]


@pytest.mark.parametrize(("path", "content"), SKIPPED)
def test_an_index_of_an_operating_system_is_skipped(card, path: str, content: bytes) -> None:
    card.put(path, content)
    entry = card.entry(path)
    assert PROFILE.classify(entry).skip
    assert PROFILE.classify(entry).skip == skip_reason(entry)
    assert confirm_skip(card.fd, entry)


@pytest.mark.parametrize(("path", "content", "place"), STORED)
def test_everything_else_is_stored_and_its_place_is_remarked(card, path: str, content: bytes, place: Place) -> None:
    card.put(path, content)
    entry = card.entry(path)
    said = PROFILE.classify(entry)
    assert (said.skip, said.place) == (None, place)
    assert not confirm_skip(card.fd, entry)


@pytest.mark.parametrize("path", [path for path, _ in SKIPPED])
def test_media_by_signature_is_stored_under_whatever_name(card, path: str) -> None:
    card.put(path, MP4)
    assert not confirm_skip(card.fd, card.entry(path))


def test_a_dot_underscore_file_that_is_no_resource_fork_is_stored(card) -> None:
    card.put("DCIM/._evidence.mp4", b"some recorder's own format")
    card.put("DCIM/._empty.mp4", b"")
    assert not confirm_skip(card.fd, card.entry("DCIM/._evidence.mp4"))
    assert not confirm_skip(card.fd, card.entry("DCIM/._empty.mp4"))
    assert PROFILE.classify(card.entry("DCIM/._evidence.mp4")).media is MediaType.VIDEO


def test_a_large_file_is_never_taken_for_an_index() -> None:
    assert skip_reason(Entry(b"Thumbs.db", EntryType.FILE, size=MAX_INDEX_BYTES)) == "windows_thumbnails"
    assert skip_reason(Entry(b"Thumbs.db", EntryType.FILE, size=MAX_INDEX_BYTES + 1)) is None


def test_only_regular_files_are_on_the_list() -> None:
    kinds = [kind for kind in EntryType if skip_reason(Entry(b"desktop.ini", kind))]
    assert kinds == [EntryType.FILE]


def test_what_cannot_be_read_is_left_to_the_copier(card) -> None:
    card.put("desktop.ini", b"[ViewState]\n")
    entry = card.entry("desktop.ini")
    (card.root / "desktop.ini").unlink()
    assert not confirm_skip(card.fd, entry)


def test_no_profile_can_skip_a_file(card) -> None:
    for name, profile in load_profiles(None).by_name.items():
        for path, _content, _place in STORED:
            assert profile.classify(Entry(path.encode(), EntryType.FILE)).skip is None, name
