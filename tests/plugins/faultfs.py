"""A read-only FUSE file system that shows a directory as a worn or hostile card shows it.

It runs in a process of its own and its faults can be changed while it is mounted:

    with faulty_card(root=tmp_path / "files", at=tmp_path / "card") as card:
        card.spoil("DCIM/A.MP4", Fault(unreadable=((4096, 8192),)))

The kernel sees errors as it sees a disk's: a read-ahead that touches a bad range fails, and
page by page only the bad pages do.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

fuse = [
    pytest.mark.fuse,
    pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="no access to /dev/fuse"),
]
"""The marks of a test that mounts one: ``pytestmark = faultfs.fuse``."""

_MNT_DETACH = 2


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file. Ranges are ``[start, end)`` in bytes.

    unreadable    reads that touch these ranges fail with ``error``
    good_reads    so many times they do not: the first bytes of the file are counted
    refuses_open  opening it fails with ``error``
    short         no read returns more than this many bytes (0: as asked), past the page cache
    gone_at       a read that reaches this offset takes the whole card away, until ``heal``
    unsteady_at   the byte here is another one every further time it is asked for
    endless       reads beyond the listed end return bytes for ever, past the page cache
    slow_s        every read takes so many seconds, good or bad
    hangs_at      a read that reaches this offset does not return until ``heal`` or ``abort``
    cached        a hanging or slow read is the page cache's, else it goes past it
    hangs_open    nor does opening it, be it a file or a directory
    names         a directory gives these names too, whatever they are
    """

    unreadable: tuple[tuple[int, int], ...] = ()
    good_reads: int = 0
    error: str = "EIO"
    refuses_open: bool = False
    short: int = 0
    gone_at: int | None = None
    unsteady_at: int | None = None
    endless: bool = False
    slow_s: float = 0
    hangs_at: int | None = None
    hangs_open: bool = False
    cached: bool = False
    names: tuple[str, ...] = ()


class FaultyCard:
    """A mounted card; ``path`` is where."""

    def __init__(self, path: Path, rules: Path, capacity: int) -> None:
        self.path = path
        self.server: subprocess.Popen[bytes] | None = None
        self._capacity = capacity
        self._device = 0
        self._rules = rules
        self._faults: dict[str, Fault] = {}
        self._healed = 0
        self.heal()

    def spoil(self, name: str, fault: Fault) -> None:
        """From now on the file ``name`` (relative to the card's root) has this fault."""
        self._faults[name] = fault
        self._tell()

    def heal(self) -> None:
        """Every fault is gone, and a card that was taken away is back."""
        self._faults.clear()
        self._healed += 1
        self._tell()

    def served_by(self, server: subprocess.Popen[bytes]) -> None:
        self.server, self._device = server, os.stat(self.path).st_dev

    def kill(self) -> None:
        """The process that serves the card is killed: everything is ENOTCONN from now on. Any process may call it."""
        assert self.server is not None
        ended = os.pidfd_open(self.server.pid)
        os.kill(self.server.pid, signal.SIGKILL)
        select.select([ended], [], [])
        os.close(ended)

    def abort(self) -> None:
        """The kernel gives up on the card: whoever waits for it is let go. Needs root."""
        let_go(self._device)

    def _tell(self) -> None:
        rules = {
            "healed": self._healed,
            "capacity": self._capacity,
            "faults": {name: asdict(fault) for name, fault in self._faults.items()},
        }
        draft = self._rules.with_suffix(".new")
        draft.write_text(json.dumps(rules), encoding="utf-8")
        draft.replace(self._rules)


def let_go(device: int) -> None:
    """The kernel gives up on the FUSE mount with this device number, wherever it is mounted. Needs root."""
    connections = Path("/sys/fs/fuse/connections")
    if not any(connections.iterdir()):
        subprocess.run(["mount", "-t", "fusectl", "none", connections], check=True)
    (connections / str(os.minor(device)) / "abort").write_text("1")


@contextlib.contextmanager
def faulty_card(root: Path, at: Path, *, capacity: int = 0) -> Iterator[FaultyCard]:
    """The directory ``root`` mounted at ``at`` (made if needed); unmounted and its process ended in any case.

    ``capacity``: what the card says that it can hold, in bytes; 0: what the disk below it says.
    """
    at.mkdir(exist_ok=True)
    card = FaultyCard(at, at.with_name(f"{at.name}.rules"), capacity)
    server = subprocess.Popen(
        [sys.executable, __file__, str(root), str(at), str(card._rules)],
        stdout=subprocess.PIPE,
        env=os.environ | {"FUSE_LIBRARY_NAME": "fuse3"},
    )
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == b"mounted\n"
        card.served_by(server)
        yield card
    finally:
        card.heal()
        unmount(at)
        try:
            server.wait(timeout=10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()


def unmount(at: Path) -> None:
    """Takes a mount away although files of it may still be open."""
    if os.geteuid() == 0:
        ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(at), _MNT_DETACH)
    else:
        subprocess.run(["fusermount3", "-u", "-z", str(at)], check=False, capture_output=True)


# --- the process that serves the files ----------------------------------------------------------------


