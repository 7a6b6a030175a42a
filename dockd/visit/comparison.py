"""A register that was made again compared with its store: what nobody registered, what lacks, what says otherwise.

Lengths, sidecars and visits' listings are read, footage itself is not: that is ``dockd verify``.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dockd.errors import SidecarInvalid, store_error
from dockd.export.visitfile import parse_visit
from dockd.footage.sidecar import LARGEST, SidecarValues, parse_sidecar
from dockd.nouns import display_path, is_utf8
from dockd.offload.layout import FOOTAGE, TEMP_SUFFIX, visit_of
from dockd.register import holdings
from dockd.register.listings import VisitListing
from dockd.register.records import Record, RecordFilter, list_records
from dockd.register.tables import LocationState, SidecarRow, VisitRow
from dockd.register.values import chunks

_PAGE = 400
# The mirror lags behind by a visit or a few; a number far beyond was not given by this register.
_FAR = 1000
_DAY = re.compile(rf"{FOOTAGE}/(\d{{4}})/(\d{{2}})/(\d{{2}})/([^/]+)/[^/]+\Z")
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
# What a sidecar and its record both say, and nothing but a revision changes.
_SAME = (
    *("file_no", "record_id", "visit_id", "title", "device_no", "owner_state", "used_from", "used_to", "case_cause"),
    *("case_no", "act_type", "stage", "matter", "place", "method", "confidentiality", "is_evidence"),
    *("important_mark", "remark", "original_path", "media_type", "size", "docked_at", "stored_at", "deadline_at"),
    *("late", "late_kind"),
)


class Differs(StrEnum):
    """How a file of the store and the register differ. Half copies are known to be lost and no contradiction."""

    UNREGISTERED = "unregistered"
    MISSING = "missing"
    ALTERED = "altered"
    UNREADABLE = "unreadable"
    SAYS_OTHERWISE = "says_otherwise"
    HALF_COPY = "half_copy"


@dataclass(frozen=True, slots=True)
class Difference:
    """One file; ``location`` is relative to the store's root and escaped so that no name deceives a screen."""

    kind: Differs
    location: str
    what: str = ""


@dataclass(slots=True)
class LostVisit:
    """What the names of a visit's files tell, and its listing if that lies there. No ledger line proves either."""

    day: date
    folder: str
    listing: VisitListing | None = None


@dataclass(slots=True)
class Findings:
    """What was found. ``lost_visits`` are numbers that only files in the store name."""

    differences: list[Difference] = field(default_factory=list)
    lost_visits: dict[int, LostVisit] = field(default_factory=dict)

    def say(self, kind: Differs, path: str, what: str = "") -> None:
        self.differences.append(Difference(kind, display_path(os.fsencode(path)), what))


def listing_reader(root: str, found: Findings) -> Callable[[int, str, str], VisitListing | None]:
    """Reads visits' listings; one that is not as its ledger line says it is told in ``found`` and is None."""

    def read(visit_id: int, place: str, sha256: str) -> VisitListing | None:
        data = _read(root, place, sha256, found, largest=None)
        if data is None:
            return None
        try:
            listing = parse_visit(data)
        except ValueError as error:
            found.say(Differs.ALTERED, place, str(error))
            return None
        if listing.visit_id != visit_id:
            found.say(Differs.ALTERED, place, f"visit {listing.visit_id}")
            return None
        return listing

    return read


def compare_store(session: Session, station_no: str, root: str, found: Findings) -> None:
    """Adds to ``found`` where store and register differ. Raises StoreError where the store cannot be listed."""
    _find_unregistered(session, root, found)
    _compare_footage(session, station_no, root, found)
    _compare_sidecars(session, root, found)
    _look_for_manifests(session, station_no, root, found)


# --- what nobody registered -------------------------------------------------------------------------------


def _find_unregistered(session: Session, root: str, found: Findings) -> None:
    for paths in chunks(_walk(root, FOOTAGE), _PAGE):
        visits = {path: number for path in paths if (number := visit_of(path)) is not None}
        known = holdings.known_paths(session, [p for p in paths if is_utf8(os.fsencode(p))], visits.values())
        there = _registered_visits(session, visits.values())
        for path in paths:
            if path.endswith(TEMP_SUFFIX):
                found.say(Differs.HALF_COPY, path)
            elif path not in known:
                found.say(Differs.UNREGISTERED, path)
            if path not in known and path in visits and visits[path] not in there:
                _note_lost_visit(root, path, visits[path], found)
    newest = session.scalar(select(func.max(VisitRow.id))) or 0
    found.lost_visits = {number: lost for number, lost in found.lost_visits.items() if number <= newest + _FAR}


