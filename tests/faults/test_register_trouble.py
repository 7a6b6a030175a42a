"""The register locked, full, read-only, failing, corrupt, absent or unreachable: exit 4 or 5, nothing is lost."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import disks
import pytest
from bureau import STATION_YAML, Bureau, found_bureau
from postgres import Server
from troubles import (
    Acts,
    at_once,
    configure,
    ends_complete,
    fails,
    fails_in_both_languages,
    lay_card,
    move_register,
    need,
    nth,
    stored,
    truth,
    workers,
)

from dockd.errors import (
    RegisterAbsent,
    RegisterCorrupt,
    RegisterFailing,
    RegisterFull,
    RegisterLocked,
    RegisterReadOnly,
    RegisterUnreachable,
)
from dockd.offload.steps import Step

pytestmark = pytest.mark.usefixtures("small_chunks", "deadline")

MIB = 1 << 20
WAIT_S = 1

MIDDLE = [
    Step.PLAN_KEPT,
    Step.TEMP_CREATED,
    Step.MARK_KEPT,
    Step.TEMP_SYNCED,
    Step.VERIFIED_KEPT,
    Step.RENAMED,
    Step.STORED_KEPT,
]
"""Places in a visit at which the register fails."""


# --- locked ----------------------------------------------------------------------------------------------


class Locker:
    """Another program that has the register open: it takes the writer's turn, or all of it, and keeps it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._to, self._from = process.stdin.fileno(), process.stdout.fileno()

    def take(self, seconds: float = 3600) -> None:
        """The lock is held when this returns, for so long. Any process may call it."""
        os.write(self._to, b"take %d\n" % (seconds * 1000))
        assert os.read(self._from, 1) == b"."

    def release(self) -> None:
        os.write(self._to, b"release\n")
        assert os.read(self._from, 1) == b"."


_LOCKER = """
import select, sqlite3, sys
register = sqlite3.connect(sys.argv[1], isolation_level=None)
limit = None
while True:
    ready = select.select([sys.stdin], [], [], limit)[0]
    line = sys.stdin.readline().split() if ready else ["release", ""]
    if not line:
        break
    if line[0] == "take":
        register.execute("BEGIN IMMEDIATE")
        limit = int(line[1]) / 1000
    else:
        register.execute("ROLLBACK")
        limit = None
    if ready:
        sys.stdout.write(".")
        sys.stdout.flush()
"""


