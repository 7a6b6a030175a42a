"""The forgetful file system is a file system, and a cut takes what was not synced and nothing else."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from cuts import in_child
from forgetful import Disk, Manner, forgetful, fuse
from medium import ALL, DATA, NAMES, NOTHING, Fate, Image, Medium

from dockd.offload import durable

pytestmark = fuse


@pytest.fixture
def begin(tmp_path: Path) -> Path:
    """What lies on the medium before: ``old`` with 2000 bytes, and an empty folder."""
    folder = tmp_path / "begin"
    (folder / "folder").mkdir(parents=True)
    (folder / "old").write_bytes(b"o" * 2000)
    return folder


@contextlib.contextmanager
def mounted(begin: Path, manner: Manner | None = None) -> Iterator[Disk]:
    with forgetful(begin, begin.with_name("mnt"), manner) as disk:
        yield disk


def write(path: Path, data: bytes, *, sync: bool) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        if sync:
            os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    durable.fsync_directory(str(path))


def left(disk: Disk, fate: Fate = NOTHING) -> dict[str, bytes]:
    """What a cut at the end leaves, by path."""
    trace = disk.trace()
    return contents(trace.at(len(trace), fate))


def contents(image: Image) -> dict[str, bytes]:
    return {path: leaf.data for path, leaf in image.files.items()}


# --- a file system ----------------------------------------------------------------------------------------------


def test_what_was_written_is_read_and_what_was_there_too(begin: Path) -> None:
    with mounted(begin) as disk:
        write(disk.path / "folder/new", b"n" * 300_000, sync=False)
        assert (disk.path / "folder/new").read_bytes() == b"n" * 300_000
        assert (disk.path / "old").read_bytes() == b"o" * 2000
        assert sorted(os.listdir(disk.path)) == ["folder", "old"]
        with (disk.path / "folder/new").open("ab") as file:
            file.write(b"end")
        os.truncate(disk.path / "old", 100)
        assert ((disk.path / "folder/new").stat().st_size, (disk.path / "old").stat().st_size) == (300_003, 100)


def test_a_name_that_is_taken_is_never_replaced_on_either_path(begin: Path) -> None:
    for manner in (Manner(), Manner(renames_flagged=False)):
        with mounted(begin, manner) as disk:
            write(disk.path / "new", b"n", sync=False)
            with pytest.raises(FileExistsError):
                durable.rename_without_replacing(str(disk.path / "new"), str(disk.path / "old"))
            durable.rename_without_replacing(str(disk.path / "new"), str(disk.path / "folder/new"))
            assert os.listdir(disk.path / "folder") == ["new"]
        used = {call[0] for call in disk.trace().log} & {"link", "rename"}
        assert used == ({"rename"} if manner.renames_flagged else {"link"})


def test_without_flags_renameat2_says_that_it_does_not_know_them(begin: Path) -> None:
    with mounted(begin, Manner(renames_flagged=False)) as disk:
        libc = ctypes.CDLL(None, use_errno=True)
        names = [os.fsencode(disk.path / name) for name in ("old", "new")]
        assert libc.renameat2(-100, names[0], -100, names[1], 1) == -1
        assert ctypes.get_errno() == errno.EINVAL


def test_hard_links_are_one_file(begin: Path) -> None:
    with mounted(begin) as disk:
        os.link(disk.path / "old", disk.path / "folder/other")
        assert durable.same_file(str(disk.path / "old"), str(disk.path / "folder/other"))
        assert (disk.path / "old").stat().st_nlink == 2
    trace = disk.trace()
    laid = trace.at(len(trace), ALL).lay(begin.with_name("laid"))
    assert (laid / "old").samefile(laid / "folder/other")


def test_an_open_file_outlives_its_name(begin: Path) -> None:
    with mounted(begin) as disk, (disk.path / "old").open("r+b") as file:
        os.unlink(disk.path / "old")
        assert os.listdir(disk.path) == ["folder"]
        file.write(b"still")
        file.flush()
        file.seek(0)
        assert file.read(5) == b"still"
        os.ftruncate(file.fileno(), 3)
        assert os.pread(file.fileno(), 5, 0) == b"sti"


def test_space_is_reserved_by_the_real_call(begin: Path) -> None:
    with mounted(begin) as disk:
        fd = durable.create_temp(str(disk.path / "temp"))
        durable.preallocate(fd, 100_000)
        os.close(fd)
        assert (disk.path / "temp").stat().st_size == 100_000
    assert "write" not in disk.trace().names(), "glibc's stand-in would have written"


def test_locks_are_seen_by_others_and_end_with_their_process(begin: Path) -> None:
    def is_taken(path: Path) -> bool:
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    with mounted(begin) as disk:
        with (disk.path / "old").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            assert in_child(lambda: is_taken(disk.path / "old")) == (0, True)
        assert in_child(lambda: is_taken(disk.path / "old")) == (0, False)


def test_memory_is_shared_through_a_file(begin: Path) -> None:
    with mounted(begin) as disk, (disk.path / "old").open("r+b") as file, mmap.mmap(file.fileno(), 2000) as memory:

        def change() -> None:
            with (disk.path / "old").open("r+b") as own, mmap.mmap(own.fileno(), 2000) as shared:
                shared[:4] = b"seen"

        in_child(change)
        assert memory[:4] == b"seen"


# --- that forgets ------------------------------------------------------------------------------------------------


def test_bytes_that_were_not_synced_are_forgotten_and_those_that_were_are_not(begin: Path) -> None:
    with mounted(begin) as disk, (disk.path / "old").open("r+b") as file:
        file.write(b"first")
        file.flush()
        os.fdatasync(file.fileno())
        file.write(b"second")
    assert left(disk)["old"] == b"first" + b"o" * 1995
    assert left(disk, ALL)["old"] == b"firstsecond" + b"o" * 1989


def test_a_size_is_forgotten_with_its_bytes(begin: Path) -> None:
    with mounted(begin) as disk:
        os.truncate(disk.path / "old", 10)
        write(disk.path / "new", b"n" * 5000, sync=False)
        sync_folder(disk.path)
    assert left(disk) == {"old": b"o" * 2000, "new": b""}


def test_a_name_is_made_durable_by_its_folder_and_by_nothing_else(begin: Path) -> None:
    with mounted(begin) as disk:
        write(disk.path / "folder/one", b"1", sync=True)
        (disk.path / "folder/inner").mkdir()
        write(disk.path / "folder/inner/two", b"2", sync=True)
        sync_folder(disk.path / "folder/inner")
        disk.say("not yet")
        sync_folder(disk.path / "folder")
    trace = disk.trace()
    assert list(contents(trace.at(trace.log.index(("say", "not yet")), NOTHING))) == ["old"]
    assert sorted(left(disk)) == ["folder/inner/two", "folder/one", "old"]


def test_before_its_folder_is_synced_nothing_of_a_new_folder_is_left(begin: Path) -> None:
    with mounted(begin) as disk:
        (disk.path / "new").mkdir()
        write(disk.path / "new/one", b"1", sync=True)
        sync_folder(disk.path / "new")
    assert list(left(disk)) == ["old"]
    assert sorted(left(disk, NAMES)) == ["new/one", "old"]


def test_a_rename_in_one_folder_is_kept_whole_or_not_at_all(begin: Path) -> None:
    with mounted(begin) as disk:
        os.rename(disk.path / "old", disk.path / "new")
    found = {tuple(left(disk, Fate(seed))) for seed in range(30)}
    assert found == {("old",), ("new",)}


def test_a_rename_between_folders_may_leave_either_name_both_or_none(begin: Path) -> None:
    with mounted(begin) as disk:
        os.rename(disk.path / "old", disk.path / "folder/new")
    found = {tuple(left(disk, Fate(seed))) for seed in range(60)}
    assert found == {("old",), ("folder/new",), ("folder/new", "old"), ()}


def test_an_unlink_may_be_kept_without_the_link_before_it(begin: Path) -> None:
    with mounted(begin) as disk:
        os.link(disk.path / "old", disk.path / "new")
        os.unlink(disk.path / "old")
    found = {tuple(left(disk, Fate(seed))) for seed in range(60)}
    assert found == {("old",), ("new",), ("new", "old"), ()}


def test_a_rename_may_be_kept_without_its_data(begin: Path) -> None:
    with mounted(begin) as disk:
        write(disk.path / "temp", b"t" * 3000, sync=False)
        os.rename(disk.path / "temp", disk.path / "final")
    assert left(disk, NAMES)["final"] == b""
    assert "final" not in left(disk, DATA)


def test_writes_are_kept_in_any_order_and_torn_at_sectors(begin: Path) -> None:
    with mounted(begin) as disk, (disk.path / "old").open("r+b", buffering=0) as file:
        file.write(b"a" * 1024)
        file.write(b"b" * 976)
    sectors = {tuple(data[start : start + 512][0] for start in range(0, 2000, 512)) for data in torn(disk, 200)}
    assert {first for first, *_ in sectors} == {ord("a"), ord("o")}
    assert (ord("o"), ord("a"), ord("o"), ord("b")) in sectors
    assert all(len(set(data[at : at + 512])) == 1 for data in torn(disk, 50) for at in range(0, 2000, 512))


def torn(disk: Disk, seeds: int) -> list[bytes]:
    return [left(disk, Fate(seed))["old"] for seed in range(seeds)]


def test_fdatasync_keeps_bytes_and_size_and_neither_mode_nor_time(begin: Path) -> None:
    with mounted(begin) as disk:
        fd = os.open(disk.path / "old", os.O_RDWR)
        os.pwrite(fd, b"x" * 3000, 0)
        os.fchmod(fd, 0o400)
        os.utime(fd, ns=(1, 1))
        os.fdatasync(fd)
        disk.say("data")
        os.fsync(fd)
        os.close(fd)
    trace = disk.trace()
    before = trace.at(trace.log.index(("say", "data")), NOTHING).files["old"]
    after = trace.at(len(trace), NOTHING).files["old"]
    assert (before.data, before.mode == 0o400, before.mtime_ns == 1) == (b"x" * 3000, False, False)
    assert (after.mode, after.mtime_ns) == (0o400, 1)


# --- that can be cut, and lies ---------------------------------------------------------------------------------------


def test_at_the_cut_the_victim_dies_and_nothing_after_it_is_done(begin: Path) -> None:
    def life() -> None:
        disk.kill_at(3, os.getpid(), cut=True)
        for number in range(10):
            (disk.path / f"folder/{number}").mkdir()

    with mounted(begin) as disk:
        assert in_child(life)[0] == -signal.SIGKILL
        with pytest.raises(OSError, match="Input/output error"):
            (disk.path / "late").mkdir()
    assert disk.trace().names() == ["create"] * 3


def test_a_kill_without_a_cut_leaves_the_file_system_at_work(begin: Path) -> None:
    def life() -> None:
        disk.kill_at(("unlink", "old"), os.getpid(), cut=False)
        (disk.path / "new").mkdir()
        os.unlink(disk.path / "old")

    with mounted(begin) as disk:
        assert in_child(life)[0] == -signal.SIGKILL
        assert sorted(os.listdir(disk.path)) == ["folder", "new", "old"]
        os.unlink(disk.path / "old")


def test_reads_of_what_was_not_synced_can_return_other_bytes(begin: Path) -> None:
    with mounted(begin, Manner(lies_below="/folder/")) as disk:
        fd = os.open(disk.path / "folder/new", os.O_RDWR | os.O_CREAT)
        os.pwrite(fd, b"n" * 4096, 0)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(fd, 4096, 0) != b"n" * 4096
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(fd, 4096, 0) == b"n" * 4096
        os.close(fd)


@pytest.mark.parametrize(("level", "survives"), [("FULL", True), ("OFF", False)])
def test_a_committed_transaction_survives_where_sqlite_waits_for_the_medium(
    begin: Path, tmp_path: Path, level: str, survives: bool
) -> None:
    with contextlib.closing(sqlite3.connect(begin / "db")) as made:
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("CREATE TABLE told (word)")
    with mounted(begin) as disk:
        one = sqlite3.connect(disk.path / "db", isolation_level=None)
        other = sqlite3.connect(disk.path / "db", isolation_level=None)
        one.execute(f"PRAGMA synchronous={level}")
        one.execute("INSERT INTO told VALUES ('committed')")
        assert other.execute("SELECT word FROM told").fetchall() == [("committed",)]
        disk.say("committed")
        one.execute("BEGIN")
        one.execute("INSERT INTO told VALUES ('not yet')")
        other.close()
        one.close()
    trace = disk.trace()
    found = []
    for number, fate in enumerate((NOTHING, ALL, *map(Fate, range(20)))):
        image = trace.at(trace.log.index(("say", "committed")), fate).lay(tmp_path / str(number))
        with contextlib.closing(sqlite3.connect(image / "db")) as db:
            found.append(db.execute("SELECT word FROM told").fetchall() == [("committed",)])
    assert found[1], "a kill alone loses nothing"
    assert (all(found), found[0]) == (survives, survives)


def test_a_log_can_be_played_again_from_the_same_beginning(begin: Path) -> None:
    with mounted(begin) as disk:
        write(disk.path / "folder/new", b"n" * 5000, sync=True)
        os.rename(disk.path / "old", disk.path / "folder/old")
        seen = {str(path.relative_to(disk.path)): path.read_bytes() for path in disk.path.rglob("*") if path.is_file()}
    trace = disk.trace()
    assert contents(trace.at(len(trace), ALL)) == seen
    medium = Medium.load(begin)
    for call in trace.log:
        medium.play(call)
    assert medium.log == trace.log
