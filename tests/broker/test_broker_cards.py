"""Real file systems on real loop devices, mounted by the broker's own code; only sysfs and udev are made up."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import recv_fds

import disks
import pytest
from plugged import Tree, make_file_system, plugged, start_broker

from dockd import errors
from dockd.broker.mount import GENERAL, open_card
from dockd.broker.wire import OpenCard, Request, read_answer, request_packet

pytestmark = disks.root
OWNER = (65534, 65534)


@contextmanager
def opened(tree: Tree) -> Iterator[OpenCard]:
    card = open_card(tree.number, tree.diskseq, owner=OWNER, tree=str(tree.root))
    try:
        yield card
    finally:
        os.close(card.root_fd)


def is_free(node: Path) -> bool:
    """Whether nobody has claimed the device."""
    try:
        os.close(os.open(node, os.O_RDONLY | os.O_EXCL))
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def digest(image: Path) -> str:
    return hashlib.sha256(image.read_bytes()).hexdigest()


# --- a card that is given out ------------------------------------------------------------------------


def test_a_card_is_read_through_its_directory_alone(tree: Tree, content: Path):
    with opened(tree) as card:
        fd = os.open("DCIM/one.mp4", os.O_RDONLY, dir_fd=card.root_fd)
        assert os.read(fd, 1 << 20) == (content / "DCIM/one.mp4").read_bytes()
        os.close(fd)


def test_no_mount_table_shows_the_card(tree: Tree):
    with opened(tree):
        assert str(tree.node) not in Path("/proc/self/mountinfo").read_text()


def test_the_card_is_free_when_its_last_file_is_closed(tree: Tree):
    with opened(tree) as card:
        fd = os.open("DCIM/one.mp4", os.O_RDONLY, dir_fd=card.root_fd)
    assert not is_free(tree.node)
    os.close(fd)
    assert is_free(tree.node)


def test_reading_a_card_changes_no_byte_of_it(tree: Tree, image: Path):
    before = digest(image)
    with opened(tree) as card:
        for _root, _folders, files, fd in os.fwalk(dir_fd=card.root_fd):
            for name in files:
                os.close(os.open(name, os.O_RDONLY, dir_fd=fd))
    assert digest(image) == before


def test_nobody_can_write_to_the_card_by_any_way(tree: Tree):
    with opened(tree) as card:
        with pytest.raises(OSError, match="Read-only file system"):
            os.open("new", os.O_WRONLY | os.O_CREAT, dir_fd=card.root_fd)
        with pytest.raises(OSError, match="Read-only file system"):
            os.utime("DCIM/one.mp4", dir_fd=card.root_fd)
        with pytest.raises(OSError, match="not permitted"), open(tree.node, "r+b", buffering=0) as device:
            device.write(bytes(512))


def test_a_journal_that_waits_is_not_replayed(tree: Tree, image: Path, tmp_path: Path):
    at = tmp_path / "camera"
    at.mkdir()
    subprocess.run(["mount", tree.node, at], check=True)
    (at / "late.mp4").write_bytes(b"late")
    disks.shut_down(at)
    subprocess.run(["umount", at], check=True)
    before = digest(image)
    with opened(tree):
        pass
    assert digest(image) == before


def test_an_xfs_card_and_its_twin_are_both_read(tmp_path: Path, content: Path):
    image = tmp_path / "card.img"
    make_file_system(image, "xfs", content)
    twin = tmp_path / "twin.img"
    subprocess.run(["cp", "--sparse=always", image, twin], check=True)
    with plugged(image, tmp_path / "a") as one, plugged(twin, tmp_path / "b") as other:
        for tree in (one, other):
            tree.udev("Q:dockd", "E:ID_FS_TYPE=xfs")
        with opened(one) as first, opened(other) as second:
            assert os.listdir(first.root_fd) == os.listdir(second.root_fd) == ["DCIM"]
            assert second.options == (*GENERAL, "norecovery", "nouuid")


def test_a_partition_is_read_and_its_disk_is_read_only(tree: Tree):
    """This kernel makes no partitions of loop devices: the same device plays both parts."""
    part = tree.place / "part1"
    part.mkdir()
    (part / "partition").write_text("1\n")
    for name in ("uevent", "dev"):
        (part / name).write_text((tree.place / name).read_text())
    (tree.root / "sys/dev/block" / tree.numbers).unlink()
    (tree.root / "sys/dev/block" / tree.numbers).symlink_to(part)
    with opened(tree) as card:
        assert "DCIM" in os.listdir(card.root_fd)
    assert Path("/sys/block", tree.node.name, "ro").read_text() == "1\n"


# --- refusals ----------------------------------------------------------------------------------------


def refusal(tree: Tree, *, number: int | None = None, diskseq: int | None = None) -> errors.CardNotOpened:
    with pytest.raises(errors.CardNotOpened) as caught:
        open_card(number or tree.number, diskseq or tree.diskseq, owner=OWNER, tree=str(tree.root))
    return caught.value


def is_untouched(tree: Tree) -> bool:
    return is_free(tree.node) and Path("/sys/block", tree.node.name, "ro").read_text() == "0\n"


@pytest.mark.parametrize("lines", [(), ("E:ID_FS_TYPE=ext4",), ("G:dockd", "E:DOCKD_CAMERA=1"), ("Q:dockd2",)])
def test_a_device_without_the_current_tag_is_untouched(tree: Tree, lines: tuple[str, ...]):
    tree.udev(*lines)
    assert isinstance(refusal(tree), errors.DeviceNotMarked)
    assert is_untouched(tree)


def test_a_device_that_hangs_on_no_plug_is_untouched(tree: Tree):
    tree.hang_on("pci")
    assert isinstance(refusal(tree), errors.DeviceNotPluggable)
    assert is_untouched(tree)


def test_a_card_in_a_slot_of_the_computer_is_read(tree: Tree):
    tree.hang_on("mmc")
    with opened(tree) as card:
        assert card.fs_type == "ext4"


def test_a_disk_of_the_computer_is_untouched_whatever_udev_says(tree: Tree):
    (tree.root / "sys/dev/block" / tree.numbers).unlink()
    (tree.root / "sys/dev/block" / tree.numbers).symlink_to(os.path.realpath(f"/sys/dev/block/{tree.numbers}"))
    assert isinstance(refusal(tree), errors.DeviceNotPluggable)


def test_a_number_that_no_device_has_is_refused(tree: Tree):
    assert isinstance(refusal(tree, number=os.makedev(259, 77)), errors.DeviceGone)


def test_another_medium_in_the_same_slot_is_refused(tree: Tree):
    assert isinstance(refusal(tree, diskseq=tree.diskseq + 1), errors.DeviceGone)
    assert is_untouched(tree)


def test_a_node_of_another_device_is_refused(tree: Tree):
    (tree.place / "uevent").write_text("DEVNAME=null\n")
    assert isinstance(refusal(tree), errors.DeviceGone)


def test_a_card_that_is_mounted_is_left_to_who_mounted_it(tree: Tree, tmp_path: Path):
    at = tmp_path / "some where"
    at.mkdir()
    subprocess.run(["mount", tree.node, at], check=True)
    try:
        found = refusal(tree)
        assert isinstance(found, errors.CardMountedElsewhere)
        assert found.fields["reason"] == str(at)
        (at / "still-writable").touch()
    finally:
        subprocess.run(["umount", at], check=True)


def test_a_card_that_is_mounted_where_nobody_can_see_it_is_refused(tree: Tree):
    with opened(tree):
        assert isinstance(refusal(tree), errors.CardHeldElsewhere)


def test_a_card_that_a_program_has_claimed_is_refused_untouched(tree: Tree):
    claimed = os.open(tree.node, os.O_RDONLY | os.O_EXCL)
    assert isinstance(refusal(tree), errors.CardHeldElsewhere)
    os.close(claimed)
    assert is_untouched(tree)


def test_a_device_that_holds_another_up_is_refused(tree: Tree):
    (tree.place / "holders/dm-0").touch()
    assert isinstance(refusal(tree), errors.CardHeldElsewhere)
    assert is_untouched(tree)


@pytest.mark.parametrize("fs_type", ["", "btrfs", "crypto_LUKS", "../ext4", "tmpfs", "fuseblk"])
def test_a_file_system_outside_the_list_is_not_even_tried(tree: Tree, fs_type: str):
    tree.udev("Q:dockd", f"E:ID_FS_TYPE={fs_type}")
    assert isinstance(refusal(tree), errors.FileSystemNotRead)
    assert is_untouched(tree)


def test_a_card_that_is_not_what_udev_took_it_for_is_named_damaged(tree: Tree):
    tree.udev("Q:dockd", "E:ID_FS_TYPE=xfs")
    assert isinstance(refusal(tree), errors.CardUnmountable)
    assert is_free(tree.node)


# --- the program -------------------------------------------------------------------------------------


def asked(packet: bytes, **how: object) -> OpenCard:
    connection, child = start_broker(**how)
    with connection, child:
        connection.send(packet)
        received, fds, _flags, _address = recv_fds(connection, 4096, 8)
        said = child.communicate(timeout=30)[1]
        assert child.returncode == 0, said
        return read_answer(received, fds)


def test_the_broker_gives_a_card_to_the_service_and_has_ended(tree: Tree):
    card = asked(request_packet(Request(tree.number, tree.diskseq)), tree=tree.root)
    assert card.fs_type == "ext4"
    assert "DCIM" in os.listdir(card.root_fd)
    os.close(card.root_fd)
    assert is_free(tree.node)


def test_the_broker_serves_one_user_and_root_only(tree: Tree):
    packet = request_packet(Request(tree.number, tree.diskseq))
    os.close(asked(packet, tree=tree.root, user="nobody", uid=65534).root_fd)
    with pytest.raises(errors.CallerNotServed):
        asked(packet, tree=tree.root, user="nobody", uid=1)
    assert is_free(tree.node)


@pytest.mark.parametrize("packet", [b"x", b"dockd-mount/1 /dev/sda 1", b"dockd-mount/1 8:1 5" + b" " * 200])
def test_the_broker_refuses_what_is_no_request(packet: bytes):
    with pytest.raises(errors.RequestNotUnderstood):
        asked(packet)


def test_the_broker_does_not_wait_for_a_caller_that_says_nothing():
    connection, child = start_broker()
    with child:
        connection.close()
        assert child.wait(timeout=30) == 0


def test_a_card_given_to_nobody_is_free_at_once(tree: Tree):
    connection, child = start_broker(tree=tree.root)
    with child:
        connection.send(request_packet(Request(tree.number, tree.diskseq)))
        connection.close()
        assert child.wait(timeout=30) == 0
    assert is_free(tree.node)


def test_a_refusal_of_the_real_system_comes_through_the_wire(tree: Tree):
    with pytest.raises(errors.DeviceNotMarked):
        asked(request_packet(Request(tree.number, tree.diskseq)))
