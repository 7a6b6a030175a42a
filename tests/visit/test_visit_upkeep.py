"""What a docking says of the recorder itself: out of service, another card, another serial, a card that is failing."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bureau import LI, Bureau
from sqlalchemy import select

from dockd.card.health import parse_state
from dockd.nouns import CardIdentity
from dockd.register.recorders import get_row
from dockd.register.tables import RecorderEventRow, VisitRow
from dockd.visit import upkeep

pytestmark = pytest.mark.usefixtures("no_parsers")


@pytest.fixture
def tools() -> Any:
    """mkfs and mount, which ``no_parsers`` hides."""
    return {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def checks(bureau: Bureau, device_no: str = "YS-07") -> list[dict[str, Any]]:
    events = bureau.json("recorder", "show", device_no)["events"]
    return [event for event in events if event["visit_id"]]


def test_a_recorder_out_of_service_is_stored_and_told_of(bureau: Bureau) -> None:
    bureau.dockd("recorder", "fault", "YS-07", "--text", "no sound")
    bureau.record(8)
    assert bureau.offload()["outcome"] == "complete"
    (alert,) = bureau.alerts("out_of_service_docked")
    assert "YS-07 is out of service" in alert["text"]
    assert alert["article"] == "article 26"


def test_every_visit_leaves_one_check_also_when_it_is_done_again(bureau: Bureau) -> None:
    bureau.record(8)
    bureau.offload()
    station = bureau.open()
    upkeep.check_recorder(station, 1)
    station.close()
    (check,) = checks(bureau)
    assert check["facts"]["measured"]["read_errors"] == 0
    assert check["card_size"] is None, "a folder's disk is no card"


def test_names_with_a_serial_that_nobody_has_are_told_of(bureau: Bureau) -> None:
    for number in (1, 2, 3):
        bureau.record(8, number=number, serial="2999999", badge="012345")
    bureau.offload("--device-no", "YS-07")
    (alert,) = bureau.alerts("serial_changed")
    assert (alert["device_no"], alert["facts"]["serials"]) == ("YS-07", ["2999999"])
    bureau.clock.move(hours=1)
    bureau.offload("--device-no", "YS-07")
    assert len(bureau.alerts("serial_changed")) == 1


def test_a_known_serial_is_not(bureau: Bureau) -> None:
    bureau.record(8)
    bureau.offload()
    assert bureau.alerts("serial_changed") == []


def test_locked_files_that_stay_on_the_card_are_counted(bureau: Bureau) -> None:
    bureau.configure("checks: {locked_files: 2}")
    for number in range(1, 4):
        bureau.record(8, number=number, mark="IMP")
    bureau.offload()
    assert bureau.alerts("locked_left") == []
    bureau.clock.move(hours=1)
    bureau.offload()
    (alert,) = bureau.alerts("locked_left")
    assert "3 locked files" in alert["text"]
    for file in bureau.card.rglob("*.mp4"):
        file.unlink()
    bureau.clock.move(hours=1)
    bureau.record(10)
    bureau.offload()
    assert bureau.json("alert", "list", "--open") == [] or "locked_left" not in {
        a["kind"] for a in bureau.json("alert", "list", "--open")
    }


# --- cards ----------------------------------------------------------------------------------------------------


def dock(bureau: Bureau, **said: Any) -> None:
    """A visit as if its card had said this of itself, by the real functions on the register."""
    station = bureau.open()
    identity = CardIdentity(**{"instance": "fs:x", "fs_type": "vfat", **said})
    with station.register.write() as session:
        row = get_row(session, "YS-07")
        upkeep._compare_cards(session, station, row, identity, 1)
        for kind, value in upkeep.seen_with(identity).items():
            upkeep.recorders.note_identity(session, "YS-07", kind, value, now=station.now())
    station.close()
    bureau.clock.move(hours=1)


def test_another_card_is_told_of_once_and_the_page_shows_both(bureau: Bureau) -> None:
    bureau.record(8)
    bureau.offload()
    dock(bureau, fs_uuid="AAAA-0001", size=32 << 30)
    assert bureau.alerts("card_changed") == []
    dock(bureau, fs_uuid="BBBB-0002", size=64 << 30)
    dock(bureau, fs_uuid="BBBB-0002", size=64 << 30)
    (alert,) = bureau.alerts("card_changed")
    assert "another card than before" in alert["text"]
    known = {(i["kind"], i["value"]) for i in bureau.json("recorder", "show", "YS-07")["identities"]}
    assert {("fs_uuid", "AAAA-0001"), ("fs_uuid", "BBBB-0002"), ("card_size", str(64 << 30))} <= known
    dock(bureau, fs_uuid="AAAA-0001", size=32 << 30)
    assert len(bureau.alerts("card_changed")) == 2, "put back: that is an exchange, too"


def stay(bureau: Bureau, *, seconds: float = 8, free: int | None = None, errors: int = 0) -> None:
    """A visit whose row says this of its card, checked as the dock checks it."""
    bureau.clock.move(hours=1)
    bureau.offload("--device-no", "YS-07")
    station = bureau.open()
    with station.register.write() as session:
        visit = session.scalars(select(VisitRow).order_by(VisitRow.id.desc()).limit(1)).one()
        visit.bytes_read, visit.first_byte_at = 256 << 20, visit.opened_at
        visit.stored_at = visit.opened_at + timedelta(seconds=seconds)
        if free is not None:
            visit.card = {**visit.card, "fs_uuid": "AAAA-0001", "size": 100 << 30, "free": free}
        if errors:
            visit.evidence = {**visit.evidence, "file_system": {"kind": "fat", "dirty": True, "errors": True}}
        number = visit.id
        for event in session.scalars(select(RecorderEventRow).where(RecorderEventRow.visit_id == number)):
            session.delete(event)
    upkeep.check_recorder(station, number)
    station.close()


def test_a_card_too_full_for_the_next_shift_is_told_of_until_it_is_not(bureau: Bureau) -> None:
    stay(bureau, free=9 << 30)
    (alert,) = bureau.alerts("card_full")
    assert "9.7 GB left" in alert["text"]
    issued = bureau.json("recorder", "issue", "YS-07", LI, "--battery", 90)
    assert [one["kind"] for one in issued["open_alerts"]] == ["card_full"]
    stay(bureau, free=50 << 30)
    assert "card_full" not in {a["kind"] for a in bureau.json("alert", "list", "--open")}


def test_a_card_that_gets_slower_than_it_used_to_be_is_told_of(bureau: Bureau) -> None:
    for _ in range(4):
        stay(bureau, seconds=8)
    stay(bureau, seconds=30)
    assert bureau.alerts("card_slow") == []
    stay(bureau, seconds=30)
    (alert,) = bureau.alerts("card_slow")
    assert "8.9 MB/s, usually at 33.6 MB/s" in alert["text"]


def test_errors_that_the_file_system_remembers_are_told_of(bureau: Bureau) -> None:
    stay(bureau, errors=True)
    assert {"card_errors", "card_dirty"} <= {a["kind"] for a in bureau.alerts()}


# --- what a file system says of itself ---------------------------------------------------------------------------


def state(image: Path) -> Any:
    with image.open("rb") as file:
        return parse_state(lambda offset, length: os.pread(file.fileno(), length, offset))


def poke(image: Path, offset: int, mask: int) -> None:
    with image.open("r+b") as file:
        file.seek(offset)
        (byte,) = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "card.img"
    with path.open("wb") as file:
        file.truncate(64 << 20)
    return path


@pytest.mark.parametrize(
    ("mkfs", "dirt", "fault"),
    [
        (["mkfs.vfat", "-F", "32"], (0x41, 1), (0x41, 2)),
        (["mkfs.vfat", "-F", "16"], (0x25, 1), (0x25, 2)),
        (["mkfs.ext4", "-q", "-F"], (1024 + 58, 1), (1024 + 58, 2)),
    ],
)
def test_dirt_and_errors_are_read_from_real_file_systems(
    image: Path, tools: Any, mkfs: list[str], dirt: tuple[int, int], fault: tuple[int, int]
) -> None:
    if subprocess.run(["which", mkfs[0]], env=tools, capture_output=True, check=False).returncode:
        pytest.skip(f"{mkfs[0]} is not installed")
    subprocess.run([*mkfs, image], env=tools, check=True, capture_output=True)
    said = state(image)
    assert (said.dirty, said.errors) == (False, False)
    poke(image, *dirt)
    assert state(image).dirty
    poke(image, *dirt)
    poke(image, *fault)
    assert (state(image).dirty, state(image).errors) == (False, True)


def test_an_exfat_volume_is_read_by_its_flags() -> None:
    boot = bytearray(512)
    boot[3:11], boot[106] = b"EXFAT   ", 0x02
    assert parse_state(lambda at, n: bytes(boot[at : at + n])) == upkeep_state("exfat", dirty=True, errors=False)
    boot[106] = 0x04
    assert parse_state(lambda at, n: bytes(boot[at : at + n])) == upkeep_state("exfat", dirty=False, errors=True)


def upkeep_state(kind: str, *, dirty: bool, errors: bool) -> Any:
    from dockd.card.health import FileSystemState

    return FileSystemState(kind, dirty=dirty, errors=errors)


@pytest.mark.parametrize("raw", [b"", b"\xeb" + bytes(509) + b"\x55\xaa", bytes(4096), b"\xff" * 4096])
def test_bytes_that_make_no_sense_say_nothing(raw: bytes) -> None:
    assert parse_state(lambda at, n: raw[at : at + n]) is None