def _note_lost_visit(root: str, path: str, number: int, found: Findings) -> None:
    if place := _place_of(path):
        lost = found.lost_visits.setdefault(number, LostVisit(*place))
        if path.endswith(f"/visit-{number:06d}.json"):
            lost.listing = _unproven_listing(f"{root}/{path}", number)


def _unproven_listing(path: str, number: int) -> VisitListing | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            listing = parse_visit(file.read())
    except (OSError, ValueError):
        return None
    return listing if listing.visit_id == number else None


def _registered_visits(session: Session, numbers: Iterable[int]) -> set[int]:
    some = chunks(sorted(set(numbers)))
    return {n for wanted in some for n in session.scalars(select(VisitRow.id).where(VisitRow.id.in_(wanted)))}


def _walk(root: str, folder: str) -> Iterator[str]:
    """Every name below ``folder`` that is no folder, a folder's own names first."""
    try:
        with os.scandir(f"{root}/{folder}") as entries:
            names = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except FileNotFoundError:
        return
    except OSError as error:
        raise store_error(error, f"{root}/{folder}") from error
    yield from (f"{folder}/{name}" for name, is_folder in names if not is_folder)
    for name, is_folder in names:
        if is_folder:
            yield from _walk(root, f"{folder}/{name}")


def _place_of(path: str) -> tuple[date, str] | None:
    """The day and the recorder's folder that a path in the store names."""
    said = _DAY.match(path)
    try:
        return (date(int(said[1]), int(said[2]), int(said[3])), said[4]) if said else None
    except ValueError:
        return None


# --- what is registered ----------------------------------------------------------------------------------


def _compare_footage(session: Session, station_no: str, root: str, found: Findings) -> None:
    after = 0
    while page := holdings.page_footage(session, station_no, None, after=after, limit=_PAGE):
        for holding in page:
            if holding.state is LocationState.PRESENT and not holding.replaced:
                _compare_length(root, holding.path, holding.size, found)
        after = page[-1].key


def _compare_length(root: str, path: str, size: int | None, found: Findings) -> None:
    try:
        length = os.lstat(f"{root}/{path}").st_size
    except OSError as error:
        _say_unreadable(error, path, found)
        return
    if size is not None and length != size:
        found.say(Differs.ALTERED, path, f"size {length} instead of {size}")


def _say_unreadable(error: OSError, path: str, found: Findings) -> None:
    if error.errno in _GONE:
        found.say(Differs.MISSING, path)
    else:
        found.say(Differs.UNREADABLE, path, error.strerror or str(error))


def _compare_sidecars(session: Session, root: str, found: Findings) -> None:
    after = 0
    while page := list_records(session, RecordFilter(), limit=_PAGE, after=after):
        records = {record.record_id: record for record in page}
        rows = select(SidecarRow).where(SidecarRow.record_id.in_(records)).order_by(SidecarRow.id)
        for sidecar in session.scalars(rows.execution_options(populate_existing=True)):
            data = _read(root, sidecar.path, sidecar.sha256, found, largest=LARGEST)
            record = records[sidecar.record_id]
            if data is not None and sidecar.revision == record.revision:
                _compare_said(data, sidecar.path, record, found)
        session.expunge_all()
        after = page[-1].record_id


def _compare_said(data: bytes, path: str, record: Record, found: Findings) -> None:
    try:
        said = parse_sidecar(data)
    except SidecarInvalid as error:
        found.say(Differs.ALTERED, path, str(error))
        return
    if differing := list(_differing(said, record)):
        found.say(Differs.SAYS_OTHERWISE, path, ", ".join(differing))


def _differing(said: SidecarValues, record: Record) -> Iterator[str]:
    yield from (name for name in _SAME if getattr(said, name) != getattr(record, name))
    pairs = {
        "revision": (said.revision, record.revision + 1),
        "digest": (said.digest, record.sha256),
        "party": ("；".join(said.party), record.party or ""),
        "officers": (tuple(officer.cert_no for officer in said.officers), record.officers),
    }
    yield from (name for name, (one, other) in pairs.items() if one != other)


def _read(root: str, path: str, sha256: str, found: Findings, *, largest: int | None) -> bytes | None:
    """The bytes of a file if they are those that its ledger line names; otherwise that is told."""
    try:
        fd = os.open(f"{root}/{path}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            data = file.read() if largest is None else file.read(largest + 1)
    except OSError as error:
        _say_unreadable(error, path, found)
        return None
    actual = hashlib.sha256(data).hexdigest()
    if actual != sha256:
        found.say(Differs.ALTERED, path, f"sha256 {actual} instead of {sha256}")
        return None
    return data


def _look_for_manifests(session: Session, station_no: str, root: str, found: Findings) -> None:
    after = 0
    while page := holdings.page_manifests(session, station_no, None, after=after, limit=_PAGE):
        for _visit_id, path in page:
            _compare_length(root, path, None, found)
        after = page[-1][0]
