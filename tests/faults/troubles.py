"""What every fault of ``dockd offload`` must look like to a person, and what must be true of the store afterwards."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bureau import DOCKED, Bureau, media, name_of
from sqlalchemy import select

from dockd.errors import DockdError
from dockd.locale import _, use_language
from dockd.offload.steps import Step
from dockd.register.tables import FootageRow, LocationRow, TransferRow

MIB = 1 << 20

Acts = Callable[[dict[Step, Callable[[], object]]], Any]
"""The fixture ``at_step``."""


def need(*groups: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A test that needs root or FUSE: ``@need(disks.root)``."""

    def mark(test: Callable[..., None]) -> Callable[..., None]:
        for one in (mark for group in groups for mark in group):
            test = one(test)
        return test

    return mark


def at_once(every: Iterable[Any], *quick: Any) -> list[Any]:
    """The cases of a test: ``quick`` ones always, the others with the slow tests."""
    return [case if case in quick else pytest.param(case, marks=pytest.mark.slow) for case in every]


def nth(number: int, act: Callable[[], object]) -> Callable[[], None]:
    """``act`` at the ``number``-th call, nothing before and after."""
    calls = itertools.count(1)

    def count() -> None:
        if next(calls) == number:
            act()

    return count


def lay_card(bureau: Bureau, *, large: int = 3 * MIB, alone: bool = False) -> dict[str, str]:
    """Two small files, a large one, and another small one after it on the card; returns their digests.

    A recorder's files by their names, but not of a kind that parsers are asked about: these tests are about bytes.
    ``alone``: the large file only, so that nothing else is written while a step is passed. When ext4 gives up in
    the middle of somebody's fsync, that fsync may return success (jbd2 has dropped the transaction by then).
    """
    for minutes, size in ((60, large),) if alone else ((0, 50_000), (5, 70_000), (60, large), (90, 60_000)):
        at = DOCKED - timedelta(hours=2) + timedelta(minutes=minutes)
        bureau.lay(f"DCIM/100ANDRO/{name_of(at)}".replace(".mp4", ".dat"), media(f"{minutes}", size), at=at)
    return truth(bureau)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


# --- what a person sees ------------------------------------------------------------------------------------


def says(error: type[DockdError], text: str, language: str) -> bool:
    """Whether ``text`` is the message and the hint of ``error`` in ``language`` (with whatever they name)."""
    use_language(language)  # type: ignore[arg-type]
    try:
        message, hint = _(error.message), _(error.hint)
    finally:
        use_language("en")
    assert language == "en" or (message, hint) != (error.message, error.hint), "there is no Chinese text"
    return all(re.search(_pattern(part), text, re.DOTALL) for part in (message, hint))


def _pattern(template: str) -> str:
    return re.sub(r"\\\{\w+\\\}", ".+", re.escape(template))


def fails(
    bureau: Bureau, *errors: type[DockdError], code: int = 4, language: str = "en", card: Path | None = None
) -> str:
    """``dockd offload`` ends with ``code`` and says one of ``errors``; no worker is left. Returns what it said."""
    result = bureau.run("--lang", language, "offload", card or bureau.card, config=bureau.config)
    assert result.exit_code == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    assert any(says(error, result.stderr, language) for error in errors), result.stderr
    assert result.stdout == ""
    assert workers() == []
    return str(result.stderr)


def fails_in_both_languages(bureau: Bureau, error: type[DockdError], *, code: int = 4) -> None:
    """The fault lasts: whoever runs the command meets it, in English and in Chinese."""
    fails(bureau, error, code=code)
    fails(bureau, error, code=code, language="zh")


def workers() -> list[int]:
    """Forks of this process that are alive."""
    own = Path("/proc/self/cmdline").read_bytes()
    found = []
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        cmdline = Path(f"/proc/{pid}/cmdline").read_bytes()
        found += [int(pid)] if cmdline == own else []
    return found


# --- what is true --------------------------------------------------------------------------------------------


def truth(bureau: Bureau, *, card: Path | None = None) -> dict[str, str]:
    """The digest of every file on the card, by its path."""
    root = card or bureau.card
    return {str(p.relative_to(root)): sha256(p.read_bytes()) for p in sorted(root.rglob("*")) if p.is_file()}


def stored(bureau: Bureau) -> dict[str, str]:
    """The digest of every stored file, by its place: each lies there whole, and no half file has a final name.

    Besides them stand temps, sidecars, the visits' own files, and files that were proven and await their last row.
    """
    station = bureau.open()
    try:
        with station.register.read() as session:
            present = select(LocationRow.path, FootageRow.sha256).join(FootageRow).where(LocationRow.state == "present")
            known = {row.path: row.sha256 for row in session.execute(present)}
            awaiting = select(TransferRow.final, TransferRow.sha256).where(TransferRow.state == "verified")
            proven = {row.final: row.sha256 for row in session.execute(awaiting)}
    finally:
        station.close()
    beside = (".part", ".xmp", ".sha256", ".json")
    lying = {str(p.relative_to(bureau.store)): p for p in (bureau.store / "footage").rglob("*") if p.is_file()}
    finals = {place: sha256(path.read_bytes()) for place, path in lying.items() if not place.endswith(beside)}
    assert finals == {place: digest for place, digest in (proven | known).items() if place in known or place in finals}
    return known


def temps(bureau: Bureau) -> list[Path]:
    """Temps of copies that wait in the store."""
    return sorted((bureau.store / "footage").rglob("*.part"))


def ends_complete(bureau: Bureau, files: dict[str, str], *, card: Path | None = None) -> dict[str, Any]:
    """The same command once more stores all ``files``, each once, and ``dockd verify`` is clean."""
    summary = bureau.offload(card=card)
    assert summary["outcome"] == "complete"
    assert summary["safe_at"]
    assert {f["path"]: f["sha256"] for f in summary["files"]} == files
    assert sorted(stored(bureau).values()) == sorted(files.values()), "every file once, none twice, none lost"
    bureau.prove(summary)
    assert workers() == []
    return summary


# --- moving the house ------------------------------------------------------------------------------------------


def move_store(bureau: Bureau, disk: Path) -> Path:
    """The station's store lies on ``disk`` from now on."""
    shutil.copytree(bureau.store, disk / "store", dirs_exist_ok=True)
    shutil.rmtree(bureau.store)
    subprocess.run(["sync", "-f", disk], check=True)  # it was always there: no fault forgets it
    configure(bureau, "store: {root: store,", f"store: {{root: '{disk / 'store'}',")
    return disk / "store"


def move_register(bureau: Bureau, disk: Path) -> Path:
    """The station's register lies on ``disk`` from now on."""
    file = disk / "register.db"
    shutil.move(bureau.folder / "register.db", file)
    subprocess.run(["sync", "-f", disk], check=True)
    configure(bureau, "sqlite:///register.db", f"sqlite:///{file}")
    return file


def free(disk: Path) -> int:
    """Bytes that are free on a disk."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def configure(bureau: Bureau, old: str, new: str) -> None:
    """Changes the configuration's text."""
    text = bureau.config.read_text(encoding="utf-8")
    assert old in text
    bureau.config.write_text(text.replace(old, new), encoding="utf-8")