class Operations:
    """What mfusepy calls; the faults are read anew whenever they have been told."""

    use_ns = True

    def __init__(self, root: str, rules: str) -> None:
        self.root, self.rules = root, rules
        self.files: dict[int, str] = {}
        self.told: tuple[int, int] | None = None
        self.faults: dict[str, Any] = {}
        self.healed = 0
        self.capacity = 0
        self.gone = False
        self.served: dict[str, int] = {}
        self.passes: dict[str, int] = {}

    def init(self, path: str) -> None:
        os.write(1, b"mounted\n")

    # Attributes and directories are the real ones, unless the card is gone.

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        self._require_card()
        found = os.lstat(self.root + path)
        times = {f"st_{t}time": getattr(found, f"st_{t}time_ns") for t in "amc"}
        return {f"st_{key}": getattr(found, f"st_{key}") for key in ("mode", "nlink", "size", "uid", "gid")} | times

    def readdir(self, path: str, fh: int) -> list[str]:
        self._require_card()
        also = self.faults.get(path[1:], {}).get("names", ())
        return [".", "..", *os.listdir(self.root + path), *also]

    def readlink(self, path: str) -> str:
        self._require_card()
        return os.readlink(self.root + path)

    def statfs(self, path: str) -> dict[str, int]:
        self._require_card()
        found = os.statvfs(self.root)
        shape = {key: getattr(found, key) for key in ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail")}
        return shape | ({"f_blocks": self.capacity // found.f_frsize} if self.capacity else {})

    def opendir(self, path: str) -> int:
        self._require_card()
        self._hang_while(path[1:], lambda fault: bool(fault.get("hangs_open")))
        return 0

    def open(self, path: str, fi: Any) -> int:
        self._require_card()
        self._hang_while(path[1:], lambda fault: bool(fault.get("hangs_open")))
        fault = self.faults.get(path[1:], {})
        if fault.get("refuses_open"):
            raise OSError(getattr(errno, fault["error"]), "spoiled")
        fi.fh = os.open(self.root + path, os.O_RDONLY)
        hangs = fault.get("hangs_at") is not None
        slow = (hangs or fault.get("slow_s")) and not fault["cached"]
        fi.direct_io = bool(slow or fault.get("short") or fault.get("endless"))
        self.files[fi.fh] = path[1:]
        return 0

    def release(self, path: str, fi: Any) -> int:
        self.files.pop(fi.fh, None)
        os.close(fi.fh)
        return 0

    def read(self, path: str, size: int, offset: int, fi: Any) -> bytes:
        self._require_card()
        name = self.files[fi.fh]
        fault = self.faults.get(name, {})
        if not fault:
            return os.pread(fi.fh, size, offset)
        time.sleep(fault["slow_s"])
        self._hang_while(name, lambda now: now.get("hangs_at") is not None and offset + size > now["hangs_at"])
        size = min(size, fault["short"] or size)
        if fault["gone_at"] is not None and offset + size > fault["gone_at"]:
            self.gone = True
            self._require_card()
        if offset == 0:
            self.passes[name] = self.passes.get(name, 0) + 1
        bad = not fault["good_reads"] or self.passes.get(name, 0) > fault["good_reads"]
        if bad and any(start < offset + size and offset < end for start, end in fault["unreadable"]):
            raise OSError(getattr(errno, fault["error"]), "spoiled")
        data = bytearray(os.pread(fi.fh, size, offset))
        if fault["endless"]:
            data += bytes(size - len(data))
        self._unsettle(name, fault["unsteady_at"], data, offset)
        return bytes(data)

    def _hang_while(self, name: str, hangs: Callable[[dict[str, Any]], bool]) -> None:
        """Does not return while the file's fault says so. Nor is anybody else served: so is a dead card."""
        while hangs(self.faults.get(name, {})):
            time.sleep(0.02)
            self._require_card()

    def _unsettle(self, name: str, at: int | None, data: bytearray, offset: int) -> None:
        if at is not None and offset <= at < offset + len(data):
            data[at - offset] ^= self.served.get(name, 0)
            self.served[name] = self.served.get(name, 0) + 1

    def _require_card(self) -> None:
        status = os.stat(self.rules)
        if self.told != (status.st_ino, status.st_mtime_ns):
            self.told = (status.st_ino, status.st_mtime_ns)
            with open(self.rules, encoding="utf-8") as file:
                said = json.load(file)
            if self.healed != said["healed"]:
                self.gone = False
                self.served.clear()
                self.passes.clear()
            self.faults, self.healed, self.capacity = said["faults"], said["healed"], said["capacity"]
        if self.gone:
            raise OSError(errno.ENODEV, "the card is gone")


def serve(root: str, mountpoint: str, rules: str) -> None:
    """Serves ``root`` at ``mountpoint`` until it is unmounted."""
    import mfusepy

    mfusepy.FUSE(
        Operations(root, rules),
        mountpoint,
        raw_fi=True,
        foreground=True,
        nothreads=True,
        ro=True,
        default_permissions=True,
        attr_timeout=0,
        entry_timeout=0,
        fsname="faultfs",
    )


if __name__ == "__main__":
    serve(*sys.argv[1:])
