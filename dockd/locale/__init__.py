"""The language that people are spoken to in: Chinese first, English beside it.

English texts are the keys. ``_`` gives a text in the language in use, ``N_`` only
marks a text that is translated later. A text that the catalogue does not hold comes
out in English: a person is never shown nothing.
"""

from __future__ import annotations

import gettext
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

Language = Literal["zh", "en"]
DOMAIN = "dockd"
FOLDER = Path(__file__).parent
_LOCALES = {"zh": "zh_CN"}
_in_use: tuple[Language, gettext.NullTranslations] = ("en", gettext.NullTranslations())


def _(msgid: str) -> str:
    """The text of ``msgid`` in the language in use."""
    return _in_use[1].gettext(msgid) if msgid else ""


def N_(msgid: str) -> str:  # noqa: N802 (gettext's own name)
    """``msgid`` unchanged, marked for the catalogue."""
    return msgid


def word_of(code: str, words: Mapping[str, str]) -> str:
    """The text that ``words`` (marked by ``N_``) has for a code; a code that has none is shown as it is."""
    return _(words[code]) if code in words else code


def use_language(name: Language) -> None:
    """From now on ``_`` speaks ``name``."""
    global _in_use
    if name in _LOCALES:
        _in_use = (name, gettext.translation(DOMAIN, FOLDER, [_LOCALES[name]], fallback=True))
    else:
        _in_use = (name, gettext.NullTranslations())


def language() -> Language:
    """The language in use."""
    return _in_use[0]


def choose_language(environ: Mapping[str, str], *, asked: str | None = None, configured: str | None = None) -> Language:
    """The first known of: ``DOCKD_LANG``, what was asked for, the station's language, the session's locale, Chinese."""
    session = (environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    for wish in (environ.get("DOCKD_LANG"), asked, configured, *session):
        if wish and (known := re.match(r"(zh|en)(?![A-Za-z])", wish)):
            return cast(Language, known[1])
    return "zh"


def configured_language(file: str | os.PathLike[str]) -> str | None:
    """``agency.language`` of a configuration at a glance, without reading it as YAML: help needs it at once.

    None where the file cannot be read or does not say it; a wrong file is refused
    later, by the settings, in the language found here.
    """
    try:
        text = Path(file).read_bytes()[: 1 << 20]
    except OSError:
        return None
    found = re.search(rb"(?m)^agency:.*\n(?:(?:[ \t#].*)?\r?\n)*?[ \t]+language:[ \t]*[\"']?(zh|en)\b", text)
    return found[1].decode() if found else None
