"""From the plan to "safe to remove": copying, and saying so only when it is true."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dockd.card.listing import capacity_of, is_there, open_entry
from dockd.errors import REGISTER_TROUBLE, CardFileChanged, CardFileReplaced
from dockd.nouns import Entry, ParsedName
from dockd.offload.books import Books
from dockd.offload.pipeline import CopyResult, Job, Surroundings, copy_files
from dockd.offload.reader import CardAccess
from dockd.offload.steps import Step
from dockd.register import visits
from dockd.register.station import Station
from dockd.visit.alarms import alarm_card_gone, alarming_full_store, settle_store_full
from dockd.visit.look import Card
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards, Numbers
from dockd.visit.patience import LOOK_S
from dockd.visit.request import Phase

_WORTH_ANOTHER_TRY = (CardFileChanged, CardFileReplaced)


def surroundings(
    station: Station,
    numbers: Numbers,
    card_instance: str,
    sight_parse: Callable[[bytes], ParsedName | None],
    access: CardAccess,
    meter: Meter,
    guards: Guards,
) -> Surroundings:
    """What the offload needs of this visit."""
    return Surroundings(
        store=str(station.store),
        access=access,
        books=Books(station, numbers.visit_id, numbers.recorder_id, card_instance, numbers.device_no),
        watch=meter,
        now=station.now,
        parse=sight_parse,
        reserve=station.settings.store.reserve.of,
        before_write=guards.before_write,
        passed=guards.passed,
        read_twice=station.settings.verify.source_twice,
    )


def card_access(card: Card) -> CardAccess:
    """How the offload reads this card: relative to its root's descriptor only."""
    patience = card.patience

    def open_listed(entry: Entry) -> int:
        with patience.asking():
            return open_entry(card.fd, entry.path)

    def ask_whether_there() -> bool:
        with patience.asking():
            return is_there(card.fd)

    capacity = patience.wait_for(lambda: capacity_of(card.fd))
    return CardAccess(open_listed, ask_whether_there, patience.asking, patience.look, LOOK_S, capacity)


def copy(
    jobs: Sequence[Job],
    around: Surroundings,
    station: Station,
    numbers: Numbers,
    meter: Meter,
    result: CopyResult | None = None,
) -> CopyResult:
    """Copies and proves; what was read and stored is in the visit's row, also when the store fails.

    ``result`` is empty: what became of the files is in it also when this raises.
    """
    around.passed(Step.PLAN_KEPT)
    meter.enter(Phase.COPYING)
    result = CopyResult() if result is None else result
    try:
        with alarming_full_store(station, numbers):
            copy_files(jobs, around, result)
    except REGISTER_TROUBLE:
        raise  # nothing can be written down, and every try would wait again
    except BaseException:
        _note_copied(result, station, numbers)
        raise
    _note_copied(result, station, numbers)
    settle_store_full(station)
    return result


def _note_copied(result: CopyResult, station: Station, numbers: Numbers) -> None:
    with station.register.write() as session:
        visits.note_copied(
            session,
            numbers.visit_id,
            bytes_read=result.bytes_read,
            bytes_stored=result.bytes_stored,
            first_byte_at=result.first_byte_at,
        )


def release(result: CopyResult, station: Station, numbers: Numbers, meter: Meter) -> bool:
    """Says "safe to remove" if it is true: every entry final, and nothing left that a later try could read.

    A file that changed or was replaced while it was read, or that the card gave back in two ways,
    and a card that was pulled leave something behind; a file that the card cannot give back does not.
    Of two ways nobody knows which is right: one is stored, the card is the only witness of the other.
    Nor is it true while a file has no outcome: what was proven may be gone when the store is back.
    """
    again = bool(result.unsteady) or any(isinstance(one.error, _WORTH_ANOTHER_TRY) for one in result.failures)
    safe = not (result.card_gone or result.differing or again)
    with station.register.write() as session:
        safe = safe and not visits.outcome_counts(session, numbers.visit_id).get("pending")
        visits.note_stored(session, numbers.visit_id, at=station.now(), safe=safe, actor=station.actor)
        if result.card_gone:
            alarm_card_gone(session, station, numbers)
    meter.enter(Phase.SAFE if safe else Phase.UNSAFE)
    return safe
