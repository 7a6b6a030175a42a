"""Cards as real families of recorders lay them out: init, offload, export, verify, all by the real commands."""

from __future__ import annotations

import csv
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from bureau import BEIJING, DOCKED, Bureau, by_path, outcomes, run_command

SECONDS = 5

# What a card holds, by path: "film" or the text of a small file. Names as public sources show them.
CARDS: dict[str, tuple[str, dict[str, str]]] = {
    "gbpe-flat": (
        "gbpe",
        {
            "DCIM/100ANDRO/012345_8888888_20160129205547_0001.mp4": "film",
            "DCIM/101ANDRO/012345_8888888_20160129210930_0004IMP.mp4": "film",
            "DCIM/100ANDRO/8888888_000000_20160129220000_0008.mp4": "film",
            "DCIM/SEGTEMP/012345_8888888_20160129205527_0000.mp4": "film",
            "DCIM/LOGS/20160129.log": "2016-01-29 20:55:47 startRecord\n",
            "gbpe.prop": "devNum=8888888\npoliceNumber=012345\n",
            "LOST.DIR/1024": "\0" * 4096,
            "System Volume Information/IndexerVolumeGuid": "{00000000-0000}",
        },
    ),
    "gbpe-dated": (
        "gbpe",
        {
            "DCIM/100ANDRO/8888888/012345/20190305/20190305083012_0001.mp4": "film",
            "DCIM/101ANDRO/8888888/012345/20190305/20190305084100_0004IMP.mp4": "film",
            "DCIM/100ANDRO/8888888/000000/20190304/20190304235958_0009.mp4": "film",
            "DCIM/LOGS/20190305.log": "log\n",
        },
    ),
    "ambarella": (
        "ambarella-a9",
        {
            "DCIM/210305/0000_JSMITH_20210305142233_0001.MP4": "film",
            "DCIM/210306/0000_JSMITH_20210306091500_0001.MP4": "film",
            "System Volume Information/WPSettings.dat": "123456789012",
        },
    ),
    "boblov": (
        "boblov",
        {
            "FILE/100china/20240611_081502_0001.MP4": "film",
            "FILE/100china/20240612_070000_0005.MP4": "film",
            "LOG/20240611.txt": "power on\nrecord start\n",
        },
    ),
    "dji": (
        "dji",
        {
            "DCIM/100MEDIA/DJI_0009.MP4": "film",
            "DCIM/100MEDIA/DJI_0009.SRT": "1\n00:00:00,000 --> 00:00:01,000\nGPS\n",
            "MISC/GIS/dji.gis": "gis",
        },
    ),
    "ddpai": (
        "ddpai",
        {
            "DCIM/200video/front/20260728141441_0060.mp4": "film",
            "DCIM/200video/rear/20260728141442_0060_A.mp4": "film",
            "DCIM/203gps/tar/20260728141441_0540.git": "tar",
            "DCIM/203gps/tar/tmp/20260728131441_0540.git": "tar",
            "DCIM/203gps/20260728141441_0060.gpx": "$GPRMC,121441.000,A*00\n",
        },
    ),
    "thinkware": (
        "thinkware",
        {
            "cont_rec/REC_20210101_120000_F.mp4": "film",
            "cont_rec/REC_20210101_120000_R.mp4": "film",
            "evt_rec/EVT_20210101_120100_F.mp4": "film",
            "park_rec/PARK_20210101_180000_R.mp4": "film",
            "manual_rec/MAN_20210101_120200_F.mp4": "film",
        },
    ),
}
INDEXES = {"System Volume Information/IndexerVolumeGuid", "System Volume Information/WPSettings.dat"}


def museum() -> list[str]:
    """The example names in every shipped profile, a folder for each profile."""
    found = set()
    for file in (resources.files("dockd.card") / "profiles").iterdir():
        said = yaml.safe_load(file.read_text(encoding="utf-8"))
        names = [name for grammar in said.get("grammars", []) for name in grammar.get("examples", [])]
        found |= {f"{said['name']}/{name}" for name in names or ["0001.MP4"]}
    return sorted(found)


MUSEUM = museum()


