"""Where an export goes: to a file, whole or not at all, or to standard output."""

from __future__ import annotations

import os
import sys

from dockd.cli.invocation import Invocation
from dockd.errors import ExportUnwritable


def write_out(invocation: Invocation, file: str, data: bytes) -> None:
    """``data`` at the caller's ``file`` or, for ``-``, on standard output. Raises ExportUnwritable."""
    if file == "-":
        to_stdout(data)
        return
    from dockd.export.atomic import publishing

    with invocation.delivering(file) as target, publishing(os.path.realpath(target)) as draft:
        draft.write(data)


def to_stdout(data: bytes) -> None:
    """Raises ExportUnwritable where standard output is a file that takes no more."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # its reader has seen enough
    except OSError as error:
        raise ExportUnwritable(path="-", reason=error.strerror or str(error)) from error
