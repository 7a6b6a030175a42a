"""``dockd ledger``: an anchor for paper, and proof that nothing was changed behind it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text

from dockd.register.station import Station

Run = Callable[..., Any]


@pytest.fixture
def dockd(run_cli: Run, station: Station) -> Run:
    return lambda *args: run_cli(*args, config=station.settings.file)


def tamper(station: Station) -> None:
    with station.register.write() as session:
        session.execute(text("UPDATE event SET line = replace(line, 'Test Bureau', 'Best Bureau')"))


def test_a_whole_ledger_ends_0(dockd: Run) -> None:
    result = dockd("ledger", "verify", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    summary = result.json
    assert (summary["ok"], summary["lines"], summary["mirrored"], summary["problems"]) == (True, 1, 1, [])
    assert dockd("ledger", "verify").exit_code == 0


def test_a_changed_ledger_ends_5_and_names_every_problem(dockd: Run, station: Station) -> None:
    tamper(station)
    result = dockd("ledger", "verify", "--json")
    assert result.exit_code == 5
    assert [(problem["where"], problem["seq"], problem["kind"]) for problem in result.json["problems"]] == [
        ("register", 1, "changed"),
        ("mirror", 1, "changed"),
    ]
    shown = dockd("ledger", "verify")
    assert shown.exit_code == 5
    assert shown.stdout.count("the line was changed") == 2
    assert "2026-11.jsonl, line 1" in shown.stdout
    assert "broken at line 1" in shown.stderr


def test_the_head_is_one_line_that_verify_takes_back_as_an_anchor(dockd: Run) -> None:
    line = dockd("ledger", "head").stdout
    found = re.fullmatch(r"S1 (1:[0-9a-f]{64}) (\S+)\n", line)
    assert found
    assert found[2] == "2026-11-23T10:00:00+08:00"
    head = dockd("ledger", "head", "--json").json
    assert f"{head['seq']}:{head['sha256']}" == found[1]
    assert dockd("ledger", "verify", "--anchor", found[1]).exit_code == 0


def test_an_anchor_of_another_chain_ends_5(dockd: Run) -> None:
    for anchor in ("1:" + "0" * 64, "2:" + "0" * 64):
        result = dockd("ledger", "verify", "--anchor", anchor, "--json")
        assert result.exit_code == 5
        assert [problem["kind"] for problem in result.json["problems"]] == ["anchor"]


@pytest.mark.parametrize("anchor", ["", "1", "1:abc", "x:" + "0" * 64])
def test_what_is_no_anchor_is_wrong_use(dockd: Run, anchor: str) -> None:
    assert dockd("ledger", "verify", "--anchor", anchor).exit_code == 2


def test_every_finding_has_words() -> None:
    from dockd.cli.ledger import FINDINGS, PLACES
    from dockd.register.ledger import Finding, Where

    assert set(FINDINGS) == set(Finding)
    assert set(PLACES) == set(Where)
