"""第二十七条 / article 27(1): 执法人员信息 officer information and 案件 the case, as cases a lawyer could read.

并按照名称、记录设备编号、执法人员信息、使用时间、案件当事人和案由名称等项目分类存储。
… stored classified by items such as title, number of the recording device, officer information, time of use,
party to the case and cause of action.

张 Zhang = Z001 (badge JX0227) · 李 Li = L002 (badge JX0301) · 王 Wang = W003 (badge JX0488)
The recorder is the bureau's number 07, maker's serial TA00716; another one is 08, TA00999.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.attribution import attribute
from dockd.nouns import Attribution, CaseWork, Custody, OwnerState, Reading, Recorder, UseTime

CHINA = timezone(timedelta(hours=8))
DAY = datetime(2026, 3, 5, 0, 0, tzinfo=CHINA)
ZHANG, LI, WANG = "Z001", "L002", "W003"
BADGES = {"JX0227": ZHANG, "JX0301": LI, "JX0488": WANG}
RECORDERS = {"07": "07", "TA00716": "07", "08": "08", "TA00999": "08"}
OURS = Recorder("07", "TA00716")
ASSIGNED, UNASSIGNED, CONFLICT = OwnerState.ASSIGNED, OwnerState.UNASSIGNED, OwnerState.CONFLICT


def at(hour: float) -> datetime:
    return DAY + timedelta(hours=hour)


def used(begin: float | None, end: float | None, *others: float, flags: tuple[str, ...] = ()) -> UseTime:
    return UseTime(
        used_from=None if begin is None else at(begin),
        used_to=None if end is None else at(end),
        basis="name",
        flags=flags,
        other_ends=tuple(at(o) for o in others),
    )


def held(who: str, begin: float, end: float | None) -> Custody:
    return Custody(int(begin * 60), who, at(begin), None if end is None else at(end))


def work(case: str, who: str | None, begin: float | None, end: float | None) -> CaseWork:
    return CaseWork(case, who, None if begin is None else at(begin), None if end is None else at(end))


def by_badge(token: str) -> str | None:
    return BADGES.get(token) or (token if token in BADGES.values() else None)


def tagged(use: UseTime | None = None, name: str | tuple[Reading, ...] = "", **given_: Any) -> Attribution:
    """``name`` as ``DEVICE_OFFICER`` in a grammar of fixed order; ``both(…)`` for one where both orders occur."""
    readings = (read(name),) if isinstance(name, str) and name else name or ()
    options: dict[str, Any] = {"device": OURS, "custody": (), "standing_owner": None, "cases": ()} | given_
    return attribute(
        use=use or used(9, 10),
        readings=readings,
        officer_by_token=by_badge,
        device_by_token=RECORDERS.get,
        **options,
    )


def read(name: str) -> Reading:
    device, _, officer = name.partition("_")
    return Reading(device or None, officer or None)


def both(name: str) -> tuple[Reading, ...]:
    one, two = name.split("_")
    return Reading(one or None, two or None), Reading(two or None, one or None)


CHANGE = [held(ZHANG, 8, 9.5), held(LI, 9.5, 18)]
AGAIN = [held(ZHANG, 8, 9.5), held(ZHANG, 9.5, 18)]

# 案情 the case | name | custody | standing owner | officer | state | basis | candidates
OFFICERS: list[tuple[str, Any, list[Custody], str | None, str | None, OwnerState, str, tuple[str, ...]]] = [
    ("领用与文件名一致 agree", "TA00716_JX0227", [held(ZHANG, 8, 18)], LI, ZHANG, ASSIGNED, "custody+name", ()),
    ("仅有领用 only custody", "", [held(ZHANG, 8, 18)], LI, ZHANG, ASSIGNED, "custody", ()),
    ("仅有文件名 only the name", "TA00716_JX0227", [], LI, ZHANG, ASSIGNED, "name", ()),
    ("二者不一致 disagree", "TA00716_JX0301", [held(ZHANG, 8, 18)], WANG, None, CONFLICT, "", (ZHANG, LI)),
    ("均无，有固定使用人 neither: standing owner", "", [], LI, LI, ASSIGNED, "standing_owner", ()),
    ("均无 nothing at all", "", [], None, None, UNASSIGNED, "", ()),
    ("警号未登记 unknown badge", "TA00716_JX9999", [], None, None, UNASSIGNED, "", ("JX9999",)),
    ("另有领用 and custody", "TA00716_JX9999", [held(LI, 8, 18)], None, LI, ASSIGNED, "custody", ("JX9999",)),
    ("另有固定使用人 and an owner", "TA00716_JX9999", [], LI, LI, ASSIGNED, "standing_owner", ("JX9999",)),
    ("执法证号作为文件名 the certificate in the name", "TA00716_Z001", [], None, ZHANG, ASSIGNED, "name", ()),
    ("尚未归还 still out", "", [held(ZHANG, 8, None)], None, ZHANG, ASSIGNED, "custody", ()),
    ("录像时未领用 not issued then", "", [held(ZHANG, 12, 18)], None, None, UNASSIGNED, "", ()),
    ("领用前，有固定使用人 before the issue", "", [held(ZHANG, 12, 18)], LI, LI, ASSIGNED, "standing_owner", ()),
    ("跨越归还 across the return", "", [held(ZHANG, 8, 9.5)], LI, None, CONFLICT, "", (ZHANG,)),
    ("跨越交接 across a change", "", CHANGE, WANG, None, CONFLICT, "", (LI, ZHANG)),
    ("文件名只指其一 the name means one", "07_JX0227", CHANGE, None, None, CONFLICT, "", (LI, ZHANG)),
    ("文件名同一人 the name too", "07_JX0227", [held(ZHANG, 8, 9.9)], None, ZHANG, ASSIGNED, "name", ()),
    ("文件名另一人 another name", "07_JX0301", [held(ZHANG, 8, 9.9)], None, None, CONFLICT, "", (ZHANG, LI)),
    ("领用重叠 overlapping entries", "", [held(ZHANG, 8, 18), held(LI, 9, 12)], None, None, CONFLICT, "", (LI, ZHANG)),
    ("同一人续领 the same person again", "", AGAIN, None, ZHANG, ASSIGNED, "custody", ()),
    ("归还时结束 ends at the return", "", [held(ZHANG, 8, 10), held(LI, 10, 18)], None, ZHANG, ASSIGNED, "custody", ()),
    ("领用时开始 begins at the issue", "", [held(ZHANG, 8, 9), held(LI, 9, 18)], None, LI, ASSIGNED, "custody", ()),
    ("错误登记 an impossible entry", "", [held(ZHANG, 9.5, 9.2), held(LI, 9, 18)], None, LI, ASSIGNED, "custody", ()),
]


@pytest.mark.parametrize(
    ("name", "custody", "owner", "officer", "state", "basis", "candidates"),
    [c[1:] for c in OFFICERS],
    ids=[c[0] for c in OFFICERS],
)
def test_the_officer(
    name: str,
    custody: list[Custody],
    owner: str | None,
    officer: str | None,
    state: OwnerState,
    basis: str,
    candidates: tuple[str, ...],
) -> None:
    found = tagged(name=name, custody=custody, standing_owner=owner)
    assert found.officers == ((officer,) if officer else ())
    assert (found.owner_state, found.officer_basis) == (state, basis)
    assert found.officer_candidates == candidates


# --- the order of the tokens ---------------------------------------------------------------------------

# 案情 the case | name in both orders | device | officer | candidates
ORDERS: list[tuple[str, str, Recorder | None, str | None, tuple[str, ...]]] = [
    ("设备号在前 serial first", "TA00716_JX0227", OURS, ZHANG, ()),
    ("警号在前 badge first", "JX0227_TA00716", OURS, ZHANG, ()),
    ("设备号未设置 serial unset", "_JX0227", OURS, ZHANG, ()),
    ("设备号未登记，仅一种次序有此人 serial unknown, one order has an officer", "XX12345_JX0227", OURS, ZHANG, ()),
    ("两种次序皆有此人 both orders have an officer", "JX0301_JX0227", OURS, None, (LI, ZHANG)),
    ("两种次序皆无此人 neither order has one", "XX12345_JX9999", OURS, None, ("JX9999", "XX12345")),
    ("设备未知，次序由登记确定 recorder unknown, order from the register", "TA00999_JX0227", None, ZHANG, ()),
]


@pytest.mark.parametrize(
    ("name", "device", "officer", "candidates"), [c[1:] for c in ORDERS], ids=[c[0] for c in ORDERS]
)
def test_the_known_recorder_fixes_the_order_of_the_tokens(
    name: str, device: Recorder | None, officer: str | None, candidates: tuple[str, ...]
) -> None:
    found = tagged(name=both(name), device=device)
    assert found.officers == ((officer,) if officer else ())
    assert found.officer_candidates == candidates


def test_an_order_in_which_the_device_is_another_recorder_is_dropped() -> None:
    """The badge 08 happens to be another recorder's number: that order is not this card's."""
    readings = (Reading("XX1", "JX0227"), Reading("TA00999", "JX0301"))
    assert tagged(name=readings).officers == (ZHANG,)


def test_a_file_that_only_another_recorder_can_have_written_is_for_a_person() -> None:
    """Its custody is not this recorder's, and article 26 forbids exchanging cards."""
    found = tagged(name="TA00999_JX0301", custody=[held(ZHANG, 8, 18)], standing_owner=ZHANG)
    assert (found.owner_state, found.officers, found.officer_candidates) == (CONFLICT, (), (ZHANG, LI))


