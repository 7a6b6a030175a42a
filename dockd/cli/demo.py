"""``dockd demo``: a realistic card, a throw-away station, the whole job on it, every step a real command."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from dockd.cli.invocation import Invocation, pass_invocation
from dockd.errors import ToolMissing
from dockd.locale import _, language

_DEVICE, _SERIAL = "YS-07", "2107731"


@click.command(help=_("make a realistic card and a throw-away station, do the whole job and show the result"))
@click.option("--keep", type=click.Path(file_okay=False), metavar="DIR", help=_("keep station and card in DIR"))
@pass_invocation
def demo(invocation: Invocation, keep: str | None) -> None:
    if shutil.which("ffmpeg") is None:
        raise ToolMissing(tool="ffmpeg", package="ffmpeg")
    if keep:
        os.makedirs(keep, exist_ok=True)
        sys.exit(_run(keep, invocation.now()))
    with tempfile.TemporaryDirectory(prefix="dockd-demo-") as folder:
        code = _run(folder, invocation.now())
        _say(_("The throw-away station is removed. To keep one and look around: dockd demo --keep DIR"))
    sys.exit(code)


def _run(folder: str, now: datetime) -> int:
    """Every step in order; the exit code is that of the first step that did not end as it should."""
    card, station = f"{folder}/card", f"{folder}/station"
    _say(
        _("1. A card as a recorder leaves it: two officers, two cases, one late file, one cut short by a flat battery")
    )
    make_card(card, now)
    _say(_("2. A station, its recorder, officers, cases, and who held the recorder when"))
    steps: list[Sequence[str]] = [("init", station, "--language", language())]
    steps += _registers(folder, now)
    for step in steps:
        if code := _dockd(station, *step):
            return code
    _say(_("3. The recorder is docked"))
    if code := _dockd(station, "offload", card):
        return code
    _say(_("4. What became of it"))
    after: list[Sequence[str]] = [
        ("record", "list"),
        ("alert", "list", "--open"),
        ("inventory", "export"),
        ("verify",),
        ("ledger", "verify"),
        ("ledger", "head"),
    ]
    for step in after:
        if code := _dockd(station, *step):
            return code
    _say(_("5. The same card again: nothing new, not one byte of footage is read"))
    if code := _dockd(station, "offload", card):
        return code
    _show_csv(f"{station}/exports/inventory.csv")
    return 0


def _dockd(station: str, *arguments: str) -> int:
    """Runs one real command and shows it."""
    config = [] if arguments[0] == "init" else ["-c", f"{station}/dockd.yaml"]
    click.echo()
    click.secho("$ dockd " + shlex.join([*config, *arguments]), bold=True)
    return subprocess.run([sys.executable, "-m", "dockd", *config, *arguments], check=False).returncode


def _say(text: str) -> None:
    click.echo()
    click.secho(text, fg="cyan", bold=True)


def _show_csv(path: str) -> None:
    _say(_("The inventory that other systems read (first columns): {path}").format(path=path))
    with open(path, encoding="utf-8-sig") as file:
        for line in file:
            click.echo(",".join(line.rstrip("\n").split(",")[:8]))


def _registers(folder: str, now: datetime) -> list[Sequence[str]]:
    officers, cases = f"{folder}/officers.csv", f"{folder}/cases.csv"
    morning, noon = now - timedelta(hours=44), now - timedelta(hours=5)
    _write(
        officers,
        "执法证号,执法人员姓名,警号,单位",
        ["13012301,王建国,012345,执法大队", "13012302,李敏,012346,执法大队"],
    )
    _write(
        cases,
        "案件编号,案由名称,案件当事人,执法证号,使用开始时间,使用结束时间,记录地点,记录事项",
        [
            f"元自然资罚〔2026〕18号,未经批准占用土地,赵某某,13012301,{_ago(now, 9)},{_ago(now, 5.5)},槐阳镇,现场检查",
            f"元自然资罚〔2026〕21号,无证采砂,河畔砂石厂,13012302,{_ago(now, 4.5)},{_ago(now, 1)},北正乡,调查取证",
        ],
    )
    return [
        ("recorder", "add", _DEVICE, "--serial", _SERIAL, "--model", "DSJ-A7", "--unit", "执法大队"),
        ("officer", "import", officers),
        ("case", "import", cases),
        ("recorder", "issue", _DEVICE, "13012301", "--at", morning.isoformat(), "--battery", "98"),
        ("recorder", "return", _DEVICE, "--at", noon.isoformat()),
        ("recorder", "issue", _DEVICE, "13012302", "--at", noon.isoformat(), "--battery", "95"),
    ]


def _ago(now: datetime, hours: float) -> str:
    return (now - timedelta(hours=hours)).isoformat(timespec="seconds")


def _write(path: str, header: str, lines: Sequence[str]) -> None:
    with open(path, "w", encoding="gb18030") as file:  # as the case system's Excel writes it
        file.write("\n".join([header, *lines]) + "\n")


# --- the card ----------------------------------------------------------------------------------


def make_card(card: str, now: datetime) -> None:
    """Lays out a card in the GA/T 947 manner, with clips made by ffmpeg."""
    for badge, hours, mark in (
        ("012345", -40.0, ""),
        ("012345", -8.0, ""),
        ("012345", -7.5, "IMP"),
        ("012346", -4.0, ""),
        ("012346", -3.0, ""),
    ):
        _clip(card, badge, now + timedelta(hours=hours), mark)
    _cut_short(_clip(card, "012346", now - timedelta(hours=2), ""))
    _photo(card, "012346", now - timedelta(hours=1.5))
    day = _wall(now)[:8]
    _text(f"{card}/DCIM/LOGS/{day}.log", "power on\nrecord start\nbattery low, power off\n", now)
    _text(f"{card}/System Volume Information/IndexerVolumeGuid", "{00000000-0000-0000-0000-000000000000}", now)


def _wall(at: datetime) -> str:
    from zoneinfo import ZoneInfo

    return f"{at.astimezone(ZoneInfo('Asia/Shanghai')):%Y%m%d%H%M%S}"


def _name(badge: str, at: datetime, mark: str, extension: str) -> str:
    return f"{_SERIAL}_{badge}_{_wall(at)}_{int(_wall(at)[8:12]):04d}{mark}.{extension}"


def _clip(card: str, badge: str, start: datetime, mark: str, seconds: int = 4) -> str:
    path = f"{card}/DCIM/{'101ANDRO' if mark else '100ANDRO'}/{_name(badge, start, mark, 'mp4')}"
    _ffmpeg(
        path,
        *("-f", "lavfi", "-i", f"testsrc2=s=640x360:r=15:d={seconds}"),
        *("-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"),
        *("-metadata", f"creation_time={start.isoformat()}"),
    )
    _stamp(path, start + timedelta(seconds=seconds))
    return path


def _photo(card: str, badge: str, at: datetime) -> None:
    path = f"{card}/DCIM/100ANDRO/{_name(badge, at, '', 'jpg')}"
    _ffmpeg(path, "-f", "lavfi", "-i", "testsrc2=s=640x360:d=1", "-frames:v", "1")
    _stamp(path, at)


def _cut_short(path: str) -> None:
    """A recording whose battery died: its index was never written."""
    at = os.stat(path).st_mtime
    os.truncate(path, os.path.getsize(path) * 6 // 10)
    os.utime(path, (at, at))


def _text(path: str, text: str, at: datetime) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    _stamp(path, at)


def _stamp(path: str, at: datetime) -> None:
    os.utime(path, (at.timestamp(), at.timestamp()))


def _ffmpeg(path: str, *arguments: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments, path], check=True)
