"""Imports: officers, recorders and cases out of other systems' CSVs, as often as one likes.

Every line that cannot be taken is named with its number and reason; the others are taken, or with
``strict`` none. A line that says what the register holds already writes nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from dockd.errors import BadValue, WrongUse
from dockd.locale import _
from dockd.nouns import Officer, Recorder
from dockd.register.cases import CaseLine, check_line, find_case, put_case_lines, renumber_case
from dockd.register.csvfile import BadLine, Column, Line, Readable, Sheet, read_sheet
from dockd.register.officers import cert_no_twins, check_officer, put_officers, unknown_officers
from dockd.register.recorders import check_recorder, device_no_twins, put_recorders
from dockd.register.station import Station
from dockd.register.values import Counts, chunks, shown, split_joined

T = TypeVar("T")
V = TypeVar("V")

OFFICER_COLUMNS = (
    Column("officer_cert_no", "执法证号", required=True),
    Column("officer_name", "执法人员姓名", required=True),
    Column("badge", "警号"),
    Column("unit", "单位"),
)
RECORDER_COLUMNS = (
    Column("device_no", "记录设备编号", required=True),
    Column("device_serial", "设备序列号"),
    Column("model", "型号"),
    Column("profile", "卡配置"),
    Column("unit", "单位"),
    Column("custodian", "保管人"),
    Column("device_kind", "设备种类"),
    Column("owner_cert_no", "使用人执法证号"),
    Column("attributes", "功能"),
)
CASE_COLUMNS = (
    Column("case_no", "案件编号", required=True),
    Column("case_cause", "案由名称"),
    Column("party", "案件当事人"),
    Column("officer_cert_no", "执法证号"),
    Column("used_from", "使用开始时间"),
    Column("used_to", "使用结束时间"),
    Column("place", "记录地点"),
    Column("matter", "记录事项"),
    Column("act_type", "执法类别"),
    Column("stage", "执法环节"),
    Column("closed_at", "结案时间"),
    Column("confidentiality", "密级"),
    Column("full_course_required", "全程音像记录"),
    Column("former_case_no", "原案件编号"),
)
# A case has one of each; two lines that differ in it cannot both be right.
_ONE_PER_CASE = ("case_cause", "closed_at", "confidentiality", "full_course_required", "former_case_no")
# Lines a transaction: short enough that a visit never waits long for its turn.
_BATCH = 500


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What became of a file. ``lines`` are those with data; the counts are officers, recorders or cases.

    ``unknown_officers`` are numbers that lines name and no officer has: taken, but nobody is found by them.
    """

    file: str
    lines: int
    counts: Counts
    bad: tuple[BadLine, ...]
    ignored_columns: tuple[str, ...]
    unknown_officers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Taken(Generic[T]):
    """A line's meaning, with the number of the line on which it begins."""

    line_no: int
    value: T


def import_officers(station: Station, path: Readable, *, strict: bool = False) -> ImportReport:
    """Registers and changes the officers of a CSV. Raises NotACsv and a StoreError."""
    sheet = read_sheet(path, OFFICER_COLUMNS)
    taken, bad = _understand(sheet, _officer)
    taken, repeats = _each_once(taken, lambda officer: officer.cert_no, "officer_cert_no")
    bad += repeats

    def admit(session: Session, batch: Sequence[_Taken[Officer]]) -> list[Officer]:
        twins = cert_no_twins(session, [one.value.cert_no for one in batch])
        return _without(twins, batch, lambda officer: officer.cert_no, "officer_cert_no", bad)

    return _report(path, sheet, _write(station, taken, bad, strict, admit, put_officers), bad)


def import_recorders(station: Station, path: Readable, *, strict: bool = False) -> ImportReport:
    """Registers and changes the recorders of a CSV. Raises NotACsv and a StoreError."""
    sheet = read_sheet(path, RECORDER_COLUMNS)
    taken, bad = _understand(sheet, _recorder)
    taken, repeats = _each_once(taken, lambda recorder: recorder.device_no, "device_no")
    bad += repeats

    def admit(session: Session, batch: Sequence[_Taken[Recorder]]) -> list[Recorder]:
        twins = device_no_twins(session, [one.value.device_no for one in batch])
        return _without(twins, batch, lambda recorder: recorder.device_no, "device_no", bad)

    counts = _write(station, taken, bad, strict, admit, put_recorders)
    owners = [t.value.owner_cert_no for t in taken if t.value.owner_cert_no]
    return _report(path, sheet, counts, bad, _unknown(station, owners))


