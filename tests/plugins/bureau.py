"""A bureau with a station, two recorders and two officers: visits by the real commands, and what is true after each."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from dockd.nouns import Officer, Recorder
from dockd.offload.steps import Passed, ignore
from dockd.register import officers, recorders, visits
from dockd.register.station import Boot, Station, create_station, open_station
from dockd.settings import load_settings
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards
from dockd.visit.request import Progress, VisitRequest
from dockd.visit.story import attend

BEIJING = timezone(timedelta(hours=8))
DOCKED = datetime(2026, 11, 23, 10, 0, tzinfo=BEIJING)
"""Where the tests' clock stands when a visit begins."""

SHA256SUM = shutil.which("sha256sum") or "sha256sum"
WANG, LI = "13012301", "13012302"
HEADER = b"\0\0\0\x18ftypmp42"

STATION_YAML = """\
agency: {name: Test Bureau, station_no: S1, language: en}
store: {root: store, reserve: 0}
register: {url: "sqlite:///register.db", wait_s: 10}
inventory: {path: exports/inventory.csv}
log: {level: info}
"""


def media(text: str | bytes = b"", size: int = 0) -> bytes:
    """Bytes that begin as an MP4 does and are no film: different for different ``text``."""
    return HEADER + (text.encode() if isinstance(text, str) else text).ljust(size, b".")


def name_of(
    at: datetime, *, number: int = 1, serial: str = "2107731", badge: str = "012345", mark: str = "", ext: str = "mp4"
) -> str:
    """A file name as the recorders of this bureau write it, ``at`` being their wall clock."""
    return f"{serial}_{badge}_{at:%Y%m%d%H%M%S}_{number:04d}{mark}.{ext}"


def found_bureau(folder: Path, configuration: str = STATION_YAML) -> None:
    """A station in ``folder``, closed: it can be copied as a folder."""
    folder.mkdir()
    (folder / "dockd.yaml").write_text(configuration, encoding="utf-8")
    begun = DOCKED - timedelta(days=30)
    station = create_station(load_settings(folder / "dockd.yaml"), now=lambda: begun, actor="person:tester")
    with station.register.write() as session:
        for one in (Recorder("YS-07", "2107731", unit="Unit 1"), Recorder("YS-08", "2107732", unit="Unit 1")):
            recorders.add_recorder(session, one, station_no="S1", now=begun, actor="person:tester")
        for person in (Officer(WANG, "王建国", "012345", "Unit 1"), Officer(LI, "李敏", "012346", "Unit 1")):
            officers.add_officer(session, person, station_no="S1", now=begun, actor="person:tester")
    station.mirror_ledger()
    station.close()


