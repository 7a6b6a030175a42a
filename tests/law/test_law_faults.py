"""Article 26: 遇到故障应立即停止使用并及时报告，联系专业部门进行维修，不得私自将设备进行拆装和更换处理."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.faults import (
    AT_REPAIR,
    IN_SERVICE,
    OUT_OF_SERVICE,
    RETIRED,
    Act,
    changes_state,
    exchanged_card,
    foreign_serials,
    is_possible,
    out_of_service,
    state_after,
)


@pytest.mark.parametrize("state", [IN_SERVICE, OUT_OF_SERVICE, AT_REPAIR])
def test_a_fault_takes_a_recorder_out_of_use_whatever_it_was(state: str) -> None:
    """立即停止使用: stop using it at once."""
    assert is_possible(Act.FAULTED, state)
    assert state_after(Act.FAULTED, state) in (OUT_OF_SERVICE, AT_REPAIR)


def test_the_way_through_a_repair() -> None:
    """联系专业部门进行维修: repaired by professionals."""
    state = IN_SERVICE
    for act, after in ((Act.FAULTED, OUT_OF_SERVICE), (Act.SENT, AT_REPAIR), (Act.BACK, IN_SERVICE)):
        assert is_possible(act, state)
        state = state_after(act, state)
        assert state == after
    assert state_after(Act.BACK, AT_REPAIR, fit=False) == OUT_OF_SERVICE
    assert state_after(Act.RESTORED, OUT_OF_SERVICE) == IN_SERVICE


@pytest.mark.parametrize(
    ("act", "state"),
    [(Act.BACK, IN_SERVICE), (Act.SENT, AT_REPAIR), (Act.RESTORED, IN_SERVICE), (Act.RESTORED, AT_REPAIR)]
    + [(act, RETIRED) for act in Act if act is not Act.CHECKED],
)
def test_what_cannot_have_happened_is_not_possible(act: Act, state: str) -> None:
    assert not is_possible(act, state)


@given(st.lists(st.sampled_from(list(Act))))
def test_after_a_fault_only_a_persons_act_puts_a_recorder_back(acts: list[Act]) -> None:
    state = state_after(Act.FAULTED, IN_SERVICE)
    for act in acts:
        if is_possible(act, state):
            before, state = state, state_after(act, state)
            assert changes_state(act) or state == before
            if state == IN_SERVICE and before != IN_SERVICE:
                assert act in (Act.BACK, Act.RESTORED)


def test_a_card_is_exchanged_only_where_both_were_seen() -> None:
    assert exchanged_card("1234-ABCD", "9999-FFFF")
    assert not exchanged_card("1234-ABCD", "1234-ABCD")
    assert not exchanged_card(None, "1234-ABCD")
    assert not exchanged_card("1234-ABCD", None)


def test_a_foreign_serials_is_what_most_names_carry_and_nobody_knows() -> None:
    """不得私自…更换处理: no exchange."""
    names = [{"2107999", "012345"}] * 3 + [{"2107731"}]
    assert foreign_serials(names, {"2107731"}) == ("012345", "2107999"), "either may be meant"
    assert foreign_serials(names, {"2107731", "012345"}) == (), "the names can be read as a known number"
    assert foreign_serials([{"2107999"}, {"2107731"}], {"2107731"}) == (), "half is not most"
    assert foreign_serials([{"2107999"}, {"2107888"}], set()) == (), "they agree on nothing"
    assert foreign_serials([], {"1"}) == ()


# --- 停用时间 how long it could not be used --------------------------------------------------------------------

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def on(day: int) -> datetime:
    return NOON + timedelta(days=day)


@pytest.mark.parametrize(
    ("acts", "days"),
    [
        ([], []),
        ([(1, Act.FAULTED), (3, Act.SENT), (9, Act.BACK)], [(1, 9)]),
        ([(9, Act.BACK), (1, Act.FAULTED), (3, Act.SENT)], [(1, 9)]),
        ([(1, Act.FAULTED), (2, Act.RESTORED), (5, Act.FAULTED)], [(1, 2), (5, 20)]),
        ([(1, Act.FAULTED), (4, Act.RETIRED)], [(1, 4)]),
        ([(1, Act.CHECKED), (2, Act.RETIRED)], []),
        ([(30, Act.FAULTED)], []),
    ],
)
def test_a_recorder_is_out_of_service_from_its_fault_until_it_is_back(
    acts: list[tuple[int, Act]], days: list[tuple[int, int]]
) -> None:
    told = [(on(day), act, True) for day, act in acts]
    assert out_of_service(told, on(20)) == [(on(begin), on(end)) for begin, end in days]


def test_a_recorder_that_came_back_broken_stays_out_of_service() -> None:
    acts = [(on(1), Act.SENT, True), (on(3), Act.BACK, False)]
    assert out_of_service(acts, on(20)) == [(on(1), on(20))]
