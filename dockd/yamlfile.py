"""A YAML file as plain values, with the line of every key, and nothing that YAML should not be able to do.

Refused with the line: duplicate keys, anchors and aliases (a few lines of them can
stand for gigabytes), tags, nesting deeper than any configuration, more than 1 MiB,
anything but UTF-8 (a byte order mark is tolerated).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dockd.errors import ConfigInvalid, ConfigMissing, ConfigUnreadable
from dockd.locale import N_, _

LARGEST = 1 << 20
DEEPEST = 16

Keys = tuple[str | int, ...]
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp"))


@dataclass(frozen=True, slots=True)
class Yaml:
    """The values of a file, the line (from 1) of every key and list item, and each value as it is written."""

    file: Path
    values: Any
    lines: dict[Keys, int] = field(default_factory=dict)
    texts: dict[Keys, str] = field(default_factory=dict)

    def line(self, keys: Keys) -> int:
        """The line of ``keys``, or of the nearest key above it that stands in the file."""
        while keys and keys not in self.lines:
            keys = keys[:-1]
        return self.lines.get(keys, 1)


def dotted(keys: Keys) -> str:
    """``('exports', 0, 'name')`` → ``exports.0.name``."""
    return ".".join(str(key) for key in keys)


def read_yaml(file: Path) -> Yaml:
    """The file's values and lines.

    Raises ConfigMissing, ConfigUnreadable (not YAML, not UTF-8, too large) and
    ConfigInvalid (a duplicate key).
    """
    return parse_yaml(_read(file), file)


def parse_yaml(text: str, file: Path) -> Yaml:
    """``read_yaml`` of a text that is already there; ``file`` is only named in errors."""
    loader = _open(text, file)
    try:
        node = loader.get_single_node()
        found = Yaml(file, {})
        return found if node is None else Yaml(file, _plain(loader, node, (), found), found.lines, found.texts)
    except yaml.MarkedYAMLError as error:
        raise _unreadable(file, error) from None
    finally:
        loader.dispose()


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            raw = stream.read(LARGEST + 1)
    except FileNotFoundError:
        raise ConfigMissing(file=file) from None
    except OSError as error:
        raise ConfigUnreadable(file=file, line=1, problem=error.strerror or str(error)) from None
    if len(raw) > LARGEST:
        raise ConfigUnreadable(file=file, line=1, problem=_("the file is larger than 1 MiB"))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigUnreadable(file=file, line=line, problem=_("the text is not UTF-8")) from None


class _Refused(yaml.MarkedYAMLError):
    """YAML that is valid and not wanted; the problem is already in the person's language."""


class _Loader(yaml.SafeLoader):
    """SafeLoader without anchors, aliases and bottomless nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            raise _Refused(
                problem=_("anchors (&) and aliases (*) are not used here; put the text in quotes"),
                problem_mark=event.start_mark,
            )
        self.depth += 1
        if self.depth > DEEPEST:
            raise _Refused(problem=_("the keys are nested too deeply"), problem_mark=event.start_mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def _open(text: str, file: Path) -> _Loader:
    try:
        return _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise ConfigUnreadable(file=file, line=line, problem=_("the text holds a control character")) from None


def _plain(loader: _Loader, node: yaml.Node, keys: Keys, found: Yaml) -> Any:
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, keys, found)
    if isinstance(node, yaml.SequenceNode):
        return [_item(loader, child, (*keys, i), found) for i, child in enumerate(node.value)]
    found.texts[keys] = str(node.value)
    return _scalar(loader, node)


def _item(loader: _Loader, node: yaml.Node, keys: Keys, found: Yaml) -> Any:
    found.lines[keys] = node.start_mark.line + 1
    return _plain(loader, node, keys, found)


def _mapping(loader: _Loader, node: yaml.MappingNode, keys: Keys, found: Yaml) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        # The key's own text: a bay that is called 1 or on is called "1" or "on".
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        here = (*keys, key)
        line = key_node.start_mark.line + 1
        if key in values:
            first = found.lines[here]
            raise ConfigInvalid(
                file=found.file,
                line=line,
                key=dotted(here),
                problem=_("this key stands twice (first in line {first})").format(first=first),
                expected=_("every key once"),
            )
        found.lines[here] = line
        values[key] = _plain(loader, value_node, here, found)
    return values


def _scalar(loader: _Loader, node: yaml.Node) -> Any:
    if node.tag not in _PLAIN_TAGS:
        raise _Refused(
            problem=_("{tag} is not used here; put the text in quotes").format(tag=node.tag.rpartition(":")[2]),
            problem_mark=node.start_mark,
        )
    try:
        return loader.construct_object(node)
    except (ValueError, OverflowError):
        # 2026-13-40 looks like a date, 0b like a number: as text they are judged by the key they stand for.
        return node.value


# What PyYAML says, and what a person can act on.
_PLAIN_WORDS = (
    ("'\\t'", N_("a tab stands at the beginning of the line or before a value; use spaces")),
    ("mapping values are not allowed", N_("a colon with a space stands inside a value; put the value in quotes")),
    ("could not find expected ':'", N_("a line is neither “key: value” nor a comment")),
    ("found unexpected end of stream", N_("a quotation mark is opened but not closed")),
    ("expected ',' or", N_("a list or a bracket is not closed")),
    ("expected <block end>", N_("the indentation does not fit the lines above")),
    ("expected a single document", N_("a second document begins here; one file is one configuration")),
    ("cannot start any token", N_("a value begins with a character that YAML keeps for itself; put it in quotes")),
)


def _unreadable(file: Path, error: yaml.MarkedYAMLError) -> ConfigUnreadable:
    """PyYAML's words become a clerk's; what is not in the table keeps PyYAML's."""
    mark = error.problem_mark or error.context_mark
    problem = error.problem or ""
    if not isinstance(error, _Refused):
        said = next((words for part, words in _PLAIN_WORDS if part in f"{error.context} {problem}"), None)
        problem = _(said) if said else problem or _("this line cannot be understood")
    return ConfigUnreadable(file=file, line=mark.line + 1 if mark else 1, problem=problem)
