"""A visit's listing and outcomes as a file beside its footage: what lay on the card, readable without dockd.

JSON in UTF-8, an entry a line, the same bytes for the same visit. Rendering and parsing are inverses,
so that a lost register gets back what its rows said of a card.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from dockd.errors import StoredFileAltered, store_error
from dockd.export.atomic import publishing
from dockd.nouns import is_utf8, path_text
from dockd.register.listings import Kept, Seen, VisitListing

SCHEMA = "dockd.visit/1"

# What a terminal would obey instead of showing it: JSON escapes only the controls below space.
_CONTROL = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
_ENTRY = ("seq", "type", "size", "mtime_ns", "error", "media", "place")
_KEPT = tuple(f.name for f in fields(Kept) if f.name != "size")
_HEAD = tuple(f.name for f in fields(VisitListing) if f.name != "entries")
_TIMES = frozenset({"opened_at", "docked_at", "first_byte_at", "safe_at", "stored_at", "verified_at"})


def render_visit(listing: VisitListing) -> bytes:
    """The file's bytes. Times are UTC; a path is given as ``--json`` gives it, ``path_b64`` where that is not all."""
    head = {name: _plain(getattr(listing, name)) for name in _HEAD}
    counts: dict[str, int] = {}
    for seen in listing.entries:
        if seen.kept:
            counts[seen.kept.outcome or "pending"] = counts.get(seen.kept.outcome or "pending", 0) + 1
    lines = [f" {_json(name)}: {_json(value)}," for name, value in {"schema": SCHEMA, **head, "counts": counts}.items()]
    entries = ",\n".join(f"  {_json(_entry(seen))}" for seen in listing.entries)
    text = "{\n" + "\n".join(lines) + '\n "entries": [' + (f"\n{entries}\n " if entries else "") + "]\n}\n"
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(", ", ": "))


def _entry(seen: Seen) -> dict[str, Any]:
    """One entry; what is unknown is left out, but a file's outcome is always said."""
    said: dict[str, Any] = {"path": path_text(seen.path)}
    if not is_utf8(seen.path):
        said["path_b64"] = base64.b64encode(seen.path).decode("ascii")
    said |= {name: getattr(seen, name) for name in _ENTRY if getattr(seen, name) is not None}
    if seen.kept:
        values = {name: _plain(getattr(seen.kept, name)) for name in _KEPT}
        said |= {name: value for name, value in values.items() if name == "outcome" or value not in (None, [], 0)}
        said |= {} if seen.kept.size is None else {"bytes": seen.kept.size}
    said |= {name: value for name in ("record_id", "location") if (value := getattr(seen, name)) is not None}
    return said | {"inode": seen.inode, "observation_id": seen.observation_id}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"
    return [dict(item) for item in value] if isinstance(value, tuple) else value


def parse_visit(data: bytes) -> VisitListing:
    """What ``render_visit`` was given. Raises ValueError for anything else."""
    try:
        said = json.loads(data)
        if said["schema"] != SCHEMA:
            raise ValueError(f"not of the form {SCHEMA}")
        head = {name: _value(name, said[name]) for name in _HEAD}
        return VisitListing(**head, entries=tuple(_read_entry(entry) for entry in said["entries"]))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"not a visit's listing: {error}") from error


def _read_entry(said: dict[str, Any]) -> Seen:
    raw = said.get("path_b64")
    values: dict[str, Any] = {name: said.get(name) for name in (*_ENTRY, "record_id", "location")}
    return Seen(
        path=base64.b64decode(raw, validate=True) if raw is not None else said["path"].encode("utf-8"),
        observation_id=said["observation_id"],
        inode=said["inode"],
        kept=_read_kept(said) if "outcome" in said else None,
        **values,
    )


def _read_kept(said: dict[str, Any]) -> Kept:
    values = {name: _value(name, said[name]) for name in _KEPT if name in said and name != "holes"}
    return Kept(**values, size=said.get("bytes"), holes=tuple(said.get("holes", ())))


def _value(name: str, value: Any) -> Any:
    return datetime.fromisoformat(value) if name in _TIMES and value is not None else value


def write_visit(path: str, listing: VisitListing) -> str:
    """``path`` holds the listing, durably and read-only (0440); returns the SHA-256 of what stands there.

    Never replaced: one that a crash left is taken as it stands if it speaks of the same visit.
    Raises StoredFileAltered for anything else there, StoreError when the store does not take it.
    """
    data = render_visit(listing)
    try:
        with publishing(path, mode=0o440, replace=False, blame=store_error) as draft:
            draft.write(data)
    except FileExistsError:
        return hashlib.sha256(_standing(path, listing)).hexdigest()
    return hashlib.sha256(data).hexdigest()


def _standing(path: str, listing: VisitListing) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise store_error(error, path) from error
    try:
        same = _identity(parse_visit(data)) == _identity(listing)
    except ValueError:
        same = False
    if not same:
        raise StoredFileAltered(location=path, reason="something else stands in its place")
    return data


def _identity(listing: VisitListing) -> tuple[object, ...]:
    return listing.station_no, listing.visit_id, listing.card_instance, listing.opened_at
