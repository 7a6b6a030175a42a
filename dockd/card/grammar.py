"""What a recorder wrote into a file's name, read by one anchored pattern. Hints only, never trusted alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from dockd.card.patterns import matches
from dockd.nouns import ParsedName, Reading, display_path

GROUPS = frozenset({"device", "officer", "a", "b", "either", "time", "date", "clock", "seq", "mark", "channel"})
DIRECTIVES = frozenset({"%Y", "%y", "%m", "%b", "%d", "%H", "%M", "%S"})

_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: f"{number:02d}" for number, name in enumerate(_MONTH_NAMES, start=1)}
_MONTH = re.compile("|".join(_MONTHS), re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NamedPath:
    """A path as patterns see it: in characters, whole and without the extension."""

    path: str
    folder: str
    name: str
    stem: str
    extension: str

    @classmethod
    def of(cls, raw: bytes) -> NamedPath:
        """Bytes that are no characters, and control characters, stand as escapes (``display_path``)."""
        path = display_path(raw)
        folder, slash, name = path.rpartition("/")
        stem, _, extension = name.rpartition(".")
        if not stem:
            stem, extension = name, ""
        return cls(path, folder + slash, name, stem, extension.lower())


@dataclass(frozen=True, slots=True)
class Grammar:
    """One way in which a family of recorders names its files.

    ``pattern`` covers the name, or with ``whole_path`` the path, without the extension.
    ``time_format`` is how the groups ``time``, or ``date`` and ``clock`` joined by a space, are
    read. ``pad`` are the characters with which the recorder fills up the group ``either``.
    """

    name: str
    pattern: re.Pattern[str]
    whole_path: bool = False
    time_format: str | None = None
    pad: str = ""

    def read(self, at: NamedPath, unset: frozenset[str]) -> ParsedName | None:
        """What the name says, None when it is none of this grammar's. Numbers in ``unset`` are no numbers."""
        found = matches(self.pattern, at.folder + at.stem if self.whole_path else at.stem)
        if not found:
            return None
        groups = {key: value for key, value in found.groupdict().items() if value}
        time_text = groups.get("time") or " ".join(groups[key] for key in ("date", "clock") if key in groups) or None
        return ParsedName(
            grammar=self.name,
            readings=_readings(groups, self.pad, unset),
            wall=read_wall(time_text, self.time_format),
            time_text=time_text,
            sequence=groups.get("seq"),
            important="mark" in groups,
            unmarked=self._unmarked(at, found),
            channel=groups.get("channel"),
        )

    def _unmarked(self, at: NamedPath, found: re.Match[str]) -> str:
        if "mark" not in self.pattern.groupindex or found.start("mark") < 0:
            return at.name
        before = len(at.folder) if self.whole_path else 0
        start, end = found.start("mark") - before, found.end("mark") - before
        return at.name[:start] + at.name[end:] if start >= 0 else at.name


def read_wall(text: str | None, time_format: str | None) -> datetime | None:
    """A recorder's wall clock, without a zone because the name states none; None when it is no date."""
    if not text or not time_format:
        return None
    if "%b" in time_format:
        # Month names of recorders are English whatever the process's locale is.
        text = _MONTH.sub(lambda month: _MONTHS[month.group().lower()], text)
    try:
        return datetime.strptime(text, time_format.replace("%b", "%m"))  # noqa: DTZ007
    except ValueError:
        return None


def is_unset(token: str, unset: frozenset[str]) -> bool:
    """Whether a number means "not set": zeros of any length, or one of the profile's."""
    return not token.strip("0") or token.casefold() in unset


def _readings(groups: dict[str, str], pad: str, unset: frozenset[str]) -> tuple[Reading, ...]:
    if "either" in groups:
        pairs = [(groups["either"], groups["either"].strip(pad))]
    elif "a" in groups or "b" in groups:
        one, other = groups.get("a"), groups.get("b")
        pairs = [(one or "", other or ""), (other or "", one or "")]
    else:
        pairs = [(groups.get("device", ""), groups.get("officer", ""))]
    known = [Reading(_set(device, unset), _set(officer, unset)) for device, officer in pairs]
    return tuple(dict.fromkeys(reading for reading in known if reading.device or reading.officer))


def _set(token: str, unset: frozenset[str]) -> str | None:
    return None if is_unset(token, unset) else token
