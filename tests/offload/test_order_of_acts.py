"""What is told to the register is on the medium already: each sync comes before the word that relies on it.

The power cuts in test_power_cut show what this order is for; here it is read off one visit's calls, in a moment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dock import MTIME, SECOND, Dock, Steps, once
from sqlalchemy import Engine, event

from dockd.offload import pipeline, recover
from dockd.offload.books import Books
from dockd.offload.steps import Step

pytestmark = pytest.mark.usefixtures("small_chunks")

WRITING = os.O_WRONLY | os.O_RDWR
KEPT = ("INSERT INTO location", "INSERT INTO sidecar", "UPDATE visit SET")
"""Statements that name files of the store."""


@dataclass
class Medium:
    """Whose bytes and whose names were changed since they were last synced, of everything below ``store``."""

    store: Path
    bytes: set[str] = field(default_factory=set)
    names: set[str] = field(default_factory=set)
    told: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def change(self, path: str) -> None:
        if path.startswith(f"{self.store}/"):
            self.bytes.add(path)

    def change_name(self, *paths: str) -> None:
        self.names |= {path for path in paths if path.startswith(f"{self.store}/")}

    def sync(self, path: str) -> None:
        self.bytes.discard(path)
        self.names -= {name for name in self.names if os.path.dirname(name) == path}

    def require(self, path: str, word: str) -> None:
        """``path`` with all names that lead to it is on the medium."""
        self.require_bytes(path, word)
        for lacking in self.names & {path, *self._way_to(path)}:
            self.broken.append(f"{word}: the name {lacking} is not synced")

    def require_bytes(self, path: str, word: str) -> None:
        self.told.append(word)
        if path in self.bytes:
            self.broken.append(f"{word}: {path} is not synced")

    def _way_to(self, path: str) -> Iterator[str]:
        while path != str(self.store):
            yield path
            path = os.path.dirname(path)


def path_of(fd: int) -> str:
    return os.readlink(f"/proc/self/fd/{fd}")


@pytest.fixture
def medium(dock: Dock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Medium]:
    """Every change, sync and word of this process from now on."""
    medium = Medium(dock.store)
    for spy in (spy_on_files, spy_on_names, spy_on_syncs, spy_on_books):
        spy(medium, monkeypatch)

    def hear(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(KEPT):
            for word in flat(parameters):
                if isinstance(word, str) and "/" in word and (dock.store / word).is_file():
                    medium.require(f"{dock.store}/{word}", statement.partition(" (")[0].partition(" SET")[0])

    event.listen(Engine, "before_cursor_execute", hear)
    yield medium
    event.remove(Engine, "before_cursor_execute", hear)


def flat(parameters: Any) -> Iterator[Any]:
    if isinstance(parameters, list | tuple):
        for one in parameters:
            yield from flat(one)
    else:
        yield parameters


def spy_on_files(medium: Medium, patch: pytest.MonkeyPatch) -> None:
    def opening(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        fresh = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        fd = real_open(path, flags, *args, **kwargs)
        if flags & WRITING:
            medium.change(path_of(fd))
        if fresh:
            medium.change_name(path_of(fd))
        return fd

    def changing(call: Callable[..., Any]) -> Callable[..., Any]:
        def changed(fd: int, *args: Any) -> Any:
            medium.change(path_of(fd))
            return call(fd, *args)

        return changed

    real_open = os.open
    patch.setattr(os, "open", opening)
    for name in ("write", "pwrite", "ftruncate", "fchmod"):
        patch.setattr(os, name, changing(getattr(os, name)))


def spy_on_names(medium: Medium, patch: pytest.MonkeyPatch) -> None:
    def naming(call: Callable[..., Any], count: int) -> Callable[..., Any]:
        def named(*args: Any, **kwargs: Any) -> Any:
            result = call(*args, **kwargs)
            paths = [os.path.join(medium.store, os.fsdecode(path)) for path in args[:count]]
            medium.change_name(*paths)
            if count == 2:
                medium.require_bytes(paths[0], "name")  # nothing has its final name before it is whole on the medium
                carry_over(medium, *paths)
            return result

        return named

    for name, count in (("mkdir", 1), ("unlink", 1), ("link", 2), ("rename", 2), ("replace", 2)):
        patch.setattr(os, name, naming(getattr(os, name), count))
    renamed = naming(pipeline.durable.rename_without_replacing, 2)
    patch.setattr(pipeline.durable, "rename_without_replacing", renamed)


def carry_over(medium: Medium, old: str, new: str) -> None:
    if old in medium.bytes:
        medium.change(new)


def spy_on_syncs(medium: Medium, patch: pytest.MonkeyPatch) -> None:
    def syncing(call: Callable[[int], None]) -> Callable[[int], None]:
        def synced(fd: int) -> None:
            call(fd)
            medium.sync(path_of(fd))

        return synced

    for name in ("fsync", "fdatasync"):
        patch.setattr(os, name, syncing(getattr(os, name)))
    for module in (pipeline, recover):
        patch.setattr(module, "read_back", reading_back(medium, module.read_back))


def reading_back(medium: Medium, call: Callable[..., Any]) -> Callable[..., Any]:
    def read_back(fd: int, **kwargs: Any) -> Any:
        medium.require_bytes(path_of(fd), "read back")
        return call(fd, **kwargs)

    return read_back


def spy_on_books(medium: Medium, patch: pytest.MonkeyPatch) -> None:
    """These words name no path: they are about the only temp there is."""
    mark, verified, again = Books.mark, Books.verified, Books.again

    def marking(self: Books, *args: Any) -> None:
        require_temps("mark")
        mark(self, *args)

    def calling_verified(self: Books, proven: Sequence[Any]) -> None:
        if len(proven) == 1:  # of several, the next may be on its way
            require_temps("verified")
        verified(self, proven)

    def require_temps(word: str) -> None:
        for temp in (medium.store / "footage").rglob("*.part"):
            medium.require(str(temp), word)

    def again_from_the_start(self: Books, *args: Any, **said: Any) -> None:
        for evidence in (medium.store / ".dockd/quarantine").iterdir():
            medium.require(str(evidence), "again")
        medium.require(str(medium.store / args[1]), "again")
        again(self, *args, **said)

    patch.setattr(Books, "mark", marking)
    patch.setattr(Books, "verified", calling_verified)
    patch.setattr(Books, "again", again_from_the_start)


def require_kept(medium: Medium, words: Sequence[str]) -> None:
    assert medium.broken == []
    for word in words:
        assert word in medium.told, f"nothing was shown of {word!r}: {set(medium.told)}"


def touch_files(medium: Medium) -> None:
    """What the process that was killed did to files is on no medium (folders it had synced before)."""
    for folder, _, names in os.walk(medium.store / "footage"):
        for name in names:
            medium.change(f"{folder}/{name}")
            medium.change_name(f"{folder}/{name}")


# --- the copy ------------------------------------------------------------------------------------------------


def test_nothing_is_marked_proven_or_called_stored_before_it_is_on_the_medium(dock: Dock, medium: Medium) -> None:
    dock.lay("A.dat", 1_500_000)
    dock.require_complete(dock.visit())
    require_kept(
        medium, ["mark", "read back", "verified", "INSERT INTO location", "INSERT INTO sidecar", "UPDATE visit"]
    )


def test_many_small_files_that_share_commits_are_on_the_medium_first(dock: Dock, medium: Medium) -> None:
    dock.lay_many(30)
    dock.require_complete(dock.visit())
    require_kept(medium, ["read back", "INSERT INTO location"])


def test_what_is_stored_again_is_on_the_medium_first(dock: Dock, medium: Medium) -> None:
    dock.lay("A.dat", 5000)
    (file,) = dock.visit()["files"]
    (dock.store / file["location"]).unlink()
    medium.told.clear()
    assert dock.visit()["files"][0]["reason"] == "stored_again"
    require_kept(medium, ["read back", "INSERT INTO location"])


def test_evidence_of_a_bad_copy_is_on_the_medium_before_the_copy_begins_again(dock: Dock, medium: Medium) -> None:
    dock.lay("A.dat", 5000)

    def spoil() -> None:
        path = dock.store / dock.temps()[0]
        path.chmod(0o640)
        path.write_bytes(b"x" * 5000)

    dock.require_complete(dock.visit(passed=Steps({Step.TEMP_SYNCED: once(spoil)})))
    require_kept(medium, ["again"])


def test_a_temp_that_turned_out_to_be_known_is_gone_from_the_medium_at_the_end(dock: Dock, medium: Medium) -> None:
    data = dock.lay("A.dat", 5000)
    dock.visit()
    dock.lay("A.dat", data, mtime_ns=MTIME + SECOND)
    dock.require_complete(dock.visit())
    assert {name for name in medium.names if name.endswith(".part")} == set()


def test_the_ledgers_mirror_is_on_the_medium_when_the_visit_ends(dock: Dock, medium: Medium) -> None:
    dock.lay("A.dat", 5000)
    dock.visit()
    mirrors = [str(path) for path in (dock.store / "ledger").rglob("*.jsonl")]
    assert mirrors
    for mirror in mirrors:
        medium.require(mirror, "mirror")
    require_kept(medium, ["mirror"])


# --- recovery ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [Step.VERIFIED_KEPT, Step.RENAMED, Step.DIRECTORY_SYNCED])
def test_what_recovery_stores_is_on_the_medium_first_although_its_maker_died(
    dock: Dock, medium: Medium, step: Step
) -> None:
    dock.lay("A.dat", 5000)
    assert dock.crash(step)
    touch_files(medium)
    medium.told.clear()
    dock.require_complete(dock.visit())
    require_kept(medium, ["read back", "INSERT INTO location"])


@pytest.mark.parametrize("step", [Step.TEMP_CREATED, Step.MARK_KEPT, Step.READ_BACK])
def test_what_a_later_visit_resumes_is_on_the_medium_first(dock: Dock, medium: Medium, step: Step) -> None:
    dock.lay("A.dat", 1_500_000)
    assert dock.crash(step)
    touch_files(medium)
    medium.told.clear()
    dock.require_complete(dock.visit())
    require_kept(medium, ["mark"] if step is Step.TEMP_CREATED else ["read back", "INSERT INTO location"])
