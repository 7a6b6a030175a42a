"""Cards that are plugged in and pulled out, with a real kernel, systemd and udev."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from vm_cards import MakeCard
from vm_machine import Machine
from vm_station import BAYS, STORE, dock, journal, recorder_of, safe_visit, stored, visit, wait_for

Figure = Callable[[str], None]


@pytest.mark.parametrize(
    ("fs_type", "partitioned"),
    [
        pytest.param("fat32", True, marks=pytest.mark.core),
        pytest.param("exfat", False, marks=pytest.mark.core),
        ("fat32", False),
        ("exfat", True),
    ],
)
def test_a_card_is_stored_whole(
    guest: Machine, make_card: MakeCard, figure: Figure, fs_type: str, partitioned: bool
) -> None:
    card = make_card("A1", fs_type=fs_type, partitioned=partitioned, files=2)
    plug, began = dock(guest, "A1", card)
    shown, safe_at = safe_visit(guest, "A1", ended=True)
    figure(f"{safe_at - began:.1f} s from plug-in to safe to remove")
    guest.pull(plug)
    wait_for(guest, "bay('A1')['state'] == 'empty'")
    assert stored(shown) == card.truth
    assert (shown["device_no"], shown["identified_by"], shown["outcome"]) == (
        recorder_of("A1")[0],
        "usb_serial",
        "complete",
    )
    guest.run(f"cd {STORE} && sha256sum --quiet -c {shown['manifest']}")


@pytest.mark.long
def test_eight_recorders_at_once(guest: Machine, make_card: MakeCard, figure: Figure) -> None:
    bays = list(BAYS)[:8]
    # One recording each: what is tried is eight copies at once; describing one takes seconds in an emulated machine.
    cards = {
        bay: make_card(bay, file_mib=6, fs_type="fat32" if n % 2 else "exfat", partitioned=n % 3 == 0)
        for n, bay in enumerate(bays)
    }
    began = time.time()
    for bay, card in cards.items():
        dock(guest, bay, card)
    done = wait_for(guest, f"len([v for v in visits() if v['ended_at']]) == {len(bays)}", 400)
    shown = [visit(guest, row["id"]) for row in wait_for(guest, "visits()").value]
    for one in shown:
        assert one["safe_at"], f"{one['bay']}: {one['outcome']} {one['reason']}\n{journal(guest)}"
        assert stored(one) == cards[one["bay"]].truth
        assert one["device_no"] == recorder_of(one["bay"])[0]
    last = max(datetime.fromisoformat(one["safe_at"]).timestamp() for one in shown)
    figure(f"{last - began:.1f} s from plug-in to the last safe to remove, {done.at - began:.1f} s to all described")


@pytest.mark.core
def test_a_recorder_that_is_pulled_out_in_the_middle_of_a_file_goes_on_when_it_is_back(
    guest: Machine, make_card: MakeCard, figure: Figure
) -> None:
    card = make_card("A2", files=2, file_mib=24)
    guest.slow_down("slow", 4 << 20)
    plug, _began = dock(guest, "A2", card, throttle="slow")
    wait_for(guest, "bay('A2')['bytes_done'] > 6 << 20")
    guest.pull(plug)
    gone = wait_for(guest, "bay('A2')['state'] in ('away', 'removed_early')")
    assert visit_count(guest) == 1
    _plug, began = dock(guest, "A2", card)
    shown, safe_at = safe_visit(guest, "A2", ended=True)
    figure(f"{safe_at - began:.1f} s from the return to safe to remove; shown as {gone.value}")
    assert visit_count(guest) == 1
    assert stored(shown) == card.truth
    assert shown["outcome"] == "complete"


def visit_count(guest: Machine) -> int:
    count: int = wait_for(guest, "[len(visits())]").value[0]
    return count


def test_a_recorder_that_does_not_come_back_is_alerted_as_removed_early(guest: Machine, make_card: MakeCard) -> None:
    guest.slow_down("slow", 2 << 20)
    plug, _began = dock(guest, "A3", make_card("A3", file_mib=24), throttle="slow")
    wait_for(guest, "bay('A3')['bytes_done'] > 4 << 20")
    guest.pull(plug)
    wait_for(guest, "[a for a in alerts() if a['kind'] == 'removed_early']")
    assert wait_for(guest, "bay('A3')['state'] == 'removed_early'").value


def test_two_recorders_with_one_serial_number_are_alerted_and_not_mixed(guest: Machine, make_card: MakeCard) -> None:
    serial = recorder_of("A1")[1]
    first, second = (make_card("A1", seed=seed, label=label) for seed, label in ((1, "ONE"), (2, "TWO")))
    dock(guest, "A1", first, serial=serial)
    dock(guest, "A4", second, serial=serial)
    wait_for(guest, "[a for a in alerts() if a['kind'] == 'twin_identity']", 240)
    wait_for(guest, "len([v for v in visits() if v['ended_at']]) == 2", 240)
    for row in wait_for(guest, "visits()").value:
        assert set(stored(visit(guest, row["id"])).items()) <= set(
            (first if row["bay"] == "A1" else second).truth.items()
        )


def test_a_foreign_stick_stays_untouched(guest: Machine, make_card: MakeCard) -> None:
    card = make_card("A1")
    guest.plug("5", card.image, serial="A-CLERKS-OWN")
    guest.run("udevadm settle; until [ -b /dev/sda ]; do sleep 0.2; done; udevadm settle")
    assert guest.run("cat /sys/block/sda/ro") == "0\n"
    assert "dockd" not in guest.run("udevadm info --query=property --property=CURRENT_TAGS,UDISKS_IGNORE /dev/sda")
    # A recorder that is docked afterwards is read: the service has looked meanwhile.
    dock(guest, "A2", make_card("A2"))
    safe_visit(guest, "A2")
    assert visit_count(guest) == 1
    refused = guest.run(
        "python3 -c 'import sys; sys.path[:0] = sys.argv[1:]; from dockd.broker.wire import ask; import os; "
        'ask(os.stat("/dev/sda").st_rdev, int(open("/sys/block/sda/diskseq").read()))\' '
        "/opt/dockd/current/lib/python3*/site-packages 2>&1",
        check=False,
    )
    assert "DeviceNotMarked" in refused


def test_a_card_of_an_unknown_recorder_is_held(guest: Machine, make_card: MakeCard) -> None:
    card = make_card("A5", device_no="ZZ99999")
    dock(guest, "A5", card, serial="NOBODYS")
    wait_for(guest, "[a for a in alerts() if a['kind'] == 'unknown_recorder']")
    assert wait_for(guest, "bay('A5')['state'] == 'unknown'").value
    assert guest.run(f"find {STORE}/footage -type f 2>/dev/null | grep -c mp4", check=False).strip() in ("0", "")


def test_a_bad_sector_costs_the_bytes_around_it_and_nothing_else(guest: Machine, make_card: MakeCard) -> None:
    card = make_card("A6", files=2, file_mib=4)
    broken = card.recordings[1]
    sector = card.find(broken) // 512 + 4096
    dock(guest, "A6", card, bad_sector=sector)
    shown, _safe_at = safe_visit(guest, "A6", 300, ended=True)
    outcomes = {one["path"]: one["outcome"] for one in shown["files"]}
    whole = {path: digest for path, digest in card.truth.items() if path != broken.path}
    assert stored(shown) == whole
    assert outcomes[broken.path] in ("stored_damaged", "unreadable")
    assert shown["outcome"] == "partial"


def test_a_slow_card_is_stored_and_nobody_else_waits_for_it(guest: Machine, make_card: MakeCard) -> None:
    slow, quick = make_card("A7", file_mib=24), make_card("A8")
    guest.slow_down("slow", 1 << 20)
    dock(guest, "A7", slow, throttle="slow")
    wait_for(guest, "bay('A7')['state'] == 'copying'")
    dock(guest, "A8", quick)
    wait_for(guest, "[v for v in visits() if v['bay'] == 'A8' and v['safe_at']]")
    assert wait_for(guest, "not [v for v in visits() if v['bay'] == 'A7' and v['safe_at']]", 1).value
    shown, _safe_at = safe_visit(guest, "A8", 240)
    assert stored(shown) == quick.truth
    shown, _safe_at = safe_visit(guest, "A7", 240)
    assert stored(shown) == slow.truth


def test_a_killed_daemon_is_started_again_and_finishes_what_it_had_begun(
    guest: Machine, make_card: MakeCard, figure: Figure
) -> None:
    card = make_card("A9", files=2, file_mib=12)
    guest.slow_down("slow", 4 << 20)
    dock(guest, "A9", card, throttle="slow")
    wait_for(guest, "bay('A9')['bytes_done'] > 2 << 20")
    killed = time.time()
    guest.run("systemctl kill -s KILL dockd.service")
    shown, safe_at = safe_visit(guest, "A9", 240, ended=True)
    figure(f"{safe_at - killed:.1f} s from kill -9 to safe to remove")
    assert stored(shown) == card.truth
    assert wait_for(guest, "not [v for v in visits() if not v['ended_at']]").value
    begun, finished = (visit(guest, row["id"]) for row in wait_for(guest, "visits()").value)
    assert (begun["outcome"], begun["reason"]) == ("partial", "interrupted")
    copied = [f["path"] for one in (begun, finished) for f in one["files"] if f["outcome"] == "stored"]
    assert sorted(copied) == sorted(card.truth), "each recording is copied once, in one visit or the other"
    assert begun["bytes_read"] + finished["bytes_read"] < sum(one.size for one in card.recordings) + (8 << 20)
    guest.run("dockd ledger verify && dockd verify")


def test_the_24_hours_run_from_the_end_of_the_recording(guest: Machine, make_card: MakeCard) -> None:
    """The recorders' wall clock is Beijing's; FAT stores it without a zone."""
    wall = datetime.now(UTC).replace(tzinfo=None) + timedelta(hours=8)
    ages = {"A1": 2, "A2": 23, "A3": 25, "A4": 30}
    for bay, hours in ages.items():
        dock(guest, bay, make_card(bay, recorded=wall - timedelta(hours=hours)))
    wait_for(guest, "len([v for v in visits() if v['ended_at']]) == 4", 300)
    guest.run("dockd inventory export /root/inventory.csv")
    found = guest.json(
        'python3 -c \'import csv, json; print(json.dumps({r["bay"]: r["late"] for r in '
        'csv.DictReader(open("/root/inventory.csv", encoding="utf-8-sig"))}))\''
    )
    assert found == {bay: "true" if hours > 24 else "false" for bay, hours in ages.items()}


def test_no_card_is_seen_in_any_mount_table_while_it_is_read(guest: Machine, make_card: MakeCard) -> None:
    guest.slow_down("slow", 2 << 20)
    dock(guest, "A10", make_card("A10", file_mib=12), throttle="slow")
    wait_for(guest, "bay('A10')['bytes_done'] > 1 << 20")
    assert guest.run("grep -l /dev/sda /proc/[0-9]*/mountinfo", check=False) == ""
    (row,) = guest.json("dockd mounts --json")
    assert (row["bay"], row["read_only"], row["mounted_at"]) == ("A10", True, None)
    assert row["holders"]
    # Who is root can mount it once more, and write to it neither so nor otherwise.
    with pytest.raises(RuntimeError, match=r"[Rr]ead-only"):
        guest.run("mount /dev/sda /mnt && touch /mnt/x")
    with pytest.raises(RuntimeError, match="not permitted"):
        guest.run("dd if=/dev/zero of=/dev/sda bs=512 count=1")
    guest.run("umount /mnt")
    assert "dockd-mount" in journal(guest)
    safe_visit(guest, "A10")
