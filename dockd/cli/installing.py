"""What ``systemd/install`` asks of the program that it installs; each act may be done again.

``python -m dockd.cli.installing configure FILE [KEY=VALUE…]`` (root): writes the configuration of a new station.
``… places FILE`` prints the folders that the service writes to, one a line, outside its own.
``… station FILE`` (the service's user): makes the station, or brings its register up to date after a backup.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from pathlib import Path

from dockd.cli.founding import FILE_MODE, Place, station_text
from dockd.cli.invocation import utc_now
from dockd.errors import DockdError, WrongUse
from dockd.locale import _, choose_language, configured_language, use_language
from dockd.settings import Settings, load_settings, parse_settings

OWN = Path("/var/lib/dockd")
"""The service's own folder (StateDirectory=), which it may always write to."""
CONTROL = "/run/dockd/control"


def configure(file: Path, wishes: Sequence[str]) -> bool:
    """A configuration stands in ``file``; False when one did already. Raises ConfigInvalid for a wrong wish."""
    if file.exists():
        return False
    known = {field.name for field in fields(Place)}
    pairs = dict(wish.partition("=")[::2] for wish in wishes)
    if unknown := pairs.keys() - known:
        raise WrongUse(text=_("there is no such key") + f": {', '.join(sorted(unknown))}")
    text = station_text(replace(Place(control=CONTROL), **pairs))  # type: ignore[arg-type]
    parse_settings(text, file)
    part = file.with_suffix(".part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE), "w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.rename(part, file)
    return True


def places(settings: Settings) -> Iterator[Path]:
    """The folders that the service writes to and that systemd must be told of."""
    files = [settings.inventory.path, *(export.path for export in settings.exports), settings.register_file]
    folders = [settings.store.root, settings.backup.folder, settings.folders.imports]
    folders += [channel.folder for channel in settings.alerts.channels]
    wanted = [file.parent for file in files if file] + [folder for folder in folders if folder]
    for path in sorted(set(wanted)):
        if path != OWN and OWN not in path.parents:
            yield path


def make_or_migrate(settings: Settings) -> str:
    """The station can be opened by this program. Returns what was done, for people."""
    from dockd.register.session import migrate_register
    from dockd.register.station import MARKER, create_station, open_station

    if not os.path.lexists(settings.store.root / MARKER):
        create_station(settings, now=utc_now, actor="dockd").close()
        return _("The station is ready.")
    backup = migrate_register(settings.register.url, now=utc_now())
    open_station(settings, now=utc_now, actor="dockd").close()
    if backup:
        return _("The register was brought up to date. Its backup: {path}").format(path=backup)
    return _("The station is as it was.")


def main(argv: Sequence[str]) -> int:
    act, file, *wishes = argv
    use_language(choose_language(os.environ, configured=configured_language(file)))
    try:
        if act == "configure":
            configure(Path(file), wishes)
        elif act == "places":
            print(*places(load_settings(Path(file))), sep="\n")
        elif act == "station":
            os.umask(0o027)
            print(make_or_migrate(load_settings(Path(file))))
        else:
            raise WrongUse(text=act)
    except DockdError as error:
        print(f"{error.render(_)}\n{error.render_hint(_)}", file=sys.stderr)
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
