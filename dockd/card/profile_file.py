"""A profile file becomes one validated value, or is refused with file, key and what is expected."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from dockd.card.grammar import DIRECTIVES, GROUPS, Grammar, NamedPath
from dockd.card.patterns import PatternRefused, compile_pattern
from dockd.errors import ProfileInvalid
from dockd.nouns import ContainerClock, MediaType, MtimeClock, Place

MAX_FILE_BYTES = 256 << 10

_UTF8_BOM = "\ufeff"


def _refuse(problem: str, expected: str) -> PydanticCustomError:
    return PydanticCustomError("profile", "{problem}", {"problem": problem, "expected": expected})


def _check_pattern(text: str) -> str:
    try:
        compile_pattern(text)
    except PatternRefused as reason:
        raise _refuse(str(reason), "a regular expression (Python's) that covers the whole text") from reason
    return text


Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Token = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z]{1,32}$")]
Extension = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,10}$")]
Pattern = Annotated[str, StringConstraints(min_length=1), AfterValidator(_check_pattern)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(_Part):
    """The family's name for people."""

    en: Text
    zh: Text


class Recognition(_Part):
    """How a card of this family is known: where its recordings lie, its label, other tell-tale files."""

    paths: list[Pattern] = []
    labels: list[Pattern] = []
    marks: list[Pattern] = []


class GrammarPart(_Part):
    """One grammar of names."""

    name: Word
    of: Literal["name", "path"] = "name"
    pattern: Pattern
    time: Text | None = None
    pad: Annotated[str, StringConstraints(max_length=8)] = ""
    examples: list[Text] = []

    @model_validator(mode="after")
    def _hold_together(self) -> GrammarPart:
        groups = set(compile_pattern(self.pattern).groupindex)
        _check_groups(groups)
        _check_time(groups, self.time)
        for example in self.examples:
            parsed = self.compiled().read(NamedPath.of(example.encode()), frozenset())
            if not parsed or (self.time and not parsed.wall):
                raise _refuse(f"the example {example} is not read", "examples, with extension, that the grammar reads")
        return self

    def compiled(self, prefix: str = "") -> Grammar:
        return Grammar(prefix + self.name, compile_pattern(self.pattern), self.of == "path", self.time, self.pad)


class BindingPart(_Part):
    """A file on the card that names its recorder."""

    path: Pattern
    format: Literal["ini", "properties"]
    section: Text | None = None
    device: Text | None = None
    officer: Text | None = None

    @model_validator(mode="after")
    def _hold_together(self) -> BindingPart:
        if (self.format == "ini") != (self.section is not None):
            raise _refuse("format and section do not fit", "section with format ini, and only there")
        if not (self.device or self.officer):
            raise _refuse("nothing is read from the file", "device, officer or both: the keys in the file")
        return self


class ClockPart(_Part):
    """What the container's date and the file's mtime mean."""

    container: ContainerClock = ContainerClock.UNRELIABLE
    mtime: MtimeClock = MtimeClock.END


class ProfileFile(_Part):
    """One profile as it stands in its file. The format is described in the README."""

    name: Word
    title: Title
    sources: list[Text] = []
    rank: Literal[1, 2, 3] = 1
    recognise: Recognition = Recognition()
    grammars: list[GrammarPart] = []
    reserved: list[Token] = []
    extensions: dict[MediaType, list[Extension]] = {}
    paths: dict[MediaType, list[Pattern]] = {}
    places: dict[Place, list[Pattern]] = {}
    bindings: list[BindingPart] = []
    clock: ClockPart = ClockPart()

    @model_validator(mode="after")
    def _hold_together(self) -> ProfileFile:
        listed = [extension for extensions in self.extensions.values() for extension in extensions]
        if twice := {extension for extension in listed if listed.count(extension) > 1}:
            raise _refuse(f"{', '.join(sorted(twice))} stands twice under extensions", "each extension once")
        return self


