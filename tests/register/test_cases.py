"""Cases: several lines a case, periods of several officers, and nothing forgotten that changes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from dockd.errors import AlreadyRegistered, BadValue, ReservedNumber, UnknownNumber, WrongUse
from dockd.register.cases import (
    Case,
    CaseLine,
    Work,
    case_values,
    cases_of,
    check_line,
    close_case,
    find_case,
    get_case,
    list_cases,
    put_case_lines,
    renumber_case,
)
from dockd.register.session import Register
from dockd.register.tables import EventRow
from dockd.register.values import Counts

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DESK: dict[str, Any] = {"station_no": "S1", "now": NOW, "actor": "person:tester"}
HOUR = timedelta(hours=1)

LINE = CaseLine(
    case_no="冀石罚〔2026〕1号",
    case_cause="无照经营",
    parties=("甲公司", "王某"),
    officers=("C1", "C2"),
    used_from=NOW,
    used_to=NOW + 2 * HOUR,
    place="中山路",
    matter="现场检查",
    act_type="行政处罚",
    stage="调查取证",
    confidentiality="商业秘密",
)


def put(register: Register, *lines: CaseLine) -> Counts:
    with register.write() as session:
        return put_case_lines(session, lines, **DESK)


def read(register: Register, case_no: str = LINE.case_no) -> Case:
    with register.read() as session:
        return get_case(session, case_no)


def told(register: Register) -> list[tuple[str, str, dict[str, Any]]]:
    with register.read() as session:
        rows = session.scalars(select(EventRow).order_by(EventRow.seq)).all()
    return [(row.kind, row.subject, json.loads(row.line)["data"]) for row in rows]


def found(register: Register, cert_nos: list[str], frm: datetime, to: datetime) -> list[tuple[str, str | None]]:
    with register.read() as session:
        return [(work.case_no, work.cert_no) for work in cases_of(session, cert_nos, frm, to)]


def test_a_case_is_found_with_everybodys_work_and_told_with_every_value(register: Register) -> None:
    assert put(register, LINE) == Counts(added=1)
    assert read(register) == Case(
        case_no=LINE.case_no,
        case_cause="无照经营",
        parties=("甲公司", "王某"),
        place="中山路",
        matter="现场检查",
        act_type="行政处罚",
        stage="调查取证",
        confidentiality="商业秘密",
        full_course_required=False,
        closed_at=None,
        works=(Work("C1", NOW, NOW + 2 * HOUR, "中山路"), Work("C2", NOW, NOW + 2 * HOUR, "中山路")),
    )
    ((kind, subject, data),) = told(register)
    assert (kind, subject) == ("case.added", f"case:{LINE.case_no}")
    assert data["parties"] == ["甲公司", "王某"]
    assert [work["cert_no"] for work in data["works_added"]] == ["C1", "C2"]
    assert data["works_added"][0]["used_to"] == "2026-11-23T04:00:00+00:00"


def test_saying_the_same_again_writes_nothing(register: Register) -> None:
    lines = [LINE, replace(LINE, officers=(), used_from=None, used_to=None), replace(LINE, case_no="2", place=None)]
    assert put(register, *lines) == Counts(added=2)
    assert put(register, *lines) == Counts(unchanged=2)
    assert put(register, *reversed(lines)) == Counts(unchanged=2)
    assert put(register) == Counts()
    assert len(told(register)) == 2


def test_a_change_is_traced_and_what_is_not_said_stays(register: Register) -> None:
    put(register, LINE)
    assert put(register, CaseLine(LINE.case_no, case_cause="占道经营", closed_at=NOW)) == Counts(changed=1)
    kind, _subject, data = told(register)[-1]
    assert kind == "case.changed"
    assert data["changes"] == {
        "case_cause": ["无照经营", "占道经营"],
        "closed_at": [None, "2026-11-23T02:00:00+00:00"],
    }
    assert "works_added" not in data
    case = read(register)
    assert (case.case_cause, case.parties, case.place, len(case.works)) == ("占道经营", LINE.parties, "中山路", 2)


def test_parties_of_all_lines_are_the_cases_and_replace_those_of_before(register: Register) -> None:
    put(register, LINE, replace(LINE, parties=("王某", "张某")))
    assert read(register).parties == ("甲公司", "王某", "张某")
    put(register, replace(LINE, parties=("张某",)))
    assert read(register).parties == ("张某",)


def test_what_lines_of_one_case_say_differently_is_not_the_cases_own(register: Register) -> None:
    put(register, LINE)
    other = replace(LINE, officers=("C3",), stage="送达执行", place="建设街")
    for expected in (Counts(changed=1), Counts(unchanged=1)):
        assert put(register, LINE, other) == expected
    case = read(register)
    assert (case.stage, case.place, case.matter) == (None, None, "现场检查")
    assert {work.cert_no: work.place for work in case.works} == {"C1": "中山路", "C2": "中山路", "C3": "建设街"}
    assert told(register)[-1][2]["changes"] == {"stage": ["调查取证", None], "place": ["中山路", None]}


def test_a_period_that_gets_its_end_is_put_right_and_not_doubled(register: Register) -> None:
    begun = replace(LINE, officers=("C1",), used_to=None)
    put(register, begun)
    assert put(register, replace(begun, used_to=NOW + HOUR)) == Counts(changed=1)
    assert read(register).works == (Work("C1", NOW, NOW + HOUR, "中山路"),)
    (changed,) = told(register)[-1][2]["works_changed"]
    assert (changed["before"]["used_to"], changed["after"]["used_to"]) == (None, "2026-11-23T03:00:00+00:00")
    assert put(register, begun) == Counts(unchanged=1), "an end that is not said again stays"


def test_two_periods_with_one_start_stay_two(register: Register) -> None:
    lines = [replace(LINE, officers=("C1",), used_to=NOW + hours * HOUR) for hours in (1, 2)]
    put(register, *lines)
    assert len(read(register).works) == 2
    assert put(register, *lines) == Counts(unchanged=1)


def test_many_cases_are_put_at_once(register: Register) -> None:
    lines = [replace(LINE, case_no=f"N{i:04}") for i in range(900)]
    assert put(register, *lines) == Counts(added=900)
    assert put(register, *lines) == Counts(unchanged=900)
    with register.read() as session:
        assert [case.case_no for case in list_cases(session)] == [line.case_no for line in lines]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (CaseLine(""), BadValue),
        (CaseLine("x" * 121), BadValue),
        (CaseLine("a\nb"), BadValue),
        (CaseLine("1", officers=("000000",)), ReservedNumber),
        (CaseLine("1", case_cause="x" * 256), BadValue),
        (CaseLine("1", stage="x" * 33), BadValue),
        (CaseLine("1", used_from=NOW, used_to=NOW - HOUR), BadValue),
    ],
)
def test_a_line_that_cannot_be_right_is_refused(line: CaseLine, error: type[WrongUse]) -> None:
    with pytest.raises(error):
        check_line(line)


def test_a_period_of_one_moment_is_right() -> None:
    assert check_line(CaseLine("1", used_from=NOW, used_to=NOW)).used_to == NOW


# --- closing -----------------------------------------------------------------------------------------------


def test_closing_a_case_is_traced_once(register: Register) -> None:
    put(register, LINE)
    with register.write() as session:
        assert close_case(session, LINE.case_no, at=NOW, **DESK) is None
        assert close_case(session, LINE.case_no, at=NOW, **DESK) == NOW
        assert close_case(session, LINE.case_no, at=NOW + HOUR, **DESK) == NOW
    assert read(register).closed_at == NOW + HOUR
    closings = [data["changes"]["closed_at"] for kind, _, data in told(register) if kind == "case.closed"]
    assert closings == [
        [None, "2026-11-23T02:00:00+00:00"],
        ["2026-11-23T02:00:00+00:00", "2026-11-23T03:00:00+00:00"],
    ]


def test_an_unknown_case_is_named(register: Register) -> None:
    with register.write() as session:
        for ask in (get_case, case_values):
            with pytest.raises(UnknownNumber, match="no case with the number X"):
                ask(session, "X")
        with pytest.raises(UnknownNumber):
            close_case(session, "X", at=NOW, **DESK)
        assert find_case(session, "\ud800\0") is None


# --- for records -------------------------------------------------------------------------------------------


def test_a_record_takes_over_the_cases_values(register: Register) -> None:
    put(register, LINE, CaseLine("2"))
    with register.read() as session:
        assert case_values(session, LINE.case_no) == {
            "case_no": LINE.case_no,
            "party": "甲公司；王某",
            "case_cause": "无照经营",
            "place": "中山路",
            "matter": "现场检查",
            "act_type": "行政处罚",
            "stage": "调查取证",
            "confidentiality": "商业秘密",
        }
        assert set(case_values(session, "2").values()) == {"2", None}


def test_works_are_found_by_officer_and_time(register: Register) -> None:
    put(
        register,
        replace(LINE, case_no="A", officers=("C1",), used_from=NOW, used_to=NOW + 2 * HOUR),
        replace(LINE, case_no="B", officers=("C1", "C2"), used_from=NOW + HOUR, used_to=NOW + 3 * HOUR),
        replace(LINE, case_no="C", officers=("C1",), used_from=NOW + 4 * HOUR, used_to=None),
        replace(LINE, case_no="D", officers=("C3",)),
        replace(LINE, case_no="E", officers=("C1",), used_from=None, used_to=None),
    )
    assert found(register, ["C1"], NOW, NOW) == [("A", "C1")]
    assert found(register, ["C1"], NOW + HOUR, NOW + HOUR) == [("A", "C1"), ("B", "C1")]
    assert found(register, ["C1"], NOW + 2 * HOUR, NOW + 2 * HOUR) == [("A", "C1"), ("B", "C1")], "both ends are in"
    assert found(register, ["C2", "C1"], NOW + 2.5 * HOUR, NOW + 3 * HOUR) == [("B", "C1"), ("B", "C2")]
    assert found(register, ["C1"], NOW + 90 * HOUR, NOW + 91 * HOUR) == [("C", "C1")], "without end it goes on"
    assert found(register, ["C1"], NOW - 2 * HOUR, NOW - HOUR) == []
    assert found(register, [], NOW, NOW) == []


def test_a_work_without_end_lasts_until_its_case_was_closed(register: Register) -> None:
    put(register, replace(LINE, officers=("C1",), used_to=None))
    with register.write() as session:
        close_case(session, LINE.case_no, at=NOW + 5 * HOUR, **DESK)
    with register.read() as session:
        (work,) = cases_of(session, ["C1"], NOW + 5 * HOUR, NOW + 6 * HOUR)
        assert work.used_to == NOW + 5 * HOUR
        assert work.parties == LINE.parties
        assert cases_of(session, ["C1"], NOW + 6 * HOUR, NOW + 7 * HOUR) == []


def test_works_that_name_nobody_come_after_those_of_the_officers(register: Register) -> None:
    nobody = [replace(LINE, case_no=f"N{i:03}", officers=(), used_from=NOW - i * HOUR) for i in range(60)]
    put(register, LINE, *nobody)
    numbers = found(register, ["C1"], NOW, NOW)
    assert numbers[0] == (LINE.case_no, "C1")
    assert numbers[1:] == [(f"N{i:03}", None) for i in range(50)]


# --- a case that changes its number, and a file that says everything ----------------------------------------


def renumber(register: Register, before: str, after: str) -> str | None:
    with register.write() as session:
        return renumber_case(session, before, after, **DESK)


def test_both_numbers_find_a_case_that_changed_its_number(register: Register) -> None:
    put(register, LINE)
    assert renumber(register, LINE.case_no, "新2号") == LINE.case_no
    assert renumber(register, LINE.case_no, "新2号") is None, "said again it changes nothing"
    assert read(register, LINE.case_no) == read(register, "新2号")
    assert (read(register).case_no, read(register).former_numbers) == ("新2号", (LINE.case_no,))
    kind, subject, data = told(register)[-1]
    assert (kind, subject) == ("case.renumbered", "case:新2号")
    assert data["changes"] == {"case_no": [LINE.case_no, "新2号"]}


def test_lines_under_the_old_number_still_mean_it(register: Register) -> None:
    put(register, LINE)
    renumber(register, LINE.case_no, "新2号")
    assert put(register, LINE) == Counts(unchanged=1)
    assert put(register, replace(LINE, place="北路", case_no="新2号")) == Counts(changed=1)
    assert [case.case_no for case in all_cases(register)] == ["新2号"]


def test_a_case_that_gets_its_old_number_back_has_one_former_number(register: Register) -> None:
    put(register, LINE)
    renumber(register, LINE.case_no, "2")
    renumber(register, "2", LINE.case_no)
    assert read(register, "2").former_numbers == ("2",)


def test_two_cases_never_become_one(register: Register) -> None:
    put(register, LINE, replace(LINE, case_no="2"))
    with pytest.raises(AlreadyRegistered):
        renumber(register, LINE.case_no, "2")
    with pytest.raises(UnknownNumber):
        renumber(register, "9", "3")


def test_what_a_whole_file_does_not_name_is_withdrawn(register: Register) -> None:
    put(register, LINE, replace(LINE, used_from=NOW + 5 * HOUR, used_to=NOW + 6 * HOUR))
    moved = replace(LINE, officers=("C1",), used_from=NOW + 9 * HOUR, used_to=NOW + 10 * HOUR)
    assert put(register, moved) == Counts(changed=1)
    assert len(read(register).works) == 5, "a file may hold only what is new"
    with register.write() as session:
        assert put_case_lines(session, [moved], **DESK, whole=True) == Counts(changed=1)
    assert read(register).works == (Work("C1", NOW + 9 * HOUR, NOW + 10 * HOUR, "中山路"),)
    assert len(told(register)[-1][2]["works_removed"]) == 4
    with register.write() as session:
        assert put_case_lines(session, [moved], **DESK, whole=True) == Counts(unchanged=1)


def all_cases(register: Register) -> list[Case]:
    with register.read() as session:
        return list_cases(session)
