"""The store full, over quota, read-only, failing or gone: everything waits, nothing is lost, the next run completes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import disks
import faultfs
import pytest
from bureau import Bureau, kinds, media, outcomes
from dock import once
from faultstore import FaultyStore, Refusal, faulty_store
from troubles import (
    ends_complete,
    fails,
    fails_in_both_languages,
    move_store,
    sha256,
    stored,
    temps,
    truth,
)

from dockd.errors import StoreFailing, StoreFull, StoreMissing, StoreReadOnly
from dockd.offload.steps import Step

pytestmark = pytest.mark.usefixtures("small_chunks", "deadline")

MIB = 1 << 20


def need(*marks: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The marks of a test that needs root or FUSE."""

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        for one in (mark for group in marks for mark in group):
            test = one(test)
        return test

    return mark


def lay_card(bureau: Bureau, *, large: int = 3 * MIB) -> dict[str, str]:
    """Some small recordings, a large one, and another small one after it; returns their digests."""
    bureau.record(8.0, media("first", 50_000))
    bureau.record(8.1, media("second", 70_000))
    bureau.record(9.0, media("large", large))
    bureau.record(9.5, media("last", 60_000))
    return truth(bureau)


# --- full ------------------------------------------------------------------------------------------------


@need(disks.root)
def test_a_full_store_is_told_and_alerted_and_the_next_run_goes_on(bureau: Bureau, tmp_path: Path) -> None:
    files = lay_card(bureau, large=6 * MIB)
    with disks.tmpfs(tmp_path / "disk", size=4 * MIB) as disk:
        move_store(bureau, disk)
        fails_in_both_languages(bureau, StoreFull)
        assert len(stored(bureau)) == 2, "what was proven before stays"
        assert temps(bureau) == []
        (alert,) = bureau.alerts("store_full")
        assert alert["state"] == "open"
        disks.resize(disk, size=20 * MIB)
        ends_complete(bureau, files)
        assert [a["state"] for a in bureau.alerts("store_full")] == ["closed"]