@pytest.fixture
def locker(bureau: Bureau) -> Iterator[Locker]:
    configure(bureau, "wait_s: 10", f"wait_s: {WAIT_S}")
    with subprocess.Popen(
        [sys.executable, "-c", _LOCKER, bureau.folder / "register.db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        yield Locker(process)


def test_a_register_that_another_program_keeps_is_waited_for_and_told(bureau: Bureau, locker: Locker) -> None:
    files = lay_card(bureau)
    locker.take()
    begun = time.monotonic()
    told = fails(bureau, RegisterLocked)
    assert WAIT_S <= time.monotonic() - begun < 10
    assert f"waited {WAIT_S} s" in told
    fails(bureau, RegisterLocked, language="zh")
    locker.release()
    ends_complete(bureau, files)


@pytest.mark.parametrize("step", at_once(MIDDLE, Step.MARK_KEPT))
def test_a_register_that_is_taken_in_the_middle_ends_the_visit_in_time_and_loses_nothing(
    bureau: Bureau, locker: Locker, at_step: Acts, step: Step
) -> None:
    files = lay_card(bureau)
    with at_step({step: nth(1, locker.take)}):
        begun = time.monotonic()
        fails(bureau, RegisterLocked)
        assert time.monotonic() - begun < WAIT_S + 20
    locker.release()
    stored(bureau)
    ends_complete(bureau, files)


def test_a_register_that_is_busy_for_a_moment_only_costs_that_moment(
    bureau: Bureau, locker: Locker, at_step: Acts
) -> None:
    configure(bureau, f"wait_s: {WAIT_S}", "wait_s: 20")
    files = lay_card(bureau)
    with at_step({Step.MARK_KEPT: nth(2, lambda: locker.take(0.7))}):
        ends_complete(bureau, files)


# --- full, read-only, failing --------------------------------------------------------------------------------


@need(disks.root)
@pytest.mark.parametrize("step", at_once([None, *MIDDLE], Step.MARK_KEPT))
def test_a_register_whose_disk_is_full_is_told_apart_from_a_full_store(
    bureau: Bureau, tmp_path: Path, at_step: Acts, step: Step | None
) -> None:
    files = lay_card(bureau)
    with disks.tmpfs(tmp_path / "disk", size=4 * MIB) as disk:
        move_register(bureau, disk)
        if step:
            with at_step({step: nth(1, lambda: disks.brim(disk))}):
                fails(bureau, RegisterFull)
        for language in ("en", "zh"):
            disks.brim(disk)  # what the last run has given back, too
            fails(bureau, RegisterFull, language=language)
        for ballast in disk.glob("ballast*"):
            ballast.unlink()
        stored(bureau)
        assert bureau.alerts("store_full") == [], "it is not the store that is full"
        ends_complete(bureau, files)


@need(disks.root)
@pytest.mark.parametrize("step", at_once([None, *MIDDLE], Step.VERIFIED_KEPT))
def test_a_register_whose_disk_turns_read_only_ends_the_visit_and_loses_nothing(
    bureau: Bureau, tmp_path: Path, at_step: Acts, step: Step | None
) -> None:
    files = lay_card(bureau, alone=True)
    image, at = tmp_path / "image", tmp_path / "disk"
    with disks.ext4(image, at, size=16 * MIB, options="errors=remount-ro") as disk:
        move_register(bureau, disk)
        if step:
            with at_step({step: nth(1, lambda: disks.break_ext4(disk))}):
                fails(bureau, RegisterReadOnly, RegisterFailing)  # the journal that was cut off answers EIO
        else:
            disks.remount(disk, writable=False)
        fails_in_both_languages(bureau, RegisterReadOnly)
    with disks.ext4(image, at, size=0):
        stored(bureau)
        ends_complete(bureau, files)


@need(disks.root)
@pytest.mark.parametrize("step", at_once(MIDDLE, Step.MARK_KEPT))
def test_a_register_whose_disk_dies_in_mid_copy_leaves_a_store_that_can_be_recovered(
    bureau: Bureau, tmp_path: Path, at_step: Acts, step: Step
) -> None:
    files = lay_card(bureau, alone=True)
    image, at = tmp_path / "image", tmp_path / "disk"
    with disks.ext4(image, at, size=16 * MIB) as disk:
        move_register(bureau, disk)
        with at_step({step: nth(1, lambda: disks.shut_down(disk))}):
            fails(bureau, RegisterFailing)
        fails(bureau, RegisterFailing, language="zh")
    with disks.ext4(image, at, size=0):
        stored(bureau)
        ends_complete(bureau, files)


@need(disks.root)
def test_a_register_whose_disk_is_unmounted_is_never_made_anew_under_it(
    bureau: Bureau, tmp_path: Path, at_step: Acts
) -> None:
    files = lay_card(bureau)
    image, at = tmp_path / "image", tmp_path / "disk"
    with disks.ext4(image, at, size=16 * MIB) as disk:
        move_register(bureau, disk)
        with at_step({Step.MARK_KEPT: nth(1, lambda: disks.detach(disk))}):
            # Connections that are open already go on writing to the disk that was taken away.
            result = bureau.run("offload", bureau.card, config=bureau.config)
            assert result.exit_code in (0, 4)
        fails_in_both_languages(bureau, RegisterAbsent)
    assert list(at.iterdir()) == []
    with disks.ext4(image, at, size=0):
        summary = bureau.offload()
        assert summary["outcome"] == "complete"
        assert sorted(stored(bureau).values()) == sorted(files.values())
        bureau.prove(summary)


# --- absent ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["register.db", "the folder"])
def test_a_lost_register_is_never_replaced_by_an_empty_one(bureau: Bureau, lost: str) -> None:
    files = lay_card(bureau)
    bureau.offload()
    folder = bureau.folder / "books"
    folder.mkdir()
    file = move_register(bureau, folder)
    away = bureau.folder / "away"
    (file if lost == "register.db" else folder).rename(away)
    before = sorted(bureau.store.rglob("*"))
    told = fails(bureau, RegisterAbsent)
    assert "dockd rebuild" in told
    assert str(bureau.store) in told
    fails(bureau, RegisterAbsent, language="zh")
    assert not file.exists()
    assert sorted(bureau.store.rglob("*")) == before
    away.rename(file if lost == "register.db" else folder)
    summary = bureau.offload()
    assert summary["bytes_read"] == 0
    assert {f["path"]: f["sha256"] for f in summary["files"]} == files


# --- corrupt ----------------------------------------------------------------------------------------------------


def _page_size(data: bytes) -> int:
    return int.from_bytes(data[16:18], "big")


def _overwritten(data: bytes, start: int, end: int) -> bytes:
    return data[:start] + random.Random(1).randbytes(end - start) + data[end:]


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "its first words": lambda data: _overwritten(data, 0, 16),
    "its header": lambda data: _overwritten(data, 16, 100),
    "its first page": lambda data: _overwritten(data, 100, _page_size(data)),
    "all behind its first page": lambda data: _overwritten(data, _page_size(data), len(data)),
    "its middle": lambda data: _overwritten(data, len(data) // 4, len(data) * 3 // 4),
    "cut to a half": lambda data: data[: len(data) // 2],
    "cut to its first page": lambda data: data[: _page_size(data)],
    "cut within its first page": lambda data: data[:700],
    "cut to a hundred bytes": lambda data: data[:100],
    "empty": lambda data: b"",
    "another file": lambda data: b"PK\x03\x04" + bytes(5000),
}


@pytest.mark.parametrize("what", at_once(SPOILED, "its header", "its middle", "empty"))
def test_a_corrupt_register_is_exit_5_names_the_rebuild_and_is_left_as_it_is(bureau: Bureau, what: str) -> None:
    lay_card(bureau)
    bureau.offload()
    file = bureau.folder / "register.db"
    good = file.read_bytes()
    file.write_bytes(SPOILED[what](good))
    spoiled = file.read_bytes()
    before = {path: path.stat().st_mtime_ns for path in bureau.store.rglob("*") if path.is_file()}
    told = fails(bureau, RegisterCorrupt, code=5)
    assert "dockd rebuild" in told
    assert str(file) in told
    assert "dockd rebuild" in fails(bureau, RegisterCorrupt, code=5, language="zh")
    assert file.read_bytes() == spoiled
    assert {path: path.stat().st_mtime_ns for path in bureau.store.rglob("*") if path.is_file()} == before
    for leftover in ("register.db-wal", "register.db-shm"):
        (bureau.folder / leftover).unlink(missing_ok=True)
    file.write_bytes(good)
    assert bureau.offload()["bytes_read"] == 0


@pytest.mark.slow
def test_a_register_with_any_one_page_spoiled_is_told_or_does_no_harm(bureau: Bureau, tmp_path: Path) -> None:
    """Pages that a visit does not need may pass unseen by it: ``dockd check`` reads them all."""
    lay_card(bureau, large=1000)
    bureau.offload()
    bureau.record(9)
    files = truth(bureau)
    file, whole = bureau.folder / "register.db", tmp_path / "whole"
    shutil.copytree(bureau.folder, whole)
    good = file.read_bytes()
    size = _page_size(good)
    codes = []
    for page in random.Random(7).sample(range(len(good) // size), 30):
        file.write_bytes(_overwritten(good, page * size, (page + 1) * size))
        result = bureau.run("offload", bureau.card, config=bureau.config)
        assert result.exit_code in (0, 5), f"page {page}: {result.stderr}"
        if result.exit_code == 5:
            assert "dockd rebuild" in result.stderr
        else:
            assert sorted(stored(bureau).values()) == sorted(files.values())
        codes.append(result.exit_code)
        shutil.rmtree(bureau.folder)
        shutil.copytree(whole, bureau.folder)
    assert codes.count(5) > 3
    ends_complete(bureau, files)


# --- PostgreSQL ---------------------------------------------------------------------------------------------------


@pytest.fixture
def on_postgresql(
    postgres_server: Server, tmp_path: Path, run_cli: Callable[..., Any], clock: Any
) -> Iterator[tuple[Bureau, Server]]:
    """A bureau whose register is on a server that can be stopped; it runs again afterwards."""
    database = postgres_server.create()
    folder = tmp_path / "station"
    found_bureau(folder, STATION_YAML.replace("sqlite:///register.db", postgres_server.url(database)))
    bureau = Bureau(folder, run_cli, clock)
    configure(bureau, "wait_s: 10", f"wait_s: {WAIT_S}")
    yield bureau, postgres_server
    if not postgres_server.is_running():
        postgres_server.resume()
    postgres_server.drop(database)


@pytest.mark.slow
@pytest.mark.postgresql
def test_a_server_that_does_not_run_is_told_and_the_next_run_completes(on_postgresql: tuple[Bureau, Server]) -> None:
    bureau, server = on_postgresql
    files = lay_card(bureau)
    server.stop()
    begun = time.monotonic()
    fails_in_both_languages(bureau, RegisterUnreachable)
    assert time.monotonic() - begun < 20
    server.resume()
    ends_complete(bureau, files)


@pytest.mark.postgresql
@pytest.mark.parametrize("step", at_once(MIDDLE, Step.MARK_KEPT))
def test_a_server_that_stops_in_the_middle_ends_the_visit_and_loses_nothing(
    on_postgresql: tuple[Bureau, Server], at_step: Acts, step: Step
) -> None:
    bureau, server = on_postgresql
    files = lay_card(bureau)
    with at_step({step: nth(1, server.stop)}):
        fails(bureau, RegisterUnreachable)
    fails(bureau, RegisterUnreachable, language="zh")
    server.resume()
    stored(bureau)
    ends_complete(bureau, files)


@pytest.mark.slow
@pytest.mark.postgresql
def test_connections_that_the_server_ends_between_two_transactions_are_made_anew(
    on_postgresql: tuple[Bureau, Server], at_step: Acts
) -> None:
    bureau, server = on_postgresql
    files = lay_card(bureau)
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND state = 'idle'"
    with at_step({Step.PLAN_KEPT: nth(1, lambda: server.run(ending))}):
        ends_complete(bureau, files)


@pytest.mark.slow
@pytest.mark.postgresql
def test_a_table_that_another_session_keeps_is_waited_for_and_told(on_postgresql: tuple[Bureau, Server]) -> None:
    import psycopg

    bureau, _server = on_postgresql
    files = lay_card(bureau)
    url = bureau.config.read_text(encoding="utf-8").split('url: "')[1].split('"')[0]
    with psycopg.connect(url.replace("+psycopg", "")) as other:
        other.execute("LOCK TABLE visit IN SHARE MODE")
        fails_in_both_languages(bureau, RegisterLocked)
        other.rollback()
    ends_complete(bureau, files)
    assert workers() == []
