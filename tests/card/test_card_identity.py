"""A card is known again, and told from every other, without reading a recording."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.card.identity import (
    identify_card,
    majority_device,
    parse_mountinfo,
    parse_udev,
    unescape_udev,
    usb_port,
)
from dockd.nouns import CardIdentity, Classified, MediaType, ParsedName, Reading

MOUNTINFO = r"""
22 28 0:21 / /proc rw,nosuid shared:12 - proc proc rw
310 28 8:17 / /media/dock\040one ro,nosuid,nodev,noexec,noatime shared:300 - vfat /dev/sdb1 ro,fmask=0133,tz=UTC
311 28 8:33 /sub /mnt/x rw,relatime - exfat /dev/sdc1 rw,time_offset=0
312 28 0:45 / /mnt/fuse rw - fuse.exfat exfat-fuse rw,user_id=0
nonsense
"""

UDEV = """S:disk/by-uuid/1A2B-3C4D
I:1234
E:ID_FS_UUID=1A2B-3C4D
E:ID_FS_TYPE=vfat
E:ID_FS_LABEL=CAM_01
E:ID_FS_LABEL_ENC=CAM\\x2001
E:ID_BUS=usb
E:ID_SERIAL_SHORT=ABC=123
G:systemd
"""


def identify(path: Path, tree: Path | None = None) -> CardIdentity:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return identify_card(str(path), fd, tree=str(tree or "/"))
    finally:
        os.close(fd)


def test_mountinfo_is_read_with_its_escapes_and_its_optional_fields() -> None:
    mounts = {mount.mount_id: mount for mount in parse_mountinfo(MOUNTINFO)}
    assert sorted(mounts) == [22, 310, 311, 312]
    assert mounts[310].point == "/media/dock one"
    assert (mounts[310].fs_type, mounts[310].source) == ("vfat", "/dev/sdb1")
    assert {"ro", "tz=UTC"} <= mounts[310].options
    assert mounts[311].root == "/sub"
    assert [number for number in sorted(mounts) if mounts[number].shows_wall_time] == [310, 311]


@given(st.text(max_size=200))
def test_no_mountinfo_and_no_udev_database_makes_the_readers_fail(text: str) -> None:
    parse_mountinfo(text)
    parse_udev(text)
    unescape_udev(text)


def test_udevs_database_is_read() -> None:
    said = parse_udev(UDEV)
    assert said["ID_SERIAL_SHORT"] == "ABC=123"
    assert unescape_udev(said["ID_FS_LABEL_ENC"]) == "CAM 01"
    assert unescape_udev(r"\xd6\xb4\xb7\xa81") == "执法1"
    assert unescape_udev(r"\xe6\x89\xa7\xe6\xb3\x95") == "执法"


def test_the_usb_port_is_the_last_one_on_the_way_to_the_device() -> None:
    place = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-1/1-1.4/1-1.4:1.0/host3/target3:0:0/3:0:0:0/block/sdb/sdb1"
    assert usb_port(place) == "1-1.4"
    assert usb_port("/sys/devices/virtual/block/loop0") is None


class TestDirectory:
    def test_a_directory_is_the_same_card_however_many_files_are_added(self, tmp_path: Path) -> None:
        card = tmp_path / "card"
        card.mkdir()
        before = identify(card)
        for number in range(20):
            (card / f"{number}.mp4").write_bytes(b"x" * 1000)
        os.utime(card, ns=(0, 0))
        os.chmod(card, 0o700)
        os.rename(card, tmp_path / "moved")
        after = identify(tmp_path / "moved")
        assert before.instance == after.instance
        assert before.instance.startswith("dir:")

    def test_two_directories_are_two_cards_even_one_made_in_the_place_of_another(self, tmp_path: Path) -> None:
        card = tmp_path / "card"
        seen = set()
        for _ in range(5):
            card.mkdir()
            seen.add(identify(card).instance)
            card.rmdir()
        (tmp_path / "other").mkdir()
        seen.add(identify(tmp_path / "other").instance)
        assert len(seen) == 6

    def test_a_directory_has_the_space_of_its_file_system_but_not_its_name(self, tmp_path: Path) -> None:
        found = identify(tmp_path)
        assert (found.label, found.fs_uuid, found.usb_serial, found.usb_path) == (None, None, None, None)
        assert found.size
        assert found.free is not None
        assert found.fs_type
        assert found.writable
        assert not found.mtime_is_wall


@pytest.fixture
def image(tmp_path: Path) -> Iterator[tuple[Path, Path, str]]:
    """A real file system on a loop device: where it is mounted, a tree with udev's answer, its UUID."""
    file, place, tree = tmp_path / "card.img", tmp_path / "mounted", tmp_path / "tree"
    uuid = "6b29fc40-ca47-1067-b31d-00dd010662da"
    file.write_bytes(b"")
    os.truncate(file, 8 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "CAM 01", "-U", uuid, file], check=True)
    place.mkdir()
    if subprocess.run(["mount", "-o", "loop,ro", file, place], check=False, capture_output=True).returncode:
        pytest.skip("no loop devices here")
    device = os.stat(place).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    (tree / "run/udev/data").mkdir(parents=True)
    text = UDEV.replace("1A2B-3C4D", uuid).replace("=vfat", "=ext4")
    (tree / "run/udev/data" / f"b{number}").write_text(text)
    (tree / "sys/dev/block").mkdir(parents=True)
    hub = tree / "sys/devices/usb1/1-1/1-1.2/block/sdb"
    hub.mkdir(parents=True)
    (hub / "size").write_text("16384\n")
    os.symlink(hub, tree / "sys/dev/block" / number)
    yield place, tree, uuid
    subprocess.run(["umount", place], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
class TestFileSystem:
    def test_the_root_of_a_card_is_known_by_its_file_system(self, image: tuple[Path, Path, str]) -> None:
        place, tree, uuid = image
        found = identify(place, tree)
        assert found.instance == f"fs:{uuid}:ext4:{8 << 20}"
        assert (found.label, found.fs_uuid, found.fs_type) == ("CAM 01", uuid, "ext4")
        assert (found.usb_serial, found.usb_path) == ("ABC=123", "1-1.2")
        assert not found.writable

    def test_a_folder_of_a_card_is_known_as_a_folder_only(self, image: tuple[Path, Path, str]) -> None:
        place, tree, _ = image
        found = identify(place / "lost+found", tree)
        assert found.instance.startswith("dir:")
        assert (found.label, found.fs_uuid, found.usb_serial) == (None, None, None)

    def test_without_udevs_database_the_links_of_dev_disk_name_it(self, image: tuple[Path, Path, str]) -> None:
        place, tree, uuid = image
        source = next(
            m.source for m in parse_mountinfo(Path("/proc/self/mountinfo").read_text()) if m.point == str(place)
        )
        for folder, name in (("by-uuid", uuid), ("by-label", r"CAM\x2001")):
            (tree / "dev/disk" / folder).mkdir(parents=True)
            os.symlink("/nowhere", tree / "dev/disk" / folder / "0")
            os.symlink(source, tree / "dev/disk" / folder / name)
        for file in (tree / "run/udev/data").iterdir():
            file.unlink()
        found = identify(place, tree)
        assert found.instance == f"fs:{uuid}:ext4:{8 << 20}"
        assert found.label == "CAM 01"

    def test_a_card_without_an_identity_of_its_own_is_known_as_a_directory(
        self, image: tuple[Path, Path, str], tmp_path: Path
    ) -> None:
        place, _, _ = image
        empty = tmp_path / "empty"
        empty.mkdir()
        assert identify(place, empty).instance.startswith("dir:")
        assert identify(place, empty).fs_type == "ext4"


def named(*readings: tuple[str | None, str | None]) -> Classified:
    parsed = ParsedName("test", tuple(Reading(device, officer) for device, officer in readings))
    return Classified(MediaType.VIDEO, parsed=parsed)


KNOWN = {"TA00716": "0001", "TA00717": "0002", "ta00716": "0001"}


class TestMajority:
    def count(self, *classified: Classified) -> tuple[str | None, tuple[str, ...]]:
        return majority_device(classified, KNOWN.get)

    def test_the_recorder_that_most_names_speak_of_wins(self) -> None:
        files = [named(("TA00716", None))] * 2 + [named(("TA00717", None))]
        assert self.count(*files) == ("0001", ("0001", "0002"))

    def test_half_is_no_majority(self) -> None:
        files = [named(("TA00716", None)), named(("TA00717", None))]
        assert self.count(*files) == (None, ("0001", "0002"))

    def test_names_of_unknown_recorders_do_not_count(self) -> None:
        files = [named(("XXXXXXX", None))] * 9 + [named(("TA00716", None)), Classified(MediaType.LOG)]
        assert self.count(*files) == ("0001", ("0001",))

    def test_either_order_of_the_tokens_finds_the_recorder(self) -> None:
        files = [named(("TA00716", "JX0227"), ("JX0227", "TA00716"))]
        assert self.count(*files) == ("0001", ("0001",))

    def test_a_name_whose_two_readings_are_both_recorders_votes_for_neither(self) -> None:
        files = [named(("TA00716", "TA00717"), ("TA00717", "TA00716"))]
        assert self.count(*files) == (None, ("0001", "0002"))
        assert self.count(*files, *files, *files, named(("TA00716", None))) == (None, ("0001", "0002"))

    def test_two_tokens_of_one_recorder_are_one_vote(self) -> None:
        assert self.count(named(("TA00716", None), ("ta00716", None))) == ("0001", ("0001",))

    def test_no_names_no_recorder(self) -> None:
        assert self.count() == (None, ())

    def test_each_token_is_looked_up_once(self) -> None:
        asked: list[str] = []

        def known(token: str) -> str | None:
            asked.append(token)
            return None

        majority_device([named(("A", None))] * 100, known)
        assert asked == ["A"]
