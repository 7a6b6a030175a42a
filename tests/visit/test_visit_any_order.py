"""Files, custody, cases, exceptions and clock readings arrive in any order, and what is said in the end is the same."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bureau import BEIJING, DOCKED, LI, WANG
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from shelf import Shelf

from dockd.nouns import Officer
from dockd.register import alerts, cases, custody, exceptions, interruptions, officers, recorders, records
from dockd.register.cases import CaseLine
from dockd.register.clocks import NewReading, add_reading
from dockd.register.exceptions import Statement
from dockd.register.records import Record, RecordFilter
from dockd.register.reviews import Concerned, ask_review
from dockd.register.station import Station, open_station
from dockd.register.tagging import tag_record
from dockd.settings import load_settings
from dockd.visit.follow import describe
from dockd.visit.meter import Meter
from dockd.visit.rejudge import rejudge
from dockd.visit.watch import watch_deadlines

ZHAO = "13012309"
NOW = DOCKED + timedelta(hours=2)
DAY = datetime(2026, 11, 23, tzinfo=BEIJING)
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)  # an order is short enough to read as it was found
Event = Callable[[Station], None]


def at(hours: float) -> datetime:
    return DAY + timedelta(hours=hours)


def file(hour: float, *, serial: str = "2107731", badge: str = "000000", docked: datetime = DOCKED) -> Event:
    """One recording, docked alone."""

    def arrive(station: Station) -> None:
        name = f"DCIM/{serial}_{badge}_{at(hour):%Y%m%d%H%M%S}_0001.mp4".encode()
        shelf = Shelf(station.register, station.store, at=docked)
        with station.register.read() as session:
            number = recorders.device_by_token(session, serial)
            recorder = recorders.find_recorder(session, str(number))
        assert recorder is not None
        visit_id = shelf.visit(recorder.id)
        ended = at(hour) + timedelta(seconds=5)
        shelf.footage(visit_id, name, name, mtime_ns=int(ended.timestamp()) * 10**9)
        describe(station, visit_id, Meter(lambda _: None), lambda: None)

    return arrive


def held(cert_no: str, begin: float, end: float | None, device_no: str = "YS-07") -> Event:
    def enter(station: Station) -> None:
        told: dict[str, Any] = {"battery": None, "station_no": "S1", "now": NOW, "actor": "person:clerk"}
        with station.register.write() as session:
            custody.issue_recorder(session, device_no, cert_no, at=at(begin), until=None, override=None, **told)
            if end is not None:
                custody.return_recorder(session, device_no, at=at(end), **told)

    return enter


def case(number: str, cert_no: str, begin: float, end: float | None, **said: Any) -> Event:
    """One period of work on a case, as a line of the case system's export says it."""
    work = {"officers": (cert_no,), "used_from": at(begin), "used_to": None if end is None else at(end)}
    return line(number, case_cause=f"案由{number}", parties=(f"当事人{number}",), **work, **said)


def line(number: str, **said: Any) -> Event:
    """One line that speaks of a case; the first that comes makes it."""

    def enter(station: Station) -> None:
        line = CaseLine(number, **said)
        with station.register.write() as session:
            cases.put_case_lines(session, [line], station_no="S1", now=NOW, actor="person:clerk")

    return enter


def officer(cert_no: str, badge: str) -> Event:
    def enter(station: Station) -> None:
        with station.register.write() as session:
            new = Officer(cert_no, "赵国", badge)
            officers.put_officers(session, [new], station_no="S1", now=NOW, actor="person:clerk")

    return enter


def owned(device_no: str, cert_no: str) -> Event:
    """The recorder's first owner for good."""

    def enter(station: Station) -> None:
        said = {"owner_cert_no": cert_no}
        with station.register.write() as session:
            recorders.change_recorder(session, device_no, said, station_no="S1", now=NOW, actor="person:clerk")

    return enter


