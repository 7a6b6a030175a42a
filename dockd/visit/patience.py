"""How long a card may leave one question unanswered: who asks says so, and one who is not stuck looks on.

A read of a failing card can hang in the kernel for ever, and whoever is in it cannot give up. So
every question to the card is put in a thread that can be left behind, and the thread that waits
counts its looks. Looks, not a clock: a suspended machine or a stopped process is no silence.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from dockd.errors import NotAnswering

LOOK_S = 0.2
"""Seconds between two looks."""

Answer = TypeVar("Answer")


class Patience:
    """Ends the waiting for one card after ``seconds`` without any answer; by default never."""

    def __init__(self, seconds: float = math.inf) -> None:
        self._seconds = seconds
        self._question = 0
        self._open = False
        self._looked_at = 0
        self._silent = 0.0

    @contextmanager
    def asking(self) -> Iterator[None]:
        """In the block the card is asked one question. One thread at a time asks."""
        self._question += 1
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def heard(self) -> None:
        """The card has answered a part of the question: what follows is a new one."""
        self._question += 1

    def look(self) -> None:
        """To be called every ``LOOK_S``. Raises NotAnswering when one question has been open for too long."""
        question = self._question
        if not self._open or question != self._looked_at:
            self._looked_at, self._silent = question, 0.0
            return
        self._silent += LOOK_S
        if self._silent > self._seconds:
            raise NotAnswering

    def wait_for(self, work: Callable[[], Answer]) -> Answer:
        """What ``work`` returns or raises. It runs in a thread, which is left behind when NotAnswering is raised."""
        answers: list[Answer] = []
        troubles: list[BaseException] = []

        def ask() -> None:
            try:
                with self.asking():
                    answers.append(work())
            except BaseException as error:  # noqa: BLE001 - carried to the thread that waits
                troubles.append(error)

        asker = threading.Thread(target=ask, daemon=True)
        asker.start()
        while asker.is_alive():
            asker.join(LOOK_S)
            self.look()
        if troubles:
            raise troubles[0]
        return answers[0]
