"""Verifying: every kind of tampering is found, in the register and in the mirror, and nothing else is."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, text, update

from dockd.register import ledger, proof
from dockd.register.chain import Head, Line, digest, link
from dockd.register.ledger import Finding, Where
from dockd.register.session import Register
from dockd.register.tables import EventRow, LedgerHeadRow

Tell = Callable[..., None]
Mirror = Callable[[], int]
Verify = Callable[..., ledger.LedgerReport]
Found = list[tuple[Where, int, Finding]]

OCTOBER = datetime(2026, 10, 31, 15, 55, tzinfo=UTC)
REGISTER, MIRROR = Where.REGISTER, Where.MIRROR


@pytest.fixture
def ten(tell: Tell, mirror: Mirror) -> None:
    """Ten lines, in the mirror too: five in October's file and five in November's."""
    tell(10, at=OCTOBER)
    mirror()


def found(report: ledger.LedgerReport) -> Found:
    return [(problem.where, problem.seq, problem.kind_code) for problem in report.problems]


def rows(register: Register) -> list[dict[str, Any]]:
    with register.read() as session:
        return [
            {column.key: getattr(row, column.key) for column in EventRow.__table__.columns}
            for row in session.scalars(select(EventRow).order_by(EventRow.seq))
        ]


def put(register: Register, lines: list[dict[str, Any]]) -> None:
    """Replaces the whole chain, as somebody would who can write the database."""
    with register.write() as session:
        session.execute(delete(EventRow))
        if lines:
            session.execute(insert(EventRow), lines)


def change(register: Register, seq: int, **values: Any) -> None:
    with register.write() as session:
        session.execute(update(EventRow).where(EventRow.seq == seq).values(**values))


def mirror_files(store: Path) -> list[Path]:
    return sorted((store / "ledger" / "S1").glob("*.jsonl"))


def edit(path: Path, act: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(line + b"\n" for line in act(path.read_bytes().splitlines())))


# --- nothing wrong ----------------------------------------------------------------------------------


def test_a_whole_chain_has_no_problem(ten: None, register: Register, verify: Verify) -> None:
    report = verify()
    with register.read() as session:
        assert report == ledger.LedgerReport(10, 10, ledger.head(session, "S1"))


def test_an_empty_chain_has_no_problem(register: Register, verify: Verify) -> None:
    assert verify() == ledger.LedgerReport(0, 0, Head())


def test_a_mirror_that_lags_is_counted_and_no_problem(ten: None, tell: Tell, verify: Verify) -> None:
    tell(4)
    report = verify()
    assert (report.lines, report.mirrored, report.problems) == (14, 10, ())


def test_the_end_of_a_crash_in_the_mirror_is_no_problem(
    ten: None, register: Register, store: Path, tell: Tell, verify: Verify
) -> None:
    tell(1)
    with mirror_files(store)[-1].open("ab") as file:
        file.write(rows(register)[-1]["line"].encode()[:33])
    assert verify().problems == ()


def test_verifying_changes_nothing(ten: None, store: Path, verify: Verify) -> None:
    before = {path: path.stat().st_mtime_ns for path in store.rglob("*")}
    verify()
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*")} == before


# --- the register was tampered with -----------------------------------------------------------------


def test_a_changed_line_is_found_on_both_sides(ten: None, register: Register, verify: Verify) -> None:
    change(register, 4, line=rows(register)[3]["line"].replace('"number":3', '"number":9'))
    assert found(verify()) == [(REGISTER, 4, Finding.CHANGED), (MIRROR, 4, Finding.CHANGED)]


def test_a_line_changed_together_with_its_digest_is_found(ten: None, register: Register, verify: Verify) -> None:
    line = rows(register)[3]["line"].replace('"number":3', '"number":9')
    change(register, 4, line=line, sha256=digest(line.encode()))
    assert found(verify()) == [(REGISTER, 5, Finding.UNLINKED), (MIRROR, 4, Finding.CHANGED)]


def test_a_last_line_changed_together_with_its_digest_is_found(ten: None, register: Register, verify: Verify) -> None:
    line = rows(register)[9]["line"].replace('"number":9', '"number":0')
    change(register, 10, line=line, sha256=digest(line.encode()))
    assert found(verify()) == [(REGISTER, 10, Finding.HEAD_DIFFERS), (MIRROR, 10, Finding.CHANGED)]


def test_text_that_is_no_line_is_found(ten: None, register: Register, verify: Verify) -> None:
    change(register, 4, line="", sha256=digest(b""))
    assert (REGISTER, 4, Finding.CHANGED) in found(verify())


@pytest.mark.parametrize(
    "column",
    [{"kind": "test.untold"}, {"subject": "test:99"}, {"at": OCTOBER}],
)
def test_a_column_that_differs_from_its_line_is_found(
    ten: None, register: Register, verify: Verify, column: dict[str, Any]
) -> None:
    change(register, 4, **column)
    report = verify()
    assert found(report) == [(REGISTER, 4, Finding.COLUMNS)]
    assert report.problems[0].detail == next(iter(column))


def test_removed_lines_are_found_and_told_as_one(ten: None, register: Register, verify: Verify) -> None:
    put(register, [row for row in rows(register) if row["seq"] not in (4, 5)])
    report = verify()
    assert found(report)[0] == (REGISTER, 4, Finding.REMOVED)
    assert report.problems[0].until == 5
    assert found(report)[1:] == [(MIRROR, 4, Finding.AHEAD)]


def test_removed_first_lines_are_found(ten: None, register: Register, verify: Verify) -> None:
    put(register, rows(register)[2:])
    assert found(verify())[0] == (REGISTER, 1, Finding.REMOVED)


def test_an_inserted_line_is_found(ten: None, register: Register, verify: Verify) -> None:
    lines = rows(register)
    forged = link(
        Line("test.forged", "test:0", {}, OCTOBER), station_no="S1", actor="dockd", after=Head(3, lines[2]["sha256"])
    )
    new = {**lines[3], "line": forged.text, "sha256": forged.sha256, "kind": forged.kind, "subject": forged.subject}
    later = [{**row, "seq": row["seq"] + 1} for row in lines[3:]]
    put(register, [*lines[:3], {**new, "at": OCTOBER}, *later])
    report = verify()
    assert found(report)[:2] == [(REGISTER, 5, Finding.REORDERED), (REGISTER, 11, Finding.HEAD_DIFFERS)]
    assert (MIRROR, 4, Finding.CHANGED) in found(report)


def test_reordered_lines_are_found(ten: None, register: Register, verify: Verify) -> None:
    lines = rows(register)
    lines[3]["seq"], lines[4]["seq"] = 5, 4
    put(register, lines)
    report = verify()
    assert found(report)[0] == (REGISTER, 4, Finding.REORDERED)
    assert report.problems[0].until == 5
    assert {where for where, _, _ in found(report)[1:]} == {MIRROR}


def test_a_cut_tail_is_found_by_the_head(ten: None, register: Register, verify: Verify) -> None:
    put(register, rows(register)[:7])
    report = verify()
    assert found(report) == [(REGISTER, 8, Finding.TAIL_CUT), (MIRROR, 8, Finding.AHEAD)]
    assert [problem.until for problem in report.problems] == [10, 10]


def test_a_cut_tail_with_its_head_put_back_is_found_by_the_mirror(
    ten: None, register: Register, verify: Verify
) -> None:
    lines = rows(register)
    put(register, lines[:7])
    with register.write() as session:
        session.execute(update(LedgerHeadRow).values(seq=7, sha256=lines[6]["sha256"]))
    assert found(verify()) == [(MIRROR, 8, Finding.AHEAD)]


def test_an_emptied_ledger_is_found(ten: None, register: Register, verify: Verify) -> None:
    put(register, [])
    assert found(verify())[0] == (REGISTER, 1, Finding.TAIL_CUT)
    with register.write() as session:
        session.execute(delete(LedgerHeadRow))
    assert found(verify()) == [(MIRROR, 1, Finding.AHEAD)]


def test_lines_behind_the_head_are_found(ten: None, register: Register, verify: Verify) -> None:
    with register.write() as session:
        session.execute(update(LedgerHeadRow).values(seq=9, sha256=rows(register)[8]["sha256"]))
    assert found(verify()) == [(REGISTER, 10, Finding.HEAD_DIFFERS)]


def test_a_missing_head_is_found(ten: None, register: Register, verify: Verify) -> None:
    with register.write() as session:
        session.execute(delete(LedgerHeadRow))
    assert found(verify()) == [(REGISTER, 10, Finding.HEAD_DIFFERS)]


def rewrite(register: Register, from_seq: int) -> None:
    """Makes the chain anew from a line on, with all digests and the head: what its owner can do."""
    lines = rows(register)
    end = Head(from_seq - 1, lines[from_seq - 2]["sha256"])
    for row in lines[from_seq - 1 :]:
        made = link(Line(row["kind"], row["subject"], {"n": 0}, row["at"]), station_no="S1", actor="dockd", after=end)
        row.update(line=made.text, sha256=made.sha256)
        end = Head(made.seq, made.sha256)
    put(register, lines)
    with register.write() as session:
        session.execute(update(LedgerHeadRow).values(sha256=end.sha256))


def test_a_chain_that_was_made_anew_is_found_by_the_mirror(ten: None, register: Register, verify: Verify) -> None:
    rewrite(register, 6)
    report = verify()
    assert found(report) == [(MIRROR, 6, Finding.CHANGED)]
    assert report.problems[0].until == 10


def test_a_chain_and_mirror_made_anew_are_found_by_an_anchor(
    ten: None, register: Register, store: Path, mirror: Mirror, verify: Verify
) -> None:
    kept = [Head(row["seq"], row["sha256"]) for row in rows(register)]
    rewrite(register, 6)
    shutil.rmtree(store / "ledger")
    mirror()
    assert verify(anchors=kept[:5]).problems == ()
    assert found(verify(anchors=[kept[2], kept[7]])) == [(REGISTER, 8, Finding.ANCHOR)]
    assert found(verify(anchors=[Head(11, "0" * 64)])) == [(REGISTER, 11, Finding.ANCHOR)]


def test_a_line_of_another_station_is_found(ten: None, register: Register, tell: Tell, verify: Verify) -> None:
    tell(11, station_no="S2", at=OCTOBER)
    with register.write() as session:
        session.execute(delete(EventRow).where(EventRow.station_no == "S1", EventRow.seq == 10))
        session.execute(update(EventRow).where(EventRow.station_no == "S2", EventRow.seq == 10).values(station_no="S1"))
    assert (REGISTER, 10, Finding.COLUMNS) in found(verify())


# --- the mirror was tampered with -------------------------------------------------------------------


def test_a_changed_line_in_the_mirror_is_found(ten: None, store: Path, verify: Verify) -> None:
    edit(mirror_files(store)[0], lambda lines: [*lines[:2], lines[2].replace(b"test", b"tent"), *lines[3:]])
    report = verify()
    assert found(report) == [(MIRROR, 3, Finding.CHANGED)]
    assert report.problems[0].detail == "2026-10.jsonl, line 3"
    assert report.mirrored == 9


@pytest.mark.parametrize("place", [0, 2, 4])
def test_a_removed_line_in_the_mirror_is_found(ten: None, store: Path, verify: Verify, place: int) -> None:
    edit(mirror_files(store)[0], lambda lines: [*lines[:place], *lines[place + 1 :]])
    assert found(verify()) == [(MIRROR, place + 1, Finding.REMOVED)]


def test_a_removed_file_of_the_mirror_is_found(ten: None, store: Path, verify: Verify) -> None:
    mirror_files(store)[0].unlink()
    report = verify()
    assert found(report) == [(MIRROR, 1, Finding.REMOVED)]
    assert report.problems[0].until == 5


@pytest.mark.parametrize("foreign", [b"not a line", b"", b"\xff\xfe", b'{"seq":3}'])
def test_an_inserted_line_in_the_mirror_is_found(ten: None, store: Path, verify: Verify, foreign: bytes) -> None:
    edit(mirror_files(store)[0], lambda lines: [*lines[:2], foreign, *lines[2:]])
    assert found(verify()) == [(MIRROR, 3, Finding.INSERTED)]


def test_a_line_that_stands_twice_in_the_mirror_is_found(ten: None, store: Path, verify: Verify) -> None:
    edit(mirror_files(store)[1], lambda lines: [*lines, lines[0]])
    assert found(verify()) == [(MIRROR, 6, Finding.INSERTED)]


def test_reordered_lines_in_the_mirror_are_found(ten: None, store: Path, verify: Verify) -> None:
    edit(mirror_files(store)[0], lambda lines: [lines[0], lines[2], lines[1], *lines[3:]])
    assert found(verify()) == [(MIRROR, 2, Finding.REORDERED)]


def test_reordered_files_of_the_mirror_are_found(ten: None, store: Path, verify: Verify) -> None:
    older, newer = mirror_files(store)
    older.rename(newer.with_name("2026-12.jsonl"))
    report = verify()
    assert found(report) == [(MIRROR, 1, Finding.REORDERED)]
    assert report.problems[0].until == 5


def test_a_line_added_to_the_mirror_is_found(ten: None, store: Path, verify: Verify) -> None:
    edit(mirror_files(store)[1], lambda lines: [*lines, b'{"kind":"footage.stored"}'])
    assert found(verify()) == [(MIRROR, 11, Finding.AHEAD)]


def test_bytes_at_the_mirrors_end_that_no_crash_explains_are_found(
    ten: None, store: Path, tell: Tell, verify: Verify
) -> None:
    with mirror_files(store)[1].open("ab") as file:
        file.write(b"x")
    assert found(verify()) == [(MIRROR, 11, Finding.AHEAD)]
    tell(1)
    assert found(verify()) == [(MIRROR, 11, Finding.CHANGED)]


def test_a_missing_newline_within_the_mirror_is_found(ten: None, store: Path, verify: Verify) -> None:
    older = mirror_files(store)[0]
    older.write_bytes(older.read_bytes()[:-1])
    assert found(verify()) == [(MIRROR, 5, Finding.CHANGED)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_no_change_of_the_mirror_goes_unseen(ten: None, store: Path, verify: Verify, chance: random.Random) -> None:
    path = chance.choice(mirror_files(store))
    whole = path.read_bytes()
    raw = bytearray(whole)
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(raw))
        raw[start : start + chance.randint(0, 60)] = chance.randbytes(chance.randint(0, 3))
    torn = path == mirror_files(store)[-1] and whole.startswith(bytes(raw))  # what a crash leaves
    try:
        path.write_bytes(raw)
        assert bool(verify().problems) != (torn or bytes(raw) == whole)
    finally:
        path.write_bytes(whole)


# --- bounds -----------------------------------------------------------------------------------------


def test_a_report_lists_so_many_problems_and_counts_the_rest(
    ten: None, store: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "LISTED", 2)
    edit(mirror_files(store)[0], lambda lines: [b"x", lines[1], b"x", lines[3], b"x"])
    report = verify()
    assert (len(report.problems), report.unlisted) == (2, 1)


def test_verifying_needs_no_memory_for_history(tell: Tell, mirror: Mirror, verify: Verify) -> None:
    tell(1000)
    mirror()
    short = peak(verify)
    for _ in range(4):
        tell(1000)
    mirror()
    assert peak(verify) < 2 * short


def peak(act: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


# --- without dockd ----------------------------------------------------------------------------------

LOOP = r"""
prev=$(printf '0%.0s' $(seq 64))
cat [0-9]*.jsonl | while IFS= read -r line; do
  case $line in
    *"\"prev\":\"$prev\""*) ;;
    *) echo "broken before: $line"; break ;;
  esac
  prev=$(printf '%s' "$line" | sha256sum | cut -c1-64)
  echo "$prev"
done | tail -n 1
"""


@pytest.mark.parametrize("shell", [shell for shell in ("dash", "bash") if shutil.which(shell)])
def test_anyone_can_follow_the_chain_with_a_shell_and_sha256sum(
    ten: None, register: Register, store: Path, shell: str
) -> None:
    def follow() -> str:
        done = subprocess.run(
            [shell, "-c", LOOP], cwd=store / "ledger" / "S1", env={"PATH": os.defpath}, capture_output=True, text=True
        )
        return done.stdout.strip()

    with register.read() as session:
        assert follow() == ledger.head(session, "S1").sha256
    edit(mirror_files(store)[0], lambda lines: [*lines[:2], lines[2].replace(b"test", b"tent"), *lines[3:]])
    assert follow().startswith("broken before:")
    assert '"seq":4' in follow()


def test_the_same_lines_make_the_same_chain_on_either_database_and_for_ever(register: Register, tell: Tell) -> None:
    tell(3)
    with register.read() as session:
        sha256 = session.scalar(text("SELECT sha256 FROM ledger_head"))
    assert sha256 == "7e6eca6b8cba6289b3b3ece582249c429deeebb276b99ac465a2a8cd52e5c15b"
