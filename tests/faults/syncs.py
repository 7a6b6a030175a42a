"""The fsyncs of the code under test, by the place that calls them: to list them, and to leave one out."""

from __future__ import annotations

import ast
import os
import sqlite3
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import dockd

CODE = Path(dockd.__file__).parent

LEFT_OUT = "left out"
_PLUMBING = ("offload.durable", "register.disk", "export.atomic")
"""Rooms whose functions sync for others: the place is who called them."""


def place_of(frame: FrameType | None) -> str:
    """Who syncs: the function of the code under test that has a reason, and the plumbing that it called."""
    inner = ""
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        room, function = module.removeprefix("dockd."), frame.f_code.co_name
        if module.startswith("dockd."):
            if room not in _PLUMBING:
                return f"{room}.{function}{inner}"
            inner = f" > {function}"
        frame = frame.f_back
    return inner


_TRIALS = ("offload.promises", "service.storecheck")
_TRIAL = "prove_writable"
"""What is synced there is removed again."""


def in_source() -> set[str]:
    """Every place of the code under test that syncs, as ``place_of`` names it (without saying file or folder)."""
    trees = {_room(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(CODE.rglob("*.py"))}
    plumbing = set().union(*(_syncing(trees[room]) for room in _PLUMBING))
    found = set()
    for room, tree in trees.items():
        if room in (*_PLUMBING, *_TRIALS):
            continue
        for name, body in _functions(tree):
            calls = _calls(body)
            found |= {f"{room}.{name}" for call in calls if call in ("fsync", "fdatasync")}
            found |= {f"{room}.{name} > {call}" for call in calls & plumbing - {_TRIAL}}
    return found


def _room(path: Path) -> str:
    return ".".join(path.relative_to(CODE).with_suffix("").parts)


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    return ((node.name, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _calls(body: ast.FunctionDef) -> set[str]:
    called = (node.func for node in ast.walk(body) if isinstance(node, ast.Call))
    return {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in called}


def _syncing(tree: ast.Module) -> set[str]:
    """The module's functions that sync, themselves or by another of them (or by a method)."""
    found, functions = {"fsync", "fdatasync"}, dict(_functions(tree))
    while more := {name for name, body in functions.items() if _calls(body) & found} - found:
        found |= more
    return found & {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def on_each_sync(decide: Callable[[str], bool]) -> None:
    """From now on ``decide`` is asked before each fsync and fdatasync of Python code; no: it is not done."""
    for name in ("fsync", "fdatasync"):
        setattr(os, name, _asking(getattr(os, name), decide))


def _asking(real: Callable[[int], None], decide: Callable[[str], bool]) -> Callable[[int], None]:
    def sync(fd: int) -> None:
        kind = " (folder)" if stat.S_ISDIR(os.fstat(fd).st_mode) else ""
        if decide(place_of(sys._getframe(1)) + kind):
            real(fd)

    return sync


def leave_out(places: Collection[str], tell: Callable[[str], None]) -> None:
    """The syncs of ``places`` are not done any more; ``tell`` hears of each that is not."""

    def decide(found: str) -> bool:
        if found in places:
            tell(LEFT_OUT)
        return found not in places

    on_each_sync(decide)


def weaken_register(level: str, *, asked: bool = True, unasked: bool = False) -> None:
    """SQLite's ``synchronous`` is ``level`` where the code asks for another, or also where it asks for none."""
    real = sqlite3.connect

    class Weak(sqlite3.Connection):
        def execute(self, sql: str, *said: Any) -> sqlite3.Cursor:
            weak = asked and "PRAGMA synchronous" in sql
            return super().execute(f"PRAGMA synchronous={level}" if weak else sql, *said)

    def connect(*said: Any, **named: Any) -> sqlite3.Connection:
        connection = real(*said, **named | {"factory": Weak})
        if unasked:
            connection.execute(f"PRAGMA synchronous={level}")
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]
