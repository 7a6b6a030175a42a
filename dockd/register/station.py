"""A station at work: its settings, its register and its store, known to belong together.

The store carries a marker (``.dockd/store.json``) that names station and store; the register carries
the same. So an unmounted disk, another station's disk or a register that was put back from somewhere
else is noticed before the first byte is written.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from dockd.errors import RegisterAbsent, StationExists, StoreMissing
from dockd.register import disk, ledger
from dockd.register.session import Register, create_register, open_register
from dockd.register.tables import StationRow
from dockd.settings import Settings

MARKER = disk.MARKER


@dataclass(frozen=True)
class Station:
    """What every act of the station needs. ``actor`` is ``person:<login name>``, or ``dockd`` for the machine."""

    settings: Settings
    register: Register
    now: Callable[[], datetime]
    actor: str

    @property
    def station_no(self) -> str:
        return self.settings.agency.station_no

    @property
    def zone(self) -> ZoneInfo:
        return self.settings.zone

    @property
    def store(self) -> Path:
        return self.settings.store.root

    def mirror_ledger(self) -> int:
        """Every ledger line committed so far stands in the store, on the medium; see ``ledger.mirror_ledger``."""
        return ledger.mirror_ledger(self.register, self.store, self.station_no, self.zone)

    def close(self) -> None:
        """The register's connections are closed."""
        self.register.close()


def open_station(settings: Settings, *, now: Callable[[], datetime], actor: str) -> Station:
    """The station of ``settings``, register and store open and of this station.

    Raises StoreMissing where the store has no marker or another's, RegisterAbsent where there is a store
    but no register, and what ``open_register`` raises. Nothing is written.
    """
    root, station_no = settings.store.root, settings.agency.station_no
    store_id = read_marker(root, station_no)
    try:
        register = open_register(settings.register.url, wait_s=settings.register.wait_s)
    except RegisterAbsent as error:
        raise RegisterAbsent(url=error.fields["url"], store=str(root)) from None
    try:
        with register.read() as session:
            row = session.get(StationRow, station_no)
        if row is None or row.store_id != store_id:
            raise StoreMissing(path=str(root))
    except BaseException:
        register.close()
        raise
    return Station(settings, register, now, actor)


def create_station(settings: Settings, *, now: Callable[[], datetime], actor: str) -> Station:
    """A new station: store with marker, register with its first ledger line, which is mirrored. All on the medium.

    On PostgreSQL a register that other stations use is joined. Raises StationExists where the store or
    the register holds this station already (nothing is changed then), and StoreError.
    """
    root, station_no = settings.store.root, settings.agency.station_no
    with disk.blaming(str(root)):
        if any(os.path.lexists(root / name) for name in (MARKER, "footage", "ledger")):
            raise StationExists(path=str(root))
        disk.make_folders(f"{root}/.dockd")
    register = _create_or_join(settings)
    try:
        store_id = str(uuid.uuid4())
        with register.write() as session:
            _enter(session, settings, store_id, at=now(), actor=actor)
        with disk.blaming(str(root)):
            # The marker comes last: a store that has one has a register.
            marker = {"store_id": store_id, "station_no": station_no}
            disk.write_new(f"{root}/{MARKER}", json.dumps(marker, indent=1).encode() + b"\n")
        station = Station(settings, register, now, actor)
        station.mirror_ledger()
    except BaseException:
        register.close()
        raise
    return station


def last_seen(session: Session, station_no: str) -> datetime:
    """The newest time that the station has seen."""
    return session.get_one(StationRow, station_no).last_seen_at


@dataclass(frozen=True, slots=True)
class Boot:
    """One life of this machine, and how long it has lasted by a clock that nobody can set."""

    boot_id: str
    lasted: timedelta


@dataclass(frozen=True, slots=True)
class Noted:
    """How far a clock lies behind the newest time that the station has seen, or ahead of what has passed."""

    behind: timedelta = timedelta(0)
    ahead: timedelta = timedelta(0)


def note_time(
    session: Session, station_no: str, now: datetime, boot: Boot | None = None, *, kept: bool = False
) -> Noted:
    """What the station's memory says of ``now``; both are zero for a clock that goes on.

    The newest time is kept, so that a clock that was set back is noticed at every start until it has caught
    up. When the machine was started is kept too, as the clock said it first: one that was set forward since is
    noticed until the next start, and its time is not taken for seen. ``kept``: a time service keeps the clock
    now, and may have set it.
    """
    row = session.get_one(StationRow, station_no, with_for_update=True)
    behind = max(row.last_seen_at - now, timedelta(0))
    ahead = timedelta(0)
    if boot and row.booted_at and row.boot_id == boot.boot_id and not kept:
        ahead = max(now - boot.lasted - row.booted_at, ahead)
    elif boot and not behind:
        row.boot_id, row.booted_at = boot.boot_id, now - boot.lasted
    row.last_seen_at = max(row.last_seen_at, now - ahead)
    return Noted(behind, ahead)


def read_marker(root: Path, station_no: str) -> str:
    """The store's id, if its marker is this station's. Raises StoreMissing otherwise."""
    with disk.blaming(str(root)):
        raw = (root / MARKER).read_bytes()
    try:
        marker = json.loads(raw)
        if marker["station_no"] == station_no and isinstance(marker["store_id"], str):
            return marker["store_id"]
    except (ValueError, KeyError, TypeError):
        pass  # half a marker is none
    raise StoreMissing(path=str(root))


def _create_or_join(settings: Settings) -> Register:
    url, wait_s = settings.register.url, settings.register.wait_s
    try:
        create_register(url)
    except StationExists:
        if not url.startswith("postgresql"):
            raise
    return open_register(url, wait_s=wait_s)


def _enter(session: Session, settings: Settings, store_id: str, *, at: datetime, actor: str) -> None:
    station_no = settings.agency.station_no
    if session.get(StationRow, station_no) is not None:
        raise StationExists(path=settings.register.url)
    session.add(StationRow(station_no=station_no, store_id=store_id, created_at=at, last_seen_at=at))
    ledger.append(
        session,
        station_no=station_no,
        kind="station.created",
        subject=f"station:{station_no}",
        data={
            "station_no": station_no,
            "store_id": store_id,
            "agency": settings.agency.name,
            "timezone": settings.agency.timezone,
        },
        at=at,
        actor=actor,
    )