def import_cases(station: Station, path: Readable, *, strict: bool = False, whole: bool = False) -> ImportReport:
    """Registers and changes the cases of a CSV, several lines a case. Raises NotACsv and a StoreError.

    Times without an offset are in the station's zone. A line that contradicts an earlier one of
    its case is a bad line. A case whose line names the number that it had before is that case.
    ``whole``: the file says everything of its cases, so that works it does not name are withdrawn.
    """
    sheet = read_sheet(path, CASE_COLUMNS)
    taken, bad = _understand(sheet, lambda cells: _case_line(cells, station.zone))
    taken, contradictions = _agreeing(taken)
    taken, taken_numbers = _renumberable(station, taken)
    bad += contradictions + taken_numbers

    def admit(session: Session, batch: Sequence[list[CaseLine]]) -> list[CaseLine]:
        lines = [line for case in batch for line in case]
        for line in lines:
            _renumber(session, station, line)
        return lines

    put = partial(put_case_lines, whole=whole)
    counts = _write(station, _by_case(taken), bad, strict, admit, put)
    return _report(path, sheet, counts, bad, _unknown(station, [o for t in taken for o in t.value.officers]))


def _renumber(session: Session, station: Station, line: CaseLine) -> None:
    before = line.former_case_no
    if before and find_case(session, before):
        station_no, now = station.station_no, station.now()
        renumber_case(session, before, line.case_no, station_no=station_no, now=now, actor=station.actor)


def _renumberable(station: Station, taken: Sequence[_Taken[CaseLine]]) -> tuple[list[_Taken[CaseLine]], list[BadLine]]:
    """The lines without those that would make one case of two."""
    good, bad = [], []
    with station.register.read() as session:
        for one in taken:
            before, number = one.value.former_case_no, one.value.case_no
            old, new = (find_case(session, n) if n else None for n in (before, number if before else None))
            if old and new and old.case_no != new.case_no:
                reason = _("{number} and {before} are registered as two cases")
                told = reason.format(number=shown(number), before=shown(str(before)))
                bad.append(BadLine(one.line_no, "former_case_no", shown(str(before)), told))
            else:
                good.append(one)
    return good, bad


# --- writing ------------------------------------------------------------------------------------------


def _write(
    station: Station,
    items: Iterable[T],
    bad: Sequence[BadLine],
    strict: bool,
    admit: Callable[[Session, Sequence[T]], list[V]],
    put: Callable[..., Counts],
) -> Counts:
    """Puts what ``admit`` lets through (it adds to ``bad`` what it does not) and counts; strict, all or nothing."""
    total = Counts()
    if strict and bad:
        return total
    batches: Iterator[Sequence[T]] = iter([list(items)]) if strict else chunks(items, _BATCH)
    for batch in batches:
        with station.register.write() as session:
            good = admit(session, batch)
            if strict and bad:
                return total
            done = put(session, good, station_no=station.station_no, now=station.now(), actor=station.actor)
        total = total.plus(done)
    return total


def _without(
    twins: Mapping[str, str],
    batch: Sequence[_Taken[T]],
    number: Callable[[T], str],
    column: str,
    bad: list[BadLine],
) -> list[T]:
    """Those whose number is new or written as it is registered; ``bad`` grows by the others."""
    for one in batch:
        if known := twins.get(number(one.value)):
            reason = _("registered as {number}").format(number=known)
            bad.append(BadLine(one.line_no, column, number(one.value), reason))
    return [one.value for one in batch if number(one.value) not in twins]


def _unknown(station: Station, cert_nos: Iterable[str]) -> tuple[str, ...]:
    with station.register.read() as session:
        return tuple(unknown_officers(session, cert_nos))


def _report(
    path: Readable, sheet: Sheet, counts: Counts, bad: Sequence[BadLine], unknown: tuple[str, ...] = ()
) -> ImportReport:
    return ImportReport(
        file=str(path),
        lines=len(sheet.lines) + len(sheet.bad),
        counts=counts,
        bad=tuple(sorted(bad, key=lambda line: line.line_no)),
        ignored_columns=sheet.ignored_columns,
        unknown_officers=unknown,
    )


# --- understanding lines ------------------------------------------------------------------------------------


def _understand(sheet: Sheet, make: Callable[[Mapping[str, str]], T]) -> tuple[list[_Taken[T]], list[BadLine]]:
    """What the lines mean, and those that mean nothing acceptable."""
    taken: list[_Taken[T]] = []
    bad = list(sheet.bad)
    for line in sheet.lines:
        try:
            taken.append(_Taken(line.number, make(line.cells)))
        except WrongUse as error:
            bad.append(_bad_line(line, error))
    return taken, bad


def _bad_line(line: Line, error: WrongUse) -> BadLine:
    column = str(error.fields.get("what", ""))
    expected = error.fields.get("expected")
    reason = _("expected: {expected}").format(expected=expected) if expected else error.render(_)
    return BadLine(line.number, column, shown(line.cells.get(column, "")), reason)


