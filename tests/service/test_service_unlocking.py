"""Unlocking by the administrator's command: never on ids alone, without a shell, in time, the password on stdin."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from dockd.errors import ConfigInvalid, UnlockFailed
from dockd.service.devices import Gadget
from dockd.service.unlocking import Unlockable, read_password, unlock
from dockd.settings import Settings, Unlock, parse_settings

A9 = Gadget("1-4.1", "pci", "1:5", "4255", "0001", "2107731", "Ambarella Inc", "A9 Camera")


def rule(command: list[str], **said: Any) -> Unlock:
    values = {"profile": "ambarella-a9", "vendor": "4255", "product": "0001", "maker": "Ambarella*", "command": command}
    return Unlock.model_validate(values | said)


def script(tmp_path: Path, text: str) -> list[str]:
    path = tmp_path / "unlock.py"
    path.write_text(text)
    return [sys.executable, str(path)]


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ({}, True),
        ({"serial": "21077*"}, True),
        ({"maker": None, "name": "A9*"}, True),
        ({"maker": "Somebody*"}, False),
        ({"serial": "99*"}, False),
        ({"vendor": "1111"}, False),
        ({"product": "0002"}, False),
    ],
)
def test_a_device_must_agree_with_ids_and_every_named_text(said: dict[str, Any], fits: bool) -> None:
    assert Unlockable(rule(["/bin/true"], **said)).fits(A9) is fits


def test_a_rule_of_ids_alone_fits_nothing_and_is_refused_by_the_configuration(settings: Settings) -> None:
    assert not Unlockable(rule(["/bin/true"], maker=None)).fits(A9)
    text = settings.file.read_text(encoding="utf-8")
    for more in ("", ', maker: "*"'):
        line = f'unlock: [{{profile: a9, vendor: "4255", product: "0001", command: [/bin/true]{more}}}]\n'
        with pytest.raises(ConfigInvalid) as refused:
            parse_settings(text + line, settings.file)
        assert refused.value.fields["key"] == "unlock"


def test_a_command_must_be_a_whole_path(settings: Settings) -> None:
    line = 'unlock: [{profile: a9, vendor: "4255", product: "0001", maker: "A*", command: ["unlock; rm -rf /"]}]\n'
    with pytest.raises(ConfigInvalid):
        parse_settings(settings.file.read_text(encoding="utf-8") + line, settings.file)


def test_the_command_gets_the_port_in_its_environment_and_the_password_on_its_input(tmp_path: Path) -> None:
    said = tmp_path / "said"
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    secret.chmod(0o600)
    command = script(
        tmp_path,
        "import os, sys\n"
        "said = (sys.argv[1:], sys.stdin.read(), os.environ['DOCKD_PORT'], os.environ['DOCKD_SERIAL'],"
        " 'HOME' in os.environ)\n"
        f"open({str(said)!r}, 'w').write(repr(said))\n",
    )
    unlock(rule([*command, "$(touch /tmp/never)", "a b"], password_file=secret), A9)
    assert said.read_text() == repr((["$(touch /tmp/never)", "a b"], "hunter2", "1-4.1", "2107731", False))


@pytest.mark.parametrize(
    ("printed", "serial"),
    [
        ("serial: 2107731", "2107731"),
        ("hello\nserial: A-9\nbye", "A-9"),
        ("2107731", None),
        ("serial: a b", None),
        ("", None),
    ],
)
def test_the_serial_that_a_recorder_names_itself_by_is_taken_from_the_commands_words(
    tmp_path: Path, printed: str, serial: str | None
) -> None:
    assert unlock(rule(script(tmp_path, f"print({printed!r})")), A9) == serial


def test_a_command_that_fails_or_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnlockFailed) as failed:
        unlock(rule(script(tmp_path, "raise SystemExit(3)")), A9)
    assert failed.value.fields["reason"] == "exit 3"
    with pytest.raises(UnlockFailed):
        unlock(rule([str(tmp_path / "nothing")]), A9)


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    command = script(
        tmp_path,
        "import os, subprocess, time\n"
        f"open({str(pids)!r}, 'w').write(str(subprocess.Popen(['sleep', '600']).pid))\n"
        "time.sleep(600)\n",
    )
    began = time.monotonic()
    with pytest.raises(UnlockFailed) as failed:
        unlock(rule(command, deadline="1s"), A9)
    assert failed.value.fields["reason"] == "deadline"
    assert time.monotonic() - began < 30
    child = int(pids.read_text())
    until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_password_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    secret.chmod(mode)
    with pytest.raises(UnlockFailed):
        read_password(rule(["/bin/true"], password_file=secret), {})


def test_a_password_behind_a_link_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2")
    (tmp_path / "secret").chmod(0o600)
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(UnlockFailed):
        read_password(rule(["/bin/true"], password_file=tmp_path / "link"), {})


def test_systemds_credential_of_the_same_name_comes_first(tmp_path: Path) -> None:
    (tmp_path / "a9").write_text("given")
    (tmp_path / "a9").chmod(0o440)  # as systemd makes them, in a folder of the service's own
    wanted = rule(["/bin/true"], password_file=Path("/etc/dockd/secrets/a9"))
    assert read_password(wanted, {"CREDENTIALS_DIRECTORY": str(tmp_path)}) == b"given"
    assert os.geteuid() == (tmp_path / "a9").stat().st_uid
