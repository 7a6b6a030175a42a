"""A report of a fault of our own, made to be sent away: where it happened, never of whom.

The messages of exceptions and the values on the command line may hold a person's name,
so they stay out; kinds of exceptions, lines of our code and versions go in.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from importlib import metadata

from dockd import __version__, trace

LIBRARIES = ("click", "pydantic", "PyYAML", "sqlalchemy", "alembic", "psycopg", "pyexiftool", "ffmpeg-python", "rich")


def write_report(error: BaseException, argv: Sequence[str], commands: Collection[str]) -> str:
    """Write the report to a new file that only its owner can read. Its path, or "-" where none can be written."""
    text = "\n".join([*_versions(), "", _command_line(argv, commands), "", *_chain(error)]) + "\n"
    try:
        handle, path = tempfile.mkstemp(prefix="dockd-report-", suffix=".txt")
        with open(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError:
        return "-"
    return path


def _versions() -> Iterator[str]:
    yield f"dockd {__version__}"
    yield f"Python {platform.python_version()}, {platform.platform()}, {sys.getfilesystemencoding()}"
    for name in LIBRARIES:
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            yield f"{name} is not installed"


def _command_line(argv: Sequence[str], commands: Collection[str]) -> str:
    """The commands and option names of a call; every other word becomes a dot."""
    return "dockd " + " ".join(_harmless(word, commands) for word in argv)


def _harmless(word: str, commands: Collection[str]) -> str:
    if word.startswith("--"):
        return word.partition("=")[0]
    if word.startswith("-"):
        return word[:2]
    return word if word in commands else "."


def _chain(error: BaseException) -> Iterator[str]:
    for one in trace.chain(error):
        yield trace.kind(one)
        yield from (f"  {frame}" for frame in trace.frames(one))