def test_a_name_of_two_possible_officers_disagrees_with_a_third_who_held_it() -> None:
    found = tagged(name=both("JX0301_JX0227"), custody=[held(WANG, 8, 18)])
    assert (found.owner_state, found.officer_candidates) == (CONFLICT, (WANG, LI, ZHANG))


def test_a_name_of_two_possible_officers_leaves_it_to_custody_when_one_of_them_held_it() -> None:
    found = tagged(name=both("JX0301_JX0227"), custody=[held(LI, 8, 18)])
    assert (found.officers, found.officer_basis, found.officer_candidates) == ((LI,), "custody", (ZHANG,))


def test_a_recording_across_a_change_stays_a_conflict_when_the_name_means_both() -> None:
    custody = [held(ZHANG, 8, 9.5), held(LI, 9.5, 18)]
    assert tagged(name=both("JX0301_JX0227"), custody=custody).owner_state is CONFLICT


def test_the_standing_owner_does_not_count_where_the_name_may_mean_somebody_else() -> None:
    found = tagged(name=both("JX0301_JX0227"), standing_owner=WANG)
    assert (found.owner_state, found.officer_candidates) == (UNASSIGNED, (LI, ZHANG, WANG))


# --- the binding file on the card ---------------------------------------------------------------------


def test_the_binding_file_is_stronger_than_the_standing_owner() -> None:
    found = tagged(binding_officer=ZHANG, standing_owner=LI)
    assert (found.officers, found.officer_basis) == ((ZHANG,), "binding_file")


