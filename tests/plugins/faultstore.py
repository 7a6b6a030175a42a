r"""A FUSE file system that shows a directory as a failing disk shows it: chosen calls fail, from the n-th on.

It runs in a process of its own and its faults can be changed while it is mounted:

    with faulty_store(root=tmp_path / "disk", at=tmp_path / "mnt") as store:
        store.refuse(Refusal("fsync", "EIO", on=r"\.part$", after=2))

What fails has not happened. Killed, it leaves a mount that answers ENOTCONN, as a network file system may.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from faultfs import unmount

_CALLS = frozenset({"getattr", "read", "create", "mkdir", "write", "fsync", "fsyncdir", "rename", "unlink"})


@dataclass(frozen=True)
class Refusal:
    """``call`` fails with ``error`` on paths where ``on`` is found, after it went well ``after`` times.

    It fails so many ``times`` (0: for ever).
    """

    call: str
    error: str = "EIO"
    on: str = ""
    after: int = 0
    times: int = 0


class FaultyStore:
    """A mounted disk; ``path`` is where."""

    def __init__(self, path: Path, rules: Path) -> None:
        self.path = path
        self.server: subprocess.Popen[bytes] | None = None
        self._rules = rules
        self.heal()

    def refuse(self, *refusals: Refusal) -> None:
        """From now on these calls fail, and no others."""
        assert all(refusal.call in _CALLS for refusal in refusals)
        draft = self._rules.with_suffix(".new")
        draft.write_text(json.dumps([asdict(refusal) for refusal in refusals]), encoding="utf-8")
        draft.replace(self._rules)

    def heal(self) -> None:
        self.refuse()

    def kill(self) -> None:
        """The process that serves it is killed: everything is ENOTCONN from now on. Any process may call it."""
        assert self.server is not None
        ended = os.pidfd_open(self.server.pid)
        os.kill(self.server.pid, signal.SIGKILL)
        select.select([ended], [], [])
        os.close(ended)


@contextlib.contextmanager
def faulty_store(root: Path, at: Path) -> Iterator[FaultyStore]:
    """The directory ``root`` mounted at ``at``, both made if needed; unmounted and its process ended in any case."""
    root.mkdir(exist_ok=True)
    at.mkdir(exist_ok=True)
    store = FaultyStore(at, at.with_name(f"{at.name}.refusals"))
    server = subprocess.Popen(
        [sys.executable, __file__, str(root), str(at), str(store._rules)],
        stdout=subprocess.PIPE,
        env=os.environ | {"FUSE_LIBRARY_NAME": "fuse3"},
    )
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == b"mounted\n"
        store.server = server
        yield store
    finally:
        unmount(at)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()


# --- the process that serves the files ----------------------------------------------------------------


class _Files:
    """The calls of the kernel, as mfusepy hands them over."""

    use_ns = True

    def __init__(self, root: str, rules: str) -> None:
        self.root, self.rules = root, rules
        self.told: tuple[int, int] | None = None
        self.refusals: list[dict[str, Any]] = []
        self.counts: list[int] = []
        self.paths: dict[int, str] = {}

    def init(self, path: str) -> None:
        os.write(1, b"mounted\n")

    def _ask(self, call: str, path: str) -> None:
        """Raises what the rules say of this call."""
        status = os.stat(self.rules)
        if self.told != (status.st_ino, status.st_mtime_ns):
            self.told = (status.st_ino, status.st_mtime_ns)
            with open(self.rules, encoding="utf-8") as file:
                self.refusals = json.load(file)
            self.counts = [0] * len(self.refusals)
        for number, refusal in enumerate(self.refusals):
            if refusal["call"] == call and re.search(refusal["on"], path):
                self.counts[number] += 1
                failed = self.counts[number] - refusal["after"]
                if failed > 0 and (not refusal["times"] or failed <= refusal["times"]):
                    raise OSError(getattr(errno, refusal["error"]), "refused")

    def _opened(self, fd: int, path: str) -> int:
        self.paths[fd] = path
        return fd

    # Looking.

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        self._ask("getattr", path)
        found = os.fstat(fh) if fh else os.lstat(self.root + path)
        keys = ("mode", "ino", "nlink", "size", "blocks", "uid", "gid")
        times = {f"st_{t}time": getattr(found, f"st_{t}time_ns") for t in "amc"}
        return {f"st_{key}": getattr(found, f"st_{key}") for key in keys} | times

    def opendir(self, path: str) -> int:
        return os.open(self.root + path, os.O_RDONLY | os.O_DIRECTORY)

    def releasedir(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        # With numbers: glibc passes over entries whose number is 0.
        with os.scandir(self.root + path) as found:
            listed = [(one.name, {"st_ino": one.inode(), "st_mode": 0}, 0) for one in found]
        return [(".", {"st_ino": 1}, 0), ("..", {"st_ino": 1}, 0), *listed]

    def statfs(self, path: str) -> dict[str, int]:
        found = os.statvfs(self.root)
        return {key: getattr(found, key) for key in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail")}

    def open(self, path: str, flags: int) -> int:
        return self._opened(os.open(self.root + path, flags & ~os.O_NOFOLLOW), path)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        self._ask("read", self.paths[fh])
        return os.pread(fh, size, offset)

    def release(self, path: str, fh: int) -> int:
        self.paths.pop(fh, None)
        os.close(fh)
        return 0

    # Changing.

    def create(self, path: str, mode: int, flags: int) -> int:
        self._ask("create", path)
        return self._opened(os.open(self.root + path, flags | os.O_CREAT, mode), path)

    def mkdir(self, path: str, mode: int) -> int:
        self._ask("mkdir", path)
        os.mkdir(self.root + path, mode)
        return 0

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._ask("write", self.paths[fh])
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(fh or self.root + path, length)
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        self._ask("fsync", self.paths[fh])
        os.fsync(fh)
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        self._ask("fsyncdir", path)
        os.fsync(fh)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        os.chmod(self.root + path, mode)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(self.root + path, ns=times)
        return 0

    def link(self, target: str, source: str) -> int:
        self._ask("rename", target)
        os.link(self.root + source, self.root + target)
        return 0

    def unlink(self, path: str) -> int:
        self._ask("unlink", path)
        os.unlink(self.root + path)
        return 0

    def rename(self, old: str, new: str) -> int:
        self._ask("rename", new)
        os.rename(self.root + old, self.root + new)
        return 0


def _serve(root: str, at: str, rules: str) -> None:
    import mfusepy

    class Mount(mfusepy.FUSE):
        """mfusepy drops the flags of renames: one that must not replace is told to use link and unlink."""

        def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> Callable[..., int] | int:
            return -errno.EINVAL if flags else self.operations.rename(os.fsdecode(old), os.fsdecode(new))

    class Operations(_Files, mfusepy.Operations):
        pass

    Mount(
        Operations(root, rules),
        at,
        foreground=True,
        nothreads=True,
        default_permissions=True,
        hard_remove=True,
        use_ino=True,
        attr_timeout=0,
        entry_timeout=0,
        negative_timeout=0,
        fsname="faultstore",
    )


if __name__ == "__main__":
    _serve(*sys.argv[1:])
