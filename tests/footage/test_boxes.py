from __future__ import annotations

import itertools
import struct

from hypothesis import given
from hypothesis import strategies as st

from dockd.footage import boxes


def box(kind: bytes, payload: bytes = b"", size: int | None = None) -> bytes:
    return struct.pack(">I4s", len(payload) + 8 if size is None else size, kind) + payload


def reader(data: bytes) -> boxes.ReadAt:
    return lambda offset, length: data[offset : offset + length]


def problems(data: bytes) -> tuple[str, ...]:
    return boxes.problems(reader(data), len(data))


FTYP = box(b"ftyp", b"isom\0\0\2\0")


def moov(chunk: int, *, wide: bool = False) -> bytes:
    entry = struct.pack(">Q" if wide else ">I", chunk)
    table = box(b"co64" if wide else b"stco", struct.pack(">II", 0, 1) + entry)
    for parent in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        table = box(parent, table)
    return table


def test_a_whole_file_has_no_problem():
    assert problems(FTYP + box(b"mdat", bytes(100)) + moov(24)) == ()


def test_without_moov_there_is_no_index():
    assert problems(FTYP + box(b"mdat", bytes(100))) == ("no_index",)


def test_a_box_that_promises_more_than_the_file_holds_is_truncated():
    assert problems(FTYP + moov(24) + box(b"mdat", bytes(100))[:-1]) == ("truncated",)


def test_an_index_that_is_cut_itself_counts_as_missing():
    assert problems(FTYP + moov(24)[:-1]) == ("no_index", "truncated")


def test_a_chunk_that_begins_beyond_the_end_is_truncated():
    whole = FTYP + moov(10_000) + box(b"mdat", bytes(100))
    assert problems(whole) == ("truncated",)
    assert problems(FTYP + moov(1 << 40, wide=True) + box(b"mdat", bytes(100))) == ("truncated",)


def test_a_length_of_zero_reaches_to_the_end():
    assert problems(FTYP + moov(24) + box(b"mdat", bytes(50), size=0)) == ()


def test_a_wide_length_is_read():
    wide = struct.pack(">I4sQ", 1, b"mdat", 16 + 50)
    assert problems(FTYP + moov(24) + wide + bytes(50)) == ()
    assert problems(FTYP + moov(24) + wide + bytes(49)) == ("truncated",)


def test_zeros_after_the_last_box_are_padding():
    assert problems(FTYP + moov(24) + box(b"mdat", bytes(50)) + bytes(4096)) == ()


def test_a_heif_photo_needs_no_moov():
    assert problems(box(b"ftyp", b"heic\0\0\0\0") + box(b"meta", bytes(8)) + box(b"mdat", bytes(8))) == ()


def test_an_avi_whose_length_was_never_written_has_no_index():
    assert problems(b"RIFF\0\0\0\0AVI " + bytes(100)) == ("no_index",)
    assert problems(b"RIFF" + struct.pack("<I", 5000) + b"AVI " + bytes(100)) == ("truncated",)
    assert problems(b"RIFF" + struct.pack("<I", 104) + b"WAVE" + bytes(100)) == ()


def test_other_containers_are_not_judged():
    assert problems(b"\x47" + bytes(187)) == ()
    assert problems(b"") == ()


def test_stills_are_told_by_their_first_bytes():
    assert boxes.is_photo(b"\xff\xd8\xff\xe1")
    assert boxes.is_photo(b"\0\0\0\x18ftypheic")
    assert not boxes.is_photo(b"\0\0\0\x18ftypisom")


def test_a_file_of_tiny_boxes_ends_the_walk_in_time():
    data = box(b"free") * (boxes.MOST_BOXES + 50)
    assert sum(1 for _ in boxes.walk(reader(data), len(data))) == boxes.MOST_BOXES


@given(st.binary(max_size=400), st.integers(0, 2**64))
def test_any_bytes_and_any_size_are_walked_without_an_error(data: bytes, size: int):
    for claimed in (len(data), size):
        seen = list(boxes.walk(reader(data), claimed))
        assert all(after.start == before.end for before, after in itertools.pairwise(seen))
        assert set(boxes.problems(reader(data), claimed)) <= {"no_index", "truncated"}


@given(st.lists(st.tuples(st.sampled_from([b"free", b"mdat", b"uuid", b"skip"]), st.integers(0, 60)), max_size=8))
def test_what_was_put_in_is_walked_in_order(parts: list[tuple[bytes, int]]):
    data = FTYP + b"".join(box(kind, bytes(length)) for kind, length in parts)
    assert [b.type for b in boxes.walk(reader(data), len(data))] == [b"ftyp", *(kind for kind, _ in parts)]


@given(st.binary(max_size=64), st.integers(0, 200))
def test_damage_anywhere_in_a_real_file_never_raises(noise: bytes, at: int):
    data = bytearray(FTYP + moov(24) + box(b"mdat", bytes(50)))
    data[at : at + len(noise)] = noise
    problems(bytes(data))
