"""A visit's manifest stands in the folder of its day, whatever was stored that day."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from bureau import Bureau, outcomes

from dockd.errors import StoreMissing
from dockd.visit.request import Phase, Progress


def test_a_later_day_on_which_nothing_is_new_has_its_manifest(bureau: Bureau, clock: Any) -> None:
    path = bureau.record(8)
    bureau.offload()
    clock.move(days=1)
    summary = bureau.offload()
    assert outcomes(summary) == {path: "already_stored"}
    assert summary["manifest"] == "footage/2026/11/24/YS-07/visit-000002.sha256"
    bureau.prove(summary)


def test_under_a_store_that_is_not_mounted_any_more_no_folder_is_made(bureau: Bureau, clock: Any) -> None:
    bureau.record(8)
    bureau.offload()
    clock.move(days=1)

    def unmount(progress: Progress) -> None:
        if progress.phase is Phase.DESCRIBING:
            shutil.move(bureau.store, bureau.folder / "unmounted")
            bureau.store.mkdir()

    with pytest.raises(StoreMissing):
        bureau.attend(watch=unmount)
    assert list(bureau.store.iterdir()) == []
