"""What storing relies on, tried on the store's own mount with files that are removed again.

A local ext4, xfs or btrfs keeps all of it. What a share (NFS, CIFS) or a FUSE driver keeps is its server's or
driver's affair: so it is tried, at every start, and a mount that would let a recording be replaced or one card
be copied twice at once is refused.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dockd.errors import ProofFailed, StoreUnfit
from dockd.locale import _
from dockd.nouns import VerifiedVia
from dockd.offload.durable import (
    blaming_store,
    create_temp,
    fsync_directory,
    remove_durably,
    rename_without_replacing,
)
from dockd.offload.layout import PRIVATE
from dockd.offload.readback import read_back

_SIZE = 256 << 10


@dataclass(frozen=True, slots=True)
class Promises:
    """What a mount gave. ``past_cache``: stored bytes are read from the medium; ``no_locks``: why there are none."""

    past_cache: bool
    keeps_names: bool
    no_locks: str = ""


def try_promises(store: str) -> Promises:
    """Writes, syncs, reads back, renames and locks in the store's private folder; nothing is left there.

    Raises ProofFailed where other bytes come back than were written, StoreError where it cannot be written.
    """
    place = f"{store}/{PRIVATE}/check-{os.getpid()}"
    with blaming_store(store), _removing(f"{place}.a", f"{place}.b") as (first, second):
        handle = create_temp(first)
        try:
            past_cache = _reads_back(handle)
        finally:
            os.close(handle)
        return Promises(past_cache, _keeps_names(first, second), _locking_fault(second))


def require_promises(store: str) -> Promises:
    """The same for who is about to store: raises StoreUnfit, too, where names or locks are not kept."""
    found = try_promises(store)
    if not found.keeps_names:
        raise StoreUnfit(path=store, reason=_("renaming a file replaced another one"))
    if found.no_locks:
        raise StoreUnfit(path=store, reason=found.no_locks)
    return found


@contextmanager
def _removing(*paths: str) -> Iterator[tuple[str, ...]]:
    for path in paths:
        remove_durably(path)
    try:
        yield paths
    finally:
        for path in paths:
            if os.path.lexists(path):
                os.unlink(path)


def _reads_back(handle: int) -> bool:
    data = os.urandom(_SIZE)
    os.write(handle, data)
    os.fsync(handle)
    back = read_back(handle)
    if back.size != len(data) or os.pread(handle, len(data), 0) != data:
        raise ProofFailed(text=_("the store gives back other bytes than were written to it"))
    return back.via is not VerifiedVia.CACHE


def _keeps_names(first: str, second: str) -> bool:
    os.close(create_temp(second))
    try:
        rename_without_replacing(first, second)
    except FileExistsError:
        remove_durably(second)
        rename_without_replacing(first, second)
        fsync_directory(os.path.dirname(second))
        return True
    return False


def _locking_fault(path: str) -> str:
    """Two openings of one file: what one has locked, the other must not get. Empty when that holds."""
    held, other = os.open(path, os.O_RDWR | os.O_CLOEXEC), os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ""
        return _("the store's file system gave one lock twice")
    except OSError as error:
        return _("the store's file system gives no locks: {reason}").format(reason=error.strerror)
    finally:
        os.close(held)
        os.close(other)
