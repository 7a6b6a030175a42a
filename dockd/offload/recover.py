"""What an interrupted visit left behind, put in order by the recovery table (field-notes G2).

| row       | temp    | final   | what happens                                              |
|-----------|---------|---------|-----------------------------------------------------------|
| copying   | absent  | absent  | forgotten: the card's next visit copies the file          |
| copying   | present | absent  | kept for the card's return, resumed by its proven marks   |
| verified  | present | absent  | read back again, compared, then renamed and stored        |
| verified  | absent  | present | read back again, compared, then stored                    |
| verified  | absent  | absent  | alarm; forgotten: the card's next visit copies the file   |
| verified  | present | –       | not equal or not readable: alarm, set aside; copied anew  |
| done      | present | –       | the temp is removed                                       |
| none      | present | –       | moved to quarantine, reported                             |

One sector that cannot be read stops nobody: its file is kept for people, its card is copied again, and
only a store that takes no data at all is waited for. ``stored`` rows need nothing here (what
follows them is the visit's business), and a final file without a row is reported by ``dockd
verify`` and never deleted. Only unfinished visits and their folders are looked at, never all
of history.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dockd.nouns import Entry, EntryType
from dockd.offload import durable
from dockd.offload.layout import QUARANTINE, is_temp
from dockd.offload.pipeline import Job, Surroundings, place_proven, settle_proven
from dockd.offload.readback import read_back
from dockd.offload.reader import DAMAGED
from dockd.register.tables import TransferState
from dockd.register.transfers import HeldTemp, Placed, Proven


@dataclass(slots=True)
class Recovered:
    """What was found: ``stored`` files were finished, ``kept`` temps wait, the rest is named for people."""

    stored: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    forgotten: list[HeldTemp] = field(default_factory=list)
    vanished: list[HeldTemp] = field(default_factory=list)
    altered: list[HeldTemp] = field(default_factory=list)
    unreadable: list[HeldTemp] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)


def recover_files(
    left: Sequence[HeldTemp],
    done_temps: Sequence[str],
    around: Surroundings,
    *,
    live_temps: Callable[[], set[str]],
    folder: str | None = None,
) -> Recovered:
    """Brings every pending transfer of one unfinished visit to a state of the table.

    ``folder`` is where the visit's footage lies: a register that was made again knows no transfers of it.
    The caller holds the visit's lock and afterwards writes down what ``forgotten``,
    ``vanished``, ``altered`` and ``unreadable`` say. Raises StoreError.
    """
    found = Recovered()
    for temp in done_temps:
        with durable.blaming_store(around.store):
            durable.remove_durably(f"{around.store}/{temp}")
    for held in left:
        around.before_write()
        _recover_one(held, around, found)
    folders = {os.path.dirname(held.final) for held in left if held.final} | ({folder} if folder else set())
    _quarantine_strays(folders, around, live_temps, found)
    return found


def _recover_one(held: HeldTemp, around: Surroundings, found: Recovered) -> None:
    has_temp = bool(held.temp and durable.look(around.store, held.temp))
    has_final = bool(held.final and durable.look(around.store, held.final))
    if held.state is not TransferState.VERIFIED:
        if has_temp:
            found.kept.append(held.temp)
        else:
            found.forgotten.append(held)
    elif has_temp or has_final:
        _finish_verified(held, around, found, has_temp=has_temp)
    else:
        found.vanished.append(held)


def _finish_verified(held: HeldTemp, around: Surroundings, found: Recovered, *, has_temp: bool) -> None:
    name = held.temp if has_temp else held.final
    equal = _is_still_equal(name, held, around)
    if not equal:
        if has_temp:
            _set_aside(name, around, found)
        (found.unreadable if equal is None else found.altered).append(held)
        return
    assert held.proven is not None
    job = _as_job(held, around)
    if has_temp:
        place_proven([(job, held.proven)], around)
    else:
        _keep_placed(job, held.proven, around)
    found.stored.append(held.final)


def _keep_placed(job: Job, proven: Proven, around: Surroundings) -> None:
    """The crash came after the rename: the directory's fsync and the row are still to come."""
    with durable.blaming_store(around.store):
        # "Stored" promises the final name, and who gave it died before this.
        durable.fsync_directory(os.path.dirname(f"{around.store}/{job.final}"))
    placed = Placed(proven, job.entry, job.final, job.file_no, job.docked_at, around.now())
    settled = settle_proven(job, proven, around.books.equals([proven]), around)
    if settled.known and settled.again:
        around.books.stored_again(placed, settled.known)
    else:
        around.books.stored([placed])


def _as_job(held: HeldTemp, around: Surroundings) -> Job:
    return Job(
        observation_id=held.observation_id,
        entry=Entry(held.path, EntryType.FILE, held.size, held.mtime_ns),
        temp=held.temp,
        final=held.final,
        file_no=held.file_no,
        docked_at=held.docked_at,
        parsed=around.parse(held.path),
    )


def _is_still_equal(name: str, held: HeldTemp, around: Surroundings) -> bool | None:
    """Whether the medium returns what was proven; None where it cannot be read although the store takes data."""
    if held.proven is None:
        return False
    with durable.blaming_store(around.store):
        fd = os.open(f"{around.store}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            # The bytes are on the medium since before the row said verified; the read-back does not rely on that.
            os.fsync(fd)
            found = read_back(fd)
        except OSError as error:
            if error.errno not in DAMAGED:
                raise
            durable.prove_writable(around.store)  # else it is the disk that fails, and everything waits
            return None
        finally:
            os.close(fd)
    return (found.sha256, found.size) == (held.proven.sha256, held.proven.size)


def _set_aside(relative: str, around: Surroundings, found: Recovered) -> None:
    """Moves a temp that nobody owns into quarantine; never replaces, never deletes."""
    with durable.blaming_store(around.store), suppress(FileNotFoundError):
        aside = f"{QUARANTINE}/{os.path.basename(relative)}"
        found.quarantined.append(durable.move_aside(around.store, relative, aside))


def _quarantine_strays(
    folders: set[str], around: Surroundings, live_temps: Callable[[], set[str]], found: Recovered
) -> None:
    lying: list[str] = []
    for folder in sorted(folders):
        if durable.look(around.store, folder):
            with durable.blaming_store(around.store):
                lying += [f"{folder}/{name}" for name in os.listdir(f"{around.store}/{folder}") if is_temp(name)]
    # Asked after the listing: another visit names its temp in the register before it makes it.
    owned = live_temps()
    for relative in lying:
        if relative not in owned:
            _set_aside(relative, around, found)
