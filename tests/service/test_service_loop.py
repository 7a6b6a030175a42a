"""The one wait: descriptors, moments on the loop's own clock, words from other threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pytest

from dockd.service.loop import Loop


class Seconds:
    """A clock that only tests move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


@pytest.fixture
def loop(seconds: Seconds) -> Iterator[Loop]:
    loop = Loop(seconds)
    yield loop
    loop.close()


def test_a_readable_descriptor_is_told_until_it_is_forgotten(loop: Loop) -> None:
    ours, theirs = os.pipe()
    heard: list[bytes] = []
    loop.watch(ours, lambda: heard.append(os.read(ours, 10)))
    os.write(theirs, b"one")
    loop.turn(1)
    loop.forget(ours)
    os.write(theirs, b"two")
    loop.turn(0)
    assert heard == [b"one"]
    os.close(ours)
    os.close(theirs)


def test_moments_come_in_their_order_and_not_before_their_time(loop: Loop, seconds: Seconds) -> None:
    heard: list[str] = []
    loop.after(5, lambda: heard.append("five"))
    loop.after(2, lambda: heard.append("two"))
    loop.after(3, lambda: heard.append("never")).cancel()
    loop.turn(0)
    assert heard == []
    seconds.now += 5
    loop.turn(0)
    assert heard == ["two", "five"]


def test_what_comes_soon_is_not_put_off_and_what_is_far_comes_sooner(loop: Loop, seconds: Seconds) -> None:
    heard: list[str] = []
    moment = loop.no_later(None, 5, lambda: heard.append("first"))
    assert loop.no_later(moment, 7, lambda: heard.append("later")) is moment
    sooner = loop.no_later(moment, 2, lambda: heard.append("sooner"))
    seconds.now += 10
    loop.turn(0)
    assert heard == ["sooner"]
    loop.no_later(sooner, 1, lambda: heard.append("again"))  # it has been
    seconds.now += 1
    loop.turn(0)
    assert heard == ["sooner", "again"]


def test_a_word_from_another_thread_wakes_the_wait(loop: Loop) -> None:
    heard: list[str] = []
    thread = threading.Thread(target=lambda: loop.say(lambda: heard.append("word")))
    thread.start()
    while not heard:
        loop.turn(10)  # would wait ten seconds if the word did not wake it
    thread.join()
    assert heard == ["word"]


def test_a_descriptor_that_another_act_forgot_in_the_same_turn_is_left_alone(loop: Loop) -> None:
    one, other = os.pipe(), os.pipe()
    heard: list[int] = []

    def hear(mine: int, its: int) -> None:
        heard.append(os.read(mine, 1)[0])
        loop.forget(its)

    loop.watch(one[0], lambda: hear(one[0], other[0]))
    loop.watch(other[0], lambda: hear(other[0], one[0]))
    os.write(one[1], b"x")
    os.write(other[1], b"x")
    loop.turn(1)
    assert heard == [ord("x")]
    for fd in (*one, *other):
        os.close(fd)
