"""The benchmarks run and give their figures; how large these are is no test's business."""

from __future__ import annotations

import json
from pathlib import Path

import bench
import pytest


def test_a_row_is_measured_beside_its_peers_and_told_as_a_table_and_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "5", "6", "--runs", "1", "--scale", "0.001", "--folder", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*words, "--json", str(tmp_path / "figures.json")])

    assert bench.main() == 0

    known, start = json.loads((tmp_path / "figures.json").read_text(encoding="utf-8"))
    assert (known["row"], known["must"]) == (5, ["≤ 1.0 s", "0 footage bytes"])
    assert known["more"]["s the whole command"] > known["medians"]["dockd"] > 0
    assert len(start["seconds"]["dockd"]) == 1
    assert "start-up of a command" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]
