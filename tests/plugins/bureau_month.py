"""A made-up month lived through the real commands, everything at its own time; then the truth is compared."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from month import AHEAD, DAY, MINUTE, Case, Month, Outing, Recorded

from dockd.cli.main import run
from dockd.register.station import open_station
from dockd.service.schedule import carry_out
from dockd.service.ticks import TICKS, Round
from dockd.settings import load_settings

LATENESS = {"late_docked", "late_stored"}
DOUBT = {"deadline_unknown", "deadline_disputed", "exception_open"}
_MAC_EPOCH = datetime(1904, 1, 1, tzinfo=UTC)
_CASE_HEADER = "案件编号,原案件编号,案由名称,案件当事人,执法证号,使用开始时间,使用结束时间,记录地点,密级,结案时间"

Act = tuple[datetime, int, Callable[[], None]]


@dataclass
class BureauMonth:
    """One station and the month that it lives through. ``clock`` is what it sees of the time."""

    month: Month
    folder: Path
    clip: bytes
    clock: Any
    statements: dict[int, int] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    by_hand: dict[str, str] = field(default_factory=dict)

    # --- commands --------------------------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        return self.folder / "station/dockd.yaml"

    def dockd(self, *words: object, code: int = 0) -> str:
        """Runs a command, which must end with ``code``; returns what it printed.

        Standard error is a file: what the visits' own processes log stands there, too.
        """
        argv = ["-c", str(self.config), *map(str, words)]
        out = io.StringIO()
        with self.said.open("a", encoding="utf-8") as err, redirect_stdout(out), redirect_stderr(err):
            ended = run(argv if words[0] != "init" else argv[2:], now=self.clock)
        assert ended == code, (words, ended, out.getvalue(), self.said.read_text(encoding="utf-8")[-2000:])
        return out.getvalue()

    @property
    def said(self) -> Path:
        return self.folder / "stderr.txt"

    def logged(self) -> str:
        """The log's lines."""
        lines = self.said.read_text(encoding="utf-8").splitlines()
        return "\n".join(line for line in lines if line.startswith("{"))

    def json(self, *words: object) -> Any:
        return json.loads(self.dockd(*words, "--json"))

    def handed_in(self, noun: str, header: str, lines: list[list[str]]) -> None:
        """A file as another system exports it."""
        text = io.StringIO(newline="")
        csv.writer(text).writerows([header.split(","), *lines])
        file = self.folder / f"{noun}.csv"
        file.write_text(text.getvalue(), encoding="gb18030")
        self.dockd(noun, "import", file)

    # --- the month --------------------------------------------------------------------------------------------

    def live(self) -> None:
        """Everything in the order in which it happened."""
        acts = sorted(self._acts(), key=lambda act: act[:2])
        self.clock.time = acts[0][0] - DAY
        self._found()
        for at, _order, act in acts:
            self.clock.time = at
            act()

    def _found(self) -> None:
        self.dockd("init", self.folder / "station", "--station-no", "S1", "--language", "en")
        text = self.config.read_text(encoding="utf-8").replace("reserve: 5%", "reserve: 0")
        self.config.write_text(text, encoding="utf-8")
        people = [[p.cert_no, p.name, p.badge, p.unit] for p in self.month.people]
        self.handed_in("officer", "执法证号,执法人员姓名,警号,单位", people)
        recorders = [[r.device_no, r.serial, "gbpe", "执法大队"] for r in self.month.recorders]
        self.handed_in("recorder", "记录设备编号,设备序列号,卡配置,单位", recorders)

    def _acts(self) -> Iterator[Act]:
        for outing in self.month.outings:
            yield from self._custody(outing)
            yield from self._statement(outing)
            yield outing.docked_at, 5, lambda outing=outing: self._dock(outing)
        day = self.month.outings[0].issued.replace(hour=20, minute=0)
        while day <= self.month.ends_at:
            yield day, 8, self._import_cases
            yield day + 30 * MINUTE, 8, self._look
            day += DAY
        yield self.month.ends_at, 9, self._import_cases
        yield self.month.ends_at, 10, self._look
        yield self.month.ends_at - MINUTE, 9, self._tag_by_hand

    def _custody(self, outing: Outing) -> Iterator[Act]:
        """The clerk writes it down some minutes later, the day after docking, or never."""
        if outing.defect == "forgotten":
            return
        device, at = outing.device.device_no, (outing.issued, outing.returned)
        issue = ("recorder", "issue", device, outing.holder.cert_no, "--at", at[0].isoformat())
        back = ("recorder", "return", device, "--at", at[1].isoformat())
        written = [at[0] + 4 * MINUTE, at[1] + 3 * MINUTE]
        if outing.defect == "entered_late":
            written = [outing.docked_at + timedelta(hours=20)] * 2
        yield written[0], 1, lambda: self.dockd(*issue)
        yield written[1], 2, lambda: self.dockd(*back)

    def _statement(self, outing: Outing) -> Iterator[Act]:
        """Article 23(2): declared when they leave or after docking, with the return when they are back."""
        if not outing.remote:
            return
        number = self.month.outings.index(outing)
        said = ("--device-no", outing.device.device_no, "--reason", "remote", "--declared-by", outing.holder.cert_no)
        period = ("--from", outing.issued.isoformat(), "--to", outing.returned.isoformat(), "--note", "边远矿区")

        def declare(*more: str) -> None:
            self.statements[number] = self.json("exception", "add", *said, *period, *more)["exception_id"]

        back = ("--returned-at", outing.returned.isoformat())
        if outing.statement_late:
            yield outing.docked_at + timedelta(hours=3), 3, lambda: declare(*back)
            return
        yield outing.issued + 10 * MINUTE, 3, declare
        if not outing.open_ended:
            at = max(outing.docked_at, outing.returned) + timedelta(hours=1)
            words = ("exception", "return")
            yield at, 4, lambda: self.dockd(*words, self.statements[number], "--at", outing.returned.isoformat())

    # --- docking --------------------------------------------------------------------------------------------

    def _dock(self, outing: Outing) -> None:
        card = self.folder / "cards" / outing.device.device_no
        card.mkdir(parents=True, exist_ok=True)
        for file in outing.files:
            self._write(card, file)
        named = outing.device.short or outing.device.shared
        options = ["--device-no", outing.device.device_no] if named else []
        self.dockd("offload", card, *options)
        if outing.cleared:
            shutil.rmtree(card)
        if outing.device.clock == "ahead":
            self._measure(outing.device.device_no)

    def _measure(self, device_no: str) -> None:
        """The clerk compares the recorder's clock with the station's."""
        shown = self.clock.time + AHEAD
        self.dockd("recorder", "clock", device_no, "--reads", shown.isoformat())

    def _write(self, card: Path, file: Recorded) -> None:
        path = card / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        ended = file.wall + (file.end - file.begin)
        path.write_bytes(dated(self.clip, ended) + _box(b"free", f"{file.device.device_no} {file.path}".encode()))
        stamp = int(ended.timestamp()) * 10**9
        os.utime(path, ns=(stamp, stamp))

    def _look(self) -> None:
        """What the service's schedule does again and again."""
        station = open_station(load_settings(self.config), now=self.clock, actor="dockd")
        try:
            done = [carry_out(tick, station) for tick in TICKS if tick.round is Round.WATCH]
        finally:
            station.close()
        assert [one for one in done if one.error] == []

    # --- cases and people ---------------------------------------------------------------------------------------

    def _import_cases(self) -> None:
        """The case system's whole export of the day, again and again."""
        now = self.clock.time
        lines = [line for case in self.month.cases if case.known_at <= now for line in _lines(case, now)]
        if lines:
            self.handed_in("case", _CASE_HEADER, lines)

    def _tag_by_hand(self) -> None:
        """A clerk who knows decides some of what no machine can, a day before the case system exports once more."""
        truth = self.truth()
        waiting = [r for r in self.json("record", "list", "--no-case") if len(r["case_candidates"]) > 1]
        for record in waiting[:3]:
            case = truth[record["device_no"], record["original_name"]].case
            if case is not None:
                self.dockd("record", "tag", record["record_id"], "--case", case.number)
                self.by_hand[record["file_no"]] = case.final_no

    # --- the comparison ------------------------------------------------------------------------------------------

    def truth(self) -> dict[tuple[str, str], Recorded]:
        return {(file.device.device_no, file.name): file for file in self.month.files}

    def compare(self) -> Comparison:
        """Every record beside what really happened."""
        truth = self.truth()
        found = Comparison()
        alerts = self.json("alert", "list")
        for record in self.json("record", "list", "--media", "video"):
            file = truth.pop((record["device_no"], record["original_name"]))
            found.officers[_officers(record, file)] += 1
            found.cases[_case(record, file)] += 1
            own = [a for a in alerts if a["record_id"] == record["record_id"]]
            if record["late"] is None:  # its verdict waits for the statement: that alert is its alert
                own += [a for a in alerts if a["about"] == f"exception:{record['exception_id']}"]
            found.note(record, file, own)
        found.missing = len(truth)
        return found


