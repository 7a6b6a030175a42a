"""One call of ``dockd``: which configuration, which clock, who calls.

A command ends by returning (done), by returning or exiting with an ``Exit`` code, or by
raising a DockdError, which ``main`` prints in the station's language.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dockd.errors import BadValue
from dockd.locale import N_, _

if TYPE_CHECKING:
    from dockd.register.station import Station
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

    def station(self) -> Station:
        """The open station; it is closed when the command ends. Raises what ``open_station`` raises."""
        if self._station is None:
            from dockd.register.station import open_station

            self._station = open_station(self.settings(), now=self.now, actor=self.actor)
        return self._station

    @property
    def actor(self) -> str:
        """The caller as the ledger names people."""
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

    def close(self) -> None:
        """Let go of the register."""
        if self._station is not None:
            self._station.close()
            self._station = None


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
