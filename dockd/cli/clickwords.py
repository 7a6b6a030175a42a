"""The texts of the argument parser (click) that a person can meet, marked for the catalogue.

click looks its texts up with the standard gettext functions, so it is enough to make our
catalogue the text domain. A text that another version of click words otherwise comes
out in English.
"""

from __future__ import annotations

import gettext
import os

from dockd.locale import DOMAIN, FOLDER, N_, Language


def several(one: str, many: str) -> tuple[str, str]:
    """A text with its plural, unchanged, marked for the catalogue."""
    return one, many


WORDS = (
    N_("Usage:"),
    N_("Options"),
    N_("Commands"),
    N_("Positional arguments"),
    N_("Show this message and exit."),
    N_("Show the version and exit."),
    N_("%(prog)s, version %(version)s"),
    N_("default: {default}"),
    N_("env var: {var}"),
    N_("required"),
    N_("Missing command."),
    N_("Missing argument"),
    N_("Missing option"),
    N_("Missing parameter"),
    N_("Invalid value: {message}"),
    N_("Invalid value for {param_hint}: {message}"),
    N_("No such option {name!r}."),
    N_("No such command {name!r}."),
    N_("Option {name!r} does not take a value."),
    N_("Argument {name!r} takes {nargs} values."),
    N_("Choose from:\n\t{choices}"),
    N_("{value!r} is not a valid {number_type}."),
    N_("{value} is not in the range {range}."),
    N_("file"),
    N_("directory"),
    N_("path"),
    N_("{name} {filename!r} does not exist."),
    N_("{name} {filename!r} is a file."),
    N_("{name} {filename!r} is a directory."),
    N_("{name} {filename!r} is not readable."),
    N_("{name} {filename!r} is not writable."),
    N_("Could not open file {filename!r}: {message}"),
)
PLURALS = (
    several("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    several("Option {name!r} requires an argument.", "Option {name!r} requires {nargs} arguments."),
    several("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    several("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    several("Takes {nargs} values but 1 was given.", "Takes {nargs} values but {len} were given."),
)


def click_speaks(language: Language) -> None:
    """From now on click's own texts come out of our catalogue in ``language``."""
    gettext.bindtextdomain(DOMAIN, str(FOLDER))
    gettext.textdomain(DOMAIN)
    os.environ["LANGUAGE"] = "zh_CN" if language == "zh" else "en"
