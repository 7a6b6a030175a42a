"""What each primitive leaves on the medium, and that its trouble is the store's."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import disks
import pytest

from dockd.errors import (
    StoreError,
    StoreFailing,
    StoreFull,
    StoreMissing,
    StoreNotPrivate,
    StoreReadOnly,
)
from dockd.offload import durable


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths whose contents were really fsynced, in order."""
    paths: list[str] = []
    real = os.fsync

    def note(fd: int) -> None:
        real(fd)
        paths.append(os.readlink(f"/proc/self/fd/{fd}"))

    monkeypatch.setattr(os, "fsync", note)
    return paths


def without_renameat2(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """As on a file system that does not know RENAME_NOREPLACE."""

    def refuse(*_: object) -> int:
        ctypes.set_errno(code)
        return -1

    monkeypatch.setattr(durable, "_libc", SimpleNamespace(renameat2=refuse))


WAYS = ["renameat2", errno.ENOSYS, errno.EINVAL, errno.ENOTSUP]


@pytest.fixture(params=WAYS, ids=lambda way: errno.errorcode.get(way, way))
def _each_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param != "renameat2":
        without_renameat2(monkeypatch, request.param)


# --- looking -----------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A folder that is a store."""
    (tmp_path / "store/.dockd").mkdir(parents=True)
    (tmp_path / "store/.dockd/store.json").touch()
    return tmp_path / "store"


def test_what_stands_in_the_store_is_told_from_what_does_not(store: Path) -> None:
    (store / "a").write_bytes(b"12345")
    os.symlink("nowhere", store / "b")
    for name in ("a", "b"):
        assert durable.look(str(store), name) is not None
    for name in ("c", "c/d", "a/d"):
        assert durable.look(str(store), name) is None


def test_a_store_that_is_not_mounted_does_not_say_what_it_holds(store: Path) -> None:
    os.rename(store, store.with_name("away"))
    store.mkdir()
    with pytest.raises(StoreMissing):
        durable.look(str(store), "a")


# --- names ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("_each_way")
def test_a_file_gets_its_name_in_one_step_and_loses_the_old_one(tmp_path: Path) -> None:
    old, new = tmp_path / "a.part", tmp_path / "a"
    old.write_bytes(b"bytes")
    durable.rename_without_replacing(str(old), str(new))
    assert (old.exists(), new.read_bytes()) == (False, b"bytes")


@pytest.mark.usefixtures("_each_way")
@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda p: p.symlink_to("nowhere")])
def test_a_name_that_is_taken_is_never_replaced(tmp_path: Path, make: Callable[[Path], None]) -> None:
    old, new = tmp_path / "a.part", tmp_path / "a"
    old.write_bytes(b"bytes")
    make(new)
    before = os.lstat(new)
    with pytest.raises(FileExistsError):
        durable.rename_without_replacing(str(old), str(new))
    assert old.read_bytes() == b"bytes"
    assert os.lstat(new).st_ino == before.st_ino


@pytest.mark.usefixtures("_each_way")
def test_two_names_of_one_file_are_not_taken_for_a_finished_rename(tmp_path: Path) -> None:
    old, new = tmp_path / "a.part", tmp_path / "a"
    old.write_bytes(b"bytes")
    os.link(old, new)
    with pytest.raises(FileExistsError):
        durable.rename_without_replacing(str(old), str(new))
    assert durable.same_file(str(old), str(new))


def test_a_rename_that_the_store_refuses_is_not_tried_in_another_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "a.part", tmp_path / "a"
    old.touch()
    without_renameat2(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        durable.rename_without_replacing(str(old), str(new))
    assert (old.exists(), new.exists()) == (True, False)


@pytest.mark.usefixtures("_each_way")
def test_a_symlink_is_renamed_itself_and_never_followed(tmp_path: Path) -> None:
    target, old, new = tmp_path / "target", tmp_path / "a.part", tmp_path / "a"
    target.touch()
    old.symlink_to("target")
    durable.rename_without_replacing(str(old), str(new))
    assert new.is_symlink()
    assert os.lstat(target).st_nlink == 1


def test_a_temp_never_takes_over_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.part"
    path.write_bytes(b"other")
    with pytest.raises(FileExistsError):
        durable.create_temp(str(path))
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(FileExistsError):
        durable.create_temp(str(path))
    assert not (tmp_path / "elsewhere").exists()


def test_one_file_under_two_names_is_told_from_two_files(tmp_path: Path) -> None:
    one, same, other = (str(tmp_path / name) for name in ("one", "same", "other"))
    Path(one).touch()
    Path(other).touch()
    os.link(one, same)
    assert durable.same_file(one, same)
    assert not durable.same_file(one, other)
    assert not durable.same_file(one, str(tmp_path / "absent"))


@pytest.mark.usefixtures("_each_way")
def test_what_is_moved_aside_never_replaces_what_lies_there(tmp_path: Path) -> None:
    for content in (b"one", b"two", b"three"):
        (tmp_path / "a.part").write_bytes(content)
        durable.move_aside(str(tmp_path), "a.part", ".dockd/quarantine/a.part")
    kept = {path.name: path.read_bytes() for path in (tmp_path / ".dockd/quarantine").iterdir()}
    assert kept == {"a.part": b"one", "a.part.1": b"two", "a.part.2": b"three"}


def test_what_is_moved_aside_is_on_the_medium_in_both_folders(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "a.part").touch()
    assert durable.move_aside(str(tmp_path), "a.part", "q/a.part") == "q/a.part"
    assert synced[-2:] == [f"{tmp_path}/q", str(tmp_path)]


def test_where_a_file_can_have_one_name_only_its_new_one_is_on_the_medium_at_once(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "as FAT answers")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "day").mkdir()
    (tmp_path / "day/a.part").write_bytes(b"evidence")
    durable.move_aside(str(tmp_path), "day/a.part", "aside/a.part")
    assert synced[-2:] == [str(tmp_path / "aside"), str(tmp_path / "day")]
    assert (tmp_path / "aside/a.part").read_bytes() == b"evidence"


