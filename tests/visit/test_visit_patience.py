"""How long a card may be silent: counted in looks at one question, so that a stopped process is no silence."""

from __future__ import annotations

import threading

import pytest

from dockd.errors import NotAnswering
from dockd.visit import patience as rooms
from dockd.visit.patience import LOOK_S, Patience


def look(patience: Patience, times: int) -> None:
    for _ in range(times):
        patience.look()


def test_one_question_that_is_open_for_longer_than_the_patience_is_given_up() -> None:
    patience = Patience(1.0)
    with patience.asking():
        look(patience, 1 + round(1.0 / LOOK_S))
        with pytest.raises(NotAnswering):
            patience.look()


def test_no_question_is_no_silence() -> None:
    patience = Patience(1.0)
    look(patience, 100)
    with patience.asking():
        look(patience, 4)
    look(patience, 100)


def test_many_questions_that_are_answered_in_time_are_no_silence() -> None:
    patience = Patience(1.0)
    for _ in range(50):
        with patience.asking():
            look(patience, 4)


def test_every_sign_of_life_begins_the_count_anew() -> None:
    patience = Patience(1.0)
    with patience.asking():
        for _ in range(50):
            patience.heard()
            look(patience, 4)


def test_a_question_that_fails_is_answered() -> None:
    patience = Patience(1.0)
    with pytest.raises(OSError, match="spoiled"), patience.asking():
        raise OSError("spoiled")
    look(patience, 100)


def test_who_has_no_end_of_patience_waits_for_ever() -> None:
    patience = Patience()
    with patience.asking():
        look(patience, 100_000)


def test_work_that_ends_gives_what_it_returns_or_raises() -> None:
    assert Patience(1.0).wait_for(lambda: 7) == 7
    with pytest.raises(KeyError):
        Patience(1.0).wait_for(lambda: {}["absent"])


def test_work_that_does_not_end_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "LOOK_S", 0.01)
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait()
        ended.set()

    with pytest.raises(NotAnswering):
        Patience(0.05).wait_for(work)
    assert not ended.is_set()
    release.set()
    assert ended.wait(10)
