"""``dockd init`` and ``dockd check`` as people use them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dockd.cli import checks
from dockd.cli.checks import Mount, mount_of, parse_mount
from dockd.cli.verdict import Check, Verdict, exit_code
from dockd.errors import Exit, StoreUnfit
from dockd.offload.promises import require_promises
from dockd.register.station import Station
from dockd.settings import ARTICLE_23, Settings, load_settings, parse_settings

Run = Callable[..., object]


@pytest.fixture
def made(run_cli: Run, tmp_path: Path) -> Path:
    """The configuration of a station that ``dockd init`` made."""
    assert run_cli("init", tmp_path / "s").exit_code == 0
    return tmp_path / "s/dockd.yaml"


# --- init --------------------------------------------------------------------------------------------


def test_init_makes_a_station_that_is_ready_to_use(run_cli: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new/station"
    result = run_cli("init", folder, "--name", "城管局", "--station-no", "A-1", "--timezone", "Asia/Urumqi", "--json")
    assert result.exit_code == 0
    assert result.json == {"station_no": "A-1", "config": f"{folder}/dockd.yaml", "store": f"{folder}/store"}
    settings = load_settings(folder / "dockd.yaml")
    assert (settings.agency.name, settings.agency.station_no) == ("城管局", "A-1")
    assert (settings.agency.timezone, settings.agency.language) == ("Asia/Urumqi", "en")
    assert settings.register_file == folder / "register.db"
    assert settings.inventory.path.parent.is_dir()
    assert run_cli("ledger", "verify", config=settings.file).exit_code == 0


def test_a_station_is_open_to_its_owner_and_group_only(made: Path) -> None:
    for path in (made.parent, *made.parent.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path
    assert stat.S_IMODE(made.parent.stat().st_mode) == 0o750


def test_init_says_what_to_do_next(run_cli: Run, tmp_path: Path) -> None:
    result = run_cli("init", tmp_path / "s")
    assert f"dockd -c {tmp_path}/s/dockd.yaml check" in result.stderr


def test_a_folder_that_holds_a_station_is_refused_unchanged(run_cli: Run, made: Path) -> None:
    before = made.read_bytes()
    result = run_cli("init", made.parent, "--station-no", "other")
    assert (result.exit_code, "already holds a station" in result.stderr) == (2, True)
    assert made.read_bytes() == before


def test_a_folder_that_holds_anything_else_is_refused_unchanged(run_cli: Run, tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    result = run_cli("init", tmp_path)
    assert (result.exit_code, "is not empty" in result.stderr) == (2, True)
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_file_is_no_folder_for_a_station(run_cli: Run, tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert run_cli("init", tmp_path / "f").exit_code == 2
    assert run_cli("init", tmp_path / "f/below").exit_code == 4


@pytest.mark.parametrize("option", [("--station-no", "a b"), ("--timezone", "Mars/Base"), ("--name", "a\x1bb")])
def test_a_value_that_cannot_be_is_wrong_use_and_makes_nothing(
    option: tuple[str, str], run_cli: Run, tmp_path: Path
) -> None:
    result = run_cli("init", tmp_path / "s", *option)
    assert result.exit_code == 2
    assert not (tmp_path / "s").exists()


def test_an_init_that_was_cut_short_is_repeated(run_cli: Run, made: Path) -> None:
    os.rename(made, made.with_name("dockd.yaml.part"))
    assert run_cli("check", config=made).exit_code == 7
    assert run_cli("init", made.parent).exit_code == 0
    assert run_cli("check", config=made).exit_code == 0


def test_a_half_made_station_that_holds_footage_is_left_alone(run_cli: Run, made: Path) -> None:
    os.rename(made, made.with_name("dockd.yaml.part"))
    (made.parent / "store/footage").mkdir()
    assert run_cli("init", made.parent).exit_code == 2
    assert (made.parent / "store/.dockd/store.json").exists()


# --- check -----------------------------------------------------------------------------------------------


def test_a_new_station_passes_its_check(run_cli: Run, made: Path) -> None:
    result = run_cli("check", "--json", config=made)
    assert result.exit_code == 0
    found = {line["check"]: line for line in result.json}
    assert all(set(line) == {"check", "result", "message", "hint"} for line in result.json)
    expected = {"configuration", "ffprobe", "exiftool", "store", "rename", "register", "ledger", "visits", "profiles"}
    assert {name for name in expected if found[name]["result"] == "OK"} == expected
    assert {"clock", "medium", "space", "parsers", "time_zone", "designated_storage"} <= set(found)
    assert all(line["hint"] for line in result.json if line["result"] != "OK")
    assert sorted(p.name for p in (made.parent / "store/.dockd").iterdir()) == ["store.json"]


def test_check_prints_a_line_per_check(run_cli: Run, made: Path) -> None:
    lines = [line for line in run_cli("check", config=made).stdout.splitlines() if not line.startswith(" ")]
    assert len(lines) >= 12
    assert all(line.split()[0] in ("OK", "WARN") for line in lines)


def test_an_invalid_configuration_is_a_failure_7_and_the_tools_are_still_checked(run_cli: Run, made: Path) -> None:
    made.write_text("deadline:\n  hours: 48\n")
    result = run_cli("check", "--json", config=made)
    assert result.exit_code == 7
    assert result.json[0]["result"] == "FAIL"
    assert ARTICLE_23 in result.json[0]["message"]
    assert {line["check"] for line in result.json} == {"configuration", "ffprobe", "exiftool", "clock"}


def test_a_store_that_is_not_there_is_a_failure_4(run_cli: Run, made: Path) -> None:
    (made.parent / "store").rename(made.parent / "elsewhere")
    result = run_cli("check", "--json", config=made)
    assert result.exit_code == 4
    assert {line["check"] for line in result.json if line["result"] == "FAIL"} == {"store", "register"}


def test_a_register_that_is_not_there_is_a_failure_4(run_cli: Run, made: Path) -> None:
    (made.parent / "register.db").unlink()
    assert run_cli("check", config=made).exit_code == 4


def test_a_damaged_register_is_a_failure_5(run_cli: Run, made: Path) -> None:
    file = made.parent / "register.db"
    data = bytearray(file.read_bytes())
    data[4096 * 3 :] = b"\x55" * (len(data) - 4096 * 3)
    file.write_bytes(data)
    assert run_cli("check", config=made).exit_code == 5


def test_a_mirror_that_leads_the_register_is_a_failure_5(run_cli: Run, made: Path) -> None:
    (month,) = (made.parent / "store/ledger/station-1").glob("*.jsonl")
    line = month.read_bytes()
    month.write_bytes(line + line.replace(b'"seq":1', b'"seq":2'))
    result = run_cli("check", "--json", config=made)
    assert result.exit_code == 5
    assert "ledger" in {check["check"] for check in result.json if check["result"] == "FAIL"}


def test_a_profile_that_cannot_be_read_is_a_failure_7(run_cli: Run, made: Path) -> None:
    (made.parent / "profiles/bad.yaml").write_text("nonsense: 1\n")
    assert run_cli("check", config=made).exit_code == 7


def test_migrate_on_a_register_of_today_changes_nothing(run_cli: Run, made: Path) -> None:
    assert run_cli("check", "--migrate", config=made).exit_code == 0
    assert len(list(made.parent.glob("register*"))) == 1


def test_a_store_that_is_not_the_designated_one_is_warned_of_with_article_23() -> None:
    check = checks.check_designated(False)
    assert check.result is Verdict.WARN
    assert ARTICLE_23 in check.hint
    assert checks.check_designated(True).result is Verdict.OK


@pytest.mark.parametrize(
    ("output", "verdict"),
    [(None, "FAIL"), ("", "FAIL"), ("12.14\n", "FAIL"), ("9.99", "FAIL"), ("12.15", "OK"), ("13.02\n", "OK")],
)
def test_exiftool_must_be_12_15_or_newer(output: str | None, verdict: str) -> None:
    assert checks.check_exiftool(output).result == verdict


@pytest.mark.parametrize(
    ("output", "verdict"), [(None, "FAIL"), ("", "FAIL"), ("ffprobe version 5.1.9-0+deb12u1 Copyright", "OK")]
)
def test_ffprobe_must_say_its_version(output: str | None, verdict: str) -> None:
    assert checks.check_ffprobe(output).result == verdict


def test_a_tool_that_is_not_there_is_told_from_one_that_fails() -> None:
    assert checks.tool_output("dockd-no-such-tool", "-ver") is None
    assert checks.tool_output("false", "-ver") == ""


def test_a_clock_that_nobody_keeps_is_warned_of(tmp_path: Path) -> None:
    assert checks.check_clock(False).result is Verdict.WARN
    assert checks.check_clock(True).result is Verdict.OK


GIB = 1 << 30


@pytest.mark.parametrize(
    ("total", "free", "verdict"),
    [(1000 * GIB, 49 * GIB, "FAIL"), (1000 * GIB, 60 * GIB, "WARN"), (1000 * GIB, 90 * GIB, "OK")],
)
def test_free_space_is_held_against_the_reserve(total: int, free: int, verdict: str) -> None:
    settings = parse_settings("store: {reserve: 5%}", Path("/etc/dockd/dockd.yaml"))
    check = checks.check_space((total, total - free, free), settings)
    assert check.result == verdict
    assert "50.0 GiB kept in reserve" in check.message


MOUNTS = [
    parse_mount(line)
    for line in (
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw",
        "23 22 8:2 / /srv rw,relatime - ext4 /dev/sdb1 rw,barrier=0",
        r"24 22 0:5 / /mnt/a\040b rw - tmpfs tmpfs rw,size=1g",
        "25 22 0:6 / /nas rw - nfs4 nas:/x rw",
        "26 22 8:3 / /usb rw - exfat /dev/sdc1 rw",
        "27 22 8:4 / /cold ro - xfs /dev/sdd1 rw",
        "28 22 0:7 / /over rw - tmpfs tmpfs rw",
        "29 28 8:5 / /over rw - btrfs /dev/sde1 rw",
        "30 22 0:8 / /old rw - fuse.sshfs host:/ rw",
    )
]


@pytest.mark.parametrize(
    ("path", "type_", "verdict"),
    [
        ("/var/lib/dockd", "ext4", "OK"),
        ("/srv/dock", "ext4", "WARN"),
        ("/srvother", "ext4", "OK"),
        ("/mnt/a b/store", "tmpfs", "WARN"),
        ("/nas", "nfs4", "WARN"),
        ("/usb/x", "exfat", "WARN"),
        ("/cold/x", "xfs", "FAIL"),
        ("/over/x", "btrfs", "OK"),
        ("/old/x", "fuse.sshfs", "WARN"),
    ],
)
def test_what_the_stores_mount_promises(path: str, type_: str, verdict: str) -> None:
    mount = mount_of(Path(path), MOUNTS)
    assert mount is not None
    assert mount.type == type_
    check = checks.check_medium(mount, Path(path))
    assert check.result == verdict
    assert bool(check.hint) == (verdict != "OK")


def test_a_mount_that_cannot_be_found_is_warned_of() -> None:
    assert mount_of(Path("/x"), [Mount("/y", "ext4", frozenset())]) is None
    assert checks.check_medium(None, Path("/x")).result is Verdict.WARN


def test_proof_weighs_more_than_the_store_and_the_store_more_than_the_configuration() -> None:
    def fail(code: Exit) -> Check:
        return Check("x", Verdict.FAIL, "", "", code)

    assert exit_code([]) == 0
    assert exit_code([Check("x", Verdict.WARN, "")]) == 0
    assert exit_code([fail(Exit.CONFIG), fail(Exit.CANNOT_STORE)]) == 4
    assert exit_code([fail(Exit.CONFIG), fail(Exit.PROOF_FAILED), fail(Exit.CANNOT_STORE)]) == 5
    assert exit_code([fail(Exit.CONFIG)]) == 7
    assert exit_code([fail(Exit.REFUSED)]) == 6


def test_a_folder_that_cannot_be_written_is_the_stores_trouble(tmp_path: Path) -> None:
    assert [c.exit_code for c in checks.check_promises(tmp_path / "absent")] == [4]


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / ".dockd").mkdir()
    assert [c.result for c in checks.check_promises(tmp_path)] == ["OK", "OK", "OK"]
    assert list((tmp_path / ".dockd").iterdir()) == []


@pytest.mark.parametrize("answer", [None, OSError(errno.ENOLCK, "No locks available")])
def test_a_mount_that_gives_a_lock_twice_or_none_is_told(
    answer: OSError | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No such mount is at hand in CI: the kernel's answer is stood in for."""

    def flock(_fd: int, _operation: int) -> None:
        if answer:
            raise answer

    monkeypatch.setattr("fcntl.flock", flock)
    (tmp_path / ".dockd").mkdir()
    *_, locks = checks.check_promises(tmp_path)
    assert (locks.check, locks.result, locks.exit_code) == ("locks", Verdict.FAIL, 4)
    assert list((tmp_path / ".dockd").iterdir()) == []
    with pytest.raises(StoreUnfit, match="lock"):
        require_promises(str(tmp_path))


def test_zone_and_parsers_are_told(settings: Settings, station: Station) -> None:
    assert "+08:00" in checks.check_zone(settings, station.now()).message
    assert checks.check_parsers().result in (Verdict.OK, Verdict.WARN)
