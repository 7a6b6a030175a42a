"""Reading stored bytes back from the medium, not from the page cache, and saying how that is known.

No copying tool examined does this: a re-read through the cache proves only that memory
still holds what was written (field-notes B4.1, lesson 14).
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass

from dockd.nouns import VerifiedVia

BLOCK = 4 << 20
_SAMPLES = 32
_TRIES = 3  # a page that is just leaving writeback is not dropped at once
_UNSUPPORTED = frozenset({errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS})
_IN_MEMORY = frozenset({0x01021994, 0x858458F6})  # statfs(2): tmpfs, ramfs
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the medium returned: digest, length, and by which way it was read."""

    sha256: str
    size: int
    via: VerifiedVia


def read_back(fd: int, *, on_bytes: Callable[[int], None] = lambda _: None) -> ReadBack:
    """Reads the whole file behind ``fd`` from its medium; the file must have been fsynced before.

    Dirty pages are not dropped by the kernel, so fsync comes first (the caller's promise).
    Then the cache is dropped and sampled; where pages remain, the file is read with O_DIRECT.
    ``via`` is ``CACHE`` where neither can be had (tmpfs: there is no medium). Raises OSError.
    """
    if _is_in_memory(fd):
        return _hash(fd, VerifiedVia.CACHE, on_bytes)
    size = os.fstat(fd).st_size
    if size == 0:
        return ReadBack(hashlib.sha256().hexdigest(), 0, VerifiedVia.DROPPED)
    # Without this the first look reads ahead, and the next ones find the pages of that.
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
    dropped = any(_drop_cache(fd, size) for _ in range(_TRIES))
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    if dropped:
        return _hash(fd, VerifiedVia.DROPPED, on_bytes)
    return _read_direct(fd, on_bytes) or _hash(fd, VerifiedVia.CACHE, on_bytes)


def _is_in_memory(fd: int) -> bool:
    """Whether there is no medium at all; newer kernels let such files be opened with O_DIRECT, which proves nothing."""
    return file_system(fd) in _IN_MEMORY


def file_system(fd: int) -> int:
    """The type of the file system behind ``fd``, as statfs(2) numbers them."""
    status = (ctypes.c_long * 32)()  # struct statfs is 120 bytes and begins with f_type
    if _libc.fstatfs(fd, status) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(status[0]) & 0xFFFFFFFF


def _drop_cache(fd: int, size: int) -> bool:
    """Whether a sample of pages, first and last included, would now all have to come from the medium."""
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    last = (size - 1) // mmap.PAGESIZE
    pages = {last * i // (_SAMPLES - 1) for i in range(_SAMPLES)}
    return not any(_is_cached(fd, page * mmap.PAGESIZE) for page in sorted(pages))


def _is_cached(fd: int, offset: int) -> bool:
    try:
        return os.preadv(fd, [bytearray(1)], offset, os.RWF_NOWAIT) > 0
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return True  # it cannot be shown to be empty, so it is not believed to be
        raise


def _read_direct(fd: int, on_bytes: Callable[[int], None]) -> ReadBack | None:
    """The file read past the cache, or None where the file system has no O_DIRECT."""
    try:
        direct = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        raise
    try:
        return _hash(direct, VerifiedVia.DIRECT, on_bytes)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise
    finally:
        os.close(direct)


def _hash(fd: int, via: VerifiedVia, on_bytes: Callable[[int], None]) -> ReadBack:
    digest, offset = hashlib.sha256(), 0
    # O_DIRECT wants aligned memory: an anonymous mapping is.
    with mmap.mmap(-1, BLOCK) as buffer, memoryview(buffer) as view:
        while count := os.preadv(fd, [view], offset):
            digest.update(view[:count])
            offset += count
            on_bytes(count)
            if via is VerifiedVia.DIRECT and count % mmap.PAGESIZE:
                break  # a short direct read is the end; going on from an unaligned offset is EINVAL
    return ReadBack(digest.hexdigest(), offset, via)
