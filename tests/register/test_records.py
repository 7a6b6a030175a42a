"""Records: added once, changed only by revisions, found by index."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from shelf import AT, Shelf
from sqlalchemy import Select, select, text
from sqlalchemy.exc import StatementError

from dockd.errors import UnknownNumber
from dockd.nouns import LateKind, MediaType, OwnerState
from dockd.register import records
from dockd.register.records import (
    RecordFilter,
    find_record,
    find_record_by_number,
    list_records,
    record_history,
    revise_record,
)
from dockd.register.session import Register
from dockd.register.tables import WRITTEN, EventRow, RecordOfficerRow

LATER = AT + timedelta(hours=1)


@pytest.fixture
def shelf(register: Register) -> Shelf:
    return Shelf(register)


def revise(register: Register, record_id: int, changes: dict[str, Any], **said: Any) -> int | None:
    asked = {"actor": "dockd", "why": "test", "at": LATER, **said}
    with register.write() as session:
        return revise_record(session, record_id, changes, **asked)


def read(register: Register, record_id: int) -> Any:
    with register.read() as session:
        return find_record(session, record_id)


def last_line(register: Register, kind: str) -> Any:
    with register.read() as session:
        lines = session.scalars(select(EventRow.line).where(EventRow.kind == kind).order_by(EventRow.seq)).all()
    return json.loads(lines[-1])


def test_a_record_comes_back_as_it_was_said(register: Register, shelf: Shelf) -> None:
    recorder = shelf.recorder("YS-07", device_serial="SN7")
    shelf.officer("13012301", "王强")
    said = {
        "title": "无证采矿-张某",
        "used_from": AT - timedelta(hours=3),
        "used_to": AT - timedelta(hours=2, microseconds=1),
        "other_ends": (AT - timedelta(hours=1),),
        "officers": ("13012301", "gone"),
        "owner_state": OwnerState.ASSIGNED,
        "basis": {"officers": "custody"},
        "late": True,
        "late_kind": LateKind.DOCKED,
        "facts": {"problems": ["truncated"]},
        "duration_s": 61.44,
    }
    found = read(register, shelf.record(shelf.visit(recorder), b"DCIM/\xff\n.MP4", b"12345", **said))
    assert {name: getattr(found, name) for name in said} == said
    assert found.officer_names == ("王强", "")
    assert (found.device_no, found.device_serial, found.bay) == ("YS-07", "SN7", "3")
    assert found.original_path == b"DCIM/\xff\n.MP4"
    assert (found.size, found.revision, found.media_type) == (5, 0, MediaType.VIDEO)
    assert found.location.endswith(f"{found.file_no}.mp4")


def test_a_record_is_also_found_by_its_file_number(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record()
    with register.read() as session:
        assert find_record_by_number(session, read(register, record_id).file_no).record_id == record_id
        assert find_record_by_number(session, "nothing") is None
        assert find_record(session, 999) is None


def test_the_ledger_tells_all_values_of_a_new_record(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record(title="名称", used_from=AT, officers=("1",), name=b"\xff.MP4")
    line = last_line(register, "record.added")
    assert line["subject"] == f"record:{record_id}"
    assert line["data"]["title"] == "名称"
    assert line["data"]["used_from"].startswith("2026-11-23T02:00:00")
    assert line["data"]["original_path"] == {"b64": "/y5NUDQ="}
    assert line["data"]["officers"] == ["1"]
    assert line["data"]["tags_complete"] is False


def test_a_revision_changes_the_value_and_tells_before_and_after(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record(party="张某")
    assert revise(register, record_id, {"party": "李某", "used_from": AT}, actor="person:li", why="tagged") == 1
    found = read(register, record_id)
    assert (found.party, found.used_from, found.revision) == ("李某", AT, 1)
    line = last_line(register, "record.revised")
    assert line["data"]["changes"]["party"] == ["张某", "李某"]
    assert line["data"]["changes"]["used_from"] == [None, "2026-11-23T02:00:00+00:00"]
    assert line["actor"] == "person:li"


def test_nothing_new_is_no_revision(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record(party="张某", officers=("1", "2"), used_from=AT)
    zone = AT.astimezone(tz=None)
    assert revise(register, record_id, {"party": "张某", "officers": ("1", "2"), "used_from": zone}) is None
    assert revise(register, record_id, {}) is None
    assert read(register, record_id).revision == 0


def test_what_a_person_said_is_not_overwritten_by_a_conclusion(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record()
    revise(register, record_id, {"party": "李某", "officers": ("1",)}, actor="person:li")
    conclusion = {"party": "张某", "officers": ("2",), "owner_state": OwnerState.CONFLICT, "place": "南佐镇"}
    assert revise(register, record_id, conclusion, basis={"party": "case", "officers": "name"}) == 2
    found = read(register, record_id)
    assert (found.party, found.officers, found.place) == ("李某", ("1",), "南佐镇")
    assert found.owner_state is OwnerState.UNASSIGNED
    assert found.basis["party"] == "person:li"


def test_a_conclusion_that_a_persons_command_brings_is_still_a_conclusion(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record()
    revise(register, record_id, {"party": "李某"}, actor="person:li")
    changes = {"party": "张某"}
    assert revise(register, record_id, changes, actor="person:wang", basis={"party": "case:A"}) is None
    assert revise(register, record_id, changes, actor="person:wang") == 2


def test_a_person_who_confirms_a_conclusion_makes_it_theirs(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record(officers=("1",), basis={"officers": "name"})
    assert revise(register, record_id, {"officers": ("1",)}, actor="person:li") == 1
    with register.read() as session:
        story = record_history(session, record_id)[-1].changes
    assert story == {"basis": ({"officers": "name"}, {"officers": "person:li"})}


def test_completeness_follows_every_change(register: Register, shelf: Shelf) -> None:
    visit = shelf.visit(shelf.recorder())
    record_id = shelf.record(visit, title="t", used_from=AT, used_to=AT, party="p", case_cause="c")
    assert not read(register, record_id).tags_complete
    revise(register, record_id, {"officers": ("1",), "owner_state": OwnerState.ASSIGNED})
    assert read(register, record_id).tags_complete
    revise(register, record_id, {"owner_state": OwnerState.CONFLICT})
    assert not read(register, record_id).tags_complete
    revise(register, record_id, {"owner_state": OwnerState.ASSIGNED, "party": None})
    assert not read(register, record_id).tags_complete


@pytest.mark.parametrize("name", ["file_no", "original_path", "docked_at", "revision", "tags_complete", "id"])
def test_what_never_changes_cannot_be_revised(register: Register, shelf: Shelf, name: str) -> None:
    with pytest.raises(ValueError, match=name):
        revise(register, shelf.record(), {name: "x"})


def test_an_unknown_record_is_named(register: Register) -> None:
    with pytest.raises(UnknownNumber, match="7"):
        revise(register, 7, {"party": "x"})


def test_history_begins_with_the_making_and_shows_every_step(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record(party="张某")
    revise(register, record_id, {"party": "李某"}, actor="person:li", why="tagged")
    revise(register, record_id, {"party": None}, actor="person:wang", why="tagged")
    with register.read() as session:
        history = record_history(session, record_id)
    assert [(r.number, r.actor, r.changes["party"]) for r in history] == [
        (0, "dockd", (None, "张某")),
        (1, "person:li", ("张某", "李某")),
        (2, "person:wang", ("李某", None)),
    ]
    assert history[0].at == AT
    assert history[1].at == LATER


def test_the_rows_for_the_search_by_officer_follow_the_record(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record(officers=("1", "2", "1"))
    revise(register, record_id, {"officers": ("3", "2")})
    with register.read() as session:
        rows = session.execute(
            select(RecordOfficerRow.cert_no).where(RecordOfficerRow.record_id == record_id).order_by("position")
        )
        assert list(rows.scalars()) == ["3", "2"]


@pytest.fixture
def many(register: Register, shelf: Shelf) -> dict[str, int]:
    """Records that differ in one thing each, by that thing."""
    shelf.case("A-1")
    ys8 = shelf.visit(shelf.recorder("YS-08"))
    return {
        "plain": shelf.record(),
        "case": shelf.record(case_no="A-1"),
        "officer": shelf.record(officers=("1", "2"), owner_state=OwnerState.ASSIGNED),
        "device": shelf.record(ys8),
        "party": shelf.record(party="张某；100%_矿业"),
        "photo": shelf.record(media_type=MediaType.PHOTO),
        "used": shelf.record(used_from=AT, used_to=AT + timedelta(hours=2)),
        "moment": shelf.record(used_from=AT + timedelta(hours=1)),
        "conflict": shelf.record(owner_state=OwnerState.CONFLICT),
        "words": shelf.record(title="现场检查", case_cause="无证采矿", matter="矿产执法", place="南佐镇"),
        "late": shelf.record(late=True, is_evidence=True, retention_class="long"),
    }


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"case_no": "A-1"}, {"case"}),
        ({"officer": "2"}, {"officer"}),
        ({"device_no": "YS-08"}, {"device"}),
        ({"party": "张"}, {"party"}),
        ({"party": "%_"}, {"party"}),
        ({"party": "__"}, set()),
        ({"media": MediaType.PHOTO}, {"photo"}),
        ({"used_from": AT + timedelta(hours=1, minutes=30)}, {"used"}),
        ({"used_to": AT + timedelta(minutes=30)}, {"used"}),
        ({"used_from": AT, "used_to": AT + timedelta(hours=3)}, {"used", "moment"}),
        ({"used_from": AT, "party": "张"}, set()),
        ({"unassigned": True, "media": MediaType.PHOTO}, {"photo"}),
        ({"title": "检查", "cause": "采矿", "matter": "执法", "place": "南佐"}, {"words"}),
        ({"late": True}, {"late"}),
        ({"is_evidence": True, "retention_class": "long"}, {"late"}),
    ],
)
@pytest.mark.parametrize("few", [0, 50_000], ids=["any time is of many", "any time is of few"])
def test_a_filter_finds_what_it_names(
    register: Register,
    many: dict[str, int],
    wanted: dict[str, Any],
    expected: set[str],
    few: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(records, "_MANY", few)
    with register.read() as session:
        found = {r.record_id for r in list_records(session, RecordFilter(**wanted), limit=100)}
    assert found == {many[name] for name in expected}


def test_unassigned_are_those_without_an_officer_and_those_in_conflict(
    register: Register, many: dict[str, int]
) -> None:
    with register.read() as session:
        found = {r.record_id for r in list_records(session, RecordFilter(unassigned=True), limit=100)}
    assert found == set(many.values()) - {many["officer"]}


def test_pages_follow_each_other_without_gap_or_double(register: Register, many: dict[str, int]) -> None:
    seen: list[int] = []
    with register.read() as session:
        while page := list_records(session, RecordFilter(), limit=2, after=seen[-1] if seen else 0):
            seen += [r.record_id for r in page]
    assert seen == sorted(many.values())


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (RecordFilter(case_no="A"), "ix_record_case_no"),
        (RecordFilter(officer="1"), "ix_record_officer_cert_no"),
        (RecordFilter(visit_id=1), "ix_record_visit_id"),
        (RecordFilter(unassigned=True), "ix_record_unassigned"),
        (RecordFilter(device_no="Y"), "ix_record_recorder_id_"),
        (RecordFilter(used_from=AT), "ix_record_used_from_docked_at"),
    ],
)
def test_a_search_for_few_uses_their_index(register: Register, shelf: Shelf, wanted: RecordFilter, index: str) -> None:
    if register.dialect == "postgresql":  # to which all indexes of an empty table are the same
        for _ in range(200):
            shelf.record(owner_state=OwnerState.ASSIGNED)
        with register.write() as session:
            session.execute(text("ANALYZE record"))
    assert index in plan_of(register, records._ids_of_few(wanted, limit=9, after=0))


@pytest.mark.parametrize(
    "wanted",
    [
        *({}, {"title": "张"}, {"party": "张"}, {"cause": "张"}, {"matter": "张"}, {"place": "张"}, {"late": True}),
        *({"media": MediaType.PHOTO}, {"act_type": "inspection"}, {"stage": "inspection"}, {"retention_class": "long"}),
        *({"is_evidence": True}, {"incomplete": True}, {"without_case": True}, {"used_from": AT}, {"used_to": AT}),
    ],
    ids=str,
)
def test_any_other_search_reads_only_the_index_of_what_is_asked_for_in_the_order_of_pages(
    register: Register, wanted: dict[str, Any]
) -> None:
    (name,) = wanted or ("marks",)
    name = {"cause": "case_cause"}.get(name, name)
    by, index = (records._ids_by_word, name) if name in WRITTEN else (records._ids_by_marks, "marks")
    for after in (0, 7):
        plan = plan_of(register, by(RecordFilter(**wanted), limit=9, after=after), "bitmapscan", "sort")
        only = "Index Only Scan using" if register.dialect == "postgresql" else "USING COVERING INDEX"
        assert f"{only} ix_record_by_{index}" in plan
        assert "Sort" not in plan
        assert "B-TREE" not in plan


def plan_of(register: Register, query: Select[int], *unwanted: str) -> str:
    """How the database would answer, on PostgreSQL without these ways besides (an empty table is read whole)."""
    with register.read() as session:
        if register.dialect == "postgresql":
            for way in ("seqscan", *unwanted):
                session.execute(text(f"SET LOCAL enable_{way} = off"))
        statement = str(query.compile(session.get_bind(), compile_kwargs={"literal_binds": True})).replace(":", r"\:")
        explain = "EXPLAIN" if register.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
        return " ".join(str(row) for row in session.execute(text(f"{explain} {statement}")))


def test_a_time_without_a_zone_is_refused(register: Register, shelf: Shelf) -> None:
    record_id = shelf.record()
    with pytest.raises(StatementError, match="zone"):
        revise(register, record_id, {"used_from": datetime(2026, 1, 1)})
    assert read(register, record_id).used_from is None


def test_a_word_is_found_as_it_is_written_also_with_signs_that_mean_more_to_a_database(register: Register) -> None:
    shelf = Shelf(register)
    titles = ("a/b%c_d", "100%", "aXbXcXd", "张%某", None)
    ids = dict(zip(titles, (shelf.record(title=title) for title in titles), strict=True))
    with register.read() as session:
        for word, expected in (
            ("a/b%c_d", ["a/b%c_d"]),
            ("b%c", ["a/b%c_d"]),
            ("c_d", ["a/b%c_d"]),
            ("/b", ["a/b%c_d"]),
            ("X", ["aXbXcXd"]),
            ("%", ["a/b%c_d", "100%", "张%某"]),
            ("张%", ["张%某"]),
            ("张_", []),
        ):
            found = list_records(session, RecordFilter(title=word), limit=9)
            assert [record.record_id for record in found] == [ids[title] for title in expected], word


def test_a_party_is_found_by_a_part_of_the_name_also_among_very_many(register: Register) -> None:
    shelf = Shelf(register)
    crowd = "；".join(f"{hashlib.sha256(bytes([n])).hexdigest()}有限公司" for n in range(200))
    few, many, _none = (shelf.record(party=party) for party in ("张某；李秘", f"{crowd}；李秘", None))
    with register.read() as session:
        for part, expected in (("李", [few, many]), ("张", [few]), ("%", [])):
            found = list_records(session, RecordFilter(party=part), limit=9)
            assert [record.record_id for record in found] == expected, part
        every = [list_records(session, RecordFilter(), limit=1, after=after) for after in (0, few, many)]
        assert [record.record_id for page in every for record in page] == [few, many, _none]


def test_a_recording_is_found_by_every_moment_of_its_use(register: Register) -> None:
    shelf = Shelf(register)
    hours = {name: timedelta(hours=n) for n, name in enumerate(("before", "begin", "middle", "end", "after"))}
    record_id = shelf.record(used_from=AT + hours["begin"], used_to=AT + hours["end"])
    shelf.record(used_from=None)
    with register.read() as session:
        for begin, end, expected in (
            ("before", "begin", True),
            ("middle", "middle", True),
            ("end", "after", True),
            ("middle", None, True),
            (None, "begin", True),
            ("after", None, False),
            (None, "before", False),
        ):
            wanted = RecordFilter(
                used_from=AT + hours[begin] if begin else None, used_to=AT + hours[end] if end else None
            )
            found = [record.record_id for record in list_records(session, wanted, limit=9)]
            assert found == ([record_id] if expected else []), (begin, end)
