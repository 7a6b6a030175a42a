"""Names are given without ever replacing a file, on file systems with and without hard links."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from dockd.errors import StoreReadOnly
from dockd.register import disk


@pytest.fixture(params=[True, False], ids=["links", "no_links"])
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def refuse(source: str, target: str) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if not request.param:
        monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "temp").write_bytes(b"new")
    return tmp_path


def test_a_free_name_is_given(folder: Path) -> None:
    disk.give_name(f"{folder}/temp", f"{folder}/name")
    assert (os.listdir(folder), (folder / "name").read_bytes()) == (["name"], b"new")


def test_a_name_that_is_taken_is_not_given(folder: Path) -> None:
    (folder / "name").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        disk.give_name(f"{folder}/temp", f"{folder}/name")
    assert (folder / "name").read_bytes() == b"old"


def test_a_new_file_never_replaces_one(tmp_path: Path) -> None:
    disk.write_new(f"{tmp_path}/name", b"old")
    with pytest.raises(FileExistsError):
        disk.write_new(f"{tmp_path}/name", b"new")
    assert (tmp_path / "name").read_bytes() == b"old"


def test_folders_are_made_with_their_parents_and_may_be_there(tmp_path: Path) -> None:
    for _ in range(2):
        disk.make_folders(f"{tmp_path}/a/b/c")
    assert (tmp_path / "a/b/c").is_dir()


def test_the_stores_trouble_has_the_stores_name() -> None:
    with pytest.raises(StoreReadOnly), disk.blaming("/store"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
