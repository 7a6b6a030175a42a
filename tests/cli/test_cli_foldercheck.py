"""``dockd check`` says which folders that others fill cannot be used, and whether the register is backed up."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from dockd.cli.foldercheck import check_folders
from dockd.cli.verdict import Verdict
from dockd.settings import parse_settings

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
TEXT = """\
folders: {deliveries: {D1: {path: dock}}, imports: drop}
backup: {folder: backup}
service: {control: control}
"""


def verdicts(folder: Path, text: str = TEXT) -> list[tuple[str, Verdict]]:
    return [(one.check, one.result) for one in check_folders(parse_settings(text, folder / "dockd.yaml"), NOW)]


def test_what_is_missing_is_a_warning_with_a_hint(tmp_path: Path) -> None:
    assert verdicts(tmp_path) == [("folders", Verdict.WARN), ("folders", Verdict.WARN), ("backup", Verdict.WARN)]


def test_what_is_there_is_well(tmp_path: Path) -> None:
    for name in ("dock", "drop", "backup"):
        (tmp_path / name).mkdir()
    (tmp_path / "backup/register-20261122T170000Z.db").touch()
    assert {verdict for _check, verdict in verdicts(tmp_path)} == {Verdict.OK}
    (tmp_path / "backup/register-20261122T170000Z.db").rename(tmp_path / "backup/register-20261101T170000Z.db")
    assert ("backup", Verdict.WARN) in verdicts(tmp_path)


def test_a_station_of_ones_own_has_no_service_that_could_back_it_up(tmp_path: Path) -> None:
    assert verdicts(tmp_path, "backup: {folder: backup}\n") == []
