"""Every fsync of the visit is left out, one by one, and a power cut must show what it was there for.

Each row names the promise, which stands as a comment beside the call too. ``Found`` is where the suite
finds the missing one: in what is durable at once, or in what the next visit makes of it. A row with
a ``neighbour`` is covered by another sync while that one stands; both are left out to show it. A
fsync that no row names fails ``test_every_fsync_that_a_visit_reaches_has_a_row``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import cuts
import forgetful
import pytest
import syncs
from cuts import Left, Scene, Tell, Trouble, make_scene
from forgetful import Manner, Trace
from medium import DATA, NAMES, NOTHING, Fate

pytestmark = forgetful.fuse

_SEEDS = range(24)


@dataclass(frozen=True)
class Row:
    """One fsync: where, what it promises, and in which visit its absence shows.

    killed  a first visit is killed at the first call of this name, and the second one goes on
    again   also look at what the next visit makes of it, not only at what is durable
    found   False: the suite must find nothing, for the reason that ``promise`` gives
    """

    place: str
    promise: str
    scene: Callable[[Scene], Scene]
    neighbours: tuple[str, ...] = ()
    killed: str | None = None
    again: bool = False
    found: bool = True


ROWS = (
    # --- the copy -----------------------------------------------------------------------------------
    Row(
        "offload.pipeline._require_folder > make_directories (folder)",
        "the names of the day's folders: without them everything below is gone",
        cuts.short_card,
    ),
    Row("offload.pipeline._sync_prefix", "a mark's bytes", cuts.long_card),
    Row("offload.pipeline._sync_prefix > fsync_directory (folder)", "the marked temp's name", cuts.long_card),
    Row("offload.pipeline._read_back", "data, length and mode of the temp", cuts.short_card),
    Row(
        "offload.pipeline._keep_group > fsync_directory (folder)",
        "the verified temp's name: its absence is an alarm",
        cuts.short_card,
    ),
    Row("offload.pipeline.place_proven > fsync_directory (folder)", "the stored file's name", cuts.short_card),
    Row(
        "offload.pipeline.place_proven > remove_durably (folder)",
        "the temp of what was stored already does not come back",
        cuts.returning_card,
    ),
    Row(
        "offload.pipeline._abandon > remove_durably (folder)",
        "the temp of what the card could not give does not come back",
        cuts.worn_card,
    ),
    Row(
        "offload.pipeline._set_aside > move_aside (folder)",
        "what was read back wrong is kept as evidence, and its temp's name is free",
        cuts.worn_card,
    ),
)


def reach(row: Row, folder: Path) -> tuple[Scene, Trace]:
    scene = make_scene(folder, row.scene)
    killed_at = None
    if row.killed:
        calls = scene.record().names()
        killed_at = calls.index(row.killed)
        scene = make_scene(folder.with_name("again"), row.scene)
    trouble = Trouble if row.scene is cuts.worn_card else None

    def before(tell: Tell) -> None:
        syncs.leave_out({row.place, *row.neighbours}, tell)

    return scene, scene.record(before=before, trouble=trouble, killed_at=killed_at)
