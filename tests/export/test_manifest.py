import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockd.errors import StoredFileAltered, StoreMissing
from dockd.export.manifest import render_manifest, write_manifest

NAMES = st.text(st.characters(exclude_characters="\0/", exclude_categories=("Cs",)), min_size=1, max_size=40).filter(
    lambda name: (
        name not in (".", "..", "-")  # "-" is standard input
        and len(name.encode()) < 200
    )
)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_sha256sum_accepts_a_manifest_and_finds_a_changed_byte(tmp_path: Path) -> None:
    (tmp_path / "footage/day").mkdir(parents=True)
    for name, data in (("a.mp4", b"one"), ("b.mp4", b"two")):
        (tmp_path / "footage/day" / name).write_bytes(data)
    entries = [(digest(b"two"), "footage/day/b.mp4"), (digest(b"one"), "footage/day/a.mp4")]
    write_manifest(str(tmp_path / "visit.sha256"), render_manifest(entries))
    check = ["sha256sum", "--check", "--strict", "visit.sha256"]
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 0
    (tmp_path / "footage/day/b.mp4").write_bytes(b"twO")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 1


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_sha256sum_reads_every_name_that_a_manifest_holds(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(b"bytes")
    manifest = render_manifest([(digest(b"bytes"), name)])
    done = subprocess.run(["sha256sum", "--check", "--strict"], input=manifest, cwd=tmp_path, capture_output=True)
    file.unlink()
    assert done.returncode == 0, done.stderr


def test_a_manifest_is_read_only_and_says_its_own_digest(tmp_path: Path) -> None:
    path = tmp_path / "m.sha256"
    data = render_manifest([(digest(b""), "x")])
    assert write_manifest(str(path), data) == digest(data)
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o440
    assert os.listdir(tmp_path) == ["m.sha256"]


def test_writing_the_same_manifest_again_is_no_fault(tmp_path: Path) -> None:
    path = str(tmp_path / "m.sha256")
    assert write_manifest(path, b"same\n") == write_manifest(path, b"same\n")


def test_another_manifest_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "m.sha256"
    write_manifest(str(path), b"first\n")
    with pytest.raises(StoredFileAltered):
        write_manifest(str(path), b"second\n")
    assert path.read_bytes() == b"first\n"
    assert os.listdir(tmp_path) == ["m.sha256"]


def test_a_missing_store_is_the_stores_trouble(tmp_path: Path) -> None:
    with pytest.raises(StoreMissing):
        write_manifest(str(tmp_path / "gone" / "m.sha256"), b"x")
