"""The drop folder: tables of other systems, taken in as they come and moved to ``done/`` or ``bad/`` with a report.

A table is first moved into ``.work/``, so that what is read is what ends in ``done/``; one that lies there after a
crash is taken in again, which does no harm. Whose table it is, its header says. Good lines are taken, bad ones
named in the report, as by ``dockd case import``.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any, Literal

from dockd.errors import ExportUnwritable, NotACsv
from dockd.export.atomic import publishing
from dockd.locale import _
from dockd.nouns import display_path
from dockd.register import alerts, disk, imports, ledger
from dockd.register.csvfile import FILE_MAX, Column, Readable, parse_sheet
from dockd.register.importwords import notes_of, summary_of
from dockd.register.station import Station, open_station
from dockd.service.deliveries import Looked
from dockd.settings import Settings
from dockd.visit.rejudge import rejudge
from dockd.visit.worker import Lifeline

WORK, DONE, BAD = ".work", "done", "bad"
REPORT = ".report.json"

_OURS = frozenset({"file_no", "文件编号"})
_HEADERS = "case_no / 案件编号, device_no / 记录设备编号, officer_cert_no + officer_name / 执法证号 + 执法人员姓名"

Import = Callable[[Station, Readable], imports.ImportReport]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of table."""

    name: str
    columns: Sequence[Column]
    take: Import


KINDS = (
    Kind("cases", imports.CASE_COLUMNS, imports.import_cases),
    Kind("recorders", imports.RECORDER_COLUMNS, imports.import_recorders),
    Kind("officers", imports.OFFICER_COLUMNS, imports.import_officers),
)


@dataclass(frozen=True, slots=True)
class Table:
    """A table that was read, for what wants to open it."""

    name: str
    raw: bytes

    def open(self, mode: Literal["rb"]) -> IO[bytes]:
        del mode
        return io.BytesIO(self.raw)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class LookingForTables:
    """A look into the drop folder."""

    path: str

    def __call__(self, send: object, lifeline: Lifeline, fds: tuple[int, ...]) -> Looked:
        return look(self.path)


def look(path: str) -> Looked:
    """The tables that lie in the folder or were begun, by their names; what is no table counts as outside."""
    marks: dict[str, str] = {}
    outside = 0
    try:
        entries = list(os.scandir(path))
    except OSError:
        return Looked({}, absent=True)
    with suppress(OSError):
        entries += [e for e in os.scandir(os.path.join(path, WORK)) if e.is_file(follow_symlinks=False)]
    for entry in entries:
        if not entry.is_file(follow_symlinks=False):
            continue
        begun = os.path.basename(os.path.dirname(entry.path)) == WORK
        if not begun and entry.name.startswith((".", "~")):
            continue
        if not begun and not entry.name.lower().endswith(".csv"):
            outside += 1
            continue
        with suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            name = os.path.join(WORK, entry.name) if begun else entry.name
            marks[name] = f"{status.st_ino}:{status.st_size}:{status.st_mtime_ns}"
    return Looked(marks, outside)


@dataclass(frozen=True, slots=True)
class TakingIn:
    """A worker's work on one table."""

    settings: Settings
    path: str
    name: str
    now: Callable[[], datetime]

    def __call__(self, send: object, lifeline: Lifeline, fds: tuple[int, ...]) -> bool:
        station = open_station(self.settings, now=self.now, actor="dockd")
        try:
            take_in(station, self.path, self.name)
        finally:
            station.close()
        return True


def take_in(station: Station, folder: str, name: str) -> str:
    """The table ``name`` of ``folder`` is imported and lies in ``done/`` or ``bad/``, its report beside it.

    Returns its path there. Raises ExportUnwritable where it cannot be moved (nothing is imported then), StoreError.
    """
    try:
        begun = _begin(folder, name, station.now())
        raw = _read(begun)
    except OSError as error:
        raise ExportUnwritable(path=folder, reason=error.strerror or str(error)) from error
    kind, report, trouble = _import(station, Table(display_path(os.fsencode(os.path.basename(name))), raw))
    rejudge(station)
    bad = trouble or (report and report.bad)
    told = _told(station, kind, raw, report, trouble)
    ended = os.path.join(folder, BAD if bad else DONE, os.path.basename(begun))
    try:
        with publishing(ended + REPORT) as draft:
            draft.write(json.dumps(told, ensure_ascii=False, indent=2).encode() + b"\n")
        # Before it is moved: one that lies in its place is taken in no more, and after a crash nobody would tell of it.
        _say(station, told, os.path.basename(begun), bad=bool(bad))
        _move(begun, ended)
    except OSError as error:
        raise ExportUnwritable(path=folder, reason=error.strerror or str(error)) from error
    return ended


