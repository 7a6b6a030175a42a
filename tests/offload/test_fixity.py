"""The store altered from outside: a whole audit and the one that is due both find it, say which, and tell it once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import disks
import pytest
from dock import Dock, in_child
from sqlalchemy import Engine, event, func, select, update

from dockd.errors import StoreMissing
from dockd.offload import audit, examine
from dockd.offload.audit import audit_store, verify_due
from dockd.offload.examine import Audit, Fault, Finding, Kind, Watch
from dockd.register import records
from dockd.register.alerts import close_alert, list_alerts
from dockd.register.tables import EventRow, LocationRow
from dockd.visit.sidecars import write_sidecars

MISSING, ALTERED, UNREGISTERED, UNSEALED = (
    Finding.MISSING,
    Finding.ALTERED,
    Finding.UNREGISTERED,
    Finding.UNSEALED,
)
Found = set[tuple[Finding, Kind, str]]


@pytest.fixture
def kept(dock: Dock) -> Dock:
    """A station after one visit with three files."""
    for name in "ABC":
        dock.lay(f"{name}.dat", 10_000)
    dock.visit()
    return dock


Look = Callable[[Dock], Audit]


@pytest.fixture(params=["whole", "due"])
def look(request: pytest.FixtureRequest, clock: Any) -> Look:
    """The audit of everything, or the one of a month later."""
    if request.param == "whole":
        return lambda dock: audit_store(dock.station)

    def due(dock: Dock) -> Audit:
        clock.move(days=31)
        return verify_due(dock.station)

    return due


def footage(dock: Dock) -> list[Path]:
    return [dock.store / path for _, path in dock.locations()]


def beside(dock: Dock, pattern: str) -> Path:
    """One of the files that stand beside the footage."""
    return sorted((dock.store / "footage").rglob(pattern))[0]


def told(dock: Dock, kind: str) -> list[dict[str, Any]]:
    with dock.station.register.read() as session:
        lines = session.scalars(select(EventRow.line).where(EventRow.kind == kind).order_by(EventRow.seq))
        return [json.loads(line)["data"] for line in lines]


def open_alerts(dock: Dock) -> set[str]:
    """The places that open alerts are about."""
    with dock.station.register.read() as session:
        return {str(a.facts["location"]) for a in list_alerts(session, open_only=True, kind="store_altered")}


def said(faults: tuple[Fault, ...]) -> Found:
    return {(fault.finding, fault.kind, fault.location) for fault in faults}


def name(dock: Dock, path: Path) -> str:
    return str(path.relative_to(dock.store))


def rewrite(path: Path, data: bytes) -> None:
    """Changes a file in its place and seals it again, its time as it was."""
    before = path.stat()
    path.chmod(0o640)
    path.write_bytes(data)
    path.chmod(0o440)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    rewrite(path, bytes(data))


def exchange(path: Path) -> None:
    """Another file of the same size and time under the same name."""
    other = path.with_name("other")
    shutil.copy2(path, other)
    flip(other)
    other.replace(path)


def away(path: Path) -> Path:
    """The file itself, out of the store."""
    target = path.parents[6] / f"away-{path.name}"
    path.rename(target)
    return target


def to_link(path: Path) -> None:
    path.symlink_to(away(path))  # the very bytes that should be there


def to_socket(path: Path) -> None:
    path.unlink()
    here = Path.cwd()
    os.chdir(path.parent)  # the name of a socket has 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def to_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_zeros(path: Path) -> None:
    path.unlink()
    os.mknod(path, 0o20440, os.makedev(1, 5))  # /dev/zero has no end


# --- footage -------------------------------------------------------------------------------------------------

HARMS = {
    "a flipped byte": (flip, ALTERED, "sha256 "),
    "another file of the same size": (exchange, ALTERED, "sha256 "),
    "cut short": (lambda path: rewrite(path, path.read_bytes()[:-1]), ALTERED, "size 10000 instead of 10001"),
    "grown": (lambda path: rewrite(path, path.read_bytes() + b"!"), ALTERED, "size 10002 instead of 10001"),
    "emptied": (lambda path: rewrite(path, b""), ALTERED, "size 0 instead of 10001"),
    "deleted": (Path.unlink, MISSING, ""),
    "a link to the same bytes": (to_link, ALTERED, "not a plain file"),
    "a folder": (to_folder, ALTERED, "not a plain file"),
    "a pipe": (to_pipe, ALTERED, "not a plain file"),
    "a socket": (to_socket, ALTERED, "not a plain file"),
    "made writable": (lambda path: path.chmod(0o644), UNSEALED, "mode 0644"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_harm_to_footage_is_found_told_and_alerted(dock: Dock, look: Look, harm: str) -> None:
    damage, finding, reason = HARMS[harm]
    for letter in "ABC":
        dock.lay(f"{letter}.dat", 10_001)
    dock.visit()
    path = footage(dock)[1]
    damage(path)

    found = look(dock)

    (fault,) = found.faults
    assert (fault.finding, fault.kind, dock.store / fault.location) == (finding, Kind.FOOTAGE, path)
    assert fault.reason.startswith(reason)
    assert found.disproven is (finding is not UNSEALED)
    assert [line["location"] for line in told(dock, f"footage.{finding}")] == [fault.location]
    assert told(dock, "store.verified")[-1][finding] == 1
    assert open_alerts(dock) == {fault.location}
    state = "present" if finding is UNSEALED else finding.value
    assert [state for state, _ in dock.locations()] == ["present", state, "present"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="device nodes need root")
def test_a_device_in_the_place_of_footage_is_never_opened(kept: Dock, look: Look) -> None:
    to_zeros(footage(kept)[0])
    assert said(look(kept).faults) == {(ALTERED, Kind.FOOTAGE, name(kept, footage(kept)[0]))}


def test_a_folder_that_became_a_link_is_not_followed(kept: Dock, look: Look) -> None:
    folder = footage(kept)[0].parent
    elsewhere = kept.store.parent / "moved"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    found = said(look(kept).faults)
    assert (UNREGISTERED, Kind.UNKNOWN, name(kept, folder)) in found
    assert {place for finding, kind, place in found if (finding, kind) == (MISSING, Kind.FOOTAGE)} == {
        path for _, path in kept.locations()
    }


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
class TestOnADisk:
    """The footage lies on an ext4 whose image is at hand: its medium changes behind the page cache."""

    @pytest.fixture
    def disk(self, dock: Dock, tmp_path: Path) -> Iterator[Path]:
        with disks.ext4(tmp_path / "image", dock.store / "footage", size=24 << 20) as at:
            yield at

    def test_a_byte_that_flipped_on_the_medium_is_found_although_the_cache_has_the_old_one(
        self, dock: Dock, disk: Path, tmp_path: Path, look: Look
    ) -> None:
        for letter in "ABC":
            dock.lay(f"{letter}.dat", 1 << 20)
        dock.visit()
        good = footage(dock)[1].read_bytes()
        with (tmp_path / "image").open("r+b") as image:
            image.seek(disks.extent_of(footage(dock)[1]) + 77_777)
            image.write(bytes([good[77_777] ^ 0xFF]))
            image.flush()
            os.fsync(image.fileno())
        assert footage(dock)[1].read_bytes() == good, "the cache tells the old byte"

        found = look(dock)

        assert said(found.faults) == {(ALTERED, Kind.FOOTAGE, name(dock, footage(dock)[1]))}
        assert found.cached == 0

    def test_a_flipped_byte_of_a_manifest_is_found_on_the_medium_too(
        self, dock: Dock, disk: Path, tmp_path: Path, look: Look
    ) -> None:
        dock.lay("A.dat", 1000)
        manifest = dock.store / str(dock.visit()["manifest"])
        good = manifest.read_bytes()
        subprocess.run(["sync", "-f", disk], check=True)
        with (tmp_path / "image").open("r+b") as image:
            image.seek(disks.extent_of(manifest))
            image.write(b"0" if good[:1] != b"0" else b"1")
            image.flush()
            os.fsync(image.fileno())
        assert manifest.read_bytes() == good, "the cache tells the old byte"
        assert said(look(dock).faults) == {(ALTERED, Kind.MANIFEST, name(dock, manifest))}

    def test_a_disk_that_is_not_mounted_loses_no_file(self, dock: Dock, disk: Path, look: Look) -> None:
        dock.lay("A.dat", 1000)
        dock.visit()
        hidden = dock.store.with_name("hidden")
        dock.store.rename(hidden)
        dock.store.mkdir()
        try:
            with pytest.raises(StoreMissing):
                look(dock)
        finally:
            dock.store.rmdir()
            hidden.rename(dock.store)
        assert [state for state, _ in dock.locations()] == ["present"]
        assert open_alerts(dock) == set()


# --- what stands beside it -------------------------------------------------------------------------------------

PAPERS = {"*.xmp": Kind.SIDECAR, "visit-*.sha256": Kind.MANIFEST, "visit-*.json": Kind.LISTING}


@pytest.mark.parametrize("pattern", PAPERS)
@pytest.mark.parametrize("harm", ["a flipped byte", "deleted", "a link to the same bytes", "a pipe", "made writable"])
def test_harm_to_what_stands_beside_footage_is_found(kept: Dock, look: Look, pattern: str, harm: str) -> None:
    path = beside(kept, pattern)
    damage, finding, _ = HARMS[harm]
    damage(path)
    assert said(look(kept).faults) == {(finding, PAPERS[pattern], name(kept, path))}
    assert [line["location"] for line in told(kept, f"{PAPERS[pattern]}.{finding}")] == [name(kept, path)]
    assert open_alerts(kept) == {name(kept, path)}


def test_a_sidecar_of_an_earlier_revision_is_looked_at_too(kept: Dock, look: Look) -> None:
    with kept.station.register.write() as session:
        records.revise_record(
            session, 1, {"remark": "seen"}, actor="person:x", why="test", basis={}, at=kept.station.now()
        )
    write_sidecars(kept.station, [1], check=lambda: None)
    old, new = sorted(beside(kept, "*.xmp").parent.glob("*-00001*.xmp"), key=lambda path: ".r2." in path.name)
    assert ".r2." in new.name
    flip(old)
    assert said(look(kept).faults) == {(ALTERED, Kind.SIDECAR, name(kept, old))}


def test_papers_of_visits_that_stored_nothing_are_looked_at_too(kept: Dock, look: Look) -> None:
    kept.visit()  # all known
    shutil.rmtree(kept.files)
    kept.files.mkdir()
    kept.visit()  # an empty card
    hurt = [beside(kept, f"visit-{visit:06d}.{end}") for visit, end in ((2, "sha256"), (2, "json"), (3, "json"))]
    for path in hurt:
        flip(path)
    assert {fault.location for fault in look(kept).faults} == {name(kept, path) for path in hurt}


# --- what nobody registered -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place",
    [
        "footage/stranger",
        "footage/2026/stranger",
        "footage/2026/11/stranger",
        "footage/2026/11/23/stranger",
        "footage/2026/11/23/YS-07/stranger",
        "footage/2026/11/23/YS-07/below/stranger",
        "footage/2026/11/23/YS-08/stranger",
        "footage/2026/11/24/YS-07/stranger",
        "footage/2026/12/01/YS-07/stranger",
        "footage/2025/11/23/YS-07/stranger",
        "footage/other/stranger",
    ],
)
def test_a_file_that_nobody_registered_is_found_wherever_it_lies(kept: Dock, look: Look, place: str) -> None:
    path = kept.store / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("who put me here")
    assert said(look(kept).faults) == {(UNREGISTERED, Kind.UNKNOWN, place)}
    assert open_alerts(kept) == {place}
    assert path.exists()


def test_a_renamed_file_is_missing_under_its_name_and_unregistered_under_the_other(kept: Dock, look: Look) -> None:
    path = footage(kept)[0]
    other = path.with_name("renamed.dat")
    path.rename(other)
    assert said(look(kept).faults) == {
        (MISSING, Kind.FOOTAGE, name(kept, path)),
        (UNREGISTERED, Kind.UNKNOWN, name(kept, other)),
    }


def test_a_whole_folder_that_was_renamed_is_found(kept: Dock, look: Look) -> None:
    day = footage(kept)[0].parents[1]
    day.rename(day.with_name("24"))
    found = look(kept)
    assert len(found.of(MISSING)) == 3 + 3 + 2
    assert len(found.of(UNREGISTERED)) == 3 + 3 + 2


# --- what is due, and when ----------------------------------------------------------------------------------------


def test_nothing_is_read_before_it_is_due_and_nothing_is_told_then(kept: Dock, clock: Any) -> None:
    clock.move(days=20)
    found = verify_due(kept.station, watch=Watch(file=lambda path: pytest.fail(f"{path} was looked at")))
    assert (found.checked, found.size, found.left) == (0, 0, 0)
    assert told(kept, "store.verified") == []


def test_what_is_due_is_proven_anew_once_with_one_line(kept: Dock, clock: Any) -> None:
    clock.move(days=31)
    found = verify_due(kept.station)
    assert (found.faults, found.left, found.checked) == ((), 0, 3 + 3 + 2)
    (line,) = told(kept, "store.verified")
    assert (line["due"], line["checked"], line["missing"]) == (True, 8, 0)
    with kept.station.register.read() as session:
        assert set(session.scalars(select(LocationRow.verified_at))) == {clock()}
    assert verify_due(kept.station).checked == 0


def test_the_period_is_the_configured_one_and_zero_is_never(kept: Dock, clock: Any) -> None:
    clock.move(days=3650)
    kept.change("verify", every_days=0)
    assert verify_due(kept.station).checked == 0
    kept.change("verify", every_days=3650)
    assert verify_due(kept.station).checked > 0
    clock.move(days=2)
    kept.change("verify", every_days=1)
    assert verify_due(kept.station).checked > 0


def test_a_proof_from_the_future_is_none(kept: Dock, clock: Any) -> None:
    with kept.station.register.write() as session:
        session.execute(
            update(LocationRow).where(LocationRow.id == 2).values(verified_at=clock() + timedelta(days=400))
        )
    files: list[str] = []
    verify_due(kept.station, watch=Watch(file=files.append))
    assert files[0] == kept.locations()[1][1]
    assert verify_due(kept.station).checked == 0


def test_the_oldest_proof_comes_first(kept: Dock, clock: Any) -> None:
    with kept.station.register.write() as session:
        for key, days in ((1, 40), (2, 60), (3, 50)):
            proven = clock() - timedelta(days=days)
            session.execute(update(LocationRow).where(LocationRow.id == key).values(verified_at=proven))
    files: list[str] = []
    verify_due(kept.station, watch=Watch(file=files.append))
    assert files[:3] == [kept.locations()[key][1] for key in (1, 2, 0)]


# --- stopping and going on -----------------------------------------------------------------------------------------


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file's finding is written down by itself."""
    monkeypatch.setattr(audit, "_GROUP_BYTES", 1)