def _each_once(
    taken: Sequence[_Taken[T]], number: Callable[[T], str], column: str
) -> tuple[list[_Taken[T]], list[BadLine]]:
    """The first line of each number; a second one is a bad line unless it says the same."""
    first: dict[str, _Taken[T]] = {}
    bad = []
    for one in taken:
        known = first.setdefault(number(one.value).lower(), one)
        if known.value != one.value:
            reason = _("line {line} says otherwise of {number}").format(line=known.line_no, number=number(known.value))
            bad.append(BadLine(one.line_no, column, number(one.value), reason))
    return list(first.values()), bad


def _officer(cells: Mapping[str, str]) -> Officer:
    return check_officer(
        Officer(
            cert_no=cells.get("officer_cert_no", ""),
            name=cells.get("officer_name", ""),
            badge=cells.get("badge"),
            unit=cells.get("unit"),
        )
    )


def _recorder(cells: Mapping[str, str]) -> Recorder:
    said: dict[str, Any] = {"device_no": "", **cells}
    said["attributes"] = split_joined(said.pop("attributes", ""))
    return check_recorder(Recorder(**said))


# --- cases -------------------------------------------------------------------------------------------------


def _case_line(cells: Mapping[str, str], zone: ZoneInfo) -> CaseLine:
    said: dict[str, Any] = {"case_no": "", **cells}
    said["parties"] = split_joined(said.pop("party", ""))
    said["officers"] = split_joined(said.pop("officer_cert_no", ""))
    for name in {"used_from", "used_to", "closed_at"} & cells.keys():
        said[name] = read_time(name, cells[name], zone, day=name == "closed_at")
    if "full_course_required" in cells:
        said["full_course_required"] = _read_yes_no("full_course_required", cells["full_course_required"])
    return check_line(CaseLine(**said))


_YES_NO = dict.fromkeys(("是", "yes", "true", "1", "y"), True) | dict.fromkeys(("否", "no", "false", "0", "n"), False)


def _read_yes_no(what: str, text: str) -> bool:
    said = _YES_NO.get(unicodedata.normalize("NFKC", text).strip().casefold())
    if said is None:
        raise BadValue(what=what, value=shown(text), expected=_("yes (是) or no (否)"))
    return said


def _agreeing(taken: Sequence[_Taken[CaseLine]]) -> tuple[list[_Taken[CaseLine]], list[BadLine]]:
    """The lines that agree with the first that speaks of their case, and those that do not."""
    first: dict[tuple[str, str], tuple[int, Any]] = {}
    good, bad = [], []
    for one in taken:
        said = {n: getattr(one.value, n) for n in _ONE_PER_CASE if getattr(one.value, n) is not None}
        earlier = {n: first[key] for n in said if (key := (one.value.case_no, n)) in first}
        against = [name for name in earlier if earlier[name][1] != said[name]]
        if against:
            bad.append(_contradiction(one, against[0], *earlier[against[0]]))
            continue
        first |= {(one.value.case_no, n): (one.line_no, value) for n, value in said.items() if n not in earlier}
        good.append(one)
    return good, bad


def _contradiction(one: _Taken[CaseLine], column: str, line_no: int, other: object) -> BadLine:
    value = getattr(one.value, column)
    reason = _("line {line} says {other} of the same case").format(line=line_no, other=shown(str(other)))
    return BadLine(one.line_no, column, shown(str(value)), reason)


def _by_case(taken: Sequence[_Taken[CaseLine]]) -> list[list[CaseLine]]:
    cases: dict[str, list[CaseLine]] = {}
    for one in taken:
        cases.setdefault(one.value.case_no, []).append(one.value)
    return list(cases.values())


# --- times -----------------------------------------------------------------------------------------------

_WALL = re.compile(r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?:[T ]+(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?)?")
_YEARS = range(1970, 2200)  # what either dialect and every zone can hold


def read_time(what: str, text: str, zone: ZoneInfo, *, day: bool = False) -> datetime:
    """A cell's time, aware: ISO 8601, ``2026-3-5 9:07[:30]`` or ``2026/3/5 9:07``, without an offset in ``zone``.

    ``day``: a date alone is its first moment; otherwise it is refused, because a period's day does not say when.
    Raises BadValue.
    """
    time = _parse_time(unicodedata.normalize("NFKC", text).strip(), day)
    if time is None or time.year not in _YEARS:
        expected = _("a date, such as 2026-03-05") if day else _("a time, such as 2026-03-05 09:07")
        raise BadValue(what=what, value=shown(text), expected=expected)
    return time if time.tzinfo else time.replace(tzinfo=zone)


def _parse_time(text: str, day: bool) -> datetime | None:
    wall = _WALL.fullmatch(text)
    try:
        if wall and (day or wall[5]):
            year, month, date, hour, minute, second = (int(part or 0) for part in wall.group(1, 3, 4, 5, 6, 7))
            return datetime(year, month, date, hour, minute, second)  # noqa: DTZ001 (the caller knows the zone)
        return datetime.fromisoformat(text) if ":" in text or "T" in text else None
    except ValueError:
        return None
