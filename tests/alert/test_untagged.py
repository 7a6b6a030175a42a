"""Article 27: a visit with recordings that nobody described in time is told of, once, and no longer than needed."""

from __future__ import annotations

from typing import Any

import pytest
from shelf import Shelf

from dockd.alert.untagged import Watched, watch_untagged
from dockd.nouns import MediaType, OwnerState
from dockd.register.alerts import Alert, close_alert, list_alerts
from dockd.register.records import revise_record
from dockd.register.station import Station
from dockd.register.tagging import tag_record

COMPLETE = {
    "title": "t",
    "party": "p",
    "case_cause": "c",
    "officers": ("13012301",),
    "owner_state": OwnerState.ASSIGNED,
}


@pytest.fixture
def shelf(station: Station) -> Shelf:
    """A visit of a recorder with a complete recording, an incomplete one and a log."""
    shelf = Shelf(station.register, station.store, at=station.now())
    shelf.officer("13012301")
    visit = shelf.visit(shelf.recorder("YS-07"))
    times = {"used_from": shelf.at, "used_to": shelf.at}
    shelf.record(visit, b"1.MP4", b"one", **COMPLETE, **times)
    shelf.record(visit, b"2.MP4", b"two", **times)
    shelf.record(visit, b"3.log", b"log", media_type=MediaType.LOG)
    return shelf


def standing(station: Station) -> list[Alert]:
    with station.register.read() as session:
        return [alert for alert in list_alerts(session, open_only=True) if alert.kind == "untagged"]


def test_nobody_is_reminded_before_the_time(station: Station, shelf: Shelf, clock: Any) -> None:
    clock.move(hours=71)
    assert watch_untagged(station) == Watched()


def test_after_it_a_visit_is_told_of_once(station: Station, shelf: Shelf, clock: Any) -> None:
    clock.move(hours=72)
    assert watch_untagged(station) == Watched(opened=1)
    assert watch_untagged(station) == Watched()
    (alert,) = standing(station)
    assert (alert.about, alert.facts["count"], alert.device_no) == ("visit:1", 1, "YS-07")


def test_it_ends_when_the_last_one_is_described(station: Station, shelf: Shelf, clock: Any) -> None:
    clock.move(hours=73)
    watch_untagged(station)
    said = {name: value for name, value in COMPLETE.items() if name != "owner_state"}
    with station.register.write() as session:
        tag_record(session, 2, said, actor="person:li", at=station.now())
    assert standing(station) == []


def test_it_ends_too_when_dockd_finds_out_by_itself(station: Station, shelf: Shelf, clock: Any) -> None:
    clock.move(hours=73)
    watch_untagged(station)
    with station.register.write() as session:
        revise_record(session, 2, COMPLETE, actor="dockd", why="case:1", at=station.now())
    assert watch_untagged(station) == Watched(settled=1)
    assert standing(station) == []


def test_what_a_person_has_closed_is_not_told_again(station: Station, shelf: Shelf, clock: Any) -> None:
    clock.move(hours=73)
    watch_untagged(station)
    with station.register.write() as session:
        close_alert(session, standing(station)[0].alert_id, note="training", by="person:li", at=station.now())
    assert watch_untagged(station) == Watched()
