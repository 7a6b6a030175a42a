"""A register that is lost, damaged or cut short is made again from the store, and nobody can tell the difference."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import faultfs
import pytest
from bureau import DOCKED, STATION_YAML, Bureau, by_path, found_bureau, media, outcomes
from dock import in_child, killer
from faultfs import faulty_card
from lost import contents, differences, kinds_told, lay_damaged, live, lose, url_of, use_database
from postgres import Server

from dockd.nouns import Officer
from dockd.offload.lock import holding_card, holding_station
from dockd.offload.steps import Step
from dockd.register import ledger, officers
from dockd.register.rebuilding.replay import HANDLERS, WITHOUT_ROWS

LOST = {
    "journal -",  # proven marks of half copies
    "outbox -",  # messages, delivered or not
    "channel -",  # and how their channels did
    "station.last_seen_at",  # the time of the newest line
    "location.verified_at",  # proofs after the one of storing
    "location.verified_via",
    "event +",  # register.rebuilt itself
    "ledger_head.seq",
    "ledger_head.sha256",
}
"""Every row and column that a rebuilt register may have otherwise than the lost one."""


@pytest.fixture(scope="session")
def life(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test that needs a history keeps it for the others."""
    return tmp_path_factory.mktemp("life")


@pytest.fixture
def lived(bureau: Bureau, life: Path) -> Bureau:
    """A bureau with a history, but without damage (which needs FUSE), some days later."""
    folders = {life / "station": bureau.folder, life / "card": bureau.card}
    if not (life / "station").exists():
        live(bureau)
        for kept, mine in folders.items():
            shutil.copytree(mine, kept, symlinks=True)
    for kept, mine in folders.items():
        shutil.rmtree(mine)
        shutil.copytree(kept, mine, symlinks=True)
    bureau.clock.time = DOCKED + timedelta(days=2)
    return bureau


# --- everything comes back ------------------------------------------------------------------------------


