"""Two stations of one bureau on one PostgreSQL: real processes that store, tag and export at the same time."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from bureau import DOCKED, media, name_of

from dockd.offload.examine import Finding
from dockd.register.station import create_station
from dockd.settings import load_settings

DOCKD = Path(sys.executable).parent / "dockd"
STATION_YAML = """\
agency: {{name: Test Bureau, station_no: {number}, language: en}}
store: {{root: store, reserve: 0}}
register: {{url: "{url}", wait_s: 60}}
inventory: {{path: exports/inventory.csv}}
"""
ROUNDS, FILES = 2, 4
SERIALS = {"S1": "2107731", "S2": "2107732"}


@dataclass(frozen=True)
class Site:
    """One station with its own store; the register is everybody's."""

    number: str
    folder: Path

    def begin(self, *words: object) -> subprocess.Popen[str]:
        argv = [DOCKD, "-c", self.folder / "dockd.yaml", *map(str, words)]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def do(self, *words: object) -> Any:
        return answer(self.begin(*words, "--json"))

    def lay(self, round_no: int) -> Path:
        """The site's card: its own recordings, and one whose bytes the other site's card holds too."""
        card, stamp = self.folder / "card", DOCKED.timestamp()
        for number in range(FILES):
            name = name_of(DOCKED, number=round_no * FILES + number, serial=SERIALS[self.number], ext="log")
            file = card / "DCIM" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(media("everybody's" if number == 0 else name, 9000))
            os.utime(file, (stamp, stamp))
        return card


