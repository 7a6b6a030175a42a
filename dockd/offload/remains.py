"""What lies in quarantine: remains of copies whose card changed or never came back, and copies that differed.

They may be all that is left of a recording, so that they are kept for ever unless the agency says for how many days.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dockd.offload import durable
from dockd.offload.layout import QUARANTINE
from dockd.register import ledger
from dockd.register.station import Station

_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Remains:
    """One file in quarantine. ``since`` is when it was put there."""

    path: str
    size: int
    since: datetime


def clear_quarantine(station: Station) -> int:
    """Removes what has lain in quarantine for ``store.quarantine_days``; returns how many files.

    The ledger keeps of each its name, size and digest, in a line that is committed before the file goes.
    Raises StoreError.
    """
    days = station.settings.store.quarantine_days
    if not days:
        return 0
    store, now = os.fspath(station.store), station.now()
    count = 0
    with durable.blaming_store(store):
        for one in list(remains(store)):
            if timedelta(days=days) <= now - one.since:
                _tell(station, one, _digest(f"{store}/{one.path}"), now)
                durable.remove_durably(f"{store}/{one.path}")
                count += 1
    if count:
        station.mirror_ledger()
    return count


def remains(store: str) -> Iterator[Remains]:
    """Everything that lies in the quarantine of ``store``."""
    for folder, _folders, names in os.walk(f"{store}/{QUARANTINE}"):
        for name in sorted(names):
            status = os.lstat(f"{folder}/{name}")
            if stat.S_ISREG(status.st_mode):
                # the change time: a rename sets it, and no program can set it back
                since = datetime.fromtimestamp(status.st_ctime, UTC)
                yield Remains(os.path.relpath(f"{folder}/{name}", store), status.st_size, since)


def _digest(path: str) -> str:
    digest = hashlib.sha256()
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        while data := file.read(_READ):
            digest.update(data)
    return digest.hexdigest()


def _tell(station: Station, one: Remains, digest: str, now: datetime) -> None:
    with station.register.write() as session:
        ledger.append(
            session,
            station_no=station.station_no,
            kind="quarantine.removed",
            subject=f"remains:{os.path.basename(one.path)}",
            data={"path": one.path, "size": one.size, "sha256": digest, "since": one.since},
            at=now,
            actor=station.actor,
        )