@dataclass
class Comparison:
    """How the records compare with the truth."""

    officers: Counter[str] = field(default_factory=Counter)
    cases: Counter[str] = field(default_factory=Counter)
    lateness: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    missing: int = 0

    def note(self, record: dict[str, Any], file: Recorded, alerts: list[dict[str, Any]]) -> None:
        """Wrong tags, and lateness that was told wrongly or not at all."""
        standing = {a["kind"] for a in alerts if a["state"] != "closed"}
        late = "unknowable" if file.clock_unset else {True: "late", False: "in time", None: "pending"}[file.late]
        told = "late" if standing & LATENESS else "doubt" if standing & DOUBT else "quiet"
        self.lateness[f"{late}: {told}"] += 1
        wanted = {"late": {"late"}, "in time": {"quiet"}, "pending": {"doubt"}, "unknowable": {"doubt"}}[late]
        if told not in wanted:
            self.faults.append(f"{file.path}: {late}, told {told}: {record['judge_reason']} {file.outing}")
        for what, verdict in (("officer", _officers(record, file)), ("case", _case(record, file))):
            if verdict == "wrong":
                self.faults.append(f"{file.path}: {what} {record['officers']} {record['case_no']}, {file.officers}")


def _officers(record: dict[str, Any], file: Recorded) -> str:
    if not record["officers"]:
        return "empty"
    return "right" if set(record["officers"]) <= set(file.officers) else "wrong"


