"""The mirror: never ahead of the register, whole after every call, and repaired only where a crash explains it."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from dockd.errors import LedgerBroken, StoreError, StoreFull, StoreMissing
from dockd.register import disk
from dockd.register import mirror as mirroring
from dockd.register.ledger import mirror_ledger
from dockd.register.session import Register
from dockd.register.tables import EventRow

Tell = Callable[..., None]
Mirror = Callable[[], int]

OCTOBER = datetime(2026, 10, 31, 15, 59, tzinfo=UTC)  # a minute before November begins in Shanghai
NOVEMBER = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def folder(store: Path) -> Path:
    return store / "ledger" / "S1"


def files(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder(store).glob("*.jsonl"))}


def in_register(register: Register) -> list[bytes]:
    with register.read() as session:
        return [line.encode() for line in session.scalars(select(EventRow.line).order_by(EventRow.seq))]


def in_mirror(store: Path) -> list[bytes]:
    return b"".join(files(store).values()).splitlines()


def test_every_line_is_mirrored_once(register: Register, store: Path, tell: Tell, mirror: Mirror) -> None:
    assert mirror() == 0
    tell(3)
    assert mirror() == 3
    tell(2)
    assert (mirror(), mirror()) == (2, 0)
    assert in_mirror(store) == in_register(register)


def test_lines_stand_in_the_file_of_their_month_in_the_stations_zone(store: Path, tell: Tell, mirror: Mirror) -> None:
    tell(2, at=OCTOBER)
    mirror()
    assert {name: raw.count(b"\n") for name, raw in files(store).items()} == {"2026-10.jsonl": 1, "2026-11.jsonl": 1}


def test_a_clock_that_went_back_does_not_reopen_an_older_file(store: Path, tell: Tell, mirror: Mirror) -> None:
    tell(1, at=NOVEMBER)
    tell(1, at=OCTOBER)
    mirror()
    tell(1, at=OCTOBER)
    mirror()
    assert {name: raw.count(b"\n") for name, raw in files(store).items()} == {"2026-11.jsonl": 3}


def test_files_and_folders_are_not_for_everybody(store: Path, tell: Tell, mirror: Mirror) -> None:
    before = os.umask(0o077)
    try:
        tell(1)
        mirror()
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder(store) / "2026-11.jsonl").stat().st_mode) == 0o640
    assert stat.S_IMODE(folder(store).stat().st_mode) & 0o007 == 0


def test_more_lines_than_a_batch_are_mirrored_in_order(
    register: Register, store: Path, tell: Tell, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(2 * mirroring.BATCH + 1, at=OCTOBER)
    assert mirror() == 2 * mirroring.BATCH + 1
    assert in_mirror(store) == in_register(register)


def test_mirroring_reads_only_the_end_of_the_newest_file(store: Path, tell: Tell, mirror: Mirror) -> None:
    tell(300, at=OCTOBER)
    mirror()
    older = folder(store) / "2026-10.jsonl"
    newest = folder(store) / "2026-11.jsonl"
    older.write_bytes(b"never looked at\n")
    lines = newest.read_bytes().splitlines(keepends=True)
    newest.write_bytes(b"x" * len(lines[0].rstrip()) + b"\n" + b"".join(lines[1:]))
    tell(1)
    assert mirror() == 1  # what is wrong further back is for verify to find


# --- after a crash ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [1, 40, -2])
def test_a_line_that_a_crash_tore_is_cut_back_and_written_whole(
    register: Register, store: Path, tell: Tell, mirror: Mirror, kept: int
) -> None:
    tell(3)
    mirror()
    tell(2)
    torn = in_register(register)[3]
    with (folder(store) / "2026-11.jsonl").open("ab") as file:
        file.write(torn[:kept])
    assert mirror() == 2
    assert in_mirror(store) == in_register(register)


def test_a_whole_line_without_its_newline_is_written_anew(
    register: Register, store: Path, tell: Tell, mirror: Mirror
) -> None:
    tell(2)
    mirror()
    path = folder(store) / "2026-11.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    assert mirror() == 1
    assert in_mirror(store) == in_register(register)


@pytest.mark.parametrize("content", [b"", b'{"actor":"pers'])
def test_a_new_file_without_a_whole_line_is_gone_on_with(
    register: Register, store: Path, tell: Tell, mirror: Mirror, content: bytes
) -> None:
    tell(1, at=OCTOBER)
    mirror()
    (folder(store) / "2026-11.jsonl").write_bytes(content)
    tell(1)
    assert mirror() == 1
    assert list(files(store)) == ["2026-10.jsonl", "2026-11.jsonl"]
    assert in_mirror(store) == in_register(register)


@pytest.mark.parametrize("noted", ["before the lost lines", "before the lines that are whole"])
@pytest.mark.parametrize("lost", [slice(0, None), slice(0, 40), slice(40, 90), slice(-30, None)], ids=str)
def test_an_append_whose_length_came_to_the_medium_without_all_of_its_bytes_is_written_anew(
    register: Register, store: Path, tell: Tell, mirror: Mirror, noted: str, lost: slice
) -> None:
    tell(2)
    mirror()
    note = (folder(store) / ".lock").read_bytes()
    tell(2)
    mirror()
    path = folder(store) / "2026-11.jsonl"
    whole = len(b"".join(line + b"\n" for line in in_register(register)[:2]))
    data = bytearray(path.read_bytes())
    begin, end, _ = lost.indices(len(data) - whole)
    data[whole + begin : whole + end] = bytes(end - begin)
    path.write_bytes(data)
    if noted == "before the lines that are whole":
        (folder(store) / ".lock").write_bytes(note)
    mirror()
    assert in_mirror(store) == in_register(register)


def test_a_torn_first_line_of_all_is_cut_back(register: Register, store: Path, tell: Tell, mirror: Mirror) -> None:
    tell(1)
    folder(store).mkdir(parents=True)
    (folder(store) / "2026-11.jsonl").write_bytes(in_register(register)[0][:30])
    assert mirror() == 1
    assert in_mirror(store) == in_register(register)


@pytest.mark.parametrize("tail", [b"rm -rf", b'{"actor":"person:somebody else', b"\0\0x"])
def test_a_tail_that_no_crash_explains_is_left_as_it_is(store: Path, tell: Tell, mirror: Mirror, tail: bytes) -> None:
    tell(2)
    mirror()
    tell(1)
    path = folder(store) / "2026-11.jsonl"
    before = path.read_bytes() + tail
    path.write_bytes(before)
    with pytest.raises(LedgerBroken):
        mirror()
    assert path.read_bytes() == before


def test_a_torn_line_without_a_line_in_the_register_is_left_as_it_is(store: Path, tell: Tell, mirror: Mirror) -> None:
    tell(1)
    mirror()
    with (folder(store) / "2026-11.jsonl").open("ab") as file:
        file.write(b'{"actor":')
    with pytest.raises(LedgerBroken):
        mirror()


def test_a_mirror_that_ends_otherwise_than_the_register_is_not_added_to(
    store: Path, tell: Tell, mirror: Mirror
) -> None:
    tell(2)
    mirror()
    tell(1)
    path = folder(store) / "2026-11.jsonl"
    for end in (path.read_bytes().replace(b'"number":1', b'"number":7'), path.read_bytes() + b"not a line\n"):
        path.write_bytes(end)
        with pytest.raises(LedgerBroken):
            mirror()
        assert path.read_bytes() == end


def test_an_older_file_that_does_not_end_with_a_newline_is_not_gone_on_from(
    store: Path, tell: Tell, mirror: Mirror
) -> None:
    tell(2, at=OCTOBER)
    mirror()
    older, newest = (folder(store) / name for name in ("2026-10.jsonl", "2026-11.jsonl"))
    older.write_bytes(older.read_bytes()[:-1])
    newest.write_bytes(b"")
    with pytest.raises(LedgerBroken):
        mirror()


# --- trouble of the store ---------------------------------------------------------------------------


def test_a_store_that_is_not_mounted_is_told_and_not_made(register: Register, store: Path, tell: Tell) -> None:
    from zoneinfo import ZoneInfo

    tell(1)
    with pytest.raises(StoreMissing):
        mirror_ledger(register, store / "absent", "S1", ZoneInfo("Asia/Shanghai"))
    assert not (store / "absent").exists()


def test_a_mount_point_without_its_disk_takes_no_ledger(
    register: Register, store: Path, tell: Tell, mirror: Mirror
) -> None:
    tell(1)
    mirror()
    os.rename(store, store.with_name("unmounted"))
    store.mkdir()
    tell(1)
    with pytest.raises(StoreMissing):
        mirror()
    assert not os.listdir(store)


def test_a_full_store_is_told_and_leaves_no_part_of_a_line(
    register: Register, store: Path, tell: Tell, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(1)
    mirror()
    before = files(store)
    tell(1)

    def fill(fd: int, data: bytes) -> None:
        os.write(fd, data[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk, "write_all", fill)
    with pytest.raises(StoreFull):
        mirror()
    assert files(store) == before
    monkeypatch.undo()
    assert mirror() == 1
    assert in_mirror(store) == in_register(register)


def test_lines_whose_fsync_failed_are_written_again(
    register: Register, store: Path, tell: Tell, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(1)
    mirror()
    before = files(store)
    tell(1)

    def fail(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError):
        mirror()
    monkeypatch.undo()
    assert files(store) == before
    assert mirror() == 1


def test_a_link_in_the_place_of_a_file_is_not_followed(tmp_path: Path, store: Path, tell: Tell, mirror: Mirror) -> None:
    tell(1)
    folder(store).mkdir(parents=True)
    (folder(store) / "2026-11.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError):
        mirror()
    assert not (tmp_path / "elsewhere").exists()


def test_mirrors_at_once_write_every_line_once(register: Register, store: Path, tell: Tell, mirror: Mirror) -> None:
    tell(40)
    start = threading.Barrier(3)

    def work() -> None:
        start.wait()
        for _ in range(5):
            tell(1)
            mirror()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert in_mirror(store) == in_register(register)


# --- the tail of a file -----------------------------------------------------------------------------


@given(st.lists(st.binary(max_size=12), max_size=6), st.binary(max_size=12), st.integers(1, 8))
def test_the_tail_is_found_in_blocks_of_any_size(lines: list[bytes], torn: bytes, block: int) -> None:
    lines, torn = [line.replace(b"\n", b"") for line in lines], torn.replace(b"\n", b"")
    whole = b"".join(line + b"\n" for line in lines)
    fd = os.memfd_create("tail")
    before, mirroring._BLOCK = mirroring._BLOCK, block
    try:
        os.write(fd, whole + torn)
        tail = mirroring.tail_of(fd)
    finally:
        mirroring._BLOCK = before
        os.close(fd)
    assert tail == mirroring.Tail(lines[-1] if lines else None, len(whole), torn)
