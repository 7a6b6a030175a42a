import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from dockd.errors import ExportUnwritable
from dockd.export.atomic import publishing


def test_the_old_file_is_there_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"old")
    with publishing(str(path)) as draft:
        draft.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["x.csv"]


def test_a_failed_block_leaves_the_old_file_and_no_temp(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), publishing(str(path)) as draft:
        draft.write(b"half" * (1 // 0))
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x.csv"]


def test_the_draft_knows_length_and_digest_of_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with publishing(str(path)) as draft:
        for _ in range(5):
            draft.write(b"x" * 700_001)
    assert draft.size == path.stat().st_size == 5 * 700_001
    shown = subprocess.run(["sha256sum", path], capture_output=True, check=True).stdout.split()[0]
    assert draft.sha256 == shown.decode()


def test_temps_of_dead_writers_are_cleaned_and_those_of_living_ones_kept(tmp_path: Path) -> None:
    dead, alive = tmp_path / f".x.csv.{'0' * 16}.part", tmp_path / f".x.csv.{'1' * 16}.part"
    other = tmp_path / f".y.csv.{'2' * 16}.part"
    for temp in (dead, alive, other):
        temp.write_bytes(b"half")
    with alive.open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with publishing(str(tmp_path / "x.csv")) as draft:
            draft.write(b"new")
        assert sorted(os.listdir(tmp_path)) == sorted([alive.name, other.name, "x.csv"])


def test_a_killed_writer_leaves_the_old_file_and_the_next_one_cleans(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"old")
    script = (
        "import os, signal, sys; from dockd.export.atomic import publishing\n"
        "with publishing(sys.argv[1]) as d:\n"
        "    d.write(b'n' * 3_000_000); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script, path], check=False)
    assert path.read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 2
    with publishing(str(path)) as draft:
        draft.write(b"new")
    assert os.listdir(tmp_path) == ["x.csv"]


@pytest.mark.parametrize("make", [Path.mkdir, lambda p: os.mkfifo(p), lambda p: p.symlink_to("/dev/null")])
def test_only_a_plain_file_is_ever_replaced(tmp_path: Path, make: object) -> None:
    path = tmp_path / "x.csv"
    make(path)  # type: ignore[operator]
    with pytest.raises(ExportUnwritable), publishing(str(path)) as draft:
        draft.write(b"new")
    assert os.listdir(tmp_path) == ["x.csv"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExportUnwritable, match="gone"), publishing(str(tmp_path / "gone" / "x.csv")):
        pass


def test_the_longest_name_still_gets_a_temp(tmp_path: Path) -> None:
    path = tmp_path / ("名" * 85)
    with publishing(str(path)) as draft:
        draft.write(b"new")
    assert os.listdir(tmp_path) == [path.name]
