"""What an act calls durable is so when it returns, also where a first try was killed at any of its calls.

A process that is killed leaves names and bytes that look finished and are not on the medium. Who goes on must
not take them for done: so each act is killed everywhere, done again, and then the power is cut.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cuts import in_child
from forgetful import Disk, Manner, Trace, forgetful, fuse
from medium import NOTHING, Fate, Image

from dockd.export.manifest import write_manifest
from dockd.footage.sidecar import write_sidecar
from dockd.offload import durable
from dockd.register import disk

pytestmark = fuse

FATES = (NOTHING, *map(Fate, range(6)))


@dataclass(frozen=True)
class Act:
    """Something that is done in a folder with the files ``folder/temp`` and ``folder/other``, and what it promises."""

    do: Callable[[str], object]
    holds: Callable[[Image], bool]


def is_file(path: str, data: bytes) -> Callable[[Image], bool]:
    return lambda image: path in image.files and image.files[path].data == data


def rename(root: str) -> None:
    temp, final = f"{root}/folder/temp", f"{root}/folder/final"
    try:
        durable.rename_without_replacing(temp, final)
    except FileNotFoundError:
        assert os.path.exists(final)
    except FileExistsError:
        assert durable.same_file(temp, final)
        durable.leave_one_name(temp, final)
    durable.fsync_directory(f"{root}/folder")


def move_aside(root: str) -> None:
    if os.path.exists(f"{root}/folder/temp"):
        durable.move_aside(root, "folder/temp", "aside/final")


def given_name(root: str) -> None:
    disk.make_folders(f"{root}/aside")
    if not os.path.exists(f"{root}/aside/final"):
        disk.give_name(f"{root}/folder/temp", f"{root}/aside/final")


def new_folders(root: str) -> None:
    durable.make_directories(root, "a/b/c")


def removed(root: str) -> None:
    durable.remove_durably(f"{root}/folder/temp")


def manifest(root: str) -> None:
    write_manifest(f"{root}/folder/manifest", b"lines\n" * 300)


def sidecar(root: str) -> None:
    write_sidecar(Path(root, "folder/file.xmp"), b"said " * 300)


ACTS = {
    "new folders": Act(new_folders, lambda image: "a/b/c" in image.folders),
    "removed file": Act(removed, lambda image: "folder/temp" not in image.files),
    "new name": Act(rename, is_file("folder/final", b"t" * 1000)),
    "manifest": Act(manifest, is_file("folder/manifest", b"lines\n" * 300)),
    "sidecar": Act(sidecar, is_file("folder/file.xmp", b"said " * 300)),
}
LEFTOVERS = (".part", ".new")


@pytest.fixture
def begin(tmp_path: Path) -> Path:
    (tmp_path / "begin/folder").mkdir(parents=True)
    (tmp_path / "begin/folder/temp").write_bytes(b"t" * 1000)
    (tmp_path / "begin/folder/other").write_bytes(b"o")
    return tmp_path / "begin"


@pytest.mark.parametrize("flagged", [True, False], ids=["renameat2", "link_and_unlink"])
@pytest.mark.parametrize("name", ACTS)
def test_an_act_that_was_killed_anywhere_and_done_again_is_durable(begin: Path, name: str, flagged: bool) -> None:
    act, number, manner = ACTS[name], 0, Manner(renames_flagged=flagged)
    while killed_and_done_again(begin, act, number, manner):
        number += 1
    assert number > 1


def killed_and_done_again(begin: Path, act: Act, number: int, manner: Manner) -> bool:
    """Whether the first try came to call ``number``, where it is killed; fails where the second broke the promise."""
    with forgetful(begin, begin.with_name("mnt"), manner) as mounted:
        killed = in_child(lambda: _until_killed(mounted, act, number))[0] != 0
        mounted.spare()
        assert in_child(lambda: act.do(str(mounted.path)) and None)[0] == 0
    trace = mounted.trace()
    for fate in FATES:
        image = trace.at(len(trace), fate)
        assert act.holds(image), f"killed at call {number} of {trace.names()}, {fate.name} kept"
        assert not [path for path in image.files if path.endswith(LEFTOVERS)], f"killed at call {number}"
        assert image.files["folder/other"].data == b"o"
    return killed


def _until_killed(mounted: Disk, act: Act, number: int) -> None:
    mounted.kill_at(number, os.getpid(), cut=False)
    act.do(str(mounted.path))


@pytest.mark.parametrize("act", [rename, move_aside, given_name], ids=lambda act: act.__name__)
@pytest.mark.parametrize("flagged", [True, False], ids=["renameat2", "link_and_unlink"])
def test_at_no_moment_of_a_rename_has_a_file_no_name(begin: Path, act: Callable[[str], None], flagged: bool) -> None:
    with forgetful(begin, begin.with_name("mnt"), Manner(renames_flagged=flagged)) as mounted:
        act(str(mounted.path))
    for number, image in _images(mounted.trace()):
        names = {path for path, leaf in image.files.items() if leaf.data == b"t" * 1000}
        assert names & {"folder/temp", "folder/final", "aside/final"}, f"cut before call {number}"


def _images(trace: Trace) -> list[tuple[int, Image]]:
    return [(number, medium.cut(Fate(seed))) for number, medium in trace.media() for seed in range(30)]
