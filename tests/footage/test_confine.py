from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dockd
from dockd.footage.confine import FILES_OPEN

TRY = """
import json, os, resource, sys
from dockd.footage.confine import Bounds, confine
batch, other = sys.argv[1:]
weaker = confine(Bounds(memory_bytes=1 << 30, cpu_seconds=9, open_files=32), [batch])
done = []
def attempt(what, act):
    try:
        act()
        done.append(what)
    except OSError:
        pass
attempt("read batch", lambda: open(batch).read())
attempt("read other", lambda: open(other).read())
attempt("list", lambda: os.listdir(os.path.dirname(batch)))
attempt("write batch", lambda: open(batch, "r+"))
attempt("truncate", lambda: os.truncate(batch, 0))
attempt("unlink", lambda: os.unlink(batch))
attempt("rename", lambda: os.rename(batch, batch + "2"))
attempt("make", lambda: open(other + "2", "w"))
attempt("link", lambda: os.link(batch, other + "3"))
kinds = (getattr(resource, "RLIMIT_" + kind) for kind in ("CORE", "FSIZE", "CPU", "NOFILE", "AS"))
limits = [resource.getrlimit(kind)[1] for kind in kinds]
print(json.dumps({"weaker": weaker, "done": done, "limits": limits}))
"""


@pytest.fixture
def tried(tmp_path: Path) -> dict[str, list[object]]:
    batch, other = tmp_path / "batch.mp4", tmp_path / "other.mp4"
    batch.write_text("footage")
    other.write_text("somebody else's")
    command = [sys.executable, "-c", TRY, str(batch), str(other)]
    ran = subprocess.run(command, cwd=Path(dockd.__file__).parents[1], capture_output=True, check=True)
    assert batch.read_text() == "footage"
    answer: dict[str, list[object]] = json.loads(ran.stdout)
    return answer


def test_a_confined_process_can_read_its_batch_and_nothing_else(tried: dict[str, list[object]]):
    if FILES_OPEN in tried["weaker"]:
        pytest.skip("this kernel has no Landlock")
    assert tried["done"] == ["read batch"]


def test_a_confined_process_has_no_room_to_grow(tried: dict[str, list[object]]):
    assert tried["limits"] == [0, 0, 9, 32, 1 << 30]


def test_only_root_is_told_to_be_root(tried: dict[str, list[object]]):
    assert ("runs_as_root" in tried["weaker"]) == (os.geteuid() == 0)