def excused(returned: float | None, **said: Any) -> Event:
    def enter(station: Station) -> None:
        statement = Statement(
            reason="remote",
            from_at=at(-72),
            to_at=at(9),
            declared_by=WANG,
            returned_at=None if returned is None else at(returned),
            **said,
        )
        with station.register.write() as session:
            exceptions.add_exception(session, statement, station_no="S1", now=NOW, actor="person:clerk")

    return enter


def clock_read(station: Station) -> None:
    new = NewReading(at=DOCKED - timedelta(minutes=1), offset_s=-3600, evidence="clerk")
    with station.register.write() as session:
        add_reading(session, "YS-08", new, station_no="S1", now=NOW, actor="person:clerk")


EVENTS: dict[str, Event] = {
    "in time, of nobody by its name": file(8),
    "late, under an exception": file(-60),
    "goes on after a minute": file(8 + 3 / 60),
    "Wang's name while Li has it": file(9.5, badge="012345"),
    "by a slow clock": file(5.5, serial="2107732"),
    "Wang had YS-07": held(WANG, -80, 8.99),
    "Li had YS-07": held(LI, 9, None),
    "Li had YS-08": held(LI, 6, 9, "YS-08"),
    "of Zhao by its name": file(8.5, serial="2107732", badge="012399"),
    "of nobody but an owner": file(4, serial="2107732"),
    "clock of YS-08 read": clock_read,
    "Zhao is registered": officer(ZHAO, "012399"),
    "a case of Wang": case("A-1", WANG, -61, 8.5, full_course_required=True),
    "another case of Wang": case("A-2", WANG, 7.9, 8.02),
    "a case of Li": case("B-1", LI, 6.3, 7),
    "a case of Li while Wang's name says otherwise": case("B-2", LI, 9.3, 9.8),
    "a case of Zhao without end": case("Z-1", ZHAO, 9.2, None),
    "another of Zhao, without end": case("Z-2", ZHAO, 9.2, None),
    "the other one was over before": line("Z-2", closed_at=at(9.4)),
    "what Zhao's case is of": line("Z-1", matter="现场勘验", confidentiality="privacy", place="南佐镇"),
    "exception of YS-07": excused(8, device_no="YS-07"),
    "open exception of Li": excused(None, cert_no=LI),
    "Wang has YS-08 for good": owned("YS-08", WANG),
}
SAID = (
    *("officers", "owner_state", "officer_candidates", "case_no", "case_candidates", "party", "case_cause", "title"),
    *("used_from", "used_to", "raw_from", "time_basis", "late", "late_kind", "deadline_at", "original_deadline_at"),
    *("judge_reason", "overdue_s", "tags_complete", "matter", "place", "confidentiality"),
)


@pytest.fixture(scope="module", autouse=True)
def no_parsers_at_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """ffprobe and exiftool are not installed: nothing here is about what a film says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(tmp_path_factory.mktemp("nowhere")))
        yield


def end_of(founded: Path, order: list[str], *, between: Callable[[Station, str], None] = lambda _s, _n: None) -> Any:
    """What is said of everything when the events have come in this order."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(founded, Path(folder, "station"))
        station = open_station(load_settings(Path(folder, "station/dockd.yaml")), now=lambda: NOW, actor="person:clerk")
        try:
            for name in order:
                EVENTS[name](station)
                rejudge(station)
                between(station, name)
            watch_deadlines(station)
            assert rejudge(station).records == 0
            return told(station)
        finally:
            station.close()


