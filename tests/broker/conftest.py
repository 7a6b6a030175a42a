"""A plugged card for the broker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plugged import Tree, make_file_system, plugged


@pytest.fixture
def content(tmp_path: Path) -> Path:
    folder = tmp_path / "content"
    (folder / "DCIM").mkdir(parents=True)
    (folder / "DCIM/one.mp4").write_bytes(b"footage" * 1000)
    return folder


@pytest.fixture
def image(tmp_path: Path, content: Path) -> Path:
    """A card as a file: ext4 with one recording."""
    made = tmp_path / "card.img"
    make_file_system(made, "ext4", content)
    return made


@pytest.fixture
def tree(tmp_path: Path, image: Path) -> Iterator[Tree]:
    """The card plugged in."""
    with plugged(image, tmp_path / "tree") as found:
        yield found
