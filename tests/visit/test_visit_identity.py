"""Whose card it is: the ladder of evidence, its rung recorded, disagreement alerted, an unknown recorder held."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bureau import DOCKED, Bureau, kinds, media, outcomes

from dockd.nouns import Rung
from dockd.visit.identify import Clue, Identified, identify

pytestmark = pytest.mark.usefixtures("no_parsers")

BIND = "[binding]\nrecorder_serial = {serial}\nuser_no = {badge}\n"


def bind(bureau: Bureau, serial: str, badge: str = "") -> None:
    bureau.lay("station_bind.ini", BIND.format(serial=serial, badge=badge).encode())


def log(bureau: Bureau) -> None:
    """A file that says nothing of its recorder."""
    bureau.lay("DCIM/LOGS/1.log", b"power on")


# --- the rungs -------------------------------------------------------------------------------------------


def test_a_persons_word_identifies(bureau: Bureau) -> None:
    log(bureau)
    summary = bureau.offload("--device-no", "YS-08")
    assert (summary["device_no"], summary["identified_by"]) == ("YS-08", "explicit")
    assert bureau.alerts("identity_conflict") == []


@pytest.mark.parametrize("number", ["2107731", "YS-07", "ys-07"])
def test_a_binding_file_identifies_by_serial_or_number(bureau: Bureau, number: str) -> None:
    log(bureau)
    bind(bureau, number)
    summary = bureau.offload()
    assert (summary["device_no"], summary["identified_by"]) == ("YS-07", "binding_file")
    assert outcomes(summary)["station_bind.ini"] == "stored"


def test_names_identify_by_the_makers_serial(bureau: Bureau) -> None:
    bureau.record(8, ext="log")
    summary = bureau.offload()
    assert (summary["device_no"], summary["identified_by"]) == ("YS-07", "file_names")


def test_names_identify_by_the_bureaus_number_in_either_order(bureau: Bureau) -> None:
    bureau.dockd("recorder", "add", "TA00716")
    bureau.lay("DCIM/100ANDRO/012345_TA00716_20261123080000_0001.log", b"1")
    summary = bureau.offload()
    assert (summary["device_no"], summary["identified_by"]) == ("TA00716", "file_names")


def test_most_of_the_names_decide_and_a_minority_is_alerted(bureau: Bureau) -> None:
    for number in (1, 2):
        bureau.record(8, number=number, ext="log")
    bureau.record(9, serial="2107732", ext="log")
    summary = bureau.offload()
    assert (summary["device_no"], summary["outcome"]) == ("YS-07", "complete")
    (alert,) = bureau.alerts("identity_conflict")
    assert alert["facts"]["others"] == ["YS-08"]


@pytest.mark.parametrize("serial", ["8888888", "0000000", "99999"])
def test_numbers_that_mean_not_set_never_identify(bureau: Bureau, serial: str) -> None:
    bureau.lay(f"DCIM/100ANDRO/{serial}_000000_20261123080000_0001.mp4", media("1"))
    bureau.lay("gbpe.prop", f"devNum={serial}\n".encode())
    assert "not registered" in bureau.dockd("offload", bureau.card, code=6).stderr
    assert "not set" in bureau.dockd("recorder", "add", serial, code=2).stderr


# --- disagreement ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("explicit", [True, False])
def test_two_rungs_that_disagree_are_alerted_and_the_better_one_wins(bureau: Bureau, explicit: bool) -> None:
    bureau.record(8, ext="log")
    if not explicit:
        bind(bureau, "2107732")
    summary = bureau.offload(*(["--device-no", "YS-08"] if explicit else []))
    assert summary["device_no"] == "YS-08"
    assert summary["identified_by"] == ("explicit" if explicit else "binding_file")
    assert set(outcomes(summary).values()) == {"stored"}
    (alert,) = bureau.alerts("identity_conflict")
    assert (alert["device_no"], alert["visit_id"], alert["facts"]["others"]) == ("YS-08", 1, ["YS-07"])
    assert "YS-07" in alert["text"]
    assert "YS-08" in alert["text"]
    assert alert["article"] == "article 26"
    bureau.prove(summary)


def test_names_of_two_recorders_in_equal_number_identify_nobody_and_say_so(bureau: Bureau) -> None:
    bureau.record(8, ext="log")
    bureau.record(9, serial="2107732", ext="log")
    result = bureau.dockd("offload", bureau.card, code=6)
    assert "not registered" in result.stderr
    assert kinds(bureau.alerts()) == {"unknown_recorder", "identity_conflict"}
    (alert,) = bureau.alerts("identity_conflict")
    assert alert["facts"]["others"] == ["YS-07", "YS-08"]


def test_two_binding_files_that_disagree_decide_nothing(bureau: Bureau) -> None:
    log(bureau)
    bind(bureau, "2107731")
    bureau.lay("DCIM/station_bind.ini", BIND.format(serial="2107732", badge="").encode())
    bureau.dockd("offload", bureau.card, code=6)
    assert [a["facts"]["others"] for a in bureau.alerts("identity_conflict")] == [["YS-07", "YS-08"]]


# --- nobody's ------------------------------------------------------------------------------------------------


def test_an_unknown_recorder_is_held_with_exit_code_6_and_shown_but_not_copied(bureau: Bureau) -> None:
    path = bureau.record(8, serial="3000001", ext="log")

    result = bureau.dockd("offload", bureau.card, code=6)

    assert "3000001" in result.stderr
    assert "dockd recorder add" in result.stderr
    (visit,) = bureau.json("visit", "list")
    assert (visit["outcome"], visit["state"], visit["reason"]) == ("failed", "held", "unknown_recorder")
    assert (visit["device_no"], visit["identified_by"], visit["bytes_read"]) == (None, "none", 0)
    assert "failed" in bureau.dockd("visit", "list").stdout
    assert "! The recorder is not registered" in bureau.dockd("visit", "show", 1).stdout
    (alert,) = bureau.alerts()
    assert (alert["kind"], alert["state"], alert["visit_id"]) == ("unknown_recorder", "open", 1)
    assert "3000001" in alert["text"]
    assert not list((bureau.store / "footage").rglob("*.log"))
    (listed,) = bureau.ledger_lines("visit.listed")
    assert listed["data"]["files"] == 1, "what lay there is written down all the same"
    bureau.prove()
    bureau.dockd("offload", bureau.card, code=6)
    assert len(bureau.alerts()) == 1, "one alert while it stands"
    # Registered, it is stored by the same command.
    bureau.dockd("recorder", "add", "YS-09", "--serial", "3000001")
    assert outcomes(bureau.offload()) == {path: "stored"}


def test_an_officer_who_docked_a_held_recorder_in_time_is_not_late_when_it_is_taken(bureau: Bureau) -> None:
    path = bureau.record(8, serial="3000001")
    bureau.dockd("offload", bureau.card, code=6)
    bureau.clock.move(days=3)
    bureau.dockd("recorder", "add", "YS-09", "--serial", "3000001")
    bureau.offload()
    record = bureau.said_of(path)
    assert record["docked_at"] == DOCKED.isoformat()
    assert (record["late"], record["late_kind"]) == (True, "stored")


def test_an_unknown_recorder_is_taken_where_the_station_takes_all(bureau: Bureau) -> None:
    bureau.configure("unknown_recorder: ingest")
    path = bureau.record(8, serial="3000001")
    summary = bureau.offload()
    assert (summary["device_no"], summary["identified_by"], summary["outcome"]) == (None, "none", "complete")
    record = bureau.said_of(path)
    assert record["device_no"] is None
    assert record["tags_complete"] is False
    assert record["location"].startswith("footage/2026/11/23/_unregistered/")
    bureau.prove(summary)


def test_the_visit_keeps_every_clue_for_a_person(bureau: Bureau) -> None:
    bureau.record(8, ext="log")
    bind(bureau, "2107732")
    bureau.offload()
    (opened,) = bureau.ledger_lines("visit.opened")
    clues = {(c["rung"], c["token"], c["device_no"]) for c in opened["data"]["evidence"]["clues"]}
    assert ("binding_file", "2107732", "YS-08") in clues
    assert ("file_names", "YS-07", "YS-07") in clues


# --- footage handed in by hand -----------------------------------------------------------------------------------


def test_footage_handed_in_by_hand_keeps_time_person_and_source(bureau: Bureau) -> None:
    path = bureau.record(8, ext="log")
    handed = DOCKED - timedelta(hours=1, minutes=30)
    summary = bureau.offload("--docked-at", handed.isoformat())
    assert (summary["source"], summary["docked_at"]) == ("manual", handed.isoformat())
    assert summary["person"].startswith("person:")
    assert bureau.said_of(path)["docked_at"] == handed.isoformat()
    assert bureau.ledger_lines("visit.opened")[0]["data"]["person"] == summary["person"]


def test_footage_is_not_handed_in_in_the_future(bureau: Bureau) -> None:
    bureau.record(8, ext="log")
    bureau.dockd("offload", bureau.card, "--docked-at", "2026-11-23T10:01", code=2)
    bureau.dockd("offload", bureau.card, "--docked-at", "yesterday", code=2)
    assert bureau.json("visit", "list") == []


# --- the rule alone ------------------------------------------------------------------------------------------------


def clues(*said: tuple[Rung, str | None]) -> list[Clue]:
    return [Clue(rung, number or "token", number) for rung, number in said]


@pytest.mark.parametrize(
    ("said", "mentioned", "found"),
    [
        ([], (), Identified(None, Rung.NONE)),
        ([(Rung.FILE_NAMES, None)], (), Identified(None, Rung.NONE)),
        ([(Rung.VOLUME, "A"), (Rung.FILE_NAMES, "A")], ("A",), Identified("A", Rung.VOLUME)),
        ([(Rung.FILE_NAMES, "B"), (Rung.EXPLICIT, "A")], ("B",), Identified("A", Rung.EXPLICIT, ("B",))),
        ([(Rung.VOLUME, "A"), (Rung.VOLUME, "B"), (Rung.FILE_NAMES, "A")], (), Identified(None, Rung.NONE, ("A", "B"))),
        ([(Rung.VOLUME, "A"), (Rung.VOLUME, "A")], (), Identified("A", Rung.VOLUME)),
        ([(Rung.FILE_NAMES, "A")], ("A", "B"), Identified("A", Rung.FILE_NAMES, ("B",))),
        ([], ("A", "B"), Identified(None, Rung.NONE, ("A", "B"))),
        ([], ("A",), Identified(None, Rung.NONE)),
    ],
)
def test_the_best_clue_decides_and_whoever_else_is_spoken_of_is_named(
    said: list[Any], mentioned: tuple[str, ...], found: Identified
) -> None:
    assert identify(clues(*said), mentioned=mentioned) == found
