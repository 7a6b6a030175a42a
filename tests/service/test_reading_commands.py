"""What every role may do, the auditor can do with a register that refuses to be written."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from dockd.cli.main import run
from dockd.register.station import Station
from dockd.service.person import Person
from dockd.service.roles import READING, TABLE, Role

WORDS = {
    "recorder show": ["YS-07"],
    "officer show": ["1"],
    "case show": ["A-1"],
    "visit show": ["1"],
    "record show": ["1"],
    "record history": ["1"],
    "inventory export FILE": ["-"],
    "register export": ["recorders", "-"],
    "identify": ["--all"],
    "stats": ["--month", "2026-11"],
}
AUDITOR = Person("auditor", frozenset({Role.AUDITOR}))


@dataclass(frozen=True)
class Auditor:
    """A caller elsewhere, as far as reading needs one."""

    person: Person = AUDITOR
    running: bool = True


def call(station: Station, now: Callable[[], datetime], *argv: str, caller: Any = None) -> tuple[int, str]:
    said = io.StringIO()
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")), contextlib.redirect_stderr(said):
        code = run(argv, now=now, caller=caller or Auditor(), settings=station.settings)
    return code, said.getvalue()


@pytest.mark.parametrize("action", sorted(name for name, roles in TABLE.items() if roles == READING))
def test_the_auditor_reads_without_writing(action: str, station: Station, clock: Callable[[], datetime]) -> None:
    argv = action.removesuffix(" FILE").split() + WORDS.get(action, [])
    code, said = call(station, clock, *argv)
    assert "only reads" not in said
    assert "may not do this" not in said
    assert code != 1, said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "argv", [["officer", "add", "1", "A"], ["alert", "ack", "1", "--note", "x"], ["verify"], ["rebuild"]]
)
def test_whoever_may_not_is_refused_with_the_groups_that_may(
    argv: list[str], station: Station, clock: Callable[[], datetime]
) -> None:
    code, said = call(station, clock, *argv)
    assert code == 6
    assert "dockd-admin" in said


def test_a_register_that_is_away_makes_no_refusal_a_permission(station: Station, clock: Callable[[], datetime]) -> None:
    station.close()
    assert station.settings.register_file
    station.settings.register_file.unlink()
    code, said = call(station, clock, "officer", "add", "1", "A")
    assert (code, "may not do this" in said) == (6, True)


def test_an_administrator_does_not_rebuild_under_a_running_service(
    station: Station, clock: Callable[[], datetime]
) -> None:
    boss = Auditor(person=Person("boss", frozenset({Role.ADMIN})))
    code, said = call(station, clock, "rebuild", caller=boss)
    assert (code, "systemctl stop dockd" in said) == (4, True)