def answer(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.fixture
def sites(postgresql_url: str, tmp_path: Path) -> list[Site]:
    found = []
    for number in SERIALS:
        site = Site(number, tmp_path / number)
        site.folder.mkdir()
        config = site.folder / "dockd.yaml"
        config.write_text(STATION_YAML.format(number=number, url=postgresql_url), encoding="utf-8")
        create_station(load_settings(config), now=lambda: datetime.now(UTC), actor="person:tester").close()
        found.append(site)
    for number, serial in SERIALS.items():
        found[0].do("recorder", "add", f"YS-{number}", "--serial", serial)
    return found


@pytest.mark.postgresql
def test_two_stations_that_write_at_once_lose_nothing_and_double_nothing(sites: list[Site]) -> None:
    for round_no in range(ROUNDS):
        cards = {site.number: site.lay(round_no) for site in sites}
        visits = [(site, site.begin("offload", cards[site.number], "--json")) for site in sites]
        exports = [site.begin("inventory", "export", "--json") for site in sites]
        for site, visit in visits:
            told = answer(visit)
            assert told["station_no"] == site.number
            assert [file["outcome"] for file in told["files"]].count("stored") == FILES, told
        for export in exports:
            answer(export)

    records = sites[0].do("record", "list")
    assert len(records) == len({record["file_no"] for record in records}) == 2 * ROUNDS * FILES
    assert sites[1].do("record", "list") == records, "one register"
    assert len(sites[0].do("visit", "list")) == 2 * ROUNDS
    for site in sites:
        require_whole(site)


@pytest.mark.postgresql
def test_each_station_reads_back_its_own_store_and_no_other(sites: list[Site]) -> None:
    for site in sites:
        site.do("offload", site.lay(0))
    for site in sites:
        told = site.do("verify")
        assert (told["checked"], faults(told)) == (FILES + FILES + 2, []), "footage, sidecars, manifest, listing"
    shutil.rmtree(sites[0].folder / "store/footage")
    assert faults(sites[1].do("verify")) == []
    lacking, _err = sites[0].begin("verify", "--json").communicate(timeout=120)
    assert len(json.loads(lacking)["missing"]) == FILES + FILES + 2
    known = alerted(sites[0])
    assert len(known) == FILES + FILES + 2
    assert faults(sites[1].do("verify")) == []
    assert alerted(sites[1]) == known, "what one station misses is not mended by a look at the other's store"


@pytest.mark.postgresql
def test_a_card_that_another_station_has_stored_is_copied_here_and_recorded_once(sites: list[Site]) -> None:
    first, second = sites
    card = first.lay(0)
    records = [file["record_id"] for file in first.do("offload", card)["files"]]

    told = second.do("offload", card)
    assert [(file["outcome"], file["reason"]) for file in told["files"]] == [("stored", "other_station")] * FILES
    assert [file["record_id"] for file in told["files"]] == records, "one recording, whoever stores it"
    assert all((second.folder / "store" / file["location"]).is_file() for file in told["files"])
    subprocess.run(["sha256sum", "--quiet", "-c", told["manifest"]], cwd=second.folder / "store", check=True)
    assert len(second.do("record", "list")) == FILES

    again = second.do("offload", card)
    assert ({file["outcome"] for file in again["files"]}, again["bytes_read"]) == ({"already_stored"}, 0)
    back = first.do("offload", card)
    assert ({file["outcome"] for file in back["files"]}, back["bytes_read"]) == ({"already_stored"}, 0)
    for site in sites:
        assert faults(site.do("verify")) == []
        assert [alert for alert in site.do("alert", "list") if alert["kind"] == "store_altered"] == []
    kept = second.do("record", "show", records[0])
    assert (kept["station_no"], kept["location"][:8]) == ("S1", "footage/")


@pytest.mark.postgresql
def test_a_station_whose_shared_register_is_lost_makes_its_own_part_again(sites: list[Site]) -> None:
    """Also of what another station had stored first: that one's ledger is not needed."""
    second, first = sites  # recorders are entered at the second one: the ledger of the first knows nothing of them
    card = first.lay(0)
    first.do("offload", card)
    before = second.do("offload", card)
    config = second.folder / "dockd.yaml"
    lines = config.read_text(encoding="utf-8").splitlines()
    alone = ['register: {url: "sqlite:///register.db"}' if line.startswith("register:") else line for line in lines]
    config.write_text("\n".join(alone) + "\n", encoding="utf-8")

    second.do("rebuild")
    again = second.do("visit", "show", before["visit_id"])
    kept = ("path", "outcome", "reason", "sha256", "file_no", "location")
    assert [[f[name] for name in kept] for f in again["files"]] == [[f[name] for name in kept] for f in before["files"]]
    assert faults(second.do("verify")) == []


@pytest.mark.postgresql
def test_what_is_said_at_one_station_of_anothers_recording_is_written_down_by_that_one(sites: list[Site]) -> None:
    first, second = sites
    (record_id, *_others) = [file["record_id"] for file in first.do("offload", first.lay(0))["files"]]

    second.do("record", "tag", record_id, "--remark", "seen at the other station")
    assert not list((second.folder / "store/footage").rglob("*.xmp"))
    first.do("offload", first.lay(0))
    (revised,) = (first.folder / "store/footage").rglob("*.r2.xmp")
    assert "seen at the other station" in revised.read_text(encoding="utf-8")
    assert faults(first.do("verify")) == faults(second.do("verify")) == []


def alerted(site: Site) -> list[int]:
    return [alert["alert_id"] for alert in site.do("alert", "list", "--open") if alert["kind"] == "store_altered"]


def faults(told: dict[str, Any]) -> list[Any]:
    """Everything that ``dockd verify`` found to be wrong."""
    return [fault for finding in Finding for fault in told[finding.value]]


def require_whole(site: Site) -> None:
    """Every file of the site's card lies once in its own store; its proofs and its chain stand."""
    stored = [path for path in (site.folder / "store/footage").rglob("*.log") if path.is_file()]
    laid = sorted(digest(path) for path in (site.folder / "card").rglob("*.log"))
    assert sorted(map(digest, stored)) == laid
    for manifest in (site.folder / "store/footage").rglob("*.sha256"):
        subprocess.run(["sha256sum", "--quiet", "-c", manifest], cwd=site.folder / "store", check=True)
    assert site.do("ledger", "verify")["problems"] == []
    months = sorted((site.folder / "store/ledger").rglob("*.jsonl"))
    lines = [line for month in months for line in month.read_text(encoding="utf-8").splitlines()]
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1)), (
        "each station has its own chain"
    )


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
