"""The match list: what the configuration says of recorders, as udev reads it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.errors import ConfigInvalid
from dockd.service.rules import main, match_rules, write_rules
from dockd.settings import Settings, parse_settings

FILE = Path("/etc/dockd/dockd.yaml")
SHIPPED = Path(__file__).parents[2] / "udev/72-dockd.rules"
BAYS = 'bays: {A1: {ports: ["1-4.2", "2-4.2"]}, A2: {ports: ["mmc0"]}}\n'


def settings(devices: str) -> Settings:
    return parse_settings(BAYS + devices, FILE)


def marks(devices: str) -> list[str]:
    """The lines that decide."""
    return [line for line in match_rules(settings(devices)).splitlines() if "DOCKD_CAMERA" in line or "KERNELS" in line]


def test_by_default_what_is_plugged_into_a_bay_is_a_recorder():
    assert marks("") == [
        'SUBSYSTEMS=="usb", KERNELS=="1-4.2|2-4.2", ENV{.DOCKD_BAY}="1"',
        'SUBSYSTEMS=="mmc_host", KERNELS=="mmc0", ENV{.DOCKD_BAY}="1"',
        'ENV{.DOCKD_BAY}=="1", ENV{DOCKD_CAMERA}="1"',
    ]


def test_without_a_bay_and_without_a_kind_nothing_is_a_recorder():
    assert 'ENV{.DOCKD_BAY}="1"' not in match_rules(parse_settings("", FILE))
    assert "DOCKD_CAMERA" not in match_rules(parse_settings("devices: []", FILE))


def test_all_conditions_of_a_kind_hold_at_once():
    assert marks('devices: [{vendor: "4255", product: "00AB", serial: "G*", label: "BODY CAM"}]') == [
        'ATTRS{idVendor}=="4255", ATTRS{idProduct}=="00ab", ATTRS{serial}=="G*", ENV{ID_FS_LABEL}=="BODY_CAM", '
        'ENV{DOCKD_CAMERA}="1"'
    ]


def test_a_kind_may_be_bound_to_one_bay():
    found = marks('devices: [{bay: A2, label: "执法*"}]')
    assert found[-1] == 'ENV{.DOCKD_BAY}=="1", ENV{ID_FS_LABEL}=="执法*", ENV{DOCKD_CAMERA}="1"'
    assert not any("1-4.2" in line for line in found)


@pytest.mark.parametrize(
    "devices",
    [
        "devices: [{}]",
        'devices: [{label: "*"}]',
        'devices: [{serial: "?*", label: "**"}]',
        'devices: [{vendor: "42"}]',
        "devices: [{bay: B9}]",
        """devices: [{label: 'A", RUN+="x'}]""",
        'devices: [{label: "A|*"}]',
        'devices: [{label: "$env{X}"}]',
        "devices: [{model: X}]",
    ],
)
def test_a_kind_that_takes_every_disk_or_means_something_else_is_refused(devices: str):
    with pytest.raises(ConfigInvalid):
        settings(devices)


@given(st.text(max_size=20), st.text(max_size=20))
def test_no_text_of_the_configuration_becomes_a_rule_of_its_own(serial: str, label: str):
    import yaml

    text = yaml.safe_dump({"devices": [{"serial": serial, "label": label}]})
    try:
        found = parse_settings(text, FILE)
    except ConfigInvalid:
        return
    (line,) = [line for line in match_rules(found).split("\n") if 'ENV{DOCKD_CAMERA}="1"' in line]
    assert re.fullmatch(r'ATTRS\{serial\}=="[^"]*", ENV\{ID_FS_LABEL\}=="[^"]*", ENV\{DOCKD_CAMERA\}="1"', line)


def test_rules_that_say_the_same_are_not_written_again(tmp_path: Path):
    at = tmp_path / "rules.d/71-dockd-match.rules"
    assert write_rules("one\n", at)
    assert not write_rules("one\n", at)
    assert write_rules("two\n", at)
    assert at.read_text() == "two\n"
    assert list(at.parent.iterdir()) == [at]


def test_a_wrong_configuration_leaves_the_rules_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    file, rules = tmp_path / "dockd.yaml", tmp_path / "71-dockd-match.rules"
    file.write_text("agency: {language: en}\ndevices: [{colour: red}]\n")
    rules.write_text("as they are")
    assert main([str(file), str(rules)]) == 7
    assert rules.read_text() == "as they are"
    assert "devices.0.colour" in capsys.readouterr().err


def test_what_a_command_may_unlock_is_reached_by_the_services_group_and_only_in_a_bay():
    unlock = 'unlock: [{profile: p, vendor: "4255", product: "00AB", maker: "Amb*", command: [/usr/bin/true]}]'
    lines = match_rules(settings(unlock)).splitlines()
    given = [line for line in lines if "MODE" in line]
    assert given == [
        'ENV{.DOCKD_BAY}=="1", SUBSYSTEM=="usb", ATTR{idVendor}=="4255", ATTR{idProduct}=="00ab", '
        'GROUP="dockd", MODE="0660"'
    ]
    said = lines[: lines.index(given[0])]
    assert said[-3:] == [
        'ENV{.DOCKD_BAY}=""',
        'SUBSYSTEMS=="usb", KERNELS=="1-4.2|2-4.2", ENV{.DOCKD_BAY}="1"',
        'SUBSYSTEMS=="mmc_host", KERNELS=="mmc0", ENV{.DOCKD_BAY}="1"',
    ]


def test_the_rules_only_label():
    for text in (SHIPPED.read_text(), match_rules(settings(""))):
        assert not re.search(r"(?m)^[^#]*\b(RUN|PROGRAM|IMPORT|GROUP|MODE|OWNER|SYMLINK|NAME)\b", text)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("udevadm") is None, reason="needs root and udev")
@pytest.mark.parametrize("wrong", ["", "BAD==1\n"])
def test_udev_has_nothing_to_say_against_the_rules(tmp_path: Path, wrong: str):
    """systemd 252 has no ``udevadm verify``: the rules are read for a device that has nothing to do with them."""
    (tmp_path / "71-dockd-match.rules").write_text(match_rules(settings('devices: [{bay: "*"}, {vendor: "4255"}]')))
    (tmp_path / "72-dockd.rules").write_text(SHIPPED.read_text() + wrong)
    script = (
        "mkdir -p /run/udev && mount -t tmpfs none /run/udev && mkdir /run/udev/rules.d && "
        'cp "$0"/*.rules /run/udev/rules.d && exec udevadm test --action=change /sys/devices/virtual/mem/null'
    )
    ran = subprocess.run(["unshare", "-m", "sh", "-c", script, tmp_path], capture_output=True, text=True, check=False)
    said = [line for line in ran.stderr.splitlines() if re.search(r"dockd\S*\.rules:\d+", line)]
    assert "72-dockd.rules" in ran.stderr
    assert bool(said) == bool(wrong), said
