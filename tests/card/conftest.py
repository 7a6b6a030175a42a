"""A card to list."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from laid_card import Card


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Card]:
    root = tmp_path / "card"
    root.mkdir()
    made = Card(root)
    yield made
    os.close(made.fd)
