"""Article 27(1), 名称: a record's title from a template, made only of what is known.

按照名称、记录设备编号、执法人员信息、使用时间、案件当事人和案由名称等项目分类存储
stored classified by items such as title, number of the recording device, officer information,
time of use, party to the case and cause of action

``{cause}-{party}-{date}-{n}``: text before a field belongs to it, as does a closing bracket behind it
and the text behind the last field; an empty field takes its text along.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

TITLE_FIELDS = ("cause", "party", "date", "time", "n", "device_no", "officer", "case_no", "media", "original")
TITLE_LENGTH = 200

_WEAK = frozenset({"date", "time", "n", "media"})
_PIECE = re.compile(r"\{([^{}]*)\}")
_CLOSING = re.compile(r"[)\]>）】〉》」』”’]*")
_SEPARATORS = " -_–—·、，,;；:：/|.。"


def check_template(template: str) -> list[str]:
    """What is wrong in a template: each unknown field name, and stray braces. Empty: it may be used."""
    unknown = [name for name in _PIECE.findall(template) if name not in TITLE_FIELDS]
    return unknown + [c for c in _PIECE.sub("", template) if c in "{}"]


def make_title(template: str, values: Mapping[str, str | None], fallback: str) -> str:
    """A title without control characters, at most ``TITLE_LENGTH`` characters.

    Empty fields are left out with their text. ``fallback`` (taken as it is, not as a template)
    is the title where only date, time, number and medium are known, which say nothing of the
    matter. Names that ``check_template`` refuses count as empty.
    """
    parts = [p for p in _split(template) if p.field in TITLE_FIELDS and _clean(values.get(p.field) or "")]
    if all(p.field in _WEAK for p in parts):
        return _shorten(_clean(fallback))
    return _shorten(_clean(_join(parts, values)))


@dataclass(frozen=True, slots=True)
class _Part:
    """One field of a template with the text that belongs to it."""

    before: str
    field: str
    behind: str


def _split(template: str) -> list[_Part]:
    pieces = _PIECE.split(template)
    texts, fields = pieces[0::2], pieces[1::2]
    parts, before = [], texts[0]
    for number, name in enumerate(fields, start=1):
        text = texts[number]
        closing = len(text) if number == len(fields) else _closing_length(text)
        parts.append(_Part(before, name, text[:closing]))
        before = text[closing:]
    return parts


def _closing_length(text: str) -> int:
    found = _CLOSING.match(text)
    return found.end() if found else 0


def _join(parts: Sequence[_Part], values: Mapping[str, str | None]) -> str:
    text = "".join(f"{p.before}{values[p.field]}{p.behind}" for p in parts)
    lead = len(parts[0].before) - len(parts[0].before.lstrip(_SEPARATORS))
    trail = len(parts[-1].behind) - len(parts[-1].behind.rstrip(_SEPARATORS))
    return text[lead : len(text) - trail]


def _clean(text: str) -> str:
    """One line of visible text: controls, line breaks and reordering marks become blanks, blanks are joined."""
    return " ".join("".join(_visible(c) for c in text).split())


def _visible(c: str) -> str:
    category = unicodedata.category(c)
    if category == "Cs":  # a byte that was not UTF-8: it could not be written anywhere
        return "\N{REPLACEMENT CHARACTER}"
    return " " if category in ("Cc", "Cf", "Zl", "Zp") else c


def _shorten(text: str) -> str:
    return text if len(text) <= TITLE_LENGTH else text[: TITLE_LENGTH - 1].rstrip() + "…"
