"""Power cuts of the whole guest while cards are copied: what was not flushed is gone, as on a real disk."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import vm_machine
import vm_power
from vm_cards import Card, MakeCard
from vm_machine import Machine
from vm_power import StrictDisk
from vm_station import dock, stored, visit, wait_for

SEED = int(os.environ.get("DOCKD_VM_SEED", "20261128"))
CUTS = int(os.environ.get("DOCKD_VM_CUTS", "3"))
SPEED = 2 << 20
LONGEST_S = 14.0
BAYS = ("A1", "A2")
BEGUN = ("copying", "verifying", "done", "done_late")


@contextmanager
def powered(saved: Path, disk: Path, cuts: int) -> Iterator[tuple[Machine, StrictDisk, int]]:
    """The station switched on with that disk after so many cuts, all that its register claims to have being there.

    The number is that of copies that had their name and were not yet written down: the start does that.
    """
    with tempfile.TemporaryDirectory(prefix="dockd-nbd-") as folder:
        strict = StrictDisk(disk, Path(folder))
        try:
            with vm_machine.resumed(saved, strict.second) as guest:
                claimed = vm_power.switch_on(guest)
                lost = {name: claimed[name] for name in ("missing", "altered", "unreadable")}
                assert not any(lost.values()), f"seed {SEED}, after {cuts} cuts: {lost}"
                yield guest, strict, len(claimed["unregistered"])
        finally:
            strict.cut_power()


def plug_all(guest: Machine, cards: dict[str, Card]) -> None:
    guest.slow_down("slow", SPEED)
    for bay, card in cards.items():
        dock(guest, bay, card, throttle="slow")


@pytest.mark.long
def test_power_cuts_lose_nothing_claim_nothing_and_need_nobody(
    saved: Path, tmp_path: Path, make_card: MakeCard, figure: Callable[[str], None]
) -> None:
    chance = random.Random(SEED)
    disk = vm_power.new_disk(tmp_path / "evidence.raw")
    rounds: list[dict[str, Card]] = []
    unwritten = 0
    for number in range(CUTS):
        # New cards when the old ones may well be through.
        if number % 3 == 0:
            rounds.append({bay: make_card(bay, files=2, file_mib=12, seed=number) for bay in BAYS})
        with powered(saved, disk, number) as (guest, strict, named):
            unwritten += named
            plug_all(guest, rounds[-1])
            # From the first byte on: what comes before it writes nothing that could be lost.
            wait_for(guest, f"[name for name in {BAYS} if bay(name)['state'] in {BEGUN}]")
            time.sleep(chance.uniform(0, LONGEST_S))
            guest.cut_power()
            strict.cut_power()
    with powered(saved, disk, CUTS) as (guest, _strict, named):
        unwritten += named
        # What was docked before and is back is finished by itself.
        for cards in rounds:
            plugs = [dock(guest, bay, card)[0] for bay, card in cards.items()]
            for bay in cards:
                wait_for(guest, f"bay('{bay}')['state'].startswith('done')", 300)
            for plug, bay in zip(plugs, cards, strict=True):
                guest.pull(plug)
                wait_for(guest, f"bay('{bay}')['state'] == 'empty'")
        wait_for(guest, "not [v for v in visits() if not v['ended_at']]", 300)
        shown = wait_for(guest, "visits()").value
        # Cards of one bay have the same names: it is the bytes that must all be there.
        held = {one for row in shown for one in stored(visit(guest, row["id"])).items()}
        truth = {one for cards in rounds for card in cards.values() for one in card.truth.items()}
        assert held == truth
        assert len(truth) == sum(len(card.truth) for cards in rounds for card in cards.values())
        guest.run("dockd verify && dockd ledger verify", patience_s=300)
    interrupted = sum(row["reason"] == "interrupted" for row in shown)
    assert interrupted >= CUTS // 2, f"only {interrupted} visits were cut short: the cuts come at the wrong time"
    figure(
        f"{CUTS} power cuts, seed {SEED}, {interrupted} visits cut short, {unwritten} between name and register: "
        f"files lost 0 of {len(truth)}, false 'stored' 0, manual steps 0"
    )
