"""The listing is complete, names what it cannot see, follows nothing and always ends."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from laid_card import NOW

from dockd.card import listing as listing_module
from dockd.card.listing import is_there, list_card, open_entry
from dockd.errors import CardFileReplaced, CardFileUnreadable, CardGone
from dockd.nouns import EntryType


def test_every_entry_is_listed_with_size_and_time_in_the_order_of_raw_paths(card) -> None:
    card.put("DCIM/b.mp4", b"12345")
    card.put("DCIM/a.mp4", b"123")
    card.put("DCIM-2/c.mp4", b"")
    os.utime(card.root / "DCIM/b.mp4", ns=(0, 1_700_000_000_123_456_789))
    found = card.listing()
    assert found.taken_at == NOW
    assert [e.path for e in found.entries] == sorted(e.path for e in found.entries)
    assert [e.path for e in found.files] == [b"DCIM-2/c.mp4", b"DCIM/a.mp4", b"DCIM/b.mp4"]
    one = card.entry("DCIM/b.mp4")
    assert (one.type, one.size, one.mtime_ns, one.error) == (EntryType.FILE, 5, 1_700_000_000_123_456_789, None)
    assert one.inode == os.stat(card.root / "DCIM/b.mp4").st_ino


def test_an_empty_card_is_an_empty_listing(card) -> None:
    assert card.listing().entries == ()


@pytest.mark.parametrize(
    "name",
    [
        b"line\nbreak.mp4",
        b"-rf.mp4",
        b"..mp4",
        b"...",
        b"\xff\xfe\x80.mp4",
        "执法\u202egpm.mp4".encode(),
        b"n" * 255,
        b"%s$(reboot)`id`;'\".mp4",
        b" ",
        b"\\x41",
    ],
)
def test_a_hostile_name_is_kept_byte_for_byte_and_can_be_opened(card, name: bytes) -> None:
    card.put(b"DCIM/" + name, b"evidence")
    assert card.paths() == [b"DCIM", b"DCIM/" + name]
    fd = open_entry(card.fd, b"DCIM/" + name)
    assert os.read(fd, 100) == b"evidence"
    os.close(fd)


def test_names_that_differ_in_letter_case_only_are_two_entries(card) -> None:
    card.put("DCIM/A.MP4", b"one")
    card.put("dcim/a.mp4", b"two")
    assert [e.path for e in card.listing().files] == [b"DCIM/A.MP4", b"dcim/a.mp4"]


def test_a_symlink_is_named_but_never_followed(card, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.mp4").write_bytes(b"secret")
    os.symlink(tmp_path / "outside", card.root / "DCIM")
    os.symlink("/etc/passwd", card.root / "x.mp4")
    assert [(e.path, e.type) for e in card.listing().entries] == [
        (b"DCIM", EntryType.SYMLINK),
        (b"x.mp4", EntryType.SYMLINK),
    ]
    for path in (b"x.mp4", b"DCIM/secret.mp4"):
        with pytest.raises(CardFileReplaced):
            open_entry(card.fd, path)


def test_a_fifo_and_a_socket_are_named_and_opening_them_never_blocks(card) -> None:
    os.mkfifo(card.root / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        place = os.getcwd()
        os.chdir(card.root)
        try:
            server.bind("sock.mp4")
        finally:
            os.chdir(place)
    assert [(e.path, e.type) for e in card.listing().entries] == [
        (b"pipe.mp4", EntryType.FIFO),
        (b"sock.mp4", EntryType.SOCKET),
    ]
    for path in (b"pipe.mp4", b"sock.mp4"):
        with pytest.raises(CardFileReplaced):
            open_entry(card.fd, path)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a device node")
def test_a_device_node_is_named_and_never_opened(card) -> None:
    os.mknod(card.root / "zero.mp4", 0o600 | 0o020000, os.makedev(1, 5))
    assert card.entry("zero.mp4").type is EntryType.DEVICE
    with pytest.raises(CardFileReplaced):
        open_entry(card.fd, b"zero.mp4")


def _dig(fd: int, name: bytes, levels: int) -> int:
    """Makes ``levels`` directories, each inside the last; returns an fd of the deepest."""
    here = os.dup(fd)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    return here


def test_directories_200_deep_with_a_path_beyond_path_max_are_listed_and_opened(card) -> None:
    name = b"d" * 255
    deepest = _dig(card.fd, name, 200)
    fd = os.open(b"clip.mp4", os.O_WRONLY | os.O_CREAT, dir_fd=deepest)
    os.write(fd, b"deep")
    os.close(fd)
    os.close(deepest)
    found = card.listing()
    path = b"/".join([name] * 200 + [b"clip.mp4"])
    assert len(found.entries) == 201
    assert len(path) > 4096
    assert all(entry.error is None for entry in found.entries)
    assert found.files[-1].path == path
    fd = open_entry(card.fd, path)
    assert os.read(fd, 10) == b"deep"
    os.close(fd)


def test_a_chain_deeper_than_any_real_card_ends_in_eloop(card) -> None:
    os.close(_dig(card.fd, b"d", listing_module.MAX_DEPTH + 20))
    deepest = max(card.listing().entries, key=lambda entry: len(entry.path))
    assert deepest.error == "ELOOP"
    assert deepest.path.count(b"/") == listing_module.MAX_DEPTH


def test_a_flood_of_entries_ends_and_the_directory_says_so(card, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing_module, "MAX_ENTRIES", 10)
    for number in range(30):
        card.put(f"DCIM/{number:02d}.mp4")
    found = card.listing()
    assert card.entry("DCIM").error == "E2BIG"
    assert len(found.entries) <= 11


def test_listing_keeps_no_fd_and_the_root_can_be_listed_again(card) -> None:
    for number in range(50):
        card.put(f"a/{number}/b/c.mp4")
    before = len(os.listdir("/proc/self/fd"))
    first = card.listing()
    assert card.listing() == first
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "path", [b"", b".", b"..", b"/etc/passwd", b"a//b", b"a/../b", b"./a", b"a/", b"a\0b", b"DCIM", b"nothing"]
)
def test_a_path_that_is_no_listed_file_is_refused(card, path: bytes) -> None:
    card.put("DCIM/x")
    card.put("a/b")
    with pytest.raises(CardFileReplaced):
        open_entry(card.fd, path)


def _as_nobody(function: Callable[[], Any]) -> Any:
    """The result of ``function`` run by a user without rights, in a child of its own."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            os.write(writer, pickle.dumps(function()))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return pickle.loads(answer)


