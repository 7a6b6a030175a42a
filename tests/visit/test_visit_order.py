"""In whatever order footage, custody, cases and statements arrive, the same is concluded; a person's word stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bureau import DOCKED, LI, WANG, Bureau
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.usefixtures("no_parsers")

NOT_CONCLUDED = {"revision", "facts", "probed_at", "verified_at", "waiting_s"}
RETENTION = "retention: {classes: {case: {keep: 1 years}}, rules: [{class: case, case: true}]}"
DAY_BEFORE = DOCKED - timedelta(days=1)


def offload(bureau: Bureau) -> None:
    bureau.offload()


def custody(bureau: Bureau) -> None:
    bureau.issue(WANG, DOCKED - timedelta(hours=30), DOCKED - timedelta(hours=2))


def other_custody(bureau: Bureau) -> None:
    bureau.issue(LI, DOCKED - timedelta(hours=2), DOCKED - timedelta(minutes=5))


def case(bureau: Bureau) -> None:
    bureau.cases(f"A-1,无证采矿,张某,{WANG},2026-11-22T07:00,2026-11-22T09:00,北乡,检查")


def rival(bureau: Bureau) -> None:
    bureau.cases(
        f"A-2,占地,赵某,{LI},2026-11-23T08:00,2026-11-23T09:30,,",
        f"A-3,占地,钱某,{LI},2026-11-23T08:00,2026-11-23T09:30,,",
    )


def closing(bureau: Bureau) -> None:
    bureau.cases("A-1,2026-11-22", header="case_no,closed_at")


def statement(bureau: Bureau) -> None:
    period = ("--from", "2026-11-22T06:00", "--to", "2026-11-22T12:00", "--returned-at", "2026-11-23T07:00")
    said = ("--device-no", "YS-07", "--reason", "remote", "--declared-by", WANG, "--note", "far away")
    bureau.dockd("exception", "add", *said, *period)


def word(bureau: Bureau) -> None:
    """A person's word needs a record to speak of."""
    for record in bureau.records():
        if record["original_name"].endswith("_0003.mp4"):
            bureau.dockd("record", "tag", record["record_id"], "--title", "mine", "--case", "A-3")


FIRST: Sequence[Callable[[Bureau], None]] = (offload, custody, other_custody, case, rival, closing, statement)


def concluded(bureau: Bureau) -> list[dict[str, Any]]:
    """What the records say; a reason that is empty now is one that never was."""
    found = [{k: v for k, v in record.items() if k not in NOT_CONCLUDED} for record in bureau.records()]
    return [record | {"basis": {k: v for k, v in record["basis"].items() if v}} for record in found]


def test_any_order_of_arrival_ends_in_the_same(
    founded: Path, tmp_path: Path, run_cli: Callable[..., Any], clock: Any
) -> None:
    def live(acts: Sequence[Callable[[Bureau], None]]) -> list[dict[str, Any]]:
        shutil.rmtree(tmp_path / "life", ignore_errors=True)
        shutil.copytree(founded, tmp_path / "life/station")
        bureau = Bureau(tmp_path / "life/station", run_cli, clock)
        bureau.configure(RETENTION)
        bureau.record(8, day=22, number=1)
        bureau.record(9.25, number=2)
        bureau.record(9, number=3)
        for act in acts:
            act(bureau)
        return concluded(bureau)

    expected = live([*FIRST, word])
    assert [(r["case_no"], r["late"], r["title"]) for r in expected] == [
        ("A-1", False, "无证采矿-张某-20261122-0001"),
        ("A-3", False, "mine"),
        (None, False, expected[2]["original_name"]),
    ]
    assert expected[2]["case_candidates"] == ["A-2", "A-3"]
    assert expected[0]["retain_until"] is not None
    assert live([*reversed(FIRST), word]) == expected

    @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.permutations([*FIRST, word]))
    def any_order(acts: list[Callable[[Bureau], None]]) -> None:
        if acts.index(word) < max(acts.index(offload), acts.index(rival)):
            acts = [act for act in acts if act is not word] + [word]
        assert live(acts) == expected, [act.__name__ for act in acts]

    any_order()
