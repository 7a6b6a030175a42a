"""Visits of a growing station, killed at random and again, compared with the truth after every kill and every end.

    python tests/faults/soak.py --rounds 500 --seed 20261123

All that was ever stored is looked at again after every kill, so that a station is given up for a new one after
``STATION_ROUNDS`` rounds.

Each round two recorders are used, docked, killed in the middle of their visits (SIGKILL at a step of the copy or
at any moment, in recovery too, sometimes both at once), and at last left alone. The seed decides what lies on the
cards and which kills are tried; where a kill by the clock lands differs from run to run.
"""

from __future__ import annotations

import argparse
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "plugins"))

from dock import killer
from soak_card import CHUNK, MARK_EVERY, Card, Use, make_clips
from soak_truth import Comparison, Truth

from dockd.card.profile import load_profiles
from dockd.nouns import Recorder
from dockd.offload import pipeline, reader
from dockd.offload.audit import audit_store
from dockd.offload.steps import Step, ignore
from dockd.register import recorders
from dockd.register.ledger import verify_ledger
from dockd.register.station import create_station, open_station
from dockd.settings import Settings, load_settings
from dockd.visit.meter import Meter
from dockd.visit.numbers import Guards
from dockd.visit.request import VisitRequest
from dockd.visit.story import attend

STATION_YAML = """\
agency: {name: Test Bureau, station_no: S1, language: en}
store: {root: store, reserve: 0}
register: {url: "sqlite:///register.db", wait_s: 60}
"""
BEGUN = datetime.fromisoformat("2026-11-23T08:00:00+08:00")
SEED = 20261123
STATION_ROUNDS = 100
PATIENCE_S = 120
"""After this a visit counts as hanging."""

OFTEN = (Step.CHUNK_WRITTEN, Step.MARK_SYNCED, Step.MARK_KEPT, Step.TEMP_CREATED, Step.SOURCE_READ)
CALLS = ("fsync", "fdatasync", "link", "unlink", "rename", "replace", "mkdir", "ftruncate", "fchmod")
"""Beside these, each commit of the register counts as a call."""


@dataclass(frozen=True)
class Kill:
    """When a visit dies: at the ``nth`` time of ``step``, at its ``call``-th call that changes the disk, or in time."""

    step: Step | None = None
    nth: int = 0
    call: int = 0
    after_s: float = PATIENCE_S


@dataclass
class Life:
    """A process that attends one card."""

    card: Card
    kill: Kill
    pid: int
    handle: int
    begun: float = field(default_factory=time.monotonic)

    @property
    def left_s(self) -> float:
        return max(0.0, self.begun + self.kill.after_s - time.monotonic())


