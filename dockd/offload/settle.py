"""What proven bytes are: a new recording, one that is stored already, or an important-mark copy. Pure.

Equal digests mean "bytes already stored", never "recording already known" (the nouns).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dockd.nouns import ParsedName
from dockd.offload.plan import Reason
from dockd.register.transfers import KnownFootage


@dataclass(frozen=True, slots=True)
class Settlement:
    """``known`` None: new footage. Otherwise which, why, and whether its file lacks in the store."""

    known: KnownFootage | None = None
    reason: Reason | None = None

    @property
    def again(self) -> bool:
        return self.reason is Reason.STORED_AGAIN


def settle(
    path: bytes,
    parsed: ParsedName | None,
    equals: Sequence[KnownFootage],
    *,
    parse: Callable[[bytes], ParsedName | None],
    is_present: Callable[[KnownFootage], bool],
) -> Settlement:
    """Decides on bytes of ``path`` given the same recorder's footage with equal digest and size.

    The same path with the same bytes is the same recording. Under another name it is so only
    if exactly one of the two names is marked important and unmarked name, start and sequence
    number agree; anything less is a recording of its own.
    """
    for known in equals:
        if known.path == path:
            return Settlement(known, Reason.SAME_BYTES if is_present(known) else Reason.STORED_AGAIN)
    for known in equals:
        if is_present(known) and _is_marked_copy(parsed, parse(known.path)):
            return Settlement(known, Reason.IMPORTANT_MARK)
    return Settlement()


def _is_marked_copy(one: ParsedName | None, other: ParsedName | None) -> bool:
    if one is None or other is None or one.important == other.important:
        return False
    if None in (one.wall, one.sequence, one.unmarked):
        return False
    return (one.wall, one.sequence, one.unmarked) == (other.wall, other.sequence, other.unmarked)
