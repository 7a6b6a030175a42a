"""Every fsync of a visit is left out, one by one, and a power cut must show what it was there for.

Each row names the promise that stands as a comment beside the call. A row with neighbours is covered by
other syncs while those stand: all are left out, and what must be found is the row's own ``symptom``.
The rows at the end are not found, each for a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cuts
import forgetful
import makings
import pytest
import syncs
from cuts import Left, Scene, Tell, make_scene
from forgetful import Manner, Trace
from medium import DATA, NAMES, NOTHING, Fate

from dockd.offload.steps import Step

pytestmark = forgetful.fuse

FATES = (NOTHING, DATA, NAMES, *map(Fate, range(12)))
PUBLISHED = tuple(
    f"{place} (folder)"
    for place in ("export.manifest.write_manifest > publishing", "export.visitfile.write_visit > publishing")
)
MAKING = "visit.follow._make_folder > make_directories (folder)"
SIDECAR = "footage.sidecar._sync_name (folder)"
PLACED = "offload.pipeline.place_proven > fsync_directory (folder)"
REMOVED = "offload.pipeline.place_proven > remove_durably (folder)"
KEPT = "offload.recover._keep_placed > fsync_directory (folder)"
VERIFIED = "offload.pipeline._keep_group > fsync_directory (folder)"


Where = Step | tuple[str, str] | int
"""Where a run is killed: after a step, at a call of a file, at a sync of a plain run (-1: the last)."""


@dataclass(frozen=True)
class Row:
    """One fsync: where, what it promises, in which visit its absence shows, and how.

    symptom   a part of what must be found
    killed    a first run is killed there, and the second one goes on without the fsync
    flagged   False: renameat2 knows no flags, so that link and unlink run
    weak      SQLite's own syncs, which would cover this one, are left out as well: "all", or "unasked" those
              of connections that do not ask for any
    torn      look at cuts that leave a part of what was not synced, and at what the next visit makes of it
    """

    place: str
    promise: str
    scene: Callable[[Scene], Scene]
    symptom: str
    neighbours: tuple[str, ...] = ()
    killed: Where | None = None
    torn: bool = False
    flagged: bool = True
    weak: str = ""

    @property
    def run(self) -> str:
        """What is run, in words: rows with equal ones differ in what is left out only."""
        killed = f"-killed at {self.killed}" if self.killed is not None else ""
        path = "" if self.flagged else "-link and unlink"
        return f"{self.scene.__name__}{killed}{path}{self.weak and f'-weak {self.weak}'}"


FOUND = (
    # The copy.
    Row(
        "offload.pipeline._require_folder > make_directories (folder)",
        "the names of the day's folders: without them everything below is gone",
        cuts.short_card,
        "is gone",
    ),
    Row("offload.pipeline._sync_prefix", "the bytes of a mark", cuts.long_card, "has not the bytes that its mark"),
    Row(
        "offload.pipeline._sync_prefix > fsync_directory (folder)",
        "the name of a temp with marks",
        cuts.long_card,
        "has not the bytes that its mark",
    ),
    Row("offload.pipeline._read_back", "bytes, length, mode", cuts.short_card, "called verified and is gone"),
    Row(VERIFIED, "the name of a verified temp", cuts.short_card, "called verified and is gone"),
    Row(PLACED, "the name of a stored file", cuts.short_card, "called stored and is not there whole"),
    Row(PLACED, "the name of a file that is stored again", cuts.lost_card, "called stored and is not there whole"),
    Row(
        REMOVED,
        "a temp of what is stored already does not come back when its visit has ended",
        cuts.returning_card,
        "was removed and is back",
        (*PUBLISHED, SIDECAR, MAKING, PLACED, VERIFIED),
    ),
    Row(
        "offload.pipeline._abandon > remove_durably (folder)",
        "a temp of what the card could not give does not come back",
        cuts.worn_card,
        "was removed and is back",
        (*PUBLISHED, SIDECAR, MAKING, PLACED, VERIFIED),
    ),
    Row(
        "offload.pipeline._place > rename_without_replacing (folder)",
        "the new name of a file, before the old one goes",
        cuts.short_card,
        "called verified and is gone",
        flagged=False,
    ),
    Row(
        "offload.pipeline._place > leave_one_name (folder)",
        "the same, where a crash had left both names",
        cuts.lone_card,
        "called verified and is gone",
        killed=("after link", ".dat"),
        flagged=False,
    ),
    Row(
        "offload.pipeline._set_aside > move_aside (folder)",
        "bytes that were read back wrong are kept as evidence",
        cuts.worn_card,
        "was kept as evidence and is gone",
    ),
    # The recovery of a visit that was killed.
    Row(
        KEPT,
        "the name of a file that was renamed just before the crash",
        cuts.short_card,
        "called stored and is not there whole",
        killed=Step.RENAMED,
    ),
    Row(
        "offload.recover.recover_files > remove_durably (folder)",
        "a temp that the crash left does not come back when its visit has ended",
        cuts.returning_card,
        "was removed and is back",
        (*PUBLISHED, SIDECAR, MAKING, PLACED, VERIFIED, KEPT, REMOVED),
        killed=("unlink", ".part"),
    ),
    Row(
        "offload.recover._set_aside > move_aside (folder)",
        "a temp of nobody, named in the ledger, is kept",
        cuts.stray_card,
        "was told and is gone",
    ),
    Row(
        "visit.planning._set_aside > move_aside (folder)",
        "a temp that its card's return did not complete, named in the ledger, is kept",
        cuts.changed_card,
        "was told and is gone",
    ),
    # What stands beside the footage.
    Row(SIDECAR, "a sidecar's name", cuts.short_card, "sidecar"),
    Row("footage.sidecar._write_new", "a sidecar's bytes", cuts.short_card, "sidecar"),
    Row(MAKING, "the folder of a visit that stored nothing", cuts.idle_card, "manifest"),
    Row("export.manifest.write_manifest > publishing", "a manifest's bytes", cuts.short_card, "manifest"),
    Row(PUBLISHED[0], "a manifest's name", cuts.short_card, "manifest", (PUBLISHED[1],)),
    Row("export.visitfile.write_visit > publishing", "a listing's bytes", cuts.short_card, "listing"),
    Row(PUBLISHED[1], "a listing's name", cuts.short_card, "listing"),
    # The ledger's mirror.
    Row("register.mirror._append_whole", "the lines", cuts.mirror_only, "the mirror is not whole"),
    Row(
        "register.mirror._append > sync_folder (folder)", "the new file's name", cuts.mirror_only, "mirror is not whole"
    ),
    Row(
        "register.mirror._mend",
        "lines that were written and not synced by who was killed",
        cuts.mirror_only,
        "the mirror is not whole",
        killed=-2,
    ),
    Row(
        "register.mirror._mend > sync_folder (folder)",
        "and their new file's name",
        cuts.mirror_only,
        "the mirror is not whole",
        killed=-1,
    ),
    Row(
        "register.mirror.mirror_ledger > make_folders (folder)",
        "the names of the mirror's folders",
        cuts.mirror_anew,
        "the mirror is not whole",
    ),
    Row("register.mirror._note_begun", "the note of what may be torn", cuts.mirror_only, "ledger_broken", torn=True),
    Row(
        "register.mirror._note_begun > sync_folder (folder)",
        "the name of the note's file",
        cuts.mirror_anew,
        "ledger_broken",
        torn=True,
    ),
    # What is made apart from visits.
    Row("cli.founding._write", "a configuration's bytes", makings.founding, "configuration is half"),
    Row("cli.founding._at_work_in (folder)", "its name", makings.founding, "configuration is gone"),
    Row(
        "cli.founding._at_work_in > make_folders (folder)",
        "the new station's folder",
        makings.founding,
        "configuration is gone",
    ),
    Row(
        "register.station.create_station > make_folders (folder)",
        "the folder of a new store's marker",
        makings.founding,
        "store has no marker",
        ("register.mirror.mirror_ledger > make_folders (folder)",),
    ),
    Row("register.station.create_station > write_new", "a marker's bytes", makings.founding, "marker is not whole"),
    Row(
        "register.station.create_station > write_new (folder)",
        "a marker's name",
        makings.founding,
        "store has no marker",
    ),
    Row(
        "register.session._create_file > sync_file",
        "a new register's bytes",
        makings.founding,
        "no register",
        weak="all",
    ),
    Row(
        "register.session._create_file > give_name (folder)",
        "its name",
        makings.founding,
        "no register",
        weak="all",
    ),
    Row(
        "register.session._create_file > make_folders (folder)",
        "the folder of a register that lies elsewhere",
        makings.founding_apart,
        "no register",
    ),
    Row(
        "register.rebuilding.place._settle > sync_file",
        "a remade register's bytes",
        makings.rebuilding,
        "is half",
        weak="all",
    ),
    Row(
        "register.rebuilding.place._in_file > give_name (folder)",
        "its name",
        makings.rebuilding,
        "not in its place",
    ),
    Row(
        "register.rebuilding.place._move_aside > sync_folder (folder)",
        "the damaged register's new name",
        makings.rebuilding,
        "register is gone",
    ),
    Row(
        "register.rebuilding.lines.cut_torn > make_folders (folder)",
        "the folder of a torn end",
        makings.rebuilding_torn,
        "torn end is gone",
    ),
    Row(
        "register.rebuilding.lines.cut_torn > write_new",
        "a torn end's bytes",
        makings.rebuilding_torn,
        "torn end is gone",
    ),
    Row(
        "register.rebuilding.lines.cut_torn > write_new (folder)",
        "its name",
        makings.rebuilding_torn,
        "torn end is gone",
    ),
    Row(
        "register.rebuilding.lines.cut_torn",
        "the mirror ends before it",
        makings.rebuilding_torn,
        "torn end still does",
    ),
    Row("export.inventory.export_inventory > publishing", "an export's bytes", makings.exporting, "export is half"),
    Row(
        "export.inventory.export_inventory > publishing (folder)",
        "its name",
        makings.exporting,
        "export is not in its place",
        ("export.datapackage.add_resource > publishing (folder)",),
    ),
    Row(
        "export.datapackage.add_resource > publishing",
        "the bytes of its description",
        makings.exporting,
        "description is half",
    ),
    Row(
        "export.datapackage.add_resource > publishing (folder)",
        "its description's name",
        makings.exporting,
        "description is of another one",
    ),
    Row("cli.installing.configure", "an installed configuration's bytes", makings.installing, "configuration is half"),
    Row(
        "register.session.copy_sqlite > sync_file",
        "a backup's bytes",
        makings.upgrading,
        "without a backup",
        weak="unasked",
    ),
    Row(
        "register.session.copy_sqlite > sync_folder (folder)",
        "its name",
        makings.upgrading,
        "without a backup",
        weak="all",
    ),
    Row(
        "register.backup.back_up > make_folders (folder)",
        "the folder of copies of the register",
        makings.backing_up,
        "copy of the register is gone",
    ),
    Row(
        "register.backup.back_up > sync_file",
        "a copy's bytes",
        makings.backing_up,
        "copy of the register is half",
        ("register.session.copy_sqlite > sync_file",),
        weak="all",
    ),
    Row(
        "register.backup.back_up > give_name (folder)",
        "its name",
        makings.backing_up,
        "copy of the register is gone",
    ),
    Row(
        "offload.remains.clear_quarantine > remove_durably (folder)",
        "what the ledger calls removed does not come back",
        makings.clearing,
        "removed is back",
    ),
    Row(
        "service.dropped._begin > make_folders (folder)",
        "the folder into which a dropped table is moved",
        makings.taking_in,
        "table is not in done",
    ),
    Row(
        "service.dropped._move > sync_folder (folder)",
        "its new name, before the old one goes",
        makings.taking_in,
        "dropped table is gone",
    ),
    Row("service.dropped.take_in > publishing", "its report's bytes", makings.taking_in, "report is half"),
    Row(
        "service.dropped.take_in > publishing (folder)",
        "its report's name, before the table's",
        makings.taking_in,
        "report is gone",
    ),
    Row(
        "alert.channels.spool.send > make_folders (folder)",
        "the folder of messages",
        makings.spooling,
        "message is gone",
    ),
    Row("alert.channels.spool._write > write_new", "a message's bytes", makings.spooling, "message is half"),
    Row("alert.channels.spool._write > sync_folder (folder)", "its name", makings.spooling, "message is gone"),
)

NOT_NEEDED = {
    row.place: row
    for row in (
        Row(
            "offload.lock.try_lock > make_directories (folder)",
            "none: a lock ends with its process",
            cuts.short_card,
            "",
        ),
        Row(
            "offload.lock.holding_station > make_directories (folder)",
            "none: the same",
            makings.rebuilding,
            "",
        ),
        Row(
            "offload.recover._is_still_equal",
            "none: a row that says verified is younger than the fsync of its temp. It keeps the read-back honest",
            cuts.short_card,
            "",
            killed=Step.RENAMED,
        ),
    )
}
"""Left out, these break nothing, for the reason given. Each is tried."""

ALIKE = {
    "cli.files.write_out > publishing": "export.inventory.export_inventory > publishing",
    "service.client._take > publishing": "export.inventory.export_inventory > publishing",
    "service.dropped.take_in > publishing": "export.inventory.export_inventory > publishing",
    "service.dropped._begin > make_folders": "register.backup.back_up > make_folders",
}
"""The same act for the same promise: the row of the second stands for the first."""


def find_cut(scene: Scene, trace: Trace, symptom: str, fates: Iterable[Fate]) -> str | None:
    """The first cut after which something durable (or said) is not so, in words; None where there is none."""
    for fate in fates:
        points = trace.durable_points() if fate is NOTHING else trace.pending_points()
        for number, medium in trace.media():
            if number in points:
                broken = scene.broken(medium.cut(fate), trace.said(number))
                if any(symptom in each for each in broken):
                    return f"cut before call {number}, {fate.name} kept: {broken}"
    return None


def find_torn(scene: Scene, trace: Trace, symptom: str, *, tries: int) -> str | None:
    """The first cut, of those that leave a part of what was not synced, that the next visit is troubled by."""
    for number, seed in _near(trace, tries):
        complaints = scene.complaints(scene.recover(trace.at(number, Fate(seed))))
        if any(symptom in each for each in complaints):
            return f"cut before call {number}, seed {seed}: {complaints}"
    return None


def _near(trace: Trace, tries: int) -> Iterator[tuple[int, int]]:
    """Where something is about to be synced that relies on what was left out."""
    left_out = trace.log.index(("say", syncs.LEFT_OUT))
    at = [number for number, call in enumerate(trace.log) if call[0] == "sync" and number > left_out][:3]
    return ((number, seed) for seed in range(tries) for number in at)


def run_without(
    places: set[str], scene: Scene, killed: Where | None = None, *, flagged: bool = True, weak: str = ""
) -> Trace:
    """The run without these fsyncs; where a first run is killed, only the second one goes without."""
    if isinstance(killed, int):
        plain = scene.record().log
        killed = [number for number, call in enumerate(plain) if call[0] == "sync"][killed]

    def before(tell: Tell) -> None:
        syncs.leave_out(places, tell)
        if weak:
            syncs.weaken_register("OFF", asked=weak == "all", unasked=True)

    return scene.record(before=before, killed_at=killed, manner=Manner(renames_flagged=flagged))


def rows(found: Iterable[Row]) -> list[Any]:
    """Those whose absence only a torn disk shows need many tries."""
    named = ((row, f"{row.place}, {row.scene.__name__}") for row in found)
    return [pytest.param(row, id=name, marks=pytest.mark.slow if row.torn else ()) for row, name in named]


@pytest.mark.parametrize("row", rows(FOUND))
def test_a_cut_shows_that_the_fsync_is_missing(row: Row, tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "scene", row.scene)
    trace = run_without({row.place, *row.neighbours}, scene, row.killed, flagged=row.flagged, weak=row.weak)
    assert syncs.LEFT_OUT in trace.said(len(trace)), "the run never came there"
    if row.torn:
        assert find_torn(scene, trace, row.symptom, tries=60)
    else:
        assert find_cut(scene, trace, row.symptom, FATES)


@pytest.mark.slow
@pytest.mark.parametrize(
    "row", {(row.run, row.weak and row.symptom): row for row in FOUND}.values(), ids=lambda row: row.run
)
def test_nothing_is_found_where_nothing_is_left_out(row: Row, tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "scene", row.scene)
    trace = run_without(set(), scene, row.killed, flagged=row.flagged, weak=row.weak)
    assert find_cut(scene, trace, row.symptom if row.weak else "", FATES) is None


@pytest.mark.slow
@pytest.mark.parametrize("place", NOT_NEEDED)
def test_these_fsyncs_break_nothing_when_they_are_left_out(place: str, tmp_path: Path) -> None:
    lay, killed = NOT_NEEDED[place].scene, NOT_NEEDED[place].killed
    scene = make_scene(tmp_path / "scene", lay)
    trace = run_without({place}, scene, killed)
    assert syncs.LEFT_OUT in trace.said(len(trace)), "the run never came there"
    assert find_cut(scene, trace, "", FATES) is None
    assert scene.promise or find_torn(scene, trace, "", tries=8) is None


@pytest.mark.slow
def test_a_torn_line_of_the_mirror_that_comes_back_below_the_next_ones_does_no_harm(tmp_path: Path) -> None:
    """Its removal has no fsync of its own: what is appended in its place begins with the same bytes."""
    scene = make_scene(tmp_path / "scene", cuts.mirror_torn)
    trace = scene.record()
    for number in trace.points():
        for seed in range(8):
            assert scene.complaints(scene.recover(trace.at(number, Fate(seed)))) == [], (number, seed)


def test_every_fsync_of_the_source_has_a_row() -> None:
    """And every row its fsync: who adds one says here what it promises, and sees a cut find its absence."""
    judged = {place.removesuffix(" (folder)") for place in (*(row.place for row in FOUND), *NOT_NEEDED)}
    assert set(ALIKE.values()) <= judged
    assert syncs.in_source() == judged | set(ALIKE)


@pytest.mark.parametrize("lay", [cuts.small_card, cuts.returning_card, cuts.worn_card, cuts.mirror_anew])
def test_every_fsync_that_a_visit_reaches_has_a_row(lay: Callable[[Scene], Scene], tmp_path: Path) -> None:
    def before(tell: Tell) -> None:
        syncs.on_each_sync(lambda place: not tell(f"sync {place}"))

    trace = make_scene(tmp_path / "scene", lay).record(before=before)
    reached = {word.removeprefix("sync ") for word in trace.said(len(trace)) if word.startswith("sync ")}
    assert reached <= {row.place for row in FOUND} | set(NOT_NEEDED)


# --- three that are judged otherwise ----------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["NORMAL", "OFF"])
def test_a_register_that_does_not_wait_for_the_medium_is_found(level: str, tmp_path: Path) -> None:
    scene = make_scene(tmp_path / "scene", cuts.short_card)
    trace = scene.record(before=lambda _: syncs.weaken_register(level))
    assert find_cut(scene, trace, "safe to remove was said before it was durable", [NOTHING])
    assert find_cut(scene, trace, "the mirror leads", [NOTHING])


def test_after_a_cut_nothing_before_the_last_mark_is_copied_again(tmp_path: Path) -> None:
    """The journal's fdatasync, judged by the bytes that are copied again."""
    scene = make_scene(tmp_path / "with", cuts.long_card)
    assert _copied_again(scene, scene.record()) == 150_000 - 2 * cuts.MARK_EVERY
    scene = make_scene(tmp_path / "without", cuts.long_card)
    assert _copied_again(scene, run_without({"offload.pipeline._sync_prefix"}, scene)) == 150_000


