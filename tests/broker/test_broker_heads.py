"""In what state a card was left: the broker hands over the few bytes that say so, whoever asked reads them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import disks
import pytest
from plugged import Tree, plugged

from dockd.broker.mount import heads_of, open_card
from dockd.broker.wire import OpenCard, granted_packet, read_answer
from dockd.card.health import FileSystemState, file_system_state

pytestmark = disks.root

DIRT, FAULT = 1, 2
MAKERS = {
    "FAT32": ("vfat", ["mkfs.vfat", "-F", "32"], 0x41, (DIRT, FAULT)),
    "FAT16": ("vfat", ["mkfs.vfat", "-F", "16"], 0x25, (DIRT, FAULT)),
    "exFAT": ("exfat", ["mkfs.exfat"], 106, (2, 4)),
}


def poke(path: Path, offset: int, mask: int) -> None:
    """Turns bits of one byte over."""
    with path.open("r+b", buffering=0) as file:
        (byte,) = os.pread(file.fileno(), 1, offset)
        os.pwrite(file.fileno(), bytes([byte ^ mask]), offset)


def told(image: Path, fs_type: str, at: Path) -> FileSystemState | None:
    """The state of the card in a loop device, as it comes through the wire."""
    with plugged(image, at) as tree:
        device, root = os.open(tree.node, os.O_RDONLY), os.open("/", os.O_RDONLY)
        try:
            packet = granted_packet(OpenCard(root, fs_type, ("ro",), heads_of(device, fs_type)))
            return state_of(read_answer(packet, [root]))
        finally:
            os.close(device)
            os.close(root)


def state_of(card: OpenCard) -> FileSystemState | None:
    return file_system_state(card.root_fd, [(head.offset, head.data) for head in card.heads])


@pytest.mark.parametrize("maker", MAKERS)
def test_a_card_that_was_not_closed_or_has_errors_says_so_through_the_wire(tmp_path: Path, maker: str) -> None:
    fs_type, mkfs, flags, (dirt, fault) = MAKERS[maker]
    if not shutil.which(mkfs[0]):
        pytest.skip(f"{mkfs[0]} is not installed")
    image = tmp_path / "card.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run([*mkfs, image], check=True, capture_output=True)
    kind = "exfat" if fs_type == "exfat" else "fat"
    assert told(image, fs_type, tmp_path / "a") == FileSystemState(kind, dirty=False, errors=False)
    poke(image, flags, dirt)
    assert told(image, fs_type, tmp_path / "b") == FileSystemState(kind, dirty=True, errors=False)
    poke(image, flags, dirt ^ fault)
    assert told(image, fs_type, tmp_path / "c") == FileSystemState(kind, dirty=False, errors=True)


def test_the_mark_that_windows_and_recorders_leave_in_the_table_of_fat32_is_seen(tmp_path: Path) -> None:
    image = tmp_path / "card.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.vfat", "-F", "32", "-R", "32", image], check=True, capture_output=True)
    poke(image, 32 * 512 + 7, 0x08)  # bit 27 of the second entry
    assert told(image, "vfat", tmp_path / "a") == FileSystemState("fat", dirty=True, errors=False)


def test_a_card_that_the_broker_mounts_comes_with_its_state(tree: Tree, image: Path) -> None:
    tools = os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    subprocess.run(["debugfs", "-w", "-R", "ssv state 0", image], env=tools, check=True, capture_output=True)
    card = open_card(tree.number, tree.diskseq, owner=(65534, 65534), tree=str(tree.root))
    try:
        assert state_of(card) == FileSystemState("ext", dirty=True, errors=False)
        assert [(head.offset, len(head.data)) for head in card.heads] == [(1080, 4)], "no more than is needed"
    finally:
        os.close(card.root_fd)


def test_a_device_that_gives_no_bytes_is_no_trouble(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with empty.open("rb") as file:
        assert heads_of(file.fileno(), "vfat") == ()
        assert heads_of(file.fileno(), "xfs") == ()
        assert file_system_state(-1, [(0, b"\xeb")]) is None
