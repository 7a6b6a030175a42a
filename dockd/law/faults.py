"""Article 26: a faulty recorder is out of use at once, is repaired by professionals, and comes back by a person's word.

行政执法人员应当严格按照规程操作音像记录设备，遇到故障应立即停止使用并及时报告，联系专业部门进行维修，不得私自将设备
进行拆装和更换处理。
Officers shall operate audio-visual recording equipment strictly by its rules; on a fault they shall stop
using it at once, report it in time and have it repaired by professionals, and shall not privately
dismantle the equipment or exchange it or its parts.

How it is read: a reported fault takes the recorder out of service in the same moment, whoever holds it;
only a named person's act puts it back. An exchanged card or a foreign serial in a known recorder is
told to a person, who knows whether the repairer did it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from enum import StrEnum

IN_SERVICE, OUT_OF_SERVICE, AT_REPAIR, RETIRED = "in_service", "out_of_service", "at_repair", "retired"


class Act(StrEnum):
    """A line of the equipment register (articles 24 and 26)."""

    CHECKED = "checked"
    MAINTAINED = "maintained"
    CARED_FOR = "cared_for"
    KEPT = "kept"
    FAULTED = "faulted"
    SENT = "sent"
    BACK = "back"
    RESTORED = "restored"
    RETIRED = "retired"


_ALL = frozenset({IN_SERVICE, OUT_OF_SERVICE, AT_REPAIR})
_FROM: dict[Act, frozenset[str]] = {
    Act.CHECKED: _ALL | {RETIRED},
    Act.MAINTAINED: _ALL,
    Act.CARED_FOR: _ALL,
    Act.KEPT: _ALL,
    Act.FAULTED: _ALL,
    Act.SENT: frozenset({IN_SERVICE, OUT_OF_SERVICE}),
    Act.BACK: frozenset({AT_REPAIR}),
    Act.RESTORED: frozenset({OUT_OF_SERVICE}),
    Act.RETIRED: _ALL,
}


def is_possible(act: Act, state: str) -> bool:
    """Whether a recorder in ``state`` can be the object of ``act``."""
    return state in _FROM[act]


def state_after(act: Act, state: str, *, fit: bool = True) -> str:
    """The recorder's state after ``act``. ``fit``: it works again, which only its return from repair asks."""
    if act is Act.FAULTED:
        return AT_REPAIR if state == AT_REPAIR else OUT_OF_SERVICE
    if act is Act.SENT:
        return AT_REPAIR
    if act is Act.BACK:
        return IN_SERVICE if fit else OUT_OF_SERVICE
    if act is Act.RESTORED:
        return IN_SERVICE
    return RETIRED if act is Act.RETIRED else state


def changes_state(act: Act) -> bool:
    """Whether ``act`` is one of those that say in which state a recorder is."""
    return act not in (Act.CHECKED, Act.MAINTAINED, Act.CARED_FOR, Act.KEPT)


def out_of_service(acts: Iterable[tuple[datetime, Act, bool]], until: datetime) -> list[tuple[datetime, datetime]]:
    """When a recorder could not be used, up to ``until``: not in service and not retired.

    ``acts`` are its acts with their times and, of a return from repair, whether it works again, in any order.
    """
    spans: list[tuple[datetime, datetime]] = []
    state, since = IN_SERVICE, until
    for at, act, fit in sorted(acts, key=lambda one: one[0]):
        if at >= until:
            break
        after = state_after(act, state, fit=fit)
        if state in (OUT_OF_SERVICE, AT_REPAIR) and after in (IN_SERVICE, RETIRED):
            spans.append((since, at))
        elif state == IN_SERVICE and after in (OUT_OF_SERVICE, AT_REPAIR):
            since = at
        state = after
    return [*spans, (since, until)] if state in (OUT_OF_SERVICE, AT_REPAIR) else spans


def exchanged_card(last: str | None, now: str | None) -> bool:
    """Whether a recorder that was known by one card shows another. Nothing is said of what was not seen."""
    return last is not None and now is not None and last != now


def foreign_serials(spoken: Iterable[Collection[str]], known: Collection[str]) -> tuple[str, ...]:
    """What the serial can be that most of a card's names carry, where it is none of the ``known`` numbers.

    ``spoken`` is, for each name with a number in it, what it can be read as: a name that can be read as a
    known number is no evidence of a foreign serial. Empty where nothing is foreign; several where the
    names can be read in two ways.
    """
    readings = [frozenset(said) for said in spoken if said]
    foreign = [said for said in readings if not said & set(known)]
    if len(foreign) * 2 <= len(readings):
        return ()
    return tuple(sorted(frozenset.intersection(*foreign)))
