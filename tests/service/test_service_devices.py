"""Whose a device is, from what udev says of it: pure, and untouched is the default."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.service.devices import Facts, Ownership, Sighting, blocks_of, controller_of, own, port_of

PLACE = "/sys/devices/pci0000:00/0000:00:14.0/usb1/1-4/1-4.2/1-4.2:1.0/host6/target6:0:0/6:0:0:0/block/sdb"


def facts(name: str = "sdb", *, part: bool = False, sectors: int = 1000, tagged: bool = True, **said: Any) -> Facts:
    place = f"{PLACE}/{name}" if part else PLACE.replace("sdb", name)
    return Facts(
        name=name,
        number=hash(name) & 0xFFFF,
        place=said.pop("place", place),
        disk="sdb" if part else name,
        is_partition=part,
        sectors=sectors,
        tags=frozenset({"dockd"}) if tagged else frozenset(),
        said=said,
    )


VFAT = {"ID_FS_USAGE": "filesystem", "ID_FS_TYPE": "vfat", "ID_FS_UUID": "1234-ABCD", "DISKSEQ": "7"}


def ownerships(*every: Facts) -> dict[str, Ownership]:
    return {block.name: block.ownership for block in blocks_of(every)}


def test_what_udev_did_not_mark_is_not_ours() -> None:
    assert own(facts(tagged=False, **VFAT), ()) is Ownership.NOT_OURS
    assert blocks_of([facts(tagged=False, **VFAT)]) == frozenset()


def test_what_hangs_on_no_usb_port_and_no_slot_is_not_ours_though_it_is_marked() -> None:
    disk = facts(place="/sys/devices/pci0000:00/0000:00:17.0/ata1/host0/block/sda", **VFAT)
    assert own(disk, ()) is Ownership.NOT_OURS


def test_a_card_without_partitions_is_the_whole_disk() -> None:
    assert ownerships(facts(**VFAT)) == {"sdb": Ownership.CARD}


def test_an_unpartitioned_exfat_that_udev_also_takes_for_a_table_is_a_card() -> None:
    assert ownerships(facts(**VFAT, ID_PART_TABLE_TYPE="dos")) == {"sdb": Ownership.CARD}


def test_of_a_partitioned_card_the_partitions_are_the_cards() -> None:
    disk = facts(ID_PART_TABLE_TYPE="dos")
    part = facts("sdb1", part=True, ID_PART_ENTRY_NUMBER="1", **VFAT)
    assert ownerships(disk) == {"sdb": Ownership.WHOLE}, "its partitions come a moment later"
    assert ownerships(disk, part) == {"sdb": Ownership.WHOLE, "sdb1": Ownership.CARD}
    assert ownerships(facts(**VFAT), part)["sdb"] is Ownership.WHOLE, "an old boot sector before a table"


def test_a_reader_without_a_card_is_empty_and_a_card_without_a_file_system_is_blank() -> None:
    assert ownerships(facts(sectors=0)) == {"sdb": Ownership.EMPTY}
    assert ownerships(facts()) == {"sdb": Ownership.BLANK}
    assert ownerships(facts(ID_FS_USAGE="crypto", ID_FS_TYPE="crypto_LUKS")) == {"sdb": Ownership.BLANK}


@pytest.mark.parametrize(
    ("place", "port", "controller"),
    [
        (PLACE, "1-4.2", "0000:00:14.0"),
        ("/sys/devices/pci0000:00/0000:00:1c.0/0000:02:00.0/usb3/3-1/3-1:1.0/host1/block/sdc", "3-1", "0000:02:00.0"),
        ("/sys/devices/platform/soc/usb1/1-1/1-1:1.0/host0/block/sda", "1-1", "usb1"),
        ("/sys/devices/pci0000:00/0000:01:00.0/mmc_host/mmc0/mmc0:0001/block/mmcblk0", "mmc0", "0000:01:00.0"),
        ("/sys/devices/pci0000:00/0000:00:17.0/ata1/host0/block/sda", None, "0000:00:17.0"),
        ("/sys/devices/virtual/block/loop0", None, ""),
    ],
)
def test_port_and_controller_are_read_from_the_place_in_sysfs(place: str, port: str | None, controller: str) -> None:
    assert (port_of(place), controller_of(place)) == (port, controller)


@given(
    st.text(max_size=80), st.dictionaries(st.sampled_from(["ID_FS_USAGE", "ID_PART_TABLE_TYPE", "DISKSEQ"]), st.text())
)
def test_nothing_that_is_not_marked_is_ever_ours(place: str, said: dict[str, str]) -> None:
    assert own(facts(place=place, tagged=False, **said), ()) is Ownership.NOT_OURS


def test_a_sighting_is_divided_by_ports() -> None:
    other = facts("sdc", place=PLACE.replace("1-4.2", "1-4.3").replace("sdb", "sdc"), **VFAT)
    seen = Sighting(blocks_of([facts(**VFAT), other]))
    assert seen.ports == {"1-4.2", "1-4.3"}
    assert [block.name for block in seen.at("1-4.3").blocks] == ["sdc"]
