"""Cards that are plugged in and pulled out, with a real kernel, systemd and udev."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from vm_cards import Card, MakeCard
from vm_machine import Machine
from vm_station import BAYS, recorder_of, stored, visit, wait_for

Figure = Callable[[str], None]


def dock(guest: Machine, bay: str, card: Card, *, serial: str | None = None, **how: Any) -> tuple[str, float]:
    """The recorder of a bay is put into it. Returns the plug and the moment."""
    began = time.time()
    return guest.plug(BAYS[bay], card.image, serial=serial or recorder_of(bay)[1], **how), began


def safe_visit(guest: Machine, bay: str, patience_s: float = 120) -> tuple[dict[str, Any], float]:
    """The visit of a bay once its card may be removed and is described, and when that was first seen."""
    safe = wait_for(guest, f"[v for v in visits() if v['bay'] == '{bay}' and v['safe_at']][-1]['id']", patience_s)
    wait_for(guest, f"[v for v in visits() if v['id'] == {safe.value} and v['ended_at']]", patience_s)
    return visit(guest, safe.value), safe.at


@pytest.mark.core
@pytest.mark.parametrize(
    ("fs_type", "partitioned"), [("fat32", True), ("exfat", False), ("fat32", False), ("exfat", True)]
)
def test_a_card_is_stored_whole_and_not_a_byte_of_it_changes(
    guest: Machine, make_card: MakeCard, figure: Figure, fs_type: str, partitioned: bool
):
    card = make_card("A1", fs_type=fs_type, partitioned=partitioned)
    before = card.digest
    plug, began = dock(guest, "A1", card)
    shown, safe_at = safe_visit(guest, "A1")
    figure(f"{safe_at - began:.1f} s from plug-in to safe to remove")
    guest.pull(plug)
    assert stored(shown) == card.truth
    assert (shown["device_no"], shown["bay"], shown["outcome"]) == ("YS-01", "A1", "complete")
    assert card.digest == before
    guest.run(f"cd /var/lib/dockd/store && sha256sum --quiet -c {shown['manifest']}")
