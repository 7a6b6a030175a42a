"""Root's command while no service runs: the same as in the service, by the station's user, so that all files stay his.

``python -m dockd.cli.alone FD FILE``: the connection to the client, which is root's, and the configuration.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from dockd.cli.invocation import utc_now
from dockd.cli.main import commandline
from dockd.errors import DockdError
from dockd.locale import _
from dockd.service.served import serve
from dockd.settings import load_settings

_ROOT = 0


def main(fd: int, file: Path) -> int:
    """Serves the one call."""
    try:
        settings = load_settings(file)
    except DockdError as error:  # root could read it, or it was changed a moment ago
        print(error.render(_), error.render_hint(_), sep="\n", file=sys.stderr)
        return error.exit_code
    with socket.socket(fileno=fd) as conn:
        return serve(conn, settings, _ROOT, commands=commandline(), now=utc_now, running=False)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), Path(sys.argv[2])))
