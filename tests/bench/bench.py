"""How fast dockd is beside the tools that people would use instead.

    python tests/bench/bench.py [ROW …] [--runs 5] [--scale 1] [--folder DIR] [--json FILE]

Every row runs dockd (by its command, as users get it) and its peers in turns, on the same files, and compares medians:
figures of one run on one machine mean something beside each other only. dockd's watch runs from the first byte to
``safe_at``, set-up is outside. Peers that are not installed are left out, and it is said (apt install rsync rclone,
pip install ocopy). Row 8 is ``long_history.py``.
``--scale 0.1`` does a tenth of the work. Give ``--folder`` on the disk that is to be measured.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins"))

from waiting import until

DOCKD = Path(sys.executable).parent / "dockd"
MIB = 1 << 20
PATIENCE_S = 600.0
CARD_SPEED = 40_000_000  # bytes a second of row 3's card
IDLE_S = 300.0  # as long as the rounds of an hour need to be seen in their share
RAM = Path("/dev/shm")
RECORDERS = {f"YS-{number}": f"210773{number}" for number in range(1, 5)}


@dataclass
class Bench:
    """Where a row works: ``ram`` holds cards, ``disk`` stores and copies."""

    ram: Path
    disk: Path
    scale: float
    runs: int

    def count(self, whole: int) -> int:
        return max(1, round(whole * self.scale))


@dataclass(frozen=True)
class Figure:
    """What one run of a contender took."""

    seconds: float
    more: dict[str, float] = field(default_factory=dict)


Contender = Callable[[], Figure]


@dataclass(frozen=True)
class Row:
    number: int
    work: str
    must: tuple[str, ...]
    lay: Callable[[Bench], dict[str, Contender]]


# --- files ------------------------------------------------------------------------------------------------------


def lay_files(folder: Path, count: int, size: int, *, serial: str, ext: str = "mp4") -> Path:
    """A card of ``count`` different files, named as recorders do, that no parser would take for a film."""
    place = folder / "DCIM/100MEDIA"
    place.mkdir(parents=True)
    begin = datetime.now().timestamp() - 7200
    block = os.urandom(min(size, MIB))
    for number in range(count):
        at = begin + number
        path = place / f"{serial}_012345_{datetime.fromtimestamp(at):%Y%m%d%H%M%S}_{number:05d}.{ext}"
        with path.open("wb") as file:
            for offset in range(0, size, MIB):
                part = block[: min(MIB, size - offset)]
                file.write(number.to_bytes(8, "big") + offset.to_bytes(8, "big") + part[16:])
        os.utime(path, (at, at))
    return folder


def card_of(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# --- contenders ---------------------------------------------------------------------------------------------------


def call(*words: object, cwd: Path | None = None) -> str:
    return subprocess.run([str(word) for word in words], check=True, cwd=cwd, capture_output=True, text=True).stdout


@contextmanager
def anew(path: Path) -> Iterator[Path]:
    """An empty folder; what earlier runs wrote is on the disk and out of the way."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    os.sync()
    yield path
    shutil.rmtree(path, ignore_errors=True)


def forget_pages() -> None:
    """Nothing of the disk is in memory (as root; without, figures of cold reads are not cold)."""
    os.sync()
    if os.geteuid() == 0:
        Path("/proc/sys/vm/drop_caches").write_text("3")


