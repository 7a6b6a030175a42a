"""From card to store: three threads that overlap reading, writing and proving, in the protocol's order.

    reader   card → hash → buffers
    writer   buffers → temp, a proven mark every 64 MiB
    prover   fsync → drop cache → read back → compare → row → rename → directory fsync → row

The next file is copied while the last is proven; small files share the prover's commits and
directory fsyncs. Trouble with one file ends that file; one for which there is no room is passed
over, so that smaller ones behind it do not wait with it; one bad place of the store's disk is
stepped around. Other trouble with the store ends the run with what was proven so far kept
(``StoreError``), and no thread is left waiting (``Channel``).
"""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from dockd.errors import (
    CardError,
    CardFileChanged,
    CardFileUnreadable,
    CardGone,
    NotAnswering,
    ProofFailed,
    SourceUnsteady,
    StoreFull,
    StoreMissing,
    store_error,
)
from dockd.nouns import Entry, Hole, ParsedName
from dockd.offload import durable
from dockd.offload.channel import Channel, Stopped
from dockd.offload.layout import QUARANTINE
from dockd.offload.readback import ReadBack, read_back
from dockd.offload.reader import (
    CHUNK,
    DAMAGED,
    CardAccess,
    Chunk,
    FileReader,
    check_unchanged,
    nothing_readable,
    prove_prefix,
    read_again,
)
from dockd.offload.settle import Settlement, settle
from dockd.offload.steps import Passed, Step, ignore
from dockd.register.station import MARKER
from dockd.register.tables import LocationState
from dockd.register.transfers import KnownFootage, Placed, Proven

_BUFFERS = 5  # of 4 MiB each: what a card gives while the disk takes a mark
_IN_PROOF = 256 << 20  # bytes that may wait for the prover: bounds dirty memory
_LEAST_WEIGHT = 4 << 20  # so that at most 64 small files wait
_GROUP_FILES = 64
_GROUP_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Job:
    """One file to copy. ``resume`` is true where ``temp`` exists; ``marks`` are its proven prefixes."""

    observation_id: int
    entry: Entry
    temp: str
    final: str
    file_no: str
    docked_at: datetime
    parsed: ParsedName | None = None
    resume: bool = False
    marks: tuple[tuple[int, str], ...] = ()
    attempt: int = 1


class Bookkeeping(Protocol):
    """What is written down between the acts; each call is durable when it returns."""

    def mark(self, observation_id: int, offset: int, prefix_sha256: str) -> None: ...
    def resumed(self, observation_id: int, offset: int) -> None: ...
    def verified(self, proven: Sequence[Proven]) -> None: ...
    def stored(self, placed: Sequence[Placed]) -> None: ...
    def stored_again(self, placed: Placed, known: KnownFootage) -> None: ...
    def already(self, proven: Proven, known: KnownFootage, reason: str) -> None: ...
    def failed(self, observation_id: int, reason: str, *, keep_temp: bool = False) -> None: ...
    def again(self, observation_id: int, temp: str, *, aside: str, finding: str) -> None: ...
    def equals(self, proven: Sequence[Proven]) -> dict[str, list[KnownFootage]]: ...