def test_the_binding_file_is_weaker_than_custody_and_raises_no_conflict_by_itself() -> None:
    found = tagged(custody=[held(ZHANG, 8, 18)], binding_officer=LI)
    assert (found.officers, found.officer_basis, found.officer_candidates) == ((ZHANG,), "custody", (LI,))


def test_the_binding_file_is_weaker_than_the_name() -> None:
    found = tagged(name="07_JX0301", binding_officer=ZHANG)
    assert (found.officers, found.officer_basis, found.officer_candidates) == ((LI,), "name", (ZHANG,))


def test_the_binding_file_does_not_decide_a_conflict() -> None:
    found = tagged(name="07_JX0301", custody=[held(ZHANG, 8, 18)], binding_officer=LI)
    assert (found.owner_state, found.officers) == (CONFLICT, ())


# --- unknown and disputed times -------------------------------------------------------------------------


def test_custody_does_not_speak_of_a_recording_without_time() -> None:
    found = tagged(used(None, None), custody=[held(ZHANG, 8, 18)])
    assert (found.owner_state, found.officer_candidates) == (UNASSIGNED, (ZHANG,))


def test_the_name_speaks_of_a_recording_without_time() -> None:
    found = tagged(used(None, None), name="07_JX0301", custody=[held(ZHANG, 8, 18)])
    assert (found.officers, found.officer_basis) == ((LI,), "name")


