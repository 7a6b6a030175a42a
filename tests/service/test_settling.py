"""What others write is begun once it has come to rest, once for each state, and never twice at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dockd.service.settling import Settling


def test_what_changes_is_not_ready_until_it_has_rested() -> None:
    settling = Settling(10, 60)
    settling.see({"a": "1"}, 0)
    assert settling.ready(9.9) == []
    settling.see({"a": "2"}, 9)
    assert settling.ready(18.9) == []
    assert settling.next_at() == 19
    assert settling.ready(19) == ["a"]


def test_what_is_done_with_is_ready_again_only_when_it_changes() -> None:
    settling = Settling(10, 60)
    settling.see({"a": "1"}, 0)
    settling.begin("a")
    assert settling.ready(100) == []
    settling.end("a", 100, done=True)
    settling.see({"a": "1"}, 200)
    assert (settling.ready(300), settling.next_at(), settling.waiting) == ([], None, 0)
    settling.see({"a": "2"}, 300)
    assert settling.ready(310) == ["a"]


def test_what_failed_is_tried_again_later_or_at_once_when_it_has_changed() -> None:
    settling = Settling(10, 60)
    settling.see({"a": "1"}, 0)
    settling.begin("a")
    settling.end("a", 20, done=False)
    assert settling.ready(79) == []
    assert settling.ready(80) == ["a"]
    settling.see({"a": "2"}, 30)
    assert settling.ready(40) == ["a"]


def test_what_changed_while_it_was_under_way_comes_once_more() -> None:
    settling = Settling(10, 60)
    settling.see({"a": "1"}, 0)
    settling.begin("a")
    settling.see({"a": "2"}, 15)
    settling.end("a", 20, done=True)
    assert settling.ready(25) == ["a"]


def test_what_is_gone_is_forgotten_but_not_while_it_is_under_way() -> None:
    settling = Settling(10, 60)
    settling.see({"a": "1", "b": "1"}, 0)
    settling.begin("a")
    settling.see({}, 20)
    assert (settling.ready(100), settling.under_way) == ([], 1)
    settling.end("a", 30, done=True)
    settling.see({}, 40)
    settling.see({"a": "1"}, 50)
    assert settling.ready(60) == ["a"]


def test_the_longest_at_rest_comes_first() -> None:
    settling = Settling(1, 60)
    settling.see({"late": "1", "b": "1"}, 0)
    settling.see({"late": "2", "b": "1"}, 5)
    assert settling.ready(10) == ["b", "late"]


names = st.sampled_from("abc")
steps = st.one_of(
    st.tuples(st.just("see"), st.dictionaries(names, st.sampled_from("12"))),
    st.tuples(st.just("work"), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 30)),
)


@given(st.lists(steps, max_size=60))
def test_whatever_happens_everything_at_rest_is_done_in_the_end_and_nothing_is_begun_before_it_has_rested(
    story: list[tuple[str, object]],
) -> None:
    settling, now, there = Settling(10, 20), 0.0, {}
    since: dict[str, float] = {}
    for act, said in story:
        if act == "see":
            assert isinstance(said, dict)
            since = {name: since[name] if there.get(name) == mark else now for name, mark in said.items()}
            there = said
            settling.see(there, now)
        elif act == "wait":
            now += float(str(said))
        else:
            for name in settling.ready(now):
                assert now - since[name] >= 10
                settling.begin(name)
                assert name not in settling.ready(now)
                settling.end(name, now, done=bool(said))
    settling.see(there, now)
    while (next_at := settling.next_at()) is not None:
        for name in settling.ready(next_at):
            settling.begin(name)
            settling.end(name, next_at, done=True)
    assert settling.waiting == 0
