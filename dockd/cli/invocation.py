"""One call of ``dockd``: which configuration, which clock, who calls and what is his.

In the service a call has a ``caller``: another person, elsewhere, whose role is asked and whose files are his.

A command ends by returning (done), by returning or exiting with an ``Exit`` code, or by
raising a DockdError, which ``main`` prints in the station's language.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, NoReturn

import click

from dockd.errors import BadValue, NotPermitted
from dockd.locale import N_, _

if TYPE_CHECKING:
    from dockd.register.csvfile import Readable
    from dockd.register.station import Station
    from dockd.service.person import Person
    from dockd.service.served import Caller
    from dockd.settings import Settings

DEFAULT_CONFIG = Path("/etc/dockd/dockd.yaml")


def utc_now() -> datetime:
    """The station's clock, in UTC."""
    return datetime.now(UTC)


def config_file(given: Path | None, environ: Mapping[str, str]) -> Path:
    """The configuration in force: what was given, ``$DOCKD_CONFIG``, ``/etc/dockd/dockd.yaml``."""
    return given or Path(environ.get("DOCKD_CONFIG") or DEFAULT_CONFIG)


@dataclass
class Invocation:
    """What a command knows of its call. Settings and station are opened when first asked for."""

    config: Path | None
    now: Callable[[], datetime] = utc_now
    caller: Caller | None = None
    _reads_only: bool = False
    _settings: Settings | None = field(default=None, repr=False)
    _station: Station | None = field(default=None, repr=False)

    @property
    def file(self) -> Path:
        """The configuration file in force, whether it is there or not."""
        return config_file(self.config, os.environ)

    def settings(self) -> Settings:
        """The validated configuration. Raises ConfigMissing, ConfigUnreadable, ConfigInvalid."""
        if self._settings is None:
            from dockd.settings import load_settings

            self._settings = load_settings(self.file)
        return self._settings

    def settings_on_file(self) -> Settings:
        """The configuration as its file says it now, which a running service may not have taken. Raises likewise."""
        if self.caller is None:
            return self.settings()
        from dockd.settings import load_settings

        return load_settings(self.file)

    def station(self) -> Station:
        """The open station; it is closed when the command ends. Raises what ``open_station`` raises."""
        if self._station is None:
            from dockd.register.station import open_station

            self._station = open_station(self.settings(), now=self.now, actor=self.actor)
            if self._reads_only:
                self._station.register.forbid_writing()
        return self._station

    def permit(self, command: str, said: Mapping[str, Any]) -> None:
        """Returns where the caller may do ``command`` with these parameters: everybody, on a station of his own.

        Raises NotPermitted otherwise, with a line in the ledger. What every role may do cannot write.
        """
        if self.caller is None:
            return
        from dockd.service.roles import action_of, may, may_write

        action, roles = action_of(command, said), self.caller.person.roles
        if not may(roles, action):
            self._refuse(self.caller.person, action)
        self._reads_only = not may_write(roles, action)

    def _refuse(self, person: Person, action: str) -> NoReturn:
        from dockd.register import ledger
        from dockd.service.roles import RUNNING, TABLE

        groups = sorted(role.group for role in TABLE.get(action, RUNNING))
        try:
            station = self.station()
            with station.register.write() as session:
                ledger.append(
                    session,
                    station_no=station.station_no,
                    kind="command.refused",
                    subject=person.actor,
                    data={"action": action, "roles": sorted(person.roles)},
                    at=self.now(),
                    actor=person.actor,
                )
            station.mirror_ledger()
        finally:
            # whatever became of the line, nobody does what he may not
            raise NotPermitted(person=person.login, action=action, groups=", ".join(groups))

    @property
    def actor(self) -> str:
        """The caller as the ledger names people."""
        if self.caller:
            return self.caller.person.actor
        return f"person:{_login_name(os.environ)}"

    def parse_time(self, text: str) -> datetime:
        """``text`` (ISO 8601) as an aware time; without an offset it is in the station's zone. Raises BadValue."""
        try:
            time = datetime.fromisoformat(text.strip())
        except ValueError:
            expected = _("a time such as 2026-11-23T14:05 or 2026-11-23T14:05+08:00")
            raise BadValue(what=_("time"), value=text, expected=expected) from None
        return time if time.tzinfo else time.replace(tzinfo=self.settings().zone)

    def local(self, time: datetime) -> datetime:
        """An aware ``time`` in the station's zone, where its settings are known."""
        return time.astimezone(self._settings.zone) if self._settings and time.tzinfo else time

    # --- the caller's own files ---------------------------------------------------------------------------

    def absolute(self, path: str) -> str:
        """``path`` of the caller's, absolute."""
        return self.caller.absolute(path) if self.caller else os.path.abspath(path)

    def handed(self, path: Path) -> Readable:
        """The caller's file, to be read with the caller's rights."""
        return Handed(path, self.caller) if self.caller else path

    @contextmanager
    def delivering(self, path: str, *, beside: str | None = None) -> Iterator[str]:
        """Where the block is to write what the caller wants at ``path``, and the package ``beside`` it.

        With a caller elsewhere that is a place that vanishes, from which both are delivered when the
        block ends well. Raises ExportUnwritable.
        """
        if self.caller is None:
            yield self.absolute(path)
            return
        from dockd.service.delivery import delivering

        with delivering(self.caller, path, beside) as place:
            yield place

    def close(self) -> None:
        """Let go of the register."""
        if self._station is not None:
            self._station.close()
            self._station = None


@dataclass(frozen=True, slots=True)
class Handed:
    """A file of a caller elsewhere, as far as a reader of ``Path`` needs it."""

    path: Path
    caller: Caller

    @property
    def name(self) -> str:
        return self.path.name

    def open(self, mode: Literal["rb"]) -> IO[bytes]:
        """Raises OSError as opening it there does."""
        return os.fdopen(self.caller.open(str(self.path)), mode)

    def __str__(self) -> str:
        return str(self.path)


def _login_name(environ: Mapping[str, str]) -> str:
    """Who sits at the keyboard: behind sudo it is not root."""
    if os.geteuid() == 0 and environ.get("SUDO_USER"):
        return environ["SUDO_USER"]
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


pass_invocation = click.make_pass_decorator(Invocation)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json``, which the command takes as ``as_json``."""
    help_text = N_("Print JSON on standard output.")
    return click.option("--json", "as_json", is_flag=True, help=help_text)(command)


def owner_of(settings: Settings) -> int:
    """The user whose station it is: whose the store is, or where that is away, the register; else whoever asks."""
    for place in (settings.store.root, settings.register_file):
        with suppress(OSError):
            if place:
                return os.stat(place).st_uid
    return os.geteuid()
