"""The exports that the configuration names: where each lies, how it looks, and whether it is still of today."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from dockd.errors import ExportUnwritable
from dockd.export.inventory import Exported, Inventory, export_inventory
from dockd.register.ledger import head
from dockd.register.station import Station
from dockd.settings import Settings

_RESTS = timedelta(hours=1)
"""A file that is younger than the last ledger line by this much holds what that line tells of."""


def exports_of(settings: Settings) -> dict[str, tuple[str, Inventory]]:
    """Path and look of every configured export by its name; the default one has the empty name."""
    default = settings.inventory
    found = {"": (str(default.path), Inventory(headers=default.headers, bom=default.bom))}
    for one in settings.exports:
        look = Inventory(headers=one.headers, bom=one.bom, masked=one.masked, columns=one.columns)
        found[one.name] = (str(one.path), look)
    return found


def write_exports(station: Station) -> list[Exported]:
    """Every configured export holds what the register says now; one that nothing was added to since is left alone.

    One that cannot be written does not keep the others from it: then ExportUnwritable is raised at the end.
    """
    with station.register.read() as session:
        last = head(session, station.station_no).at
    done, failed = [], None
    for path, look in exports_of(station.settings).values():
        if _is_current(path, last, station.now()):
            continue
        try:
            done.append(_write(station, path, look))
        except ExportUnwritable as error:
            failed = failed or error
    if failed:
        raise failed
    return done


def _write(station: Station, path: str, look: Inventory) -> Exported:
    try:
        os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    except OSError as error:
        raise ExportUnwritable(path=path, reason=error.strerror or str(error)) from error
    return export_inventory(station.register, station.zone, path, look)


def _is_current(path: str, last: datetime | None, now: datetime) -> bool:
    """A file of the future was written while the clock was wrong, and says nothing."""
    try:
        written = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
    except OSError:
        return False
    return last is not None and last + _RESTS < written <= now