def test_what_may_not_be_opened_is_named_with_its_error_and_the_rest_goes_on(card) -> None:
    card.put("open/a.mp4", b"readable by all")
    card.put("shut/b.mp4")
    os.chmod(card.root / "shut", 0o000)
    try:
        found = _as_nobody(lambda: list_card(card.fd, now=NOW))
    finally:
        os.chmod(card.root / "shut", 0o755)
    assert {e.path: e.error for e in found.entries} == {b"open": None, b"open/a.mp4": None, b"shut": "EACCES"}
    assert [e.path for e in found.files] == [b"open/a.mp4", b"shut"]


def test_a_file_of_somebody_else_is_read_although_its_access_time_cannot_be_kept(card) -> None:
    card.put("a.mp4", b"bytes")
    card.put("b.mp4", b"bytes")
    os.chmod(card.root / "b.mp4", 0o000)

    def read() -> tuple[bytes, str]:
        fd = open_entry(card.fd, b"a.mp4")
        try:
            open_entry(card.fd, b"b.mp4")
        except CardFileUnreadable as error:
            return os.read(fd, 10), str(error)
        return b"", "opened"

    content, refused = _as_nobody(read)
    assert content == b"bytes"
    assert "b.mp4" in refused
    assert "Permission denied" in refused


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_another_file_system_on_the_card_is_named_and_not_entered(card) -> None:
    (card.root / "DCIM").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", card.root / "DCIM"], check=True)
    try:
        card.put("DCIM/foreign.mp4")
        card.put("own.mp4")
        assert {e.path: e.error for e in card.listing().entries} == {b"DCIM": "EXDEV", b"own.mp4": None}
    finally:
        subprocess.run(["umount", card.root / "DCIM"], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount")
def test_a_directory_that_holds_itself_ends_in_eloop(card) -> None:
    card.put("DCIM/a.mp4")
    (card.root / "DCIM" / "again").mkdir()
    subprocess.run(["mount", "--bind", card.root / "DCIM", card.root / "DCIM" / "again"], check=True)
    try:
        assert card.entry("DCIM/again").error == "ELOOP"
        assert [e.path for e in card.listing().files] == [b"DCIM/a.mp4", b"DCIM/again"]
    finally:
        subprocess.run(["umount", card.root / "DCIM" / "again"], check=True)


FAILING_CARD = textwrap.dedent(
    """
    import errno, os, stat, sys
    from mfusepy import FUSE, FuseOSError, Operations

    class Card(Operations):
        use_ns = True
        def init(self, path):
            os.write(int(sys.argv[2]), b"mounted")
        def getattr(self, path, fh=None):
            if path == "/lost.mp4":
                raise FuseOSError(errno.EIO)
            folder = path in ("/", "/bad", "/half")
            if not folder and path != "/half/a.mp4" and path != "/good.mp4":
                raise FuseOSError(errno.ENOENT)
            return {"st_mode": (stat.S_IFDIR | 0o755) if folder else (stat.S_IFREG | 0o644),
                    "st_nlink": 1, "st_size": 0, "st_mtime": 0, "st_ctime": 0, "st_atime": 0}
        def readdir(self, path, fh):
            if path == "/bad":
                raise FuseOSError(errno.EIO)
            names = {"/": ["lost.mp4", "good.mp4", "bad", "half"], "/half": ["a.mp4"]}[path]
            return [".", "..", *names]
        def open(self, path, flags):
            raise FuseOSError(errno.EIO)

    FUSE(Card(), sys.argv[1], foreground=True, nothreads=True)
    """
)


@pytest.fixture
def failing_card(tmp_path: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("needs FUSE")
    place = tmp_path / "mounted"
    place.mkdir()
    reader, writer = os.pipe()
    command = [sys.executable, "-c", FAILING_CARD, str(place), str(writer)]
    process = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    with open(reader, "rb") as ready:
        mounted = ready.read(7) == b"mounted"
    if not mounted:
        process.wait()
        pytest.skip("FUSE does not mount here")
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    yield fd, process
    os.close(fd)
    subprocess.run(["fusermount", "-uz", place], check=False, stderr=subprocess.DEVNULL)
    process.kill()
    process.wait()


@pytest.mark.fuse
def test_a_card_with_bad_sectors_is_listed_with_the_error_at_each_bad_place(failing_card) -> None:
    fd, _ = failing_card
    found = {e.path: (e.type, e.error) for e in list_card(fd, now=NOW).entries}
    assert found == {
        b"bad": (EntryType.DIRECTORY, "EIO"),
        b"good.mp4": (EntryType.FILE, None),
        b"half": (EntryType.DIRECTORY, None),
        b"half/a.mp4": (EntryType.FILE, None),
        b"lost.mp4": (EntryType.UNKNOWN, "EIO"),
    }
    with pytest.raises(CardFileUnreadable, match="Input/output error"):
        open_entry(fd, b"good.mp4")


@pytest.mark.fuse
def test_a_card_that_is_pulled_out_is_gone_and_never_half_a_listing(failing_card) -> None:
    fd, process = failing_card
    assert is_there(fd)
    process.kill()
    process.wait()
    assert not is_there(fd)
    with pytest.raises(CardGone):
        open_entry(fd, b"good.mp4")
    with pytest.raises(CardGone):
        list_card(fd, now=NOW)
