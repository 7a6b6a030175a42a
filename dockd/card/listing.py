"""Everything on a card, seen and opened through the card's directory fd alone: nothing is followed, nothing blocks.

No path is ever handed to the kernel whole: each part is opened from its parent with O_NOFOLLOW,
so that depth and length have no limit and a symlink planted meanwhile leads nowhere.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from dockd.errors import CardError, CardFileReplaced, CardFileUnreadable, CardGone
from dockd.nouns import Entry, EntryType, Listing, display_path

MAX_DEPTH = 512
MAX_ENTRIES = 1_000_000
MAX_PATH_BYTES = 256 << 20

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_GONE = frozenset({errno.ENODEV, errno.ENOMEDIUM, errno.ENOTCONN, errno.ESTALE, errno.ENXIO, errno.ESHUTDOWN})
_REPLACED = frozenset({errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG})
_ROOT = Entry(b"", EntryType.DIRECTORY)
_TYPES = {
    stat.S_IFREG: EntryType.FILE,
    stat.S_IFDIR: EntryType.DIRECTORY,
    stat.S_IFLNK: EntryType.SYMLINK,
    stat.S_IFIFO: EntryType.FIFO,
    stat.S_IFSOCK: EntryType.SOCKET,
    stat.S_IFCHR: EntryType.DEVICE,
    stat.S_IFBLK: EntryType.DEVICE,
}


def list_card(root_fd: int, *, now: datetime, heard: Callable[[], None] = lambda: None) -> Listing:
    """One complete listing of the card, sorted by raw path. ``heard`` is called at each sign of life.

    Every name that a directory gave is an entry. What could not be examined carries the errno's
    name in ``error``: a directory that cannot be opened or read to its end, a file that cannot
    be stat'ed, a directory of another file system (``EXDEV``, not entered), a cycle or more than
    ``MAX_DEPTH`` levels (``ELOOP``), what is beyond ``MAX_ENTRIES`` entries or ``MAX_PATH_BYTES``
    of names (``E2BIG``). A root that cannot be read to its end is the entry ``.``.

    Raises CardGone when the card was taken out meanwhile: half a listing is never returned.
    """
    try:
        walk = _Walk(root_fd, os.fstat(root_fd).st_dev, heard)
    except OSError as error:
        raise _trouble(root_fd, error, b".") from error
    while walk.waiting:
        walk.enter(walk.waiting.pop())
    return Listing(tuple(sorted(walk.entries, key=lambda entry: entry.path)), now)


def open_entry(root_fd: int, path: bytes) -> int:
    """An fd for reading of the regular file at ``path`` (as listed); the caller closes it.

    Raises CardFileReplaced when there is no regular file any more at the end of a chain of real
    directories, CardGone when the card is, CardFileUnreadable for anything else that the kernel
    says. Never blocks on a FIFO and never opens a device.
    """
    parts = path.split(b"/")
    if b"\0" in path or any(part in (b"", b".", b"..") for part in parts):
        raise CardFileReplaced(path=display_path(path))
    try:
        parent = open_directory(root_fd, b"/".join(parts[:-1]))
        try:
            return _open_regular(parent, parts[-1], path)
        finally:
            os.close(parent)
    except OSError as error:
        raise _trouble(root_fd, error, path) from error


def open_directory(root_fd: int, path: bytes) -> int:
    """An fd of the directory at ``path``, ``b""`` for the root itself. Raises OSError."""
    fd = _open(b".", _DIRECTORY, root_fd)
    for part in path.split(b"/") if path else ():
        parent = fd
        try:
            fd = _open(part, _DIRECTORY, parent)
        finally:
            os.close(parent)
    return fd


def is_there(root_fd: int) -> bool:
    """Whether the device under the card's directory can still be seen.

    A card that was pulled out answers EIO like a bad sector does; the difference is that its
    block device has left the kernel's tree or has no medium.
    """
    try:
        # Asks the file system itself: the attributes of a dead FUSE mount are still cached.
        os.fstatvfs(root_fd)
        device = os.fstat(root_fd).st_dev
    except OSError as error:
        return error.errno not in _GONE
    if os.major(device) == 0 or not os.path.isdir("/sys/dev/block"):
        return True
    try:
        with open(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/size", encoding="ascii") as size:
            return size.read().strip() != "0"
    except OSError:
        return False


def capacity_of(root_fd: int) -> int | None:
    """How many bytes the card's file system can hold; None where it does not say."""
    try:
        shape = os.fstatvfs(root_fd)
    except OSError:
        return None
    return shape.f_blocks * shape.f_frsize or None


@dataclass(frozen=True, slots=True)
class _Level:
    """A directory that was read: what it takes to see that one below is the same again."""

    above: _Level | None
    depth: int
    inode: int
    names: bytes

    def comes_again_below(self, other: _Level) -> bool:
        return self.inode == other.inode != 0 and self.names == other.names