def _begin(folder: str, name: str, now: datetime) -> str:
    """The table under the name that it keeps, out of its writer's reach."""
    for part in (WORK, DONE, BAD):
        disk.make_folders(os.path.join(folder, part))
    source = os.path.join(folder, name)
    if os.path.dirname(name) == WORK:
        return source
    begun = os.path.join(folder, WORK, f"{now.astimezone(UTC):%Y%m%dT%H%M%S.%f}Z-{name}"[:240])
    _move(source, begun)
    return begun


def _move(source: str, target: str) -> None:
    """A table goes into another folder, and is in one of the two at any instant. Never replaces anything."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:  # no hard links there, or none to a file of somebody else's (fs.protected_hardlinks)
        if os.path.lexists(target):
            raise
        os.rename(source, target)
        disk.sync_folder(os.path.dirname(target))
        return
    disk.sync_folder(os.path.dirname(target))
    os.unlink(source)


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(22, "it is not a file")
        return file.read(FILE_MAX + 1)


def _import(station: Station, table: Table) -> tuple[str, imports.ImportReport | None, str]:
    """Its kind, what became of its lines, and what is wrong with it as a whole."""
    try:
        kind = kind_of(table)
        return kind.name, kind.take(station, table), ""
    except NotACsv as error:
        return "", None, error.render(_)


def kind_of(table: Table) -> Kind:
    """The kind of which the header knows all that is needed and ignores least. Raises NotACsv."""
    found: list[tuple[int, Kind]] = []
    reason: NotACsv | None = None
    for kind in KINDS:
        try:
            ignored = parse_sheet(table.raw, kind.columns, name=table.name).ignored_columns
        except NotACsv as error:
            reason = reason or error
            continue
        if _OURS & set(ignored):
            raise NotACsv(file=table.name, reason=_("it is an inventory that dockd itself wrote"), headers=_HEADERS)
        found.append((len(ignored), kind))
    if not found:
        why = reason.fields["reason"] if reason else ""
        raise NotACsv(file=table.name, reason=why, headers=_HEADERS)
    return min(found, key=lambda one: one[0])[1]


def _told(
    station: Station, kind: str, raw: bytes, report: imports.ImportReport | None, trouble: str
) -> Mapping[str, Any]:
    summary = summary_of(report, strict=False) if report else {"lines": 0, "bad": []}
    messages = [trouble] if trouble else notes_of(report) if report else []
    digest = hashlib.sha256(raw).hexdigest()
    at = station.now().astimezone(station.zone).isoformat()
    return {"kind": kind or None, "at": at, "sha256": digest, "bytes": len(raw), **summary, "messages": messages}


def _say(station: Station, told: Mapping[str, Any], name: str, *, bad: bool) -> None:
    """A line in the ledger, and an alert where somebody has to look; the stamp of the file is its name for both."""
    stamp = name.partition("-")[0]
    counts = {key: told.get(key, 0) for key in ("lines", "added", "changed", "unchanged")}
    with station.register.write() as session:
        ledger.append(
            session,
            station_no=station.station_no,
            kind="import.taken",
            subject=f"import:{stamp}",
            data={"kind": told["kind"], "sha256": told["sha256"], "bad": len(told["bad"]), **counts},
            at=station.now(),
            actor=station.actor,
        )
        if bad:
            facts = {"bad": len(told["bad"]), "lines": told["lines"], "location": f"{BAD}/{stamp}-…{REPORT}"}
            alerts.open_alert(
                session,
                station_no=station.station_no,
                kind="import_refused",
                about=f"import:{stamp}",
                facts=facts,
                at=station.now(),
            )
    station.mirror_ledger()
