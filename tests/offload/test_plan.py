"""Already stored without reading it: only if everything agrees. The contract's decision table, cell by cell."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.nouns import Classified, Entry, EntryType, FileOutcome, MediaType
from dockd.offload.plan import Decision, Reason, decide
from dockd.register.tables import TransferState
from dockd.register.transfers import HeldTemp, KnownFootage

PATH = b"DCIM/A.MP4"
ENTRY = Entry(PATH, EntryType.FILE, size=1000, mtime_ns=5_000)
VIDEO = Classified(MediaType.VIDEO)
KNOWN = KnownFootage(
    footage_id=1,
    path=PATH,
    size=1000,
    mtime_ns=5_000,
    sha256="ab" * 32,
    file_no="S1-20261103-000001-00001",
    location="footage/2026/11/03/R/S1-20261103-000001-00001.mp4",
    record_id=1,
    recorder_id=1,
    card_instance="card",
)
HELD = HeldTemp(
    observation_id=1,
    visit_id=1,
    path=PATH,
    size=1000,
    mtime_ns=5_000,
    recorder_id=1,
    temp="footage/x.mp4.part",
    final="footage/x.mp4",
    file_no="x",
    state=TransferState.COPYING,
    docked_at=datetime(2026, 11, 3, tzinfo=UTC),
)


def plan(entry: Entry = ENTRY, classified: Classified = VIDEO, **given: object) -> Decision:
    facts = {"known": None, "known_present": False, "held": None, "plausible": True} | given
    return decide(entry, classified, **facts)  # type: ignore[arg-type]


def test_a_file_nobody_knows_is_copied() -> None:
    assert plan() == Decision()


def test_a_file_that_agrees_in_everything_is_already_stored() -> None:
    said = plan(known=KNOWN, known_present=True)
    assert (said.outcome, said.reason, said.known) == (FileOutcome.ALREADY_STORED, Reason.KNOWN, KNOWN)


@given(
    size=st.sampled_from([0, 1000, 1001]),
    mtime_ns=st.sampled_from([0, 5_000, 5_001]),
    known_present=st.booleans(),
    plausible=st.booleans(),
    is_known=st.booleans(),
    is_held=st.booleans(),
)
def test_already_stored_is_never_said_when_any_fact_disagrees(
    size: int, mtime_ns: int, known_present: bool, plausible: bool, is_known: bool, is_held: bool
) -> None:
    entry = replace(ENTRY, size=size, mtime_ns=mtime_ns)
    said = plan(
        entry,
        known=KNOWN if is_known else None,
        known_present=known_present,
        held=HELD if is_held else None,
        plausible=plausible,
    )
    agrees = is_known and known_present and plausible and (size, mtime_ns) == (KNOWN.size, KNOWN.mtime_ns)
    assert (said.outcome is FileOutcome.ALREADY_STORED) == agrees
    if not agrees:
        assert said.outcome is None


def test_what_was_damaged_is_read_again_and_not_missing() -> None:
    assert plan(known=replace(KNOWN, damaged=True), known_present=True) == Decision()


def test_a_reset_clock_makes_the_file_be_read_whole() -> None:
    assert plan(known=KNOWN, known_present=True, plausible=False) == Decision()


def test_a_file_missing_in_the_store_is_copied_anew_and_named() -> None:
    assert plan(known=KNOWN, known_present=False) == Decision(missing=KNOWN)


def test_other_footage_under_a_known_name_does_not_count_as_missing() -> None:
    assert plan(replace(ENTRY, size=7), known=KNOWN, known_present=False) == Decision()


def test_a_held_temp_of_the_same_file_is_taken_over_with_its_marks() -> None:
    assert plan(held=HELD) == Decision(held=HELD, resume=True)


def test_a_held_temp_of_a_file_with_a_reset_clock_is_taken_over_without_its_marks() -> None:
    assert plan(held=HELD, plausible=False) == Decision(held=HELD, resume=False)


@pytest.mark.parametrize("other", [{"size": 1001}, {"mtime_ns": 5_001}])
def test_a_held_temp_of_another_file_of_that_name_is_left_alone(other: dict[str, int]) -> None:
    assert plan(replace(ENTRY, **other), held=HELD) == Decision()


@pytest.mark.parametrize("kind", [t for t in EntryType if t not in (EntryType.FILE, EntryType.DIRECTORY)])
def test_what_is_not_a_regular_file_is_named_and_never_opened(kind: EntryType) -> None:
    said = plan(replace(ENTRY, type=kind), known=KNOWN, known_present=True)
    assert (said.outcome, said.reason) == (FileOutcome.SKIPPED, f"not_a_file:{kind}")


@pytest.mark.parametrize("kind", list(EntryType))
def test_what_could_not_be_examined_is_unreadable_whatever_it_is(kind: EntryType) -> None:
    said = plan(replace(ENTRY, type=kind, error="EIO"), known=KNOWN, known_present=True)
    assert (said.outcome, said.reason) == (FileOutcome.UNREADABLE, "cannot_list:EIO")


def test_an_index_file_of_the_operating_system_is_skipped_with_its_reason() -> None:
    said = plan(classified=Classified(MediaType.OTHER, skip="thumbs_db"))
    assert (said.outcome, said.reason) == (FileOutcome.SKIPPED, "system_index:thumbs_db")
