"""Equal bytes are not yet the same recording: what is, and what is a recording of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from dockd.nouns import ParsedName
from dockd.offload.plan import Reason
from dockd.offload.settle import Settlement, settle
from dockd.register.transfers import KnownFootage

PLAIN = b"DCIM/0007_20261103100000_0001.MP4"
MARKED = b"DCIM/0007_20261103100000_0001_IMP.MP4"
NAMES = {
    PLAIN: ParsedName(
        grammar="g", wall=datetime(2026, 11, 3, 10), sequence="0001", unmarked="0007_20261103100000_0001.MP4"
    ),
    MARKED: ParsedName(
        grammar="g",
        wall=datetime(2026, 11, 3, 10),
        sequence="0001",
        important=True,
        unmarked="0007_20261103100000_0001.MP4",
    ),
}


def known(path: bytes, footage_id: int = 1) -> KnownFootage:
    return KnownFootage(
        footage_id=footage_id,
        path=path,
        size=10,
        mtime_ns=1,
        sha256="ab" * 32,
        file_no=f"no-{footage_id}",
        location=f"footage/{footage_id}",
        record_id=footage_id,
        recorder_id=1,
        card_instance="card",
    )


def judge(
    path: bytes,
    *equals: KnownFootage,
    names: dict[bytes, ParsedName] = NAMES,
    present: Callable[[KnownFootage], bool] = lambda _: True,
) -> Settlement:
    return settle(path, names.get(path), equals, parse=names.get, is_present=present)


def test_bytes_nobody_has_are_new_footage() -> None:
    assert judge(PLAIN) == Settlement()


def test_the_same_path_with_the_same_bytes_is_the_same_recording() -> None:
    one = known(PLAIN)
    assert judge(PLAIN, one) == Settlement(one, Reason.SAME_BYTES)


def test_the_same_path_is_found_behind_equal_bytes_of_other_paths() -> None:
    one = known(PLAIN, 2)
    assert judge(PLAIN, known(b"OTHER.MP4"), one).known == one


def test_equal_bytes_under_two_names_are_two_recordings() -> None:
    assert judge(b"DCIM/OTHER.MP4", known(PLAIN)) == Settlement()


def test_a_known_recording_whose_file_is_gone_is_stored_again() -> None:
    one = known(PLAIN)
    said = judge(PLAIN, one, present=lambda _: False)
    assert said == Settlement(one, Reason.STORED_AGAIN)
    assert said.again


@pytest.mark.parametrize(("seen", "stored"), [(MARKED, PLAIN), (PLAIN, MARKED)])
def test_a_copy_that_was_renamed_for_its_important_mark_is_the_same_recording(seen: bytes, stored: bytes) -> None:
    one = known(stored)
    assert judge(seen, one) == Settlement(one, Reason.IMPORTANT_MARK)


def test_a_marked_copy_of_a_file_that_is_gone_is_stored_as_a_recording() -> None:
    assert judge(MARKED, known(PLAIN), present=lambda _: False) == Settlement()


@pytest.mark.parametrize(
    "other",
    [
        {"wall": datetime(2026, 11, 3, 10, 0, 1)},
        {"wall": None},
        {"sequence": "0002"},
        {"sequence": None},
        {"important": True},
        {"unmarked": "another.MP4"},
        {"unmarked": None},
    ],
)
def test_anything_less_than_full_agreement_is_a_recording_of_its_own(other: dict[str, object]) -> None:
    names = NAMES | {PLAIN: replace(NAMES[PLAIN], **other)}
    assert judge(MARKED, known(PLAIN), names=names) == Settlement()


@pytest.mark.parametrize("field", ["wall", "sequence", "unmarked"])
def test_two_names_that_both_lack_a_fact_do_not_agree_on_it(field: str) -> None:
    names = {path: replace(name, **{field: None}) for path, name in NAMES.items()}
    assert judge(MARKED, known(PLAIN), names=names) == Settlement()


def test_a_name_that_no_grammar_reads_is_never_a_marked_copy() -> None:
    assert judge(MARKED, known(PLAIN), names={}) == Settlement()