def test_the_standing_owner_is_not_named_where_a_borrower_may_have_recorded() -> None:
    custody = [held(ZHANG, 8, 18)]
    assert tagged(used(None, None), custody=custody, standing_owner=LI).officers == ()
    assert tagged(used(None, None), custody=custody, standing_owner=ZHANG).officer_basis == "standing_owner"
    assert tagged(used(None, None), standing_owner=LI).officers == (LI,)


def test_an_end_without_start_is_enough_where_every_possible_time_is_in_one_custody() -> None:
    custody = [held(ZHANG, 8, 18), held(LI, 18, None)]
    assert tagged(used(None, 10), custody=custody).officers == (ZHANG,)
    assert tagged(used(None, 10, 12), custody=custody).officers == (ZHANG,)


def test_witnesses_of_the_time_that_lead_to_two_holders_leave_it_to_a_person() -> None:
    custody = [held(ZHANG, 8, 18), held(LI, 18, None)]
    found = tagged(used(9, 10, 20, flags=("disagree_container",)), custody=custody, standing_owner=WANG)
    assert (found.owner_state, found.officers, found.officer_candidates) == (UNASSIGNED, (), (LI, ZHANG, WANG))


def test_the_name_decides_between_two_holders_of_a_disputed_time() -> None:
    custody = [held(ZHANG, 8, 18), held(LI, 18, None)]
    found = tagged(used(9, 10, 20), name="07_JX0301", custody=custody)
    assert (found.officers, found.officer_basis, found.officer_candidates) == ((LI,), "name", (ZHANG,))


def test_a_name_that_no_possible_time_bears_out_is_a_conflict() -> None:
    custody = [held(ZHANG, 8, 18), held(LI, 18, None)]
    found = tagged(used(9, 10, 20), name="07_JX0488", custody=custody)
    assert (found.owner_state, found.officer_candidates) == (CONFLICT, (LI, ZHANG, WANG))


def test_a_disputed_time_is_as_long_as_the_recording() -> None:
    """The other end lies in the custody, its start an hour before does not."""
    assert tagged(used(9, 10, 8.5), custody=[held(ZHANG, 8, 18)]).officers == ()


def test_ends_that_only_disagreeing_witnesses_give_are_possible_times() -> None:
    custody = [held(ZHANG, 8, 18), held(LI, 18, None)]
    assert tagged(used(None, None, 10, 12), custody=custody).officers == (ZHANG,)
    assert tagged(used(None, None, 10, 20), custody=custody).officer_candidates == (LI, ZHANG)


def test_a_photograph_is_one_moment() -> None:
    custody = [held(ZHANG, 8, 10), held(LI, 10, 18)]
    assert tagged(used(10, 10), custody=custody).officers == (LI,)
    assert tagged(used(8, 8), custody=custody).officers == (ZHANG,)
    assert tagged(used(18, 18), custody=custody).officers == ()


def test_two_officers_on_one_card_are_told_apart_file_by_file() -> None:
    """一卡两人：逐个文件判定。Nothing special is needed: each file has its own time."""
    custody = [held(ZHANG, 8, 12), held(LI, 13, 18)]
    assert [tagged(used(h, h + 1), custody=custody).officers for h in (9, 14)] == [(ZHANG,), (LI,)]


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without zone"):
        tagged(UseTime(used_from=datetime(2026, 3, 5, 9), used_to=datetime(2026, 3, 5, 10)))


# --- the case ------------------------------------------------------------------------------------------

