"""Quarantine is kept for ever unless the agency says otherwise; what goes leaves its digest in the ledger first."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from dockd.offload.layout import QUARANTINE
from dockd.offload.remains import clear_quarantine, remains
from dockd.register.station import Station
from dockd.register.tables import EventRow


@pytest.fixture
def late(station: Station) -> Station:
    """The station forty days from now, where remains of today are to be removed after thirty."""
    store = station.settings.store.model_copy(update={"quarantine_days": 30})
    later = datetime.now(UTC) + timedelta(days=40)
    return replace(station, settings=replace(station.settings, store=store), now=lambda: later)


def put(station: Station, name: str, data: bytes = b"rest") -> Path:
    path = station.store / QUARANTINE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def removed(station: Station) -> list[str]:
    with station.register.read() as session:
        return list(session.scalars(select(EventRow.line).where(EventRow.kind == "quarantine.removed")))


def test_nothing_goes_by_itself(station: Station) -> None:
    kept = put(station, "a.mp4.part")
    assert clear_quarantine(station) == 0
    assert kept.exists()


def test_what_is_old_enough_goes_and_its_digest_stays_in_the_ledger(late: Station) -> None:
    old = put(late, "a.mp4.part", b"all that is left")
    assert clear_quarantine(late) == 1
    assert not old.exists()
    (line,) = removed(late)
    assert hashlib.sha256(b"all that is left").hexdigest() in line
    assert '"size":16' in line


def test_what_is_younger_stays(late: Station) -> None:
    kept = put(late, "b.part")
    early = replace(late, now=lambda: datetime.now(UTC) + timedelta(days=29))
    assert clear_quarantine(early) == 0
    assert kept.exists()


def test_links_and_folders_are_not_followed(late: Station, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"x")
    folder = late.store / QUARANTINE
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    assert list(remains(str(late.store))) == []
    assert clear_quarantine(late) == 0
    assert outside.exists()
