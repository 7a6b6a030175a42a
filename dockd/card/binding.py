"""What files on the card say of whose card it is. They are read, never written and never obeyed: a clue.

Anyone who holds the card can change such a file, so it names a recorder only together with the
register, and whatever is odd about it makes it silent, with the reason kept.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from dockd.card.listing import open_entry
from dockd.card.patterns import matches
from dockd.card.profile import BindingRule, Profile
from dockd.errors import CardFileReplaced, CardFileUnreadable
from dockd.nouns import Entry, EntryType, Listing, display_path

MAX_BYTES = 64 << 10
MAX_FILES = 16
MAX_TOKEN = 64


@dataclass(frozen=True, slots=True)
class Binding:
    """One binding file: the recorder and officer it names, None where unset or not said.

    ``problem`` is a code for why it says nothing: ``unreadable``, ``too_large``, ``not_text``,
    ``malformed``, ``no_section``, ``bad_value``.
    """

    path: bytes
    device: str | None = None
    officer: str | None = None
    problem: str | None = None


class _Odd(Exception):
    """Why a binding file is passed over, as a code."""


def read_bindings(root_fd: int, listing: Listing, profile: Profile) -> tuple[Binding, ...]:
    """Every binding file that the profile declares and the card holds, in the listing's order.

    At most ``MAX_FILES`` of them and ``MAX_BYTES`` of each are read. Raises CardGone.
    """
    found: list[Binding] = []
    for entry in listing.entries:
        rule = _rule_for(entry, profile)
        if rule and len(found) < MAX_FILES:
            found.append(_read(root_fd, entry, rule, profile))
    return tuple(found)


def _rule_for(entry: Entry, profile: Profile) -> BindingRule | None:
    if entry.type is not EntryType.FILE or not profile.bindings:
        return None
    path = display_path(entry.path)
    return next((rule for rule in profile.bindings if matches(rule.path, path)), None)


def _read(root_fd: int, entry: Entry, rule: BindingRule, profile: Profile) -> Binding:
    try:
        values = _PARSERS[rule.format](_text(root_fd, entry), rule.section)
        return Binding(
            entry.path,
            device=_token(values, rule.device, profile),
            officer=_token(values, rule.officer, profile),
        )
    except _Odd as problem:
        return Binding(entry.path, problem=str(problem))


def _text(root_fd: int, entry: Entry) -> str:
    if entry.size > MAX_BYTES:
        raise _Odd("too_large")
    try:
        fd = open_entry(root_fd, entry.path)
        try:
            raw = os.pread(fd, MAX_BYTES + 1, 0)
        finally:
            os.close(fd)
    except (CardFileReplaced, CardFileUnreadable, OSError) as error:
        raise _Odd("unreadable") from error
    if len(raw) > MAX_BYTES:
        raise _Odd("too_large")
    return decode(raw)


def decode(raw: bytes) -> str:
    """Text as recorders' and Windows' tools write it: UTF-8, UTF-16 with its mark, else GB18030."""
    encodings = ("utf-16",) if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "gb18030")
    for encoding in encodings:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise _Odd("not_text")


def _parse_ini(text: str, section: str | None) -> Mapping[str, str | None]:
    # No interpolation: a "%(…)s" in a value is a value. A key twice is a contradiction.
    parser = configparser.ConfigParser(interpolation=None, strict=True, allow_no_value=True, default_section="\0")
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise _Odd("malformed") from error
    for name in parser.sections():
        if section is not None and name.casefold() == section.casefold():
            return {key.casefold(): value for key, value in parser.items(name)}
    raise _Odd("no_section")


def _parse_properties(text: str, _section: str | None) -> Mapping[str, str | None]:
    values: dict[str, str | None] = {}
    for line in text.splitlines():
        line = line.strip()
        if not line or line[0] in "#!":
            continue
        key, separator, value = line.partition("=")
        if not separator:
            key, separator, value = line.partition(":")
        key = key.strip().casefold()
        if not separator or values.setdefault(key, value.strip()) != value.strip():
            raise _Odd("malformed")
    return values


_PARSERS: Mapping[str, Callable[[str, str | None], Mapping[str, str | None]]] = {
    "ini": _parse_ini,
    "properties": _parse_properties,
}


def _token(values: Mapping[str, str | None], key: str | None, profile: Profile) -> str | None:
    value = (values.get(key.casefold()) or "").strip().strip("\"'").strip() if key else ""
    if len(value) > MAX_TOKEN or not value.isprintable():
        raise _Odd("bad_value")
    return None if not value or profile.is_unset(value) else value