# 案情 the case | cases | case number | candidates
CASES: list[tuple[str, list[CaseWork], str | None, tuple[str, ...]]] = [
    ("恰有一案 exactly one", [work("A1", ZHANG, 8, 12), work("B2", LI, 8, 12)], "A1", ()),
    ("同案多行 several rows of one case", [work("A1", ZHANG, 8, 12), work("A1", ZHANG, 7, 13)], "A1", ()),
    ("两案均可 two cases", [work("B2", ZHANG, 8, 12), work("A1", ZHANG, 9, 10)], None, ("A1", "B2")),
    ("无案 none", [work("A1", ZHANG, 12, 14)], None, ()),
    ("只覆盖一部分 covers a part", [work("A1", ZHANG, 9.5, 12)], None, ()),
    ("首尾相接 from the first to the last moment", [work("A1", ZHANG, 9, 10)], "A1", ()),
    ("两段相接 two periods that join", [work("A1", ZHANG, 8, 9.5), work("A1", ZHANG, 9.5, 12)], "A1", ()),
    ("仍在办理 still at work", [work("A1", ZHANG, 8, None)], "A1", ()),
    ("无开始时间 no start", [work("A1", ZHANG, None, 12)], None, ()),
    ("他人之案 another's case", [work("B2", LI, 8, 12)], None, ()),
    ("未填承办人 nobody's row", [work("C3", None, 8, 12)], None, ("C3",)),
    ("未填承办人不妨碍 nobody's row does not block", [work("A1", ZHANG, 8, 12), work("C3", None, 8, 12)], "A1", ()),
]


