"""No name from a card or a person is part of a path, and no two things share one."""

from __future__ import annotations

import os
import string
from datetime import date

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockd.offload.layout import (
    TEMP_SUFFIX,
    extension,
    file_no,
    final_path,
    folder,
    is_temp,
    manifest_path,
    path_part,
    temp_path,
)

DAY = date(2026, 11, 3)
NUMBERS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)


@given(st.lists(NUMBERS, min_size=2, max_size=6, unique=True))
@example(["%2E", "."])
@example(["a/b", "a%2Fb"])
@example(["_x", "%5Fx"])
def test_different_numbers_have_different_folders(numbers: list[str]) -> None:
    assert len({path_part(number) for number in numbers}) == len(numbers)


@given(NUMBERS)
@example("..")
@example("/etc/passwd")
@example("a\0b")
@example("_unregistered")
@example("a\nb")
def test_a_number_becomes_one_visible_component_that_is_not_our_own(number: str) -> None:
    part = path_part(number)
    assert part
    assert "/" not in part
    assert "\0" not in part
    assert part[0] not in "._"
    assert part.isprintable()
    assert os.path.normpath(f"root/{part}") == f"root/{part}"


@pytest.mark.parametrize("number", ["YS-07", "a.b_c", "渝S-07", "0012345"])
def test_an_ordinary_number_is_its_own_folder(number: str) -> None:
    assert path_part(number) == number


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64))
@example("𠀀" * 64)
@example("—" * 64)
def test_the_longest_number_that_the_register_takes_fits_into_a_name(number: str) -> None:
    assert len(path_part(number).encode()) <= 255


@given(st.text("—一𠀀ab", min_size=40, max_size=64), st.text("—一𠀀ab", min_size=40, max_size=64))
def test_long_numbers_stay_different_too(one: str, other: str) -> None:
    assert (path_part(one) == path_part(other)) == (one == other)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        (b"A.MP4", "mp4"),
        (b"A.tar.gz", "gz"),
        (b"noext", "bin"),
        (b"A.", "bin"),
        (b".mp4", "mp4"),
        (b"A.MP4\n", "bin"),
        (b"A.M/P4", "bin"),
        (b"A.m\xff4", "bin"),
        (b"A.toolongforus", "bin"),
        (b"A.part", "bin"),
        (b"A.PART", "bin"),
        ("A.视频".encode(), "bin"),
    ],
)
def test_only_a_plain_extension_is_kept(name: bytes, kept: str) -> None:
    assert extension(name) == kept


@given(st.binary(max_size=300))
def test_no_byte_of_a_name_reaches_the_path_but_its_plain_extension(name: bytes) -> None:
    found = extension(name)
    assert 1 <= len(found) <= 8
    assert set(found) <= set(string.ascii_lowercase + string.digits)
    assert f".{found}" != TEMP_SUFFIX


def test_a_file_lies_under_the_day_of_docking_and_its_recorder() -> None:
    number = file_no("S1", DAY, 12, 3)
    assert number == "S1-20261103-000012-00003"
    final = final_path(DAY, "YS-07", number, b"DCIM/A.MP4")
    assert final == "footage/2026/11/03/YS-07/S1-20261103-000012-00003.mp4"
    assert temp_path(final) == final + ".part"
    assert os.path.dirname(temp_path(final)) == folder(DAY, "YS-07")
    assert manifest_path(DAY, "YS-07", 12) == "footage/2026/11/03/YS-07/visit-000012.sha256"


def test_footage_of_an_unregistered_recorder_shares_no_folder_with_a_registered_one() -> None:
    unknown = folder(DAY, None)
    assert unknown == "footage/2026/11/03/_unregistered"
    assert folder(DAY, "_unregistered") != unknown


@given(st.integers(1, 10**7), st.integers(1, 10**6), st.integers(1, 10**7), st.integers(1, 10**6))
def test_file_numbers_of_two_files_never_meet(visit: int, seq: int, other_visit: int, other_seq: int) -> None:
    same = (visit, seq) == (other_visit, other_seq)
    assert (file_no("S1", DAY, visit, seq) == file_no("S1", DAY, other_visit, other_seq)) == same


@given(st.binary(max_size=40), st.integers(1, 10**8), st.integers(1, 10**6))
def test_every_temp_of_a_copy_is_known_as_one(name: bytes, visit: int, seq: int) -> None:
    final = final_path(DAY, "YS-07", file_no("S1", DAY, visit, seq), name)
    assert is_temp(os.path.basename(temp_path(final)))
    assert not is_temp(os.path.basename(final))


@pytest.mark.parametrize(
    "name",
    [
        "S1-20261103-000012-00003.mp4.xmp.part",
        ".visit-000012.sha256.0123456789abcdef.part",
        ".S1-20261103-000012-00003.mp4.part",
        "notes.part",
    ],
)
def test_what_others_write_beside_footage_is_no_temp_of_a_copy(name: str) -> None:
    assert not is_temp(name)