def found_station(folder: Path) -> None:
    call(DOCKD, "init", folder)
    config = folder / "dockd.yaml"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("reserve: 5%", "reserve: 0"), encoding="utf-8")
    lines = ["device_no,device_serial", *(f"{device_no},{serial}" for device_no, serial in RECORDERS.items())]
    (folder / "recorders.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    call(DOCKD, "-c", config, "recorder", "import", folder / "recorders.csv")


def offload(station: Path, card: Path, device_no: str) -> dict[str, Any]:
    words = [DOCKD, "-c", station / "dockd.yaml", "offload", card, "--device-no", device_no, "--json"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def moment(told: dict[str, Any], name: str) -> float:
    return datetime.fromisoformat(told[name]).timestamp()


def by_command(bench: Bench, card: Path) -> Contender:
    """``dockd offload``, from the first byte to ``safe_at``."""

    def run() -> Figure:
        with anew(bench.disk / "dockd") as folder:
            found_station(folder / "station")
            with memory() as seen:
                told = offload(folder / "station", card, "YS-1")
            return figure_of([told], max(seen))

    return run


def by_service(bench: Bench, cards: Sequence[Path]) -> Contender:
    """``dockd run``, in whose bays all cards are put at once; from the first byte of all to the last ``safe_at``."""

    def run() -> Figure:
        with anew(bench.disk / "dockd") as folder, anew(bench.ram / "bays") as bays:
            found_station(folder / "station")
            config = folder / "station/dockd.yaml"
            with memory() as seen, served(config, bays):
                for number, card in enumerate(cards):
                    card.rename(bays / f"B{number}")
                told = await_ends(config, len(cards))
            for number, card in enumerate(cards):
                (bays / f"B{number}").rename(card)
            return figure_of(told, max(seen))

    return run


@contextmanager
def served(config: Path, bays: Path) -> Iterator[None]:
    words = [str(word) for word in (DOCKD, "-c", config, "run", "--bays", bays)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as service:
        try:
            until(lambda: is_ready(config), "a service that is ready", within=PATIENCE_S)
            yield
        finally:
            service.terminate()


def is_ready(config: Path) -> bool:
    state: str = json.loads(call(DOCKD, "-c", config, "status", "--json"))["service"]["state"]
    return state == "ready"


def await_ends(config: Path, count: int) -> list[dict[str, Any]]:
    """The visits once all have ended; the register's own file is asked, which costs the service nothing."""
    register = f"file:{config.with_name('register.db')}?mode=ro"

    def ended() -> list[int]:
        with closing(sqlite3.connect(register, uri=True)) as connection:
            found = connection.execute("SELECT id FROM visit WHERE outcome = 'complete'").fetchall()
        return [number for (number,) in found] if len(found) == count else []

    numbers = until(ended, f"{count} complete visits", within=PATIENCE_S)
    return [json.loads(call(DOCKD, "-c", config, "visit", "show", number, "--json")) for number in numbers]


def figure_of(told: Sequence[dict[str, Any]], peak: int) -> Figure:
    begun, safe, ended = (
        choose(moment(one, name) for one in told)
        for choose, name in ((min, "first_byte_at"), (max, "safe_at"), (max, "ended_at"))
    )
    return Figure(safe - begun, {"MB PSS": peak / 1e6, "s describing": ended - safe})


@contextmanager
def memory() -> Iterator[list[int]]:
    """What all processes of this one's family had of memory, in bytes, twenty times a second."""
    seen, done = [0], threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            seen.append(sum(map(_pss, _family(os.getpid()))))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield seen
    done.set()
    thread.join()


def _family(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        threads = [int(one) for one in os.listdir(f"/proc/{pid}/task")]
        for thread in threads:
            children += Path(f"/proc/{pid}/task/{thread}/children").read_text().split()
    except OSError:
        return
    for child in set(map(int, children)):
        yield child
        yield from _family(child)


def _pss(pid: int) -> int:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


def peer(bench: Bench, cards: Sequence[Path], copy: Callable[[Path, Path], None]) -> Contender:
    """``copy`` of one card after the other."""

    def run() -> Figure:
        with anew(bench.disk / "peer") as folder:
            begun = time.monotonic()
            for number, card in enumerate(cards):
                copy(card, folder / str(number))
            return Figure(time.monotonic() - begun)

    return run


def by_cp(card: Path, target: Path) -> None:
    call("cp", "-a", card, target)
    call("sync", "-f", target)
    files = [path.relative_to(card) for path in card_of(card)]
    if call("sha256sum", *files, cwd=card) != call("sha256sum", *files, cwd=target):
        raise SystemExit("cp: the copies differ")


def by_rsync(card: Path, target: Path) -> None:
    call("rsync", "-a", "--fsync", f"{card}/", target)
    if call("rsync", "-a", "-c", "-n", "-i", f"{card}/", f"{target}/"):
        raise SystemExit("rsync: the copies differ")


def by_rsync_alone(card: Path, target: Path) -> None:
    call("rsync", "-a", "--fsync", f"{card}/", target)


def by_rclone(card: Path, target: Path) -> None:
    call("rclone", "copy", card, target)
    call("rclone", "check", "--download", card, target)


def by_ocopy(card: Path, target: Path) -> None:
    target.mkdir()
    call("ocopy", card, target)


def peers(bench: Bench, cards: Sequence[Path], ways: dict[str, Callable[[Path, Path], None]]) -> dict[str, Contender]:
    """Those whose program is installed: the first word of the name."""
    return {name: peer(bench, cards, way) for name, way in ways.items() if shutil.which(name.split()[0])}


# --- the rows -----------------------------------------------------------------------------------------------------


def one_card(bench: Bench) -> dict[str, Contender]:
    cards = [lay_files(bench.ram / "card", 16, bench.count(64) * MIB, serial="2107731")]
    ways = {"cp and sha256sum": by_cp, "rsync and rsync -c": by_rsync, "rclone": by_rclone, "ocopy": by_ocopy}
    return {"dockd": by_command(bench, cards[0]), **peers(bench, cards, ways)}


def four_cards(bench: Bench) -> dict[str, Contender]:
    cards = [
        lay_files(bench.ram / f"card-{number}", 16, bench.count(64) * MIB, serial=serial)
        for number, serial in enumerate(RECORDERS.values())
    ]
    ways = {"cp and sha256sum": by_cp, "rsync and rsync -c": by_rsync}
    return {"dockd": by_service(bench, cards), **peers(bench, cards, ways)}


def slow_card(bench: Bench) -> dict[str, Contender]:
    """From a card that is slower than all else, everything that dockd does should hide behind it."""
    files = lay_files(bench.ram / "files", 16, bench.count(64) * MIB, serial="2107731")

    def dockd() -> Figure:
        with limited(files, bench.ram / "slow") as card:
            return by_command(bench, card)()

    def reading() -> Figure:
        with limited(files, bench.ram / "slow") as card:
            begun = time.monotonic()
            subprocess.run(["cat", *card_of(card)], stdout=subprocess.DEVNULL, check=True)
            return Figure(time.monotonic() - begun)

    return {"dockd": dockd, "reading alone": reading}


@contextmanager
def limited(files: Path, at: Path) -> Iterator[Path]:
    """``files`` as a card that gives ``CARD_SPEED`` and no more."""
    at.mkdir(exist_ok=True)
    words = [sys.executable, Path(__file__).with_name("slow_card.py"), files, at, CARD_SPEED]
    with subprocess.Popen([str(word) for word in words]) as server:
        try:
            until(lambda: os.path.ismount(at), "a card that is mounted", within=PATIENCE_S)
            yield at
        finally:
            call("fusermount", "-u", "-z", at)
            server.wait()


def photos(bench: Bench) -> dict[str, Contender]:
    cards = [lay_files(bench.ram / "card", bench.count(2000), 200_000, serial="2107731", ext="log")]
    return {"dockd": by_command(bench, cards[0]), **peers(bench, cards, {"rsync --fsync": by_rsync_alone})}


def known_card(bench: Bench) -> dict[str, Contender]:
    card = lay_files(bench.ram / "card", bench.count(5000), 2000, serial="2107731", ext="log")
    station = bench.disk / "known/station"
    station.parent.mkdir()
    found_station(station)
    offload(station, card, "YS-1")

    def again() -> Figure:
        begun = time.time()
        told = offload(station, card, "YS-1")
        if told["bytes_read"]:
            raise SystemExit(f"{told['bytes_read']} bytes of known files were read")
        ended = time.time() - begun
        return Figure(moment(told, "safe_at") - moment(told, "docked_at"), {"s the whole command": ended})

    return {"dockd": again}


def start_up(bench: Bench) -> dict[str, Contender]:
    station = bench.disk / "start/station"
    station.parent.mkdir()
    found_station(station)

    def listing() -> Figure:
        begun = time.monotonic()
        call(DOCKD, "-c", station / "dockd.yaml", "record", "list", "--json")
        return Figure(time.monotonic() - begun)

    return {"dockd": listing}


def docked(bench: Bench) -> dict[str, Contender]:
    """A card is put into a bay of the service: when its first byte is read; from its last proof to safe."""
    card = lay_files(bench.ram / "card", 8, bench.count(8) * MIB, serial="2107731")

    def dockd() -> Figure:
        with anew(bench.disk / "dockd") as folder, anew(bench.ram / "bays") as bays:
            found_station(folder / "station")
            config = folder / "station/dockd.yaml"
            with served(config, bays):
                at = time.time()
                card.rename(bays / "B1")
                (told,) = await_ends(config, 1)
            (bays / "B1").rename(card)
            proven = last_proof(config)
        return Figure(moment(told, "first_byte_at") - at, {"s last proof to safe": moment(told, "safe_at") - proven})

    return {"dockd": dockd}


def last_proof(config: Path) -> float:
    """When the last file was found equal on the medium."""
    register = f"file:{config.with_name('register.db')}?mode=ro"
    with closing(sqlite3.connect(register, uri=True)) as connection:
        ((at,),) = connection.execute("SELECT max(verified_at) FROM transfer").fetchall()
    return datetime.fromisoformat(f"{at}+00:00").timestamp()


def idle(bench: Bench) -> dict[str, Contender]:
    """What all processes of the service cost while nobody docks anything."""
    span = max(1.0, IDLE_S * bench.scale)

    def dockd() -> Figure:
        with anew(bench.disk / "dockd") as folder, anew(bench.ram / "bays") as bays:
            found_station(folder / "station")
            with served(folder / "station/dockd.yaml", bays):
                time.sleep(min(20.0, span))
                before = cpu_seconds()
                with memory() as seen:
                    time.sleep(span)
                spent = cpu_seconds() - before
        resident = {"MB PSS": statistics.median(seen) / 1e6, "MB with a round's worker": max(seen) / 1e6}
        return Figure(spent * 3600 / span, resident)

    return {"dockd": dockd}


def cpu_seconds() -> float:
    """Of all processes of this one's family."""
    ticks = 0
    for pid in _family(os.getpid()):
        with suppress(OSError):
            said = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(said[11]) + int(said[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def described(bench: Bench) -> dict[str, Contender]:
    """500 clips: ffprobe, exiftool, record and sidecar of each, beside one process of each parser per file."""
    source = bench.ram / "clip.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=4", "-c:v", "libx264", "-preset", "ultrafast")
    call("ffmpeg", "-v", "error", "-y", *picture, source)
    card = lay_files(bench.ram / "card", bench.count(500), 0, serial="2107731")
    for number, path in enumerate(card_of(card)):
        stamp = path.stat().st_mtime
        path.write_bytes(source.read_bytes() + b"\0\0\0\x10free" + number.to_bytes(8, "big"))
        os.utime(path, (stamp, stamp))

    def dockd() -> Figure:
        with anew(bench.disk / "dockd") as folder:
            found_station(folder / "station")
            told = offload(folder / "station", card, "YS-1")
            return Figure(moment(told, "ended_at") - moment(told, "safe_at"))

    def each() -> Figure:
        begun = time.monotonic()
        for path in card_of(card):
            call("ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", path)
            call("exiftool", "-j", "-G", path)
        return Figure(time.monotonic() - begun)

    return {"dockd": dockd, "a process per file": each}


def verified(bench: Bench) -> dict[str, Contender]:
    card = lay_files(bench.ram / "card", 16, bench.count(320) * MIB, serial="2107731", ext="log")
    station = bench.disk / "verified/station"
    station.parent.mkdir()
    found_station(station)
    offload(station, card, "YS-1")
    files = [path for path in card_of(station / "store/footage") if path.suffix == ".log"]

    def verify() -> Figure:
        forget_pages()
        begun = time.monotonic()
        call(DOCKD, "-c", station / "dockd.yaml", "verify", "--json")
        return Figure(time.monotonic() - begun)

    def cat() -> Figure:
        forget_pages()
        begun = time.monotonic()
        subprocess.run(["cat", *files], stdout=subprocess.DEVNULL, check=True)
        return Figure(time.monotonic() - begun)

    return {"dockd": verify, "cat": cat}


ROWS = (
    Row(
        1,
        "1 GiB in 16 files from RAM to disk, one card",
        ("≤ 0.45 × cp and sha256sum", "≤ 1.3 × rsync and rsync -c"),
        one_card,
    ),
    Row(2, "the same, four cards at once, peers one after the other", ("≤ 0.40 × each", "≤ 400 MB"), four_cards),
    Row(3, "1 GiB from a card of 40 MB/s", ("≤ 1.05 × reading alone",), slow_card),
    Row(4, "2 000 files of 200 kB", ("≤ 2.0 × rsync --fsync",), photos),
    Row(5, "the same card again, 5 000 known files", ("≤ 1.0 s", "0 footage bytes"), known_card),
    Row(6, "start-up of a command", ("≤ 0.8 s",), start_up),
    Row(61, "row 6: put into a bay to first byte; last proof to safe", ("≤ 0.3 s", "≤ 0.3 s"), docked),
    Row(7, "500 clips probed, tagged, sidecars written", ("≤ 0.40 × a process per file",), described),
    Row(9, "verify of 5 GiB, cold", ("≤ 1.4 × cat",), verified),
    Row(10, "the idle service: CPU seconds an hour", ("≤ 1 s", "≤ 100 MB"), idle),
)


# --- running them -------------------------------------------------------------------------------------------------


def measure(row: Row, bench: Bench) -> dict[str, Any]:
    """Every contender ``bench.runs`` times, in turns."""
    contenders = row.lay(bench)
    figures: dict[str, list[Figure]] = {name: [] for name in contenders}
    for _ in range(bench.runs):
        for name, run in contenders.items():
            figures[name].append(run())
    medians = {name: statistics.median(one.seconds for one in found) for name, found in figures.items()}
    more = {name: statistics.median(one.more[name] for one in figures["dockd"]) for name in figures["dockd"][0].more}
    return {
        "row": row.number,
        "work": row.work,
        "must": list(row.must),
        "seconds": {name: [round(one.seconds, 3) for one in found] for name, found in figures.items()},
        "medians": {name: round(value, 3) for name, value in medians.items()},
        "ratios": {name: round(medians["dockd"] / value, 3) for name, value in medians.items() if name != "dockd"},
        "more": {name: round(value, 2) for name, value in more.items()},
        "load": round(os.getloadavg()[0], 1),
    }


def sha256_rate() -> float:
    """Bytes a second that one core digests."""
    data, begun = bytes(64 * MIB), time.monotonic()
    hashlib.sha256(data)
    return len(data) / (time.monotonic() - begun)


def show(result: dict[str, Any]) -> str:
    parts = [f"{name} {value:.2f} s" for name, value in result["medians"].items()]
    parts += [f"{value:.2f} × {name}" for name, value in result["ratios"].items()]
    parts += [f"{value:.1f} {name}" for name, value in result["more"].items()]
    return f"{result['row']}  {result['work']}\n   {', '.join(parts)}\n   must: {', '.join(result['must'])}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", type=int, metavar="ROW")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", type=Path)
    said = parser.parse_args()
    os.environ["DOCKD_LANG"] = "en"
    results = []
    print(f"SHA-256 {sha256_rate() / 1e9:.2f} GB/s a core, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(
        "not installed: "
        + (", ".join(tool for tool in ("rsync", "rclone", "ocopy") if not shutil.which(tool)) or "none")
    )
    for row in ROWS:
        if said.rows and row.number not in said.rows:
            continue
        with (
            tempfile.TemporaryDirectory(prefix="dockd-bench-", dir=RAM) as ram,
            tempfile.TemporaryDirectory(prefix="dockd-bench-", dir=said.folder) as disk,
        ):
            results.append(measure(row, Bench(Path(ram), Path(disk), said.scale, said.runs)))
        print(show(results[-1]), flush=True)
    if said.json:
        said.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