def _copied_again(scene: Scene, trace: Trace) -> int:
    """The least that is copied again after a cut between the last mark and the whole temp's fsync."""
    preallocated = next(number for number, call in enumerate(trace.log) if call[0] == "allocate")
    sealed = next(number for number, call in enumerate(trace.log) if call[0] == "chmod" and number > preallocated)
    left = scene.recover(trace.at(sealed, NOTHING))
    assert isinstance(left, Left)
    assert scene.complaints(left) == []
    return int(left.shown["bytes_read"])


LYING = Manner(lies_below="/store/footage/")


def test_the_read_back_is_of_what_was_synced(tmp_path: Path) -> None:
    """The fsync before the read-back: the store answers reads of what was not synced with other bytes."""
    scene = make_scene(tmp_path / "with", cuts.short_card)
    trace = scene.record(manner=LYING)
    assert "safe" in trace.said(len(trace))
    assert scene.broken(trace.at(len(trace), NOTHING)) == []

    scene = make_scene(tmp_path / "without", cuts.short_card)
    trace = scene.record(
        manner=LYING, before=lambda tell: syncs.leave_out({"offload.pipeline._read_back"}, lambda _: None)
    )
    assert "safe" not in trace.said(len(trace)), "bytes were believed that nobody had read from the medium"
