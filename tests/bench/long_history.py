"""Row 8: what a station with a million records costs, beside the same station with an empty register.

    python tests/bench/long_history.py [--records 1000000] [--runs 5] [--database sqlite|postgresql] [--folder DIR]
                                       [--json FILE] [--plans FILE]

The history is made by ``history.multiply`` from one real visit. Visits, the whole export and the start of the
daemon are dockd's own commands; queries are timed inside this process. ``--plans`` keeps the plan of every
query that was asked meanwhile: what must not grow must not scan. PostgreSQL is started for the purpose.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench import DOCKD, MIB, PATIENCE_S, RAM, call, forget_pages, found_station, lay_files, memory, moment, offload
from history import multiply
from postgres import Server, find_binaries, unprivileged_user
from sqlalchemy import event
from sqlalchemy.engine import Engine

from dockd.export.inventory import Inventory, write_inventory
from dockd.law.statistics import count
from dockd.nouns import MediaType
from dockd.register import figures
from dockd.register.records import RecordFilter, list_records
from dockd.register.session import open_register
from dockd.register.station import create_station
from dockd.settings import load_settings

FILES = 40
PAGE = 50
PEOPLE = {
    "officer": "officer_cert_no,officer_name\n13010,王强\n",
    "case": "case_no,case_cause,officer_cert_no\n罚〔2024〕0号,无证采矿,13010\n",
}
MUST = {
    "visit": "≤ 1.1 × on an empty register",
    "list": "≤ 0.2 s",
    "export": "≥ 10 000 rows/s",
    "memory": "≤ 150 MB",
    "since": "≤ 0.5 s",
    "stats": "≤ 1 s",
    "ready": "≤ 1.5 s",
}


@dataclass
class Site:
    """A station of the benchmark: where it is, and its register."""

    folder: Path
    url: str
    cards: Path
    docked: int = 0
    clip: bytes = b""

    @property
    def config(self) -> Path:
        return self.folder / "dockd.yaml"

    def visit(self) -> float:
        """The seconds of one whole visit of a card with new recordings, from docking to its end."""
        self.docked += 1
        card = self.cards / f"{self.folder.name}-{self.docked}"
        self.lay(card)
        told = offload(self.folder, card, "YS-1")
        shutil.rmtree(card)
        return moment(told, "ended_at") - moment(told, "docked_at")

    def lay(self, card: Path) -> None:
        lay_files(card, FILES, 0, serial="2107731")
        for number, path in enumerate(sorted(card.rglob("*.mp4"))):
            stamp = path.stat().st_mtime
            path.write_bytes(self.clip + b"\0\0\0\x18free" + f"{self.docked:08d}{number:08d}".encode())
            os.utime(path, (stamp, stamp))


def found(folder: Path, url: str, cards: Path, clip: bytes) -> Site:
    """A station on a register at ``url`` (empty: SQLite in its folder), with a recorder, an officer and a case."""
    if url:
        folder.mkdir(parents=True)
        found_station(folder / "template")
        text = (folder / "template/dockd.yaml").read_text(encoding="utf-8")
        (line,) = [line for line in text.splitlines() if line.strip().startswith("url:")]
        (folder / "dockd.yaml").write_text(text.replace(line, f'  url: "{url}"'), encoding="utf-8")
        shutil.rmtree(folder / "template")
        create_station(
            load_settings(folder / "dockd.yaml"), now=lambda: datetime.now(UTC), actor="person:bench"
        ).close()
        call(DOCKD, "-c", folder / "dockd.yaml", "recorder", "add", "YS-1", "--serial", "2107731")
    else:
        found_station(folder)
    for noun, lines in PEOPLE.items():
        (folder / f"{noun}.csv").write_text(lines, encoding="utf-8")
        call(DOCKD, "-c", folder / "dockd.yaml", noun, "import", folder / f"{noun}.csv")
    return Site(folder, url or f"sqlite:///{folder}/register.db", cards, clip=clip)


# --- queries ----------------------------------------------------------------------------------------------------


@dataclass
class Plans:
    """Every query that is asked while it listens, once, with its plan."""

    asked: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def listening(self) -> Iterator[None]:
        def note(_connection: Any, _cursor: Any, statement: str, values: Any, *_rest: Any) -> None:
            if statement.lstrip().startswith(("SELECT", "WITH")):
                self.asked.setdefault(statement, values)

        event.listen(Engine, "before_cursor_execute", note)
        try:
            yield
        finally:
            event.remove(Engine, "before_cursor_execute", note)

    def told(self, url: str) -> str:
        """The plans, after the queries that they are of."""
        register = open_register(url)
        try:
            word = "EXPLAIN QUERY PLAN" if register.dialect == "sqlite" else "EXPLAIN"
            parts = []
            for statement, values in self.asked.items():
                with register.read() as session:
                    rows = session.connection().exec_driver_sql(f"{word} {statement}", values).all()
                parts.append(f"{statement}\n" + "\n".join(f"    {row[-1]}" for row in rows))
            return "\n\n".join(parts) + "\n"
        finally:
            register.close()


def queries(site: Site) -> dict[str, Callable[[], object]]:
    """What people ask of the register, as the commands ask it."""
    settings = load_settings(site.config)
    register = open_register(site.url)
    zone, now = settings.zone, datetime.now(UTC)
    filters = {
        "newest month": RecordFilter(used_from=now - timedelta(days=30)),
        "since years ago": RecordFilter(used_from=now - timedelta(days=2000)),
        "all": RecordFilter(),
        "unassigned": RecordFilter(unassigned=True),
        "a case": RecordFilter(case_no="罚〔2024〕7号"),
        "an officer": RecordFilter(officer="130177"),
        "a recorder": RecordFilter(device_no="YS-H77"),
        "a party": RecordFilter(party="张999"),
        "a title": RecordFilter(title="检查 24999"),
        "a title that nobody has": RecordFilter(title="张三丰"),
        "a title that all have": RecordFilter(title="采矿"),
        "a title in Latin letters": RecordFilter(title="bodycam"),
        "a place": RecordFilter(place="南佐镇299号"),
        "a cause": RecordFilter(cause="无证运输"),
        "a matter": RecordFilter(matter="砂石"),
        "evidence": RecordFilter(is_evidence=True),
        "photographs of years": RecordFilter(media=MediaType.PHOTO, used_from=now - timedelta(days=2000)),
        "without a case": RecordFilter(without_case=True),
        "a day years ago": RecordFilter(used_from=now - timedelta(days=701), used_to=now - timedelta(days=700)),
    }

    def listing(wanted: RecordFilter) -> Callable[[], object]:
        def ask() -> object:
            with register.read() as session:
                return list_records(session, wanted, limit=PAGE)

        return ask

    def since() -> object:
        return write_inventory(register, zone, len, Inventory(since=now - timedelta(days=1)))

    def month() -> object:
        period = figures.month_of(f"{(now - timedelta(days=90)):%Y-%m}", zone)
        with register.read() as session:
            return count(figures.recordings(session, period), figures.matters(session, period, now))

    return {
        **{f"list: {name}": listing(wanted) for name, wanted in filters.items()},
        "since yesterday": since,
        "stats of a month": month,
    }


def timed(act: Callable[[], object]) -> float:
    begun = time.monotonic()
    act()
    return time.monotonic() - begun


# --- the daemon ---------------------------------------------------------------------------------------------------


def ready(site: Site) -> float:
    """The seconds from the start of ``dockd run`` to its READY, as systemd is told it."""
    bays = site.folder / "bays"
    bays.mkdir(exist_ok=True)
    address = str(site.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(address)
        ear.settimeout(PATIENCE_S)
        begun = time.monotonic()
        words = [str(word) for word in (DOCKD, "-c", site.config, "run", "--bays", bays)]
        environment = os.environ | {"NOTIFY_SOCKET": address}
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as service:
            try:
                while b"READY=1" not in ear.recv(1 << 16):
                    pass
                return time.monotonic() - begun
            finally:
                service.terminate()
                service.wait()
                os.unlink(address)


# --- running it -----------------------------------------------------------------------------------------------------


def measure(empty: Site, full: Site, records: int, runs: int) -> tuple[dict[str, Any], Plans]:
    """All figures of one database."""
    plans = Plans()
    visits: dict[str, list[float]] = {"empty": [], "full": []}
    for _ in range(runs):
        visits["empty"].append(empty.visit())
        visits["full"].append(full.visit())
    medians = {name: statistics.median(found) for name, found in visits.items()}
    with plans.listening():
        asked = {name: [timed(ask) for _ in range(runs)] for name, ask in queries(full).items()}
    forget_pages()
    target = full.folder / "inventory.csv"
    with memory() as seen:
        begun = time.monotonic()
        call(DOCKD, "-c", full.config, "inventory", "export", target)
        spent = time.monotonic() - begun
    with target.open("rb") as file:
        rows = sum(1 for _ in file) - 1
    return {
        "records": records,
        "visit s": {name: [round(one, 3) for one in found] for name, found in visits.items()},
        "visit ratio": round(medians["full"] / medians["empty"], 3),
        "queries s": {name: round(statistics.median(found), 4) for name, found in asked.items()},
        "export rows/s": round(rows / spent),
        "export MB PSS": round(max(seen) / 1e6),
        "ready s": round(statistics.median(ready(full) for _ in range(runs)), 3),
        "ready empty s": round(statistics.median(ready(empty) for _ in range(runs)), 3),
    }, plans


@contextmanager
def database(kind: str, folder: Path) -> Iterator[Callable[[], str]]:
    """Makes URLs of empty databases (empty text: a file of the station's own)."""
    if kind == "sqlite":
        yield lambda: ""
        return
    binaries = find_binaries()
    if binaries is None:
        raise SystemExit("no PostgreSQL server is installed (apt install postgresql)")
    place = folder / "pg"
    place.mkdir()
    server = Server(binaries, place, unprivileged_user())
    for path in (place, folder):
        path.chmod(0o755)
    if os.geteuid() == 0:
        shutil.chown(place, server.user)
    with server.guarded():
        server.start()
        yield lambda: server.url(server.create())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plans", type=Path)
    said = parser.parse_args()
    os.environ["DOCKD_LANG"] = "en"
    with (
        tempfile.TemporaryDirectory(prefix="dockd-history-", dir=said.folder) as place,
        tempfile.TemporaryDirectory(prefix="dockd-cards-", dir=RAM) as cards,
        database(said.database, Path(place)) as new,
    ):
        clip = Path(cards, "clip.mp4")
        picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=1", "-c:v", "libx264", "-preset", "ultrafast")
        call("ffmpeg", "-v", "error", "-y", *picture, clip)
        empty, full = (found(Path(place, name), new(), Path(cards), clip.read_bytes()) for name in ("empty", "full"))
        full.visit()
        begun = time.monotonic()
        records = multiply(full.url, said.records // FILES)
        print(f"{said.database}: {records} records made in {time.monotonic() - begun:.0f} s", flush=True)
        result, plans = measure(empty, full, records, said.runs)
        size = (full.folder / "register.db").stat().st_size if said.database == "sqlite" else 0
        result |= {"database": said.database, "must": MUST, "register MiB": size // MIB}
        for name, value in result.items():
            print(f"  {name}: {value}")
        if said.plans:
            said.plans.write_text(plans.told(full.url), encoding="utf-8")
    if said.json:
        said.json.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