@dataclass
class Bureau:
    """One station, the card at its dock, and the command that people type. ``run`` is the fixture ``run_cli``."""

    folder: Path
    run: Callable[..., Any]
    clock: Any
    card: Path = field(init=False)

    def __post_init__(self) -> None:
        self.card = self.folder.parent / "card"
        self.card.mkdir(exist_ok=True)

    # --- the card --------------------------------------------------------------------------------------

    def lay(self, name: str | bytes, data: bytes | Path = b"", *, at: datetime | None = None, ns: int = 0) -> Path:
        """Puts a file (bytes, or a copy of a clip) on the card; its mtime is ``at``, ``ns``, or an hour ago."""
        path = Path(os.fsdecode(os.path.join(os.fsencode(self.card), os.fsencode(name))))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.read_bytes() if isinstance(data, Path) else data)
        moment = at or DOCKED - timedelta(hours=1)
        stamp = ns or int(moment.timestamp()) * 10**9
        os.utime(path, ns=(stamp, stamp))
        return path

    def record(
        self,
        hour: float,
        data: bytes | Path | None = None,
        *,
        folder: str = "DCIM/100ANDRO",
        day: int = 23,
        **said: Any,
    ) -> str:
        """A recording of ``hour`` o'clock on the recorder's clock; returns its path on the card.

        With ``ext="log"`` a file of the same name that is no recording, so that no parser is asked about it.
        """
        at = datetime(2026, 11, day, tzinfo=BEIJING) + timedelta(hours=hour)
        path = f"{folder}/{name_of(at, **said)}"
        self.lay(path, media(path) if data is None else data, at=at + timedelta(seconds=5))
        return path

    # --- commands ----------------------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        return self.folder / "dockd.yaml"

    @property
    def store(self) -> Path:
        return load_settings(self.config).store.root

    def configure(self, text: str) -> None:
        """Adds keys to the configuration."""
        with self.config.open("a", encoding="utf-8") as file:
            file.write(text + "\n")

    def dockd(self, *words: object, code: int = 0) -> Any:
        """Runs a command, which must end with ``code``."""
        result = self.run(*words, config=self.config)
        if result.exit_code != code:
            told = (result.stdout, result.stderr, _report(result.stderr))
            raise AssertionError(f"{words} ended with {result.exit_code}\n" + "\n".join(told))
        return result

    def json(self, *words: object, code: int = 0) -> Any:
        return self.dockd(*words, "--json", code=code).json

    def offload(self, *options: object, code: int = 0, card: Path | None = None) -> dict[str, Any]:
        """``dockd offload`` of the card; returns its summary."""
        return dict(self.json("offload", card or self.card, *options, code=code))

    def issue(self, cert_no: str, frm: datetime, to: datetime | None = None, *, device_no: str = "YS-07") -> None:
        """Who had the recorder, as the clerk enters it."""
        self.dockd("recorder", "issue", device_no, cert_no, "--at", frm.isoformat())
        if to:
            self.dockd("recorder", "return", device_no, "--at", to.isoformat())

    def cases(self, *lines: str, header: str = "", whole: bool = False) -> None:
        """Cases as the case system exports them."""
        file = self.folder / "cases.csv"
        header = header or "case_no,case_cause,party,officer_cert_no,used_from,used_to,place,matter"
        file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
        self.dockd("case", "import", file, *(["--whole"] if whole else []))

    # --- what is said afterwards -----------------------------------------------------------------------------

    def records(self) -> list[dict[str, Any]]:
        return list(self.json("record", "list"))

    def said_of(self, path: str) -> dict[str, Any]:
        """The newest record of the file at ``path``."""
        name = path.rpartition("/")[2]
        return [r for r in self.records() if r["original_name"] == name][-1]

    def alerts(self, kind: str | None = None) -> list[dict[str, Any]]:
        return [a for a in self.json("alert", "list") if kind in (None, a["kind"])]

    def ledger_lines(self, kind: str) -> list[dict[str, Any]]:
        """The ledger's lines of one kind, as the store's mirror has them."""
        lines = [
            json.loads(line)
            for file in sorted((self.store / "ledger/S1").glob("*.jsonl"))
            for line in file.read_text(encoding="utf-8").splitlines()
        ]
        return [line for line in lines if line["kind"] == kind]

    def prove(self, *summaries: Mapping[str, Any]) -> None:
        """Store, register, ledger and the visits' manifests agree, by dockd and without it; no temp is left."""
        self.dockd("verify")
        self.dockd("ledger", "verify")
        assert not list((self.store / "footage").rglob("*.part"))
        for summary in summaries:
            if summary["manifest"]:
                require_manifest(self.store, summary["manifest"])

    def holds(self, secret: bytes) -> bool:
        """Whether any file of the store contains ``secret``."""
        return any(secret in file.read_bytes() for file in self.store.rglob("*") if file.is_file())

    # --- visits in this process, for faults in the middle ------------------------------------------------------

    def open(self) -> Station:
        """The station itself; close it."""
        return open_station(load_settings(self.config), now=self.clock, actor="person:tester")

    def attend(
        self,
        *,
        passed: Passed = ignore,
        before_write: Callable[[], None] = lambda: None,
        watch: Callable[[Progress], None] = lambda _: None,
        boot: Callable[[], Boot | None] = lambda: None,
        **said: Any,
    ) -> dict[str, Any]:
        """One visit in this process; returns what ``visit show`` says of it."""
        station = self.open()
        try:
            request = replace(VisitRequest(str(self.card)), **said)
            guards = Guards(before_write=before_write, passed=passed, boot=boot)
            number = attend(station, request, meter=Meter(watch), guards=guards)
            with station.register.read() as session:
                shown = visits.show_visit(session, number, zone=station.zone)
        finally:
            station.close()
        assert shown is not None
        return shown


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


def run_command(*words: object, config: Path | None = None) -> Ended:
    """The command in this process, for a station that several tests look at."""
    from dockd.cli.main import run

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*(["-c", str(config)] if config else []), "--lang", "en", *map(str, words)], now=lambda: DOCKED)
    return Ended(code, out.getvalue(), err.getvalue())


def _report(said: str) -> str:
    """The report of a fault of our own, which nobody needs afterwards."""
    found = re.search(r"\S*/dockd-report-\w+\.txt", said)
    if not found:
        return ""
    text = Path(found[0]).read_text(encoding="utf-8")
    Path(found[0]).unlink()
    return text


def require_manifest(store: Path, manifest: str) -> None:
    """``cd ROOT && sha256sum -c MANIFEST`` passes."""
    done = subprocess.run(
        [SHA256SUM, "--quiet", "--strict", "-c", manifest], cwd=store, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def by_path(summary: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """A visit's files by their path on the card."""
    return {file["path"]: file for file in summary["files"]}


def outcomes(summary: Mapping[str, Any]) -> dict[str, str]:
    """A visit's outcomes by path on the card."""
    return {file["path"]: file["outcome"] for file in summary["files"]}


def kinds(alerts: Iterable[Mapping[str, Any]]) -> set[str]:
    return {alert["kind"] for alert in alerts}
