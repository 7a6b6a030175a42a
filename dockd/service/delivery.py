"""What a command writes for a caller elsewhere: made in a place that vanishes, then put in his folder by his client."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dockd.errors import ExportUnwritable

if TYPE_CHECKING:
    from dockd.service.served import Caller


@contextmanager
def delivering(caller: Caller, path: str, beside: str | None) -> Iterator[str]:
    """A path for the block to write to; what it wrote is at the caller's ``path`` when the block has ended well.

    So is ``beside``, after it: what describes the new file is added to what the caller has of that name.
    Raises ExportUnwritable.
    """
    with tempfile.TemporaryDirectory(prefix="dockd-") as place:
        target = os.path.join(place, os.path.basename(path) or "export")
        yield target
        _give(caller, path, target)
        if beside:
            _give(caller, os.path.join(os.path.dirname(path), beside), os.path.join(place, beside))


def _give(caller: Caller, path: str, place: str) -> None:
    try:
        with open(place, "rb") as made:
            caller.give(path, made)
    except OSError as error:
        raise ExportUnwritable(path=path, reason=error.strerror or str(error)) from error
