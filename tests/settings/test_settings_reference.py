"""config/dockd.yaml is the reference: complete, commented in both languages, and true."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from dockd import settings as rooms
from dockd import yamlfile
from dockd.cli.founding import Place, station_text
from dockd.settings import Document, parse_settings

REFERENCE = Path(__file__).parents[2] / "config/dockd.yaml"
FILE = Path("/etc/dockd/dockd.yaml")


def keys_of(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        here = (*above, field.alias or name)
        yield here
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys_of(kind, here)


def test_the_reference_holds_every_key_with_its_default() -> None:
    assert parse_settings(REFERENCE.read_text(encoding="utf-8"), FILE) == parse_settings("", FILE)


def test_every_key_of_the_model_stands_in_the_reference() -> None:
    found = yamlfile.read_yaml(REFERENCE)
    assert set(keys_of(Document)) <= set(found.lines)


def test_above_every_key_stands_a_comment_in_chinese_and_in_english() -> None:
    found = yamlfile.read_yaml(REFERENCE)
    lines = REFERENCE.read_text(encoding="utf-8").splitlines()
    for keys in keys_of(Document):
        chinese, english = (lines[found.lines[keys] - n].strip() for n in (3, 2))
        assert chinese.startswith("# "), keys
        assert any("\u4e00" <= c <= "\u9fff" for c in chinese), keys
        assert english.startswith("# "), keys
        assert english.isascii(), keys


def test_what_init_writes_is_the_reference_with_other_places() -> None:
    assert station_text(Place()) == REFERENCE.read_text(encoding="utf-8")


def test_names_that_mean_something_to_yaml_come_back_as_they_were() -> None:
    name = "城管局 “一大队”: {a} # \\ \" ' $x ${root}"
    settings = parse_settings(station_text(Place(name=name, station_no="0012")), FILE)
    assert settings.agency.name == name
    assert settings.agency.station_no == "0012"


def test_every_expectation_in_the_model_is_said() -> None:
    for kind in vars(rooms).values():
        if isinstance(kind, type) and issubclass(kind, rooms.Section) and kind is not rooms.Section:
            assert all(field.description for field in kind.model_fields.values()), kind
