"""Breaks one guard of the copy protocol after the other and asks whether a test notices.

    python tests/faults/mutants.py [-k WORDS] [--jobs N] [--list]

Each mutant is a textual patch of a temporary copy of the source tree; the tests that are named with it are run
there. ``killed``: a test failed, or hung until its time was up. ``SURVIVED``: a guard without a test.
Nothing is run where a mutant names a test that pytest does not collect: it would be judged by nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 300

PIPELINE, READER, RECOVER = "dockd/offload/pipeline.py", "dockd/offload/reader.py", "dockd/offload/recover.py"
DURABLE, READBACK, PLAN = "dockd/offload/durable.py", "dockd/offload/readback.py", "dockd/offload/plan.py"
SETTLE, LOCK, TRANSFERS = "dockd/offload/settle.py", "dockd/offload/lock.py", "dockd/register/transfers.py"
STORY, COPYING, PLANNING = "dockd/visit/story.py", "dockd/visit/copying.py", "dockd/visit/planning.py"
RECOVERY, MIRROR, SESSION = "dockd/visit/recovery.py", "dockd/register/mirror.py", "dockd/register/session.py"

T_PIPELINE, T_READER, T_CRASH = (f"tests/offload/test_{name}.py" for name in ("pipeline", "reader", "crash"))
T_RECOVER, T_DURABLE, T_READBACK = (f"tests/offload/test_{name}.py" for name in ("recover", "durable", "readback"))
T_PLAN, T_SETTLE, T_LOCK = (f"tests/offload/test_{name}.py" for name in ("plan", "settle", "lock"))
T_SOAK, T_CUT, T_FSYNC = (f"tests/faults/test_{name}.py" for name in ("soak", "power_cut", "each_fsync"))
T_ACTS = "tests/faults/test_durable_acts.py"
T_WHOLE = f"{T_FSYNC}::test_nothing_is_found_where_nothing_is_left_out"
T_PROBE, CHILD = "tests/footage/test_probe.py", "dockd/footage/probe_child.py"
T_ORDER, T_GUARDS = "tests/offload/test_order_of_acts.py", "tests/offload/test_copy_guards.py"


@dataclass(frozen=True)
class Change:
    """``old`` stands in ``file`` exactly once and becomes ``new``."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """One broken guard, and the tests (files or node ids, all are run) of which one must fail."""

    name: str
    changes: tuple[Change, ...]
    tests: tuple[str, ...]


def broken(name: str, file: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, (Change(file, old, new),), tests)


# --- what is durable before what is said ---------------------------------------------------------------------

DURABILITY = (
    broken(
        "no fdatasync before a mark is kept",
        PIPELINE,
        "        os.fdatasync(fd)  # its bytes\n",
        "",
        T_ORDER,
    ),
    broken(
        "no fsync before the read-back",
        PIPELINE,
        "            os.fsync(copied.fd)\n",
        "",
        T_ORDER,
    ),
    broken(
        "no fsync of a temp's name before a mark is kept",
        PIPELINE,
        '            durable.fsync_directory(os.path.dirname(f"{self._around.store}/{job.temp}"))',
        "            pass",
        T_ORDER,
    ),
    broken(
        "no fsync of a temp's name before it is called verified",
        PIPELINE,
        "            for folder in sorted({os.path.dirname(copied.job.temp) for copied, _ in group}):",
        "            for folder in ():",
        T_ORDER,
    ),
    broken(
        "no fsync of the directory after the rename",
        PIPELINE,
        "        for folder in sorted({os.path.dirname(p.final) for p in placed}):",
        "        for folder in ():",
        T_ORDER,
    ),
    broken(
        "no fsync of the directory of what is stored again",
        PIPELINE,
        '                    durable.fsync_directory(os.path.dirname(f"{around.store}/{job.final}"))\n',
        "                    pass\n",
        T_ORDER,
    ),
    broken(
        "no fsync of a new directory's name",
        DURABLE,
        "        fsync_directory(parent)\n",
        "",
        f"{T_DURABLE}::test_every_new_directorys_name_is_on_the_medium",
    ),
    broken(
        "no fsync of a directory that somebody else made",
        DURABLE,
        "            os.mkdir(path, 0o750)\n        fsync_directory(parent)\n",
        "            os.mkdir(path, 0o750)\n            fsync_directory(parent)\n",
        f"{T_DURABLE}::test_a_directory_that_another_process_had_just_made_is_synced_all_the_same",
    ),
    broken(
        "no fsync of any directory",
        DURABLE,
        "        os.fsync(fd)\n",
        "        pass\n",
        f"{T_DURABLE}::test_every_new_directorys_name_is_on_the_medium",
    ),
    broken(
        "a failed fsync of a directory is swallowed",
        DURABLE,
        "        if error.errno != errno.EINVAL:",
        "        if False and error.errno != errno.EINVAL:",
        f"{T_DURABLE}::test_a_failed_fsync_of_a_directory_is_told",
    ),
    broken(
        "no fsync of the directory that a temp was removed from",
        DURABLE,
        "        fsync_directory(os.path.dirname(path))\n",
        "        pass\n",
        f"{T_DURABLE}::test_a_removed_temp_is_gone_from_its_directory_on_the_medium",
    ),
    broken(
        "no fsync of the directory that evidence is moved to",
        DURABLE,
        "        fsync_directory(os.path.dirname(new))\n    else:\n",
        "    else:\n",
        T_DURABLE,
    ),
    broken(
        "no fsync of the directory that evidence is moved from",
        DURABLE,
        '    fsync_directory(os.path.dirname(f"{root}/{relative}"))\n',
        "",
        T_ORDER,
    ),
    broken(
        "no fsync before recovery's read-back",
        RECOVER,
        "            os.fsync(fd)\n            found = read_back(fd)\n",
        "            found = read_back(fd)\n",
        T_ORDER,
    ),
    broken(
        "no fsync of the directory when recovery stores what had its final name",
        RECOVER,
        '        durable.fsync_directory(os.path.dirname(f"{around.store}/{job.final}"))\n',
        "        pass\n",
        T_ORDER,
    ),
    broken(
        "the register does not wait for the medium",
        SESSION,
        '("journal_mode=WAL", "synchronous=FULL"',
        '("journal_mode=WAL", "synchronous=NORMAL"',
        "tests/register/test_register_session.py",
    ),
    broken(
        "no fsync of the ledger's mirror",
        MIRROR,
        "        os.fsync(fd)  # and the lines' bytes\n",
        "",
        T_ORDER,
    ),
    broken(
        "no fsync of a name before the old one goes",
        DURABLE,
        "    fsync_directory(os.path.dirname(new))\n    os.unlink(old)",
        "    os.unlink(old)",
        f"{T_ACTS}::test_at_no_moment_of_a_rename_has_a_file_no_name",
    ),
    broken(
        "no fsync of the name of a new file of the mirror",
        MIRROR,
        "        disk.sync_folder(folder)  # the mirror promises its lines on the medium: the new file's name\n",
        "        pass\n",
        f"{T_WHOLE}[mirror_only]",
    ),
    broken(
        "no fsync of lines whose writer was killed",
        MIRROR,
        "        os.fsync(fd)  # who wrote these lines may have been killed before he synced them\n",
        "",
        f"{T_WHOLE}[mirror_only-killed at -2]",
    ),
    broken(
        "no fsync of a mirror's file whose maker was killed",
        MIRROR,
        "            disk.sync_folder(place)\n",
        "            pass\n",
        f"{T_WHOLE}[mirror_only-killed at -1]",
    ),
    broken(
        "no fsync of a new station's configuration",
        "dockd/cli/founding.py",
        "        os.fsync(stream.fileno())  # the configuration's name promises whole bytes\n",
        "",
        f"{T_WHOLE}[founded]",
    ),
    broken(
        "no fsync of the name of a new station's configuration",
        "dockd/cli/founding.py",
        "        os.fsync(held)  # a station is promised: the name of its configuration\n",
        "",
        f"{T_WHOLE}[founded]",
    ),
    broken(
        "no fsync of the name of a register that was made again",
        "dockd/register/disk.py",
        "    sync_folder(folder)\n    os.unlink(temp)\n    sync_folder(os.path.dirname(temp))\n",
        "    os.unlink(temp)\n",
        f"{T_WHOLE}[rebuilt]",
    ),
    broken(
        "no fsync of the name of a damaged register",
        "dockd/register/rebuilding/place.py",
        '    disk.sync_folder(os.path.dirname(path))  # "never deleted" promises the name that it is kept under\n',
        "",
        f"{T_WHOLE}[rebuilt]",
    ),
    broken(
        "no fsync of a mirror whose torn end was cut",
        "dockd/register/rebuilding/lines.py",
        "            os.fsync(fd)  # the new register promises a mirror that ends with a whole line\n",
        "",
        f"{T_WHOLE}[rebuilt_from_torn]",
    ),
    broken(
        "no fsync of a manifest",
        "dockd/export/atomic.py",
        "        os.fsync(self._fd)\n",
        "",
        T_ORDER,
    ),
    broken(
        "no fsync of a manifest's name",
        "dockd/export/atomic.py",
        "_fsync_folder(folder)\n    finally:",
        "pass\n    finally:",
        T_ORDER,
    ),
    broken(
        "no fsync of a sidecar",
        "dockd/footage/sidecar.py",
        "        file.flush()\n        os.fsync(fd)\n",
        "        file.flush()\n",
        T_ORDER,
    ),
    broken(
        "no fsync of a sidecar's name",
        "dockd/footage/sidecar.py",
        "    _sync_name(path)  # a row promises its name; its bytes were synced before it got one\n",
        "",
        T_ORDER,
    ),
)

# --- the order of acts -----------------------------------------------------------------------------------------

ORDER = (
    Mutant(
        "stored is committed before the rename",
        (
            Change(
                PIPELINE,
                '    temp, final = f"{around.store}/{job.temp}", f"{around.store}/{job.final}"\n',
                '    temp, final = f"{around.store}/{job.temp}", f"{around.store}/{job.final}"\n'
                "    around.books.stored("
                "[Placed(proven, job.entry, job.final, job.file_no, job.docked_at, around.now())])\n",
            ),
            Change(PIPELINE, "    around.books.stored(placed)\n", ""),
        ),
        (f"{T_PIPELINE}::test_a_file_that_nobody_knows_under_the_final_name_is_never_replaced",),
    ),
    Mutant(
        "stored is committed before the directory's fsync",
        (
            Change(
                PIPELINE,
                "    with durable.blaming_store(around.store):\n        for folder in sorted({os.path.dirname(p.final)",
                "    around.books.stored(placed)\n    with durable.blaming_store(around.store):\n"
                "        for folder in sorted({os.path.dirname(p.final)",
            ),
            Change(PIPELINE, "    around.passed(Step.DIRECTORY_SYNCED)\n    around.books.stored(placed)\n", ""),
        ),
        (T_ORDER,),
    ),
    Mutant(
        "the rename comes before verified is committed",
        (
            Change(PIPELINE, "        around.books.verified([proven for _, proven in group])\n", ""),
            Change(
                PIPELINE,
                "    around.passed(Step.RENAMED)\n",
                "    around.passed(Step.RENAMED)\n    around.books.verified([proven])\n",
            ),
        ),
        (f"{T_CRASH}::test_a_crash_at_any_step_is_put_right_by_the_next_visit",),
    ),
    broken(
        "a mark is kept before its bytes are on the medium",
        PIPELINE,
        "        if chunk.mark:\n",
        "        if chunk.mark:\n            around.books.mark(job.observation_id, end, chunk.mark)\n"
        "            chunk = replace(chunk, mark=None)\n        if chunk.mark:\n",
        T_ORDER,
    ),
    broken(
        "the ledger does not tell of what is stored",
        TRANSFERS,
        '                kind="footage.stored",',
        '                kind="footage.told",',
        f"{T_SOAK}::test_the_soak_would_notice",
    ),
)

# --- reading ---------------------------------------------------------------------------------------------------

READING = (
    broken(
        "the source is not looked at again at its end",
        READER,
        "            check_unchanged(self.fd, self.entry)\n            if self.end == ",
        "            if self.end == ",
        f"{T_READER}::test_a_file_that_was_rewritten_while_it_was_read_is_changed",
    ),
    broken(
        "nobody looks whether the source goes on after its listed size",
        READER,
        "            if self.end == self.entry.size and os.pread(self.fd, 1, self.end):",
        "            if False:",
        f"{T_READER}::test_a_file_that_grows_without_telling_its_size_is_noticed_too",
    ),
    Mutant(
        "EIO is taken for the end of the file",
        (
            Change(READER, "            return self._salvage(view)\n", "            return 0\n"),
            Change(
                READER,
                "                if count == 0:\n                    raise CardFileChanged(path=self.entry.display)\n"
                "            except CardError:",
                "                if count == 0:\n                    return\n            except CardError:",
            ),
        ),
        (f"{T_PIPELINE}::test_a_damaged_file_is_stored_with_its_holes_and_the_digest_of_what_was_saved",),
    ),
    broken(
        "EIO becomes zeros that nobody is told of",
        READER,
        "            self._add_hole(start, len(part))\n",
        "",
        f"{T_READER}::test_every_readable_sector_is_kept_at_its_offset",
    ),
    broken(
        "a pulled card's EIO becomes a hole",
        READER,
        "            self._require_card()\n            part[:]",
        "            part[:]",
        f"{T_READER}::test_a_pulled_card_that_answers_like_a_bad_sector_is_gone_all_the_same",
    ),
    broken(
        "a file of which not one byte came is called damaged",
        PIPELINE,
        "        if nothing_readable(reader):",
        "        if False:",
        f"{T_PIPELINE}::test_thirty_unreadable_files_in_a_row_hold_up_nothing",
    ),
    broken(
        "bytes after a hole are marked",
        READER,
        " and self.offset < self.end and not self.holes",
        " and self.offset < self.end",
        f"{T_READER}::test_no_mark_is_made_after_a_hole_because_a_resume_could_not_find_it_again",
    ),
    broken(
        "the second read is not compared",
        READER,
        "    if digest.hexdigest() != sha256:\n        raise SourceUnsteady",
        "    if False:\n        raise SourceUnsteady",
        f"{T_READER}::test_a_card_that_returns_other_bytes_the_second_time_is_found",
    ),
    broken(
        "the second read comes from memory",
        READER,
        "    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)\n    digest, offset = hashlib.sha256(), 0\n"
        "    while offset < entry.size:",
        "    digest, offset = hashlib.sha256(), 0\n    while offset < entry.size:",
        f"{T_READER}::test_a_card_that_returns_other_bytes_the_second_time_is_found",
    ),
)

# --- resuming --------------------------------------------------------------------------------------------------

RESUMING = (
    broken(
        "a marked prefix is believed because of its length",
        READER,
        "        if digest.copy().hexdigest() != prefix:\n            return proven\n",
        "",
        f"{T_READER}::test_length_proves_nothing",
        f"{T_PIPELINE}::test_a_marked_prefix_that_changed_on_the_medium_is_copied_again",
    ),
    broken(
        "a prefix is proven from memory",
        READER,
        "    os.posix_fadvise(temp_fd, 0, 0, os.POSIX_FADV_DONTNEED)\n",
        "",
        T_GUARDS,
    ),
    broken(
        "a reset clock's marks are believed",
        PLANNING,
        "        marks=planned.adopts.journal if planned.adopts and tells else (),",
        "        marks=planned.adopts.journal if planned.adopts else (),",
        f"{T_RECOVER}::test_a_reset_clock_never_lets_a_prefix_be_believed",
    ),
    broken(
        "a held temp of another size or time is taken over",
        PLAN,
        "    fits = held is not None and (held.size, held.mtime_ns) == (entry.size, entry.mtime_ns)",
        "    fits = held is not None",
        T_PLAN,
    ),
    broken(
        "marks that were not proven stay in the journal",
        TRANSFERS,
        "    session.execute(delete(JournalRow).where("
        "JournalRow.observation_id == observation_id, JournalRow.offset > offset))\n",
        "    session.flush()\n",
        f"{T_PIPELINE}::test_a_marked_prefix_that_changed_on_the_medium_is_copied_again",
    ),
)

# --- the read-back -----------------------------------------------------------------------------------------------

READING_BACK = (
    broken(
        "the read-back is not compared",
        PIPELINE,
        "        if (found.sha256, found.size) != (copied.sha256, copied.size):",
        "        if False:",
        f"{T_PIPELINE}::test_a_copy_that_reads_back_differently_is_kept_as_evidence_and_made_anew",
    ),
    broken(
        "the read-back's digest is not compared, its length is",
        PIPELINE,
        "        if (found.sha256, found.size) != (copied.sha256, copied.size):",
        "        if found.size != copied.size:",
        f"{T_PIPELINE}::test_a_copy_that_reads_back_differently_is_kept_as_evidence_and_made_anew",
    ),
    broken(
        "the read-back comes from the cache",
        READBACK,
        "    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)\n    last",
        "    return True\n    last",
        f"{T_READBACK}::test_a_byte_that_changed_behind_the_cache_is_found",
    ),
    broken(
        "the advice to drop the cache is believed",
        READBACK,
        "    return not any(_is_cached(",
        "    return True or not any(_is_cached(",
        f"{T_READBACK}::test_a_byte_that_changed_behind_pages_that_cannot_be_dropped_is_found",
    ),
    broken(
        "pages that cannot be dropped are read all the same",
        READBACK,
        "    return _read_direct(fd, on_bytes) or _hash(fd, VerifiedVia.CACHE, on_bytes)",
        "    return _hash(fd, VerifiedVia.DROPPED, on_bytes)",
        f"{T_READBACK}::test_a_byte_that_changed_behind_pages_that_cannot_be_dropped_is_found",
    ),
    broken(
        "memory is called a medium",
        READBACK,
        "    if _is_in_memory(fd):\n",
        "    if False:\n",
        f"{T_READBACK}::test_memory_is_no_medium_and_is_called_what_it_is",
    ),
    broken(
        "a copy that differs twice is stored",
        PIPELINE,
        '        around.books.failed(job.observation_id, "copy_differs")\n',
        "",
        f"{T_PIPELINE}::test_a_copy_that_differs_twice_is_never_called_stored",
    ),
    broken(
        "a copy that differs twice is safe to remove",
        COPYING,
        "    safe = not (result.card_gone or result.differing or again)",
        "    safe = not (result.card_gone or again)",
        f"{T_PIPELINE}::test_a_copy_that_differs_twice_is_never_called_stored",
    ),
    broken(
        "a pulled card is safe to remove",
        COPYING,
        "    safe = not (result.card_gone or result.differing or again)",
        "    safe = not (result.differing or again)",
        f"{T_PIPELINE}::test_a_card_that_is_pulled_and_put_back_is_resumed_inside_the_file",
    ),
    broken(
        "a file that changed is safe to remove",
        COPYING,
        "    safe = not (result.card_gone or result.differing or again)",
        "    safe = not (result.card_gone or result.differing)",
        f"{T_PIPELINE}::test_one_file_that_changes_while_it_is_read_does_not_stop_the_others",
    ),
)

# --- names -------------------------------------------------------------------------------------------------------

NAMING = (
    broken(
        "the rename replaces what is there",
        DURABLE,
        "    if _libc.renameat2(_AT_FDCWD, os.fsencode(old), _AT_FDCWD, os.fsencode(new), _RENAME_NOREPLACE) == 0:\n",
        "    os.rename(old, new)\n    if True:\n",
        f"{T_DURABLE}::test_a_name_that_is_taken_is_never_replaced",
        f"{T_PIPELINE}::test_a_file_that_nobody_knows_under_the_final_name_is_never_replaced",
    ),
    broken(
        "without RENAME_NOREPLACE the rename replaces",
        DURABLE,
        "    os.link(old, new, follow_symlinks=False)\n    leave_one_name(old, new)\n",
        "    os.rename(old, new)\n",
        f"{T_DURABLE}::test_a_name_that_is_taken_is_never_replaced",
    ),
    broken(
        "whatever stands under the final name is taken for our own",
        PIPELINE,
        "            if not durable.same_file(temp, final):",
        "            if False:",
        f"{T_PIPELINE}::test_a_file_that_nobody_knows_under_the_final_name_is_never_replaced",
    ),
    broken(
        "a temp takes over what is there",
        DURABLE,
        "os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW",
        "os.O_RDWR | os.O_CREAT",
        f"{T_DURABLE}::test_a_temp_never_takes_over_what_is_there",
    ),
    broken(
        "evidence replaces earlier evidence",
        DURABLE,
        '            move_without_replacing(f"{root}/{relative}", f"{root}/{name}")\n',
        '            os.rename(f"{root}/{relative}", f"{root}/{name}")\n',
        f"{T_RECOVER}::test_quarantine_never_replaces_what_is_there",
    ),
)

# --- who may write, and where --------------------------------------------------------------------------------------

WRITING = (
    broken(
        "a new file is begun without asking",
        PIPELINE,
        "        job, around = begin.job, self._around\n        around.before_write()\n",
        "        job, around = begin.job, self._around\n",
        f"{T_PIPELINE}::test_a_process_that_may_not_write_any_more_stops_at_once",
        T_GUARDS,
    ),
    broken(
        "bytes are written without asking",
        PIPELINE,
        "before_write()\n        with durable.blaming_store(around.store):\n            durable.write_all",
        "before_write\n        with durable.blaming_store(around.store):\n            durable.write_all",
        T_GUARDS,
    ),
    broken(
        "files are named and called stored without asking",
        PIPELINE,
        "            os.close(copied.fd)\n        around.before_write()\n",
        "            os.close(copied.fd)\n",
        T_GUARDS,
    ),
    broken(
        "recovery writes without asking",
        RECOVER,
        "        around.before_write()\n        _recover_one(",
        "        _recover_one(",
        f"{T_RECOVER}::test_a_recovery_that_may_not_write_any_more_stops_at_once",
    ),
    broken(
        "a visit does not lock its card",
        STORY,
        "        held.enter_context(holding_card(store, card.identity.instance, wait_s=_LOCK_WAIT_S))\n",
        "        holding_card\n",
        f"{T_LOCK}::test_a_visit_of_a_card_that_is_at_work_is_refused_and_leaves_it_alone",
    ),
    broken(
        "the lock is not exclusive",
        LOCK,
        "            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)\n        except BlockingIOError:",
        "            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)\n        except BlockingIOError:",
        f"{T_LOCK}::test_a_second_process_is_told_that_the_card_is_busy",
    ),
    broken(
        "recovery does not respect a card's lock",
        RECOVERY,
        "            if lock is None:\n                continue\n",
        "",
        f"{T_RECOVER}::test_a_visit_that_is_at_work_in_another_process_is_left_alone",
    ),
    broken(
        "the space under an unmounted store is written to",
        PIPELINE,
        "        if self._identify_root() != self._root:",
        "        if False:",
        f"{T_PIPELINE}::test_a_store_that_is_unmounted_between_two_files_is_missing",
    ),
    broken(
        "the reserve is not kept",
        PIPELINE,
        "        if free - need < reserve:",
        "        if free - need < 0:",
        f"{T_PIPELINE}::test_the_reserve_is_kept_free",
    ),
    broken(
        "a failing thread tells nobody",
        PIPELINE,
        "            self._errors.append(error)\n            self._stop()\n",
        "            self._errors.append(error)\n",
        f"{T_PIPELINE}::test_an_error_of_the_operating_system_from_before_write_is_not_blamed_on_the_store",
    ),
    broken(
        "a failing thread is not reported",
        PIPELINE,
        "        if self._errors:\n            raise self._errors[0]\n",
        "",
        f"{T_PIPELINE}::test_an_error_of_the_operating_system_from_before_write_is_not_blamed_on_the_store",
    ),
)

# --- what is known already -------------------------------------------------------------------------------------------

KNOWING = (
    broken(
        "already stored without a look at the store",
        PLAN,
        "    if known and same and known_present and not known.damaged:",
        "    if known and same and not known.damaged:",
        f"{T_PIPELINE}::test_footage_that_is_gone_from_the_store_is_stored_again_as_a_further_place",
    ),
    broken(
        "a stored file of another length counts as there",
        PIPELINE,
        "    whole = stat.S_ISREG(found.st_mode) and found.st_size == known.size\n",
        "    whole = stat.S_ISREG(found.st_mode)\n",
        T_GUARDS,
    ),
    broken(
        "what is known to be altered counts as there",
        PIPELINE,
        "    if known.state is not LocationState.PRESENT:\n        return known.state\n",
        "",
        f"{T_PIPELINE}::test_footage_that_is_known_to_be_altered_is_stored_again_and_the_altered_file_kept",
    ),
    broken(
        "a reset clock tells files apart",
        PLANNING,
        "    return plausible_mtime(entry.mtime_ns, station.now(), mtime_is_wall=wall, zone=station.zone)",
        "    return bool(wall) or True",
        f"{T_PIPELINE}::test_new_footage_that_shares_path_size_and_a_reset_clock_is_never_taken_for_the_old",
    ),
    broken(
        "the plan does not ask whether a time is plausible",
        PLAN,
        "    same = known is not None and plausible and (",
        "    same = known is not None and (",
        f"{T_PLAN}::test_a_reset_clock_makes_the_file_be_read_whole",
    ),
    broken(
        "another size is the same file",
        PLAN,
        "(known.size, known.mtime_ns) == (entry.size, entry.mtime_ns)",
        "known.mtime_ns == entry.mtime_ns",
        T_PLAN,
    ),
    broken(
        "another time is the same file",
        PLAN,
        "(known.size, known.mtime_ns) == (entry.size, entry.mtime_ns)",
        "known.size == entry.size",
        T_PLAN,
    ),
    broken(
        "equal bytes are a known recording",
        SETTLE,
        "        if known.path == path:",
        "        if True:",
        f"{T_SETTLE}::test_equal_bytes_under_two_names_are_two_recordings",
    ),
    broken(
        "equal bytes in one group are not settled one after the other",
        PIPELINE,
        "            self._keep_group()  # equal bytes are settled one after the other\n",
        "            pass\n",
        T_GUARDS,
    ),
    broken(
        "a known recording without its file is not stored again",
        SETTLE,
        "Reason.SAME_BYTES if is_present(known) else Reason.STORED_AGAIN",
        "Reason.SAME_BYTES",
        f"{T_SETTLE}::test_a_known_recording_whose_file_is_gone_is_stored_again",
    ),
)

# --- recovery --------------------------------------------------------------------------------------------------------

RECOVERING = (
    broken(
        "recovery does not read back what was verified",
        RECOVER,
        "    return (found.sha256, found.size) == (held.proven.sha256, held.proven.size)",
        "    return True",
        f"{T_RECOVER}::test_verified_with_an_altered_temp_is_an_alarm_with_evidence_and_copied_anew",
        f"{T_RECOVER}::test_verified_with_an_altered_file_is_an_alarm_and_the_file_is_kept",
    ),
    broken(
        "recovery sets temps aside that belong to others",
        RECOVER,
        "        if relative not in owned:",
        "        if True:",
        f"{T_RECOVER}::test_copying_with_a_temp_is_kept_and_resumed_by_its_marks_when_the_card_returns",
    ),
    broken(
        "recovery leaves temps that belong to nobody",
        RECOVER,
        "        if relative not in owned:",
        "        if False:",
        f"{T_RECOVER}::test_a_temp_without_a_row_is_moved_to_quarantine_and_reported",
    ),
    broken(
        "recovery stores a second recording of bytes that are known",
        RECOVER,
        "    if settled.known and settled.again:",
        "    if False:",
        f"{T_RECOVER}::test_footage_that_was_being_stored_again_is_a_further_place_and_no_second_recording",
    ),
    broken(
        "nobody is told of a proven temp that vanished",
        RECOVER,
        "        found.vanished.append(held)",
        "        found.forgotten.append(held)",
        f"{T_RECOVER}::test_verified_with_neither_temp_nor_file_is_an_alarm_and_copied_anew",
    ),
    broken(
        "the bytes of a pulled card are thrown away",
        PIPELINE,
        "    if isinstance(error, CardGone):\n        return True\n",
        "",
        f"{T_PIPELINE}::test_a_card_that_is_pulled_and_put_back_is_resumed_inside_the_file",
    ),
)

# --- hostile media ---------------------------------------------------------------------------------------------------

PARSING = (
    broken(
        "playlists may be opened as what they are",
        CHILD,
        '    "format_whitelist": DEMUXERS,\n',
        "",
        f"{T_PROBE}::test_a_playlist_under_a_films_name_is_not_followed_to_a_file",
        f"{T_PROBE}::test_a_concat_script_under_a_films_name_is_not_followed",
    ),
    broken(
        "parsers may use any protocol",
        CHILD,
        '    "protocol_whitelist": "file",\n',
        "",
        "tests/footage/test_probe_options.py::test_ffprobe_may_open_files_only",
    ),
    broken(
        "ffprobe is given a bare name",
        CHILD,
        'ffmpeg.probe("file:" + path,',
        "ffmpeg.probe(path,",
        f"{T_PROBE}::test_ffprobe_is_given_a_file_and_no_other_protocol",
    ),
    broken(
        "control characters of a name reach parsers",
        "dockd/footage/probe.py",
        " or _CONTROL.search(name):",
        ":",
        f"{T_PROBE}::test_a_name_that_dockd_would_not_make_reaches_no_parser",
    ),
    broken(
        "names that look like options reach parsers",
        "dockd/footage/probe.py",
        'not any(part.startswith("-") for part in path.parts) and ',
        "",
        f"{T_PROBE}::test_a_name_that_dockd_would_not_make_reaches_no_parser",
    ),
    broken(
        "parsers reach the network",
        "dockd/footage/confine.py",
        "    return bool(_libc.unshare(own) == 0)",
        "    return True",
        f"{T_PROBE}::test_a_parser_reaches_neither_the_network_nor_other_files",
    ),
    broken(
        "parsers may use all memory",
        "dockd/footage/confine.py",
        "        (resource.RLIMIT_AS, bounds.memory_bytes),\n",
        "",
        f"{T_PROBE}::test_a_parser_that_wants_too_much_memory_does_not_get_it",
    ),
    broken(
        "a parser has all the time in the world",
        "dockd/footage/probe.py",
        "        self.deadline = time.monotonic() + self.limits.seconds_per_file\n",
        "        self.deadline = time.monotonic() + 10**6\n",
        f"{T_PROBE}::test_a_hanging_parser_costs_its_file_the_deadline_and_the_next_is_answered",
    ),
)

# --- trouble -----------------------------------------------------------------------------------------------------

T_CARD, T_STORE = (f"tests/faults/test_{name}_trouble.py" for name in ("card", "store"))

TROUBLE = (
    broken(
        "what was damaged is never read again",
        PLAN,
        " and not known.damaged:",
        ":",
        f"{T_CARD}::test_a_damaged_file_is_read_again_at_every_visit_and_stored_whole_as_soon_as_the_card_gives_it",
    ),
    broken(
        "a file that the card gives in two ways is stored as if it were one",
        PIPELINE,
        "not self._is_steady(reader, digest)",
        "self._is_steady(reader, digest) is None",
        f"{T_PIPELINE}::test_a_source_that_is_not_steady_is_kept_and_marked_and_not_safe",
    ),
    broken(
        "what has no outcome is safe to remove",
        COPYING,
        '        safe = safe and not visits.outcome_counts(session, numbers.visit_id).get("pending")\n',
        "",
        "tests/offload/test_persist.py::"
        "test_what_was_proven_and_is_not_there_any_more_when_the_store_is_back_is_not_safe",
    ),
    broken(
        "a card that gives a file in two ways is safe to remove",
        COPYING,
        "bool(result.unsteady) or any(",
        "any(",
        f"{T_PIPELINE}::test_a_source_that_is_not_steady_is_kept_and_marked_and_not_safe",
    ),
    broken(
        "a disk that takes no data is taken for one with a bad sector",
        RECOVER,
        "            durable.prove_writable(around.store)  # else it is the disk that fails, and everything waits\n",
        "",
        f"{T_STORE}::test_a_proven_copy_on_a_disk_that_takes_no_data_waits_for_the_disk",
    ),
    broken(
        "a size beyond the card's own is believed",
        READER,
        "        if capacity is None or self.entry.size <= capacity:",
        "        if True:",
        f"{T_READER}::test_a_file_that_is_listed_larger_than_its_card_ends_with_its_last_readable_sector",
    ),
    broken(
        "what is said by a dead card's close is believed",
        PIPELINE,
        "asking(), suppress(OSError):",
        "asking():",
        f"{T_CARD}::test_a_card_that_is_pulled_between_copy_and_proof_is_not_needed_any_more",
    ),
)

PERSIST, T_PERSIST = "dockd/visit/persist.py", "tests/offload/test_persist.py"

GOING_ON = (
    broken(
        "the store's error is kept from who does not wait for the store",
        PERSIST,
        "                if not visit.guards.store_again(error):\n                    raise\n",
        "                if not visit.guards.store_again(error):\n                    return whole\n",
        f"{T_PERSIST}::test_who_waits_for_nothing_is_told_of_a_full_store_though_the_register_could_still_be_written",
    ),
    broken(
        "what failed because the card was away stays failed when it is back",
        PERSIST,
        "        waiting = transfers.take_up_again(session, visit.numbers.visit_id, reason=CardGone().name)\n",
        '        waiting = transfers.take_up_again(session, visit.numbers.visit_id, reason="")\n',
        T_PERSIST,
    ),
    broken(
        "what failed because the card was away is told when it is back",
        PERSIST,
        " if not (back and isinstance(failure.error, CardGone))]",
        "]",
        T_PERSIST,
    ),
    broken(
        "what a run read of the card is forgotten where another one follows",
        PERSIST,
        "    whole.bytes_read += run.bytes_read\n",
        "    whole.bytes_read = run.bytes_read\n",
        T_PERSIST,
    ),
    broken(
        "another card in the bay is taken for the one that went",
        PERSIST,
        "    return back if back.identity.instance == card.identity.instance else None\n",
        "    return back\n",
        f"{T_PERSIST}::test_another_card_in_the_same_bay_is_never_mixed_in",
    ),
    broken(
        "what was proven when the store failed is not brought to its place",
        PERSIST,
        "    recover_copies(visit.station, unfinished, visit.meter, visit.guards, only=TransferState.VERIFIED)\n",
        "    unfinished\n",
        T_PERSIST,
    ),
    broken(
        "a temp that is gone is believed to be there when the store is back",
        PERSIST,
        "    there = bool(held.temp) and durable.look(store, held.temp) is not None\n",
        "    there = bool(held.temp)\n",
        T_PERSIST,
    ),
    broken(
        "the marks of a temp that is gone are kept",
        PERSIST,
        "            if not job.resume:  # its temp is gone, and with it what was proven of it\n",
        "            if False:\n",
        T_PERSIST,
    ),
    broken(
        "the whole plan is begun anew when the store is back",
        PERSIST,
        "                todo = _left(jobs, card, visit) if begun else jobs\n",
        "                todo = jobs\n",
        T_PERSIST,
    ),
    broken(
        "a card that went is not told apart from one that is there",
        PERSIST,
        "    whole.card_gone = run.card_gone and not back\n",
        "    whole.card_gone = False\n",
        T_PERSIST,
    ),
    broken(
        "files that differ twice are forgotten where a card came back",
        PERSIST,
        "    whole.differing += run.differing\n",
        "",
        T_PERSIST,
    ),
    broken(
        "files that the card gave in two ways are forgotten where a card came back",
        PERSIST,
        "    whole.unsteady += run.unsteady\n",
        "",
        T_PERSIST,
    ),
)

MUTANTS = (
    *(*DURABILITY, *ORDER, *READING, *RESUMING, *READING_BACK),
    *(*NAMING, *WRITING, *KNOWING, *RECOVERING, *PARSING, *TROUBLE, *GOING_ON),
)


# --- running them ----------------------------------------------------------------------------------------------


def stale(mutant: Mutant) -> str:
    """Why a mutant cannot be made of today's source; empty where it can."""
    texts: dict[str, str] = {}
    for change in mutant.changes:
        text = texts.setdefault(change.file, (ROOT / change.file).read_text(encoding="utf-8"))
        if text.count(change.old) != 1:
            return f"{change.file} has {text.count(change.old)} times: {change.old!r}"
        texts[change.file] = text.replace(change.old, change.new)
    for file, text in texts.items():
        try:
            compile(text, file, "exec")
        except SyntaxError as error:
            return f"{file} would be no Python: {error}"
    return ""