def _case(record: dict[str, Any], file: Recorded) -> str:
    if record["case_no"] is None:
        return "empty" if file.case else "rightly none"
    return "right" if file.case and record["case_no"] == file.case.final_no else "wrong"


def _lines(case: Case, now: datetime) -> Iterator[list[str]]:
    """Each period of work that has ended, one line; before there is any, a line without."""
    moved = case.renumbered_at is not None and case.renumbered_at <= now
    number, former = (case.final_no, case.number) if moved else (case.number, "")
    closed = f"{case.closed_at:%Y-%m-%d}" if case.closed_at and case.closed_at <= now else ""
    head = [number, former, case.cause, case.party]
    tail = [case.place, "个人隐私" if case.protected else "", closed]
    done = [work for work in case.works if work.end <= now]
    if not done:
        yield [*head, "", "", "", *tail]
    for work in done:
        yield [*head, "；".join(work.cert_nos), f"{work.begin:%Y-%m-%d %H:%M}", f"{work.end:%Y-%m-%d %H:%M}", *tail]


# --- a clip with another date -----------------------------------------------------------------------------------


def dated(clip: bytes, at: datetime) -> bytes:
    """The clip with ``at`` as the date of its film and tracks, as recorders write it."""
    seconds = struct.pack(">I", int((at.astimezone(UTC) - _MAC_EPOCH) / timedelta(seconds=1)))
    data = bytearray(clip)
    for name in (b"mvhd", b"tkhd", b"mdhd"):
        place = data.find(name)
        while place >= 0:
            data[place + 8 : place + 16] = seconds * 2
            place = data.find(name, place + 4)
    return bytes(data)


def _box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", 8 + len(data)) + kind + data
