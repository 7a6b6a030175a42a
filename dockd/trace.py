"""Where an exception happened, never of whom: kinds, lines of our code and errno, without any message.

A message may quote a value (a name in a statement's parameters, a file's name), and
logs and reports are read by people who may not know it (article 27(2)).
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator

_ROOT = os.path.dirname(os.path.dirname(__file__))


def kind(error: BaseException) -> str:
    """``sqlalchemy.exc.OperationalError (errno 5)``"""
    name = type(error).__qualname__
    module = type(error).__module__
    code = getattr(error, "errno", None)
    return (name if module == "builtins" else f"{module}.{name}") + (f" (errno {code})" if code else "")


def frames(error: BaseException) -> Iterator[str]:
    """``dockd/offload/plan.py:31 plan``, outermost first."""
    for frame in traceback.extract_tb(error.__traceback__):
        yield f"{_short(frame.filename)}:{frame.lineno} {frame.name}"
    yield from getattr(error, "trace_lines", ())  # what a worker process told of its own


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and what it came from, latest first."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _short(file: str) -> str:
    """A path without the folders that an installation lies in: they may carry a person's name too."""
    if file.startswith(_ROOT + os.sep):
        return file[len(_ROOT) + 1 :]
    parts = file.split(os.sep)
    known = next((i for i, part in enumerate(parts) if part in ("site-packages", "dist-packages")), None)
    return os.sep.join(parts[known + 1 :]) if known is not None else os.sep.join(parts[-2:])
