"""Article 23(2) through the real commands: entered before or after docking, judged again, to nobody's harm."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from bureau import BEIJING, DOCKED, LI, WANG, Bureau

from dockd.visit.watch import watch_deadlines

pytestmark = pytest.mark.usefixtures("no_parsers")

FRIDAY = datetime(2026, 11, 20, 8, 0, tzinfo=BEIJING)  # three days before docking


def trip(bureau: Bureau, *more: object, code: int = 0, **said: object) -> Any:
    """The statement for a trip from Friday to Monday."""
    told = {
        "--device-no": "YS-07",
        "--reason": "remote",
        "--from": "2026-11-20T06:00",
        "--to": "2026-11-23T09:00",
        "--declared-by": WANG,
        "--note": "山区巡查",
    } | {f"--{name.replace('_', '-')}": value for name, value in said.items()}
    words = [word for pair in told.items() for word in pair if pair[1] is not None]
    return bureau.dockd("exception", "add", *words, *more, "--json", code=code)


def stored(bureau: Bureau) -> dict[str, Any]:
    path = bureau.record(8, day=20)
    bureau.offload()
    return bureau.said_of(path)


def again(bureau: Bureau, record: dict[str, Any]) -> dict[str, Any]:
    return dict(bureau.json("record", "show", record["record_id"]))


def standing(bureau: Bureau) -> set[str]:
    return {a["kind"] for a in bureau.json("alert", "list", "--open")}


def test_a_statement_after_docking_is_applied_to_what_was_judged_late_and_the_original_deadline_stays(
    bureau: Bureau,
) -> None:
    late = stored(bureau)
    assert (late["late"], late["late_kind"]) == (True, "docked")
    added = trip(bureau, returned_at="2026-11-23T08:00").json
    assert (added["state"], added["changed"]) == ("unconfirmed", [late["record_id"]])
    record = again(bureau, late)
    assert (record["late"], record["judge_reason"], record["exception_id"]) == (False, "exception_unconfirmed", 1)
    assert record["deadline_at"] == "2026-11-24T08:00:00+08:00"
    assert record["original_deadline_at"] == late["deadline_at"]
    assert "late_docked" not in standing(bureau)
    assert "exception_unconfirmed" in standing(bureau)
    last = bureau.json("record", "history", record["record_id"])[-1]
    assert (last["why"], last["changes"]["late"]) == ("exception:1", [True, False])
    bureau.dockd("exception", "confirm", 1, "--by", LI)
    assert again(bureau, late)["judge_reason"] is None
    assert "exception_unconfirmed" not in standing(bureau)
    bureau.prove()


def test_a_statement_before_docking_counts_at_once(bureau: Bureau) -> None:
    trip(bureau, returned_at="2026-11-23T08:00")
    assert stored(bureau)["late"] is False


def test_without_a_return_it_is_pending_and_the_return_decides(bureau: Bureau) -> None:
    trip(bureau)
    record = stored(bureau)
    assert (record["late"], record["judge_reason"], record["deadline_at"]) == (None, "exception_open", None)
    assert "exception_open" in standing(bureau)
    bureau.dockd("exception", "return", 1, "--at", "2026-11-22T09:00")
    assert again(bureau, record)["late"] is True
    assert {"late_docked"} <= standing(bureau)
    assert "exception_open" not in standing(bureau)


def test_a_return_after_the_docking_contradicts_it_and_excuses_nothing(bureau: Bureau) -> None:
    record = stored(bureau)
    bureau.clock.move(hours=2)
    trip(bureau, returned_at="2026-11-23T11:00")
    after = again(bureau, record)
    assert (after["late"], after["judge_reason"]) == (True, "exception_conflict")
    assert {"late_docked", "exception_conflict"} <= standing(bureau)
    bureau.dockd("exception", "return", 1, "--at", "2026-11-23T09:30")
    assert again(bureau, record)["late"] is False
    assert not {"late_docked", "exception_conflict"} & standing(bureau)


def test_an_officers_statement_covers_his_recordings_also_when_he_is_named_later(bureau: Bureau) -> None:
    path = bureau.record(8, day=20, badge="000000")
    bureau.offload()
    record = bureau.said_of(path)
    trip(bureau, device_no=None, officer=LI, declared_by=LI, returned_at="2026-11-23T08:00")
    assert again(bureau, record)["late"] is True
    bureau.issue(LI, FRIDAY - timedelta(days=1))
    assert again(bureau, record)["late"] is False


def test_a_return_that_is_put_right_must_be_confirmed_again(bureau: Bureau) -> None:
    trip(bureau, returned_at="2026-11-23T08:00")
    bureau.dockd("exception", "confirm", 1, "--by", LI)
    bureau.dockd("exception", "return", 1, "--at", "2026-11-23T07:00")
    (row,) = bureau.json("exception", "list")
    assert (row["state"], row["confirmed_by"], row["returned_at"]) == ("unconfirmed", None, "2026-11-23T07:00:00+08:00")
    for kind in ("added", "confirmed", "returned"):
        assert len(bureau.ledger_lines(f"exception.{kind}")) == 1


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"device_no": None}, "--device-no"),
        ({"device_no": "YS-99"}, "YS-99"),
        ({"declared_by": "99999999"}, "99999999"),
        ({"reason": "holiday"}, "holiday"),
        ({"to": "2026-11-19T09:00"}, "--to"),
        ({"returned_at": "2026-11-19T09:00"}, "2026-11-19"),
        ({"returned_at": "2026-12-19T09:00"}, "2026-12-19"),
        ({"from": "yesterday"}, "yesterday"),
    ],
)
def test_what_no_statement_can_say_is_refused_and_nothing_is_kept(
    bureau: Bureau, said: dict[str, Any], words: str
) -> None:
    assert words in trip(bureau, code=2, **said).stderr
    assert bureau.json("exception", "list") == []


def test_nobody_confirms_his_own_statement(bureau: Bureau) -> None:
    trip(bureau)
    bureau.dockd("exception", "confirm", 1, "--by", WANG, code=2)
    bureau.dockd("exception", "confirm", 9, "--by", LI, code=2)


# --- before the deadline -----------------------------------------------------------------------------------


def watched(bureau: Bureau) -> set[str]:
    station = bureau.open()
    watch_deadlines(station)
    station.close()
    return standing(bureau)


def test_a_recorder_that_is_out_is_warned_of_twice_and_then_overdue_and_docking_ends_it(bureau: Bureau) -> None:
    bureau.issue(WANG, DOCKED)
    states = []
    for hours in (19, 2, 2, 1, 0.1):
        bureau.clock.move(hours=hours)
        states.append(watched(bureau))
    assert states == [set(), {"due_soon"}, {"due_soon"}, {"due_soon"}, {"not_docked"}]
    assert len(bureau.alerts("due_soon")) == 2
    (row,) = bureau.json("recorder", "undocked")
    assert (row["device_no"], row["cert_no"], row["state"]) == ("YS-07", WANG, "not_docked")
    (alert,) = bureau.alerts("not_docked")
    assert "王建国" in alert["text"]
    bureau.record(9.9, day=24)
    bureau.offload()
    assert "not_docked" not in watched(bureau)


def test_a_statement_ends_the_warning_and_an_alert_that_a_person_closed_stays_closed(bureau: Bureau) -> None:
    bureau.issue(WANG, DOCKED - timedelta(hours=30))
    assert watched(bureau) == {"not_docked"}
    (alert,) = bureau.alerts("not_docked")
    bureau.dockd("alert", "close", alert["alert_id"], "--note", "已电话核实，未使用")
    assert watched(bureau) == set()
    trip(bureau, to="2026-11-30T09:00")
    (row,) = bureau.json("recorder", "undocked")
    assert (row["state"], row["deadline_at"]) == ("exception_open", None)
