"""What is made apart from visits, on the forgetful disk: stations, registers, exports; and what each promises.

Each scene's ``promise`` is asked of what a cut leaves (``Scene.broken``): what must hold at any moment, and,
once the program has ``returned``, what it was called for.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cuts import DOCKED, Promise, Scene, Tell, register_of, sha256, short_card
from dock import open_dock
from medium import Image

from dockd.alert.channels import spool
from dockd.cli.founding import Place, found_station, station_text
from dockd.cli.installing import CONTROL, configure
from dockd.export.inventory import Inventory, export_inventory
from dockd.offload.remains import clear_quarantine
from dockd.offload.steps import Passed
from dockd.register.backup import back_up
from dockd.register.session import migrate_register
from dockd.register.station import create_station
from dockd.service.dropped import take_in
from dockd.settings import load_settings
from dockd.visit.rebuild import rebuild_register

DAMAGE = b"no register any more" * 300
TORN = b'{"actor":"person:tester","at":"2026-11-23T'
NOW = DOCKED + timedelta(days=1)


def making(lay: Callable[[Scene], object], program: Callable[[Path], object], promise: Promise) -> Callable[..., Scene]:
    """A scene in which ``program`` is called with the station's folder and keeps ``promise``."""

    def scene_of(scene: Scene) -> Scene:
        def run(_scene: Scene, folder: Path, _tell: Tell, _passed: Passed) -> None:
            program(folder)

        lay(scene)
        return replace(scene, program=run, promise=promise)

    scene_of.__name__ = promise.__name__
    return scene_of


def rows(image: Image, folder: Path, query: str, *, file: str = "register.db") -> list[tuple[object, ...]]:
    """What a register of an image answers; nothing where it cannot be read."""
    with register_of(image, folder, file) as ask, contextlib.suppress(sqlite3.DatabaseError):
        return [tuple(row) for row in ask(query)]
    return []


def data_at(image: Image, path: str) -> bytes | None:
    leaf = image.files.get(path)
    return leaf.data if leaf else None


# --- a new station ---------------------------------------------------------------------------------------------

NEW = "bureau/new"
APART = """\
agency: {name: Test Bureau, station_no: S2, language: en}
store: {root: store, reserve: 0}
register: {url: "sqlite:///apart/register.db"}
"""
PLACE = Place(
    "Test Bureau", "S2", root="store", url="sqlite:///register.db", backup="backup", inventory="exports/inventory.csv"
)


def a_new_station(folder: Path) -> None:
    said = {"name": PLACE.name, "station_no": PLACE.station_no, "timezone": PLACE.timezone}
    found_station(folder / NEW, **said, language=PLACE.language, now=lambda: NOW, actor="person:tester")


def founded(image: Image, said: set[str], folder: Path) -> Iterator[str]:
    """The configuration comes last, the marker next to last; each has its bytes before its name."""
    config, marker = data_at(image, f"{NEW}/dockd.yaml"), data_at(image, f"{NEW}/store/.dockd/store.json")
    stations = rows(image, folder, "SELECT store_id FROM station", file=f"{NEW}/register.db")
    if "returned" in said and config is None:
        yield "the new station's configuration is gone"
    if config not in (None, station_text(PLACE).encode()):
        yield "the new station's configuration is half"
    if marker is None and config is not None:
        yield "the new station's store has no marker"
    if marker is not None and not stations:
        yield from without_station(image, folder, f"{NEW}/register.db")
    if config is not None and marker is not None and (json_of(marker).get("store_id"),) not in stations:
        yield "the new store's marker is not whole"
    if config is not None and not any(path.startswith(f"{NEW}/store/ledger/S2/2") for path in image.files):
        yield "the new station's ledger is not mirrored"


def a_station_with_its_register_apart(folder: Path) -> None:
    file = folder / NEW / "dockd.yaml"
    file.write_text(APART, encoding="utf-8")
    create_station(load_settings(file), now=lambda: NOW, actor="person:tester").close()


def founded_apart(image: Image, said: set[str], folder: Path) -> Iterator[str]:
    marker = data_at(image, f"{NEW}/store/.dockd/store.json")
    if marker is not None and not rows(image, folder, "SELECT store_id FROM station", file=f"{NEW}/apart/register.db"):
        yield from without_station(image, folder, f"{NEW}/apart/register.db")
    if marker is None and "returned" in said:
        yield "the new station's store has no marker"


def an_installed_configuration(folder: Path) -> None:
    configure(folder / "installed.yaml", [])


def configured(image: Image, said: set[str], folder: Path) -> Iterator[str]:
    """It is never made again once its name is there."""
    if data_at(image, "installed.yaml") not in (None, station_text(Place(control=CONTROL)).encode()):
        yield "the configuration is half"


def without_station(image: Image, folder: Path, register: str) -> Iterator[str]:
    if rows(image, folder, "SELECT name FROM sqlite_master WHERE name = 'footage'", file=register):
        yield "the new register does not know its station"
    else:
        yield "the new store has a marker and no register"