@dataclass
class Fleet:
    """A station at which one card of every family was docked; tests only look."""

    bureau: Bureau
    visits: dict[str, dict[str, Any]]
    records: dict[int, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Fleet:
    folder = tmp_path_factory.mktemp("fleet")
    made = run_command("init", folder / "station", "--station-no", "S1", "--language", "en")
    assert made.exit_code == 0, made.stderr
    bureau = Bureau(folder / "station", run_command, lambda: DOCKED)
    text = bureau.config.read_text(encoding="utf-8").replace("reserve: 5%", "reserve: 0")
    bureau.config.write_text(text, encoding="utf-8")
    visits = {}
    for number, (name, (_, files)) in enumerate(CARDS.items()):
        bureau.card = folder / name
        lay(bureau, files, clip.read_bytes())
        bureau.dockd("recorder", "add", f"L-{number:02d}")
        visits[name] = bureau.offload("--device-no", f"L-{number:02d}")
    bureau.card = folder / "museum"
    for path in MUSEUM:
        bureau.lay(path, b"no film at all: " + path.encode())
    bureau.dockd("recorder", "add", "M-01")
    visits["museum"] = bureau.offload("--device-no", "M-01")
    bureau.dockd("inventory", "export")
    records: dict[int, list[dict[str, Any]]] = {}
    for record in bureau.records():
        records.setdefault(record["visit_id"], []).append(record)
    return Fleet(bureau, visits, records)


def lay(bureau: Bureau, files: dict[str, str], film: bytes) -> None:
    for number, (path, text) in enumerate(files.items()):
        start = start_of(path) or DOCKED - timedelta(days=3)
        box = struct.pack(">I4sI", 12, b"free", number)  # every film is another one
        content = film + box if text == "film" else text.encode()
        bureau.lay(path, content, at=start + timedelta(seconds=SECONDS))


def start_of(path: str) -> datetime | None:
    """The recorder's clock in a name, as of Beijing."""
    digits = "".join(c for c in path.rpartition("/")[2] if c.isdigit() or c in "_.")
    for part in (digits.replace("_", "")[at : at + 14] for at in range(20)):
        try:
            found = datetime.strptime(part, "%Y%m%d%H%M%S").replace(tzinfo=BEIJING)
        except ValueError:
            continue
        if 2010 < found.year < 2030:
            return found
    return None


@pytest.mark.parametrize("name", CARDS)
def test_all_of_a_familys_card_is_stored_whole(fleet: Fleet, name: str) -> None:
    profile, files = CARDS[name]
    visit = fleet.visits[name]
    assert (visit["outcome"], visit["profile"]) == ("complete", profile)
    assert outcomes(visit) == {path: "skipped" if path in INDEXES else "stored" for path in files}
    for path, file in by_path(visit).items():
        if path not in INDEXES:
            content = (fleet.bureau.folder.parent / name / path).read_bytes()
            assert (fleet.bureau.store / file["location"]).read_bytes() == content


@pytest.mark.parametrize("name", CARDS)
def test_a_familys_films_have_their_time_of_use(fleet: Fleet, name: str) -> None:
    films = [path for path, text in CARDS[name][1].items() if text == "film"]
    records = {r["original_path"]: r for r in fleet.records[fleet.visits[name]["visit_id"]]}
    for path in films:
        record = records[path]
        assert (record["media_type"], record["duration_s"]) == ("video", SECONDS)
        end = start_of(path) or DOCKED - timedelta(days=3)
        assert datetime.fromisoformat(record["used_from"]) == (start_of(path) or end), path
        assert datetime.fromisoformat(record["used_to"]) == end + timedelta(seconds=SECONDS)
        assert record["important_mark"] is ("IMP" in path)


def test_every_name_that_a_shipped_profile_knows_is_stored(fleet: Fleet) -> None:
    visit = fleet.visits["museum"]
    assert visit["outcome"] == "complete"
    assert outcomes(visit) == dict.fromkeys(MUSEUM, "stored")
    assert len({path.partition("/")[0] for path in MUSEUM}) >= 19, "one folder for each profile"


def test_store_register_ledger_and_every_manifest_prove(fleet: Fleet) -> None:
    fleet.bureau.prove(*fleet.visits.values())


def test_the_inventory_has_every_file_and_frictionless_validates_it(fleet: Fleet) -> None:
    from frictionless import validate

    stored = sum(len(records) for records in fleet.records.values())
    with open(fleet.bureau.folder / "exports/inventory.csv", encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == stored
    report = validate(str(fleet.bureau.folder / "exports/datapackage.json"))
    assert report.valid, report.flatten(["rowNumber", "fieldName", "message"])


def test_every_card_again_reads_no_footage_and_stores_nothing(fleet: Fleet) -> None:
    for name in CARDS:
        number = fleet.visits[name]["device_no"]
        again = fleet.bureau.offload("--device-no", number, card=fleet.bureau.folder.parent / name)
        assert (again["bytes_read"], again["bytes_stored"]) == (0, 0), name
        assert set(outcomes(again).values()) <= {"already_stored", "skipped"}
