"""The few durable acts on files that the register's own rooms need; when one returns, it is on the medium.

``offload`` stands above the register, so that its primitives cannot be used here. Every
``OSError`` leaves as it is; ``blaming`` turns it into the store's own error type.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from dockd.errors import StoreError, store_error

MARKER = ".dockd/store.json"
"""What makes a folder a store. Under a store that is not mounted lies a folder without it."""

FOLDER_MODE = 0o750
FILE_MODE = 0o640


@contextmanager
def blaming(path: str, blame: Callable[[OSError, str], StoreError] = store_error) -> Iterator[None]:
    """Turns an ``OSError`` of the block into a ``StoreError`` about ``path``."""
    try:
        yield
    except OSError as error:
        raise blame(error, path) from error


def sync_folder(path: str) -> None:
    """The names in the folder are on the medium."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a folder and say so
            raise
    finally:
        os.close(fd)


def make_folders(path: str) -> None:
    """The folder exists with all its parents, and the name of every new one is on the medium."""
    if os.path.isdir(path):
        return
    parent = os.path.dirname(path) or "."
    if parent != path:
        make_folders(parent)
    with suppress(FileExistsError):
        os.mkdir(path, FOLDER_MODE)
    sync_folder(parent)


def write_all(fd: int, data: bytes) -> None:
    """Writes all of ``data`` at the file's position (a short write is continued)."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def sync_file(path: str) -> None:
    """The bytes of the file, whoever wrote them, are on the medium."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_new(path: str, data: bytes) -> None:
    """A new file holds ``data``. Raises FileExistsError when the name is taken, and then changes nothing."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
    try:
        write_all(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_folder(os.path.dirname(path))


def give_name(temp: str, path: str) -> None:
    """The file ``temp`` is called ``path``. Raises FileExistsError when that name is taken, never replaces it."""
    folder = os.path.dirname(path)
    try:
        os.link(temp, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if os.path.lexists(path):  # a file system without hard links
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from error
        os.rename(temp, path)
        sync_folder(folder)
        return
    # Names become durable each for itself: were the old one to go first, a power cut would take both.
    sync_folder(folder)
    os.unlink(temp)
    sync_folder(os.path.dirname(temp))
