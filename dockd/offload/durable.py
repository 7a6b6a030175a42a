"""Durable file primitives: each says what is on the medium when it returns.

Every ``OSError`` of the store leaves here as a ``StoreError`` (law 4: the store's
trouble is never mistaken for the card's).
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from dockd.errors import store_error
from dockd.register.disk import MARKER

_libc = ctypes.CDLL(None, use_errno=True)
_RENAME_NOREPLACE = 1
_AT_FDCWD = -100
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_NO_RENAMEAT2 = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP})


@contextmanager
def blaming_store(path: str) -> Iterator[None]:
    """Turns an ``OSError`` of the block into the store's own error type."""
    try:
        yield
    except OSError as error:
        raise store_error(error, path) from error


def create_temp(path: str) -> int:
    """A new file at ``path``, open for reading and writing; raises FileExistsError if the name is taken."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)


def preallocate(fd: int, size: int) -> None:
    """Reserves ``size`` bytes, so that a full disk shows before the first byte is copied.

    fallocate(2) itself, not posix_fallocate: glibc's stand-in writes a byte per block where the
    file system cannot reserve. There it is left out: the copy then meets ENOSPC on its way.
    """
    if size <= 0:
        return
    while _libc.fallocate(fd, 0, ctypes.c_longlong(0), ctypes.c_longlong(size)) != 0:
        code = ctypes.get_errno()
        if code == errno.EINTR:
            continue
        if code in (errno.EOPNOTSUPP, errno.ENOSYS):
            return
        raise OSError(code, os.strerror(code))


def write_all(fd: int, data: memoryview, offset: int) -> None:
    """Writes all of ``data`` at ``offset`` (a short write is continued)."""
    while data:
        written = os.pwrite(fd, data, offset)
        data = data[written:]
        offset += written


def rename_without_replacing(old: str, new: str) -> None:
    """Gives ``old`` the name ``new`` in one step; raises FileExistsError if ``new`` exists, never replaces it.

    Where the file system has no RENAME_NOREPLACE, link and unlink do it: a crash between them
    leaves both names on the same bytes, which recovery cleans. No crash leaves neither.
    """
    if _libc.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code not in _NO_RENAMEAT2:
        raise OSError(code, os.strerror(code), new)
    os.link(old, new, follow_symlinks=False)
    leave_one_name(old, new)


def move_without_replacing(old: str, new: str) -> None:
    """As ``rename_without_replacing``, from one directory to another; the new name is on the medium.

    A rename takes the old name away in one directory and gives the new one in another, and each becomes
    durable with its own directory: so the new one is given first, and no power cut leaves neither. Where a
    file can have but one name (FAT), the new one is synced as soon as it is given.
    """
    try:
        os.link(old, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        rename_without_replacing(old, new)
        fsync_directory(os.path.dirname(new))
    else:
        leave_one_name(old, new)


def leave_one_name(old: str, new: str) -> None:
    """Of two names of one file ``old`` is gone."""
    # Names become durable each for itself: were the old one to go first, a power cut would take both.
    fsync_directory(os.path.dirname(new))
    os.unlink(old)


def move_aside(root: str, relative: str, target: str) -> str:
    """``root/relative`` is ``root/target`` now, or the first ``target.N`` that is free: nothing is ever replaced.

    Returns where it is; both directories are on the medium. Raises FileNotFoundError if it is gone.
    """
    make_directories(root, os.path.dirname(target))
    number, name = 0, target
    while True:
        try:
            move_without_replacing(f"{root}/{relative}", f"{root}/{name}")
            break
        except FileExistsError:
            if same_file(f"{root}/{relative}", f"{root}/{name}"):  # a crash left both names
                leave_one_name(f"{root}/{relative}", f"{root}/{name}")
                break
            number += 1
            name = f"{target}.{number}"
    fsync_directory(os.path.dirname(f"{root}/{relative}"))
    return name


def fsync_directory(path: str) -> None:
    """The directory's entries are on the medium."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a directory and say so
            raise
    finally:
        os.close(fd)


def make_directories(root: str, relative: str) -> None:
    """``root/relative`` exists and its directories' names are on the medium. ``root`` itself is never made.

    Directories that are there already are synced too: who made them may have died before that.
    """
    path = root
    for part in relative.split("/"):
        parent, path = path, f"{path}/{part}"
        # The promise is the new name in its parent: without it everything below is gone.
        with suppress(FileExistsError):
            os.mkdir(path, 0o750)
        fsync_directory(parent)


def look(root: str, relative: str) -> os.stat_result | None:
    """What stands at ``root/relative``, None if nothing does.

    Raises StoreError when the store cannot say, also when it is not mounted: that is no answer.
    """
    with blaming_store(root):
        try:
            return os.lstat(f"{root}/{relative}")
        except (FileNotFoundError, NotADirectoryError):
            os.stat(f"{root}/{MARKER}")
            return None


def same_file(left: str, right: str) -> bool:
    """Whether two names are one file (a crash between link and unlink leaves that)."""
    try:
        a, b = os.lstat(left), os.lstat(right)
    except FileNotFoundError:
        return False
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def remove_durably(path: str) -> None:
    """``path`` is gone from its directory on the medium and does not come back; absent already is fine."""
    with suppress(FileNotFoundError):
        os.unlink(path)
    with suppress(FileNotFoundError):  # also of what is gone: who removed it may have died before this
        fsync_directory(os.path.dirname(path))


def prove_writable(root: str) -> None:
    """Bytes reach the medium of the store at this moment. Raises OSError where they do not."""
    path = f"{root}/.dockd/{os.getpid()}.part"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    try:
        os.write(fd, b"x")
        os.fdatasync(fd)
    finally:
        os.close(fd)
        with suppress(FileNotFoundError):
            os.unlink(path)
