"""Read-back reaches the medium, says by which way, and finds what a look into the cache would not."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import disks
import pytest

from dockd.nouns import VerifiedVia
from dockd.offload import readback
from dockd.offload.readback import read_back
from dockd.offload.reader import prove_prefix

PAGE = mmap.PAGESIZE
SIZES = [1, PAGE - 1, PAGE, PAGE + 1, 5 * PAGE + 7, (1 << 20) + 3, (9 << 20) + 1]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A real ext4 on a loop device; ``disk.with_name("image")`` is its medium."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    folder = tmp_path_factory.mktemp("readback")
    with disks.ext4(folder / "image", folder / "disk", size=48 << 20) as at:
        yield at


@pytest.fixture
def on_disk(disk: Path) -> Iterator[Path]:
    path = disk / "file"
    yield path
    path.unlink(missing_ok=True)


def write(path: Path, data: bytes) -> int:
    """``data`` on the medium under ``path``, its descriptor open."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    done = 0
    while done < len(data):
        done += os.write(fd, data[done:])
    os.fsync(fd)
    return fd


def alter_medium(path: Path, offset: int) -> None:
    """Flips a byte of a file on its disk behind the file system: the cache keeps the old one."""
    where = disks.extent_of(path) + offset
    image = os.open(path.parent.with_name("image"), os.O_RDWR)
    with contextlib.closing(os.fdopen(image, "r+b", buffering=0)) as file:
        file.seek(where)
        byte = file.read(1)[0]
        file.seek(where)
        file.write(bytes([byte ^ 0xFF]))
        os.fsync(image)


@contextlib.contextmanager
def held_in_memory(fd: int, size: int) -> Iterator[None]:
    """The file's pages mapped and locked: no advice drops them."""
    with mmap.mmap(fd, size) as pages:
        assert pages[0] is not None
        pin = ctypes.c_char.from_buffer(pages)
        address = ctypes.addressof(pin)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(size)) == 0
        try:
            yield
        finally:
            libc.munlock(ctypes.c_void_p(address), ctypes.c_size_t(size))
            del pin


@pytest.mark.root
@pytest.mark.parametrize("size", SIZES)
def test_pages_are_really_dropped_and_the_medium_is_read(on_disk: Path, size: int) -> None:
    data = os.urandom(size)
    fd = write(on_disk, data)
    found = read_back(fd)
    os.close(fd)
    assert (found.sha256, found.size) == (hashlib.sha256(data).hexdigest(), size)
    assert found.via is VerifiedVia.DROPPED


@pytest.mark.root
@pytest.mark.parametrize("offset", [0, PAGE + 5, (1 << 20) + 1])
def test_a_byte_that_changed_behind_the_cache_is_found(on_disk: Path, offset: int) -> None:
    data = os.urandom((1 << 20) + 2)
    fd = write(on_disk, data)
    alter_medium(on_disk, offset)
    assert os.pread(fd, 1, offset) == data[offset : offset + 1], "the cache still tells the old byte"
    found = read_back(fd)
    os.close(fd)
    assert found.sha256 != hashlib.sha256(data).hexdigest()
    assert found.via is VerifiedVia.DROPPED


@pytest.mark.root
@pytest.mark.parametrize("size", SIZES)
def test_pages_that_cannot_be_dropped_are_read_past(on_disk: Path, size: int) -> None:
    data = os.urandom(size)
    fd = write(on_disk, data)
    with held_in_memory(fd, size):
        found = read_back(fd)
    os.close(fd)
    assert (found.sha256, found.size) == (hashlib.sha256(data).hexdigest(), size)
    assert found.via is VerifiedVia.DIRECT


@pytest.mark.root
def test_a_byte_that_changed_behind_pages_that_cannot_be_dropped_is_found(on_disk: Path) -> None:
    data = os.urandom(1 << 20)
    fd = write(on_disk, data)
    with held_in_memory(fd, len(data)):
        alter_medium(on_disk, 77_777)
        found = read_back(fd)
        assert os.pread(fd, 1, 77_777) == data[77_777:77_778], "the cache still tells the old byte"
    os.close(fd)
    assert found.sha256 != hashlib.sha256(data).hexdigest()
    assert found.via is VerifiedVia.DIRECT


@pytest.mark.root
def test_a_temps_prefix_is_proven_on_the_medium_and_not_in_the_cache(on_disk: Path) -> None:
    data = os.urandom(3 << 20)
    fd = write(on_disk, data)
    marks = tuple((end << 20, hashlib.sha256(data[: end << 20]).hexdigest()) for end in (1, 2, 3))
    alter_medium(on_disk, (2 << 20) + 7)
    assert os.pread(fd, len(data), 0) == data, "the cache still tells the old bytes"
    hasher, offset = prove_prefix(fd, marks, memoryview(bytearray(1 << 20)))
    os.close(fd)
    assert (hasher.hexdigest(), offset) == (marks[1][1], 2 << 20)


@pytest.mark.root
def test_memory_is_no_medium_and_is_called_what_it_is(tmp_path: Path) -> None:
    with disks.tmpfs(tmp_path / "memory", size=8 << 20) as memory:
        data = os.urandom(3 * PAGE + 1)
        fd = write(memory / "file", data)
        found = read_back(fd)
        os.close(fd)
    assert (found.sha256, found.via) == (hashlib.sha256(data).hexdigest(), VerifiedVia.CACHE)


def test_an_empty_file_has_the_digest_of_nothing(tmp_path: Path) -> None:
    fd = write(tmp_path / "empty", b"")
    found = read_back(fd)
    os.close(fd)
    assert (found.sha256, found.size) == (hashlib.sha256().hexdigest(), 0)


def test_every_byte_is_counted_for_the_screen(tmp_path: Path) -> None:
    data = os.urandom(readback.BLOCK + 12_345)
    fd = write(tmp_path / "file", data)
    counted: list[int] = []
    found = read_back(fd, on_bytes=counted.append)
    os.close(fd)
    assert sum(counted) == found.size == len(data)


def test_a_failing_read_is_told_and_never_taken_for_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fd = write(tmp_path / "file", os.urandom(readback.BLOCK + 1))
    real = os.preadv

    def fail(fd: int, buffers: list[memoryview], offset: int, flags: int = 0) -> int:
        if offset and not flags:
            raise OSError(5, "Input/output error")
        return real(fd, buffers, offset, flags)

    monkeypatch.setattr(os, "preadv", fail)
    with pytest.raises(OSError, match="Input/output error"):
        read_back(fd)
    os.close(fd)