def not_collected(mutants: Sequence[Mutant]) -> list[str]:
    """The tests, each with its mutant, that pytest knows nothing of under this very name."""
    named = [(mutant, test) for mutant in mutants for test in mutant.tests]
    files = sorted({file for _, test in named if (ROOT / (file := test.partition("::")[0])).exists()})
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", "--collect-only", "-q"]
    done = subprocess.run([*command, *files], cwd=ROOT, capture_output=True, text=True, check=False)
    known = {line for line in done.stdout.splitlines() if "::" in line}
    # A name is also that of a file, or of a function whose parameters are all meant.
    known |= {name.partition(mark)[0] for name in known for mark in ("::", "[")}
    return [f"{mutant.name}: {test}" for mutant, test in named if test not in known]


class Copy:
    """A temporary copy of the source tree, in which one mutant at a time lives."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.failing: list[str] = []
        folder.mkdir()
        hidden = shutil.ignore_patterns("__pycache__", ".*")
        for name in ("dockd", "tests"):
            shutil.copytree(ROOT / name, folder / name, ignore=hidden)
        shutil.copy(ROOT / "pyproject.toml", folder)

    def judge(self, mutant: Mutant) -> tuple[str, str]:
        """The verdict on a mutant, and what pytest said last."""
        kept = {change.file: (self.folder / change.file).read_text(encoding="utf-8") for change in mutant.changes}
        for change in mutant.changes:
            path = self.folder / change.file
            path.write_text(path.read_text(encoding="utf-8").replace(change.old, change.new), encoding="utf-8")
        try:
            return self.run(mutant.tests)
        finally:
            for file, text in kept.items():
                (self.folder / file).write_text(text, encoding="utf-8")

    def run(self, tests: Sequence[str]) -> tuple[str, str]:
        """Whether these tests pass (SURVIVED) or one of them fails (killed)."""
        done = self._pytest("-x", *tests)
        if done is None:
            return "killed", f"hung for {PATIENCE_S} s"
        code, said = done
        if code == 0 and not re.search(r"\d+ passed", said[-1]):
            return "NOT JUDGED", said[-1]
        failed = next((line for line in said if line.startswith("FAILED")), said[-1])
        return {0: "SURVIVED", 1: "killed"}.get(code, "NOT JUDGED"), failed

    def learn_failing(self, tests: Sequence[str]) -> list[str]:
        """Tests that fail without any mutant: they judge nothing from now on."""
        done = self._pytest(*tests, patience_s=None)
        assert done is not None
        found = (re.match(r"(?:FAILED|ERROR) (\S+::\S+)", line) for line in done[1])
        self.failing = [match[1] for match in found if match]
        if done[0] > 1:
            raise RuntimeError(f"the tests cannot be run: {done[1][-1]}")
        return self.failing

    def _pytest(self, *said: str, patience_s: float | None = PATIENCE_S) -> tuple[int, list[str]] | None:
        """Exit code and lines; None where it hung."""
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-m", "slow or not slow", *said]
        command += [word for test in self.failing for word in ("--deselect", test)]
        # Bytecode is told stale by the second: a mutant of equal length would go unnoticed.
        surroundings = os.environ | {"PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1"}
        child = subprocess.Popen(
            command,
            cwd=self.folder,
            env=surroundings,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            out, _ = child.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            return None
        return child.returncode, out.strip().splitlines() or [""]


def judged(
    mutants: Sequence[Mutant], *, jobs: int = 1, tell: Callable[[str], None] = print
) -> Iterator[tuple[Mutant, str, str]]:
    """Each mutant with its verdict and what pytest said; ``jobs`` of them at a time."""
    with tempfile.TemporaryDirectory(prefix="dockd-mutants-") as folder, ThreadPoolExecutor(jobs) as hands:
        copies = [Copy(Path(folder, str(number))) for number in range(jobs)]
        fit = [mutant for mutant in mutants if not stale(mutant)]
        for test in copies[0].learn_failing(sorted({test for mutant in fit for test in mutant.tests})):
            tell(f"{test} fails without any mutant: it judges nothing")
        free: SimpleQueue[Copy] = SimpleQueue()
        for copy in copies:
            copy.failing = copies[0].failing
            free.put(copy)

        def judge(mutant: Mutant) -> tuple[Mutant, str, str]:
            if why := stale(mutant):
                return mutant, "STALE", why
            copy = free.get()
            try:
                return (mutant, *copy.judge(mutant))
            finally:
                free.put(copy)

        yield from hands.map(judge, mutants)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", "--only", default="", metavar="WORDS", help="those whose name contains this")
    parser.add_argument("--jobs", type=int, default=1, help="so many at a time, each in its own copy of the source")
    parser.add_argument("--list", action="store_true", help="name them and their tests, run nothing")
    said = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if said.only in mutant.name]
    if said.list:
        for mutant in chosen:
            print(f"{mutant.name}: {', '.join(mutant.tests)}")
        return 0
    if absent := not_collected(chosen):
        parser.error("\n  ".join(("these tests are not collected:", *absent)))
    verdicts = []
    for mutant, verdict, words in judged(chosen, jobs=said.jobs):
        verdicts.append(verdict)
        print(f"{verdict:10} {mutant.name}" + ("" if verdict == "killed" else f"  ({words})"), flush=True)
    print(f"{len(verdicts)} mutants, {verdicts.count('killed')} killed")
    return int(verdicts.count("killed") < len(verdicts))


if __name__ == "__main__":
    sys.exit(main())
