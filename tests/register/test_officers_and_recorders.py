"""Officers and recorders: numbers that are nobody's are refused, tokens mean one or nobody, changes are traced."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from dockd.errors import AlreadyRegistered, BadValue, ReservedNumber, UnknownNumber, WrongUse
from dockd.nouns import Officer, Recorder, is_reserved_number
from dockd.register.biography import biography
from dockd.register.officers import (
    add_officer,
    check_officer,
    find_officer,
    get_officer,
    list_officers,
    officer_by_token,
    officer_names,
    put_officers,
    unknown_officers,
)
from dockd.register.recorders import (
    add_recorder,
    check_recorder,
    device_by_serial,
    device_by_token,
    device_no_of,
    find_recorder,
    get_recorder,
    identities,
    list_recorders,
    note_identity,
    put_recorders,
    recorder_by_identity,
    standing_owner,
    trust_identity,
)
from dockd.register.session import Register
from dockd.register.tables import EventRow
from dockd.register.values import Counts, clean, shown, split_joined

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
DESK: dict[str, Any] = {"station_no": "S1", "now": NOW, "actor": "person:tester"}
LI = Officer("13012301", "李明", "JX0227", "执法大队")
ZHAO = Officer("13012302", "赵强", "JX0228")


def told(session: Session) -> list[tuple[str, str, dict[str, Any]]]:
    rows = session.scalars(select(EventRow).order_by(EventRow.seq))
    return [(row.kind, row.subject, json.loads(row.line)["data"]) for row in rows]


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["0000000", "8888888", "99999", "000000", "0", "11111", " 8888888 ", "222222"])
def test_numbers_that_recorders_use_for_unset_are_reserved(number: str) -> None:
    assert is_reserved_number(number)


@pytest.mark.parametrize("number", ["", "1111", "12345", "88888889", "TA00716", "AAAAAAA", "８８８８８８８", "00a00"])
def test_other_numbers_are_not_reserved(number: str) -> None:
    assert not is_reserved_number(number)


@pytest.mark.parametrize(
    "number", ["", " ", "a/b", ".hidden", "..", "a\nb", "a\x1b[31m", "x" * 65, "\ud800", "a\u202eb", "𠀀" * 64]
)
def test_a_number_that_cannot_name_a_folder_is_no_recorders(number: str) -> None:
    with pytest.raises(BadValue):
        check_recorder(Recorder(number))


@pytest.mark.parametrize("number", ["YS-07", "执法-07", "x" * 64, "-x", "7 b", "=A1"])
def test_a_number_that_can_name_a_folder_is_taken_as_it_is(number: str) -> None:
    assert check_recorder(Recorder(f" {number} ")).device_no == number


@given(st.text(max_size=70), st.text(max_size=200))
def test_whatever_is_given_is_taken_or_refused_by_name(number: str, words: str) -> None:
    error = taken = None
    try:
        taken = check_recorder(Recorder(number, number, model=words))
    except WrongUse as refused:
        error = refused
    if taken:
        assert taken.device_no == number.strip()
        assert "\0" not in (taken.model or "")
        (taken.model or "").encode()
    if error:
        assert error.fields["what"] in ("device_no", "device_serial", "model")
        assert str(error).isprintable()


@given(st.text(max_size=200))
def test_cleaned_words_are_one_line_and_stay_so(text: str) -> None:
    once = clean(text)
    assert clean(once) == once == once.strip()
    assert len(once.splitlines()) <= 1
    assert shown(text).isprintable()


def test_members_of_a_cell_are_joined_by_either_semicolon_and_named_once() -> None:
    assert split_joined(" 甲公司；乙 ;；甲公司;") == ("甲公司", "乙")


# --- officers --------------------------------------------------------------------------------------


def test_an_officer_is_found_as_registered_and_told_with_every_value(register: Register) -> None:
    with register.write() as session:
        add_officer(session, Officer(" 13012301 ", "李\t明\u202e", " JX0227 ", "执法大队"), **DESK)
    with register.read() as session:
        expected = Officer("13012301", "李 明", "JX0227", "执法大队")
        assert find_officer(session, "13012301") == expected
        assert list_officers(session) == [expected]
        data = {"cert_no": "13012301", "name": "李 明", "badge": "JX0227", "unit": "执法大队"}
        assert told(session) == [("officer.added", "officer:13012301", data)]


@pytest.mark.parametrize("number", ["13012301", "JX0300", "jx0300"])
def test_an_officer_is_registered_once_in_whatever_letters(register: Register, number: str) -> None:
    with register.write() as session:
        put_officers(session, [LI, Officer("JX0300", "王")], **DESK)
        with pytest.raises(AlreadyRegistered):
            add_officer(session, Officer(number, "别人"), **DESK)


@pytest.mark.parametrize(
    ("officer", "error"),
    [
        (Officer("000000", "李明"), ReservedNumber),
        (Officer("1", "李明", badge="000000"), ReservedNumber),
        (Officer("1", "  "), BadValue),
        (Officer("1", "李" * 129), BadValue),
        (Officer("1\n2", "李"), BadValue),
    ],
)
def test_an_officer_that_cannot_be_right_is_refused(officer: Officer, error: type[WrongUse]) -> None:
    with pytest.raises(error):
        check_officer(officer)


def test_a_token_is_the_badge_or_certificate_of_one_officer_in_whatever_letters(register: Register) -> None:
    with register.write() as session:
        put_officers(session, [LI, ZHAO, Officer("jx0228x", "孙", badge="13012302")], **DESK)
    with register.read() as session:
        assert officer_by_token(session, "jx0227") == "13012301"
        assert officer_by_token(session, "13012301") == "13012301"
        assert officer_by_token(session, "13012302") is None, "one officer's certificate and another one's badge"
        assert officer_by_token(session, "nobody") is None
        assert officer_by_token(session, "") is None
        assert officer_by_token(session, "a\0\ud800") is None


def test_an_officer_whose_badge_is_the_certificate_number_is_one_officer(register: Register) -> None:
    with register.write() as session:
        put_officers(session, [Officer("A1", "李", badge="a1")], **DESK)
        assert officer_by_token(session, "A1") == "A1"


def test_a_change_is_traced_and_what_is_not_said_stays(register: Register) -> None:
    with register.write() as session:
        put_officers(session, [LI], **DESK)
        assert put_officers(session, [Officer(LI.cert_no, "李明明")], **DESK) == Counts(changed=1)
        assert get_officer(session, LI.cert_no) == Officer(LI.cert_no, "李明明", LI.badge, LI.unit)
        kind, _subject, data = told(session)[-1]
    assert kind == "officer.changed"
    assert data["changes"] == {"name": ["李明", "李明明"]}
    assert (data["badge"], data["unit"]) == ("JX0227", "执法大队")


def test_saying_the_same_again_writes_nothing(register: Register) -> None:
    with register.write() as session:
        assert put_officers(session, [LI, ZHAO], **DESK) == Counts(added=2)
        assert put_officers(session, [LI, ZHAO], **DESK) == Counts(unchanged=2)
        assert put_officers(session, [], **DESK) == Counts()
        assert len(told(session)) == 2


def test_names_and_unknown_numbers_are_looked_up_together(register: Register) -> None:
    numbers = [f"N{i:04}" for i in range(1000)]
    with register.write() as session:
        put_officers(session, [Officer(number, f"名{number}") for number in numbers], **DESK)
        assert officer_names(session, [*numbers, "X"]) == {number: f"名{number}" for number in numbers}
        assert unknown_officers(session, ["X", *numbers, "X", "A"]) == ["A", "X"]
        with pytest.raises(UnknownNumber, match="no officer with the number X"):
            get_officer(session, "X")
        assert find_officer(session, "\ud800\0") is None


# --- recorders -------------------------------------------------------------------------------------

YS07 = Recorder(
    "YS-07", "TA00716", model="DSJ-A7", profile="gat947", unit="大队", owner_cert_no="13012301", custodian="孙"
)


def test_a_recorder_is_found_as_registered_and_told_with_every_value(register: Register) -> None:
    with register.write() as session:
        added = add_recorder(session, YS07, **DESK)
    with register.read() as session:
        assert find_recorder(session, "YS-07") == added == get_recorder(session, "YS-07")
        assert list_recorders(session) == [added]
        assert added.id is not None
        assert device_no_of(session, added.id) == "YS-07"
        for moments in ([], [datetime(2020, 1, 1, tzinfo=UTC)]):
            assert standing_owner(session, "YS-07", moments) == "13012301"
        assert standing_owner(session, "YS-08", []) is None
        ((kind, subject, data),) = told(session)
    assert (kind, subject) == ("recorder.added", "recorder:YS-07")
    assert data == {
        "device_no": "YS-07",
        "device_serial": "TA00716",
        "model": "DSJ-A7",
        "profile": "gat947",
        "unit": "大队",
        "custodian": "孙",
        "device_kind": None,
        "owner_cert_no": "13012301",
        "past_owners": [],
        "attributes": [],
        "state": "in_service",
    }


@pytest.mark.parametrize("recorder", [Recorder("8888888"), Recorder("YS-07", "0000000")])
def test_a_recorder_with_a_number_for_unset_is_refused(register: Register, recorder: Recorder) -> None:
    with register.write() as session:
        with pytest.raises(ReservedNumber, match="not set"):
            add_recorder(session, recorder, **DESK)
        assert told(session) == []


@pytest.mark.parametrize("number", ["YS-07", "ys-07"])
def test_a_recorder_is_registered_once_in_whatever_letters(register: Register, number: str) -> None:
    with register.write() as session:
        add_recorder(session, YS07, **DESK)
        with pytest.raises(AlreadyRegistered):
            add_recorder(session, Recorder(number), **DESK)


def test_a_device_token_is_the_number_or_serial_of_one_recorder(register: Register) -> None:
    with register.write() as session:
        put_recorders(
            session, [YS07, Recorder("YS-08", "SAME"), Recorder("YS-09", "same"), Recorder("TA1", "TA1")], **DESK
        )
        assert device_by_token(session, "ta00716") == "YS-07"
        assert device_by_token(session, "ys-07") == "YS-07"
        assert device_by_token(session, "same") is None
        assert device_by_token(session, "ta1") == "TA1"
        assert device_by_token(session, "TA0071") is None
        assert device_by_token(session, "NO NAME\0\ud800") is None


def test_a_usb_serial_is_a_recorders_only_as_the_makers_serial_of_one(register: Register) -> None:
    with register.write() as session:
        put_recorders(session, [YS07, Recorder("0001"), Recorder("YS-08", "SAME"), Recorder("YS-09", "same")], **DESK)
        assert device_by_serial(session, "ta00716") == "YS-07"
        assert device_by_serial(session, "0001") is None
        assert device_by_serial(session, "same") is None
        assert device_by_serial(session, "\0") is None


def test_a_changed_recorder_keeps_what_is_not_said_and_its_state(register: Register) -> None:
    with register.write() as session:
        put_recorders(session, [YS07], **DESK)
        assert put_recorders(session, [Recorder("YS-07", unit="二大队")], **DESK) == Counts(changed=1)
        assert put_recorders(session, [Recorder("YS-07", unit="二大队")], **DESK) == Counts(unchanged=1)
        found = get_recorder(session, "YS-07")
        assert (found.unit, found.model, found.state) == ("二大队", "DSJ-A7", "in_service")
        assert told(session)[-1][2]["changes"] == {"unit": ["大队", "二大队"]}


def test_a_recorder_that_was_merely_seen_with_a_card_is_not_identified_by_it(register: Register) -> None:
    with register.write() as session:
        put_recorders(session, [YS07, Recorder("YS-08")], **DESK)
        note_identity(session, "YS-07", "label", "NO NAME", now=NOW)
        assert recorder_by_identity(session, "label", "NO NAME") == []
        trust_identity(session, "YS-07", "label", "NO NAME", **DESK)
        trust_identity(session, "YS-07", "label", "NO NAME", **DESK)
        trust_identity(session, "YS-08", "label", "NO NAME", **DESK)
        assert recorder_by_identity(session, "label", "NO NAME") == ["YS-07", "YS-08"]
        assert recorder_by_identity(session, "fs_uuid", "NO NAME") == []
        kinds = [kind for kind, subject, _ in told(session) if subject == "recorder:YS-07"]
    assert kinds == ["recorder.added", "recorder.identity_trusted"]


def test_times_at_which_an_identity_was_seen_only_widen(register: Register) -> None:
    with register.write() as session:
        put_recorders(session, [YS07], **DESK)
        for days in (0, 2, 1, -1):
            note_identity(session, "YS-07", "fs_uuid", "1234-ABCD", now=NOW + timedelta(days=days))
    with register.read() as session:
        (known,) = identities(session, "YS-07")
    assert (known.first_seen_at, known.last_seen_at) == (NOW - timedelta(days=1), NOW + timedelta(days=2))
    assert not known.trusted


def test_a_hostile_label_never_ends_a_visit(register: Register) -> None:
    with register.write() as session:
        put_recorders(session, [YS07], **DESK)
        for label in ("a\0b", "x" * 1000, "\x1b[31m"):
            note_identity(session, "YS-07", "label", label, now=NOW)
            trust_identity(session, "YS-07", "label", label, **DESK)
            assert recorder_by_identity(session, "label", label) == ["YS-07"]
        for label in ("", "\ud800", "\u202e"):
            note_identity(session, "YS-07", "label", label, now=NOW)
            with pytest.raises(BadValue):
                trust_identity(session, "YS-07", "label", label, **DESK)
            assert recorder_by_identity(session, "label", label) == []


def test_an_identity_of_an_unknown_recorder_is_refused(register: Register) -> None:
    with register.write() as session, pytest.raises(UnknownNumber):
        note_identity(session, "YS-99", "label", "X", now=NOW)


def test_the_history_of_a_recorder_is_its_own_lines_in_order(register: Register) -> None:
    with register.write() as session:
        put_recorders(session, [YS07, Recorder("YS-08")], **DESK)
        later = {**DESK, "now": NOW + timedelta(hours=1), "actor": "person:sun"}
        put_recorders(session, [Recorder("YS-07", model="X")], **later)
    with register.read() as session:
        history = biography(session, "YS-07")
    assert [(line.kind, line.actor, line.at) for line in history] == [
        ("recorder.added", "person:tester", NOW),
        ("recorder.changed", "person:sun", NOW + timedelta(hours=1)),
    ]
    assert history[1].data["changes"] == {"model": ["DSJ-A7", "X"]}
