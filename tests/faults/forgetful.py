"""A file system that forgets at a power cut what was not made durable (after LazyFS and ALICE); see ``medium``.

It runs in a process of its own. Nothing is written to a disk while it is mounted: it begins as a copy
of a folder and leaves a log of every call, from which ``medium`` makes what a cut at any of them leaves.

    with forgetful(begin=tmp_path / "station", at=tmp_path / "mnt") as disk:
        disk.kill_at(120, victim=pid, cut=True)
        ...
    trace = disk.trace()
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
from medium import Call, Fate, Image, Medium

fuse = [
    pytest.mark.fuse,
    pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="no access to /dev/fuse"),
]
"""The marks of a test that mounts one: ``pytestmark = forgetful.fuse``."""

_NOREPLACE = 1
_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_MNT_DETACH = 2
_SPACE = 1 << 22  # blocks of 4 KiB


@dataclass(frozen=True)
class Manner:
    """How the file system behaves.

    renames_flagged   False: renameat2 with flags is EINVAL, so that link and unlink run
    lies_below        reads of ranges that were not synced return other bytes, in files whose path begins so
    """

    renames_flagged: bool = True
    lies_below: str | None = None


@dataclass(frozen=True)
class Trace:
    """A run on the medium: what it began with, and every call in order."""

    begin: Path
    log: list[Call]

    def __len__(self) -> int:
        return len(self.log)

    def media(self, first: int = 0) -> Iterator[tuple[int, Medium]]:
        """(n, the medium before call n) for every n, and after the last; the medium goes on with the iteration."""
        medium = Medium.load(self.begin)
        for number, call in enumerate(self.log):
            if number >= first:
                yield number, medium
            medium.play(call)
        yield len(self.log), medium

    def at(self, number: int, fate: Fate) -> Image:
        """What a cut before call ``number`` leaves."""
        medium = Medium.load(self.begin)
        for call in self.log[:number]:
            medium.play(call)
        return medium.cut(fate)

    def said(self, number: int) -> list[str]:
        """What the program had told before call ``number``."""
        return [call[1] for call in self.log[:number] if call[0] == "say"]

    def points(self) -> list[int]:
        """Every place of a changing call: what comes before it is what a cut finds."""
        return [number for number, call in enumerate(self.log) if call[0] != "say"]

    def durable_points(self) -> list[int]:
        """Where what is durable differs: right after each sync, and before all of them.

        A cut that forgets everything leaves the same at each call between two of these.
        """
        return [0, *(number + 1 for number, call in enumerate(self.log) if call[0] == "sync"), len(self)]

    def pending_points(self) -> list[int]:
        """Where most is waiting to be durable: right before each sync, and at the end."""
        return [*(number for number, call in enumerate(self.log) if call[0] == "sync"), len(self)]

    def names(self) -> list[str]:
        """The calls by name."""
        return [call[0] for call in self.log]


class Disk:
    """A mounted forgetful file system."""

    def __init__(self, begin: Path, at: Path, log: Path) -> None:
        self.begin, self.path, self._log = begin, at, log

    def kill_at(self, call: int | tuple[str, str], victim: int, *, cut: bool) -> None:
        """``victim`` is killed when changing call number ``call`` (of all since the mount) comes; it is not done.

        Or the first call of a name, of a file whose name ends so: ``("unlink", ".part")``, or the one
        after it: ``("after link", ".dat")``. ``cut``: nor is anything after it, for the power is gone.
        """
        os.setxattr(self.path, "user.kill", json.dumps([call, victim, cut]).encode())

    def spare(self) -> None:
        """Nobody is killed any more."""
        os.setxattr(self.path, "user.kill", json.dumps(None).encode())

    def say(self, text: str) -> None:
        """Puts a word of the running program between its calls in the log."""
        say(self.path, text)

    def trace(self) -> Trace:
        """The run, once it is unmounted."""
        return Trace(self.begin, pickle.loads(self._log.read_bytes()))


def say(at: Path, text: str) -> None:
    """As ``Disk.say``, for the program itself."""
    os.setxattr(at, "user.say", text.encode())


@contextlib.contextmanager
def forgetful(begin: Path, at: Path, manner: Manner | None = None) -> Iterator[Disk]:
    """A copy of ``begin`` mounted at ``at`` (made if needed); unmounted and its process ended in any case."""
    at.mkdir(exist_ok=True)
    log = at.with_name(f"{at.name}.log")
    server = subprocess.Popen(
        [sys.executable, __file__, str(begin), str(at), str(log), json.dumps(asdict(manner or Manner()))],
        stdout=subprocess.PIPE,
        env=os.environ | {"FUSE_LIBRARY_NAME": "fuse3"},
    )
    assert server.stdout is not None
    device = 0
    try:
        assert server.stdout.readline() == b"mounted\n"
        device = at.stat().st_dev
        yield Disk(begin, at, log)
    finally:
        unmount(at)
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            _end(server, device)
        server.stdout.close()


def _end(server: subprocess.Popen[bytes], device: int) -> None:
    """Where another mount namespace, made meanwhile, has a copy of the mount: the kernel lets go of its server."""
    from faultfs import let_go

    try:
        let_go(device)
        server.wait(timeout=20)
    except (OSError, subprocess.SubprocessError):
        server.kill()
        server.wait()


def unmount(at: Path) -> None:
    """Takes the mount away although files of it may still be open."""
    if os.geteuid() == 0:
        ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(at), _MNT_DETACH)
    else:
        subprocess.run(["fusermount3", "-u", "-z", str(at)], check=False, capture_output=True)


# --- the process that serves the files ----------------------------------------------------------------


class _Files:
    """The calls of the kernel, as mfusepy hands them over."""

    use_ns = True

    def __init__(self, begin: str, log: str, manner: Manner) -> None:
        self.medium = Medium.load(Path(begin))
        self.begun_ns = time.time_ns()
        self.log, self.manner = log, manner
        self.handles: dict[int, int] = {}
        self.next_handle = 1
        self.kill: tuple[Any, int, bool] | None = None
        self.is_off = False

    def init(self, path: str) -> None:
        os.write(1, b"mounted\n")

    def destroy(self, path: str) -> None:
        Path(self.log).write_bytes(pickle.dumps(self.medium.log))

    def _change(self, call: str, *said: Any) -> Any:
        """One changing call, unless the power goes now."""
        if self.kill and self._is_meant(self.kill[0], call, said):
            _, victim, self.is_off = self.kill
            self.kill = None
            with contextlib.suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            raise OSError(errno.EIO, "killed")
        if self.is_off:
            raise OSError(errno.EIO, "the power is gone")
        return getattr(self.medium, call)(*said)

    def _is_meant(self, meant: Any, call: str, said: tuple[Any, ...]) -> bool:
        if isinstance(meant, int):
            return len(self.medium.log) >= meant
        found = call == meant[0].removeprefix("after ") and any(str(each).endswith(meant[1]) for each in said)
        if found and meant[0] != call:
            self.kill = (0, *(self.kill or ())[1:])
            return False
        return found

    def _node(self, path: str | None, fh: int | None) -> int:
        return self.handles[fh] if fh else self.medium.find(path or "")

    def _open(self, number: int) -> int:
        handle, self.next_handle = self.next_handle, self.next_handle + 1
        self.handles[handle] = number
        return handle

    # Looking.

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        number = self._node(path, fh)
        node = self.medium.nodes[number]
        return {
            "st_mode": node.kind | node.mode,
            "st_ino": number,
            "st_nlink": node.links,
            "st_size": len(node.data),
            "st_blocks": -(-len(node.data) // 512),
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
            "st_mtime": node.mtime_ns or self.begun_ns,
            "st_ctime": self.begun_ns,
            "st_atime": self.begun_ns,
        }

    def opendir(self, path: str) -> int:
        return self._open(self.medium.find(path))

    def releasedir(self, path: str, fh: int) -> int:
        return self.release(path, fh)

    def readdir(self, path: str, fh: int) -> list[tuple[str, dict[str, int], int]]:
        number = self.handles[fh]
        names = {".": number, "..": number} | self.medium.nodes[number].names
        # glibc takes an entry without an inode number for a deleted one
        return [(name, {"st_ino": each, "st_mode": self.medium.nodes[each].kind}, 0) for name, each in names.items()]

    def readlink(self, path: str) -> str:
        return bytes(self.medium.nodes[self.medium.find(path)].data).decode(errors="surrogateescape")

    def statfs(self, path: str) -> dict[str, int]:
        blocks = dict.fromkeys(("f_blocks", "f_bfree", "f_bavail"), _SPACE)
        return blocks | {"f_bsize": 4096, "f_frsize": 4096, "f_namemax": 255}

    def open(self, path: str, flags: int) -> int:
        number = self.medium.find(path)
        if flags & os.O_TRUNC:
            self._change("truncate", number, 0)
        return self._open(number)

    def release(self, path: str, fh: int) -> int:
        self.handles.pop(fh, None)
        return 0

    def flush(self, path: str, fh: int) -> int:
        return 0

    def read(self, path: str | None, size: int, offset: int, fh: int) -> bytes:
        number = self.handles[fh]
        data = self.medium.nodes[number].data[offset : offset + size]
        if self.manner.lies_below and (path or "").startswith(self.manner.lies_below):
            for start, end in self.medium.unsynced(number):
                for at in range(max(start, offset), min(end, offset + len(data))):
                    data[at - offset] ^= 0xFF
        return bytes(data)

    # Changing.

    def create(self, path: str, mode: int, flags: int) -> int:
        return self._open(self._change("create", *self.medium.parent(path), stat.S_IFREG, stat.S_IMODE(mode)))

    def mkdir(self, path: str, mode: int) -> int:
        self._change("create", *self.medium.parent(path), stat.S_IFDIR, stat.S_IMODE(mode))
        return 0

    def symlink(self, target: str, source: str) -> int:
        number = self._change("create", *self.medium.parent(target), stat.S_IFLNK, 0o777)
        self._change("write", number, 0, os.fsencode(source))
        return 0

    def link(self, target: str, source: str) -> int:
        self._change("link", self.medium.find(source), *self.medium.parent(target))
        return 0

    def unlink(self, path: str) -> int:
        self._change("unlink", *self.medium.parent(path))
        return 0

    def rmdir(self, path: str) -> int:
        if self.medium.nodes[self.medium.find(path)].names:
            raise OSError(errno.ENOTEMPTY, "not empty")
        return self.unlink(path)

    def rename_flagged(self, old: str, new: str, flags: int) -> int:
        if flags and (not self.manner.renames_flagged or flags != _NOREPLACE):
            raise OSError(errno.EINVAL, "no flags here")
        to_parent, to_name = self.medium.parent(new)
        if flags and to_name in self.medium.nodes[to_parent].names:
            raise OSError(errno.EEXIST, "taken")
        self._change("rename", *self.medium.parent(old), to_parent, to_name)
        return 0

    def write(self, path: str | None, data: bytes, offset: int, fh: int) -> int:
        self._change("write", self.handles[fh], offset, data)
        return len(data)

    def truncate(self, path: str | None, length: int, fh: int | None = None) -> int:
        self._change("truncate", self._node(path, fh), length)
        return 0

    def fallocate(self, path: str | None, mode: int, offset: int, size: int, fh: int) -> int:
        if mode:
            raise OSError(errno.EOPNOTSUPP, "only plain ones")
        self._change("allocate", self.handles[fh], offset + size)
        return 0

    def chmod(self, path: str | None, mode: int, fh: int | None = None) -> int:
        self._change("chmod", self._node(path, fh), stat.S_IMODE(mode))
        return 0

    def chown(self, path: str | None, uid: int, gid: int, fh: int | None = None) -> int:
        return 0

    def utimens(self, path: str | None, mtime: Any, fh: int | None = None) -> int:
        if mtime is None or mtime.tv_nsec == _UTIME_NOW:
            self._change("utime", self._node(path, fh), time.time_ns())
        elif mtime.tv_nsec != _UTIME_OMIT:
            self._change("utime", self._node(path, fh), mtime.tv_sec * 10**9 + mtime.tv_nsec)
        return 0

    def fsync(self, path: str | None, datasync: int, fh: int) -> int:
        self._change("sync", self.handles[fh], bool(datasync))
        return 0

    def fsyncdir(self, path: str | None, datasync: int, fh: int) -> int:
        return self.fsync(path, datasync, fh)

    # What tests tell the file system.

    def setxattr(self, path: str, name: str, value: bytes, options: int, position: int = 0) -> int:
        if name == "user.say":
            self.medium.say(value.decode())
        elif name == "user.kill":
            told = json.loads(value)
            self.kill = tuple(told) if told else None
        else:
            raise OSError(errno.EOPNOTSUPP, "no such attribute")
        return 0


def _serve(begin: str, at: str, log: str, manner: str) -> None:
    import mfusepy

    class Mount(mfusepy.FUSE):
        """mfusepy drops the flags of renames, and the handle where a file may have no name any more."""

        def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
            return self.operations.rename_flagged(os.fsdecode(old), os.fsdecode(new), flags)

        def truncate_fuse_3(self, path: bytes | None, length: int, fip: Any) -> int:
            return self.operations.truncate(_name(path), length, _handle(fip))

        def chmod_fuse_3(self, path: bytes | None, mode: int, fip: Any) -> int:
            return self.operations.chmod(_name(path), mode, _handle(fip))

        def utimens_fuse_3(self, path: bytes | None, times: Any, fip: Any) -> int:
            return self.operations.utimens(_name(path), times.contents.modtime if times else None, _handle(fip))

    class Operations(_Files, mfusepy.Operations):
        def rename(self, old: str, new: str) -> int:
            return self.rename_flagged(old, new, 0)

    Mount(
        Operations(begin, log, Manner(**json.loads(manner))),
        at,
        foreground=True,
        nothreads=True,
        default_permissions=True,
        hard_remove=True,
        use_ino=True,
        attr_timeout=0,
        entry_timeout=0,
        negative_timeout=0,
        fsname="forgetful",
    )


def _name(path: bytes | None) -> str | None:
    return None if path is None else os.fsdecode(path)


def _handle(fip: Any) -> int | None:
    return fip.contents.fh if fip else None


if __name__ == "__main__":
    _serve(*sys.argv[1:])