@pytest.mark.fuse
@faultfs.fuse[1]
def test_every_table_comes_back_row_by_row(bureau: Bureau, tmp_path: Path) -> None:
    lay_damaged(tmp_path / "worn")
    (tmp_path / "mount").mkdir()
    with faulty_card(root=tmp_path / "worn", at=tmp_path / "mount") as card:
        live(bureau, card, tmp_path / "worn")
    elsewhere = {"visit.found", "footage.stored_here_too"}  # of a lost ledger, of two stations: have their own tests
    assert kinds_told(bureau.store) >= set(HANDLERS) - elsewhere, "a history without gaps"
    before = contents(url_of(bureau))
    lose(bureau)

    told = bureau.json("rebuild")

    after = contents(url_of(bureau))
    assert differences(before, after) <= LOST
    assert told["ok"], told
    assert told["unknown_kinds"] == {}
    assert {
        name: len(rows)
        for name, rows in before.items()
        if rows and name not in ("journal", "ledger_head", "outbox", "channel")
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


# --- whatever is wrong with the register ------------------------------------------------------------------


def overwritten(path: Path) -> None:
    """Zeros over everything but the beginning: SQLite opens it and then fails."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(bytes(size - 4096))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def no_register(path: Path) -> None:
    path.write_bytes(b"not a database\n" * 100)


@pytest.mark.parametrize("harm", [overwritten, cut_short, no_register, lambda path: path.write_bytes(b"")])
def test_a_damaged_register_is_named_kept_and_made_again(lived: Bureau, harm: Callable[[Path], Any]) -> None:
    path = lived.folder / "register.db"
    before = contents(url_of(lived))
    harm(path)
    damaged = path.read_bytes()
    refused = lived.dockd("offload", lived.card, code=5)
    assert "dockd rebuild" in refused.stderr

    told = lived.json("rebuild")

    assert told["damaged"] == f"{path}.damaged-20261125-100000"
    assert Path(told["damaged"]).read_bytes() == damaged
    assert differences(before, contents(url_of(lived))) <= LOST
    lived.prove()
    assert "dockd" not in lived.dockd("offload", lived.card).stderr


def test_an_absent_register_is_named_and_never_begun_anew(lived: Bureau) -> None:
    lose(lived)
    refused = lived.dockd("offload", lived.card, code=4)
    assert "dockd rebuild" in refused.stderr
    for command in (["check"], ["verify"], ["officer", "add", "13012399", "x"]):
        lived.dockd(*command, code=4)
    assert lived.run("init", lived.folder).exit_code == 2
    lived.config.rename(lived.folder / "aside.yaml")
    assert lived.run("init", lived.folder).exit_code == 2
    (lived.folder / "aside.yaml").rename(lived.config)
    assert not (lived.folder / "register.db").exists()

    told = lived.json("rebuild")

    assert (told["ok"], told["damaged"]) == (True, None)
    lived.prove()


def test_a_second_rebuild_in_the_same_second_keeps_both_earlier_registers(lived: Bureau) -> None:
    before = contents(url_of(lived))
    first, second = lived.json("rebuild"), lived.json("rebuild")
    assert first["damaged"] != second["damaged"]
    assert Path(first["damaged"]).is_file()
    assert Path(second["damaged"]).is_file()
    assert differences(before, contents(url_of(lived))) <= LOST
    lived.prove()


def test_lines_that_only_a_damaged_register_holds_are_saved(lived: Bureau) -> None:
    station = lived.open()
    with station.register.write() as session:
        officers.add_officer(
            session, Officer("13012399", "钱多"), station_no="S1", now=station.now(), actor="person:tester"
        )
    station.close()
    connection = sqlite3.connect(lived.folder / "register.db")
    connection.execute("DELETE FROM footage")  # foreign keys are not asked: rows refer to what is gone
    connection.commit()
    connection.close()

    told = lived.json("rebuild")

    assert (told["ok"], told["lines_saved"]) == (True, 1)
    assert "13012399" in {officer["cert_no"] for officer in lived.json("officer", "list")}
    lived.prove()


def test_what_a_cut_short_rebuild_leaves_is_no_hindrance(lived: Bureau) -> None:
    before = contents(url_of(lived))
    (lived.folder / "register.db.rebuilding").write_bytes(b"half a register")
    (lived.folder / "register.db.rebuilding-wal").write_bytes(b"its log")
    lose(lived).replace(lived.folder / "register.db.damaged-20261125-095959")
    (lived.folder / "register.db-wal").write_bytes(b"the log of the one that was moved")

    told = lived.json("rebuild")

    assert Path(told["damaged"] + "-wal").read_bytes() == b"the log of the one that was moved"
    assert not list(lived.folder.glob("register.db.rebuilding*"))
    assert differences(before, contents(url_of(lived))) <= LOST


# --- whatever is wrong with the ledger --------------------------------------------------------------------


def lines_of(bureau: Bureau) -> tuple[Path, list[bytes]]:
    file = max((bureau.store / "ledger/S1").glob("*.jsonl"))
    return file, file.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("harm", "line"),
    [
        (lambda lines: [*lines[:9], lines[9].replace(b"S1", b"S2", 1), *lines[10:]], 10),
        (lambda lines: [*lines[:9], *lines[10:]], 10),
        (lambda lines: [*lines[:9], lines[10], lines[9], *lines[11:]], 10),
        (lambda lines: [*lines[:9], b"{}\n", *lines[9:]], 10),
        (lambda lines: [*lines[:9], lines[9].replace(b'"actor":"', b'"actor":"x', 1), *lines[10:]], 11),
        (lambda lines: lines[1:], 1),
    ],
)
def test_a_broken_ledger_is_named_and_nothing_is_changed(lived: Bureau, harm: Any, line: int) -> None:
    file, lines = lines_of(lived)
    earlier = len((file.parent / "2026-10.jsonl").read_bytes().splitlines())
    file.write_bytes(b"".join(harm(lines)))
    no_register(lived.folder / "register.db")
    before = everything(lived)

    refused = lived.dockd("rebuild", code=5)

    assert f"the ledger is broken at line {earlier + line}: {file.name}, line {line}: " in refused.stderr
    assert everything(lived) == before


def everything(bureau: Bureau) -> dict[str, bytes]:
    """Every file of the station but its locks."""
    files = (path for path in bureau.folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if path.parent.name != "locks"}


def test_without_a_ledger_there_is_nothing_to_make_it_from(lived: Bureau) -> None:
    shutil.rmtree(lived.store / "ledger")
    lose(lived)
    before = everything(lived)
    assert "there is no ledger in the store" in lived.dockd("rebuild", code=5).stderr
    assert everything(lived) == before


def test_a_torn_last_line_is_set_aside_and_named(lived: Bureau) -> None:
    file, lines = lines_of(lived)
    file.write_bytes(b"".join(lines)[:-20])
    lose(lived)

    told = lived.json("rebuild")

    assert told["torn"] == f".dockd/quarantine/{file.name}.torn-20261125-100000"
    assert (lived.store / told["torn"]).read_bytes() == lines[-1][:-20]
    assert told["head"]["seq"] == json.loads(lines[-2])["seq"]
    assert told["ok"]
    lived.prove()


def test_a_last_line_that_lacks_its_newline_only_is_taken(lived: Bureau) -> None:
    file, lines = lines_of(lived)
    file.write_bytes(b"".join(lines)[:-1])
    lose(lived)
    told = lived.json("rebuild")
    assert (told["torn"], told["lines"]) == (None, json.loads(lines[-1])["seq"])
    lived.prove()


def test_a_line_that_tells_what_no_row_can_hold_is_named(lived: Bureau) -> None:
    _append(lived, "officer.added", "officer:x", {"cert_no": "x"})
    lose(lived)
    refused = lived.dockd("rebuild", code=5)
    assert "officer.added tells what no row can hold" in refused.stderr
    assert not (lived.folder / "register.db").exists()


def test_a_kind_of_line_that_is_unknown_is_kept_and_counted(lived: Bureau) -> None:
    _append(lived, "drone.flown", "drone:1", {"drone_id": 1})
    lose(lived)
    told = lived.json("rebuild", code=5)
    assert told["unknown_kinds"] == {"drone.flown": 1}
    assert "drone.flown are unknown to this dockd" in lived.dockd("rebuild", code=5).stderr
    lived.prove()


def _append(bureau: Bureau, kind: str, subject: str, data: dict[str, Any]) -> None:
    station = bureau.open()
    with station.register.write() as session:
        ledger.append(
            session, station_no="S1", kind=kind, subject=subject, data=data, at=station.now(), actor="person:tester"
        )
    station.mirror_ledger()
    station.close()


# --- whatever is wrong with the store ----------------------------------------------------------------------


def alter(path: Path, data: bytes) -> None:
    path.chmod(0o640)
    path.write_bytes(data)


def test_what_contradicts_the_register_is_named_by_file(lived: Bureau) -> None:
    stored = [record["location"] for record in lived.records()]
    visits = [v for v in lived.json("visit", "list") if v["manifest"]]
    last = {
        "missing": {stored[2], visits[0]["manifest"]},
        "altered": {stored[3], stored[4] + ".xmp"},
        "unregistered": {"footage/2026/strange.mp4", "footage/2026/11/23/YS-07/S1-20261123-900000-00001.mp4"},
        "half_copy": {stored[2] + ".part"},
    }
    for name in last["missing"]:
        (lived.store / name).unlink()
    alter(lived.store / stored[3], b"short")
    sidecar = lived.store / (stored[4] + ".xmp")
    alter(sidecar, sidecar.read_bytes().replace(b"</x:xmpmeta>", b" </x:xmpmeta>"))
    for name in (*last["unregistered"], *last["half_copy"]):
        (lived.store / name).write_bytes(b"strange")
    lose(lived)

    told = lived.json("rebuild", code=5)

    assert not told["ok"]
    assert told["found_visits"] == [], "a number that was never given burns none"
    assert {kind: {one["location"] for one in told[kind]} for kind in last} == last
    shown = lived.dockd("rebuild", code=5)
    assert "footage/2026/strange.mp4" in shown.stdout
    assert "dockd verify" in shown.stderr
    assert len(lived.records()) == len(stored), "the register is whole all the same"


def test_a_sidecar_that_says_otherwise_than_the_ledger_is_named(lived: Bureau) -> None:
    record = next(r for r in lived.records()[1:] if r["revision"] == 0)
    _append(
        lived,
        "record.revised",
        f"record:{record['record_id']}",
        {
            "record_id": record["record_id"],
            "file_no": record["file_no"],
            "revision": record["revision"],
            "why": "said in the ledger only",
            "changes": {"title": ["", "another"]},
        },
    )
    lose(lived)
    told = lived.json("rebuild", code=5)
    assert told["says_otherwise"] == [{"location": f"{record['location']}.xmp", "what": "title"}]


@pytest.mark.parametrize("harm", ["missing", "altered"])
def test_without_a_visits_listing_what_was_stored_comes_back_all_the_same(lived: Bureau, harm: str) -> None:
    before = contents(url_of(lived))
    file = next(lived.store.glob("footage/*/*/*/*/visit-000001.json"))
    if harm == "missing":
        file.unlink()
    else:
        alter(file, file.read_bytes().replace(b"skipped", b"stored!"))
    lose(lived)

    told = lived.json("rebuild", code=5)

    assert [one["location"] for one in told[harm]] == [str(file.relative_to(lived.store))]
    changed = differences(before, contents(url_of(lived))) - LOST
    assert changed == {"observation -", "transfer -"}
    stored = {file["path"] for file in lived.json("visit", "show", 1)["files"]}
    assert len(stored) == len({path.name.partition(".")[0] for path in file.parent.glob("S1-*-000001-*.xmp")})


def test_verify_knows_the_visits_listings_and_finds_a_changed_one(lived: Bureau) -> None:
    file = next(lived.store.glob("footage/*/*/*/*/visit-000001.json"))
    data = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o440
    said = {line["data"]["listing"]["path"]: line["data"]["listing"] for line in lived.ledger_lines("visit.ended")}
    assert said[str(file.relative_to(lived.store))]["sha256"] == hashlib.sha256(data).hexdigest()
    alter(file, data.replace(b"skipped", b"stored!"))
    told = lived.json("verify", code=5)
    place = str(file.relative_to(lived.store))
    assert [(one["location"], one["kind"]) for one in told["altered"]] == [(place, "listing")]
    alter(file, data)
    file.chmod(0o440)
    lived.dockd("verify")
    said_of_it = [a["state"] for a in lived.alerts("store_altered") if a["facts"]["location"] == place]
    assert said_of_it == ["closed"]


# --- visits that were cut short ----------------------------------------------------------------------------


def test_a_visit_that_was_cut_short_is_ended_by_the_next_one_and_its_half_copies_are_set_aside(bureau: Bureau) -> None:
    bureau.record(8)
    bureau.offload()
    bureau.clock.move(hours=1)
    paths = [bureau.record(9, media("big", 3 << 20)), bureau.record(10, media("other", 3 << 20))]
    _killed(bureau, Step.CHUNK_WRITTEN)
    temps = [path.name for path in bureau.store.rglob("*.part")]
    assert temps
    lose(bureau)

    told = bureau.json("rebuild")

    assert told["unfinished_visits"] == [2]
    assert [Path(one["location"]).name for one in told["half_copy"]] == temps
    assert "Visits 2 were cut short" in bureau.dockd("rebuild").stderr
    again = bureau.offload()
    assert {path: outcome for path, outcome in outcomes(again).items() if path in paths} == dict.fromkeys(
        paths, "stored"
    )
    assert again["visit_id"] == 3
    assert [v["outcome"] for v in bureau.json("visit", "list")] == ["complete", "partial", "complete"]
    assert sorted(path.name for path in (bureau.store / ".dockd/quarantine").iterdir()) == temps
    bureau.prove(again)


def test_a_visit_of_which_the_ledger_knows_nothing_keeps_its_number(bureau: Bureau) -> None:
    bureau.record(8)
    bureau.offload()
    mirror = max((bureau.store / "ledger/S1").glob("*.jsonl"))
    known = mirror.read_bytes()
    bureau.clock.move(hours=1)
    paths = [bureau.record(9, media("stored")), bureau.record(10, media("half", 3 << 20))]
    _killed(bureau, Step.STORED_KEPT)
    lose(bureau)
    mirror.write_bytes(known)  # the mirror may lag
    finals = {str(path.relative_to(bureau.store)) for path in bureau.store.rglob("*-000002-*.mp4")}

    told = bureau.json("rebuild", code=5)

    assert told["found_visits"] == [2]
    assert {one["location"] for one in told["unregistered"]} == finals
    again = bureau.offload()
    assert again["visit_id"] == 3
    assert [outcomes(again)[path] for path in paths] == ["stored", "stored"]
    shown = bureau.json("visit", "show", 2)
    assert (shown["outcome"], shown["reason"], shown["device_no"]) == ("partial", "interrupted", "YS-07")
    assert {path.parent.name for path in bureau.store.rglob("*.part")} <= {"quarantine"}, "the other one may have begun"
    assert {one["location"] for one in bureau.json("verify", code=5)["unregistered"]} == finals, "nobody deletes them"
    before = contents(url_of(bureau))
    lose(bureau)
    bureau.dockd("rebuild", code=5)
    assert differences(before, contents(url_of(bureau))) <= LOST


def test_a_visit_that_had_ended_but_is_not_in_the_ledger_is_ended_with_the_listing_it_left(
    bureau: Bureau,
) -> None:
    bureau.record(8)
    bureau.offload()
    mirror = max((bureau.store / "ledger/S1").glob("*.jsonl"))
    known = mirror.read_bytes()
    bureau.clock.move(hours=1)
    path = bureau.record(9)
    stored = by_path(bureau.offload())[path]
    lose(bureau)
    mirror.write_bytes(known)
    listing = next(bureau.store.rglob("visit-000002.json"))
    data = listing.read_bytes()

    told = bureau.json("rebuild", code=5)

    assert told["found_visits"] == [2]
    bureau.clock.move(hours=1)
    again = bureau.offload()
    assert outcomes(again)[path] == "stored", "what no register knows is stored anew"
    assert by_path(again)[path]["location"] != stored["location"]
    assert bureau.json("visit", "show", 2)["outcome"] == "partial"
    assert listing.read_bytes() == data
    beside = {stored["location"], f"{stored['location']}.xmp", str(listing.relative_to(bureau.store))[:-4] + "sha256"}
    assert {one["location"] for one in bureau.json("verify", code=5)["unregistered"]} == beside


@pytest.mark.fuse
@faultfs.fuse[1]
def test_a_half_copy_of_an_ended_visit_is_copied_from_its_first_byte_when_its_card_is_back(
    bureau: Bureau, tmp_path: Path
) -> None:
    (tmp_path / "mount").mkdir()
    bureau.card = tmp_path / "worn"
    bureau.card.mkdir()
    path = bureau.record(9, media("long", 3 << 20))
    with faulty_card(root=tmp_path / "worn", at=tmp_path / "mount") as card:
        bureau.card = card.path
        card.spoil(path, faultfs.Fault(gone_at=1 << 20))
        bureau.offload(code=3)
        card.heal()
        before = contents(url_of(bureau))
        lose(bureau)
        told = bureau.json("rebuild")
        assert len(told["half_copy"]) == 1
        assert differences(before, contents(url_of(bureau))) <= LOST
        bureau.dockd("verify")
        again = bureau.offload()
    assert by_path(again)[path]["outcome"] == "stored"
    assert again["bytes_read"] == 12 + (3 << 20)
    bureau.prove(again)


def _killed(bureau: Bureau, step: Step) -> None:
    """A visit in a child that is killed when ``step`` is passed for the first time."""
    assert in_child(lambda: bureau.attend(passed=killer(step, 1))) == -signal.SIGKILL


# --- who is at work -----------------------------------------------------------------------------------------


def test_while_a_visit_is_at_work_nothing_is_rebuilt(lived: Bureau) -> None:
    with holding_card(str(lived.store), "dir:somewhere"):
        refused = lived.dockd("rebuild", code=4)
    assert "a visit is at work" in refused.stderr
    with holding_station(str(lived.store)):
        lived.dockd("rebuild", code=4)
    lived.dockd("rebuild")


def test_a_register_that_another_process_has_open_is_not_replaced(lived: Bureau) -> None:
    program = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT count(*) FROM visit').fetchall();"
        "print('open', flush=True); sys.stdin.read()"
    )
    path = lived.folder / "register.db"
    other = subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin
    assert other.stdout
    assert other.stdout.readline() == "open\n"
    refused = lived.dockd("rebuild", code=4)
    assert "is in use" in refused.stderr
    other.communicate()
    assert not list(lived.folder.glob("register.db.*"))
    lived.dockd("rebuild")


def test_a_rebuild_says_what_came_back_and_what_did_not(lived: Bureau) -> None:
    lose(lived)
    shown = lived.dockd("rebuild")
    assert "record_officer" in shown.stdout
    assert "proven marks of half copies" in shown.stdout
    assert "made again from" in shown.stderr
    line = lived.ledger_lines("register.rebuilt")[-1]
    assert line["actor"].startswith("person:")
    assert line["data"]["tables"]["visit"] == len(lived.json("visit", "list"))


def test_another_stores_ledger_is_not_taken(lived: Bureau) -> None:
    marker = lived.store / ".dockd/store.json"
    said = json.loads(marker.read_text())
    marker.write_text(json.dumps(said | {"store_id": "another"}))
    lose(lived)
    assert "it is not this store's ledger" in lived.dockd("rebuild", code=5).stderr
    marker.unlink()
    lived.dockd("rebuild", code=4)
