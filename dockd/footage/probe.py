"""Describe stored files by parsers that run apart, each file within a time of its own.

Nothing that a parser says, fails to say or does keeps a batch from being answered:
every path gets ``MediaFacts``, and what went wrong stands in its ``problems``.
The parsers' side is ``probe_child``; here are the deadlines, and no parser.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from dockd.footage.confine import Bounds
from dockd.footage.facts import from_wire
from dockd.footage.probe_link import Link, reach_parsers
from dockd.nouns import MediaFacts

OnResult = Callable[[Path, MediaFacts], None]

LONGEST_ANSWER = 1 << 16
NOT_STARTED = "not_started"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class ProbeLimits:
    """What parsers may use. Seconds of wall time per file, then per process; bytes; processes side by side.

    A child is replaced after ``files_per_child`` files, so that nothing that a parser
    has gathered lasts.
    """

    seconds_per_file: float = 30.0
    seconds_to_start: float = 60.0
    memory_bytes: int = 1 << 30
    cpu_seconds: int = 60
    open_files: int = 64
    lanes: int = 2
    files_per_child: int = 250


@dataclass(frozen=True, slots=True)
class Isolation:
    """How well parsers are shut in on this machine, for ``dockd check``.

    ``weaker`` holds codes, empty is best: ``network_open`` (no network namespace),
    ``files_open`` (no Landlock: parsers can read what the caller can), ``privileges_kept``
    (no no_new_privs), ``runs_as_root``, ``not_started`` (no child could be started at all).
    """

    weaker: tuple[str, ...]
    ffprobe: bool = False
    exiftool: bool = False


def probe_batch(
    paths: Sequence[Path], *, limits: ProbeLimits | None = None, on_result: OnResult | None = None
) -> dict[Path, MediaFacts]:
    """Facts of every path, in the order given; ``on_result`` is called with each as it is known.

    No parser sees a file that is not in ``paths``, no file is changed, and nothing that
    was started is left when this returns or raises. Takes at most ``seconds_per_file``
    for each file (two are examined at once), whatever a parser does. Problems of its own:
    ``unsafe_name`` (not asked), ``unreadable``, ``not_regular``, ``empty``, ``probe_timeout``
    and ``probe_failed`` (facts may be partial), ``tools_missing``. Raises only what
    ``on_result`` raises.
    """
    limits = limits or ProbeLimits()
    found: dict[Path, MediaFacts] = {}

    def give(path: Path, facts: MediaFacts) -> None:
        found[path] = facts
        if on_result is not None:
            on_result(path, facts)

    wanted = list(dict.fromkeys(paths))
    waiting: deque[Path] = deque()
    for path in wanted:
        if is_safe_name(path):
            waiting.append(path)
        else:
            give(path, MediaFacts(problems=("unsafe_name",)))
    _work_off(waiting, limits, give)
    return {path: found[path] for path in wanted}


def is_safe_name(path: Path) -> bool:
    """Whether a path may be named to a parser: absolute, plain, UTF-8, as dockd's own names are.

    A newline would become an option of exiftool, a trailing ``|`` a command in versions
    before 12.38 (CVE-2022-23935), a leading ``-`` an option of either.
    """
    name = str(path)
    if not os.path.isabs(name) or os.path.normpath(name) != name or _CONTROL.search(name):
        return False
    return not any(part.startswith("-") for part in path.parts) and name.rstrip() == name and not name.endswith("|")


def isolation(limits: ProbeLimits | None = None) -> Isolation:
    """How a child would be confined here, found out by starting one. Never raises."""
    limits = limits or ProbeLimits()
    lane = _Lane(limits)
    try:
        lane.start(())
        while lane.alive and time.monotonic() < lane.deadline:
            _await_any([lane])
            for message in lane.hear():
                return _isolation_said(message)
    except OSError:
        return Isolation((NOT_STARTED,))
    finally:
        lane.stop()
    return Isolation((NOT_STARTED,))


def _isolation_said(message: dict[str, object]) -> Isolation:
    said = message.get("ready")
    weaker = tuple(str(code) for code in said) if isinstance(said, list) else (NOT_STARTED,)
    return Isolation(weaker, message.get("ffprobe") is True, message.get("exiftool") is True)


# --- the batch ---------------------------------------------------------------------------------------


def _work_off(waiting: deque[Path], limits: ProbeLimits, give: OnResult) -> None:
    lanes = [_Lane(limits) for _ in range(min(limits.lanes, len(waiting)))]
    try:
        while busy := [lane for lane in lanes if lane.feed(waiting)]:
            _await_any(busy)
            for lane in busy:
                for path, facts in lane.advance():
                    give(path, facts)
    finally:
        for lane in lanes:
            lane.stop()
    # Only where no child can be started at all.
    for path in waiting:
        give(path, MediaFacts(problems=("probe_failed",)))


def _await_any(lanes: list[_Lane]) -> None:
    """Wait until a child has spoken or the next deadline is reached."""
    alive = [lane for lane in lanes if lane.alive]
    with selectors.DefaultSelector() as selector:
        for lane in alive:
            selector.register(lane.answers, selectors.EVENT_READ)
        selector.select(max(0.0, min((lane.deadline for lane in alive), default=0.0) - time.monotonic()))


@dataclass
class _Lane:
    """One child (or unit of systemd's) at a time, at work on one file at a time."""

    limits: ProbeLimits
    link: Link | None = None
    path: Path | None = None
    so_far: MediaFacts = field(default_factory=MediaFacts)
    ready: bool = False
    deadline: float = 0.0
    asked: int = 0
    failed_starts: int = 0
    heard: bytes = b""

    @property
    def alive(self) -> bool:
        return self.link is not None

    @property
    def answers(self) -> int:
        assert self.link is not None
        return self.link.answers

    def feed(self, waiting: deque[Path]) -> bool:
        """Give the child the next file, or start one for it; False when this lane has nothing to wait for."""
        if self.path is not None or (self.alive and not self.ready):
            return True
        if not waiting or self.failed_starts > 1:
            return False
        if self.asked >= self.limits.files_per_child:
            self.stop()
        if self.alive:
            self._ask(waiting.popleft())
        else:
            self._start_for(waiting)
        return True

    def advance(self) -> Iterator[tuple[Path, MediaFacts]]:
        """Take in what the child has said, or its silence; gives each file that is thereby done."""
        if not self.alive:
            return
        for message in self.hear():
            yield from self._take(message)
        if not self.alive or time.monotonic() >= self.deadline:
            yield from self._give_up("probe_timeout" if self.alive else "probe_failed")

    def hear(self) -> list[dict[str, object]]:
        """Whole messages that have come; a child that has hung up or talks nonsense is stopped."""
        try:
            came = os.read(self.answers, LONGEST_ANSWER)
        except BlockingIOError:
            return []
        except ConnectionResetError:
            came = b""
        *lines, self.heard = (self.heard + came).split(b"\n")
        messages = [m for m in map(_message, lines) if m is not None]
        if not came or len(self.heard) > LONGEST_ANSWER or len(messages) < len(lines):
            self.stop()
        return messages

    def start(self, paths: Sequence[Path]) -> None:
        """Start a child that may read ``paths``. Raises OSError where the system has no process left."""
        # An exiftool that hangs at its start must not keep ffprobe from being asked.
        batch = _batch(paths, self.limits, with_exiftool=self.failed_starts == 0)
        self.link = reach_parsers(batch, patience_s=self.limits.seconds_to_start)
        self.ready, self.asked, self.heard = False, 0, b""
        self.deadline = time.monotonic() + self.limits.seconds_to_start

    def stop(self) -> None:
        """End the child and all that it has started."""
        link, self.link = self.link, None
        if link is not None:
            link.stop()

    def _start_for(self, waiting: deque[Path]) -> None:
        try:
            self.start(tuple(waiting))
        except OSError:
            self.failed_starts += 1

    def _ask(self, path: Path) -> None:
        assert self.link is not None
        self.path, self.so_far = path, MediaFacts()
        self.asked += 1
        self.deadline = time.monotonic() + self.limits.seconds_per_file
        self.link.ask(json.dumps({"path": str(path)}).encode() + b"\n")

    def _take(self, message: dict[str, object]) -> Iterator[tuple[Path, MediaFacts]]:
        if "ready" in message:
            self.ready, self.failed_starts = True, 0
        elif self.path is not None:
            self.so_far = from_wire(message.get("facts"))
            if message.get("done") is True:
                yield self.path, self.so_far
                self.path = None

    def _give_up(self, problem: str) -> Iterator[tuple[Path, MediaFacts]]:
        if not self.ready:
            self.failed_starts += 1
        self.stop()
        if self.path is not None:
            yield self.path, replace(self.so_far, problems=(*self.so_far.problems, problem))
            self.path = None


def _message(line: bytes) -> dict[str, object] | None:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def _batch(paths: Sequence[Path], limits: ProbeLimits, *, with_exiftool: bool) -> dict[str, object]:
    return {
        "bounds": asdict(Bounds(limits.memory_bytes, limits.cpu_seconds, limits.open_files)),
        "paths": [str(path) for path in paths],
        "exiftool": with_exiftool,
    }
