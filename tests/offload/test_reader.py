"""What leaves the card is hashed as it leaves, damage keeps its place, and a resume believes only what it proved."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from faultfs import Fault, FaultyCard, faulty_card
from hypothesis import given
from hypothesis import strategies as st

from dockd.errors import (
    CardError,
    CardFileChanged,
    CardFileUnreadable,
    CardGone,
    SourceUnsteady,
)
from dockd.nouns import Entry, EntryType, Hole
from dockd.offload import reader
from dockd.offload.reader import (
    CardAccess,
    FileReader,
    check_unchanged,
    nothing_readable,
    prove_prefix,
    read_again,
)

PAGE = 4096
MARK = 4 * PAGE


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(autouse=True)
def _small_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MARK_EVERY", MARK)


@dataclass
class Read:
    """One pass over one file: what came of it, and what was lent and given back."""

    path: Path
    buffer: int = 2 * PAGE
    capacity: int | None = None
    data: bytearray = field(default_factory=bytearray)
    marks: list[tuple[int, str]] = field(default_factory=list)
    digest: str = ""
    lent: int = 0
    reader: FileReader | None = None

    def run(self, entry: Entry | None = None, *, between: Callable[[int], None] = lambda _: None) -> Read:
        """Reads to the end; ``between`` is called after each chunk with the offset. Raises what the reader raises."""
        fd = os.open(self.path, os.O_RDONLY)
        try:
            self.reader = FileReader(entry or listed(self.path), fd, self.access())
            self._pass(between)
        finally:
            os.close(fd)
        return self

    def access(self) -> CardAccess:
        return CardAccess(open=lambda _: -1, is_there=self._is_there, capacity=self.capacity)

    def _is_there(self) -> bool:
        try:
            os.statvfs(self.path.parent)
        except OSError:
            return False
        return True

    def _pass(self, between: Callable[[int], None]) -> None:
        assert self.reader is not None
        check_unchanged(self.reader.fd, self.reader.entry)
        self.reader.measure()
        for chunk in self.reader.chunks(self._take, self._give):
            assert chunk.offset == len(self.data)
            self.data += chunk.data
            if chunk.mark:
                self.marks.append((len(self.data), chunk.mark))
            self._give(chunk.data)
            between(len(self.data))
        self.digest = self.reader.finish()

    def _take(self) -> memoryview:
        self.lent += 1
        return memoryview(bytearray(b"\xaa" * self.buffer))

    def _give(self, _: memoryview) -> None:
        self.lent -= 1

    @property
    def holes(self) -> list[Hole]:
        assert self.reader is not None
        return self.reader.holes


def listed(path: Path) -> Entry:
    found = os.stat(path)
    return Entry(os.fsencode(path.name), EntryType.FILE, found.st_size, found.st_mtime_ns)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "A.MP4"
    path.write_bytes(os.urandom(10 * PAGE + 5))
    return path


# --- reading ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, PAGE, MARK - 1, MARK, MARK + 1, 3 * MARK])
def test_every_byte_is_read_once_and_hashed_as_it_leaves(tmp_path: Path, size: int) -> None:
    path = tmp_path / "A.MP4"
    path.write_bytes(os.urandom(size))
    read = Read(path).run()
    assert bytes(read.data) == path.read_bytes()
    assert read.digest == sha256(path.read_bytes())
    assert read.reader is not None
    assert read.reader.bytes_read == size
    assert read.lent == 0


@pytest.mark.parametrize("buffer", [PAGE, 3 * PAGE, 5000, 100 * PAGE])
def test_marks_are_digests_of_the_prefix_at_even_distances_and_never_of_the_whole(tmp_path: Path, buffer: int) -> None:
    path = tmp_path / "A.MP4"
    path.write_bytes(os.urandom(3 * MARK))
    read = Read(path, buffer=buffer).run()
    data = path.read_bytes()
    assert read.marks == [(end, sha256(data[:end])) for end in (MARK, 2 * MARK)]


def test_a_file_that_was_touched_since_the_listing_is_not_read(file: Path) -> None:
    entry = listed(file)
    os.utime(file, ns=(1, 1))
    read = Read(file)
    with pytest.raises(CardFileChanged):
        read.run(entry)
    assert not read.data


@pytest.mark.parametrize("size", [0, 10 * PAGE + 4, 10 * PAGE + 6])
def test_a_file_of_another_size_than_listed_is_not_read(file: Path, size: int) -> None:
    entry = listed(file)
    os.truncate(file, size)
    os.utime(file, ns=(entry.mtime_ns, entry.mtime_ns))
    with pytest.raises(CardFileChanged):
        Read(file).run(entry)


def test_a_file_that_grows_while_it_is_read_is_noticed_at_its_end(file: Path) -> None:
    entry = listed(file)

    def grow(offset: int) -> None:
        with file.open("ab") as more:
            more.write(b"more")
        os.utime(file, ns=(entry.mtime_ns, entry.mtime_ns))

    read = Read(file)
    with pytest.raises(CardFileChanged):
        read.run(between=grow)
    assert len(read.data) == entry.size


def test_a_file_that_shrinks_while_it_is_read_is_changed_and_not_filled_up(file: Path) -> None:
    read = Read(file)
    with pytest.raises(CardFileChanged):
        read.run(between=lambda offset: os.truncate(file, 3 * PAGE))
    assert read.lent == 0


def test_a_file_that_was_rewritten_while_it_was_read_is_changed(file: Path) -> None:
    entry = listed(file)

    def rewrite(offset: int) -> None:
        file.write_bytes(bytes(entry.size))

    with pytest.raises(CardFileChanged):
        Read(file).run(between=rewrite)


def test_a_file_whose_name_was_given_to_another_is_read_as_it_was_opened(file: Path) -> None:
    data = file.read_bytes()

    def replace(offset: int) -> None:
        other = file.with_name("other")
        other.write_bytes(bytes(len(data)))
        other.replace(file)

    assert Read(file).run(between=replace).digest == sha256(data)


# --- resuming ---------------------------------------------------------------------------------------------


def marks_of(data: bytes, *ends: int) -> tuple[tuple[int, str], ...]:
    return tuple((end, sha256(data[:end])) for end in ends)


def prove(tmp_path: Path, temp: bytes, marks: tuple[tuple[int, str], ...]) -> tuple[str, int]:
    path = tmp_path / "A.MP4.part"
    path.write_bytes(temp)
    fd = os.open(path, os.O_RDONLY)
    hasher, offset = prove_prefix(fd, marks, memoryview(bytearray(3000)))
    os.close(fd)
    return hasher.hexdigest(), offset


def test_the_last_mark_is_taken_up_when_all_of_the_prefix_agrees(tmp_path: Path) -> None:
    data = os.urandom(50_000)
    marks = marks_of(data, 16_000, 32_000, 48_000)
    assert prove(tmp_path, data, marks) == (sha256(data[:48_000]), 48_000)


@pytest.mark.parametrize(("altered", "proven"), [(0, 0), (15_999, 0), (16_000, 16_000), (47_999, 32_000)])
def test_an_altered_prefix_falls_back_to_the_mark_before_it(tmp_path: Path, altered: int, proven: int) -> None:
    data = os.urandom(50_000)
    temp = bytearray(data)
    temp[altered] ^= 1
    said = prove(tmp_path, bytes(temp), marks_of(data, 16_000, 32_000, 48_000))
    assert said == (sha256(data[:proven]), proven)


def test_length_proves_nothing(tmp_path: Path) -> None:
    data = os.urandom(50_000)
    preallocated = data[:20_000] + bytes(30_000)
    assert prove(tmp_path, preallocated, marks_of(data, 16_000, 32_000)) == (sha256(data[:16_000]), 16_000)
    assert prove(tmp_path, preallocated, ()) == (sha256(b""), 0)


@pytest.mark.parametrize("length", [0, 15_999, 16_000, 31_999])
def test_a_temp_that_ends_before_its_mark_proves_what_is_there(tmp_path: Path, length: int) -> None:
    data = os.urandom(40_000)
    proven = length // 16_000 * 16_000
    assert prove(tmp_path, data[:length], marks_of(data, 16_000, 32_000)) == (sha256(data[:proven]), proven)


@given(st.binary(max_size=300), st.lists(st.integers(1, 300), max_size=5, unique=True), st.integers(0, 299))
def test_what_is_proven_is_always_a_marked_prefix_of_the_cards_bytes(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, ends: list[int], altered: int
) -> None:
    marks = marks_of(data, *sorted(end for end in ends if end <= len(data)))
    temp = bytearray(data)
    if altered < len(temp):
        temp[altered] ^= 0x40
    said, offset = prove(tmp_path_factory.getbasetemp(), bytes(temp), marks)
    expected = max((end for end, _ in marks if end <= altered or altered >= len(data)), default=0)
    assert (said, offset) == (sha256(data[:expected]), expected)


@pytest.mark.fuse
def test_a_prefix_that_the_store_cannot_read_back_is_proven_up_to_the_mark_before_it(worn: FaultyCard) -> None:
    # Here the worn medium is the store's: what cannot be read is written anew, and never holds up the card for ever.
    data = original(worn)
    worn.spoil("A.MP4", Fault(unreadable=((20 * PAGE, 20 * PAGE + 1),)))
    fd = os.open(worn.path / "A.MP4", os.O_RDONLY)
    marks = marks_of(data, 16 * PAGE, 32 * PAGE)
    hasher, offset = prove_prefix(fd, marks, memoryview(bytearray(PAGE)))
    os.close(fd)
    assert (hasher.hexdigest(), offset) == (sha256(data[: 16 * PAGE]), 16 * PAGE)


def test_a_resumed_read_gives_the_digest_of_the_whole_and_reads_only_the_rest(file: Path) -> None:
    data = file.read_bytes()
    read = Read(file)
    fd = os.open(file, os.O_RDONLY)
    read.reader = FileReader(listed(file), fd, read.access(), hasher=hashlib.sha256(data[:MARK]), offset=MARK)
    read.data += data[:MARK]
    read._pass(lambda _: None)
    os.close(fd)
    assert read.digest == sha256(data)
    assert read.reader.bytes_read == len(data) - MARK
    assert read.marks == [(2 * MARK, sha256(data[: 2 * MARK]))]


# --- worn cards --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def _mounted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyCard]:
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("no access to /dev/fuse")
    folder = tmp_path_factory.mktemp("worn")
    (folder / "files").mkdir()
    with faulty_card(folder / "files", folder / "card") as card:
        yield card


@pytest.fixture
def worn(_mounted: FaultyCard) -> FaultyCard:
    """A card that shows ``files/`` with the faults a test gives it; ``original`` is what lies there."""
    _mounted.heal()
    (_mounted.path.parent / "files" / "A.MP4").write_bytes(os.urandom(40 * PAGE + 100))
    return _mounted


def original(card: FaultyCard, name: str = "A.MP4") -> bytes:
    return (card.path.parent / "files" / name).read_bytes()


def with_holes(data: bytes, *holes: Hole) -> bytes:
    altered = bytearray(data)
    for hole in holes:
        altered[hole.offset : hole.offset + hole.length] = bytes(hole.length)
    return bytes(altered)


@pytest.mark.fuse
@pytest.mark.parametrize(
    ("spoiled", "hole"),
    [
        ((0, 1), Hole(0, PAGE)),
        ((8 * PAGE, 9 * PAGE), Hole(8 * PAGE, PAGE)),
        ((8 * PAGE + 17, 10 * PAGE + 1), Hole(8 * PAGE, 3 * PAGE)),
        ((40 * PAGE, 40 * PAGE + 1), Hole(40 * PAGE, 100)),
    ],
)
def test_every_readable_sector_is_kept_at_its_offset(worn: FaultyCard, spoiled: tuple[int, int], hole: Hole) -> None:
    worn.spoil("A.MP4", Fault(unreadable=(spoiled,)))
    read = Read(worn.path / "A.MP4", buffer=7 * PAGE).run()
    kept = with_holes(original(worn), hole)
    assert read.holes == [hole]
    assert bytes(read.data) == kept
    assert read.digest == sha256(kept)
    assert read.reader is not None
    assert read.reader.bytes_read == len(kept) - hole.length


@pytest.mark.fuse
def test_two_damaged_places_are_two_holes_also_across_buffers(worn: FaultyCard) -> None:
    worn.spoil("A.MP4", Fault(unreadable=((PAGE, 4 * PAGE), (20 * PAGE, 21 * PAGE))))
    read = Read(worn.path / "A.MP4", buffer=2 * PAGE).run()
    assert read.holes == [Hole(PAGE, 3 * PAGE), Hole(20 * PAGE, PAGE)]
    assert bytes(read.data) == with_holes(original(worn), *read.holes)


@pytest.mark.fuse
def test_no_mark_is_made_after_a_hole_because_a_resume_could_not_find_it_again(worn: FaultyCard) -> None:
    worn.spoil("A.MP4", Fault(unreadable=((5 * PAGE, 6 * PAGE),)))
    read = Read(worn.path / "A.MP4").run()
    assert read.marks == [(MARK, sha256(original(worn)[:MARK]))]


@pytest.mark.fuse
def test_short_reads_are_continued(worn: FaultyCard) -> None:
    worn.spoil("A.MP4", Fault(short=1000))
    read = Read(worn.path / "A.MP4").run()
    assert bytes(read.data) == original(worn)
    assert [end for end, _ in read.marks] == list(range(MARK, len(read.data), MARK))


@pytest.mark.fuse
def test_short_reads_beside_damage_lose_no_byte_in_silence(worn: FaultyCard) -> None:
    # 1000 bytes a read, so that the damaged sector is met in its middle and after short answers.
    worn.spoil("A.MP4", Fault(short=1000, unreadable=((2 * PAGE + 1900, 2 * PAGE + 1901),)))
    read = Read(worn.path / "A.MP4").run()
    assert bytes(read.data) == with_holes(original(worn), *read.holes)
    assert len(read.holes) == 1
    assert read.holes[0].offset >= 2 * PAGE
    assert read.holes[0].offset + read.holes[0].length == 3 * PAGE


@pytest.mark.fuse
def test_a_file_that_ends_early_beside_damage_is_changed_and_not_filled_up(worn: FaultyCard) -> None:
    worn.spoil("A.MP4", Fault(short=PAGE, unreadable=((0, 1),)))
    path = worn.path.parent / "files" / "A.MP4"
    entry = listed(worn.path / "A.MP4")
    fd = os.open(worn.path / "A.MP4", os.O_RDONLY)
    os.truncate(path, 2 * PAGE)
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))
    read = Read(worn.path / "A.MP4", buffer=8 * PAGE)
    with pytest.raises(CardFileChanged):
        list(FileReader(entry, fd, read.access()).chunks(read._take, read._give))
    os.close(fd)
    assert read.lent == 0


@pytest.mark.fuse
def test_a_file_of_which_not_one_byte_came_is_unreadable_and_not_damaged(worn: FaultyCard) -> None:
    worn.spoil("A.MP4", Fault(unreadable=((0, 1 << 30),)))
    read = Read(worn.path / "A.MP4").run()
    assert read.reader is not None
    assert nothing_readable(read.reader)
    assert read.holes == [Hole(0, len(original(worn)))]
    assert read.reader.bytes_read == 0


@pytest.mark.fuse
@pytest.mark.parametrize("code", ["EIO", "EBADMSG", "EUCLEAN", "ENODATA", "EREMOTEIO", "EILSEQ"])
def test_every_error_of_a_damaged_medium_is_salvaged_around(worn: FaultyCard, code: str) -> None:
    worn.spoil("A.MP4", Fault(unreadable=((PAGE, PAGE + 1),), error=code))
    assert Read(worn.path / "A.MP4").run().holes == [Hole(PAGE, PAGE)]


@pytest.mark.fuse
def test_an_error_that_is_not_damage_ends_the_file_and_says_where(worn: FaultyCard) -> None:
    worn.spoil("A.MP4", Fault(unreadable=((16 * PAGE, 17 * PAGE),), error="EACCES"))
    read = Read(worn.path / "A.MP4", buffer=PAGE)
    with pytest.raises(CardFileUnreadable) as caught:
        read.run()
    assert caught.value.fields["offset"] == 16 * PAGE
    assert read.lent == 0


@pytest.mark.fuse
def test_a_card_that_is_pulled_is_gone_and_the_rest_of_its_file_is_no_hole(worn: FaultyCard) -> None:
    worn.spoil("A.MP4", Fault(gone_at=20 * PAGE))
    read = Read(worn.path / "A.MP4")
    with pytest.raises(CardGone):
        read.run()
    assert read.holes == []
    assert read.lent == 0
    assert original(worn).startswith(bytes(read.data))


@pytest.mark.fuse
def test_a_pulled_card_that_answers_like_a_bad_sector_is_gone_all_the_same(worn: FaultyCard) -> None:
    worn.spoil("A.MP4", Fault(unreadable=((PAGE, 1 << 30),)))
    entry = listed(worn.path / "A.MP4")
    fd = os.open(worn.path / "A.MP4", os.O_RDONLY)
    gone = CardAccess(open=lambda _: -1, is_there=lambda: False)
    read = Read(worn.path / "A.MP4")
    with pytest.raises(CardGone):
        list(FileReader(entry, fd, gone).chunks(read._take, read._give))
    os.close(fd)


# --- a directory that lies -----------------------------------------------------------------------------------


@pytest.mark.fuse
@pytest.mark.parametrize("sectors", [1, 2, 17, 64, 1023, 1024, 1025, 2048])
def test_a_file_that_is_listed_larger_than_its_card_ends_with_its_last_readable_sector(
    worn: FaultyCard, sectors: int
) -> None:
    # A worn FAT entry: a size without clusters behind it, for which the driver answers EIO.
    real = worn.path.parent / "files" / "A.MP4"
    data = os.urandom(sectors * PAGE - 100)
    real.write_bytes(data)
    os.truncate(real, 1 << 40)
    worn.spoil("A.MP4", Fault(unreadable=((sectors * PAGE, 1 << 41),)))
    read = Read(worn.path / "A.MP4", capacity=64 << 20).run()
    assert bytes(read.data) == data + bytes(100)
    assert read.holes == [Hole(sectors * PAGE, (1 << 40) - sectors * PAGE)]
    assert read.digest == sha256(read.data)
    assert read.lent == 0


@pytest.mark.fuse
def test_a_file_that_is_listed_larger_than_its_card_keeps_what_lies_behind_a_bad_sector(worn: FaultyCard) -> None:
    real = worn.path.parent / "files" / "A.MP4"
    data = original(worn)[: 40 * PAGE]
    os.truncate(real, 1 << 40)
    worn.spoil("A.MP4", Fault(unreadable=((3 * PAGE, 4 * PAGE), (40 * PAGE, 1 << 41))))
    read = Read(worn.path / "A.MP4", capacity=64 << 20).run()
    assert bytes(read.data) == with_holes(data, Hole(3 * PAGE, PAGE))
    assert read.holes == [Hole(3 * PAGE, PAGE), Hole(40 * PAGE, (1 << 40) - 40 * PAGE)]


@pytest.mark.fuse
def test_a_file_that_is_listed_larger_than_its_card_and_cannot_be_read_at_all_is_unreadable(worn: FaultyCard) -> None:
    os.truncate(worn.path.parent / "files" / "A.MP4", 1 << 40)
    worn.spoil("A.MP4", Fault(unreadable=((0, 1 << 41),)))
    with pytest.raises(CardFileUnreadable):
        Read(worn.path / "A.MP4", capacity=64 << 20).run()


def test_a_file_that_fits_its_card_is_believed(file: Path) -> None:
    assert bytes(Read(file, capacity=file.stat().st_size).run().data) == file.read_bytes()


# --- the second read ---------------------------------------------------------------------------------------


def second_read(path: Path, sha: str) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        entry = listed(path)
        # The first read, which leaves its pages in the cache.
        assert len(os.pread(fd, entry.size, 0)) == entry.size
        return read_again(entry, fd, sha, memoryview(bytearray(5000)))
    finally:
        os.close(fd)


def test_a_steady_source_passes_its_second_read(file: Path) -> None:
    assert second_read(file, sha256(file.read_bytes())) == file.stat().st_size


@pytest.mark.fuse
def test_a_card_that_returns_other_bytes_the_second_time_is_found(worn: FaultyCard) -> None:
    worn.spoil("A.MP4", Fault(unsteady_at=20 * PAGE))
    with pytest.raises(SourceUnsteady):
        second_read(worn.path / "A.MP4", sha256(original(worn)))


@pytest.mark.fuse
def test_a_file_that_grows_without_telling_its_size_is_noticed_too(worn: FaultyCard) -> None:
    # Attributes of a network or FUSE card may be cached: the byte after the end is asked for.
    worn.spoil("A.MP4", Fault(endless=True))
    read = Read(worn.path / "A.MP4")
    with pytest.raises(CardFileChanged):
        read.run()
    assert bytes(read.data) == original(worn)


@pytest.mark.fuse
def test_a_source_without_an_end_is_read_to_its_listed_size_only(worn: FaultyCard) -> None:
    worn.spoil("A.MP4", Fault(endless=True))
    assert second_read(worn.path / "A.MP4", sha256(original(worn))) == len(original(worn))


@pytest.mark.fuse
def test_a_second_read_that_fails_says_where(worn: FaultyCard) -> None:
    entry = listed(worn.path / "A.MP4")
    fd = os.open(worn.path / "A.MP4", os.O_RDONLY)
    worn.spoil("A.MP4", Fault(unreadable=((16 * PAGE, 17 * PAGE),)))
    with pytest.raises(CardError) as caught:
        read_again(entry, fd, "", memoryview(bytearray(PAGE)))
    os.close(fd)
    assert caught.value.fields["offset"] == 16 * PAGE
