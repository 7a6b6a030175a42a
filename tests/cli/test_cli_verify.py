"""``dockd verify``: what it says, to people and to programs, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from shelf import Shelf

from dockd.register.alerts import list_alerts
from dockd.register.station import Station


@pytest.fixture
def verify(station: Station, run_cli: Callable[..., Any]) -> Callable[..., Any]:
    """Runs ``dockd verify`` on a station with two stored files."""
    shelf = Shelf(station.register, station.store, at=station.now())
    visit = shelf.visit(shelf.recorder())
    for number in (1, 2):
        shelf.record(visit, b"%d.MP4" % number, b"bytes of %d" % number * 1000)
    shelf.end(visit)
    return lambda *words: run_cli("verify", *words, config=station.settings.file)


def files(station: Station) -> list[Path]:
    return sorted((station.store / "footage").rglob("*.mp4"))


def flip(path: Path) -> None:
    path.chmod(0o640)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    path.chmod(0o440)


@pytest.mark.parametrize("words", [(), ("--due",), ("--due", "--for", "2h")])
def test_a_store_that_is_right_ends_with_0(verify: Callable[..., Any], clock: Any, words: tuple[str, ...]) -> None:
    clock.move(days=31)
    result = verify(*words, "--json")
    assert result.exit_code == 0, result.stderr
    assert (result.json["checked"], result.json["bytes"], result.json["left"], result.json["ok"]) == (2, 20000, 0, True)


@pytest.mark.parametrize("words", [(), ("--due",)])
def test_a_file_that_is_wrong_is_named_and_ends_with_5(
    verify: Callable[..., Any], station: Station, clock: Any, words: tuple[str, ...]
) -> None:
    flip(files(station)[1])
    (station.store / "footage/stranger").write_text("x")
    clock.move(days=31)
    result = verify(*words, "--json")
    assert result.exit_code == 5
    (altered,) = result.json["altered"]
    assert station.store / altered["location"] == files(station)[1]
    assert [fault["location"] for fault in result.json["unregistered"]] == ["footage/stranger"]
    assert result.json["ok"] is False
    clock.move(days=31)
    shown = verify(*words)
    assert shown.exit_code == 5
    assert files(station)[1].name in shown.stdout
    assert "sha256" in shown.stdout


def test_a_file_that_was_made_writable_is_named_alerted_and_ends_with_0(
    verify: Callable[..., Any], station: Station, run_cli: Callable[..., Any]
) -> None:
    files(station)[0].chmod(0o644)
    result = verify("--json")
    assert (result.exit_code, result.json["ok"]) == (0, True)
    assert [fault["reason"] for fault in result.json["unsealed"]] == ["mode 0644"]
    shown = verify()
    assert files(station)[0].name in shown.stdout
    assert "writable" in shown.stdout
    with station.register.read() as session:
        assert [a.kind for a in list_alerts(session, open_only=True)] == ["store_altered"]
    told = run_cli("alert", "list", config=station.settings.file)
    assert "made writable" in " ".join(told.stdout.split())


def test_due_reads_only_what_is_due_and_says_what_is_left(
    verify: Callable[..., Any], station: Station, clock: Any
) -> None:
    assert verify("--due", "--json").json["checked"] == 0
    clock.move(days=31)
    first = verify("--due", "--for", "0s", "--json").json
    assert (first["checked"], first["left"]) == (1, 1)
    second = verify("--due", "--for", "0s", "--json").json
    assert (second["checked"], second["left"]) == (1, 0)


def test_what_is_left_is_said_to_people_too(verify: Callable[..., Any], clock: Any) -> None:
    clock.move(days=31)
    assert "still due" in verify("--due", "--for", "0s").stdout
    assert "still due" not in verify("--due").stdout


def test_a_station_that_never_verifies_by_itself_says_so(
    verify: Callable[..., Any], station: Station, clock: Any
) -> None:
    with station.settings.file.open("a", encoding="utf-8") as file:
        file.write("verify: {every_days: 0}\n")
    clock.move(days=3000)
    result = verify("--due", "--json")
    assert (result.exit_code, result.json["checked"]) == (0, 0)
    assert "verify.every_days is 0" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--due", "--since", "2026-11-23"), "exclude each other"),
        (("--for", "2h"), "together with --due"),
        (("--due", "--for", "soon"), "a number with s, m, h or d"),
        (("--due", "--for", "2"), "a number with s, m, h or d"),
    ],
)
def test_wrong_use_ends_with_2(verify: Callable[..., Any], words: tuple[str, ...], said: str) -> None:
    result = verify(*words)
    assert result.exit_code == 2
    assert said in result.stderr