def new_folders(scene: Scene) -> None:
    (scene.station / NEW / "store").mkdir(parents=True)


def json_of(data: bytes) -> dict[str, object]:
    with contextlib.suppress(ValueError):
        return dict(json.loads(data))
    return {}


# --- a register made again ---------------------------------------------------------------------------------------


def after_a_visit(scene: Scene) -> None:
    short_card(scene)
    scene.attend(scene.station)
    for name in ("register.db-wal", "register.db-shm"):
        (scene.station / name).unlink(missing_ok=True)


def damaged(scene: Scene) -> None:
    after_a_visit(scene)
    (scene.station / "register.db").write_bytes(DAMAGE)


def lost_and_torn(scene: Scene) -> None:
    after_a_visit(scene)
    (scene.station / "register.db").unlink()
    with newest_mirror(scene.station).open("ab") as file:
        file.write(TORN)


def newest_mirror(station: Path) -> Path:
    return max(station.glob("store/ledger/S1/2*.jsonl"))


def a_rebuilt_register(folder: Path) -> None:
    rebuild_register(load_settings(folder / "dockd.yaml"), now=NOW, actor="person:tester")


def rebuilt(image: Image, said: set[str], folder: Path) -> Iterator[str]:
    """The register's name holds the damaged file or the whole new one, and the damaged one is kept for ever."""
    places = {path for path, leaf in image.files.items() if leaf.data == DAMAGE}
    whole = len(rows(image, folder, "SELECT id FROM footage")) == FILES
    if not places:
        yield "the damaged register is gone"
    if "register.db" in image.files and not whole and "register.db" not in places:
        yield "the new register is half"
    if "returned" in said and not (whole and any("damaged" in path for path in places)):
        yield "the new register is not in its place"


def rebuilt_from_torn(image: Image, said: set[str], folder: Path) -> Iterator[str]:
    """The mirror's torn end is where the ledger's newest line says, and not in the mirror any more."""
    aside = [path for path, leaf in image.files.items() if "quarantine" in path and leaf.data == TORN]
    mirror = max(path for path in image.files if path.startswith("store/ledger/S1/2"))
    in_mirror = TORN + b"\n" not in image.files[mirror].data and image.files[mirror].data.endswith(TORN)
    if not aside and not in_mirror:
        yield "the ledger's torn end is gone"
    if "register.db" in image.files and (in_mirror or not aside):
        yield "the new register stands and the ledger's torn end still does"
    if "returned" in said and len(rows(image, folder, "SELECT id FROM footage")) != FILES:
        yield "the new register is not in its place"


# --- an export ---------------------------------------------------------------------------------------------------


def with_an_older_export(scene: Scene) -> None:
    (scene.station / "exports").mkdir()
    an_inventory(scene.station)
    after_a_visit(scene)


def an_inventory(folder: Path) -> None:
    dock = open_dock(folder, folder.with_name("card"), now=lambda: NOW)
    with contextlib.closing(dock.station):
        export_inventory(
            dock.station.register, dock.station.zone, str(folder / "exports/inventory.csv"), Inventory(headers="en")
        )


def exported(image: Image, said: set[str], _: Path) -> Iterator[str]:
    """A reader sees the old export or the new one; once it has returned, the new one and what describes it."""
    csv, package = data_at(image, "exports/inventory.csv"), json_of(data_at(image, "exports/datapackage.json") or b"")
    lines = (csv or b"").split(b"\r\n")
    if len(lines) not in (2, FILES + 2) or lines[-1]:
        yield "the export is half"
    if not package:
        yield "the export's description is half"
    if "returned" in said and len(lines) != FILES + 2:
        yield "the new export is not in its place"
    if "returned" in said and package and package["resources"][0]["hash"] != f"sha256:{sha256(csv or b'')}":  # type: ignore[index]
        yield "the export's description is of another one"


# --- an upgrade ----------------------------------------------------------------------------------------------------


def of_an_older_dockd(scene: Scene) -> None:
    """The register has one table, and its revision is none that is known."""
    with contextlib.closing(sqlite3.connect(scene.station / "register.db")) as register:
        tables = [
            name
            for (name,) in register.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            if name not in ("alembic_version", "sqlite_sequence")
        ]
        for table in tables:
            register.execute(f'DROP TABLE "{table}"')
        register.execute("DELETE FROM alembic_version")
        register.execute("CREATE TABLE kept (word TEXT)")
        register.execute("INSERT INTO kept VALUES ('before')")
        register.commit()


def an_upgraded_register(folder: Path) -> None:
    assert migrate_register(f"sqlite:///{folder}/register.db", now=NOW.astimezone(UTC))


def upgraded(image: Image, said: set[str], folder: Path) -> Iterator[str]:
    """The backup is whole before the register is another one."""
    ask = partial(rows, image, folder)
    is_new = bool(ask("SELECT name FROM sqlite_master WHERE name = 'footage'"))
    backups = [path for path in image.files if path.startswith("register.db.before-")]
    kept = any(ask("SELECT word FROM kept", file=path) == [("before",)] for path in backups)
    if is_new and not kept:
        yield "the register was upgraded without a backup"
    if "returned" in said and not is_new:
        yield "the upgrade is not durable"


