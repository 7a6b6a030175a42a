"""Files that others read appear whole or not at all.

A reader of the final name sees the old bytes or the new ones, also across a crash; what a
dead writer left is cleaned by the next one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from dockd.errors import ExportUnwritable, StoreError

_TEMP = re.compile(r"\.(?P<name>.+)\.[0-9a-f]{16}\.part\Z", re.DOTALL)
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})
_NAME_MAX = 255
_BUFFER = 1 << 20


Blame = Callable[[OSError, str], StoreError]


def unwritable(error: OSError, path: str) -> StoreError:
    """A failed export as people see it."""
    return ExportUnwritable(path=path, reason=error.strerror or str(error))


class Draft:
    """A file being written under a temporary name: counts and hashes what goes into it."""

    def __init__(self, fd: int, temp: str, blame: Callable[[OSError], StoreError]) -> None:
        self.temp = temp
        self.size = 0
        self._fd = fd
        self._blame = blame
        self._digest = hashlib.sha256()
        self._held = bytearray()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: bytes) -> None:
        """Takes ``data``; it is on the medium when the draft is published, not before."""
        self._digest.update(data)
        self.size += len(data)
        self._held += data
        if len(self._held) >= _BUFFER:
            self._drain()

    def finish(self, mode: int) -> None:
        """All bytes are on the medium under the temporary name."""
        self._drain()
        os.fchmod(self._fd, mode)
        # The final name promises whole bytes: these, before they get it.
        os.fsync(self._fd)

    def _drain(self) -> None:
        done = 0
        with memoryview(self._held) as view:
            while done < len(view):
                done += self._write_some(view[done:])
        self._held.clear()

    def _write_some(self, view: memoryview) -> int:
        try:
            return os.write(self._fd, view)
        except OSError as error:
            raise self._blame(error) from error


@contextmanager
def publishing(path: str, *, mode: int = 0o640, replace: bool = True, blame: Blame = unwritable) -> Iterator[Draft]:
    """A draft that becomes ``path``, durably and in one step, when the block ends well.

    An existing file is replaced, or with ``replace=False`` kept: then FileExistsError is
    raised. If the block fails nothing is left behind. Every other ``OSError``, also of the
    draft's own writes, leaves as what ``blame`` makes of it (ExportUnwritable by default).
    """
    folder = os.path.dirname(path) or "."
    with _blaming(path, blame):
        if replace:
            _refuse_special(path)
        _clean_stale(folder, os.path.basename(path))
        fd, temp = _create_temp(folder, os.path.basename(path))
    draft = Draft(fd, temp, lambda error: blame(error, path))
    try:
        yield draft
        with _blaming(path, blame):
            draft.finish(mode)
            try:
                (_replace if replace else _add)(temp, path)
            except FileExistsError:
                os.unlink(temp)  # before the folder is synced: it must not come back after a power cut
                raise
            finally:
                # The name is on the medium, also one that stands there already: who gave it may have died before this.
                _fsync_folder(folder)
    finally:
        with suppress(OSError):
            os.unlink(temp)  # gone already when it was published
        os.close(fd)


@contextmanager
def _blaming(path: str, blame: Blame) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise blame(error, path) from error


def _create_temp(folder: str, name: str) -> tuple[int, str]:
    """A new locked file beside ``name``. Its lock tells the cleaner that its writer lives."""
    # the name's tail is what tells files apart; 24 bytes are the dots, the random part and the suffix
    stem = os.fsdecode(os.fsencode(name)[-(_NAME_MAX - 24) :])
    while True:
        temp = f"{folder}/.{stem}.{secrets.token_hex(8)}.part"
        fd = os.open(temp, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
        if _is_locked_now(fd) and os.fstat(fd).st_nlink:
            return fd, temp
        # another writer's cleaner was between our open and our lock
        with suppress(OSError):
            os.unlink(temp)
        os.close(fd)


def _is_locked_now(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # no locks on this file system: nobody can take it for a dead writer's either
    return True


def _clean_stale(folder: str, name: str) -> None:
    """Removes temps of ``name`` whose writer is dead (nobody holds their lock)."""
    stem = os.fsdecode(os.fsencode(name)[-(_NAME_MAX - 24) :])
    with os.scandir(folder) as entries:
        stale = [e.path for e in entries if (m := _TEMP.match(e.name)) and m["name"] == stem]
    for temp in stale:
        with suppress(OSError):
            _remove_if_dead(temp)


def _remove_if_dead(temp: str) -> None:
    fd = os.open(temp, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(temp)
    finally:
        os.close(fd)


def _replace(temp: str, path: str) -> None:
    _refuse_special(path)
    os.replace(temp, path)


def _refuse_special(path: str) -> None:
    """A rename would put a file in the place of /dev/stdout or a pipe: that is never meant."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "something that is not a plain file has this name")


def _add(temp: str, path: str) -> None:
    """Gives ``temp`` the name ``path``; FileExistsError where the name is taken."""
    try:
        os.link(temp, path, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # a file system without hard links: the caller is the name's only writer
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from None
        os.rename(temp, path)
    else:
        os.unlink(temp)


def _fsync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot sync a directory and say so
            raise
    finally:
        os.close(fd)