def told(station: Station) -> dict[str, Any]:
    with station.register.read() as session:
        found = records.list_records(session, RecordFilter(), limit=99)
        names = {r.record_id: r.original_name for r in found}
        files = {r.file_no: r.original_name for r in found}
        visits = {r.visit_id: r.original_name for r in found}
        gaps = interruptions.list_interruptions(session, open_only=True)
        opened = alerts.list_alerts(session, open_only=True)
    together: dict[int | None, set[str]] = {}
    for record in found:
        together.setdefault(record.session_id, set()).add(record.original_name)
    return {
        "records": {r.original_name: {name: getattr(r, name) for name in SAID} | {"basis": reasons(r)} for r in found},
        "sessions": sorted(sorted(names) for names in together.values()),
        "gaps": sorted(
            (g.kind, g.case_no or "", files.get(g.file_before or "", ""), files.get(g.file_after or "", ""), g.severity)
            for g in gaps
        ),
        "alerts": sorted(
            (a.kind, names.get(a.record_id or 0, ""), visits.get(a.visit_id or 0, "") if a.record_id is None else "")
            for a in opened
        ),
    }


def reasons(record: Record) -> dict[str, str]:
    """That a value had a reason once is history."""
    return {name: why for name, why in record.basis.items() if why}


@pytest.fixture(scope="module")
def straight(founded: Path) -> Any:
    """What is said when everything comes in the order of the table."""
    return end_of(founded, list(EVENTS))


def test_what_the_table_ends_in(straight: Any) -> None:
    said = {name.partition("_")[2][7:21]: record for name, record in straight["records"].items()}
    assert (said["20261123080000"]["officers"], said["20261123080000"]["case_no"]) == ((WANG,), None)
    assert said["20261123080000"]["case_candidates"] == ("A-1", "A-2")
    assert (said["20261120120000"]["late"], said["20261120120000"]["judge_reason"]) == (False, "exception_unconfirmed")
    assert said["20261123093000"]["owner_state"] == "conflict"
    assert said["20261123093000"]["case_candidates"] == ("B-2",)
    assert (said["20261123053000"]["officers"], said["20261123053000"]["case_no"]) == ((LI,), "B-1")
    assert said["20261123053000"]["used_from"] == at(6.5)
    assert (said["20261123083000"]["officers"], said["20261123083000"]["case_no"]) == ((ZHAO,), "Z-1")
    assert said["20261123083000"]["place"] == "南佐镇"
    assert said["20261123040000"]["basis"]["officers"] == "standing_owner"


@pytest.mark.parametrize("order", [list(EVENTS), list(reversed(EVENTS))], ids=["straight", "reversed"])
def test_every_event_asks_for_all_that_it_changes(founded: Path, order: list[str]) -> None:
    """Whatever came before it: nothing is left that a look at everything would say otherwise."""

    def look_at_all(station: Station, name: str) -> None:
        with station.register.write() as session:
            ask_review(session, [Concerned()], why="a test", station_no="S1", at=NOW, actor="person:clerk")
        assert rejudge(station).revised == (), name

    end_of(founded, order, between=look_at_all)


@settings(max_examples=10, deadline=None, phases=QUICK)
@given(order=st.permutations(list(EVENTS)))
@example(order=list(reversed(EVENTS)))  # with the straight one: of any two events either was the first
def test_the_order_of_arrival_does_not_matter(founded: Path, straight: Any, order: list[str]) -> None:
    assert end_of(founded, order) == straight


@settings(max_examples=5, deadline=None, phases=QUICK)
@given(order=st.permutations(list(EVENTS)))
def test_a_persons_word_survives_every_event_and_every_run(founded: Path, order: list[str]) -> None:
    mine = {"officers": (LI,), "case_no": None, "title": "询问笔录", "party": "赵某"}

    def say(station: Station, name: str) -> None:
        if name == "in time, of nobody by its name":
            with station.register.write() as session:
                (one,) = [
                    r
                    for r in records.list_records(session, RecordFilter(), limit=99)
                    if "1123080000" in r.original_name
                ]
                tag_record(session, one.record_id, mine, actor="person:clerk", at=NOW)
            rejudge(station)

    ended = end_of(founded, order, between=say)
    (record,) = [r for name, r in ended["records"].items() if "1123080000" in name]
    assert {name: record[name] for name in mine} == mine
