"""``dockd run``: starts the parts, waits on everything at once, and ends as a whole.

Ready is said when every part stands. A part that fails or shows no sign of life any more ends the
service, which says which part it was (exit 1; systemd starts it anew). SIGTERM and SIGINT end it in
order: nothing new is taken, workers stop before their next write, and every visit can be resumed.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import structlog

from dockd.errors import ConfigNeedsRestart, DockdError, Exit
from dockd.locale import _
from dockd.service.crew import Crew
from dockd.service.loop import Loop
from dockd.service.notify import Herald
from dockd.service.parts import Part, Surroundings
from dockd.settings import Settings

END_S = 60.0
"""How long an orderly end may take before what is left is killed; systemd's TimeoutStopSec must be longer."""

_PULSE_S = 30.0  # without a watchdog: how often the parts are asked for a sign of life
_START_S = 30.0  # by how much a start that is still waiting asks for more time
_LASTING = ("agency.station_no", "store.root", "register.url")

_log = structlog.get_logger()


class Supervisor:
    """``load`` reads the configuration again, for SIGHUP."""

    def __init__(
        self,
        parts: Sequence[Part],
        settings: Settings,
        *,
        loop: Loop,
        crew: Crew,
        now: Callable[[], datetime],
        herald: Herald,
        load: Callable[[], Settings],
    ) -> None:
        self._parts = tuple(parts)
        self._loop = loop
        self._crew = crew
        self._herald = herald
        self._load = load
        self._ready = False
        self._ending: Exit | None = None
        self._failure: DockdError | None = None
        self.around = Surroundings(loop, settings, now, crew, self.reload, self.show)

    def run(self) -> Exit:
        """Until a signal or a part's end; returns the exit code. Everything that was started has ended then.

        Raises the DockdError that a part met and nothing can be done about while the service runs.
        """
        self._crew.start()
        with self._listening():
            try:
                self._start()
                while self._ending is None:
                    self._turn()
            finally:
                self._finish()
        if self._failure:
            raise self._failure
        return self._ending or Exit.DONE

    def _start(self) -> None:
        for part in self._parts:
            self._guard(part, part.start, self.around)
        self._pulse()

    def _turn(self) -> None:
        try:
            self._loop.turn()
        except DockdError as error:
            _log.error("service_failed", error=error.name)
            self._failure = self._failure or error
            self.end(error.exit_code)
            return
        except Exception:  # noqa: BLE001 (whatever it is, the rest must end in order)
            _log.exception("service_failed")
            self.end(Exit.BUG)
            return
        if not self._ready and all(part.ready() for part in self._parts):
            self._ready = True
            self._herald.ready()
            _log.info("service_ready", pid=os.getpid())
        self._herald.status(self.status())

    def _guard(self, part: Part, act: Callable[..., None], *args: object) -> None:
        try:
            act(*args)
        except DockdError as error:
            _log.error("part_failed", job=part.name, error=error.name)
            raise
        except Exception:
            _log.exception("part_failed", job=part.name)
            raise

    def _pulse(self) -> None:
        """The watchdog's word is said only if every part shows a sign of life; one that does not ends us."""
        silent = [part.name for part in self._parts if not part.alive()]
        silent += [] if self._crew.alive() else ["crew"]
        for name in silent:
            _log.error("part_died", job=name)
            self.end(Exit.BUG)
        if not silent:
            self._herald.alive()
        if not self._ready:
            self._herald.wait(_START_S)
        wanted = self._herald.watchdog_s
        self._loop.after(min(wanted / 3, _PULSE_S) if wanted else _PULSE_S / 3, self._pulse)

    def end(self, code: Exit = Exit.DONE) -> None:
        """Begins to end; the first reason counts."""
        if self._ending is None:
            self._ending = code

    def reload(self) -> None:
        """The configuration is read again: as a whole, or not at all. Raises ConfigInvalid, ConfigNeedsRestart …"""
        settings = self._load()
        changed = [key for key in _LASTING if _value(settings, key) != _value(self.around.settings, key)]
        if changed:
            raise ConfigNeedsRestart(file=settings.file, key=changed[0])
        self.around.settings = settings
        for part in self._parts:
            part.reload(settings)
        _log.info("configuration_taken")

    def show(self) -> dict[str, Any]:
        """What the parts show of themselves, by name."""
        return {part.name: sight for part in self._parts if (sight := part.show()) is not None}

    def tell(self) -> dict[str, Any]:
        """What ``dockd status`` shows."""
        state = "ending" if self._ending is not None else "ready" if self._ready else "starting"
        return {"state": state, "words": self.status(), "pid": os.getpid(), **self.show()}

    def status(self) -> str:
        """One line for ``systemctl status``."""
        if self._ending is not None:
            return _("ending; every visit can be resumed")
        words = [word for part in self._parts if (word := part.status())]
        return " · ".join(words) or (_("ready") if self._ready else _("starting"))

    def _on_hangup(self) -> None:
        self._herald.reloading()
        try:
            self.reload()
        except DockdError as error:
            _log.error("configuration_refused", error=error.name)
        self._herald.ready()

    @contextmanager
    def _listening(self) -> Iterator[None]:
        """In the block signals are words in the loop."""
        hear, tell = socket.socketpair()
        hear.setblocking(False)
        tell.setblocking(False)
        before = {
            number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        woken = signal.set_wakeup_fd(tell.fileno())
        self._loop.watch(hear.fileno(), lambda: self._on_signals(hear.recv(64)))
        try:
            yield
        finally:
            self._loop.forget(hear.fileno())
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)
            hear.close()
            tell.close()

    def _on_signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGHUP:
                self._on_hangup()
            elif number in (signal.SIGTERM, signal.SIGINT):
                _log.info("service_ending", signal=signal.Signals(number).name)
                self.end()

    def _finish(self) -> None:
        """Every part ends, in the opposite order of the starts; what is left after ``END_S`` is killed."""
        self._herald.stopping()
        self._herald.status(self.status() if self._ending is not None else "")
        for part in reversed(self._parts):
            with suppress(Exception):  # the others must end too
                part.stop()
        last = self._loop.clock() + END_S
        self._crew.let_go()
        while self._crew.size or not all(part.ended() for part in self._parts):
            if self._loop.clock() >= last:
                _log.warning("service_killed_rest", count=self._crew.size)
                break
            with suppress(Exception):
                self._loop.turn(0.5)
        self._crew.close()
        _log.info("service_ended")


def _value(settings: Settings, key: str) -> object:
    value: object = settings
    for name in key.split("."):
        value = getattr(value, name)
    return value
