"""The list of mutants stays a list of mutants of today's source, and (slow) each of them is noticed by a test."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from mutants import MUTANTS, T_WHOLE, judged, not_collected, stale


def test_every_mutant_can_be_made_of_todays_source() -> None:
    assert [why for mutant in MUTANTS if (why := stale(mutant))] == []


def test_every_mutant_names_tests_that_are_collected() -> None:
    assert not_collected(MUTANTS) == []


def test_a_mutant_whose_test_is_not_collected_is_refused() -> None:
    absent = (f"{T_WHOLE}[of_no_scene]", f"{T_WHOLE}_at_all", "tests/faults/test_of_nothing.py")
    mutant = replace(MUTANTS[0], tests=(T_WHOLE, *absent))
    assert not_collected([mutant]) == [f"{mutant.name}: {test}" for test in absent]


def test_no_two_mutants_have_one_name() -> None:
    assert [name for name, times in Counter(mutant.name for mutant in MUTANTS).items() if times > 1] == []


@pytest.mark.slow
def test_every_mutant_is_noticed_by_a_test() -> None:
    assert [(mutant.name, verdict, said) for mutant, verdict, said in judged(MUTANTS) if verdict != "killed"] == []
