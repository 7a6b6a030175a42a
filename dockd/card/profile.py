"""What a family of recorders leaves on a card is data: profiles, shipped or from the configuration folder.

A profile says nothing about keeping or leaving a file: whatever it does not know is stored as
``other`` (article 3). What a profile does not say of a name, ``generic``, the last resort, says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from dockd.card.grammar import Grammar, NamedPath, is_unset
from dockd.card.junk import skip_reason
from dockd.card.patterns import compile_pattern, matches, matches_any
from dockd.card.profile_file import BindingPart, ProfileFile, read_profile_file
from dockd.errors import ProfileInvalid
from dockd.nouns import Classified, ClockRule, Entry, EntryType, Listing, MediaType, ParsedName, Place

LAST_RESORT = "generic"
SAMPLE = 1000


@dataclass(frozen=True, slots=True)
class BindingRule:
    """Which file on the card names its recorder, and under which keys."""

    path: re.Pattern[str]
    format: str
    section: str | None
    device: str | None
    officer: str | None


@dataclass(frozen=True, slots=True)
class _Rules:
    """The part of one profile that speaks of single files."""

    grammars: tuple[Grammar, ...]
    extensions: Mapping[str, MediaType]
    paths: tuple[tuple[MediaType, re.Pattern[str]], ...]
    places: tuple[tuple[Place, re.Pattern[str]], ...]


@dataclass(frozen=True, slots=True)
class Profile:
    """One family of recorders.

    ``rules`` are its own and then those of the last resort; ``unset`` are the numbers that mean
    "not set", case-folded.
    """

    name: str
    title_en: str
    title_zh: str
    sources: tuple[str, ...]
    rank: int
    clock: ClockRule
    bindings: tuple[BindingRule, ...]
    unset: frozenset[str]
    rules: tuple[_Rules, ...]
    recognised_paths: tuple[re.Pattern[str], ...]
    recognised_labels: tuple[re.Pattern[str], ...]
    recognised_marks: tuple[re.Pattern[str], ...]

    def classify(self, entry: Entry) -> Classified:
        """What the profile says of one entry. Pure: it looks at the entry only, never at the file.

        ``media`` and ``parsed`` are given for regular files and for what could not be examined;
        everything else is OTHER. ``skip`` comes from the fixed list in ``junk`` alone and has to
        be confirmed by content (``confirm_skip``).
        """
        at = NamedPath.of(entry.path)
        place = self._place(at)
        if entry.type not in (EntryType.FILE, EntryType.UNKNOWN):
            return Classified(MediaType.OTHER, place)
        return Classified(self._media(at), place, skip_reason(entry), self._parse(at))

    def is_unset(self, number: str) -> bool:
        """Whether recorders use ``number`` for "not set"."""
        return is_unset(number, self.unset)

    def covers(self, at: NamedPath) -> bool:
        """Whether a recording at this path speaks for this family."""
        if self.recognised_paths:
            return matches_any(self.recognised_paths, at.path)
        return any(grammar.read(at, self.unset) for grammar in self.rules[0].grammars)

    def _media(self, at: NamedPath) -> MediaType:
        for rules in self.rules:
            for media, pattern in rules.paths:
                if matches(pattern, at.path):
                    return media
        for rules in self.rules:
            if media_of_extension := rules.extensions.get(at.extension):
                return media_of_extension
        return MediaType.OTHER

    def _place(self, at: NamedPath) -> Place:
        for rules in self.rules:
            for place, pattern in rules.places:
                if matches(pattern, at.path):
                    return place
        return Place.NORMAL

    def _parse(self, at: NamedPath) -> ParsedName | None:
        """The first grammar that reads the name and its time; failing that, the first that reads the name."""
        first: ParsedName | None = None
        for rules in self.rules:
            for grammar in rules.grammars:
                parsed = grammar.read(at, self.unset)
                if parsed and (parsed.wall or grammar.time_format is None):
                    return parsed
                first = first or parsed
        return first


@dataclass(frozen=True, slots=True)
class Profiles:
    """All profiles of a station by name."""

    by_name: Mapping[str, Profile]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.by_name))

    @property
    def last_resort(self) -> Profile:
        return self.by_name[LAST_RESORT]

    def is_unset(self, number: str) -> bool:
        """Whether any known recorder uses ``number`` for "not set"."""
        return any(profile.is_unset(number) for profile in self.by_name.values())

    def choose(self, listing: Listing, label: str | None, wanted: str | None) -> Profile:
        """The profile of a card: the registered one; else the best recognised; else the last resort.

        A family is recognised by at least half of the card's recordings (a clock is not guessed
        from a few names); where recordings say nothing, by its label or tell-tale files. Of
        several, a maker's own layout comes before a common rule of names, and that before a
        common folder (``rank``). A registered profile that no longer exists is passed over:
        footage does not wait for a configuration.
        """
        if wanted and wanted in self.by_name:
            return self.by_name[wanted]
        sample = self._sample(listing)
        shares = {profile.name: _share(profile, sample) for profile in self.by_name.values()}
        by_share = [p for p in self.by_name.values() if shares[p.name] >= 0.5]
        texts = [NamedPath.of(entry.path).path for entry in listing.entries]
        evidence = {p.name: _evidence(p, texts, label) for p in by_share or self.by_name.values()}
        found = by_share or [p for p in self.by_name.values() if evidence[p.name]]
        ranked = sorted(found, key=lambda p: (p.rank, -shares[p.name], -evidence[p.name], p.name))
        return ranked[0] if ranked else self.last_resort

    def _sample(self, listing: Listing) -> list[NamedPath]:
        """Some of the card's recordings, evenly taken: enough to tell families apart on a card of any size.

        What lies in trash and recovery folders has lost its name or place, and speaks only where nothing else does.
        """
        found: list[tuple[Entry, Place]] = []
        for entry in listing.entries:
            said = self.last_resort.classify(entry)
            if entry.type is EntryType.FILE and said.media.is_recording and not said.skip:
                found.append((entry, said.place))
        chosen = [entry for entry, place in found if place is Place.NORMAL] or [entry for entry, _ in found]
        return [NamedPath.of(entry.path) for entry in chosen[:: len(chosen) // SAMPLE + 1]]


def load_profiles(folder: Path | None) -> Profiles:
    """The shipped profiles and every ``*.yaml`` of ``folder``, where one of the same name replaces a shipped one.

    A folder that does not exist holds none. Raises ProfileInvalid.
    """
    found = dict(_shipped())
    if folder is not None and folder.is_dir():
        found.update(_read_folder(folder))
    generic = found[LAST_RESORT]
    return Profiles({name: _compile(file, generic) for name, file in found.items()})


@cache
def _shipped() -> Mapping[str, ProfileFile]:
    with resources.as_file(resources.files(__package__) / "profiles") as folder:
        return _read_folder(folder)


def _read_folder(folder: Path) -> dict[str, ProfileFile]:
    found: dict[str, ProfileFile] = {}
    for path in sorted(folder.glob("*.yaml")):
        if path.name.startswith("."):
            continue
        file = read_profile_file(path)
        if file.name in found:
            raise ProfileInvalid(file=path, key="name", problem=f"{file.name} is taken", expected="a name of its own")
        found[file.name] = file
    return found


def _compile(file: ProfileFile, generic: ProfileFile) -> Profile:
    layers = (file,) if file.name == generic.name else (file, generic)
    return Profile(
        name=file.name,
        title_en=file.title.en,
        title_zh=file.title.zh,
        sources=tuple(file.sources),
        rank=file.rank,
        clock=ClockRule(file.clock.container, file.clock.mtime),
        bindings=tuple(_binding(part) for layer in layers for part in layer.bindings),
        unset=frozenset(number.casefold() for layer in layers for number in layer.reserved),
        rules=tuple(_rules(layer) for layer in layers),
        recognised_paths=_compiled(file.recognise.paths),
        recognised_labels=_compiled(file.recognise.labels),
        recognised_marks=_compiled(file.recognise.marks),
    )


def _rules(file: ProfileFile) -> _Rules:
    return _Rules(
        grammars=tuple(part.compiled(f"{file.name}/") for part in file.grammars),
        extensions={extension: media for media, list_ in file.extensions.items() for extension in list_},
        paths=tuple((media, compile_pattern(text)) for media, list_ in file.paths.items() for text in list_),
        places=tuple((place, compile_pattern(text)) for place, list_ in file.places.items() for text in list_),
    )


def _binding(part: BindingPart) -> BindingRule:
    return BindingRule(compile_pattern(part.path), part.format, part.section, part.device, part.officer)


def _compiled(texts: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(compile_pattern(text) for text in texts)


def _share(profile: Profile, sample: list[NamedPath]) -> float:
    if profile.name == LAST_RESORT or not sample:
        return 0.0
    return sum(profile.covers(at) for at in sample) / len(sample)


def _evidence(profile: Profile, paths: list[str], label: str | None) -> int:
    """How many things beside the recordings speak for a family: its label, its tell-tale files."""
    said = int(label is not None and matches_any(profile.recognised_labels, label))
    for pattern in profile.recognised_marks:
        said += any(matches(pattern, path) for path in paths)
    return said