def read_of(kept: Dock) -> tuple[list[str], Callable[[str], None]]:
    """The footage that was looked at, and who takes it down."""
    files: list[str] = []
    places = {path for _, path in kept.locations()}

    def note(path: str) -> None:
        if path in places:
            files.append(path)

    return files, note


def test_it_ends_in_time_and_the_next_call_goes_on(kept: Dock, clock: Any) -> None:
    clock.move(days=31)
    files, note = read_of(kept)

    def slow(path: str) -> None:
        note(path)
        clock.move(minutes=1)

    found = verify_due(kept.station, until=clock() + timedelta(minutes=2), watch=Watch(file=slow))
    assert (len(files), found.left) == (2, 1)
    assert told(kept, "store.verified")[-1]["left"] == 1
    found = verify_due(kept.station, until=clock() + timedelta(minutes=2), watch=Watch(file=slow))
    assert (sorted(files), found.left) == (sorted(path for _, path in kept.locations()), 0)


def test_time_that_is_up_already_still_gets_one_file_done(kept: Dock, clock: Any) -> None:
    clock.move(days=31)
    assert verify_due(kept.station, until=clock()).left == 2, "else a tick that is always late would never end"


@pytest.mark.usefixtures("one_by_one")
def test_an_interruption_loses_the_file_in_hand_only(kept: Dock, clock: Any) -> None:
    clock.move(days=31)
    flip(footage(kept)[0])
    files, note = read_of(kept)

    def stop(path: str) -> None:
        note(path)
        if len(files) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_due(kept.station, watch=Watch(file=stop))
    assert [state for state, _ in kept.locations()] == ["altered", "present", "present"]
    (line,) = told(kept, "store.verified")
    assert (line["altered"], line["left"]) == (1, 2)
    rest, note = read_of(kept)
    assert verify_due(kept.station, watch=Watch(file=note)).faults == ()
    assert rest == files[1:] + [path for _, path in kept.locations()[2:]]


