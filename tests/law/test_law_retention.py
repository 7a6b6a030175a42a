"""第二十七条第三款 · article 27(3): how long records are kept.

行政执法机关应当根据本机关行政执法的风险情况，合理确定各类音像记录资料的保存期限和保存方式。
"""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.retention import Kept, keep_until, last_day, unknown_words
from dockd.nouns import UNCLASSIFIED, Keep, RetentionRule

PERIODS = {"general": Keep(months=6), "brief": Keep(days=30), "case": Keep(), "year": Keep(months=12)}
DAY = date(2026, 7, 1)


def kept(*rules: RetentionRule, by_hand: str | None = None, since: date | None = DAY, **said: object) -> Kept:
    return keep_until(
        periods=PERIODS,
        rules=rules,
        words={name: value for name, value in said.items() if isinstance(value, str)},
        flags={name: value for name, value in said.items() if isinstance(value, bool)},
        by_hand=by_hand,
        since=since,
    )


def rule(name: str, **conditions: object) -> RetentionRule:
    flags = tuple((n, v) for n, v in conditions.items() if isinstance(v, bool))
    words = tuple((n, v) for n, v in conditions.items() if isinstance(v, tuple))
    return RetentionRule(name, words, flags)


def test_what_is_in_no_class_never_expires() -> None:
    assert kept() == Kept(UNCLASSIFIED, None, "default")
    assert kept(rule("brief", case=True), case=False).until is None


def test_a_rule_holds_when_all_its_conditions_do() -> None:
    both = rule("general", case=True, act_type=("penalty", "coercion"))
    assert kept(both, case=True, act_type="行政处罚") == Kept("general", date(2027, 1, 1), "rule")
    assert kept(both, case=True, act_type="行政检查").retention_class == UNCLASSIFIED
    assert kept(both, case=True).retention_class == UNCLASSIFIED, "what is not known fulfils nothing"
    assert kept(rule("general")).retention_class == "general", "a rule without conditions is of every record"


def test_the_longest_counts_whoever_said_it() -> None:
    rules = (rule("brief"), rule("general", important=True))
    assert kept(*rules, important=True).retention_class == "general"
    assert kept(*rules, important=True, by_hand="brief") == Kept("general", date(2027, 1, 1), "rule")
    assert kept(*rules, important=False, by_hand="year") == Kept("year", date(2027, 7, 1), "hand")
    assert kept(*rules, rule("case"), by_hand="year") == Kept("case", None, "rule")


def test_while_the_case_is_open_the_period_has_no_end() -> None:
    assert kept(rule("general"), rule("brief"), since=None) == Kept("general", None, "rule")


def test_a_class_that_left_the_table_keeps_without_end() -> None:
    assert kept(rule("general"), by_hand="gone") == Kept("gone", None, "hand")


@pytest.mark.parametrize(
    ("keep", "since", "until"),
    [
        (Keep(months=6), date(2026, 8, 31), date(2027, 2, 28)),
        (Keep(months=12), date(2024, 2, 29), date(2025, 2, 28)),
        (Keep(days=30), date(2026, 7, 1), date(2026, 7, 31)),
        (Keep(months=9999 * 12), date(2026, 7, 1), None),
        (Keep(), date(2026, 7, 1), None),
    ],
)
def test_the_last_day(keep: Keep, since: date, until: date | None) -> None:
    assert last_day(keep, since) == until


@given(
    st.lists(st.sampled_from(sorted(PERIODS)), max_size=4),
    st.sampled_from([None, *sorted(PERIODS)]),
    st.dates(date(2000, 1, 1), date(2100, 1, 1)),
)
def test_no_rule_and_no_person_ever_shortens(names: list[str], by_hand: str | None, since: date) -> None:
    whole = kept(*map(rule, names), by_hand=by_hand, since=since)
    for left_out in range(len(names)):
        fewer = kept(*map(rule, names[:left_out] + names[left_out + 1 :]), by_hand=by_hand, since=since)
        if fewer.retention_class != UNCLASSIFIED:
            assert (whole.until or date.max) >= (fewer.until or date.max)
    assert kept(*map(rule, reversed(names)), by_hand=by_hand, since=since).until == whole.until


def test_a_word_that_no_vocabulary_has_is_found() -> None:
    rules = [rule("case", act_type=("penalty", "行政检查", "fine"), matter=("anything",), media=("video", "film"))]
    assert unknown_words(rules) == ["act_type: fine", "media: film"]
