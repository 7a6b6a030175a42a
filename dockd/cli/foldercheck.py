"""``dockd check``: the folders that others fill, and whether the register is backed up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from dockd.cli.verdict import Check, Verdict
from dockd.locale import _
from dockd.register.backup import copies
from dockd.settings import Settings

_OLD = timedelta(days=3)


def check_folders(settings: Settings, now: datetime) -> Iterator[Check]:
    """A line for each folder that the configuration names, and one for the backups of an installed station."""
    for name, one in settings.folders.deliveries.items():
        yield check_delivery(name, one.path)
    if settings.folders.imports:
        yield check_drop(settings.folders.imports)
    if settings.service.control and settings.backup.keep:
        yield check_backup(settings.backup.folder, now)


def check_delivery(name: str, path: Path) -> Check:
    if path.is_dir() and os.access(path, os.R_OK | os.X_OK):
        return Check("folders", Verdict.OK, _("deliveries {name}: {path} can be read").format(name=name, path=path))
    message = _("deliveries {name}: {path} is not there or cannot be read").format(name=name, path=path)
    hint = _("Mount the share, or let the user dockd read it. It is looked for again every folders.rescan.")
    return Check("folders", Verdict.WARN, message, hint)


def check_drop(path: Path) -> Check:
    if path.is_dir() and os.access(path, os.R_OK | os.W_OK | os.X_OK):
        return Check("folders", Verdict.OK, _("the drop folder {path} can be used").format(path=path))
    message = _("the drop folder {path} is not there or cannot be written").format(path=path)
    hint = _("Make it and let the user dockd write there: tables are moved to done/ or bad/ in it.")
    return Check("folders", Verdict.WARN, message, hint)


def check_backup(folder: Path, now: datetime) -> Check:
    ages = [now - at for at in copies(str(folder)) if at <= now]
    if ages and min(ages) < _OLD:
        newest = (now - min(ages)).isoformat(timespec="minutes")
        return Check("backup", Verdict.OK, _("the register was backed up at {time}").format(time=newest))
    message = _("the register was not backed up lately: there is no new copy in {folder}").format(folder=folder)
    hint = _("The service makes one a night, or soon after its start. See: dockd alert list --open")
    return Check("backup", Verdict.WARN, message, hint)
