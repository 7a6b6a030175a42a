"""The named steps of the copy protocol, in the order in which each becomes durable before the next."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """Passed after the act it names. Tests end the process here; screens show where a visit is."""

    PLAN_KEPT = "plan_kept"
    TEMP_CREATED = "temp_created"
    CHUNK_WRITTEN = "chunk_written"
    MARK_SYNCED = "mark_synced"
    MARK_KEPT = "mark_kept"
    SOURCE_READ = "source_read"
    TEMP_SYNCED = "temp_synced"
    READ_BACK = "read_back"
    VERIFIED_KEPT = "verified_kept"
    RENAMED = "renamed"
    DIRECTORY_SYNCED = "directory_synced"
    STORED_KEPT = "stored_kept"


Passed = Callable[[Step], None]


def ignore(_: Step) -> None:
    """Nobody watches the steps."""
