"""A disk as a power cut finds it: what was made durable stays, of all else any part that POSIX allows.

``Medium`` is a small file system in memory that keeps two truths: what programs see, and what is on
the medium. Data, sizes, modes and times of a file go over by fsync of the file (data and size by
fdatasync), names by fsync of the directory that holds them: nothing goes over by itself, and no
order is kept that nobody asked for. Every change is written down, so that the same run can be
looked at as it stood before any of its calls.
"""

from __future__ import annotations

import errno
import hashlib
import os
import random
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = 1
SECTOR = 512

Call = tuple[Any, ...]
Choice = Callable[[], bool]


@dataclass(slots=True)
class Node:
    """A file, directory or link: as it is seen, as it lies on the medium, and what is between the two."""

    kind: int  # stat.S_IFREG, S_IFDIR, S_IFLNK
    mode: int
    mtime_ns: int
    data: bytearray = field(default_factory=bytearray)
    names: dict[str, int] = field(default_factory=dict)
    links: int = 0
    kept_mode: int = 0
    kept_mtime_ns: int = 0
    kept_data: bytes = b""
    kept_names: dict[str, int] = field(default_factory=dict)
    pending: list[Call] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fate:
    """Which of the pending changes a cut leaves: chosen for each node and then for each change (or sector) of it.

    nothing   all that was not synced is forgotten
    all       everything was on the medium by chance: what SIGKILL leaves
    names     directories as they were seen, files without what was not synced: renames without their data
    data      files as they were seen, directories without what was not synced
    a number  any subset, by this seed: writes in any order and torn, directory changes each for itself
    """

    name: str | int

    def choices(self) -> Callable[[Node], Choice]:
        if isinstance(self.name, int):
            return _subset(random.Random(self.name))
        kinds = {"nothing": (), "all": (stat.S_IFREG, stat.S_IFDIR), "names": (stat.S_IFDIR,), "data": (stat.S_IFREG,)}
        return lambda node: lambda: node.kind in kinds[str(self.name)]


def _subset(rng: random.Random) -> Callable[[Node], Choice]:
    def choose(_: Node) -> Choice:
        share = rng.choice((0.0, 0.2, 0.5, 0.8, 1.0))
        return lambda: rng.random() < share

    return choose


NOTHING, ALL, NAMES, DATA = (Fate(name) for name in ("nothing", "all", "names", "data"))


@dataclass(frozen=True, slots=True)
class Leaf:
    """A file of an image; equal ``node`` in two places is a hard link."""

    node: int
    mode: int
    mtime_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Image:
    """What lies on the medium: files and links by path, directories with their modes."""

    files: dict[str, Leaf]
    folders: dict[str, int]

    @property
    def digest(self) -> str:
        """Equal where the same lies on the medium, save SQLite's shared memory, which no start reads."""
        files = {path: leaf for path, leaf in self.files.items() if not path.endswith("-shm")}
        return hashlib.sha256(repr((files, self.folders)).encode()).hexdigest()

    def lay(self, folder: Path) -> Path:
        """Writes the image into ``folder``, which is made."""
        folder.mkdir()
        laid: dict[int, str] = {}
        for path, mode in self.folders.items():
            (folder / path).mkdir(exist_ok=True)
            (folder / path).chmod(mode)
        for path, leaf in self.files.items():
            place = f"{folder}/{path}"
            if leaf.node in laid:
                os.link(laid[leaf.node], place)
                continue
            laid[leaf.node] = place
            with open(place, "wb") as file:
                file.write(leaf.data)
            os.chmod(place, leaf.mode)
            os.utime(place, ns=(leaf.mtime_ns, leaf.mtime_ns))
        return folder


