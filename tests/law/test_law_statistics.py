"""第三十条 · article 30: what the figures count, and of whom."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dockd.law.statistics import Figures, Matter, Recordings, Where, count
from dockd.nouns import LateKind, OwnerState

HERE = Where(month="2026-07", unit="一大队", device_no="YS-07", officers=("13012301",))
FILE = Recordings(
    where=HERE, size=10, seconds=1800, late=False, storing_h=(3,), owner_state=OwnerState.ASSIGNED, complete=True
)


def test_a_recording_counts_for_the_whole_and_for_each_of_its_places() -> None:
    found = count([FILE], [])
    expected = Figures(files=1, hours=0.5, bytes=10, in_time=1, late_rate=0, median_hours_to_storage=3)
    assert found.total == expected
    assert found.units == {"一大队": expected}
    assert found.officers == {"13012301": expected}
    assert found.recorders == {"YS-07": expected}
    assert found.months == {"2026-07": expected}


def test_a_recording_of_two_officers_counts_for_each_and_once_for_the_whole() -> None:
    found = count([replace(FILE, where=replace(HERE, officers=("1", "2")))], [])
    assert (found.total.files, found.officers["1"].files, found.officers["2"].files) == (1, 1, 1)


def test_recordings_that_are_alike_count_as_one_by_one() -> None:
    other = replace(FILE, size=30, seconds=5400, storing_h=(5,))
    together = replace(FILE, files=2, size=40, seconds=7200, storing_h=(3, 5))
    assert count([together], []) == count([FILE, other], [])


def test_what_nobody_knows_stands_under_an_empty_key() -> None:
    found = count([replace(FILE, where=Where(), owner_state=OwnerState.CONFLICT, complete=False)], [])
    assert set(found.officers) == set(found.units) == set(found.months) == {""}
    assert (found.total.unassigned, found.total.incomplete) == (1, 1)


def test_what_is_pending_is_in_no_rate() -> None:
    late = replace(FILE, late=True, late_kind=LateKind.DOCKED, storing_h=(30,))
    ours = replace(FILE, late=True, late_kind=LateKind.STORED, storing_h=(25,))
    found = count([FILE, FILE, late, ours, replace(FILE, late=None, storing_h=())], []).total
    assert (found.in_time, found.late, found.late_docked, found.late_stored, found.undecided) == (2, 2, 1, 1, 1)
    assert (found.late_rate, found.median_hours_to_storage) == (0.5, 14)


def test_no_figures_without_anything() -> None:
    assert count([], []).total == Figures()
    assert count([], []).months == {}


def test_matters_are_counted_where_they_belong() -> None:
    found = count(
        [], [Matter(figure="gaps_open", where=HERE), Matter(figure="days_out_of_service", where=HERE, amount=1.5)]
    )
    assert (found.total.gaps_open, found.recorders["YS-07"].days_out_of_service) == (1, 1.5)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", ""]), st.booleans())))
def test_units_recorders_and_months_add_up_to_the_whole(made: list[tuple[str, str, bool]]) -> None:
    files = [replace(FILE, where=Where(unit=u, device_no=d), late=late) for u, d, late in made]
    found = count(files, [])
    for group in (found.units, found.recorders, found.months):
        assert sum(one.files for one in group.values()) == found.total.files == len(made)
        assert sum(one.late for one in group.values()) == found.total.late
