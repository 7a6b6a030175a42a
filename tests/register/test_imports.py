"""Imports: good lines are taken, bad ones named, and the same file again changes nothing."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st
from sqlalchemy import func, select

from dockd.errors import BadValue, NotACsv
from dockd.locale import use_language
from dockd.nouns import Officer, Recorder
from dockd.register import imports
from dockd.register.cases import Work, get_case, list_cases
from dockd.register.imports import (
    CASE_COLUMNS,
    ImportReport,
    import_cases,
    import_officers,
    import_recorders,
    read_time,
)
from dockd.register.officers import list_officers
from dockd.register.recorders import get_recorder, list_recorders
from dockd.register.session import Register
from dockd.register.station import Station
from dockd.register.tables import EventRow
from dockd.register.values import Counts
from dockd.settings import Settings

BEIJING = timezone(timedelta(hours=8))
ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2026, 11, 23, 10, 0, tzinfo=BEIJING)

Take = Callable[..., ImportReport]

OFFICERS = "officer_cert_no,officer_name,badge,unit\n13012301,李明,JX0227,执法大队\n13012302,赵强,JX0228,\n"
CASES = """\
case_no,case_cause,party,officer_cert_no,used_from,used_to,place,closed_at
冀罚1号,无照经营,甲公司；王某,13012301；13012302,2026-11-20 09:00,2026-11-20 11:30,中山路,
冀罚1号,无照经营,,13012301,2026/11/21 9:05,2026-11-21T10:00:00+08:00,建设街,
冀罚2号,占道经营,,,,,,2026-11-22
"""


@pytest.fixture
def station(settings: Settings, register: Register) -> Station:
    """A station on either database, without a store: an import writes no file."""
    return Station(settings, register, lambda: NOW, "person:tester")


@pytest.fixture
def take(station: Station, tmp_path: Path) -> Take:
    """``take(import_cases, text)`` imports text as a file, in UTF-8 unless it is bytes."""

    def take(what: Callable[..., ImportReport], text: str | bytes, *, strict: bool = False) -> ImportReport:
        path = tmp_path / "import.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return what(station, path, strict=strict)

    return take


def bad(report: ImportReport) -> list[tuple[int, str, str]]:
    return [(line.line_no, line.column, line.value) for line in report.bad]


def events(station: Station) -> list[str]:
    with station.register.read() as session:
        return list(session.scalars(select(EventRow.kind).order_by(EventRow.seq)))


def officers(station: Station) -> list[Officer]:
    with station.register.read() as session:
        return list_officers(session)


def recorders(station: Station) -> list[Recorder]:
    with station.register.read() as session:
        return list_recorders(session)


# --- officers ------------------------------------------------------------------------------------------


def test_officers_are_taken_once(station: Station, take: Take) -> None:
    report = take(import_officers, OFFICERS)
    assert (report.lines, report.counts, report.bad) == (2, Counts(added=2), ())
    assert officers(station) == [
        Officer("13012301", "李明", "JX0227", "执法大队"),
        Officer("13012302", "赵强", "JX0228"),
    ]
    assert take(import_officers, OFFICERS).counts == Counts(unchanged=2)
    assert events(station) == ["officer.added"] * 2


def test_chinese_headers_in_gb18030_and_another_order_say_the_same(station: Station, take: Take) -> None:
    take(import_officers, OFFICERS)
    text = "单位\t警号\t执法人员姓名\t执法证号\n执法大队\tJX0227\t李明\t13012301\n\tJX0228\t赵强\t13012302\n"
    assert take(import_officers, text.encode("gb18030")).counts == Counts(unchanged=2)


def test_bad_officers_are_named_by_line_and_the_good_ones_taken(station: Station, take: Take) -> None:
    report = take(
        import_officers,
        "officer_cert_no,officer_name,badge,extra\n"
        "1,李明,,\n"
        ",无号,,\n"
        "000000,零,,\n"
        "2,,B2,\n"
        f"3,{'长' * 129},,\n"
        '4,"a\nb\x1b",8888888,\n'
        "5,王,B5,x\n",
    )
    assert bad(report) == [
        (3, "officer_cert_no", ""),
        (4, "officer_cert_no", "000000"),
        (5, "officer_name", ""),
        (6, "officer_name", "长" * 80 + "…"),
        (7, "badge", "8888888"),
    ]
    assert [line.reason for line in report.bad] == [
        "expected: 1 to 64 printable characters",
        "000000 is a number that recorders use for 'not set'",
        "expected: a name",
        "expected: at most 128 characters",
        "8888888 is a number that recorders use for 'not set'",
    ]
    assert (report.lines, report.counts, report.ignored_columns) == (7, Counts(added=2), ("extra",))
    assert [one.cert_no for one in officers(station)] == ["1", "5"]


def test_strict_takes_nothing_from_a_file_with_one_bad_line(station: Station, take: Take) -> None:
    report = take(import_officers, OFFICERS + ",无号,,\n", strict=True)
    assert (report.counts, len(report.bad)) == (Counts(), 1)
    assert officers(station) == []
    assert events(station) == []
    assert take(import_officers, OFFICERS, strict=True).counts == Counts(added=2)


def test_strict_takes_nothing_when_the_register_contradicts(station: Station, take: Take) -> None:
    take(import_officers, "执法证号,执法人员姓名\njx01,李\n")
    report = take(import_officers, "执法证号,执法人员姓名\nA1,王\nJX01,李\n", strict=True)
    assert bad(report) == [(3, "officer_cert_no", "JX01")]
    assert report.bad[0].reason == "registered as jx01"
    assert [one.cert_no for one in officers(station)] == ["jx01"]


def test_an_officer_who_stands_twice_in_a_file_must_be_the_same(station: Station, take: Take) -> None:
    report = take(import_officers, "执法证号,执法人员姓名\nA1,李\nA1,李\nA1,王\na1,李\n")
    assert [(line.line_no, line.reason) for line in report.bad] == [
        (4, "line 2 says otherwise of A1"),
        (5, "line 2 says otherwise of A1"),
    ]
    assert report.counts == Counts(added=1)


def test_what_a_file_does_not_say_stays(station: Station, take: Take) -> None:
    take(import_officers, OFFICERS)
    report = take(import_officers, "执法证号,执法人员姓名,单位\n13012301,李明明,\n")
    assert report.counts == Counts(changed=1)
    assert officers(station)[0] == Officer("13012301", "李明明", "JX0227", "执法大队")


def test_reasons_are_in_the_users_language(take: Take, monkeypatch: pytest.MonkeyPatch) -> None:
    spoken = {"expected: {expected}": "应为：{expected}", "a name": "姓名"}
    monkeypatch.setattr(imports, "_", lambda text: spoken.get(text, text))
    monkeypatch.setattr("dockd.register.officers._", lambda text: spoken.get(text, text))
    report = take(import_officers, "执法证号,执法人员姓名\nA1,\n")
    assert report.bad[0].reason == "应为：姓名"
    use_language("en")


def test_a_file_without_its_key_column_is_refused_whole(take: Take) -> None:
    with pytest.raises(NotACsv, match=r"import\.csv cannot be read as a table: the header line lacks officer_cert_no"):
        take(import_officers, "officer_name\n李明\n")


def test_many_lines_are_taken_in_several_transactions(station: Station, take: Take) -> None:
    text = "执法证号,执法人员姓名\n" + "".join(f"N{i:04},名\n" for i in range(1200))
    assert take(import_officers, text).counts == Counts(added=1200)
    assert take(import_officers, text, strict=True).counts == Counts(unchanged=1200)
    assert len(officers(station)) == 1200


# --- recorders -----------------------------------------------------------------------------------------


def test_recorders_are_taken_with_all_columns(station: Station, take: Take) -> None:
    text = (
        "记录设备编号,设备序列号,型号,卡配置,单位,保管人,设备种类,使用人执法证号\n"
        "YS-07,TA00716,DSJ-A7,gat947,大队,孙立,执法记录仪,13012301\nYS-08,,,,,,,\n"
    )
    report = take(import_recorders, text)
    assert (report.counts, report.unknown_officers) == (Counts(added=2), ("13012301",))
    with station.register.read() as session:
        found = get_recorder(session, "YS-07")
    assert (found.device_serial, found.model, found.profile, found.unit) == ("TA00716", "DSJ-A7", "gat947", "大队")
    assert (found.custodian, found.device_kind, found.owner_cert_no) == ("孙立", "执法记录仪", "13012301")
    assert take(import_recorders, text).counts == Counts(unchanged=2)


def test_reserved_and_impossible_recorder_numbers_are_named(station: Station, take: Take) -> None:
    text = "device_no,device_serial\n8888888,\nYS-07,0000000\na/b,\n.x,\nYS-08,=1+1\nys-08,\n"
    report = take(import_recorders, text)
    assert bad(report) == [
        (2, "device_no", "8888888"),
        (3, "device_serial", "0000000"),
        (4, "device_no", "a/b"),
        (5, "device_no", ".x"),
        (7, "device_no", "ys-08"),
    ]
    assert [(one.device_no, one.device_serial) for one in recorders(station)] == [("YS-08", "=1+1")]


# --- cases ---------------------------------------------------------------------------------------------


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=BEIJING)


def test_cases_are_taken_with_every_officers_period(station: Station, take: Take) -> None:
    take(import_officers, OFFICERS)
    report = take(import_cases, CASES)
    assert (report.lines, report.counts, report.bad, report.unknown_officers) == (3, Counts(added=2), (), ())
    with station.register.read() as session:
        one, two = get_case(session, "冀罚1号"), get_case(session, "冀罚2号")
    assert (one.case_cause, one.parties, one.place) == ("无照经营", ("甲公司", "王某"), None)
    assert one.works == (
        Work("13012301", at(20, 9), at(20, 11, 30), "中山路"),
        Work("13012302", at(20, 9), at(20, 11, 30), "中山路"),
        Work("13012301", at(21, 9, 5), at(21, 10), "建设街"),
    )
    assert (two.closed_at, two.works) == (at(22, 0), ())


def test_the_same_cases_again_write_nothing(station: Station, take: Take) -> None:
    take(import_cases, CASES)
    before = events(station)
    assert take(import_cases, CASES).counts == Counts(unchanged=2)
    lines = CASES.splitlines()
    assert take(import_cases, "\r\n".join([lines[0], *reversed(lines[1:])])).counts == Counts(unchanged=2)
    assert events(station) == before == ["case.added", "case.added"]


def test_a_changed_case_is_traced_before_and_after(station: Station, take: Take) -> None:
    take(import_cases, CASES)
    report = take(import_cases, CASES.replace("占道经营", "流动经营"))
    assert report.counts == Counts(changed=1, unchanged=1)
    with station.register.read() as session:
        line = session.scalars(select(EventRow.line).order_by(EventRow.seq.desc()).limit(1)).one()
    assert json.loads(line)["data"]["changes"] == {"case_cause": ["占道经营", "流动经营"]}


def test_officers_that_nobody_knows_are_taken_and_named(take: Take) -> None:
    assert take(import_cases, CASES).unknown_officers == ("13012301", "13012302")


@pytest.mark.parametrize(
    ("column", "first", "second"),
    [
        ("case_cause", "无照经营", "占道经营"),
        ("confidentiality", "秘密", "机密"),
        ("closed_at", "2026-11-20", "2026-11-21"),
    ],
)
def test_a_line_that_contradicts_its_case_is_bad_and_says_which_line(
    station: Station, take: Take, column: str, first: str, second: str
) -> None:
    text = f"case_no,{column},matter\nA,,x\nA,{first},x\nA,{second},y\nA,{first},x\nB,{second},x\n"
    report = take(import_cases, text)
    assert [(line.line_no, line.column) for line in report.bad] == [(4, column)]
    assert report.bad[0].reason.startswith("line 3 says ")
    with station.register.read() as session:
        assert [case.matter for case in list_cases(session)] == ["x", "x"]


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ("A,2026-11-20 10:00,2026-11-20 09:59", "used_to"),
        ("A,2026-11-20,", "used_from"),
        ("A,,yesterday", "used_to"),
        ("A,2026-02-30 10:00,", "used_from"),
        ("A,2026-11-20 24:00,", "used_from"),
        ("A,0001-01-01T00:00,", "used_from"),
        ("A,20/11/2026 10:00,", "used_from"),
        (",2026-11-20 10:00,", "case_no"),
    ],
)
def test_times_that_cannot_be_make_a_bad_line(station: Station, take: Take, cells: str, column: str) -> None:
    report = take(import_cases, f"case_no,used_from,used_to\n{cells}\nB,,\n")
    assert [(line.line_no, line.column) for line in report.bad] == [(2, column)]
    with station.register.read() as session:
        assert [case.case_no for case in list_cases(session)] == ["B"]


def test_cells_are_cleaned_of_what_no_person_typed(station: Station, take: Take) -> None:
    take(import_cases, 'case_no,party,case_cause,place\nA," 甲\x1b[31m;\u202e乙\n","无照\t经营","\ufeff中山\x07路"\n')
    with station.register.read() as session:
        case = get_case(session, "A")
    assert (case.parties, case.case_cause, case.place) == (("甲[31m", "乙"), "无照 经营", "中山路")


def test_a_cell_like_a_formula_is_its_text(station: Station, take: Take) -> None:
    take(import_cases, "case_no,case_cause,party\nA,=HYPERLINK(1),@x；+1；-2\n")
    with station.register.read() as session:
        case = get_case(session, "A")
    assert (case.case_cause, case.parties) == ("=HYPERLINK(1)", ("@x", "+1", "-2"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-20 9:05", at(20, 9, 5)),
        ("2026/11/20 09:05:30", at(20, 9, 5).replace(second=30)),
        ("2026-11-20T09:05", at(20, 9, 5)),
        ("2026-11-20T01:05:00Z", at(20, 9, 5)),
        ("2026-11-20T09:05:00.5+08:00", at(20, 9, 5).replace(microsecond=500_000)),
        ("20261120T090500+0800", at(20, 9, 5)),
        ("２０２６－１１－２０　９：０５", at(20, 9, 5)),
    ],
)
def test_times_are_read_as_people_and_programs_write_them(text: str, expected: datetime) -> None:
    assert read_time("used_from", text, ZONE) == expected


@given(st.text(max_size=30) | st.from_regex(r"\d{4}[-/]\d{1,2}[-/]\d{1,2}[ T]\d{1,2}:\d{2}(:\d{2})?", fullmatch=True))
def test_any_text_is_a_time_that_every_database_holds_or_a_bad_value(text: str) -> None:
    try:
        time = read_time("used_from", text, ZONE, day=True)
    except BadValue:
        return
    assert 1969 <= time.astimezone(ZoneInfo("UTC")).year <= 2200


@given(st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30), timezones=st.timezones()))
def test_every_iso_time_is_read_as_it_was_written(time: datetime) -> None:
    assert read_time("used_from", time.isoformat(), ZONE).utctimetuple() == time.utctimetuple()


# --- anything ------------------------------------------------------------------------------------------

_CELLS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["A", "B", "甲；乙", "000000", "2026-11-20 10:00", "2026/1/1 0:00", "x" * 300, '"', "a\nb"]),
)


def test_every_line_of_any_table_is_taken_or_named(take: Take) -> None:
    header = [column.name for column in CASE_COLUMNS]

    @given(st.lists(st.lists(_CELLS, min_size=12, max_size=12), max_size=6), st.booleans())
    @profile(max_examples=40, deadline=None)
    def hold(rows: list[list[str]], quoted: bool) -> None:
        out = io.StringIO(newline="")
        csv.writer(out, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL).writerows([header, *rows])
        raw = out.getvalue().encode("utf-8", "replace").replace(b"\0", b"")
        report = take(import_cases, raw)
        assert all(line.reason and line.line_no > 1 for line in report.bad)
        assert len(report.bad) <= report.lines
        again = take(import_cases, raw)
        assert (again.counts.added, again.counts.changed, again.bad) == (0, 0, report.bad)

    hold()


def test_random_bytes_after_a_header_are_taken_named_or_refused(take: Take) -> None:
    header = ",".join(column.name for column in CASE_COLUMNS).encode() + b"\n"

    @given(st.binary(max_size=400))
    @profile(max_examples=60, deadline=None)
    def hold(raw: bytes) -> None:
        with contextlib.suppress(NotACsv):
            take(import_cases, header + raw)

    hold()


def test_hostile_but_valid_text_is_stored_by_either_database(station: Station, take: Take) -> None:
    text: Any = "case_no,party,place\n𠀀1,\U0010ffff；\u0301,\ue000\ufffe😀\n"
    assert take(import_cases, text).counts == Counts(added=1)
    with station.register.read() as session:
        assert session.scalar(select(func.count()).select_from(EventRow)) == 1
        assert list_cases(session)[0].place == "\ue000\ufffe😀"


def test_a_case_that_names_its_former_number_is_that_case(station: Station, take: Take) -> None:
    take(import_cases, CASES)
    renamed = "案件编号,原案件编号,全程音像记录\n冀罚9号,冀罚1号,是\n冀罚8号,冀罚7号,\n"
    assert take(import_cases, renamed).counts == Counts(added=1, changed=1)
    assert take(import_cases, renamed).counts == Counts(unchanged=2)
    with station.register.read() as session:
        assert [case.case_no for case in list_cases(session)] == ["冀罚2号", "冀罚8号", "冀罚9号"]
        found = get_case(session, "冀罚1号")
    assert (found.case_no, found.full_course_required, len(found.works)) == ("冀罚9号", True, 3)
    assert take(import_cases, CASES).counts == Counts(unchanged=2), "the old file still means it"


def test_a_line_that_would_make_one_case_of_two_is_a_bad_line(station: Station, take: Take) -> None:
    take(import_cases, CASES)
    report = take(import_cases, "case_no,former_case_no,full_course_required\n冀罚2号,冀罚1号,\n冀罚3号,,maybe\n")
    assert bad(report) == [(2, "former_case_no", "冀罚1号"), (3, "full_course_required", "maybe")]
    assert report.counts == Counts()
