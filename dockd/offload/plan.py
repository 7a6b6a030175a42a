"""What to do with each entry of a listing: a pure decision table.

A file is already stored without reading it only if recorder, card instance, path, size and
mtime agree with a stored observation, the time is plausible, and the stored file is still
there (contract). Everything else is read whole and decided by digest. Only operating-system
index files are skipped (article 3); what is not a regular file is named and never opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dockd.nouns import Classified, Entry, EntryType, FileOutcome
from dockd.register.transfers import HeldTemp, KnownFootage


class Reason(StrEnum):
    """Why a file has the outcome it has; codes that ``--json`` carries."""

    KNOWN = "known"
    SAME_BYTES = "same_bytes"
    IMPORTANT_MARK = "important_mark"
    SYSTEM_INDEX = "system_index"
    NOT_A_FILE = "not_a_file"
    CANNOT_LIST = "cannot_list"
    MISSING_IN_STORE = "missing_in_store"
    STORED_AGAIN = "stored_again"
    OTHER_STATION = "other_station"


@dataclass(frozen=True, slots=True)
class Decision:
    """``outcome`` None means: copy. ``held`` is the temp to take over, ``resume`` whether its marks may be believed."""

    outcome: FileOutcome | None = None
    reason: str | None = None
    known: KnownFootage | None = None
    held: HeldTemp | None = None
    resume: bool = False
    missing: KnownFootage | None = None


def decide(
    entry: Entry,
    classified: Classified,
    *,
    known: KnownFootage | None,
    known_present: bool,
    held: HeldTemp | None,
    plausible: bool,
) -> Decision:
    """The plan for one entry.

    ``known`` is footage stored from this path of this card (what was damaged is read again: the
    card may give more today); ``known_present`` whether its file is in the store with its size;
    ``plausible`` whether the entry's mtime can tell two files apart (a reset clock gives new
    footage the old time).
    """
    if entry.error:
        return Decision(FileOutcome.UNREADABLE, f"{Reason.CANNOT_LIST}:{entry.error}")
    if entry.type is not EntryType.FILE:
        return Decision(FileOutcome.SKIPPED, f"{Reason.NOT_A_FILE}:{entry.type}")
    if classified.skip:
        return Decision(FileOutcome.SKIPPED, f"{Reason.SYSTEM_INDEX}:{classified.skip}")
    same = known is not None and plausible and (known.size, known.mtime_ns) == (entry.size, entry.mtime_ns)
    if known and same and known_present and not known.damaged:
        return Decision(FileOutcome.ALREADY_STORED, Reason.KNOWN, known=known)
    fits = held is not None and (held.size, held.mtime_ns) == (entry.size, entry.mtime_ns)
    missing = None if known_present else known
    return Decision(held=held if fits else None, resume=fits and plausible, missing=missing if same else None)
