"""One visit goes on: when its card was away for a moment, and when the store is back, each from where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import disks
import pytest
from dock import Dock, Steps, once

from dockd.errors import CardFileUnreadable, CardGone, StoreError, StoreFull, StoreMissing
from dockd.nouns import Entry, EntryType
from dockd.offload.pipeline import CopyResult, Failure, Job
from dockd.offload.steps import Step
from dockd.settings import Reserve
from dockd.visit import persist
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards
from dockd.visit.recovery import recover_visits
from dockd.visit.request import Phase, Progress, Root, VisitRequest
from dockd.visit.story import attend

pytestmark = [*disks.root, pytest.mark.usefixtures("small_chunks")]

MIB = 1 << 20


@pytest.fixture
def reader(dock: Dock, tmp_path: Path) -> Iterator[disks.Slot]:
    with disks.slot(tmp_path / "medium", tmp_path / "slot") as slot:
        yield slot


def lay(dock: Dock) -> None:
    dock.lay("DCIM/0001.dat", 300_000)
    dock.lay("DCIM/0002.dat", 4 * MIB)
    dock.lay("DCIM/0003.dat", 300_000)


class Visit:
    """One visit whose guards a test chooses; keeps what its screen showed."""

    def __init__(self, dock: Dock) -> None:
        self.dock = dock
        self.shown: list[Progress] = []

    def __call__(self, **guards: object) -> dict[str, object]:
        request = VisitRequest(str(self.dock.card), device_no="YS-07")
        number = attend(
            self.dock.station,
            request,
            meter=Meter(self.shown.append),
            guards=Guards(**guards),  # type: ignore[arg-type]
        )
        return self.dock.shown(number)

    @property
    def phases(self) -> list[Phase]:
        found: list[Phase] = []
        for progress in self.shown:
            if found[-1:] != [progress.phase]:
                found.append(progress.phase)
        return found


def root_of(path: Path) -> Root:
    return Root(os.open(path, os.O_RDONLY | os.O_DIRECTORY), "ext4", ("ro",))


def nth(count: int, act: Callable[[], None]) -> Callable[[], None]:
    left = [count]

    def passed() -> None:
        left[0] -= 1
        if left[0] == 0:
            act()

    return passed


def visits_of(dock: Dock) -> int:
    from sqlalchemy import func, select

    from dockd.register.tables import VisitRow

    with dock.station.register.read() as session:
        return session.scalar(select(func.count()).select_from(VisitRow)) or 0


def kinds(dock: Dock) -> set[str]:
    from dockd.register import alerts

    with dock.station.register.read() as session:
        return {alert.kind for alert in alerts.list_alerts(session, open_only=True)}


def test_a_card_that_comes_back_goes_on_in_the_same_visit_inside_the_file(
    dock: Dock, reader: disks.Slot, tmp_path: Path
) -> None:
    lay(dock)
    image = disks.card_image(tmp_path / "card.img", dock.files, label="CARD", born=1_795_000_000)
    reader.insert(image)
    dock.card = reader.path
    visit = Visit(dock)

    def again() -> Root:
        reader.eject()
        reader.insert(image)
        return root_of(reader.path)

    pull = nth(3, reader.pull)  # two marks of the large file are proven
    shown = visit(passed=Steps({Step.MARK_KEPT: pull}), card_again=again)
    dock.require_complete({"outcome": shown["outcome"], "files": without_folder(shown)})
    assert visits_of(dock) == 1
    assert Phase.AWAY in visit.phases
    assert int(str(shown["bytes_read"])) < sum(os.path.getsize(p) for p in dock.files.rglob("*.dat")) + 2 * MIB
    assert "removed_early" not in kinds(dock)
    assert shown["safe_at"]
    last = [progress for progress in visit.shown if progress.phase is Phase.COPYING][-1]
    assert last.bytes_read <= last.bytes_total
    assert last.files_done <= last.files


def without_folder(shown: dict[str, object]) -> list[dict[str, object]]:
    """mkfs puts a folder of its own onto an ext4."""
    return [file for file in shown["files"] if "lost+found" not in file["path"]]  # type: ignore[attr-defined]


def test_a_card_that_does_not_come_back_was_removed_early_and_its_next_visit_resumes(
    dock: Dock, reader: disks.Slot, tmp_path: Path
) -> None:
    lay(dock)
    image = disks.card_image(tmp_path / "card.img", dock.files, label="CARD", born=1_795_000_001)
    reader.insert(image)
    dock.card = reader.path
    shown = Visit(dock)(passed=Steps({Step.MARK_KEPT: nth(3, reader.pull)}))
    assert (shown["outcome"], shown["safe_at"]) == ("partial", None)
    assert "removed_early" in kinds(dock)
    reader.eject()
    reader.insert(image)
    again = Visit(dock)()
    assert again["outcome"] == "complete"
    assert visits_of(dock) == 2


def test_another_card_in_the_same_bay_is_never_mixed_in(dock: Dock, reader: disks.Slot, tmp_path: Path) -> None:
    lay(dock)
    image = disks.card_image(tmp_path / "card.img", dock.files, label="CARD", born=1_795_000_002)
    other = disks.card_image(tmp_path / "other.img", dock.files, label="CARD", born=1_795_000_003)
    reader.insert(image)
    dock.card = reader.path
    with disks.slot(tmp_path / "medium2", tmp_path / "slot2") as second:

        def again() -> Root:
            second.insert(other)
            return root_of(second.path)

        shown = Visit(dock)(passed=Steps({Step.MARK_KEPT: nth(3, reader.pull)}), card_again=again)
    assert shown["outcome"] == "partial"
    assert "removed_early" in kinds(dock)


def test_a_store_that_is_full_is_waited_for_in_the_same_visit(dock: Dock, tmp_path: Path) -> None:
    lay(dock)
    visit = Visit(dock)
    # The reserve grows over all that is free, and shrinks again while the visit waits.
    reserve = Reserve(size=1 << 60)
    dock.change("store", reserve=reserve)
    troubles: list[StoreError] = []

    def wait(error: StoreError) -> bool:
        troubles.append(error)
        object.__setattr__(reserve, "size", 0)
        return True

    shown = visit(store_again=wait)
    assert [type(error) for error in troubles] == [StoreFull]
    dock.require_complete(shown)
    assert visits_of(dock) == 1


def test_a_store_that_vanishes_in_mid_file_is_waited_for_and_nothing_is_copied_twice(dock: Dock) -> None:
    lay(dock)
    visit, aside = Visit(dock), dock.store.with_name("store-aside")
    troubles: list[StoreError] = []

    def vanish() -> None:
        dock.store.rename(aside)

    def wait(error: StoreError) -> bool:
        troubles.append(error)
        assert not dock.store.exists() or not any(dock.store.iterdir()), "nothing is written under an unmounted store"
        if dock.store.exists():
            dock.store.rmdir()
        aside.rename(dock.store)
        return True

    shown = visit(passed=Steps({Step.MARK_KEPT: once(vanish)}), store_again=wait)
    assert any(isinstance(error, StoreMissing) for error in troubles)
    dock.require_complete(shown)
    assert visits_of(dock) == 1
    assert Phase.PAUSED in visit.phases


def test_a_card_and_a_store_that_go_together_are_both_waited_for_and_nothing_false_is_said(
    dock: Dock, reader: disks.Slot, tmp_path: Path
) -> None:
    lay(dock)
    image = disks.card_image(tmp_path / "card.img", dock.files, label="CARD", born=1_795_000_004)
    reader.insert(image)
    dock.card = reader.path
    visit, aside, waited = Visit(dock), dock.store.with_name("store-aside"), []

    def both_go() -> None:
        reader.pull()
        dock.store.rename(aside)

    def wait(error: StoreError) -> bool:
        waited.append(error)
        aside.rename(dock.store)
        return True

    def again() -> Root:
        reader.eject()
        reader.insert(image)
        return root_of(reader.path)

    steps = Steps({Step.MARK_KEPT: nth(3, both_go)})
    shown = visit(passed=steps, store_again=wait, card_again=again)
    assert waited
    dock.require_complete({"outcome": shown["outcome"], "files": without_folder(shown)})
    assert visits_of(dock) == 1


def test_a_card_that_goes_with_the_store_and_does_not_come_back_is_never_called_safe(
    dock: Dock, reader: disks.Slot, tmp_path: Path
) -> None:
    lay(dock)
    image = disks.card_image(tmp_path / "card.img", dock.files, label="CARD", born=1_795_000_005)
    reader.insert(image)
    dock.card = reader.path
    aside = dock.store.with_name("store-aside")

    def both_go() -> None:
        reader.pull()
        dock.store.rename(aside)

    def wait(_error: StoreError) -> bool:
        aside.rename(dock.store)
        return True

    try:
        shown = Visit(dock)(passed=Steps({Step.MARK_KEPT: nth(3, both_go)}), store_again=wait)
    except StoreError:  # the card was noticed first, and the store when the visit was to be described
        aside.rename(dock.store)
        (number,) = recover_visits(dock.station, own_card=None, meter=Meter(lambda _: None), guards=Guards())
        shown = dock.shown(number)
    assert (shown["outcome"], shown["safe_at"]) == ("partial", None)
    assert "removed_early" in kinds(dock)


def test_what_was_proven_when_the_store_failed_is_brought_to_its_place_first(dock: Dock) -> None:
    lay(dock)
    visit, aside = Visit(dock), dock.store.with_name("store-aside")

    def wait(_error: StoreError) -> bool:
        aside.rename(dock.store)
        return True

    def vanish() -> None:
        dock.store.rename(aside)

    shown = visit(passed=Steps({Step.VERIFIED_KEPT: once(vanish)}), store_again=wait)
    dock.require_complete(shown)
    assert visits_of(dock) == 1


@pytest.mark.parametrize("harm", ["gone", "altered"])
def test_what_was_proven_and_is_not_there_any_more_when_the_store_is_back_is_not_safe(dock: Dock, harm: str) -> None:
    lay(dock)
    visit, aside = Visit(dock), dock.store.with_name("store-aside")

    def wait(_error: StoreError) -> bool:
        for temp in aside.rglob("*.part"):
            temp.unlink()
            if harm == "altered":
                temp.write_bytes(b"other")
        aside.rename(dock.store)
        return True

    def vanish() -> None:
        dock.store.rename(aside)

    shown = visit(passed=Steps({Step.VERIFIED_KEPT: once(vanish)}), store_again=wait)
    assert (shown["outcome"], shown["safe_at"]) == ("partial", None)
    assert "store_altered" in kinds(dock)
    again = Visit(dock)()
    assert again["outcome"] == "complete"
    assert again["safe_at"]
    dock.require_no_false_word()


def test_who_waits_for_nothing_gets_the_stores_error_at_once(dock: Dock) -> None:
    lay(dock)
    aside = dock.store.with_name("store-aside")
    with pytest.raises(StoreError):
        Visit(dock)(passed=Steps({Step.MARK_KEPT: once(lambda: dock.store.rename(aside) and None)}))
    aside.rename(dock.store)
    dock.require_complete(Visit(dock)())


def test_who_waits_for_nothing_is_told_of_a_full_store_though_the_register_could_still_be_written(dock: Dock) -> None:
    lay(dock)
    dock.change("store", reserve=Reserve(size=1 << 60))
    with pytest.raises(StoreFull):
        Visit(dock)()
    dock.change("store", reserve=Reserve(size=0))
    dock.require_complete(Visit(dock)())


# --- what a visit says of all its runs ------------------------------------------------------------------------


def test_nothing_that_a_run_found_is_forgotten_where_the_card_came_back() -> None:
    jobs = [
        Job(n, Entry(b"%d.mp4" % n, EntryType.FILE, 1, 0), "t", "f", "n", datetime(2026, 11, 23, tzinfo=UTC))
        for n in range(4)
    ]
    away = Failure(jobs[2], CardGone(path="2.mp4"))
    worn = Failure(jobs[3], CardFileUnreadable(path="3.mp4", offset=0, reason="EIO"))
    first = CopyResult(10, 5, failures=[away, worn], card_gone=True, unsteady=[jobs[0]], differing=[jobs[1]])
    whole = CopyResult()

    persist._add(whole, first, back=True)
    persist._add(whole, CopyResult(7, 7), back=False)

    assert (whole.bytes_read, whole.bytes_stored, whole.card_gone) == (17, 12, False)
    assert (whole.unsteady, whole.differing) == ([jobs[0]], [jobs[1]])
    assert whole.failures == [worn], "what failed because the card was away is tried again"