def test_what_is_gone_cannot_be_moved_aside(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.move_aside(str(tmp_path), "a.part", "q/a.part")


# --- what is on the medium -------------------------------------------------------------------------------


def test_every_new_directorys_name_is_on_the_medium(tmp_path: Path, synced: list[str]) -> None:
    durable.make_directories(str(tmp_path), "a/b/c")
    assert (tmp_path / "a/b/c").is_dir()
    assert {str(tmp_path), f"{tmp_path}/a", f"{tmp_path}/a/b"} <= set(synced)


def test_a_directory_that_another_process_had_just_made_is_synced_all_the_same(
    tmp_path: Path, synced: list[str]
) -> None:
    # Its maker may have been killed before its own fsync: nobody else would ever do it.
    (tmp_path / "a/b").mkdir(parents=True)
    durable.make_directories(str(tmp_path), "a/b/c")
    assert {str(tmp_path), f"{tmp_path}/a", f"{tmp_path}/a/b"} <= set(synced)


def test_the_stores_root_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        durable.make_directories(str(tmp_path / "absent"), "footage/2026")
    assert not (tmp_path / "absent").exists()


def test_a_removed_temp_is_gone_from_its_directory_on_the_medium(tmp_path: Path, synced: list[str]) -> None:
    path = tmp_path / "a.part"
    path.touch()
    durable.remove_durably(str(path))
    assert not path.exists()
    assert synced == [str(tmp_path)]


def test_removing_what_is_gone_already_is_fine(tmp_path: Path) -> None:
    durable.remove_durably(str(tmp_path / "a.part"))
    durable.remove_durably(str(tmp_path / "no" / "such" / "folder" / "a.part"))


def test_a_file_system_that_cannot_sync_a_directory_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int) -> None:
        raise OSError(errno.EINVAL, "cannot")

    monkeypatch.setattr(os, "fsync", refuse)
    durable.fsync_directory(str(tmp_path))


def test_a_failed_fsync_of_a_directory_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "failed")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="failed"):
        durable.fsync_directory(str(tmp_path))


# --- space ---------------------------------------------------------------------------------------------


def open_new(folder: Path) -> int:
    return durable.create_temp(str(folder / "new.part"))


def test_preallocated_space_is_the_files_own(tmp_path: Path) -> None:
    fd = open_new(tmp_path)
    durable.preallocate(fd, 1 << 20)
    status = os.fstat(fd)
    os.close(fd)
    assert status.st_size == 1 << 20
    assert status.st_blocks * 512 >= 1 << 20


def test_nothing_is_preallocated_for_an_empty_file(tmp_path: Path) -> None:
    fd = open_new(tmp_path)
    durable.preallocate(fd, 0)
    assert os.fstat(fd).st_size == 0
    os.close(fd)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_shows_before_the_first_byte(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "small", size=1 << 20) as small:
        fd = open_new(small)
        with pytest.raises(StoreFull), durable.blaming_store(str(small)):
            durable.preallocate(fd, 8 << 20)
        os.close(fd)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_file_system_without_preallocation_is_used_without_it(tmp_path: Path) -> None:
    # ext4 reserves by extents; without them it answers EOPNOTSUPP, as FAT over FUSE and NFS v3 do.
    with disks.ext4(tmp_path / "image", tmp_path / "old", size=4 << 20, features="^extents,^64bit") as old:
        fd = open_new(old)
        durable.preallocate(fd, 1 << 20)
        assert os.fstat(fd).st_blocks == 0, "posix_fallocate would have written a byte per block"
        durable.write_all(fd, memoryview(b"abc"), 0)
        os.close(fd)
        assert (old / "new.part").read_bytes() == b"abc"


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: real(fd, data[:3], offset))
    fd = open_new(tmp_path)
    durable.write_all(fd, memoryview(b"0123456789"), 2)
    os.close(fd)
    assert (tmp_path / "new.part").read_bytes() == b"\0\0" + b"0123456789"


# --- blame ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StoreFull),
        (errno.EDQUOT, StoreFull),
        (errno.EROFS, StoreReadOnly),
        (errno.ENOENT, StoreMissing),
        (errno.ENOTCONN, StoreMissing),
        (errno.ENODEV, StoreMissing),
        (errno.ESTALE, StoreMissing),
        (errno.EACCES, StoreNotPrivate),
        (errno.EPERM, StoreNotPrivate),
        (errno.EIO, StoreFailing),
        (errno.ENXIO, StoreFailing),
        (errno.EUCLEAN, StoreFailing),
        (errno.ENAMETOOLONG, StoreFailing),
    ],
    ids=lambda value: errno.errorcode.get(value, "") if isinstance(value, int) else value.__name__,
)
def test_every_error_of_the_store_is_the_stores(code: int, kind: type[StoreError]) -> None:
    with pytest.raises(kind) as caught, durable.blaming_store("/srv/store"):
        raise OSError(code, os.strerror(code))
    assert "/srv/store" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


def test_what_is_no_error_of_the_operating_system_passes_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError), durable.blaming_store("/srv/store"):
        raise ZeroDivisionError
