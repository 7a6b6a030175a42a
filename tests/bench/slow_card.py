"""A card that gives so many bytes a second and no more: ``python slow_card.py FOLDER AT BYTES_PER_S``.

A read-only FUSE file system in a process of its own, until it is unmounted.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import mfusepy


class SlowCard(mfusepy.Operations):
    """``folder`` as a card whose reads, all together, take ``1 / rate`` seconds a byte."""

    use_ns = True

    def __init__(self, folder: str, rate: float) -> None:
        self._folder, self._rate = folder, rate
        self._turn = threading.Lock()
        self._free_at = 0.0

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        try:
            found = os.lstat(self._folder + path)
        except OSError as error:
            raise mfusepy.FuseOSError(error.errno or errno.EIO) from error
        names = ("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_ino")
        times = {name: getattr(found, f"{name}_ns") for name in ("st_atime", "st_mtime", "st_ctime")}
        return {name: getattr(found, name) for name in names} | times

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        yield from (".", "..", *os.listdir(self._folder + path))

    def open(self, path: str, flags: int) -> int:
        return os.open(self._folder + path, os.O_RDONLY)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        data = os.pread(fh, size, offset)
        with self._turn:
            now = time.monotonic()
            # What was not used is not saved up: a card's speed is no allowance.
            self._free_at = max(self._free_at, now) + len(data) / self._rate
            wait = self._free_at - now
        time.sleep(wait)
        return data


if __name__ == "__main__":
    mfusepy.FUSE(SlowCard(sys.argv[1], float(sys.argv[3])), sys.argv[2], foreground=True, ro=True)
