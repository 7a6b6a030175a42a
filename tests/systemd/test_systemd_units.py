"""The units as systemd understands them, without one that runs."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[2] / "systemd"
UNITS = sorted(path.name for path in SOURCES.iterdir() if path.suffix in (".service", ".socket", ".path"))
SYSTEM = Path("/lib/systemd/system")
PLACE = "usr/local/lib/systemd/system"
PROGRAMS = ("opt/dockd/current/bin/dockd", "opt/dockd/current/bin/python", "bin/kill")

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None or not SYSTEM.is_dir(), reason="systemd is not installed"
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A system with our units beside Debian's own, and with the programs that they start."""
    shutil.copytree(SYSTEM, tmp_path / PLACE, symlinks=True)
    for name in UNITS:
        shutil.copy(SOURCES / name, tmp_path / PLACE)
    for name in PROGRAMS:
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.touch(mode=0o755)
    return tmp_path


def complaints(root: Path, unit: str) -> str:
    command = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=yes", f"--root={root}"]
    ran = subprocess.run([*command, unit.replace("@.", "@one.")], capture_output=True, text=True, check=False)
    return ran.stderr + (f"exit {ran.returncode}" if ran.returncode else "")


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_has_nothing_to_say_against_a_unit(root: Path, unit: str):
    assert complaints(root, unit) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("ProtectSystem=strict", "ProtectSystm=strict"), ("UMask=0027", "UMask=rwx"), ("bin/dockd", "bin/docked")],
)
def test_that_check_finds_what_is_wrong(root: Path, right: str, wrong: str):
    unit = root / PLACE / "dockd.service"
    unit.write_text(unit.read_text().replace(right, wrong))
    assert "dockd.service" in complaints(root, "dockd.service")


@pytest.mark.parametrize("unit", ["dockd.service", "dockd-mount@.service", "dockd-probe@.service"])
def test_a_unit_is_shut_in(unit: str):
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=15", str(SOURCES / unit)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-200:]
    (level,) = re.findall(r"exposure level for \S+: ([\d.]+)", ran.stdout)
    assert float(level) <= 1.5


def test_every_unit_that_the_service_wants_is_there():
    wanted = re.findall(r"(?m)^(?:Wants|After|Before)=(.*)$", (SOURCES / "dockd.service").read_text())
    ours = {unit for line in wanted for unit in line.split() if unit.startswith("dockd")}
    assert ours
    assert ours <= set(UNITS)


def test_every_line_of_the_example_can_be_used(root: Path):
    text = (SOURCES / "dockd.service.d-example.conf").read_text()
    drop_in = root / "etc/systemd/system/dockd.service.d/site.conf"
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text(re.sub(r"(?m)^#(?=[A-Z][A-Za-z]+=)", "", text))
    assert complaints(root, "dockd.service") == ""