class Watch(Protocol):
    """Who looks on: counters for the screen."""

    def reading(self, entry: Entry, offset: int) -> None: ...
    def read(self, count: int) -> None: ...
    def proving(self, entry: Entry) -> None: ...
    def settled(self, entry: Entry, proven_bytes: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a copy needs besides its jobs. ``before_write`` raises when this process may not write any more."""

    store: str
    access: CardAccess
    books: Bookkeeping
    watch: Watch
    now: Callable[[], datetime]
    parse: Callable[[bytes], ParsedName | None]
    reserve: Callable[[int], int]
    before_write: Callable[[], None]
    passed: Passed = ignore
    read_twice: bool = False


@dataclass(slots=True)
class Failure:
    """A file that is not stored, and why."""

    job: Job
    error: CardError | ProofFailed


@dataclass(slots=True)
class CopyResult:
    """What a run did. ``differing`` files were read back wrong twice: the store is not to be trusted.

    ``unsteady`` files were given by the card in two ways: the first is kept, and which one is right is not known.
    """

    bytes_read: int = 0
    bytes_stored: int = 0
    failures: list[Failure] = field(default_factory=list)
    card_gone: bool = False
    unsteady: list[Job] = field(default_factory=list)
    differing: list[Job] = field(default_factory=list)
    first_byte_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Begin:
    job: Job
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class _Copied:
    """A complete temp, its descriptor open: what the writer hands to the prover."""

    job: Job
    sha256: str
    size: int
    holes: tuple[Hole, ...]
    unsteady: bool = False
    fd: int = -1


@dataclass(frozen=True, slots=True)
class _Failed:
    job: Job
    error: CardError


_Message = _Begin | Chunk | _Copied | _Failed


def copy_files(jobs: Sequence[Job], around: Surroundings, result: CopyResult) -> None:
    """Copies and proves ``jobs``, counting in ``result``. On return each is stored, known, or a failure.

    A file whose read-back differs is set aside and copied once more from its first byte; if
    it differs again it is in ``differing`` and nothing calls it stored. Raises StoreFull where
    files did not fit (all others are done), StoreError
    (what was proven is kept, temps wait for the next run), NotAnswering (the same; its reader is left
    behind) and whatever ``before_write`` raises.
    """
    redo = _Run(around, result).run(jobs)
    for job in _Run(around, result).run(redo):
        around.books.failed(job.observation_id, "copy_differs")
        result.differing.append(job)


class _Run:
    """One pass over some jobs."""

    def __init__(self, around: Surroundings, result: CopyResult) -> None:
        self._around = around
        self._result = result
        self._redo: list[Job] = []
        self._full: StoreFull | None = None
        self._unfit: Job | None = None
        self._stepped_around = 0
        self._errors: list[BaseException] = []
        self._free: Channel[memoryview] = Channel(_BUFFERS)
        self._to_writer: Channel[_Message] = Channel(_BUFFERS * 4)
        self._to_prover: Channel[_Copied] = Channel(_IN_PROOF)
        self._group: list[tuple[_Copied, Proven]] = []
        self._root = (0, 0)
        self._folders: set[str] = set()
        self._named: set[str] = set()  # temps whose names are on the medium

    def run(self, jobs: Sequence[Job]) -> list[Job]:
        """Runs the three threads to their end; returns the jobs that must be copied again."""
        if not jobs:
            return []
        with durable.blaming_store(self._around.store):
            self._root = self._identify_root()
        for _ in range(_BUFFERS):
            self._free.put(memoryview(bytearray(CHUNK)))
        stages = (lambda: self._read_all(jobs), self._write_all, self._prove_all)
        threads = [threading.Thread(target=self._guard, args=(stage,), daemon=True) for stage in stages]
        for thread in threads:
            thread.start()
        try:
            self._wait(threads)
        except BaseException as error:
            # Interrupted: no one may write on once the caller has let go of the card's lock.
            # The reader is not waited for: it writes nothing, and its card may never answer.
            self._stop()
            for thread in threads[1:]:
                thread.join()
            if isinstance(error, NotAnswering) and self._errors:
                raise self._errors[0] from None
            raise
        finally:
            for copied in self._to_prover.drain():
                os.close(copied.fd)
        if self._errors:
            raise self._errors[0]
        if self._full:
            raise self._full
        return self._redo

    def _wait(self, threads: Sequence[threading.Thread]) -> None:
        """Until all have ended; looks after the card meanwhile. Raises NotAnswering."""
        reader, access = threads[0], self._around.access
        while reader.is_alive():
            reader.join(access.look_s)
            access.look()
        for thread in threads[1:]:
            thread.join()

    def _guard(self, stage: Callable[[], None]) -> None:
        try:
            stage()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread, never swallowed
            self._errors.append(error)
            self._stop()

    def _stop(self) -> None:
        for channel in (self._free, self._to_writer, self._to_prover):
            channel.stop()

    # --- reader ---------------------------------------------------------------------------------

    def _read_all(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if self._result.card_gone:
                self._to_writer.put(_Failed(job, CardGone(path=job.entry.display)))
                continue
            try:
                self._read_one(job)
            except CardError as error:
                # Whatever a pulled card answers, its temps wait for its return.
                self._result.card_gone = isinstance(error, CardGone) or not self._around.access.is_there()
                gone = CardGone(path=job.entry.display)
                self._to_writer.put(_Failed(job, gone if self._result.card_gone else error))
        self._to_writer.close()

    def _read_one(self, job: Job) -> None:
        reader = FileReader(job.entry, self._around.access.open(job.entry), self._around.access)
        try:
            with self._around.access.asking():
                check_unchanged(reader.fd, job.entry)
            reader.measure()
            if job.resume and job.marks:
                self._take_up(job, reader)
            if self._result.first_byte_at is None:
                self._result.first_byte_at = self._around.now()
            self._around.watch.reading(job.entry, reader.offset)
            self._to_writer.put(_Begin(job, reader.offset, reader.end))
            for chunk in reader.chunks(self._buffer, self._free.put):
                self._around.watch.read(len(chunk.data))
                self._to_writer.put(chunk)
                if job is self._unfit:
                    return
            self._finish(job, reader)
        finally:
            # What was read does not depend on what a dead card says to its leave.
            with self._around.access.asking(), suppress(OSError):
                os.close(reader.fd)
            self._result.bytes_read += reader.bytes_read

    def _buffer(self) -> memoryview:
        view = self._free.get()
        if view is None:
            raise Stopped
        return view

    def _take_up(self, job: Job, reader: FileReader) -> None:
        with durable.blaming_store(self._around.store):
            buffer = self._buffer()
            fd = os.open(f"{self._around.store}/{job.temp}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                reader.hasher, reader.offset = prove_prefix(fd, job.marks, buffer)
            finally:
                os.close(fd)
            self._free.put(buffer)

    def _finish(self, job: Job, reader: FileReader) -> None:
        digest = reader.finish()
        if nothing_readable(reader):
            raise CardFileUnreadable(path=job.entry.display, offset=0, reason="EIO")
        unsteady = self._around.read_twice and not reader.holes and not self._is_steady(reader, digest)
        self._around.passed(Step.SOURCE_READ)
        self._to_writer.put(_Copied(job, digest, reader.end, tuple(reader.holes), unsteady))

    def _is_steady(self, reader: FileReader, digest: str) -> bool:
        """Whether the card gives the same bytes a second time. Raises CardGone, CardFileChanged."""
        access, buffer = self._around.access, self._buffer()
        try:
            reader.bytes_read += read_again(reader.entry, reader.fd, digest, buffer, asking=access.asking)
        except (SourceUnsteady, CardFileUnreadable):
            if not access.is_there():
                raise CardGone(path=reader.entry.display) from None
            return False
        finally:
            self._free.put(buffer)
        return True

    # --- writer ---------------------------------------------------------------------------------

    def _write_all(self) -> None:
        fd, job = -1, None
        try:
            while (message := self._to_writer.get()) is not None:
                if job is self._unfit and isinstance(message, Chunk | _Copied):
                    self._pass_over(message)
                elif isinstance(message, Chunk):
                    assert job is not None
                    self._write(fd, job, message)
                elif isinstance(message, _Begin):
                    job = message.job
                    fd = self._begin(message)
                elif isinstance(message, _Copied):
                    weight = max(message.size, _LEAST_WEIGHT)
                    self._to_prover.put(replace(message, fd=fd), min(weight, _IN_PROOF))
                    fd = -1
                else:
                    begun, fd = fd, -1
                    self._abandon(message, begun)
        except StoreFull as error:
            # What is copied whole needs no more room: it is proven and stored before the run ends.
            self._errors.append(error)
            self._free.stop()
            self._to_writer.stop()
        finally:
            if fd >= 0:
                os.close(fd)
        self._to_prover.close()

    def _begin(self, begin: _Begin) -> int:
        """The open temp; nothing (-1) where the file does not fit: it waits, and others are copied."""
        job, around = begin.job, self._around
        around.before_write()
        with durable.blaming_store(around.store):
            self._require_root()
            if full := self._lack_of_room(begin):
                self._full, self._unfit = self._full or full, job
                return -1
            self._require_folder(os.path.dirname(job.temp))
        if job.resume:
            around.books.resumed(job.observation_id, begin.offset)
        with durable.blaming_store(around.store):
            fd = self._open_temp(begin)
        around.passed(Step.TEMP_CREATED)
        return fd

    def _open_temp(self, begin: _Begin) -> int:
        path = f"{self._around.store}/{begin.job.temp}"
        if begin.job.resume:
            os.chmod(path, 0o640)  # it may have been sealed just before the crash
            fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        else:
            fd = durable.create_temp(path)
        try:
            self._require_root()  # asked again: now nothing has come between
            os.ftruncate(fd, begin.offset)
            durable.preallocate(fd, begin.size)
        except (OSError, StoreMissing):
            os.close(fd)
            raise
        return fd

    def _identify_root(self) -> tuple[int, int]:
        os.stat(f"{self._around.store}/{MARKER}")
        found = os.stat(self._around.store)
        return found.st_dev, found.st_ino

    def _require_root(self) -> None:
        # Under an unmounted store lies a directory that would take everything, on the wrong disk.
        if self._identify_root() != self._root:
            raise StoreMissing(path=self._around.store)

    def _require_folder(self, folder: str) -> None:
        if folder not in self._folders:
            durable.make_directories(self._around.store, folder)
            self._folders.add(folder)

    def _lack_of_room(self, begin: _Begin) -> StoreFull | None:
        """What is to be said unless the rest of the file fits: a temp that is taken over holds its space already."""
        store, job = self._around.store, begin.job
        held = os.lstat(f"{store}/{job.temp}").st_blocks * 512 if job.resume else 0
        need = max(0, begin.size - held)
        fs = os.statvfs(store)
        free, reserve = fs.f_bavail * fs.f_frsize, self._around.reserve(fs.f_blocks * fs.f_frsize)
        if free - need < reserve:
            return StoreFull(path=store, need=need, free=free, reserve=reserve)
        return None

    def _pass_over(self, message: Chunk | _Copied) -> None:
        if isinstance(message, Chunk):
            assert isinstance(message.data.obj, bytearray)
            self._free.put(memoryview(message.data.obj))

    def _write(self, fd: int, job: Job, chunk: Chunk) -> None:
        around = self._around
        around.before_write()
        with durable.blaming_store(around.store):
            durable.write_all(fd, chunk.data, chunk.offset)
        end = chunk.offset + len(chunk.data)
        assert isinstance(chunk.data.obj, bytearray)
        self._free.put(memoryview(chunk.data.obj))
        around.passed(Step.CHUNK_WRITTEN)
        if chunk.mark:
            with durable.blaming_store(around.store):
                self._sync_prefix(fd, job)
            around.passed(Step.MARK_SYNCED)
            around.books.mark(job.observation_id, end, chunk.mark)
            around.passed(Step.MARK_KEPT)

    def _sync_prefix(self, fd: int, job: Job) -> None:
        """A mark promises that the prefix can be found again after a power cut: resume is honest."""
        os.fdatasync(fd)  # its bytes
        if job.temp not in self._named:
            durable.fsync_directory(os.path.dirname(f"{self._around.store}/{job.temp}"))  # the temp's name
            self._named.add(job.temp)

    def _abandon(self, failed: _Failed, fd: int) -> None:
        """The card's trouble: a temp with hope of more is kept for the card's return, else removed."""
        job, error = failed.job, failed.error
        has_temp = fd >= 0 or job.resume
        if fd >= 0:
            os.close(fd)
        keep = has_temp and _is_worth_keeping(job, error)
        self._around.books.failed(job.observation_id, reason_of(error), keep_temp=keep)
        if has_temp and not keep:
            with durable.blaming_store(self._around.store):
                durable.remove_durably(f"{self._around.store}/{job.temp}")
        self._result.failures.append(Failure(job, error))
        self._around.watch.settled(job.entry, 0)

    # --- prover ---------------------------------------------------------------------------------

    def _prove_all(self) -> None:
        try:
            while (copied := self._to_prover.get()) is not None:
                self._prove_one(copied)
                while self._group_has_room() and (more := self._to_prover.get_now()):
                    self._prove_one(more)
                self._keep_group()
        finally:
            for copied, _ in self._group:
                os.close(copied.fd)

    def _group_has_room(self) -> bool:
        total = sum(proven.size for _, proven in self._group)
        return len(self._group) < _GROUP_FILES and total < _GROUP_BYTES

    def _prove_one(self, copied: _Copied) -> None:
        try:
            proven = self._prove(copied)
        except BaseException:
            os.close(copied.fd)
            raise
        if isinstance(proven, str):
            os.close(copied.fd)
            self._set_aside(copied.job, proven)
        else:
            self._group.append((copied, proven))

    def _prove(self, copied: _Copied) -> Proven | str:
        """The proof of a copy that is about to join the group, or what is wrong with what the medium returned."""
        self._around.watch.proving(copied.job.entry)
        found = self._read_back(copied)
        if found is None:
            return "copy_unreadable"
        if (found.sha256, found.size) != (copied.sha256, copied.size):
            return "copy_differs"
        if any(proven.sha256 == copied.sha256 for _, proven in self._group):
            self._keep_group()  # equal bytes are settled one after the other
        number, at = copied.job.observation_id, self._around.now()
        if copied.unsteady:
            self._result.unsteady.append(copied.job)
        return Proven(number, copied.sha256, found.size, found.via, at, copied.holes, copied.unsteady)

    def _read_back(self, copied: _Copied) -> ReadBack | None:
        """What the medium returned; None for the run's first file that has a place which cannot be read."""
        around, mtime = self._around, copied.job.entry.mtime_ns
        with durable.blaming_store(around.store):
            os.fchmod(copied.fd, 0o440)
            with suppress(OverflowError, ValueError):  # a hostile card's date; the register keeps it as it was
                os.utime(copied.fd, ns=(mtime, mtime))
            # Data, length, mode and mtime on the medium; before this the cache cannot be dropped.
            os.fsync(copied.fd)
            around.passed(Step.TEMP_SYNCED)
            try:
                found = read_back(copied.fd)
            except OSError as error:
                if error.errno not in DAMAGED or copied.job.attempt > 1 or self._stepped_around:
                    raise  # a disk that fails twice in one visit is failing: everything waits
                durable.prove_writable(around.store)
                self._stepped_around += 1
                return None
        around.passed(Step.READ_BACK)
        return found

    def _set_aside(self, job: Job, finding: str) -> None:
        """What the medium returned is not what was written: it is kept as evidence and the file copied once more.

        The evidence also keeps the bad place of the disk, so that the second copy lies elsewhere.
        """
        around = self._around
        with durable.blaming_store(around.store):
            aside = f"{QUARANTINE}/{os.path.basename(job.final)}.differs-{job.attempt}"
            place = durable.move_aside(around.store, job.temp, aside)
        around.books.again(job.observation_id, job.temp, aside=place, finding=finding)
        self._redo.append(replace(job, resume=False, marks=(), attempt=job.attempt + 1))

    def _keep_group(self) -> None:
        group, self._group = self._group, []
        if not group:
            return
        around = self._around
        for copied, _ in group:
            os.close(copied.fd)
        around.before_write()
        with durable.blaming_store(around.store):
            # The row promises that the temp is there: its absence is an alarm, and must not be a power cut's work.
            for folder in sorted({os.path.dirname(copied.job.temp) for copied, _ in group}):
                durable.fsync_directory(f"{around.store}/{folder}")
        around.books.verified([proven for _, proven in group])
        around.passed(Step.VERIFIED_KEPT)
        stored = place_proven([(copied.job, proven) for copied, proven in group], around)
        for copied, proven in group:
            self._result.bytes_stored += proven.size if proven.observation_id in stored else 0
            around.watch.settled(copied.job.entry, proven.size)


def place_proven(group: Sequence[tuple[Job, Proven]], around: Surroundings) -> frozenset[int]:
    """Steps 10 and 11 for files that are marked verified: settle, rename, fsync directories, rows.

    Returns the observations whose bytes are new in the store.
    """
    equals = around.books.equals([proven for _, proven in group])
    placed: list[Placed] = []
    again: list[int] = []
    for job, proven in group:
        found = settle_proven(job, proven, equals, around)
        if found.known is None or found.again:
            placed_now = _place(job, proven, around)
            if found.known is None:
                placed.append(placed_now)
            else:
                with durable.blaming_store(around.store):
                    # The same promise for what is stored again.
                    durable.fsync_directory(os.path.dirname(f"{around.store}/{job.final}"))
                around.books.stored_again(placed_now, found.known)
                again.append(job.observation_id)
        else:
            around.books.already(proven, found.known, str(found.reason))
            with durable.blaming_store(around.store):
                durable.remove_durably(f"{around.store}/{job.temp}")
    # "Stored" promises the file under its final name.
    with durable.blaming_store(around.store):
        for folder in sorted({os.path.dirname(p.final) for p in placed}):
            durable.fsync_directory(f"{around.store}/{folder}")
    around.passed(Step.DIRECTORY_SYNCED)
    around.books.stored(placed)
    around.passed(Step.STORED_KEPT)
    return frozenset(again) | {p.proven.observation_id for p in placed}


def settle_proven(job: Job, proven: Proven, equals: dict[str, list[KnownFootage]], around: Surroundings) -> Settlement:
    """What the proven bytes are, given footage with ``equals`` digests."""
    found = settle(
        job.entry.path,
        job.parsed,
        equals.get(proven.sha256, []),
        parse=around.parse,
        is_present=lambda known: is_present(around.store, known),
    )
    if found.known and found.again:
        return replace(found, known=replace(found.known, state=look_for(around.store, found.known)))
    return found


def _place(job: Job, proven: Proven, around: Surroundings) -> Placed:
    temp, final = f"{around.store}/{job.temp}", f"{around.store}/{job.final}"
    with durable.blaming_store(around.store):
        try:
            durable.rename_without_replacing(temp, final)
        except FileExistsError as error:
            if not durable.same_file(temp, final):
                raise ProofFailed(text=f"{job.final}: a file that the register does not know stands there") from error
            durable.leave_one_name(temp, final)
    around.passed(Step.RENAMED)
    return Placed(proven, job.entry, job.final, job.file_no, job.docked_at, around.now())


def is_present(store: str, known: KnownFootage) -> bool:
    """Whether the stored file is still there with its size, and not known to be missing or altered.

    Raises StoreError when the store cannot say.
    """
    return look_for(store, known) is LocationState.PRESENT


def look_for(store: str, known: KnownFootage) -> LocationState:
    """What a look at the stored file's place says of it, without reading it.

    A place that was once found wrong is so until ``dockd verify`` has proven it right. Raises StoreError.
    """
    if known.state is not LocationState.PRESENT:
        return known.state
    try:
        found = os.lstat(f"{store}/{known.location}")
    except (FileNotFoundError, NotADirectoryError) as error:
        if not os.path.exists(f"{store}/{MARKER}"):
            raise StoreMissing(path=store) from error  # not mounted: that says nothing of its files
        return LocationState.MISSING
    except OSError as error:
        raise store_error(error, store) from error
    whole = stat.S_ISREG(found.st_mode) and found.st_size == known.size
    return LocationState.PRESENT if whole else LocationState.ALTERED


def _is_worth_keeping(job: Job, error: CardError) -> bool:
    """Whether a temp can be completed later, or holds proven bytes that the card may never give again."""
    if isinstance(error, CardGone):
        return True
    return bool(job.marks) and not isinstance(error, CardFileChanged)


def reason_of(error: CardError) -> str:
    """The code that register and ``--json`` carry for a file that is not stored."""
    if isinstance(error, CardFileUnreadable):
        return f"unreadable_at:{error.fields['offset']}"
    if isinstance(error, CardFileChanged):
        return "changed_while_read"
    return error.name
