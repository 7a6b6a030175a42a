"""The list of mutants stays a list of mutants of today's source, and (slow) each of them is noticed by a test."""

from __future__ import annotations

from collections import Counter

import pytest
from mutants import MUTANTS, judged, stale


def test_every_mutant_can_be_made_of_todays_source_and_names_tests_that_exist() -> None:
    assert [why for mutant in MUTANTS if (why := stale(mutant))] == []


def test_no_two_mutants_have_one_name() -> None:
    assert [name for name, times in Counter(mutant.name for mutant in MUTANTS).items() if times > 1] == []


@pytest.mark.slow
def test_every_mutant_is_noticed_by_a_test() -> None:
    assert [(mutant.name, verdict, said) for mutant, verdict, said in judged(MUTANTS) if verdict != "killed"] == []