@pytest.mark.usefixtures("one_by_one")
def test_a_kill_loses_the_file_in_hand_only(kept: Dock, clock: Any) -> None:
    clock.move(days=31)

    def life() -> None:
        files, note = read_of(kept)

        def stop(path: str) -> None:
            note(path)
            if len(files) == 3:
                os.kill(os.getpid(), signal.SIGKILL)

        verify_due(kept.station, watch=Watch(file=stop))

    assert in_child(life) == -signal.SIGKILL
    files, note = read_of(kept)
    assert verify_due(kept.station, watch=Watch(file=note)).left == 0
    assert files == [kept.locations()[2][1]]


def test_what_stands_beside_is_looked_at_before_the_proof_is_kept(kept: Dock, clock: Any) -> None:
    """Whoever is interrupted between the two would not look at it for another period."""
    flip(beside(kept, "*.xmp"))
    clock.move(days=31)

    def stop(path: str) -> None:
        if path.endswith(".xmp"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify_due(kept.station, watch=Watch(file=stop))
    assert {fault.kind for fault in verify_due(kept.station).faults} == {Kind.SIDECAR}


def test_the_pace_is_asked_for_every_byte(kept: Dock, monkeypatch: pytest.MonkeyPatch, look: Look) -> None:
    counted: list[int] = []

    class Counting(examine.Pace):
        def keep(self, count: int) -> None:
            counted.append(count)

    monkeypatch.setattr(examine, "Pace", Counting)
    kept.change("verify", rate=1)
    assert look(kept).size == sum(counted) > 30_000


# --- told once, and closed by itself -----------------------------------------------------------------------------


def test_what_is_known_to_be_wrong_is_not_told_at_every_call(kept: Dock, clock: Any) -> None:
    lost, hurt = footage(kept)[:2]
    lost.unlink()
    flip(hurt)
    flip(beside(kept, "*.xmp"))
    (kept.store / "footage/stranger").write_text("x")
    clock.move(days=31)
    assert len(verify_due(kept.station).faults) == 4

    for _hour in range(22):
        clock.move(hours=1)
        verify_due(kept.station)

    kinds = ("footage.missing", "footage.altered", "sidecar.altered", "unknown.unregistered", "store.verified")
    assert [len(told(kept, kind)) for kind in kinds] == [1, 1, 1, 1, 1]
    with kept.station.register.read() as session:
        assert len(list_alerts(session)) == 4


def test_what_is_wrong_is_looked_at_again_after_a_day_and_a_closed_alert_stays_closed(kept: Dock, clock: Any) -> None:
    flip(footage(kept)[0])
    clock.move(days=31)
    verify_due(kept.station)
    with kept.station.register.write() as session:
        (alert,) = list_alerts(session)
        close_alert(session, alert.alert_id, note="kept as evidence", by="person:x", at=clock())
    clock.move(days=1)
    assert len(verify_due(kept.station).faults) == 1
    assert len(told(kept, "footage.altered")) == 2
    assert open_alerts(kept) == set()


@pytest.mark.parametrize("harm", ["a flipped byte", "deleted", "a link to the same bytes", "made writable"])
@pytest.mark.parametrize("which", ["footage", *PAPERS])
def test_an_alert_is_closed_by_itself_when_the_file_is_whole_again(
    kept: Dock, look: Look, harm: str, which: str, clock: Any
) -> None:
    path = footage(kept)[0] if which == "footage" else beside(kept, which)
    copy = kept.store.parent / "copy"
    shutil.copy2(path, copy)
    HARMS[harm][0](path)
    assert len(look(kept).faults) == 1
    assert open_alerts(kept) == {name(kept, path)}

    path.unlink(missing_ok=True)
    shutil.copy2(copy, path)
    clock.move(days=31)

    assert look(kept).faults == ()
    assert open_alerts(kept) == set()
    assert {state for state, _ in kept.locations()} == {"present"}
    lost = which == "footage" and harm != "made writable"
    assert len(told(kept, "footage.found")) == lost
    assert told(kept, "alert.closed")[-1]["note"] == "found as registered"


def test_an_alert_about_a_stranger_is_closed_when_it_is_gone(kept: Dock, look: Look, clock: Any) -> None:
    stranger = kept.store / "footage/2026/stranger"
    stranger.write_text("x")
    look(kept)
    stranger.unlink()
    clock.move(days=31)
    assert look(kept).faults == ()
    assert open_alerts(kept) == set()


def test_right_bytes_that_came_back_writable_are_found_and_said_to_be_writable(
    kept: Dock, look: Look, clock: Any
) -> None:
    path = footage(kept)[0]
    target = away(path)
    look(kept)
    shutil.copyfile(target, path)
    path.chmod(0o644)
    clock.move(days=31)
    assert said(look(kept).faults) == {(UNSEALED, Kind.FOOTAGE, name(kept, path))}
    with kept.station.register.read() as session:
        assert [a.facts["finding"] for a in list_alerts(session, open_only=True)] == ["unsealed"]


def test_a_disk_that_keeps_no_modes_is_not_blamed_for_them(
    kept: Dock, look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    footage(kept)[0].chmod(0o777)
    monkeypatch.setattr(examine, "file_system", lambda fd: 0x2011BAB0)
    assert look(kept).faults == ()


# --- lost and stored again -----------------------------------------------------------------------------------------


def test_a_place_that_was_stored_again_elsewhere_is_missed_no_more(kept: Dock, look: Look, clock: Any) -> None:
    footage(kept)[0].unlink()
    assert len(look(kept).faults) == 1
    kept.visit()
    assert open_alerts(kept) != set(), "copied anew, but never in silence"
    clock.move(days=31)
    assert look(kept).faults == ()
    assert [state for state, _ in kept.locations()] == ["missing", "present", "present", "present"]


def test_an_altered_file_that_vanishes_after_it_was_stored_again_is_missed_once(kept: Dock) -> None:
    hurt = footage(kept)[0]
    flip(hurt)
    audit_store(kept.station)
    kept.visit()
    assert len(audit_store(kept.station).faults) == 1, "it still lies there"
    hurt.unlink()
    assert said(audit_store(kept.station).faults) == {(MISSING, Kind.FOOTAGE, name(kept, hurt))}
    assert audit_store(kept.station).faults == ()
    assert [state for state, _ in kept.locations()] == ["missing", "present", "present", "present"]


def test_nobody_reads_the_altered_file_again_that_was_stored_again(kept: Dock, clock: Any) -> None:
    hurt = footage(kept)[0]
    flip(hurt)
    audit_store(kept.station)
    kept.visit()
    clock.move(days=31)
    files, note = read_of(kept)
    assert verify_due(kept.station, watch=Watch(file=note)).faults == ()
    assert name(kept, hurt) not in files


# --- nothing grows with what is not due ---------------------------------------------------------------------------


def test_the_register_is_asked_no_more_often_where_more_is_kept(kept: Dock, clock: Any) -> None:
    def asked() -> int:
        count = [0]

        def note(*_: Any) -> None:
            count[0] += 1

        event.listen(Engine, "before_cursor_execute", note)
        verify_due(kept.station)
        event.remove(Engine, "before_cursor_execute", note)
        return count[0]

    clock.move(days=31)
    few = asked()
    clock.move(days=1)
    shutil.rmtree(kept.files)
    kept.files.mkdir()
    kept.lay_many(150)
    kept.visit()
    with kept.station.register.write() as session:
        old = session.scalars(select(func.min(LocationRow.verified_at))).one()
        session.execute(update(LocationRow).where(LocationRow.id > 3).values(verified_at=clock()))
        session.execute(update(LocationRow).where(LocationRow.id <= 3).values(verified_at=old - timedelta(days=40)))
    assert few <= asked() <= few + 2, "a month and a day beside it are looked up"
