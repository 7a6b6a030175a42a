"""The form of a ledger line: bytes that anyone can link and check with ``sha256sum`` alone. Pure, no I/O.

A line is one JSON object with sorted keys and no blanks; ``prev`` is the SHA-256 of the exact bytes of
the line before, without its newline, and 64 zeros in the first. A line never holds a raw control
character, so that a newline always ends it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from os import PathLike, fspath
from typing import Any

START = "0" * 64
"""What the first line of a chain names as the line before."""

_KEYS = frozenset({"seq", "station", "at", "kind", "subject", "actor", "data", "prev"})
# JSON escapes the characters below space only; DEL, the C1 controls and Unicode's line ends are controls too.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: what an anchor outside the machine must say. ``seq`` 0 is a chain without lines."""

    seq: int = 0
    sha256: str = START
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One thing to be told. ``data`` holds every value that is needed to make the row again."""

    kind: str
    subject: str
    data: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class Linked:
    """A line in its chain: ``text`` is what is kept and hashed."""

    seq: int
    at: datetime
    kind: str
    subject: str
    text: str
    sha256: str

    @property
    def raw(self) -> bytes:
        """The exact bytes of the mirror's line, without its newline (a tampered text must not stop the check)."""
        return self.text.encode("utf-8", "surrogatepass")


def link(line: Line, *, station_no: str, actor: str, after: Head) -> Linked:
    """The line that follows ``after``.

    Raises ValueError for a time without a zone, TypeError for data that is no value.
    """
    kind, subject = one_line(line.kind), one_line(line.subject)
    told = {
        "seq": after.seq + 1,
        "station": station_no,
        "at": utc_text(line.at),
        "kind": kind,
        "subject": subject,
        "actor": one_line(actor),
        "data": plain(line.data),
        "prev": after.sha256,
    }
    text = canonical(told)
    return Linked(after.seq + 1, line.at, kind, subject, text, digest(text.encode()))


def digest(line: bytes) -> str:
    """SHA-256 of a line without its newline, as hex."""
    return hashlib.sha256(line).hexdigest()


def canonical(value: Any) -> str:
    """The JSON of plain values, always the same for the same values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def utc_text(at: datetime) -> str:
    """A time as lines carry it: UTC with microseconds and Z."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone cannot be told")
    return at.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def one_line(text: str) -> str:
    """A text for a column beside the line: without control characters and lone surrogates, which become escapes."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", _encodable(text))


def plain(value: Any) -> Any:
    """A value as JSON has them: times in UTC, bytes as ``{"b64": …}``, no NaN (null), no lone surrogates."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=canonical)
    if isinstance(value, PathLike):
        return plain(fspath(value))
    raise TypeError(f"a {type(value).__name__} cannot be told in a ledger line")


def _key(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a {type(key).__name__} cannot name a value in a ledger line")
    return _encodable(key)


def _encodable(text: str) -> str:
    """Lone surrogates (bytes of a name that are not UTF-8) as escapes; str() makes a plain text of an enumeration."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True, slots=True)
class Told:
    """What a line says of itself; only ``data`` and ``actor`` are left out."""

    seq: int
    station_no: str
    at: datetime
    kind: str
    subject: str
    prev: str


def parse(line: bytes) -> Told | None:
    """What a line says, or None when it is not a line of a ledger."""
    try:
        said = json.loads(line)
        if not isinstance(said, dict) or said.keys() != _KEYS or type(said["seq"]) is not int:
            return None
        at = datetime.fromisoformat(said["at"])
    except (ValueError, TypeError, RecursionError):  # ValueError: also bytes that are not UTF-8
        return None
    texts = [said[key] for key in ("station", "kind", "subject", "prev")]
    if at.tzinfo is None or not all(isinstance(text, str) for text in texts):
        return None
    return Told(said["seq"], texts[0], at, *texts[1:])
