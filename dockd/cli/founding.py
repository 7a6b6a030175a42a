"""Making a station in a folder: whole, or so that the same command makes it again.

``dockd.yaml`` gets its name last. Until then it is called ``dockd.yaml.part``, and a
folder that holds that and nothing but what a founding makes is a half-made station:
it holds no footage yet and is made anew.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from string import Template

from dockd.errors import BadValue, ConfigInvalid, ConfigUnreadable, NotEmpty, StationExists, store_error
from dockd.locale import Language, _
from dockd.register import disk
from dockd.settings import Settings, load_settings, parse_settings

FOLDER_MODE = 0o750
FILE_MODE = 0o640
CONFIG = "dockd.yaml"
PART = "dockd.yaml.part"
FOLDERS = ("store", "exports", "profiles")
REGISTER = "register.db"


@dataclass(frozen=True, slots=True)
class Place:
    """The values of a configuration that differ from station to station. The defaults are the reference's."""

    name: str = ""
    station_no: str = "station-1"
    timezone: str = "Asia/Shanghai"
    language: Language = "zh"
    root: str = "/var/lib/dockd/store"
    url: str = "sqlite:////var/lib/dockd/register.db"
    inventory: str = "/var/lib/dockd/exports/inventory.csv"
    backup: str = "/var/lib/dockd/backup"
    control: str = ""


def station_text(place: Place) -> str:
    """The whole configuration of ``place``: every key in force, a comment in Chinese and English above each."""
    template = Template((resources.files("dockd") / "station.yaml").read_text(encoding="utf-8"))
    quoted = {"name": place.name, "station_no": place.station_no, "control": place.control}
    plain = {
        "timezone": place.timezone,
        "language": place.language,
        "root": place.root,
        "url": place.url,
        "inventory": place.inventory,
        "backup": place.backup,
    }
    return template.substitute(plain | {key: json.dumps(text, ensure_ascii=False) for key, text in quoted.items()})


def found_station(
    folder: Path,
    *,
    name: str,
    station_no: str,
    timezone: str,
    language: Language,
    now: Callable[[], datetime],
    actor: str,
) -> Settings:
    """A complete station in ``folder``, on the medium, readable by its owner and group only.

    Raises StationExists and NotEmpty (nothing was changed), BadValue for a value that
    cannot be, StoreError where the folder cannot be written.
    """
    folder = Path(os.path.abspath(folder))
    place = Place(
        name=name,
        station_no=station_no,
        timezone=timezone,
        language=language,
        root="store",
        url=f"sqlite:///{REGISTER}",
        backup="backup",
        inventory="exports/inventory.csv",
    )
    text = station_text(place)
    settings = _valid(place, text, folder / CONFIG)
    _refuse_taken(folder)
    try:
        with _at_work_in(folder):
            _make(folder, text, settings, now, actor)
    except OSError as error:
        raise store_error(error, str(folder)) from error
    return load_settings(folder / CONFIG)


def _valid(place: Place, text: str, file: Path) -> Settings:
    """The settings of ``text``; a value that cannot be is the caller's, not a configuration's."""
    try:
        return parse_settings(text, file)
    except ConfigInvalid as error:
        key = error.fields["key"]
        value = getattr(place, key.rpartition(".")[2])
        raise BadValue(what=key, value=value, expected=error.fields["expected"]) from None
    except ConfigUnreadable:
        wrong = next(name for name in ("name", "station_no", "timezone") if not getattr(place, name).isprintable())
        expected = _("text without control characters")
        raise BadValue(what=wrong, value=getattr(place, wrong), expected=expected) from None


def _refuse_taken(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise BadValue(what=_("the station's folder"), value=folder, expected=_("a folder, not a file"))
    try:
        found = {entry.name for entry in folder.iterdir()} if folder.exists() else set()
    except OSError as error:
        raise store_error(error, str(folder)) from error
    if CONFIG in found:
        raise StationExists(path=folder)
    half_made = PART in found and all(_is_ours(name) for name in found) and not (folder / "store/footage").exists()
    if found and not half_made:
        raise NotEmpty(path=folder)


def _is_ours(name: str) -> bool:
    return name == PART or name in FOLDERS or name.startswith(REGISTER)


@contextmanager
def _at_work_in(folder: Path) -> Iterator[None]:
    """Hold ``folder`` against a second founding at the same time."""
    disk.make_folders(str(folder))  # the name of a new folder is on the medium: all else hangs on it
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _refuse_taken(folder)
        yield
        os.fsync(held)  # a station is promised: the name of its configuration
    except BlockingIOError:
        raise NotEmpty(path=folder) from None
    finally:
        os.close(held)


def _make(folder: Path, text: str, settings: Settings, now: Callable[[], datetime], actor: str) -> None:
    from dockd.register.station import create_station

    _write(folder / PART, text)
    _clear(folder)
    folder.chmod(FOLDER_MODE)
    for name in FOLDERS:
        (folder / name).mkdir(mode=FOLDER_MODE)
    create_station(settings, now=now, actor=actor).close()
    os.rename(folder / PART, folder / CONFIG)


def _write(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    with open(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())  # the configuration's name promises whole bytes


def _clear(folder: Path) -> None:
    """Remove what an interrupted founding left: an empty store and an empty register, never footage."""
    for entry in list(folder.iterdir()):
        if entry.name == PART or not _is_ours(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
