"""A register that is lost, damaged or cut short is made again from the store, and nobody can tell the difference."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import faultfs
import pytest
from bureau import STATION_YAML, Bureau, found_bureau, outcomes
from faultfs import faulty_card
from lost import contents, differences, kinds_told, lay_damaged, live, lose, url_of, use_database
from postgres import Server

from dockd.register.rebuilding.replay import HANDLERS, WITHOUT_ROWS

LOST = {
    "journal -",  # proven marks of half copies
    "station.last_seen_at",  # the time of the newest line
    "location.verified_at",  # proofs after the one of storing
    "event +",  # register.rebuilt itself
    "ledger_head.seq",
    "ledger_head.sha256",
}
"""Every row and column that a rebuilt register may have otherwise than the lost one."""


@pytest.fixture(scope="session")
def life(founded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bureau with a history, but without damage (which needs FUSE): station and card, to be copied."""
    folder = tmp_path_factory.mktemp("life")
    shutil.copytree(founded, folder / "station")
    live(Bureau(folder / "station", run_dockd(clock := Clock()), clock))
    return folder


@pytest.fixture
def lived(life: Path, tmp_path: Path, run_cli: Any, clock: Any) -> Bureau:
    """That bureau, some days later."""
    for name in ("station", "card"):
        shutil.copytree(life / name, tmp_path / name, symlinks=True)
    clock.move(days=2)
    return Bureau(tmp_path / "station", run_cli, clock)


# --- everything comes back ------------------------------------------------------------------------------


@pytest.mark.fuse
@faultfs.fuse[1]
def test_every_table_comes_back_row_by_row(bureau: Bureau, tmp_path: Path) -> None:
    lay_damaged(tmp_path / "worn")
    (tmp_path / "mount").mkdir()
    with faulty_card(root=tmp_path / "worn", at=tmp_path / "mount") as card:
        live(bureau, card)
    assert kinds_told(bureau.store) >= set(HANDLERS) - {"visit.found"}, "a history without gaps"
    before = contents(url_of(bureau))
    lose(bureau)

    told = bureau.json("rebuild")

    after = contents(url_of(bureau))
    assert differences(before, after) <= LOST
    assert told["ok"], told
    assert told["unknown_kinds"] == {}
    assert {
        name: len(rows) for name, rows in before.items() if rows and name not in ("journal", "ledger_head")
    } == told["tables"]
    assert after["event"][:-1] == before["event"]
    assert after["event"][-1]["kind"] == "register.rebuilt"
    bureau.prove()


def test_every_kind_of_line_in_the_code_is_known_to_the_replay(lived: Bureau) -> None:
    assert kinds_told(lived.store) <= {*HANDLERS, *WITHOUT_ROWS, "visit.ended"}


def test_what_people_see_is_the_same_afterwards(lived: Bureau) -> None:
    def look() -> list[Any]:
        visits = [lived.json("visit", "show", visit["visit_id"]) for visit in lived.json("visit", "list")]
        history = [lived.json("record", "history", record["record_id"]) for record in lived.records()]
        lists = [lived.json(noun, "list") for noun in ("record", "alert", "case", "recorder", "officer")]
        return [visits, history, lists, lived.json("recorder", "show", "YS-08"), lived.json("case", "show", "A-1")]

    before = look()
    lose(lived)
    lived.dockd("rebuild")
    after = look()
    for one, other in zip(before, after, strict=True):
        assert _without_proofs(one) == _without_proofs(other)


def _without_proofs(said: Any) -> Any:
    return json.loads(json.dumps(said), object_hook=lambda d: {k: v for k, v in d.items() if k != "verified_at"})


@pytest.mark.postgresql
def test_a_postgresql_register_comes_back_into_an_empty_database(
    postgres_server: Server, tmp_path: Path, run_cli: Any, clock: Any
) -> None:
    first, second = (postgres_server.url(postgres_server.create()) for _ in range(2))
    found_bureau(tmp_path / "station", STATION_YAML.replace("sqlite:///register.db", first))
    bureau = Bureau(tmp_path / "station", run_cli, clock)
    live(bureau)
    before = contents(first)

    refused = bureau.dockd("rebuild", code=2)
    assert "is not empty" in refused.stderr
    assert contents(first) == before

    use_database(bureau, second)
    told = bureau.json("rebuild")
    assert (told["ok"], told["damaged"]) == (True, None)
    assert differences(before, contents(second)) <= LOST
    bureau.prove()
    new = bureau.record(11, number=9)
    assert outcomes(bureau.attend())[new] == "stored", "every key that is given now is a new one"
    bureau.prove()
