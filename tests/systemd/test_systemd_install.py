"""What the installer asks of the program, and that its lists agree. That it installs is shown in ``tests/vm``."""

from __future__ import annotations

import re
import stat
import subprocess
from pathlib import Path

import pytest

from dockd.cli.installing import main, places
from dockd.settings import load_settings

SYSTEMD = Path(__file__).parents[2] / "systemd"


def configured(tmp_path: Path, *wishes: str) -> Path:
    file = tmp_path / "dockd.yaml"
    own = (
        f"root={tmp_path}/evidence/store",
        f"url=sqlite:///{tmp_path}/register.db",
        f"inventory={tmp_path}/out/i.csv",
    )
    assert main(["configure", str(file), "language=en", *own, *wishes]) == 0
    return file


def test_a_new_station_is_reached_through_the_service(tmp_path: Path):
    settings = load_settings(configured(tmp_path, "name=县局", "station_no=YS01"))
    assert str(settings.service.control) == "/run/dockd/control"
    assert (settings.agency.name, settings.agency.station_no) == ("县局", "YS01")


def test_a_configuration_that_is_there_is_left_as_it_is(tmp_path: Path):
    file = configured(tmp_path, "name=first")
    before = file.read_bytes()
    assert main(["configure", str(file), "name=second"]) == 0
    assert file.read_bytes() == before


@pytest.mark.parametrize(("wish", "code"), [("station_no=../x", 7), ("colour=red", 2), ("timezone=Mars", 7)])
def test_a_wrong_wish_leaves_no_configuration(tmp_path: Path, wish: str, code: int):
    file = tmp_path / "dockd.yaml"
    assert main(["configure", str(file), wish]) == code
    assert list(tmp_path.iterdir()) == []


def test_the_service_is_told_of_every_folder_that_it_writes_to(tmp_path: Path):
    file = configured(tmp_path)
    text = file.read_text(encoding="utf-8").replace('  imports: ""', f"  imports: {tmp_path}/tables")
    file.write_text(text.replace("/var/lib/dockd/backup", f"{tmp_path}/backup"), encoding="utf-8")
    found = set(places(load_settings(file)))
    assert found == {tmp_path, *(tmp_path / name for name in ("evidence/store", "out", "backup", "tables"))}


def test_of_its_own_folder_systemd_knows_already(tmp_path: Path):
    file = tmp_path / "dockd.yaml"
    assert main(["configure", str(file)]) == 0
    assert list(places(load_settings(file))) == []


def test_a_station_is_made_once_and_readable_by_its_own_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file = configured(tmp_path)
    assert main(["station", str(file)]) == 0
    assert "is ready" in capsys.readouterr().out
    assert main(["station", str(file)]) == 0
    assert "as it was" in capsys.readouterr().out
    assert stat.S_IMODE((tmp_path / "register.db").stat().st_mode) & 0o007 == 0


def test_a_store_without_its_register_is_not_begun_anew(tmp_path: Path):
    file = configured(tmp_path)
    main(["station", str(file)])
    for path in tmp_path.glob("register.db*"):
        path.unlink()
    assert main(["station", str(file)]) == 4


# --- the scripts -------------------------------------------------------------------------------------------


def words(script: str, name: str) -> list[str]:
    (found,) = re.findall(rf"(?ms)^{name}=\((.*?)\)", (SYSTEMD / script).read_text())
    return str(found).split()


def test_a_bundle_holds_every_package_that_is_installed():
    assert words("bundle", "packages") == words("install", "packages")


def test_every_unit_is_installed():
    assert set(words("install", "units")) == {
        path.name for path in SYSTEMD.iterdir() if path.suffix in (".service", ".socket", ".path")
    }


@pytest.mark.parametrize("arguments", [["--colour"], ["--bundle"], ["--bundle", "/nowhere"], ["--store"]])
def test_the_installer_refuses_what_it_does_not_know(arguments: list[str]):
    ran = subprocess.run([SYSTEMD / "install", *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith("dockd: ")
