"""A card that a test lays out: a directory, and the fd through which alone dockd sees it."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from dockd.card.listing import list_card
from dockd.nouns import Entry, Listing

NOW = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)


class Card:
    """A directory laid out by a test."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY)

    def put(self, path: str | bytes, content: bytes = b"x") -> None:
        """Writes a file, making its folders."""
        full = os.path.join(os.fsencode(self.root), os.fsencode(path))
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as file:
            file.write(content)

    def listing(self) -> Listing:
        return list_card(self.fd, now=NOW)

    def entry(self, path: str | bytes) -> Entry:
        return next(entry for entry in self.listing().entries if entry.path == os.fsencode(path))

    def paths(self) -> list[bytes]:
        return [entry.path for entry in self.listing().entries]
