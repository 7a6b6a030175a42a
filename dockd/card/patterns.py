"""A pattern from a profile cannot make a visit hang: what could is refused when the profile is loaded.

The names that patterns are matched against come from a card and are hostile; Python's ``re``
backtracks. So a pattern is limited in length and in the number of ways in which it can try a
name, and names longer than ``MAX_TEXT`` are not matched at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

MAX_PATTERN = 512
MAX_TEXT = 1024
MAX_WAYS = 1 << 24

_REPEATS = frozenset({_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT})
_FLAGS = re.IGNORECASE | re.ASCII | re.DOTALL


class PatternRefused(ValueError):
    """Why a pattern is not taken, in words for the profile's author."""


@lru_cache(maxsize=4096)  # every visit asks for all profiles anew; their patterns stay the same
def compile_pattern(text: str) -> re.Pattern[str]:
    """The compiled pattern: ASCII classes, letter case ignored. Raises PatternRefused."""
    if len(text) > MAX_PATTERN:
        raise PatternRefused(f"the pattern has {len(text)} characters, more than {MAX_PATTERN}")
    try:
        ways = _ways(_without_tail(_parser.parse(text, _FLAGS)), looped=False)
        compiled = re.compile(text, _FLAGS)
    except (re.error, OverflowError, RecursionError) as error:
        raise PatternRefused(f"not a regular expression: {error}") from error
    if ways > MAX_WAYS:
        raise PatternRefused("the pattern can match in too many ways: fewer or narrower repeats are needed")
    return compiled


def matches(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The match of the whole of ``text``, None where it is too long to be tried."""
    return pattern.fullmatch(text) if len(text) <= MAX_TEXT else None


def matches_any(patterns: Iterable[re.Pattern[str]], text: str) -> bool:
    return any(matches(pattern, text) for pattern in patterns)


def _without_tail(tree: Any) -> Any:
    """The tree without a last ``.*``, which takes whatever is left at its first try."""
    if not len(tree) or tree[-1][0] is not _constants.MAX_REPEAT:
        return tree
    _low, high, body = tree[-1][1]
    takes_all = high is _constants.MAXREPEAT and [part[0] for part in body] == [_constants.ANY]
    return tree[:-1] if takes_all else tree


def _ways(tree: Any, *, looped: bool) -> int:
    """An upper bound of the ways in which ``tree`` can be tried; refuses what grows without one."""
    total = 1
    for operation, argument in tree:
        total *= _ways_of(operation, argument, looped=looped)
    return total


def _ways_of(operation: Any, argument: Any, *, looped: bool) -> int:
    if operation in _REPEATS:
        low, high, body = argument
        if looped and low != high:
            raise PatternRefused("a repeat of varying length inside another repeat: write it without nesting")
        return min(int(high) - int(low) + 1, MAX_TEXT) * _ways(body, looped=looped or int(high) > 1)
    if operation is _constants.BRANCH:
        if looped:
            raise PatternRefused("alternatives inside a repeat: write them without nesting")
        return sum(_ways(branch, looped=looped) for branch in argument[1])
    return _product(argument, looped=looped)


def _product(argument: Any, *, looped: bool) -> int:
    """The ways of whatever else carries patterns inside (groups, look-arounds, conditions)."""
    total = 1
    for part in argument if isinstance(argument, tuple) else (argument,):
        if isinstance(part, _parser.SubPattern):
            total *= _ways(part, looped=looped)
    return total
