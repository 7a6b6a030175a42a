"""No side of a channel is ever left waiting for a side that has ended."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.offload.channel import Channel, Stopped

PATIENCE_S = 60  # never waited for: a thread that needs it is a hang


class Thread:
    """A call in a thread of its own, whose result can be asked for and who cannot outlive the test unseen."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._result: queue.Queue[object] = queue.Queue()
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def _run(self, call: Callable[[], object]) -> None:
        try:
            self._result.put(call())
        except BaseException as error:
            self._result.put(error)

    def result(self) -> object:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "it hangs"
        return self._result.get_nowait()


def test_items_come_out_in_their_order() -> None:
    channel: Channel[int] = Channel(10)
    for number in range(5):
        channel.put(number)
    channel.close()
    assert [channel.get() for _ in range(6)] == [0, 1, 2, 3, 4, None]


def test_what_was_put_before_the_end_is_still_delivered() -> None:
    channel: Channel[str] = Channel(2)
    channel.put("last")
    channel.close()
    assert channel.get_now() == "last"
    assert channel.get_now() is None
    assert channel.get() is None


def test_a_reader_waits_for_an_item() -> None:
    channel: Channel[str] = Channel(1)
    reader = Thread(channel.get)
    channel.put("item")
    assert reader.result() == "item"


def test_a_waiting_reader_is_told_of_the_end() -> None:
    channel: Channel[str] = Channel(1)
    reader = Thread(channel.get)
    channel.close()
    assert reader.result() is None


def test_a_writer_waits_for_room() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    writer = Thread(lambda: channel.put(2))
    assert channel.get() == 1
    assert writer.result() is None
    assert channel.get() == 2


@pytest.mark.parametrize("fill", [0, 1])
def test_stop_wakes_whoever_waits_on_either_side(fill: int) -> None:
    channel: Channel[int] = Channel(1)
    for number in range(fill):
        channel.put(number)
    waiting = [Thread((lambda: channel.put(9)) if fill else channel.get) for _ in range(3)]
    channel.stop()
    assert [type(thread.result()) for thread in waiting] == [Stopped] * 3


def test_a_stopped_channel_neither_takes_nor_gives_also_after_its_end() -> None:
    channel: Channel[int] = Channel(3)
    channel.put(1)
    channel.close()
    channel.stop()
    for call in (lambda: channel.put(2), channel.get, channel.get_now):
        with pytest.raises(Stopped):
            call()


def test_what_nobody_took_is_given_back_once() -> None:
    channel: Channel[int] = Channel(10)
    for number in (1, 2, 3):
        channel.put(number)
    channel.get()
    channel.stop()
    assert channel.drain() == [2, 3]
    assert channel.drain() == []


def test_an_item_heavier_than_the_channel_is_taken_when_it_is_empty() -> None:
    channel: Channel[str] = Channel(10)
    channel.put("heavy", 50)
    writer = Thread(lambda: channel.put("light", 1))
    assert channel.get() == "heavy"
    assert writer.result() is None


@given(
    capacity=st.integers(1, 20),
    weights=st.lists(st.integers(0, 30), max_size=40),
)
def test_no_mix_of_weights_hangs_or_loses_an_item_or_exceeds_the_capacity(capacity: int, weights: list[int]) -> None:
    channel: Channel[tuple[int, int]] = Channel(capacity)
    held: list[int] = []  # weights inside, seen by the reader only after each get
    most = 0

    def write() -> None:
        for number, weight in enumerate(weights):
            channel.put((number, weight), weight)
        channel.close()

    writer = Thread(write)
    seen = []
    while (item := channel.get()) is not None:
        with channel._changed:
            held = [weight for _, weight in channel._items]
        most = max(most, sum(held) if len(held) > 1 else 0)
        seen.append(item[0])
    assert writer.result() is None
    assert seen == list(range(len(weights)))
    assert most <= capacity


@given(st.lists(st.sampled_from(["put", "get", "now"]), min_size=1, max_size=12), st.integers(1, 4))
def test_stop_ends_every_thread_whatever_it_was_doing(doing: list[str], capacity: int) -> None:
    channel: Channel[int] = Channel(capacity)
    calls: dict[str, Callable[[], object]] = {
        "put": lambda: channel.put(1),
        "get": channel.get,
        "now": channel.get_now,
    }
    threads = [Thread(calls[what]) for what in doing]
    channel.stop()
    for thread in threads:
        result = thread.result()
        assert result is None or result == 1 or isinstance(result, Stopped)