@dataclass(slots=True)
class _Walk:
    """One pass over a card: directories wait on a stack by path, so that at most two fds are open."""

    root_fd: int
    device: int
    heard: Callable[[], None]
    entries: list[Entry] = field(default_factory=list)
    waiting: list[tuple[Entry, _Level | None]] = field(default_factory=lambda: [(_ROOT, None)])
    seen: int = 0
    path_bytes: int = 0

    def enter(self, item: tuple[Entry, _Level | None]) -> None:
        directory, above = item
        self.heard()
        error = self._read(directory, above)
        if error:
            self._require_card(error, directory.path)
        if directory.path or error:
            self.entries.append(replace(directory, path=directory.path or b".", error=error))

    def _read(self, directory: Entry, above: _Level | None) -> str | None:
        if above and above.depth >= MAX_DEPTH:
            return "ELOOP"
        try:
            fd = open_directory(self.root_fd, directory.path)
        except OSError as error:
            return _errno_name(error)
        try:
            return self._read_open(fd, directory.path, above)
        except OSError as error:
            return _errno_name(error)
        finally:
            os.close(fd)

    def _read_open(self, fd: int, path: bytes, above: _Level | None) -> str | None:
        found = os.fstat(fd)
        if found.st_dev != self.device:
            return "EXDEV"
        names, error = self._names(fd)
        level = _Level(above, above.depth + 1 if above else 0, found.st_ino, _digest(names))
        if _is_cycle(level):
            return "ELOOP"
        for name in names:
            if not self._take(fd, path + b"/" + name if path else name, name, level):
                return "E2BIG"
        return error

    def _names(self, fd: int) -> tuple[list[bytes], str | None]:
        """The names of a directory, once each (a damaged FAT may hold one twice), and what ended the reading."""
        names: set[bytes] = set()
        try:
            with os.scandir(fd) as found:
                for item in found:
                    names.add(os.fsencode(item.name))
                    if len(names) > MAX_ENTRIES:
                        break
        except OSError as error:
            return sorted(names), _errno_name(error)
        return sorted(names), None

    def _take(self, fd: int, path: bytes, name: bytes, level: _Level) -> bool:
        self.heard()
        self.seen += 1
        self.path_bytes += len(path)
        if self.seen > MAX_ENTRIES or self.path_bytes > MAX_PATH_BYTES:
            return False
        try:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            code = _errno_name(error)
            self._require_card(code, path)
            self.entries.append(Entry(path, EntryType.UNKNOWN, error=code))
            return True
        entry = _entry(path, found)
        if entry.type is not EntryType.DIRECTORY:
            self.entries.append(entry)
        elif found.st_dev != self.device:
            # Judged before it is opened: opening a mount point may wake an automounter.
            self.entries.append(replace(entry, error="EXDEV"))
        else:
            self.waiting.append((entry, level))
        return True

    def _require_card(self, code: str, path: bytes) -> None:
        if getattr(errno, code, 0) in _GONE or not is_there(self.root_fd):
            raise CardGone(path=display_path(path or b"."))


def _entry(path: bytes, found: os.stat_result) -> Entry:
    kind = _TYPES.get(stat.S_IFMT(found.st_mode), EntryType.UNKNOWN)
    return Entry(path, kind, size=found.st_size, mtime_ns=found.st_mtime_ns, inode=found.st_ino)


def _is_cycle(level: _Level) -> bool:
    # The inode alone proves nothing: some FUSE drivers give every directory the same one.
    above = level.above
    while above:
        if above.comes_again_below(level):
            return True
        above = above.above
    return False


def _digest(names: list[bytes]) -> bytes:
    return hashlib.sha256(b"/".join(names)).digest()


def _open_regular(parent: int, name: bytes, path: bytes) -> int:
    # Asked first: opening some devices has effects of its own, even with O_NONBLOCK.
    if not stat.S_ISREG(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
        raise CardFileReplaced(path=display_path(path))
    fd = _open(name, _FILE, parent)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise CardFileReplaced(path=display_path(path))
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open(name: bytes, flags: int, dir_fd: int) -> int:
    try:
        return os.open(name, flags | os.O_NOATIME, dir_fd=dir_fd)
    except OSError as error:
        # Only a file's owner may ask for O_NOATIME.
        if error.errno != errno.EPERM:
            raise
        return os.open(name, flags, dir_fd=dir_fd)


def _trouble(root_fd: int, error: OSError, path: bytes) -> CardError:
    if error.errno in _GONE or not is_there(root_fd):
        return CardGone(path=display_path(path))
    if error.errno in _REPLACED:
        return CardFileReplaced(path=display_path(path))
    return CardFileUnreadable(path=display_path(path), offset=0, reason=error.strerror or str(error))


def _errno_name(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, "EIO")