class Medium:
    """The file system. Every changing method is one system call: it is in ``log`` and can be played again."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {ROOT: Node(stat.S_IFDIR, 0o755, 0, links=2, kept_mode=0o755)}
        self.log: list[Call] = []
        self._next = ROOT + 1

    @classmethod
    def load(cls, folder: Path) -> Medium:
        """What lies in ``folder``, all of it durable."""
        medium = cls()
        medium._load(folder, ROOT)
        return medium

    def _load(self, folder: Path, parent: int) -> None:
        for path in sorted(folder.iterdir()):
            found = path.lstat()
            number = self._add(parent, path.name, stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode))
            node = self.nodes[number]
            node.mtime_ns = node.kept_mtime_ns = found.st_mtime_ns
            if node.kind == stat.S_IFREG:
                node.kept_data = path.read_bytes()
                node.data = bytearray(node.kept_data)
            else:
                self._load(path, number)
        node = self.nodes[parent]
        node.kept_names, node.pending = dict(node.names), []

    # --- looking ------------------------------------------------------------------------------------

    def find(self, path: str) -> int:
        """The node at ``path`` (of parts between ``/``). Raises OSError as the kernel does."""
        number = ROOT
        for part in filter(None, path.split("/")):
            node = self.nodes[number]
            if node.kind != stat.S_IFDIR:
                raise _error(errno.ENOTDIR)
            if part not in node.names:
                raise _error(errno.ENOENT)
            number = node.names[part]
        return number

    def parent(self, path: str) -> tuple[int, str]:
        folder, _, name = path.rpartition("/")
        return self.find(folder), name

    def unsynced(self, number: int) -> Iterator[tuple[int, int]]:
        """The ranges of a file that were written and not synced."""
        for call in self.nodes[number].pending:
            if call[0] == "write":
                yield call[1], call[1] + len(call[2])

    # --- changing -----------------------------------------------------------------------------------

    def play(self, call: Call) -> Any:
        """Does one call of a log again."""
        return getattr(self, call[0])(*call[1:])

    def say(self, text: str) -> None:
        """Not a change: what a program had told the world by now."""
        self.log.append(("say", text))

    def create(self, parent: int, name: str, kind: int, mode: int) -> int:
        self.log.append(("create", parent, name, kind, mode))
        return self._add(parent, name, kind, mode)

    def _add(self, parent: int, name: str, kind: int, mode: int) -> int:
        number, self._next = self._next, self._next + 1
        self.nodes[number] = Node(kind, mode, 0, links=1 + (kind == stat.S_IFDIR), kept_mode=mode)
        self._name(parent, name, number)
        return number

    def link(self, number: int, parent: int, name: str) -> None:
        self.log.append(("link", number, parent, name))
        self.nodes[number].links += 1
        self._name(parent, name, number)

    def unlink(self, parent: int, name: str) -> None:
        self.log.append(("unlink", parent, name))
        folder = self.nodes[parent]
        self.nodes[folder.names.pop(name)].links -= 1
        folder.pending.append(("drop", name))

    def rename(self, parent: int, name: str, to_parent: int, to_name: str) -> None:
        self.log.append(("rename", parent, name, to_parent, to_name))
        number = self.nodes[parent].names.pop(name)
        replaced = self.nodes[to_parent].names.get(to_name)
        if replaced is not None:
            self.nodes[replaced].links -= 1
        self.nodes[to_parent].names[to_name] = number
        if parent == to_parent:  # one change of one directory: both names or neither
            self.nodes[parent].pending.append(("move", name, to_name, number))
        else:
            self.nodes[parent].pending.append(("drop", name))
            self.nodes[to_parent].pending.append(("set", to_name, number))

    def _name(self, parent: int, name: str, number: int) -> None:
        folder = self.nodes[parent]
        folder.names[name] = number
        folder.pending.append(("set", name, number))

    def write(self, number: int, offset: int, data: bytes) -> None:
        self.log.append(("write", number, offset, data))
        node = self.nodes[number]
        _put(node.data, offset, data)
        node.pending.append(("write", offset, data))

    def truncate(self, number: int, size: int) -> None:
        self.log.append(("truncate", number, size))
        node = self.nodes[number]
        _resize(node.data, size)
        node.pending.append(("truncate", size))

    def allocate(self, number: int, end: int) -> None:
        self.log.append(("allocate", number, end))
        node = self.nodes[number]
        _resize(node.data, max(end, len(node.data)))
        node.pending.append(("allocate", end))

    def chmod(self, number: int, mode: int) -> None:
        self.log.append(("chmod", number, mode))
        self.nodes[number].mode = mode
        self.nodes[number].pending.append(("mode", mode))

    def utime(self, number: int, mtime_ns: int) -> None:
        self.log.append(("utime", number, mtime_ns))
        self.nodes[number].mtime_ns = mtime_ns
        self.nodes[number].pending.append(("mtime", mtime_ns))

    def sync(self, number: int, data_only: bool) -> None:
        """fsync(2), or with ``data_only`` fdatasync(2), of a file or directory."""
        self.log.append(("sync", number, data_only))
        node = self.nodes[number]
        if not node.pending:
            return
        node.kept_data, node.kept_names = bytes(node.data), dict(node.names)
        if data_only and node.kind == stat.S_IFREG:
            node.pending = [call for call in node.pending if call[0] in ("mode", "mtime")]
            return
        node.kept_mode, node.kept_mtime_ns, node.pending = node.mode, node.mtime_ns, []

    # --- the cut ------------------------------------------------------------------------------------

    def cut(self, fate: Fate) -> Image:
        """What the medium holds when the power goes now. Nothing is changed by asking."""
        choose = fate.choices()
        survived = {number: _survive(node, choose(node)) for number, node in sorted(self.nodes.items())}
        image = Image({}, {})
        self._reach(ROOT, "", survived, image)
        return image

    def _reach(self, number: int, path: str, survived: dict[int, _Survivor], image: Image) -> None:
        for name, inner in sorted(survived[number].names.items()):
            found, place = survived[inner], f"{path}/{name}".lstrip("/")
            if self.nodes[inner].kind == stat.S_IFDIR:
                image.folders[place] = found.mode
                self._reach(inner, place, survived, image)
            else:
                image.files[place] = Leaf(inner, found.mode, found.mtime_ns, found.data)


@dataclass(slots=True)
class _Survivor:
    mode: int
    mtime_ns: int
    data: bytes
    names: dict[str, int]


def _survive(node: Node, choose: Choice) -> _Survivor:
    left = _Survivor(node.kept_mode, node.kept_mtime_ns, node.kept_data, node.kept_names)
    if not node.pending:
        return left
    data, names = bytearray(node.kept_data), dict(node.kept_names)
    for what, *said in node.pending:
        if what == "write":
            _tear(data, said[0], said[1], choose)
        elif not choose():
            continue
        elif what == "truncate":
            _resize(data, said[0])
        elif what == "allocate":
            _resize(data, max(said[0], len(data)))
        elif what == "mode":
            left.mode = said[0]
        elif what == "mtime":
            left.mtime_ns = said[0]
        else:
            _rename(names, what, said)
    left.data, left.names = bytes(data), names
    return left


def _rename(names: dict[str, int], what: str, said: list[Any]) -> None:
    if what == "set":
        names[said[0]] = said[1]
    elif what == "drop":
        names.pop(said[0], None)
    else:
        old, new, number = said
        if names.get(old) == number:
            del names[old]
        names[new] = number


def _tear(data: bytearray, offset: int, written: bytes, choose: Choice) -> None:
    """Lets each sector of a write survive or not, and a new size with or without the data below it."""
    if offset + len(written) > len(data) and choose():
        _resize(data, offset + len(written))
    at = 0
    while at < len(written):
        length = min(SECTOR - (offset + at) % SECTOR, len(written) - at)
        if choose():
            _put(data, offset + at, written[at : at + length])
        at += length


def _put(data: bytearray, offset: int, written: bytes) -> None:
    if len(data) < offset:
        _resize(data, offset)
    data[offset : offset + len(written)] = written


def _resize(data: bytearray, size: int) -> None:
    if size < len(data):
        del data[size:]
    else:
        data.extend(bytes(size - len(data)))


def _error(code: int) -> OSError:
    return OSError(code, os.strerror(code))
