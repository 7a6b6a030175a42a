"""What the register's tests share: a ledger to write to and a store to mirror it in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dockd.register import ledger
from dockd.register.session import Register

ZONE = ZoneInfo("Asia/Shanghai")
START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)

Tell = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty store."""
    root = tmp_path / "store"
    (root / ".dockd").mkdir(parents=True)
    (root / ".dockd/store.json").touch()
    return root


@pytest.fixture
def tell(register: Register) -> Tell:
    """``tell(5)`` appends five lines in one transaction; ``at`` is the time of the first, a minute each."""

    def tell(count: int = 1, *, at: datetime = START, station_no: str = "S1") -> None:
        lines = [
            ledger.Line("test.told", f"test:{number}", {"number": number}, at + timedelta(minutes=number))
            for number in range(count)
        ]
        with register.write() as session:
            ledger.append_many(session, station_no=station_no, actor="person:tester", lines=lines)

    return tell


@pytest.fixture
def mirror(register: Register, store: Path) -> Callable[[], int]:
    """``mirror()`` brings the store's copy of the ledger up to date."""
    return lambda: ledger.mirror_ledger(register, store, "S1", ZONE)


@pytest.fixture
def verify(register: Register, store: Path) -> Callable[..., ledger.LedgerReport]:
    """``verify()`` checks register and mirror."""
    return lambda **options: ledger.verify_ledger(register, store, "S1", **options)
