"""A visit that was cut short is finished by the next one, whichever card comes, and no screen says "safe" too early."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bureau import Bureau, by_path, media, outcomes

from dockd.errors import StoreFull
from dockd.offload import pipeline
from dockd.offload.steps import Step
from dockd.visit.request import Phase, Progress

pytestmark = pytest.mark.usefixtures("no_parsers")

TOLD = {Phase.SAFE, Phase.DESCRIBING}
"""The phases in which a screen says that the recorder may be removed."""


class Cut(BaseException):
    """What ends a visit as a crash does."""


def cut_at(step: Step, nth: int = 1) -> Callable[[Step], None]:
    left = [nth]

    def passed(now: Step) -> None:
        left[0] -= now is step
        if left[0] == 0:
            raise Cut

    return passed


def interrupt(bureau: Bureau, step: Step, nth: int = 1) -> None:
    with pytest.raises(Cut):
        bureau.attend(passed=cut_at(step, nth))


class Screen:
    """What a screen would have shown: each phase once, in order."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []

    def __call__(self, progress: Progress) -> None:
        if not self.phases or self.phases[-1] is not progress.phase:
            self.phases.append(progress.phase)


def visits(bureau: Bureau) -> dict[int, dict[str, Any]]:
    return {visit["visit_id"]: visit for visit in bureau.json("visit", "list")}


def small_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "CHUNK", 64 << 10)
    monkeypatch.setattr("dockd.offload.reader.MARK_EVERY", 256 << 10)


# --- what the screen says ----------------------------------------------------------------------------------


def test_the_screen_says_safe_after_copying_and_not_before(bureau: Bureau) -> None:
    bureau.record(8, ext="log")
    screen = Screen()
    bureau.attend(watch=screen)
    wanted = [Phase.RECOVERING, Phase.LISTING, Phase.COPYING, Phase.SAFE, Phase.DESCRIBING, Phase.ENDED]
    assert [phase for phase in screen.phases if phase is not Phase.PROVING] == wanted


def test_while_an_earlier_visit_is_finished_the_screen_says_nothing_is_safe(bureau: Bureau) -> None:
    bureau.record(8, number=1, ext="log")
    interrupt(bureau, Step.STORED_KEPT)
    bureau.record(9, number=2, ext="log")
    screen = Screen()
    bureau.attend(watch=screen)
    assert TOLD.isdisjoint(screen.phases[: screen.phases.index(Phase.COPYING)])
    assert Phase.ENDED not in screen.phases[:-1]


def test_a_screen_never_says_safe_of_a_card_that_changed_while_it_was_read(bureau: Bureau) -> None:
    path = bureau.record(8, ext="log")
    screen = Screen()

    def grow(step: Step) -> None:
        if step is Step.PLAN_KEPT:
            (bureau.card / path).write_bytes(media("longer than it was listed"))

    shown = bureau.attend(passed=grow, watch=screen)
    assert shown["safe_at"] is None
    assert TOLD.isdisjoint(screen.phases)
    assert screen.phases[-2:] == [Phase.UNSAFE, Phase.ENDED]