def read_profile_file(path: Path) -> ProfileFile:
    """The validated content of one file. Raises ProfileInvalid."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ProfileInvalid(
            file=path, key="-", problem=error.strerror or str(error), expected="a file that dockd may read"
        ) from error
    if len(raw) > MAX_FILE_BYTES:
        raise ProfileInvalid(file=path, key="-", problem="the file is too large", expected="at most 256 KiB")
    return parse_profile(raw, path)


def parse_profile(raw: bytes, file: Path) -> ProfileFile:
    """The validated profile in ``raw``; ``file`` names it in messages. Raises ProfileInvalid."""
    try:
        content = yaml.load(raw.decode("utf-8").removeprefix(_UTF8_BOM), _Loader)  # noqa: S506
        return ProfileFile.model_validate(content)
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ProfileInvalid(
            file=file, key=_place_of(error), problem=_in_one_line(error), expected="YAML in UTF-8, each key once"
        ) from error
    except ValidationError as error:
        raise _first_problem(error.errors()[0], file) from error


class _Loader(yaml.SafeLoader):
    """YAML's safe subset, where a key that stands twice is an error instead of the last one winning."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        keys = [key for key, _value in node.value if isinstance(key, yaml.ScalarNode)]
        for key in keys:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def _place_of(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    return f"line {mark.line + 1}" if mark else "-"


def _in_one_line(error: Exception) -> str:
    return getattr(error, "problem", None) or str(error).splitlines()[0]


def _first_problem(error: ErrorDetails, file: Path) -> ProfileInvalid:
    # pydantic says "[key]" after the key of a mapping that is itself at fault.
    key = ".".join(str(part) for part in error["loc"] if part != "[key]") or "-"
    problem, expected = error["msg"], "see the README"
    context = error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        problem, expected = "unknown key", "one of: " + ", ".join(sorted(_known_keys(error["loc"][:-1])))
    elif error["type"] == "missing":
        problem, expected = "is missing", "this key"
    elif error["type"] == "string_type":
        problem, expected = "is not a text", "a text; numbers and words like no, yes, on must stand in quotes"
    elif error["type"] == "string_pattern_mismatch":
        problem, expected = f"{error['input']!s} is not acceptable", f"a text like {context['pattern']}"
    elif "expected" in context:
        problem, expected = str(context.get("problem", f"{error['input']!s} is unknown")), str(context["expected"])
    return ProfileInvalid(file=file, key=key, problem=problem, expected=expected)


def _known_keys(place: tuple[int | str, ...]) -> Iterator[str]:
    parts: dict[str, type[BaseModel]] = {
        "title": Title,
        "recognise": Recognition,
        "grammars": GrammarPart,
        "bindings": BindingPart,
        "clock": ClockPart,
    }
    model = parts.get(str(place[0]), ProfileFile) if place else ProfileFile
    yield from model.model_fields


def _check_groups(groups: set[str]) -> None:
    if unknown := groups - GROUPS:
        raise _refuse(f"unknown group {', '.join(sorted(unknown))}", "groups named " + ", ".join(sorted(GROUPS)))
    if ("a" in groups) != ("b" in groups):
        raise _refuse("a without b", "both a and b, or neither")
    kinds = [bool(groups & set(kind)) for kind in (("a",), ("either",), ("device", "officer"))]
    if sum(kinds) > 1:
        raise _refuse("the tokens' order is both fixed and open", "a and b; or either; or device and officer")
    if "time" in groups and groups & {"date", "clock"}:
        raise _refuse("time beside date or clock", "the group time; or the groups date and clock")


def _check_time(groups: set[str], time_format: str | None) -> None:
    timed = bool(groups & {"time", "date", "clock"})
    if timed != (time_format is not None):
        raise _refuse("the group and the key time do not fit", "a time format where a group holds a time, else none")
    found = set(re.findall(r"%.?", time_format or ""))
    if time_format is not None and (unknown := found - DIRECTIVES):
        raise _refuse(f"unknown in a time: {' '.join(sorted(unknown))}", "only " + " ".join(sorted(DIRECTIVES)))
