"""What a person sees while a visit runs: one live line with files, bytes, rate, time left and what is being done."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from dockd.locale import _

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from dockd.visit.request import Progress


def phase_words() -> dict[str, str]:
    """What a visit is doing, in the words of the dock's screen."""
    return {
        "recovering": _("finishing interrupted visits"),
        "listing": _("identifying"),
        "queued": _("queued"),
        "copying": _("copying, do not remove"),
        "paused": _("the store takes nothing now: paused"),
        "away": _("the card is away"),
        "proving": _("verifying, do not remove"),
        "safe": _("stored and verified, may be removed"),
        "unsafe": _("not everything is stored, dock again; describing what is"),
        "describing": _("stored and verified, may be removed; describing"),
        "ended": _("done"),
    }


def shown(progress: Progress) -> tuple[str, int]:
    """The phase to name and the bytes to show: read ones while the card is read, then proven ones."""
    if progress.phase.value != "copying":
        return progress.phase.value, progress.bytes_total
    if progress.bytes_read < progress.bytes_total:
        return "copying", progress.bytes_read
    return "proving", progress.bytes_proven


class Screen:
    """A progress bar on a terminal's stderr; nothing when ``quiet``."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar:
            self._bar.stop()

    def show(self, progress: Progress) -> None:
        """Redraws with the newest snapshot."""
        if self._quiet:
            return
        bar, task = self._bar_and_task()
        phase, completed = shown(progress)
        bar.update(
            task,
            total=progress.bytes_total or None,
            completed=completed,
            doing=phase_words()[phase],
            files=f"{progress.files_done}/{progress.files}",
        )

    def _bar_and_task(self) -> tuple[Bar, TaskID]:
        if self._bar is None or self._task is None:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.fields[doing]}"),
                TextColumn("{task.fields[files]}"),
                BarColumn(),
                DownloadColumn(binary_units=True),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task("visit", total=None, doing="", files="")
        return self._bar, self._task