@pytest.mark.parametrize(("cases", "case", "candidates"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_the_case(cases: list[CaseWork], case: str | None, candidates: tuple[str, ...]) -> None:
    found = tagged(name="07_JX0227", cases=cases)
    assert (found.case_no, found.case_candidates) == (case, candidates)
    assert found.case_basis == ("officer+time" if case else "")


def test_without_an_officer_there_is_no_case_but_its_candidates_are_kept_likely_ones_first() -> None:
    cases = [work("B2", WANG, 8, 12), work("C3", ZHANG, 8, 12), work("A1", WANG, 14, 15)]
    found = tagged(name="07_JX0301", custody=[held(ZHANG, 8, 18)], cases=cases)
    assert (found.owner_state, found.case_no, found.case_candidates) == (CONFLICT, None, ("C3", "B2"))


def test_a_recording_without_time_has_no_case() -> None:
    found = tagged(used(None, None), name="07_JX0227", cases=[work("A1", ZHANG, 8, 12)])
    assert (found.case_no, found.case_candidates) == (None, ())


def test_a_recording_without_start_has_candidates_only() -> None:
    found = tagged(used(None, 10), name="07_JX0227", cases=[work("A1", ZHANG, 8, 12)])
    assert (found.case_no, found.case_candidates) == (None, ("A1",))


def test_a_disputed_time_has_a_case_only_where_every_time_leads_to_it() -> None:
    cases = [work("A1", ZHANG, 8, 14), work("B2", ZHANG, 19, 21)]
    assert tagged(used(9, 10, 13), name="07_JX0227", cases=cases).case_no == "A1"
    assert tagged(used(9, 10, 20.5), name="07_JX0227", cases=cases).case_candidates == ("A1", "B2")
    assert tagged(used(9, 10, 17), name="07_JX0227", cases=cases).case_candidates == ("A1",)


def test_a_photograph_at_the_moment_where_two_cases_meet_is_for_a_person() -> None:
    cases = [work("A1", ZHANG, 8, 10), work("B2", ZHANG, 10, 12)]
    assert tagged(used(10, 10), name="07_JX0227", cases=cases).case_candidates == ("A1", "B2")


# --- properties ------------------------------------------------------------------------------------------

people = st.sampled_from([ZHANG, LI, WANG])
hours = st.integers(0, 24)
custodies = st.lists(st.builds(held, people, hours, st.none() | hours), max_size=4)
several_cases = st.lists(
    st.builds(work, st.sampled_from(["A1", "B2", "C3"]), st.none() | people, st.none() | hours, st.none() | hours),
    max_size=5,
)
uses = st.builds(used, st.none() | hours, st.none() | hours) | st.builds(used, hours, hours, hours)
tokens = st.sampled_from([None, "07", "TA00716", "TA00999", "JX0227", "JX0301", "JX9999"])
names = st.lists(st.builds(Reading, tokens, tokens), max_size=2).map(tuple)
owners = st.none() | people


@given(use=uses, name=names, custody=custodies, cases=several_cases, owner=owners, binding=owners, data=st.data())
def test_the_order_of_custody_cases_and_readings_does_not_matter(
    use: UseTime, name: Any, custody: Any, cases: Any, owner: Any, binding: Any, data: st.DataObject
) -> None:
    rest = {"standing_owner": owner, "binding_officer": binding}
    assert tagged(use, name, custody=custody, cases=cases, **rest) == tagged(
        use,
        tuple(data.draw(st.permutations(name))),
        custody=data.draw(st.permutations(custody)),
        cases=data.draw(st.permutations(cases)),
        **rest,
    )


@given(use=uses, name=names, custody=custodies, cases=several_cases, owner=owners, binding=owners)
def test_nobody_is_named_whom_no_witness_names(
    use: UseTime, name: Any, custody: Any, cases: Any, owner: Any, binding: Any
) -> None:
    found = tagged(use, name, custody=custody, cases=cases, standing_owner=owner, binding_officer=binding)
    in_name = {BADGES[r.officer] for r in name if r.officer in BADGES}
    assert set(found.officers) <= {c.cert_no for c in custody} | in_name | {owner, binding}
    if found.case_no:
        assert any(c.case_no == found.case_no and c.cert_no in found.officers for c in cases)


@given(use=uses, name=names, custody=custodies, cases=several_cases, owner=owners, binding=owners)
def test_state_basis_and_officer_always_agree(
    use: UseTime, name: Any, custody: Any, cases: Any, owner: Any, binding: Any
) -> None:
    found = tagged(use, name, custody=custody, cases=cases, standing_owner=owner, binding_officer=binding)
    assert (found.owner_state is ASSIGNED) == bool(found.officers) == bool(found.officer_basis)
    assert (found.case_no is None) == (found.case_basis == "")
    assert not (found.case_no and not found.officers)
    assert not set(found.officers) & set(found.officer_candidates)


@given(use=uses, name=names, custody=custodies, cases=several_cases, owner=owners)
def test_the_zone_of_the_same_instants_changes_nothing(
    use: UseTime, name: Any, custody: Any, cases: Any, owner: Any
) -> None:
    def moved(moment: datetime | None) -> datetime | None:
        return moment and moment.astimezone(ZoneInfo("America/St_Johns"))

    elsewhere = replace(
        use,
        used_from=moved(use.used_from),
        used_to=moved(use.used_to),
        other_ends=tuple(t.astimezone(UTC) for t in use.other_ends),
    )
    custody2 = [replace(c, issued_at=moved(c.issued_at), returned_at=moved(c.returned_at)) for c in custody]
    cases2 = [replace(c, used_from=moved(c.used_from), used_to=moved(c.used_to)) for c in cases]
    assert tagged(use, name, custody=custody, cases=cases, standing_owner=owner) == tagged(
        elsewhere, name, custody=custody2, cases=cases2, standing_owner=owner
    )


# --- 地点 the place, if a person has said it ------------------------------------------------------------------

NORTH = replace(work("1", ZHANG, 8, 12), place="北正乡河道")
SOUTH = replace(work("2", ZHANG, 8, 12), place="南佐镇")
SOMEWHERE = work("3", ZHANG, 8, 12)


@pytest.mark.parametrize(
    ("cases", "place", "case_no", "basis"),
    [
        ([NORTH, SOUTH], None, None, ""),
        ([NORTH, SOUTH], "北正乡", "1", "officer+time+place"),
        ([NORTH, SOUTH], "南佐镇 某采石场", "2", "officer+time+place"),
        ([NORTH, SOUTH], "槐阳镇", None, ""),
        ([NORTH, SOUTH, SOMEWHERE], "北正乡", None, ""),
        ([NORTH], "北正乡", "1", "officer+time"),
        ([NORTH], "南佐镇", None, ""),
        ([SOMEWHERE], "南佐镇", "3", "officer+time"),
        ([NORTH, replace(NORTH, case_no="4")], "北正乡", None, ""),
    ],
)
def test_a_place_that_was_said_decides_between_cases_and_against_one(
    cases: list[CaseWork], place: str | None, case_no: str | None, basis: str
) -> None:
    found = tagged(custody=[held(ZHANG, 8, 18)], cases=cases, said_place=place)
    assert (found.case_no, found.case_basis) == (case_no, basis)
    if case_no is None:
        assert set(found.case_candidates) == {c.case_no for c in cases}, "a person decides between them"