# --- finishing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", list(Step))
def test_a_visit_cut_short_at_any_step_is_finished_by_the_next(
    bureau: Bureau, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_marks(monkeypatch)
    paths = [bureau.record(8, media("one", 600_000), number=1, ext="log"), bureau.record(9, number=2, ext="log")]
    interrupt(bureau, step)

    again = bureau.offload()

    assert set(outcomes(again)) == set(paths)
    assert set(outcomes(again).values()) <= {"stored", "already_stored"}
    assert again["outcome"] == "complete"
    assert {v["state"] for v in visits(bureau).values()} == {"ended"}
    assert sorted(r["original_name"] for r in bureau.records()) == sorted(p.rpartition("/")[2] for p in paths)
    assert len(list((bureau.store / "footage").rglob("*.log"))) == 2
    assert len(list(bureau.store.rglob("*.xmp"))) == 2
    bureau.prove(again)


def test_a_file_goes_on_inside_where_its_proven_marks_end(bureau: Bureau, monkeypatch: pytest.MonkeyPatch) -> None:
    small_marks(monkeypatch)
    path = bureau.record(8, media("one", 1_000_000), ext="log")
    interrupt(bureau, Step.MARK_KEPT, 3)
    again = bureau.offload()
    assert again["bytes_read"] <= 8 + 1_000_000 - 2 * (256 << 10)
    assert (bureau.store / again["files"][0]["location"]).read_bytes() == (bureau.card / path).read_bytes()
    bureau.prove(again)


@pytest.mark.parametrize("checks", range(1, 7))
def test_a_follow_up_cut_short_anywhere_is_done_once_and_whole(bureau: Bureau, checks: int) -> None:
    """``check`` is asked before each batch, sidecar and write: the visit dies at one of them."""
    paths = [bureau.record(8 + n / 10, media("same"), number=n) for n in (1, 2)]
    bureau.record(8.1, media("same"), number=1, folder="DCIM/101ANDRO", mark="IMP")
    left = [checks]

    def gone() -> None:
        if describing:
            left[0] -= 1
            if left[0] <= 0:
                raise Cut

    describing: list[Progress] = []

    def watch(progress: Progress) -> None:
        if progress.phase is Phase.DESCRIBING:
            describing.append(progress)

    try:
        bureau.attend(before_write=gone, watch=watch)
    except Cut:
        assert visits(bureau)[1]["state"] == "safe"

    again = bureau.offload()

    assert again["bytes_read"] == 0
    assert set(outcomes(again).values()) == {"already_stored"}
    first = bureau.json("visit", "show", 1)
    assert (first["outcome"], first["state"]) == ("complete", "ended")
    records = bureau.records()
    assert [(r["important_mark"], r["revision"]) for r in records] == [(True, 1), (False, 0)]
    assert len(list(bureau.store.rglob("*.xmp"))) == 3
    assert [line["data"]["outcome"] for line in bureau.ledger_lines("visit.ended")] == ["complete", "complete"]
    assert len(bureau.alerts("damaged_media")) == 1
    assert {Path(p).name for p in paths} == {r["original_name"] for r in records}
    bureau.prove(first, again)


def test_the_card_of_another_recorder_finishes_what_it_can_of_a_visit_whose_card_is_away(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_marks(monkeypatch)
    done, begun = bureau.record(8, number=1, ext="log"), bureau.record(9, media("two", 800_000), number=2, ext="log")
    interrupt(bureau, Step.MARK_KEPT, 2)
    away = bureau.card
    bureau.card = bureau.folder.parent / "other"
    other = bureau.record(10, serial="2107732", ext="log")

    summary = bureau.offload()

    assert outcomes(summary) == {other: "stored"}
    first = bureau.json("visit", "show", 1)
    assert (first["outcome"], first["reason"], first["safe_at"]) == ("partial", "interrupted", None)
    assert by_path(first)[begun]["outcome"] is None
    assert "interrupted" in bureau.dockd("visit", "show", 1).stdout
    bureau.dockd("verify")
    # On a busy machine the first file was not proven yet when the power went: then it waits, too.
    waiting = [file for file in first["files"] if file["outcome"] is None]
    assert len(list(bureau.store.rglob("*.part"))) == len(waiting), "they wait for their card"

    back = bureau.offload(card=away)
    assert back["outcome"] == "complete"
    assert by_path(back)[begun]["outcome"] == "stored"
    assert by_path(back)[done]["outcome"] in ("stored", "already_stored")
    assert back["bytes_read"] < 800_000, "what was proven was not read again"
    bureau.prove(back)


def test_a_kept_temp_whose_file_changed_meanwhile_is_set_aside_and_the_file_copied_whole(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_marks(monkeypatch)
    path = bureau.record(8, media("before", 800_000), ext="log")
    interrupt(bureau, Step.MARK_KEPT, 2)
    bureau.lay(path, media("after", 700_000))
    again = bureau.offload()
    assert outcomes(again) == {path: "stored"}
    assert (bureau.store / again["files"][0]["location"]).read_bytes() == media("after", 700_000)
    assert len(list((bureau.store / ".dockd/quarantine").iterdir())) == 1
    bureau.prove(again)


def test_a_kept_temp_whose_file_is_gone_from_the_card_is_set_aside(
    bureau: Bureau, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_marks(monkeypatch)
    path = bureau.record(8, media("before", 800_000), ext="log")
    interrupt(bureau, Step.MARK_KEPT, 2)
    (bureau.card / path).unlink()
    again = bureau.offload("--device-no", "YS-07")
    assert again["outcome"] == "complete"
    assert len(list((bureau.store / ".dockd/quarantine").iterdir())) == 1, "all that is left of a recording"
    bureau.prove(again)


def test_a_visit_that_cannot_be_finished_is_alerted_and_keeps_no_other_card_waiting(bureau: Bureau) -> None:
    path = bureau.record(8, ext="log")
    interrupt(bureau, Step.STORED_KEPT)
    (stored,) = (bureau.store / "footage").rglob("*.log")
    forged = stored.with_name(stored.name + ".xmp")
    forged.write_bytes(b"<forged/>")
    bureau.card = bureau.folder.parent / "other"
    other = bureau.record(10, serial="2107732", ext="log")

    for _ in range(2):
        summary = bureau.offload()
        assert set(outcomes(summary)) == {other}
        assert summary["outcome"] == "complete"

    (alert,) = [a for a in bureau.alerts("store_altered") if a["about"] == "visit:1"]
    assert (alert["device_no"], alert["state"]) == ("YS-07", "open")
    forged.unlink()  # put right by a person, it ends by itself
    summary = bureau.offload()
    assert visits(bureau)[1]["state"] == "ended"
    assert bureau.said_of(path)["location"] == str(stored.relative_to(bureau.store))
    bureau.prove(summary)


# --- the store's trouble ------------------------------------------------------------------------------------------


def test_a_store_that_fills_up_ends_with_exit_code_4_and_the_same_command_goes_on(bureau: Bureau) -> None:
    paths = [bureau.record(8 + n / 10, number=n, ext="log") for n in range(1, 5)]
    text = bureau.config.read_text(encoding="utf-8")
    bureau.config.write_text(text.replace("reserve: 0", "reserve: 1000TiB"), encoding="utf-8")
    full = bureau.dockd("offload", bureau.card, code=4)
    assert "is full" in full.stderr
    assert "stored is safe" in full.stderr.replace("What is ", "")
    bureau.config.write_text(text, encoding="utf-8")
    again = bureau.offload()
    assert outcomes(again) == dict.fromkeys(paths, "stored")
    bureau.prove(again)


def test_a_full_store_keeps_what_was_proven_before(bureau: Bureau) -> None:
    paths = [bureau.record(8 + n / 10, number=n, ext="log") for n in range(1, 5)]
    asked = [0]

    def full() -> None:
        asked[0] += 1
        if asked[0] > 9:
            raise StoreFull(path="store", need=1, free=0, reserve=0)

    with pytest.raises(StoreFull):
        bureau.attend(before_write=full)
    again = bureau.offload()
    assert set(outcomes(again)) == set(paths)
    assert again["outcome"] == "complete"
    assert len(bureau.records()) == 4
    bureau.prove(again)


def test_a_store_that_is_not_mounted_takes_nothing_and_says_so(bureau: Bureau) -> None:
    path = bureau.record(8, ext="log")
    away = bureau.folder / "away"
    os.rename(bureau.store, away)
    bureau.store.mkdir()
    assert "is not there" in bureau.dockd("offload", bureau.card, code=4).stderr
    assert list(bureau.store.iterdir()) == []
    bureau.store.rmdir()
    os.rename(away, bureau.store)
    assert outcomes(bureau.offload()) == {path: "stored"}


def test_every_unfinished_visit_leaves_a_line_of_what_was_done_about_it(bureau: Bureau) -> None:
    bureau.record(8, ext="log")
    interrupt(bureau, Step.VERIFIED_KEPT)
    bureau.offload()
    (line,) = bureau.ledger_lines("visit.recovered")
    assert (line["subject"], line["data"]["stored"], line["data"]["kept"]) == ("visit:1", 1, 0)
    assert json.loads(bureau.dockd("ledger", "head", "--json").stdout)["seq"] > 0
