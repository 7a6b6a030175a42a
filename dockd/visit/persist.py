"""Copying that outlives a card's absence of seconds and the store's trouble of hours, within one visit.

Where the service waits for the store or a card came back to its bay, the same visit goes on with what is
left of its plan, inside the file where it stopped. A command that waits for nothing gets what ``copy`` raises.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from dockd.errors import REGISTER_TROUBLE, CardGone, StoreError
from dockd.nouns import ParsedName
from dockd.offload import durable
from dockd.offload.pipeline import CopyResult, Job, Surroundings
from dockd.register import transfers
from dockd.register.station import Station
from dockd.register.tables import TransferState
from dockd.register.transfers import HeldTemp
from dockd.visit.copying import card_access, copy, surroundings
from dockd.visit.look import Card, open_card
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards, Numbers
from dockd.visit.recovery import Unfinished, recover_copies
from dockd.visit.request import Phase


@dataclass(frozen=True, slots=True)
class Persistence:
    """The visit whose plan is carried out."""

    station: Station
    numbers: Numbers
    parse: Callable[[bytes], ParsedName | None]
    profile: str
    meter: Meter
    guards: Guards


def copy_whole(jobs: Sequence[Job], card: Card, visit: Persistence) -> CopyResult:
    """Copies and proves ``jobs``; waits for store and card as long as ``guards`` do. Raises what ``copy`` raises."""
    whole, begun = CopyResult(), False
    with ExitStack() as held:
        while True:
            result = CopyResult()
            try:
                todo = _left(jobs, card, visit) if begun else jobs
                begun = True
                copy(todo, _around(card, visit), visit.station, visit.numbers, visit.meter, result)
            except REGISTER_TROUBLE:
                raise
            except StoreError as error:
                visit.meter.enter(Phase.PAUSED, error.name)
                if not visit.guards.store_again(error):
                    raise
                _add(whole, result)
                continue
            back = _await_card(card, visit, held) if result.card_gone else None
            _add(whole, result, back=back is not None)
            if back is None:
                return whole
            card = back


def _add(whole: CopyResult, run: CopyResult, *, back: bool = True) -> None:
    """``back``: files that failed because the card was away are not failures, they are tried once more."""
    whole.bytes_read += run.bytes_read
    whole.bytes_stored += run.bytes_stored
    whole.card_gone = run.card_gone and not back
    whole.first_byte_at = whole.first_byte_at or run.first_byte_at
    whole.failures += [failure for failure in run.failures if not (back and isinstance(failure.error, CardGone))]
    whole.differing += run.differing
    whole.unsteady += run.unsteady


def _around(card: Card, visit: Persistence) -> Surroundings:
    return surroundings(
        visit.station,
        visit.numbers,
        card.identity.instance,
        visit.parse,
        card_access(card),
        visit.meter,
        visit.guards,
    )


def _await_card(card: Card, visit: Persistence, held: ExitStack) -> Card | None:
    """The same card, back in its bay; None if it does not come, or another one does: that is a visit of its own."""
    visit.meter.enter(Phase.AWAY)
    root = visit.guards.card_again()
    if root is None:
        return None
    back = held.enter_context(open_card(card.path, str(visit.station.store), card.patience, root=root))
    return back if back.identity.instance == card.identity.instance else None


def _left(jobs: Sequence[Job], card: Card, visit: Persistence) -> list[Job]:
    """The jobs of what is left of the plan, each taken up where its temp stops. Raises StoreError.

    What was proven already when the store failed is stored first, by the recovery table. What failed because
    the card was away is left too: it may have gone while the store failed.
    """
    said = card.identity
    unfinished = Unfinished(visit.numbers, said.instance, said.mtime_is_wall, visit.profile, copying=True)
    recover_copies(visit.station, unfinished, visit.meter, visit.guards, only=TransferState.VERIFIED)
    with visit.station.register.write() as session:
        waiting = transfers.take_up_again(session, visit.numbers.visit_id, reason=CardGone().name)
    held = {one.observation_id: one for one in waiting}
    store = str(visit.station.store)
    todo = [_resume(job, held[job.observation_id], store) for job in jobs if job.observation_id in held]
    with visit.station.register.write() as session:
        for job in todo:
            if not job.resume:  # its temp is gone, and with it what was proven of it
                transfers.forget_journal(session, job.observation_id)
    visit.meter.left(len(todo), sum(job.entry.size for job in todo))
    return todo


def _resume(job: Job, held: HeldTemp, store: str) -> Job:
    there = bool(held.temp) and durable.look(store, held.temp) is not None
    return replace(job, temp=held.temp or job.temp, resume=there, marks=held.journal if there else ())
