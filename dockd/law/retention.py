"""Article 27(3): how long a record is kept, from the bureau's own classes and rules.

行政执法机关应当根据本机关行政执法的风险情况，合理确定各类音像记录资料的保存期限和保存方式。
The agency shall, by the risks of its own enforcement, reasonably determine period and manner of keeping
for each class of audio-visual records.

How it is read: a record is of every class that a rule or a person gives it, and the one that keeps it
longest counts, so that neither can shorten what the other asks for. Without any class it is kept
without end. The period runs from the latest of recording, storing and the closing of its case; while
the case is open, or where that day is not known, it has no end yet. The first day is not counted.
Nothing is deleted by this: it says what may be asked of a person one day.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from dockd.law.vocabulary import ACT_TYPES, CONFIDENTIALITY, STAGES, STEPS, Term, term_of
from dockd.nouns import UNCLASSIFIED, Keep, MediaType, RetentionRule

_TERMS: Mapping[str, Mapping[str, Term]] = {
    "act_type": ACT_TYPES,
    "stage": STAGES,
    "step": STEPS,
    "confidentiality": CONFIDENTIALITY,
}
_SOME_DAY = date(2001, 1, 1)  # periods are compared from one day: a year is longer than 360 days


@dataclass(frozen=True, slots=True)
class Kept:
    """The class in force and its last day, None: without end. ``basis``: ``hand``, ``rule`` or ``default``."""

    retention_class: str = UNCLASSIFIED
    until: date | None = None
    basis: str = "default"


def keep_until(
    *,
    periods: Mapping[str, Keep],
    rules: Sequence[RetentionRule],
    words: Mapping[str, str | None],
    flags: Mapping[str, bool],
    by_hand: str | None,
    since: date | None,
) -> Kept:
    """The class of one record, and until when it is kept.

    ``words`` and ``flags`` are what is said of the record, by the names that rules use; an item
    that is not known fulfils no condition. ``by_hand`` is the class that a person gave; one that
    the table does not have keeps without end. ``since`` is the day from which the period runs.
    """
    given = [(rule.retention_class, "rule") for rule in rules if _holds(rule, words, flags)]
    given = [(name, basis) for name, basis in given if name in periods]
    if by_hand and by_hand != UNCLASSIFIED:
        given.insert(0, (by_hand, "hand"))
    if not given:
        return Kept()
    day = since or _SOME_DAY
    name, basis = max(given, key=lambda one: last_day(periods.get(one[0], Keep()), day) or date.max)
    return Kept(name, last_day(periods.get(name, Keep()), since) if since else None, basis)


def last_day(keep: Keep, since: date) -> date | None:
    """The last day of a period that runs from ``since``; None for ever, also beyond the calendar."""
    if keep.is_permanent:
        return None
    month = since.month - 1 + keep.months
    year, month = since.year + month // 12, month % 12 + 1
    try:
        day = min(since.day, calendar.monthrange(year, month)[1])
        return date(year, month, day) + timedelta(days=keep.days)
    except (ValueError, OverflowError):
        return None


def unknown_words(rules: Sequence[RetentionRule]) -> list[str]:
    """Words of rules that no vocabulary has; matters and units are the bureau's own."""
    media = {medium.value for medium in MediaType}
    said = [(name, word) for rule in rules for name, words in rule.words for word in words]
    return [
        f"{name}: {word}"
        for name, word in said
        if (name in _TERMS and term_of(_TERMS[name], word) is None) or (name == "media" and word not in media)
    ]


def _holds(rule: RetentionRule, words: Mapping[str, str | None], flags: Mapping[str, bool]) -> bool:
    """Whether every condition of a rule is fulfilled; a rule without conditions is of every record."""
    return all(flags.get(name) is wanted for name, wanted in rule.flags) and all(
        _is_among(name, words.get(name), wanted) for name, wanted in rule.words
    )


def _is_among(name: str, said: str | None, wanted: Sequence[str]) -> bool:
    """Whether a word is one of those, whichever of a vocabulary's wordings either of them uses."""
    return bool(said) and _plain(name, said) in {_plain(name, word) for word in wanted}


def _plain(name: str, word: str | None) -> str:
    term = term_of(_TERMS.get(name, {}), word)
    return term.code if term else (word or "").strip()
