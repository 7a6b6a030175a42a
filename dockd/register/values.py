"""Values on their way into the register: what is returned fits its column on both dialects, the rest says why not.

Numbers (certificates, recorders, cases) are taken as they are or refused; words are freed of
what no person typed on purpose (control characters, marks that reorder text).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy.orm import InstrumentedAttribute

from dockd.errors import BadValue, ReservedNumber
from dockd.locale import _
from dockd.nouns import is_reserved_number

T = TypeVar("T")

NUMBER_MAX = 64
# A ledger line's subject is "case:" and the number, in a column of 128.
CASE_NO_MAX = 120
# Names on ext4 and xfs end at 255 bytes, and a recorder's number names its folder in the store.
_FOLDER_MAX_BYTES = 255
_SHOWN_MAX = 80
_SPACES = frozenset("\t\n\v\f\r\x85\u2028\u2029")
_JOINED = re.compile("[；;]")


@dataclass(frozen=True, slots=True)
class Counts:
    """What writing many entries did: each entry is one of the three."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0

    def plus(self, other: Counts) -> Counts:
        """The sum of both."""
        return Counts(self.added + other.added, self.changed + other.changed, self.unchanged + other.unchanged)

    def one_more(self, what: str) -> Counts:
        """With one more of ``added``, ``changed`` or ``unchanged``."""
        return replace(self, **{what: getattr(self, what) + 1})


def folded(tokens: Iterable[str | None]) -> list[str]:
    """Numbers as they are compared: upper and lower case are one, and what no column holds is nobody's."""
    known = {token.lower() for token in tokens if token and token.isprintable()}
    return sorted(token for token in known if len(token) <= NUMBER_MAX)


def width(column: InstrumentedAttribute[Any]) -> int:
    """How many characters a text column holds."""
    return int(column.type.length)


def device_number(text: str) -> str:
    """A recorder's number, which also names its folder in the store. Raises BadValue, ReservedNumber."""
    value = printable_number("device_no", text)
    if "/" in value or value.startswith(".") or len(value.encode()) > _FOLDER_MAX_BYTES:
        raise _bad("device_no", text, _("without '/', not beginning with '.', at most 255 bytes"))
    return unreserved("device_no", value)


def personal_number(what: str, text: str) -> str:
    """A certificate number, badge or maker's serial. Raises BadValue, ReservedNumber."""
    return unreserved(what, printable_number(what, text))


def optional_number(what: str, text: str | None) -> str | None:
    """As ``personal_number``; None for nothing."""
    return personal_number(what, text) if text and text.strip() else None


def printable_number(what: str, text: str, limit: int = NUMBER_MAX) -> str:
    """A number without the spaces around it, 1 to ``limit`` printable characters. Raises BadValue."""
    value = text.strip()
    if not value or len(value) > limit or not value.isprintable():
        raise _bad(what, text, _("1 to {limit} printable characters").format(limit=limit))
    return value


def unreserved(what: str, value: str) -> str:
    """``value``, unless recorders use it for "not set". Raises ReservedNumber."""
    if is_reserved_number(value):
        raise ReservedNumber(number=value, what=what)
    return value


def words(what: str, text: str | None, limit: int) -> str | None:
    """Cleaned words, None for nothing. Raises BadValue where they are longer than ``limit`` characters."""
    value = clean(text or "")
    if len(value) > limit:
        raise _bad(what, value, _("at most {limit} characters").format(limit=limit))
    return value or None


def clean(text: str) -> str:
    """``text`` in one line without control, reordering and unpaired characters, and without spaces around it."""
    return "".join(" " if c in _SPACES else c for c in text if c in _SPACES or _is_meant(c)).strip()


def _is_meant(c: str) -> bool:
    return c.isprintable() or unicodedata.category(c) not in ("Cc", "Cf", "Cs")


def split_joined(text: str) -> tuple[str, ...]:
    """The members of a cell that joins several by ``；`` or ``;``, each once, in order."""
    members = (clean(part) for part in _JOINED.split(text))
    return tuple(dict.fromkeys(member for member in members if member))


def percent(what: str, value: int | None) -> int | None:
    """A percentage or None. Raises BadValue outside 0 to 100."""
    if value is not None and not 0 <= value <= 100:
        raise _bad(what, str(value), _("0 to 100"))
    return value


def shown(text: str) -> str:
    """``text`` as a terminal can show it: cut to one line, whatever is not printable as an escape."""
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: _SHOWN_MAX + 1])
    return escaped if len(escaped) <= _SHOWN_MAX else escaped[:_SHOWN_MAX] + "…"


def instant(at: datetime | None) -> str | None:
    """A time as a ledger line holds it: ISO 8601 in UTC."""
    return at.astimezone(UTC).isoformat() if at else None


def differences(before: Mapping[str, Any], after: Mapping[str, Any], names: Iterable[str]) -> dict[str, list[Any]]:
    """``{name: [before, after]}`` of what ``after`` says differently; what it does not say (None, empty) stays."""
    return {n: [before[n], after[n]] for n in names if after[n] not in (None, [], "") and after[n] != before[n]}


def chunks(items: Iterable[T], size: int = 400) -> Iterator[list[T]]:
    """``items`` in lists of at most ``size``: keys a statement, well below SQLite's limit of variables."""
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk


def _bad(what: str, value: str, expected: str) -> BadValue:
    return BadValue(what=what, value=shown(value) or "''", expected=expected)