@dataclass
class Tally:
    """What a soak did and found."""

    seed: int
    rounds: int = 0
    visits: int = 0
    kills: int = 0
    landed: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    hashed: int = 0
    seconds: float = 0.0
    faults: list[tuple[str, str]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Counts what another station's soak did and found."""
        for name in ("rounds", "visits", "kills", "compared", "hashed", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.landed += other.landed
        self.faults += [(kind, f"seed {other.seed}, {text}") for kind, text in other.faults]

    def __str__(self) -> str:
        kinds = Counter(kind for kind, _ in self.faults)
        others = sum(kinds.values()) - kinds["lost"] - kinds["false stored"] - kinds["duplicate"] - kinds["temp"]
        return (
            f"seed {self.seed}: {self.rounds} rounds, {self.visits} visits, {self.kills} kills, "
            f"{self.landed['mid-file']} of them mid-file, {self.compared} files checked ({self.hashed} read), "
            f"losses {kinds['lost']}, false stored {kinds['false stored']}, duplicates {kinds['duplicate']}, "
            f"temps left {kinds['temp']}, other faults {others}, {self.seconds:.0f} s"
        )


def die_at_call(nth: int) -> None:
    """Ends this process at its ``nth`` call that changes the disk: before it, or after it where ``nth`` is even."""
    left = nth

    def count() -> None:
        nonlocal left
        left -= 1
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if nth % 2:
                count()
            result = call(*args, **kwargs)
            if not nth % 2:
                count()
            return result

        return wrapped

    for name in CALLS:
        setattr(os, name, wrap(getattr(os, name)))
    event.listen(Engine, "commit", lambda _: count())


class Soak:
    """One station and two cards in ``folder``."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder = folder
        self.rng = random.Random(seed)
        self.now = BEGUN
        self.tally = Tally(seed)
        self.cards = [Card(folder / "card-7", "YS-07", "2107731"), Card(folder / "card-8", "YS-08", "2107732")]
        self.truth = Truth()
        self.clips = make_clips(folder) if shutil.which("ffmpeg") else []
        self.station = folder / "station"
        self.typical_s = 0.4
        self.settings = self._found_station()
        load_profiles(None)  # once, and not in every child
        self.comparison = Comparison(self.station, self.truth)

    def _found_station(self) -> Settings:
        self.station.mkdir()
        (self.station / "dockd.yaml").write_text(STATION_YAML, encoding="utf-8")
        settings = load_settings(self.station / "dockd.yaml")
        station = create_station(settings, now=lambda: BEGUN, actor="person:tester")
        with station.register.write() as session:
            for card in self.cards:
                one = Recorder(card.device_no, card.serial)
                recorders.add_recorder(session, one, station_no="S1", now=BEGUN, actor="person:tester")
        station.close()
        return settings

    def run(self, rounds: int, *, thorough_every: int = 50) -> Tally:
        """Goes on until all rounds are done or a fault is found; what it found is in the tally."""
        begun = time.monotonic()
        for number in range(1, rounds + 1):
            self.tally.rounds = number
            self.play_round()
            if number % thorough_every == 0 or number == rounds:
                self.prove_by_dockd()
                self.comparison.forget()
                self.compare(at_rest=True)
            self._keep_tally(begun)
            if self.tally.faults:
                break
        return self.tally

    def _keep_tally(self, begun: float) -> None:
        self.tally.compared, self.tally.hashed = self.comparison.compared, self.comparison.hashed
        self.tally.faults += [(kind, f"round {self.tally.rounds}: {text}") for kind, text in self.comparison.faults]
        self.comparison.faults.clear()
        self.tally.seconds = time.monotonic() - begun

    # --- a round ---------------------------------------------------------------------------------------------

    def play_round(self) -> None:
        """Recorders are used, docked, killed, and at last left alone."""
        self.now += timedelta(minutes=self.rng.randint(20, 100))
        used = self.rng.choice((self.cards[:1], self.cards[1:], self.cards))
        for card in used:
            Use(card, self.rng, self.now, self.clips)()
            self.truth.lay(card.recordings())
        since = self.comparison.last_visit()
        for _ in range(self.rng.choice((1, 2, 2, 3, 4))):
            together = self.rng.random() < 0.15
            self._attend([self.start(card, self._choose_kill()) for card in (used if together else used[:1])])
            self.compare(at_rest=False)
            for card in self.cards:
                self.comparison.compare_visits(card.device_no, since, card.files, finished=False)
            self.rng.shuffle(used)
        for card in used:
            self.finish(card, since)
        self.compare(at_rest=True)

    def _choose_kill(self) -> Kill:
        way = self.rng.random()
        if way < 0.35:
            return Kill(after_s=self.rng.uniform(0.1, 1) * self.typical_s)
        if way < 0.6:
            return Kill(call=1 + int(self.rng.expovariate(1 / 30)))
        if way < 0.8:
            return Kill(self.rng.choice(OFTEN), 1 + int(self.rng.expovariate(1 / 4)))
        return Kill(self.rng.choice(tuple(Step)), 1 + int(self.rng.expovariate(1)))

    def _attend(self, lives: Sequence[Life]) -> None:
        since = self.comparison.last_visit()
        codes = self._await(lives)
        killed = codes.count(-signal.SIGKILL)
        self.tally.kills += killed
        self.tally.landed[self.comparison.landing(since)] += bool(killed)

    def finish(self, card: Card, since: int) -> None:
        """The visit that nobody disturbs; from now on everything on the card must be stored for ever."""
        begun = time.monotonic()
        if self._await([self.start(card, Kill())]) == [0]:
            self.typical_s += 0.1 * (time.monotonic() - begun - self.typical_s)
        self.truth.due |= card.recordings()
        self.comparison.compare_visits(card.device_no, since, card.files, finished=True)

    def compare(self, *, at_rest: bool) -> None:
        self.comparison.compare(at_rest=at_rest)

    # --- processes -------------------------------------------------------------------------------------------

    def start(self, card: Card, kill: Kill) -> Life:
        """A process that attends ``card`` and dies as ``kill`` says."""
        self.tally.visits += 1
        self.now += timedelta(minutes=1)
        pid = self._fork(lambda: self._visit(card, kill))
        return Life(card, kill, pid, os.pidfd_open(pid))

    def _visit(self, card: Card, kill: Kill) -> None:
        pipeline.CHUNK = CHUNK  # type: ignore[attr-defined]
        reader.MARK_EVERY = MARK_EVERY
        if kill.call:
            die_at_call(kill.call)
        station = open_station(self.settings, now=lambda: self.now, actor="dockd")
        passed = killer(kill.step, kill.nth) if kill.step else ignore
        request = VisitRequest(str(card.folder), device_no=card.device_no)
        attend(station, request, meter=Meter(lambda _: None), guards=Guards(passed=passed))

    def _fork(self, act: Callable[[], None]) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for standard in (1, 2):
                os.dup2(log, standard)
            act()
            code = 0
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def _await(self, lives: Sequence[Life]) -> list[int]:
        """The exit codes of ``lives``, each killed when its time has come."""
        codes: dict[int, int] = {}
        while waiting := [life for life in lives if life.pid not in codes]:
            select.select([life.handle for life in waiting], [], [], min(life.left_s for life in waiting))
            for life in waiting:
                if life.left_s == 0:
                    signal.pidfd_send_signal(life.handle, signal.SIGKILL)
                    self._require_not_hanging(life)
                pid, status = os.waitpid(life.pid, 0 if life.left_s == 0 else os.WNOHANG)
                if pid:
                    codes[pid] = os.waitstatus_to_exitcode(status)
                    os.close(life.handle)
        for life in lives:
            if codes[life.pid] not in (0, -signal.SIGKILL):
                self.comparison.faults.append(("visit", f"a visit failed: {self._end_of_log()}"))
        return [codes[life.pid] for life in lives]

    def _require_not_hanging(self, life: Life) -> None:
        if life.kill.after_s == PATIENCE_S:
            self.comparison.faults.append(("visit", f"a visit of {life.card.device_no} did not end"))

    def _end_of_log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")[-3000:]

    # --- by other means ----------------------------------------------------------------------------------------

    def prove_by_dockd(self) -> None:
        """``dockd verify``, ``dockd ledger verify`` and ``sha256sum -c`` find nothing either."""
        _, status = os.waitpid(self._fork(self._audit), 0)
        if status:
            self.comparison.faults.append(("visit", f"dockd's own proof failed: {self._end_of_log()}"))
        for manifest in (self.station / "store/footage").rglob("visit-*.sha256"):
            command = ["sha256sum", "--quiet", "--strict", "-c", str(manifest.relative_to(self.station / "store"))]
            if subprocess.run(command, cwd=self.station / "store", capture_output=True, check=False).returncode:
                self.comparison.faults.append(("manifest", f"sha256sum does not agree with {manifest.name}"))

    def _audit(self) -> None:
        station = open_station(self.settings, now=lambda: self.now, actor="dockd")
        found = audit_store(station)
        report = verify_ledger(station.register, station.store, station.station_no)
        station.mirror_ledger()
        assert not found.faults, found.faults
        assert not report.problems, report.problems


def soak_stations(folder: Path, seed: int, rounds: int, *, tell: Callable[[str], None] = lambda _: None) -> Tally:
    """So many rounds, on a station for every ``STATION_ROUNDS`` of them, with seeds that count up from ``seed``."""
    whole = Tally(seed)
    for number, first in enumerate(range(0, rounds, STATION_ROUNDS)):
        place = folder / f"station-{number}"
        place.mkdir()
        whole.add(Soak(place, seed + number).run(min(STATION_ROUNDS, rounds - first)))
        if whole.faults:
            break
        tell(str(whole))
        shutil.rmtree(place)
    return whole


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--keep", type=Path, help="a new folder for station and cards; it is kept")
    said = parser.parse_args()
    folder = said.keep or Path(tempfile.mkdtemp(prefix="dockd-soak-"))
    folder.mkdir(exist_ok=said.keep is None)
    tally = soak_stations(folder, said.seed, said.rounds, tell=lambda line: print(line, flush=True))
    print(tally, "landed:", dict(tally.landed.most_common()), sep="\n")
    for kind, text in tally.faults[:20]:
        print(f"{kind}: {text}")
    if said.keep is None and not tally.faults:
        shutil.rmtree(folder)
    else:
        print(f"station and cards are in {folder}")
    return int(bool(tally.faults))


if __name__ == "__main__":
    sys.exit(main())
