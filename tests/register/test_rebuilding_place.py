"""A new register takes the place of a lost one whole or not at all, and what stood there is never deleted."""

from __future__ import annotations

import os
import signal
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from dock import in_child
from sqlalchemy import URL, insert, select

from dockd.errors import RegisterAbsent
from dockd.register import disk
from dockd.register.rebuilding.place import new_register
from dockd.register.session import open_register
from dockd.register.tables import LedgerHeadRow

OLD = b"what stood there" * 64
STAMP = "20261123-100000"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "odd %41 name" / "register.db"


def url(path: Path) -> str:
    return URL.create("sqlite", database=str(path)).render_as_string()


def make(path: Path, seq: int = 1) -> str | None:
    """A register that holds one row takes the place of what is at ``path``; returns where that is kept."""
    with new_register(url(path), wait_s=1, stamp=STAMP) as making:
        making.session.execute(insert(LedgerHeadRow).values(station_no="S1", seq=seq, sha256="x"))
    return making.aside


def seq_at(path: Path) -> int:
    register = open_register(url(path))
    try:
        with register.read() as session:
            return session.scalars(select(LedgerHeadRow.seq)).one()
    finally:
        register.close()


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.parent.iterdir()}


def test_it_stands_in_one_file_where_nothing_was(path: Path) -> None:
    path.parent.mkdir()
    assert make(path) is None
    assert seq_at(path) == 1
    assert path.stat().st_mode & 0o777 == disk.FILE_MODE
    assert {name for name in names(path) if not name.endswith(("-wal", "-shm"))} == {"register.db"}


def test_what_stood_there_is_kept_with_all_that_belongs_to_it(path: Path) -> None:
    path.parent.mkdir()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").write_bytes(OLD + suffix.encode())
    aside = make(path)
    assert aside == f"{path}.damaged-{STAMP}"
    assert [Path(f"{aside}{suffix}").read_bytes() for suffix in ("", "-wal", "-shm")] == [
        OLD,
        OLD + b"-wal",
        OLD + b"-shm",
    ]
    assert seq_at(path) == 1
    assert make(path, seq=2) == f"{path}.damaged-{STAMP}.1"
    assert seq_at(path) == 2


def test_a_link_to_a_register_stays_a_link(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk/register.db").write_bytes(OLD)
    path.symlink_to(tmp_path / "disk/register.db")
    make(path)
    assert path.is_symlink()
    assert seq_at(path) == 1
    assert (tmp_path / f"disk/register.db.damaged-{STAMP}").read_bytes() == OLD


def test_a_block_that_fails_changes_nothing(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(OLD)

    def fail() -> None:
        with new_register(url(path), wait_s=1, stamp=STAMP):
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert names(path) == {"register.db"}
    assert path.read_bytes() == OLD


def make_and_die(path: Path, module: ModuleType, act: str, nth: int) -> None:
    """Makes a register, but is killed instead of doing ``act`` for the ``nth`` time."""
    real, left = getattr(module, act), count(nth, -1)

    def do(*arguments: Any) -> Any:
        if next(left) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)

    setattr(module, act, do)
    make(path)


@pytest.mark.parametrize(
    ("module", "act", "nth"),
    [
        *((disk, "sync_file", nth) for nth in (1, 2)),
        *((disk, "give_name", nth) for nth in (1, 2)),
        *((disk, "sync_folder", nth) for nth in (1, 2, 3)),
        *((os, "rename", nth) for nth in (1, 2, 3)),
    ],
)
def test_a_crash_leaves_the_old_one_or_none_and_the_next_try_makes_it_whole(
    path: Path, module: ModuleType, act: str, nth: int
) -> None:
    path.parent.mkdir()
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").write_bytes(OLD + suffix.encode())
    assert in_child(lambda: make_and_die(path, module, act, nth)) == -signal.SIGKILL
    kept = [entry for entry in path.parent.iterdir() if entry.read_bytes() == OLD]
    assert len(kept) == 1
    if path.exists() and kept[0] != path:
        assert seq_at(path) == 1
        return
    if kept[0] != path:
        with pytest.raises(RegisterAbsent):
            open_register(url(path))
    make(path, seq=3)
    assert seq_at(path) == 3
    assert [entry for entry in path.parent.iterdir() if entry.read_bytes() == OLD]
    assert not [name for name in names(path) if "rebuilding" in name]
