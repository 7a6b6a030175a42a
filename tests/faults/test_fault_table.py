"""The README's table of faults: every row names tests, and they exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def rows() -> list[list[str]]:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## What can go wrong\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1:]]


@pytest.fixture(scope="module")
def known() -> set[str]:
    texts = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for text in texts for name in re.findall(r"^def (test_\w+)", text, re.MULTILINE)}


def test_every_row_says_what_is_seen_kept_and_done_and_names_a_test_that_exists(known: set[str]) -> None:
    assert len(rows()) > 20
    for row in rows():
        assert len(row) == 5, row
        assert all(row)
        named = re.findall(r"`(test_\w+)`", row[4])
        assert named, row[0]
        assert set(named) <= known, row[0]
