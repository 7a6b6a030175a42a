"""Which recorder this is: the ladder of evidence, its rung recorded, disagreement named (domain.md 2.5). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dockd.nouns import Rung


@dataclass(frozen=True, slots=True)
class Clue:
    """One witness: what it said (``token``) and which registered recorder that is, if any."""

    rung: Rung
    token: str
    device_no: str | None


@dataclass(frozen=True, slots=True)
class Identified:
    """The recorder by the best rung that names one; ``others`` are recorders that lower rungs name instead."""

    device_no: str | None
    rung: Rung
    others: tuple[str, ...] = ()


ORDER = tuple(Rung)


def identify(clues: Sequence[Clue]) -> Identified:
    """The best clue that names a registered recorder decides; two clues of one rung that differ decide nothing.

    ``others`` is not empty where witnesses disagree: an identity conflict, which is alerted
    (it also catches a card moved between recorders, which article 26 forbids).
    """
    named = [clue for clue in clues if clue.device_no]
    for rung in ORDER:
        numbers = {clue.device_no for clue in named if clue.rung is rung and clue.device_no}
        if len(numbers) == 1:
            chosen = numbers.pop()
            others = {clue.device_no for clue in named if clue.device_no and clue.device_no != chosen}
            return Identified(chosen, rung, tuple(sorted(others)))
        if numbers:
            return Identified(None, Rung.NONE, tuple(sorted(numbers)))
    return Identified(None, Rung.NONE)


def tell(clues: Sequence[Clue]) -> str:
    """The evidence in one line, for the message that a recorder is not registered."""
    said = sorted({f"{clue.rung}: {clue.token}" for clue in clues if clue.token})
    return ", ".join(said[:6]) if said else "-"
