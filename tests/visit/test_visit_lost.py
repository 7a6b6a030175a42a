"""A file that the store lost and its card gave again: what every command says of its two places."""

from __future__ import annotations

import csv
import subprocess
from typing import Any

import pytest
from bureau import Bureau, by_path, require_manifest


@pytest.fixture
def twice(bureau: Bureau) -> tuple[dict[str, Any], dict[str, Any], str]:
    """The visit that stored two files, the one that stored one of them again, and that one's path on the card."""
    path = bureau.record(8)
    bureau.record(9)
    first = bureau.offload()
    (bureau.store / by_path(first)[path]["location"]).unlink()
    bureau.clock.move(hours=1)
    return first, bureau.offload(), path


Twice = tuple[dict[str, Any], dict[str, Any], str]


def places(twice: Twice) -> tuple[str, str]:
    first, again, path = twice
    return by_path(first)[path]["location"], by_path(again)[path]["location"]


def test_both_visits_show_where_the_file_lies_now(bureau: Bureau, twice: Twice) -> None:
    first, again, path = twice
    old, new = places(twice)
    assert old != new
    shown = [by_path(bureau.json("visit", "show", visit["visit_id"]))[path] for visit in (first, again)]
    assert {file["location"] for file in shown} == {new}
    assert [file["outcome"] for file in shown] == ["stored", "stored"]
    assert len({(file["record_id"], file["file_no"], file["sha256"]) for file in shown}) == 1


def test_each_manifest_names_the_place_of_its_visit(bureau: Bureau, twice: Twice) -> None:
    first, again, _ = twice
    old, new = places(twice)
    lines = [(bureau.store / visit["manifest"]).read_text() for visit in (first, again)]
    assert [old in text for text in lines] == [True, False]
    assert [new in text for text in lines] == [False, True]
    require_manifest(bureau.store, again["manifest"])
    check = ["sha256sum", "-c", first["manifest"]]
    done = subprocess.run(check, cwd=bureau.store, capture_output=True, text=True, check=False)
    assert done.stdout.count("OK") == 1, "only the lost file is missed"


def test_the_record_names_both_places_and_is_the_only_one(bureau: Bureau, twice: Twice) -> None:
    old, new = places(twice)
    record_id = bureau.said_of(twice[2])["record_id"]
    shown = bureau.json("record", "show", record_id)
    assert shown["location"] == new
    assert [(place["location"], place["state"]) for place in shown["locations"]] == [(new, "present"), (old, "missing")]
    text = "".join(bureau.dockd("record", "show", record_id).stdout.split())
    assert f"{old}(missing)" in text
    assert f"{new}(present)" in text
    assert len(bureau.records()) == 2


def test_the_inventory_has_one_row_at_the_new_place(bureau: Bureau, twice: Twice) -> None:
    old, new = places(twice)
    bureau.dockd("inventory", "export", bureau.folder / "inventory.csv")
    with (bureau.folder / "inventory.csv").open(encoding="utf-8-sig", newline="") as file:
        found = [row["location"] for row in csv.DictReader(file)]
    assert len(found) == 2
    assert new in found
    assert old not in found


@pytest.mark.parametrize("words", [(), ("--due",)])
def test_verify_is_content_and_the_alert_waits_for_a_person(
    bureau: Bureau, twice: Twice, words: tuple[str, ...]
) -> None:
    bureau.clock.move(days=31)
    bureau.dockd("verify", *words)
    stored_again = [a for a in bureau.alerts("store_altered") if a["facts"].get("reason") == "stored_again"]
    lost = [a for a in bureau.alerts("store_altered") if a not in stored_again]
    assert [(a["state"], a["visit_id"], a["device_no"]) for a in stored_again] == [("open", 2, "YS-07")]
    assert [(a["state"], a["close_note"]) for a in lost] == [("closed", "stored again")]
    bureau.dockd("ledger", "verify")
    assert [line["kind"] for line in bureau.ledger_lines("footage.missing")] == ["footage.missing"]
    assert [line["data"]["location"] for line in bureau.ledger_lines("footage.stored_again")] == [places(twice)[1]]


def test_a_file_that_no_card_has_any_more_is_alerted_and_never_made_again(bureau: Bureau) -> None:
    path = bureau.record(8)
    gone = bureau.store / by_path(bureau.offload())[path]["location"]
    gone.unlink()
    (bureau.card / path).unlink()
    bureau.dockd("verify", code=5)
    bureau.record(9)
    bureau.offload()
    bureau.dockd("verify", code=5)
    assert not gone.exists()
    (alert,) = bureau.alerts("store_altered")
    assert alert["state"] == "open"
