"""Looking at a card before a byte is copied: complete listing, profile, classification, evidence of identity."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from dockd.card.binding import Binding, read_bindings
from dockd.card.identity import detached_mount, identify_card, majority_device
from dockd.card.junk import confirm_skip
from dockd.card.listing import list_card
from dockd.card.profile import Profile, load_profiles
from dockd.errors import CardGone, PathIsStore, PathMissing, PathNotDirectory, PathUnreadable
from dockd.nouns import CardIdentity, Classified, Entry, EntryType, Listing, Rung
from dockd.register import recorders
from dockd.register.station import Station
from dockd.visit.identify import Clue, Identified, identify
from dockd.visit.patience import Patience
from dockd.visit.request import Root, VisitRequest


@dataclass(frozen=True, slots=True)
class Card:
    """An open card: its root's descriptor, which nothing else is reached through, and what tells it apart."""

    fd: int
    path: str
    identity: CardIdentity
    patience: Patience
    heads: tuple[tuple[int, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a card: everything that is decided before the visit has a number."""

    listing: Listing
    profile: Profile
    classified: tuple[Classified, ...]
    clues: tuple[Clue, ...]
    identified: Identified
    bindings: tuple[Binding, ...] = ()
    twin_in: str | None = None
    """The bay in which another recorder with this one's identity is docked."""

    @property
    def pairs(self) -> Iterator[tuple[Entry, Classified]]:
        return zip(self.listing.entries, self.classified, strict=True)


@contextmanager
def open_card(path: str, store: str, patience: Patience, *, root: Root | None = None) -> Iterator[Card]:
    """Opens a directory as a card, read-only; ``root``, if given, is that directory and is closed at the end.

    Raises the WrongUse that says what is wrong with ``path``, CardGone, NotAnswering.
    """
    fd = root.fd if root else patience.wait_for(lambda: _open_directory(path))
    try:
        identity = patience.wait_for(lambda: _identify(path, fd, store, root))
        yield Card(fd, path, identity, patience, root.heads if root else ())
    finally:
        os.close(fd)


def _identify(path: str, fd: int, store: str, root: Root | None) -> CardIdentity:
    try:
        if root is None or not root.fs_type:
            _refuse_store(path, store)
            return identify_card(path, fd)
        if os.fstat(fd).st_dev == _device_of(store):
            raise PathIsStore(path=path, store=store)
        return identify_card(path, fd, detached=detached_mount(root.fs_type, root.options))
    except OSError as error:
        raise CardGone(path=path) from error


def _device_of(store: str) -> int | None:
    """The device that the store is on; None while it is not there: whoever writes to it says so."""
    try:
        return os.stat(store).st_dev
    except OSError:
        return None


def _open_directory(path: str) -> int:
    try:
        if not stat.S_ISDIR(os.stat(path).st_mode):
            raise PathNotDirectory(path=path)
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except (FileNotFoundError, ValueError):
        raise PathMissing(path=path) from None
    except NotADirectoryError:
        raise PathNotDirectory(path=path) from None
    except OSError as error:
        raise PathUnreadable(path=path, reason=error.strerror) from error


def _refuse_store(path: str, store: str) -> None:
    card, kept = os.path.realpath(path), os.path.realpath(store)
    if os.path.commonpath([card, kept]) in (card, kept):
        raise PathIsStore(path=path, store=store)


def look_at(card: Card, station: Station, request: VisitRequest) -> Sight:
    """Lists and classifies the card and says whose it is. Raises UnknownNumber for an unregistered ``device_no``."""
    profiles = load_profiles(station.settings.profiles.folder)
    listing = list_card(card.fd, now=station.now(), heard=card.patience.heard)
    profile = profiles.choose(listing, card.identity.label, None)
    classified = _classify(card, listing, profile)
    bindings = read_bindings(card.fd, listing, profile)
    with station.register.read() as session:
        named, mentioned = _by_names(session, classified)
        clues = [*_gather(session, card.identity, bindings, request), *named]
        found = identify(clues, mentioned=mentioned)
        wanted = _registered_profile(session, found.device_no)
    if wanted and wanted != profile.name:
        profile = profiles.choose(listing, card.identity.label, wanted)
        classified = _classify(card, listing, profile)
    return Sight(listing, profile, classified, tuple(clues), found, bindings)


def profile_named(station: Station, name: str | None) -> Profile:
    """The profile of an earlier visit, or the last resort when it is gone."""
    profiles = load_profiles(station.settings.profiles.folder)
    return profiles.by_name.get(name or "", profiles.last_resort)


def _classify(card: Card, listing: Listing, profile: Profile) -> tuple[Classified, ...]:
    return tuple(_classify_one(card, entry, profile) for entry in listing.entries)


def _classify_one(card: Card, entry: Entry, profile: Profile) -> Classified:
    said = profile.classify(entry)
    card.patience.heard()
    if said.skip and entry.type is EntryType.FILE and not confirm_skip(card.fd, entry):
        return replace(said, skip=None)  # media by signature is stored wherever it lies (article 3)
    return said


def _gather(
    session: Session,
    card: CardIdentity,
    bindings: Sequence[Binding],
    request: VisitRequest,
) -> list[Clue]:
    clues = []
    device_no, driver_serial = request.device_no, request.driver_serial
    if device_no is not None:
        recorders.get_recorder(session, device_no)
        clues.append(Clue(Rung.EXPLICIT, device_no, device_no))
    if driver_serial:
        clues.append(Clue(Rung.DRIVER, driver_serial, recorders.device_by_serial(session, driver_serial)))
    clues += [
        Clue(Rung.BINDING_FILE, binding.device, recorders.device_by_token(session, binding.device))
        for binding in bindings
        if binding.device
    ]
    clues += _by_identity(session, Rung.USB_SERIAL, "usb_serial", card.usb_serial)
    if card.usb_serial and (number := recorders.device_by_serial(session, card.usb_serial)):
        clues.append(Clue(Rung.USB_SERIAL, card.usb_serial, number))
    clues += _by_identity(session, Rung.VOLUME, "fs_uuid", card.fs_uuid)
    clues += _by_identity(session, Rung.VOLUME, "label", card.label)
    if card.label:
        clues.append(Clue(Rung.VOLUME, card.label, recorders.device_by_token(session, card.label)))
    return clues


def _by_identity(session: Session, rung: Rung, kind: str, value: str | None) -> list[Clue]:
    if not value:
        return []
    return [Clue(rung, value, number) for number in recorders.recorder_by_identity(session, kind, value)]


def _by_names(session: Session, classified: Sequence[Classified]) -> tuple[list[Clue], frozenset[str]]:
    """What most of the names say, and every recorder that some name can only mean."""
    spoken = {frozenset(r.device for r in c.parsed.readings if r.device) for c in classified if c.parsed}
    tokens = sorted(frozenset().union(*spoken))
    known = {token: recorders.device_by_token(session, token) for token in tokens}
    meant = [{number for token in said if (number := known[token])} for said in spoken]
    winner, _ = majority_device(classified, known.get)
    named = [Clue(Rung.FILE_NAMES, winner, winner)] if winner else []
    named += [Clue(Rung.FILE_NAMES, token, None) for token in tokens if known[token] is None]
    return named, frozenset(number for numbers in meant if len(numbers) == 1 for number in numbers)


def _registered_profile(session: Session, device_no: str | None) -> str | None:
    row = recorders.find_recorder(session, device_no) if device_no else None
    return row.profile if row else None


def digest_of(listing: Listing) -> str:
    """SHA-256 over every entry's type, size, mtime and raw path: the listing, fixed in the ledger."""
    digest = hashlib.sha256()
    for e in listing.entries:
        digest.update(f"{e.type} {e.size} {e.mtime_ns} {e.error or '-'} ".encode() + e.path + b"\0")
    return digest.hexdigest()
