"""Which recorder this is: the ladder of evidence, its rung recorded, disagreement named (domain.md 2.5). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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


def identify(clues: Sequence[Clue], *, mentioned: Iterable[str] = ()) -> Identified:
    """The best clue that names a registered recorder decides; two clues of one rung that differ decide nothing.

    ``mentioned`` are the recorders that single file names speak of, the minority too. ``others``
    is not empty where witnesses disagree: an identity conflict, which is alerted (it also
    catches a card moved between recorders, which article 26 forbids).
    """
    named = [clue for clue in clues if clue.device_no]
    spoken_of = {clue.device_no for clue in named if clue.device_no} | set(mentioned)
    for rung in ORDER:
        numbers = {clue.device_no for clue in named if clue.rung is rung and clue.device_no}
        if len(numbers) == 1:
            chosen = numbers.pop()
            return Identified(chosen, rung, tuple(sorted(spoken_of - {chosen})))
        if numbers:
            break
    return Identified(None, Rung.NONE, tuple(sorted(spoken_of)) if len(spoken_of) > 1 else ())


def tell(clues: Sequence[Clue]) -> str:
    """The evidence in one line, for the message that a recorder is not registered."""
    said = sorted({f"{clue.rung}: {clue.token}" for clue in clues if clue.token})
    return ", ".join(said[:6]) if said else "-"
