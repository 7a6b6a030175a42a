"""The command itself: language, exit codes, reports, and what is loaded when."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from dockd.cli import main as front
from dockd.cli.main import COMMANDS, SUMMARIES, speak
from dockd.errors import PathMissing
from dockd.locale import language

Run = Callable[..., object]
CJK = re.compile("[\u4e00-\u9fff]")


@pytest.fixture
def probe(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """``probe(action)`` makes ``dockd probe`` carry out ``action``."""

    def install(action: Callable[[], object]) -> None:
        @click.command()
        @click.argument("words", nargs=-1)
        def probe(words: tuple[str, ...]) -> object:
            return action()

        monkeypatch.setitem(COMMANDS, "probe", "tests_probe:probe")
        monkeypatch.setattr(front, "import_module", lambda _name: type("M", (), {"probe": probe}))

    return install


# --- starting ------------------------------------------------------------------------------------------


def test_help_loads_neither_the_register_nor_the_settings() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "dockd", "--help"], capture_output=True, text=True, check=True
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in loaded
    heavy = {"sqlalchemy", "alembic", "pydantic", "yaml", "rich", "structlog", "dockd.settings", "dockd.register"}
    assert not loaded & heavy


def test_every_command_of_the_table_is_there_and_summarised() -> None:
    assert list(COMMANDS) == list(SUMMARIES)
    for target in COMMANDS.values():
        module, _colon, name = target.partition(":")
        assert isinstance(getattr(import_module(module), name), click.Command)


def test_version(run_cli: Run) -> None:
    result = run_cli("--version")
    assert (result.exit_code, result.stdout) == (0, "dockd, version 0.1.0\n")


# --- language ------------------------------------------------------------------------------------------


def test_help_is_chinese_down_to_its_headings(run_cli: Run) -> None:
    result = run_cli("--lang", "zh", "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("用法：")
    assert "选项" in result.stdout
    assert "命令" in result.stdout
    assert "Usage" not in result.stdout


def _commands(command: click.Command, path: str = "dockd") -> Iterator[tuple[str, click.Command]]:
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from _commands(below, f"{path} {name}")


def test_every_help_text_of_every_command_is_chinese() -> None:
    script = (
        "import sys; from dockd.cli import main as m\n"
        "m.speak(['--lang', 'zh'], {})\n"
        "def walk(path, c):\n"
        "    print(path, '|', c.help or '')\n"
        "    for p in c.params:\n"
        "        if isinstance(p, m.click.Option): print(path, p.opts, '|', p.help or '')\n"
        "    for n, b in getattr(c, 'commands', {}).items(): walk(path + ' ' + n, b)\n"
        "group = m.spoken(m.dockd)\n"
        "for n in m.COMMANDS: walk(n, group.get_command(None, n))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = [line for line in done.stdout.splitlines() if "|" in line]
    assert len(lines) > 50
    assert [line for line in lines if not CJK.search(line.partition("|")[2])] == []


@pytest.mark.parametrize(
    ("argv", "environ", "expected"),
    [
        (["--lang", "en"], {"DOCKD_LANG": "zh"}, "zh"),
        (["--lang", "en"], {"LANG": "zh_CN.UTF-8"}, "en"),
        (["--lang=zh", "check"], {"LANG": "en_US.UTF-8"}, "zh"),
        (["-c", "{config}", "check"], {"LANG": "zh_CN.UTF-8"}, "en"),
        (["-c{config}", "check"], {"LANG": "zh_CN.UTF-8"}, "en"),
        (["--config={config}", "check"], {}, "en"),
        (["check"], {"DOCKD_CONFIG": "{config}", "LANG": "zh_CN.UTF-8"}, "en"),
        (["check", "--lang", "en"], {"LANG": "zh_CN.UTF-8"}, "zh"),
        (["check"], {"LC_ALL": "en_GB.UTF-8", "LANG": "zh_CN"}, "en"),
        (["check"], {"LANG": "de_DE.UTF-8"}, "zh"),
        (["check"], {"DOCKD_LANG": "tlh"}, "zh"),
        (["-c"], {}, "zh"),
        (["-c", "/nowhere"], {}, "zh"),
        ([], {}, "zh"),
    ],
)
def test_the_language_is_the_first_that_is_said(
    argv: list[str], environ: dict[str, str], expected: str, tmp_path: Path
) -> None:
    config = tmp_path / "dockd.yaml"
    config.write_text("store:\n  root: x\nagency:\n  # language: zh\n  name: a\n\n  language: 'en'\n")
    speak(
        [word.replace("{config}", str(config)) for word in argv],
        {name: value.replace("{config}", str(config)) for name, value in environ.items()},
    )
    assert language() == expected


def test_a_language_key_of_another_section_is_not_the_stations(tmp_path: Path) -> None:
    config = tmp_path / "dockd.yaml"
    config.write_text("agency:\n  name: a\nother:\n  language: en\n")
    speak(["-c", str(config)], {})
    assert language() == "zh"


# --- ending -------------------------------------------------------------------------------------------


def test_an_unknown_command_ends_2_with_a_hint(run_cli: Run) -> None:
    result = run_cli("frobnicate")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        "Error: No such command 'frobnicate'.",
        "Hint: dockd [OPTIONS] COMMAND [ARGS]... (more with: dockd --help)",
    ]


def test_usage_errors_are_chinese_too(run_cli: Run) -> None:
    assert "没有“frobnicate”这个命令" in run_cli("--lang", "zh", "frobnicate").stderr
    assert "没有“--frob”这个选项" in run_cli("--lang", "zh", "check", "--frob").stderr
    missing = run_cli("--lang", "zh", "init")
    assert (missing.exit_code, "缺少参数" in missing.stderr) == (2, True)


def test_no_command_at_all_prints_the_help_and_ends_2(run_cli: Run) -> None:
    result = run_cli()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_an_error_of_the_house_is_a_message_a_hint_and_its_code(run_cli: Run, probe: Callable[..., None]) -> None:
    def fail() -> None:
        raise PathMissing(path="/mnt/\x1b[2Jcard")

    probe(fail)
    result = run_cli("probe")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "Error: there is nothing at /mnt/\\x1b[2Jcard",
        "Hint: Give the directory where the recorder's card is mounted.",
    ]


@pytest.mark.parametrize(("ending", "code"), [(lambda: 3, 3), (lambda: sys.exit(4), 4), (lambda: None, 0)])
def test_a_command_ends_by_returning_or_exiting(
    ending: Callable[[], object], code: int, run_cli: Run, probe: Callable[..., None]
) -> None:
    probe(ending)
    assert run_cli("probe").exit_code == code


def test_ctrl_c_ends_130_with_a_sentence(run_cli: Run, probe: Callable[..., None]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    probe(interrupt)
    result = run_cli("probe")
    assert result.exit_code == 130
    assert result.stderr.startswith("Error: interrupted; what is stored is safe")


def test_a_fault_of_our_own_names_a_report_that_holds_no_names(
    run_cli: Run, probe: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def fail() -> None:
        try:
            {}["张三"]
        except KeyError as error:
            raise RuntimeError("李四") from error

    probe(fail)
    result = run_cli("probe", "王五", "--", "--title=赵六")
    assert result.exit_code == 1
    assert "Traceback" not in result.stderr
    (report,) = tmp_path.glob("dockd-report-*.txt")
    assert str(report) in result.stderr
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_text(encoding="utf-8")
    assert not re.search("张三|李四|王五|赵六", text + result.stderr)
    assert "dockd probe . -- --title" in text
    assert "RuntimeError" in text
    assert "KeyError" in text
    assert "test_cli_main.py" in text


def test_chinese_comes_out_whole_under_lc_all_c() -> None:
    environ = {**os.environ, "LC_ALL": "C", "DOCKD_LANG": "zh", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([sys.executable, "-m", "dockd", "--help"], capture_output=True, env=environ, check=True)
    assert "用法：" in done.stdout.decode("utf-8")


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "dockd", "--help"], stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")