# --- copies of the register, old remains, messages ---------------------------------------------------------------


def configured_with(scene: Scene, store: str = "", more: str = "") -> Scene:
    file = scene.station / "dockd.yaml"
    text = file.read_text(encoding="utf-8").replace("reserve: 0", f"reserve: 0, {store}") + more
    file.write_text(text, encoding="utf-8")
    return scene


def with_copies(scene: Scene) -> None:
    configured_with(scene, more="backup: {folder: copies, keep: 3}\n")


def a_copied_register(folder: Path) -> None:
    dock = open_dock(folder, folder.with_name("card"), now=lambda: NOW)
    with contextlib.closing(dock.station):
        assert back_up(dock.station)


def copied(image: Image, said: set[str], folder: Path) -> Iterator[str]:
    names = [path for path in image.files if path.startswith("copies/") and path.endswith(".db")]
    if any(not rows(image, folder, "SELECT * FROM station", file=path) for path in names):
        yield "the copy of the register is half"
    if "returned" in said and not names:
        yield "the copy of the register is gone"


REMAINS = "store/.dockd/quarantine/S1-20261123-000099-00001.dat.part"


def with_old_remains(scene: Scene) -> None:
    (scene.station / REMAINS).parent.mkdir()
    (scene.station / REMAINS).write_bytes(b"whose")


def old_remains_cleared(folder: Path) -> None:
    at = datetime.now(UTC) + timedelta(days=10)
    dock = open_dock(folder, folder.with_name("card"), now=lambda: at)
    with contextlib.closing(dock.station):
        assert clear_quarantine(dock.station) == 1


def cleared(image: Image, said: set[str], folder: Path) -> Iterator[str]:
    told = rows(image, folder, "SELECT seq FROM event WHERE kind = 'quarantine.removed'")
    if REMAINS not in image.files and not told:
        yield "remains are gone and the ledger does not tell"
    if REMAINS in image.files and "returned" in said:
        yield "what was removed is back"


def a_message(folder: Path) -> None:
    row = dict.fromkeys(spool.COLUMNS, "text") | {"station_no": "S1", "message_id": 7}
    channel: Any = SimpleNamespace(folder=folder / "spool", format="json")
    parcel: Any = SimpleNamespace(rows=[row])
    spool.send(channel, parcel, NOW)


def spooled(image: Image, said: set[str], _: Path) -> Iterator[str]:
    """Whoever watches the folder takes what has its name."""
    message = data_at(image, "spool/S1-00000007.json")
    if message is not None and json_of(message).get("message_id") != 7:
        yield "the message is half"
    if message is None and "returned" in said:
        yield "the message is gone"


TABLE = b"case_no,case_cause\nA-1,x\n"


def with_a_dropped_table(scene: Scene) -> None:
    (scene.station / "drop").mkdir()
    (scene.station / "drop/cases.csv").write_bytes(TABLE)


def a_table_taken_in(folder: Path) -> None:
    dock = open_dock(folder, folder.with_name("card"), now=lambda: NOW)
    with contextlib.closing(dock.station):
        take_in(dock.station, str(folder / "drop"), "cases.csv")


def taken_in(image: Image, said: set[str], _: Path) -> Iterator[str]:
    """The table lies somewhere at any moment; once it was taken in, in done/ with its report."""
    tables = [path for path in image.files if path.startswith("drop/") and path.endswith(".csv")]
    if not any(data_at(image, path) == TABLE for path in tables):
        yield "the dropped table is gone"
    ended = [path for path in tables if path.startswith("drop/done/")]
    if "returned" in said and not ended:
        yield "the table is not in done"
    for path in ended:
        report = data_at(image, f"{path}.report.json")
        if report is not None and json_of(report).get("added") != 1:
            yield "the report is half"
        if report is None:
            yield "the report is gone"


# --- all of them ---------------------------------------------------------------------------------------------------

FILES = 4
"""How many recordings ``short_card`` has."""

founding = making(lambda _: None, a_new_station, founded)
installing = making(lambda _: None, an_installed_configuration, configured)
founding_apart = making(new_folders, a_station_with_its_register_apart, founded_apart)
rebuilding = making(damaged, a_rebuilt_register, rebuilt)
rebuilding_torn = making(lost_and_torn, a_rebuilt_register, rebuilt_from_torn)
exporting = making(with_an_older_export, an_inventory, exported)
backing_up = making(with_copies, a_copied_register, copied)
clearing = making(
    lambda scene: with_old_remains(configured_with(scene, "quarantine_days: 5")), old_remains_cleared, cleared
)
taking_in = making(with_a_dropped_table, a_table_taken_in, taken_in)
spooling = making(lambda _: None, a_message, spooled)
upgrading = making(of_an_older_dockd, an_upgraded_register, upgraded)
