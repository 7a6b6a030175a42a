"""What is stored already is not read again, and nothing is ever taken for it that is not it."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bureau import BEIJING, DOCKED, Bureau, by_path, media, name_of, outcomes, require_manifest

from dockd.footage.sidecar import parse_sidecar

pytestmark = pytest.mark.usefixtures("no_parsers")

INGEST = "unknown_recorder: ingest"
RESETS = {
    "1970": datetime(1970, 1, 1, tzinfo=UTC),
    "1980": datetime(1980, 1, 1, tzinfo=UTC),
    "2000": datetime(2000, 1, 1, 0, 3, tzinfo=UTC),
    "future": DOCKED + timedelta(days=400),
}


def logs(bureau: Bureau, count: int = 2) -> list[str]:
    """Some files of a recorder that no parser is asked about."""
    for number in range(count):
        bureau.lay(f"DCIM/LOGS/2026112{number}.log", f"log {number}".encode())
    return [f"DCIM/LOGS/2026112{number}.log" for number in range(count)]


# --- the same card again ------------------------------------------------------------------------------------


def test_a_second_visit_stores_nothing_reads_nothing_and_says_so(bureau: Bureau) -> None:
    bureau.record(8, ext="log")
    bureau.record(9, ext="log")
    first = bureau.offload()
    bureau.clock.move(hours=5)

    again = bureau.offload()

    assert (again["bytes_read"], again["bytes_stored"], again["outcome"]) == (0, 0, "complete")
    assert {f["reason"] for f in again["files"]} == {"known"}
    for path, file in by_path(again).items():
        before = by_path(first)[path]
        assert {k: file[k] for k in ("sha256", "size", "record_id", "file_no", "location")} == {
            k: before[k] for k in ("sha256", "size", "record_id", "file_no", "location")
        }
    table = bureau.dockd("visit", "show", again["visit_id"]).stdout
    assert table.count("already stored  ") == 2
    assert "seen before on this card" in table
    assert "0 stored, 2 already stored" in table
    assert "0 bytes read" in table
    assert len(bureau.records()) == 2
    bureau.prove(first, again)
    assert again["manifest"] != first["manifest"]


def test_a_visit_of_old_and_new_reads_the_new_only(bureau: Bureau) -> None:
    old = bureau.record(8, ext="log")
    bureau.offload()
    bureau.clock.move(hours=5)
    new = bureau.record(9, media("new", 1000), ext="log")

    again = bureau.offload()

    assert outcomes(again) == {old: "already_stored", new: "stored"}
    assert again["bytes_read"] == again["bytes_stored"] == 8 + 4 + 1000
    bureau.prove(again)
    assert len((bureau.store / again["manifest"]).read_text().splitlines()) == 2, "the manifest names the old one too"


def test_a_manifest_of_another_day_stands_where_its_visit_belongs(bureau: Bureau) -> None:
    logs(bureau)
    bureau.offload("--device-no", "YS-07")
    bureau.clock.move(days=1)
    again = bureau.offload("--device-no", "YS-07")
    assert again["manifest"] == "footage/2026/11/24/YS-07/visit-000002.sha256"
    bureau.prove(again)


# --- clocks that say nothing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", RESETS)
def test_a_file_with_a_meaningless_time_is_read_and_decided_by_its_digest(bureau: Bureau, reset: str) -> None:
    bureau.lay("DCIM/LOGS/1.log", b"same", at=RESETS[reset])
    bureau.offload("--device-no", "YS-07")

    again = bureau.offload("--device-no", "YS-07")

    (file,) = again["files"]
    assert (file["outcome"], file["reason"]) == ("already_stored", "same_bytes")
    assert (again["bytes_read"], again["bytes_stored"]) == (4, 0)
    assert len(bureau.records()) == 1
    bureau.prove(again)


@pytest.mark.parametrize("reset", RESETS)
def test_new_footage_with_the_path_size_and_meaningless_time_of_old_is_stored(bureau: Bureau, reset: str) -> None:
    path = "DCIM/100MEDIA/MOVI0001.log"
    bureau.lay(path, b"the first", at=RESETS[reset])
    first = bureau.offload("--device-no", "YS-07")
    bureau.lay(path, b"the other", at=RESETS[reset])

    second = bureau.offload("--device-no", "YS-07")

    assert outcomes(second) == {path: "stored"}
    places = [bureau.store / visit["files"][0]["location"] for visit in (first, second)]
    assert [place.read_bytes() for place in places] == [b"the first", b"the other"]
    third = bureau.offload("--device-no", "YS-07")
    assert third["files"][0]["reason"] == "same_bytes"
    assert third["files"][0]["location"] == second["files"][0]["location"]
    assert len(bureau.records()) == 2
    bureau.prove(first, second, third)


def test_new_footage_with_the_path_and_size_of_old_and_a_time_of_its_own_is_stored(bureau: Bureau) -> None:
    bureau.lay("DCIM/1.log", b"the first")
    bureau.offload("--device-no", "YS-07")
    bureau.lay("DCIM/1.log", b"the other", at=DOCKED - timedelta(minutes=5))
    assert outcomes(bureau.offload("--device-no", "YS-07")) == {"DCIM/1.log": "stored"}


def test_a_file_whose_time_alone_changed_is_read_and_known_again(bureau: Bureau) -> None:
    bureau.lay("DCIM/1.log", b"the same")
    bureau.offload("--device-no", "YS-07")
    bureau.lay("DCIM/1.log", b"the same", at=DOCKED - timedelta(minutes=5))
    again = bureau.offload("--device-no", "YS-07")
    assert (again["files"][0]["reason"], again["bytes_read"], again["bytes_stored"]) == ("same_bytes", 8, 0)
    third = bureau.offload("--device-no", "YS-07")
    assert (third["files"][0]["reason"], third["bytes_read"]) == ("known", 0)
    bureau.lay("DCIM/1.log", b"the same", at=DOCKED - timedelta(minutes=2))
    assert bureau.offload("--device-no", "YS-07")["bytes_read"] == 8


# --- the store lost something -------------------------------------------------------------------------------------


def test_a_file_that_is_gone_from_the_store_is_copied_anew_as_a_further_place_and_never_in_silence(
    bureau: Bureau,
) -> None:
    path = bureau.record(8, ext="log")
    first = bureau.offload()
    gone = first["files"][0]["location"]
    (bureau.store / gone).unlink()
    bureau.clock.move(hours=1)

    again = bureau.offload()

    (file,) = again["files"]
    assert (file["path"], file["outcome"], file["reason"]) == (path, "stored", "stored_again")
    assert file["record_id"] == first["files"][0]["record_id"], "the same recording, not a second one"
    assert file["file_no"] == first["files"][0]["file_no"]
    assert file["location"] != gone
    assert (bureau.store / file["location"]).read_bytes() == (bureau.card / path).read_bytes()
    assert not (bureau.store / gone).exists()
    (alert,) = [a for a in bureau.alerts("store_altered") if a["facts"].get("reason") == "stored_again"]
    assert (alert["device_no"], alert["visit_id"], alert["state"]) == ("YS-07", again["visit_id"], "open")
    assert gone in alert["text"]
    assert "missing from the store" in alert["text"]
    (line,) = bureau.ledger_lines("footage.stored_again")
    assert (line["data"]["missing"], line["data"]["location"]) == (gone, file["location"])
    assert "was missing from the store" in bureau.dockd("visit", "show", again["visit_id"]).stdout
    assert bureau.said_of(path)["location"] == file["location"]
    bureau.prove(again)
    assert [a["state"] for a in bureau.alerts("store_altered") if a["alert_id"] == alert["alert_id"]] == ["open"]
    assert bureau.offload()["bytes_read"] == 0


def test_a_file_that_an_audit_found_altered_is_copied_anew_and_the_altered_one_is_kept(bureau: Bureau) -> None:
    path = bureau.record(8, ext="log")
    first = bureau.offload()
    place = bureau.store / first["files"][0]["location"]
    altered = bytes(reversed(place.read_bytes()))
    place.chmod(0o640)
    place.write_bytes(altered)
    bureau.dockd("verify", code=5)

    again = bureau.offload()

    (file,) = again["files"]
    assert (file["outcome"], file["reason"]) == ("stored", "stored_again")
    assert (bureau.store / file["location"]).read_bytes() == (bureau.card / path).read_bytes()
    assert place.read_bytes() == altered, "the altered file is evidence"
    assert [a["facts"]["finding"] for a in bureau.alerts("store_altered") if a["visit_id"] == again["visit_id"]] == [
        "altered"
    ]
    require_manifest(bureau.store, again["manifest"])


def test_a_shortened_file_in_the_store_is_not_called_stored_already(bureau: Bureau) -> None:
    path = bureau.record(8, media("long", 5000), ext="log")
    place = bureau.store / bureau.offload()["files"][0]["location"]
    place.chmod(0o640)
    os.truncate(place, 100)
    again = bureau.offload()
    assert by_path(again)[path]["reason"] == "stored_again"
    require_manifest(bureau.store, again["manifest"])


# --- other cards and other recorders --------------------------------------------------------------------------------


def other_card(bureau: Bureau) -> Path:
    """A copy of the card with its times, as a directory of its own."""
    copy = bureau.folder.parent / "copied card"
    shutil.copytree(bureau.card, copy, copy_function=shutil.copy2)
    return copy


def test_a_copied_card_is_read_and_not_stored_twice_for_the_same_recorder(bureau: Bureau) -> None:
    logs(bureau)
    first = bureau.offload("--device-no", "YS-07")

    again = bureau.offload("--device-no", "YS-07", card=other_card(bureau))

    assert {f["reason"] for f in again["files"]} == {"same_bytes"}
    assert (again["bytes_read"], again["bytes_stored"]) == (10, 0)
    assert {f["location"] for f in again["files"]} == {f["location"] for f in first["files"]}
    bureau.prove(again)
    third = bureau.offload("--device-no", "YS-07", card=bureau.folder.parent / "copied card")
    assert {f["reason"] for f in third["files"]} == {"known"}
    assert third["bytes_read"] == 0, "what was read once and known is not read again"


def test_equal_bytes_of_another_recorder_are_another_recording(bureau: Bureau) -> None:
    logs(bureau)
    first = bureau.offload("--device-no", "YS-07")
    other = bureau.offload("--device-no", "YS-08", card=other_card(bureau))
    assert set(outcomes(other).values()) == {"stored"}
    assert not {f["location"] for f in first["files"]} & {f["location"] for f in other["files"]}
    bureau.prove(first, other)


def test_nobodys_footage_equals_only_what_came_from_the_same_card(bureau: Bureau) -> None:
    bureau.configure(INGEST)
    logs(bureau)
    first = bureau.offload()
    assert (first["device_no"], first["identified_by"]) == (None, "none")
    assert all(f["location"].startswith("footage/2026/11/23/_unregistered/") for f in first["files"])

    other = bureau.offload(card=other_card(bureau))
    assert set(outcomes(other).values()) == {"stored"}, "two cards that nobody knows"

    for file in bureau.card.rglob("*.log"):  # the same card, times that tell nothing
        os.utime(file, (0, 0))
    again = bureau.offload()
    assert {f["reason"] for f in again["files"]} == {"same_bytes"}
    bureau.prove(first, other, again)


# --- what a recorder copied and renamed because it was marked important -------------------------------------------


def marked(bureau: Bureau, hour: float = 8, *, data: bytes = b"", **said: Any) -> tuple[str, str]:
    """A recording and its important-mark copy."""
    content = data or media(f"of {hour}")
    return bureau.record(hour, content), bureau.record(hour, content, folder="DCIM/101ANDRO", mark="IMP", **said)


def require_one_record(bureau: Bureau, original: str, copy: str) -> dict[str, Any]:
    """One record with both names; its revision says so, in the history, the ledger and a sidecar of its own."""
    (record,) = bureau.records()
    names = {record["original_name"], *record["other_names"]}
    assert names == {path.rpartition("/")[2] for path in (original, copy)}
    assert record["important_mark"] is True
    history = bureau.json("record", "history", record["record_id"])
    assert history[-1]["why"].startswith("important_mark visit:")
    assert [r["revision"] for r in history] == [0, 1]
    first, second = (bureau.store / (record["location"] + end) for end in (".xmp", ".r2.xmp"))
    assert parse_sidecar(first.read_bytes()).important_mark is False
    said = parse_sidecar(second.read_bytes())
    assert (said.important_mark, said.other_paths) == (True, (copy.encode(),))
    assert len(bureau.ledger_lines("record.revised")) == 1
    assert [line["data"]["revision"] for line in bureau.ledger_lines("sidecar.written")] == [0, 1]
    return record


def test_an_important_mark_copy_in_the_same_visit_is_the_same_recording(bureau: Bureau) -> None:
    original, copy = marked(bureau)
    summary = bureau.offload()
    found = by_path(summary)
    assert (found[original]["outcome"], found[copy]["outcome"]) == ("stored", "already_stored")
    assert found[copy]["reason"] == "important_mark"
    assert found[copy]["location"] == found[original]["location"]
    assert "marked copy of a stored recording" in bureau.dockd("visit", "show", 1).stdout
    require_one_record(bureau, original, copy)
    bureau.prove(summary)
    bureau.dockd("inventory", "export")
    again = bureau.offload()
    assert (set(outcomes(again).values()), again["bytes_read"]) == ({"already_stored"}, 0)


def test_an_important_mark_copy_in_a_later_visit_is_the_same_recording(bureau: Bureau) -> None:
    content = media("of 8")
    original = bureau.record(8, content)
    bureau.offload()
    (bureau.card / original).unlink()  # the recorder copies to the new name and deletes the old one
    copy = bureau.record(8, content, folder="DCIM/101ANDRO", mark="IMP")
    bureau.clock.move(hours=3)

    later = bureau.offload()

    assert by_path(later)[copy]["reason"] == "important_mark"
    require_one_record(bureau, original, copy)
    bureau.prove(later)
    third = bureau.offload()
    assert len(bureau.json("record", "history", 1)) == 2, "said once"
    assert (outcomes(third), third["bytes_read"]) == ({copy: "already_stored"}, 0)


@pytest.mark.parametrize(
    "difference",
    [
        {"number": 2},
        {"badge": "012346"},
        {"serial": "2107732"},
        {"hour": 8.25},
        {"data": media("other bytes")},
        {"mark": ""},
    ],
    ids=lambda d: next(iter(d)),
)
def test_anything_less_than_an_important_mark_copy_is_a_recording_of_its_own(
    bureau: Bureau, difference: dict[str, Any]
) -> None:
    content = media("of 8")
    said = {"hour": 8, "data": content, "folder": "DCIM/101ANDRO", "mark": "IMP", **difference}
    paths = [bureau.record(8, content), bureau.record(**said)]
    summary = bureau.offload("--device-no", "YS-07")
    assert outcomes(summary) == dict.fromkeys(paths, "stored")
    assert len(bureau.records()) == 2
    assert len({f["location"] for f in summary["files"]}) == 2
    bureau.prove(summary)


def test_a_marked_copy_of_another_recorders_footage_is_a_recording_of_its_own(bureau: Bureau) -> None:
    content = media("both recorders")
    bureau.record(8, content)
    bureau.offload("--device-no", "YS-07")
    card = bureau.folder.parent / "other"
    bureau.card = card
    copy = bureau.record(8, content, folder="DCIM/101ANDRO", mark="IMP")
    other = bureau.offload("--device-no", "YS-08")
    assert outcomes(other) == {copy: "stored"}


def test_names_of_this_bureau_are_as_the_tests_write_them() -> None:
    at = datetime(2026, 11, 23, 8, 0, tzinfo=BEIJING)
    assert name_of(at, mark="IMP") == "2107731_012345_20261123080000_0001IMP.mp4"
