from __future__ import annotations

import os
from pathlib import Path

import disks
import pytest
from plugged import Tree

from dockd.broker.held import Holder, marked
from dockd.broker.mount import open_card

pytestmark = disks.root


@pytest.fixture
def tagged(tree: Tree) -> Tree:
    """The plugged card, as udev lists it under its tag."""
    folder = tree.root / "run/udev/tags/dockd"
    folder.mkdir(parents=True)
    (folder / f"b{tree.numbers}").touch()
    (folder / "+usb:1-1").touch()
    return tree


def test_a_marked_card_that_nobody_opened_is_shown_as_free(tagged: Tree):
    tagged.udev("Q:dockd", "E:ID_FS_TYPE=ext4", "E:ID_FS_LABEL=BODYCAM")
    (one,) = marked(tree=str(tagged.root))
    assert (one.name, one.fs_type, one.label, one.mounted_at, one.holders) == (
        *(tagged.node.name, "ext4", "BODYCAM", None),
        (),
    )


def test_who_holds_a_card_is_named_although_no_mount_table_shows_it(tagged: Tree):
    card = open_card(tagged.number, tagged.diskseq, owner=(0, 0), tree=str(tagged.root))
    try:
        (one,) = marked(tree=str(tagged.root))
        program = Path("/proc/self/comm").read_text().strip()
        assert one.holders == (Holder(os.getpid(), program),)
        assert one.mounted_at is None
    finally:
        os.close(card.root_fd)


def test_a_device_that_lost_its_mark_is_not_shown(tagged: Tree):
    tagged.udev("G:dockd")
    assert marked(tree=str(tagged.root)) == []


def test_without_udev_nothing_is_marked(tmp_path: Path):
    assert marked(tree=str(tmp_path)) == []
