"""datapackage.json: the real frictionless accepts what is exported and finds what is not as described."""

from __future__ import annotations

import json
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shelf import AT, Shelf

from dockd.errors import ExportUnwritable
from dockd.export import datapackage
from dockd.export.columns import COLUMNS
from dockd.export.inventory import Inventory, export_inventory
from dockd.nouns import LateKind, MediaType, OwnerState
from dockd.register.session import Register, create_register, open_register

ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def register(tmp_path: Path) -> Any:
    """What is described does not depend on the database: SQLite is enough here."""
    url = f"sqlite:///{tmp_path}/register.db"
    create_register(url)
    opened = open_register(url)
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    return folder


@pytest.fixture
def shelf(register: Register) -> Shelf:
    """Records with everything that is hard to describe."""
    shelf = Shelf(register)
    visit = shelf.visit(shelf.recorder(unit="=大队"))
    shelf.record(visit, b'\xff\n,".MP4')
    shelf.record(
        visit,
        title="=cmd|' /C calc'!A0",
        party="'张三\r\n李四",
        used_from=AT,
        used_to=AT + timedelta(microseconds=1),
        duration_s=0.0,
        late=False,
        late_kind=LateKind.STORED,
        owner_state=OwnerState.CONFLICT,
        retain_until=AT,
        media_type=MediaType.PHOTO,
    )
    return shelf


def problems(folder: Path) -> list[Any]:
    from frictionless import Package, system

    with system.use_context(trusted=False):
        report = Package(str(folder / "datapackage.json")).validate()
    return [error.message for task in report.tasks for error in task.errors] + [e.message for e in report.errors]


@pytest.mark.parametrize("bom", [False, True])
@pytest.mark.parametrize("headers", ["en", "zh"])
def test_frictionless_accepts_every_look(
    register: Register, shelf: Shelf, folder: Path, headers: Any, bom: bool
) -> None:
    export_inventory(register, ZONE, str(folder / "inventory.csv"), Inventory(headers=headers, bom=bom))
    assert problems(folder) == []


def test_frictionless_accepts_an_empty_inventory(register: Register, folder: Path) -> None:
    export_inventory(register, ZONE, str(folder / "inventory.csv"), Inventory())
    assert problems(folder) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sha256,", "md5,"),
        ("photo", "smell"),
        ("2026-11-23T10:00:00+08:00", "yesterday"),
        ("S1-20261123", "S1-2026112"),
    ],
)
def test_frictionless_finds_a_changed_cell(register: Register, shelf: Shelf, folder: Path, old: str, new: str) -> None:
    path = folder / "inventory.csv"
    export_inventory(register, ZONE, str(path), Inventory())
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    assert problems(folder)


def test_all_exports_of_a_folder_are_in_one_package(register: Register, shelf: Shelf, folder: Path) -> None:
    export_inventory(register, ZONE, str(folder / "inventory.csv"), Inventory())
    export_inventory(register, ZONE, str(folder / "台账.csv"), Inventory(headers="zh", bom=True, masked=False))
    export_inventory(register, ZONE, str(folder / "inventory.csv"), Inventory(columns=("file_no", "title")))
    package = json.loads((folder / "datapackage.json").read_text())
    assert [(r["path"], len(r["schema"]["fields"])) for r in package["resources"]] == [
        ("台账.csv", 45),
        ("inventory.csv", 2),
    ]
    assert problems(folder) == []


def test_what_others_put_into_the_package_is_kept(register: Register, folder: Path) -> None:
    (folder / "notes.csv").write_text("a\n1\n")
    theirs = {"name": "notes", "path": "notes.csv", "schema": {"fields": [{"name": "a", "type": "integer"}]}}
    gone = {"name": "gone", "path": "gone.csv"}
    package = {"name": "ours", "title": "kept", "resources": [theirs, gone]}
    (folder / "datapackage.json").write_text(json.dumps(package))
    export_inventory(register, ZONE, str(folder / "inventory.csv"), Inventory())
    written = json.loads((folder / "datapackage.json").read_text())
    assert (written["name"], written["title"]) == ("ours", "kept")
    assert [r["name"] for r in written["resources"]] == ["inventory", "notes"]
    assert problems(folder) == []


def test_a_name_that_somebody_else_took_is_left_to_them(register: Register, folder: Path) -> None:
    (folder / "other.csv").write_text("a\n")
    theirs = {"name": "inventory", "path": "other.csv"}
    (folder / "datapackage.json").write_text(json.dumps({"resources": [theirs]}))
    for _time in range(2):
        export_inventory(register, ZONE, str(folder / "inventory.csv"), Inventory())
        names = [r["name"] for r in json.loads((folder / "datapackage.json").read_text())["resources"]]
        assert len(set(names)) == 2
        assert names[0] == "inventory"


@pytest.mark.parametrize(
    "content", ["{]", "[]", '{"resources": {}}', '{"resources": [1]}', "\xff", '{"resources": null}']
)
def test_a_file_that_is_no_package_is_not_written_over(folder: Path, content: str) -> None:
    (folder / "datapackage.json").write_text(content, encoding="latin-1")
    with pytest.raises(ExportUnwritable):
        datapackage.require_mergeable(str(folder))


@given(st.lists(st.text(st.sampled_from("aB.台-_ csv"), min_size=1, max_size=8), min_size=2, max_size=6, unique=True))
def test_names_are_of_the_alphabet_and_differ_where_files_differ(files: list[str]) -> None:
    names = [datapackage.resource_name(file) for file in files]
    assert len(set(names)) == len(files)
    assert all(re.fullmatch(r"[-a-z0-9._/]+", name) for name in names)


def test_every_column_is_described_in_both_languages() -> None:
    for headers in ("en", "zh"):
        fields = datapackage.table_schema(COLUMNS, headers=headers)["fields"]  # type: ignore[arg-type]
        assert {(f["name"], f["title"]) if headers == "en" else (f["title"], f["name"]) for f in fields} == {
            (c.name, c.zh) for c in COLUMNS
        }
        assert all(f["description"] for f in fields)


def test_nothing_but_the_two_files_is_left(register: Register, folder: Path) -> None:
    export_inventory(register, ZONE, str(folder / "inventory.csv"), Inventory())
    assert sorted(os.listdir(folder)) == ["datapackage.json", "inventory.csv"]
