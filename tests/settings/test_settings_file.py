"""The configuration: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import json
import pickle
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.errors import ConfigInvalid, ConfigMissing, ConfigUnreadable, DockdError
from dockd.export.columns import COLUMNS
from dockd.law import title
from dockd.nouns import INVENTORY_COLUMNS, TITLE_FIELDS
from dockd.settings import (
    ARTICLE_23,
    Reserve,
    Settings,
    load_settings,
    parse_duration,
    parse_settings,
    parse_size,
)

FILE = Path("/srv/dock/dockd.yaml")


def parse(text: str) -> Settings:
    return parse_settings(text, FILE)


def refusal(text: str) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as raised:
        parse(text)
    return raised.value


# --- accepted --------------------------------------------------------------------------------------


def test_an_empty_file_has_every_default() -> None:
    settings = parse("")
    assert settings.agency.timezone == "Asia/Shanghai"
    assert settings.deadline.hours == 24
    assert settings.deadline.warn_before == (timedelta(hours=4), timedelta(hours=1))
    assert settings.unknown_recorder == "hold"
    assert settings.verify.rate is None
    assert settings.card.patience == timedelta(minutes=3)


def test_a_section_whose_keys_are_all_commented_out_has_its_defaults() -> None:
    assert parse("store:\n  # root: x\nbays:\nexports:\n") == parse("")


def test_relative_paths_are_relative_to_the_files_folder() -> None:
    settings = parse(
        "store: {root: data/../store}\nregister: {url: 'sqlite:///r.db'}\ninventory: {path: out/i.csv}\n"
        "exports: [{name: leader, path: out/l.csv}]"
    )
    assert settings.store.root == Path("/srv/dock/store")
    assert settings.register.url == "sqlite:////srv/dock/r.db"
    assert settings.register_file == Path("/srv/dock/r.db")
    assert settings.inventory.path == Path("/srv/dock/out/i.csv")
    assert settings.exports[0].path == Path("/srv/dock/out/l.csv")
    assert settings.profiles.folder == Path("/srv/dock/profiles")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_a_postgresql_address_names_its_driver(scheme: str) -> None:
    settings = parse(f"register: {{url: '{scheme}://u:p@host:5432/db?sslmode=require'}}")
    assert settings.register.url == "postgresql+psycopg://u:p@host:5432/db?sslmode=require"
    assert settings.register_file is None


def test_a_byte_order_mark_is_tolerated(tmp_path: Path) -> None:
    file = tmp_path / "dockd.yaml"
    file.write_bytes(b"\xef\xbb\xbfagency:\r\n  name: \xe5\x9f\x8e\xe7\xae\xa1\xe5\xb1\x80\r\n")
    assert load_settings(file).agency.name == "城管局"


def test_a_bay_may_be_called_by_a_number() -> None:
    settings = parse("bays:\n  1: {ports: ['1-4.1']}\n  on: {ports: ['1-4.2', '2-4.2'], priority: true}\n")
    assert settings.bays["1"].ports == ("1-4.1",)
    assert settings.bays["on"].priority


def test_settings_cross_to_another_process_unchanged() -> None:
    settings = parse("bays: {A1: {ports: ['1-4.1']}}")
    assert pickle.loads(pickle.dumps(settings)) == settings


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("20GiB", 20 << 30), ("1.5 MiB", 3 << 19), ("500MB", 500_000_000), ("7B", 7)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "hours"), [("4h", 4), ("90m", 1.5), ("7d", 168), ("1800 s", 0.5)])
def test_durations(text: str, hours: float) -> None:
    assert parse_duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize(("text", "kept"), [("0", 0), ("5%", 50), ("12.5%", 125), ("30", 30), ("2KiB", 2048)])
def test_a_reserve_is_bytes_or_a_part_of_the_whole(text: str, kept: int) -> None:
    assert parse(f"store: {{reserve: {text}}}").store.reserve.of(1000) == kept


def test_a_reserve_of_nothing_is_nothing() -> None:
    assert Reserve().of(1 << 40) == 0


# --- refused, each with line, key and plain words ---------------------------------------------------------

WRONG = {
    "unknown key": ("agency:\n  nam: x", 2, "agency.nam", "there is no such key", "perhaps the key name"),
    "unknown section": ("zzz: 1", 1, "zzz", "there is no such key", "one of the keys agency, store"),
    "duplicate": ("store:\n  root: a\n  root: b", 3, "store.root", "stands twice (first in line 2)", "every key once"),
    "octal": ("agency:\n  station_no: 0012", 2, "agency.station_no", "0012 is read as a number", "quotes: '0012'"),
    "yes": ("agency: {name: yes}", 1, "agency.name", "yes is read as", "quotes: 'yes'"),
    "date": ("agency: {name: 2020-01-01}", 1, "agency.name", "2020-01-01 is read as", "'2020-01-01'"),
    "value for keys": ("agency: 3", 1, "agency", "a value stands where keys", "indented below"),
    "keys for value": ("unknown_recorder: {a: 1}", 1, "unknown_recorder", "keys stand where", "hold or ingest"),
    "choice": ("agency: {language: fr}", 1, "agency.language", "fr is not possible", "zh (Chinese) or en"),
    "hours": ("deadline: {hours: 0}", 1, "deadline.hours", "0 is not possible", "whole hours from 1 to 24"),
    "half an hour": ("deadline: {hours: 1.5}", 1, "deadline.hours", "1.5 is not possible", "whole hours"),
    "true is no number": ("deadline: {hours: true}", 1, "deadline.hours", "true is not possible", "whole hours"),
    "duration": ("deadline: {warn_before: [4x]}", 1, "deadline.warn_before.0", "4x is not a length", "[4h, 90m]"),
    "no list": ("deadline: {warn_before: 4h}", 1, "deadline.warn_before", "4h is not possible", "a list of times"),
    "sexagesimal": ("deadline: {warn_before: [4:30]}", 1, "deadline.warn_before.0", "is not a length", "[4h, 90m]"),
    "zone": ("agency: {timezone: Asia/Shangai}", 1, "agency.timezone", "no time zone Asia/Shangai", "Asia/Shanghai"),
    "zone folder": ("agency: {timezone: Asia}", 1, "agency.timezone", "no time zone Asia", "Asia/Shanghai"),
    "zone path": ("agency: {timezone: ../etc}", 1, "agency.timezone", "no time zone", "Asia/Shanghai"),
    "size": ("store: {reserve: 5 GiBB}", 1, "store.reserve", "5 GiBB is not a size", "20GiB"),
    "negative size": ("store: {reserve: -1}", 1, "store.reserve", "-1 is not a size", "20GiB"),
    "whole disk": ("store: {reserve: 95%}", 1, "store.reserve", "no room for footage", "5%"),
    "memory": ("probe: {memory: 1KiB}", 1, "probe.memory", "1KiB is not possible", "between 64MiB and 64GiB"),
    "text for bool": ("inventory: {bom: 'yes'}", 1, "inventory.bom", "yes is not possible", "true (for Excel)"),
    "missing": ("exports:\n  - name: x", 2, "exports.0.path", "this key is missing", "a file"),
    "nothing": ("agency: {name: }", 1, "agency.name", "the value is missing", "the agency's name"),
    "column": ("exports: [{name: x, path: a, columns: [titel]}]", 1, "exports.0.columns.0", "no column titel", "[file"),
    "export name": ("exports: [{name: A B, path: a}]", 1, "exports.0.name", "A B is not possible", "a short name"),
    "title field": ("title: {template: '{cuse}'}", 1, "title.template", "no field {cuse}", "{cause}-{party}"),
    "title brace": ("title: {template: 'a{b'}", 1, "title.template", "a brace stands alone", "{cause}"),
    "title format": ("title: {template: '{n.x}'}", 1, "title.template", "a brace stands alone", "{cause}"),
    "register": ("register: {url: 'mysql://u:secret@h/d'}", 1, "register.url", "not the address", "postgresql://"),
    "register in memory": ("register: {url: 'sqlite://'}", 1, "register.url", "not the address", "sqlite:///"),
    "register port": ("register: {url: 'postgresql://h:x/d'}", 1, "register.url", "not the address", "postgresql://"),
    "station_no": ("agency: {station_no: '.x'}", 1, "agency.station_no", "cannot be a station number", "not beginning"),
    "station_no path": ("agency: {station_no: a/b}", 1, "agency.station_no", "cannot be a station", "1 to 32"),
    "channel": ("alerts: {channels: [pigeon]}", 1, "alerts.channels.0", "pigeon is not possible", "known channels"),
    "channel without": (
        "alerts: {channels: [{name: a, kind: wecom}]}",
        1,
        "alerts.channels.0.kind",
        "needs url",
        "add",
    ),
    "channel with": (
        "alerts: {channels: [{name: a, kind: spool, folder: x, url: 'http://secret'}]}",
        *(1, "alerts.channels.0.url", "has no url", "folder"),
    ),
    "channel twice": ("alerts: {channels: [journal, journal]}", 1, "alerts.channels.1.name", "is taken", "another"),
    "channel in store": (
        "alerts: {channels: [{name: a, kind: spool, folder: /var/lib/dockd/store/a}]}",
        *(1, "alerts.channels.0.folder", "lies in the store", "outside"),
    ),
    "secret": (
        "alerts: {channels: [{name: a, kind: wecom, url: 12}]}",
        1,
        "alerts.channels.0.url",
        "not a text",
        "add",
    ),
    "route": ("alerts: {routes: [{to: [duty]}]}", 1, "alerts.routes.0.to.0", "no channel duty", "journal"),
    "route hours": (
        "alerts: {routes: [{to: [journal], hours: '8-18'}]}",
        *(1, "alerts.routes.0.hours", "8-18 is not possible", "08:00-18:00"),
    ),
    "report": ("alerts: {report: {at: '25:00'}}", 1, "alerts.report.at", "25:00 is not possible", "never"),
    "report to": ("alerts: {report: {to: [duty]}}", 1, "alerts.report.to.0", "no channel duty", "journal"),
    "checks": ("checks: {battery_min: 101}", 1, "checks.battery_min", "101 is not possible", "0 to 100"),
    "no ports": ("bays: {A1: {ports: []}}", 1, "bays.A1.ports", "is not possible", "a list of USB port paths"),
    "no patience": ("card: {patience: 0s}", 1, "card.patience", "0s is not possible", "between 1s and 1h"),
    "patience": ("card: {patience: 61m}", 1, "card.patience", "61m is not possible", "between 1s and 1h"),
    "seconds": ("card: {patience: 180}", 1, "card.patience", "180 is not a length", "such as 3m"),
    "level": ("log: {level: loud}", 1, "log.level", "loud is not possible", "debug, info"),
    "bell": ('agency: {name: "a\\ab"}', 1, "agency.name", "a control character", "the agency"),
    "path": ("store: {root: ''}", 1, "store.root", "is not a path", "a folder of its own"),
}


@pytest.mark.parametrize(("text", "line", "key", "problem", "expected"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_is_named_with_line_key_and_what_is_expected(
    text: str, line: int, key: str, problem: str, expected: str
) -> None:
    error = refusal(text)
    assert (error.fields["file"], error.fields["line"], error.fields["key"]) == (FILE, line, key)
    assert problem in error.fields["problem"]
    assert expected in error.fields["expected"]
    assert error.exit_code == 7


def test_more_than_24_hours_are_refused_with_article_23_quoted() -> None:
    error = refusal("deadline:\n  hours: 48")
    assert error.fields["key"] == "deadline.hours"
    assert ARTICLE_23 in str(error)


def test_the_problem_nearest_the_top_is_named_first() -> None:
    assert refusal("log: {level: loud}\nagency: {language: fr}").fields["key"] == "log.level"


def test_a_password_in_a_wrong_address_is_not_repeated() -> None:
    error = refusal("register: {url: 'mysql://u:secret@h/d'}")
    assert "secret" not in str(error) + error.render_hint(str)


TOGETHER = {
    "store at the root": ("store: {root: /}", "store.root"),
    "store around the file": ("store: {root: .}", "store.root"),
    "register is the store": ("store: {root: a}\nregister: {url: 'sqlite:///a'}", "register.url"),
    "register in the store": ("store: {root: a}\nregister: {url: 'sqlite:///a/r.db'}", "register.url"),
    "profiles in the store": ("store: {root: a}\nprofiles: {folder: a/p}", "profiles.folder"),
    "store in the profiles": ("store: {root: profiles/store}", "store.root"),
    "inventory in the store": ("store: {root: a}\ninventory: {path: a/i.csv}", "inventory.path"),
    "export in the store": ("store: {root: a}\nexports: [{name: x, path: a/i.csv}]", "exports.0.path"),
    "export named inventory": ("exports: [{name: inventory, path: x}]", "exports.0.name"),
    "same name twice": ("exports: [{name: x, path: x}, {name: x, path: y}]", "exports.1.name"),
    "same file twice": ("exports: [{name: x, path: x}, {name: y, path: x}]", "exports.1.path"),
    "inventory over the register": ("register: {url: 'sqlite:///r'}\ninventory: {path: r}", "inventory.path"),
    "a port in two bays": ("bays: {A: {ports: ['1-1']}, B: {ports: ['1-1']}}", "bays.B.ports.0"),
}


@pytest.mark.parametrize(("text", "key"), TOGETHER.values(), ids=TOGETHER)
def test_values_that_contradict_each_other_are_refused(text: str, key: str) -> None:
    assert refusal(text).fields["key"] == key


# --- not a configuration at all ---------------------------------------------------------------------------

UNREADABLE = {
    "tab": ("agency:\n\tname: x", 2, "use spaces"),
    "anchor": ("agency: &a {name: x}", 1, "anchors"),
    "alias bomb": ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", 1, "anchors"),
    "depth": ("[" * 50, 1, "nested too deeply"),
    "tag": ("agency: !!python/object:os.system x", 1, "not used here"),
    "binary": ("agency: {name: !!binary aGk=}", 1, "binary is not used here"),
    "list": ("- a", 1, "not a list of"),
    "text": ("hello", 1, "not a list of"),
    "open quote": ("agency: {name: 'x}", 1, "quotation mark"),
    "colon": ("agency: a: b", 1, "colon with a space"),
    "indent": ("agency:\n  name: x\n station_no: y", 3, "indentation"),
    "at sign": ("agency: {name: @x}", 1, "keeps for itself"),
    "two documents": ("a: 1\n---\nb: 1", 2, "second document"),
    "control character": ("agency:\n  name: \x07", 2, "control character"),
}


@pytest.mark.parametrize(("text", "line", "problem"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_is_not_a_configuration_is_named_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(ConfigUnreadable) as raised:
        parse(text)
    assert raised.value.fields["line"] == line
    assert problem in raised.value.fields["problem"]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigMissing):
        load_settings(tmp_path / "dockd.yaml")


def test_a_folder_is_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigUnreadable):
        load_settings(tmp_path)


def test_other_encodings_are_named_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "dockd.yaml"
    file.write_bytes("agency:\n  name: 城管局\n".encode("gb18030"))
    with pytest.raises(ConfigUnreadable) as raised:
        load_settings(file)
    assert raised.value.fields["line"] == 2
    file.write_bytes("agency: {}".encode("utf-16"))
    with pytest.raises(ConfigUnreadable):
        load_settings(file)


def test_a_file_of_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "dockd.yaml"
    file.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(ConfigUnreadable):
        load_settings(file)


# --- garbage -------------------------------------------------------------------------------------------

_PIECES = (
    "agency store root exports bays hours - [ ] { } ' \" &a *a !! ! | > ? % @ # << = ~ null 1e9 0x 0b .inf 2020-13-40"
    " 1:2:3 --- ... 城 \U0001f600"
)
_pieces = st.sampled_from(
    [*_PIECES.split(), ": ", ":", "\n", "\n  ", "\t", "\x85", "\u2028", "\ufeff", "\0", "0" * 5000]
)


def said(text: str) -> str | None:
    """What is said of ``text``; None where it is accepted."""
    try:
        parse(text)
    except DockdError as error:
        return str(error)
    return None


@given(st.one_of(st.text(max_size=200), st.lists(_pieces, max_size=40).map("".join)))
def test_garbage_is_refused_in_words_and_never_falls_through(text: str) -> None:
    assert said(text) != ""


_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=5,
)
_sections = ["agency", "store", "register", "deadline", "bays", "inventory", "exports", "alerts", "title", "verify"]
_keys = ["name", "root", "url", "hours", "warn_before", "reserve", "path", "columns", "template", "rate", "ports"]


@given(
    st.dictionaries(st.sampled_from(_sections), st.one_of(_values, st.dictionaries(st.sampled_from(_keys), _values)))
)
def test_wrong_types_anywhere_are_refused_in_words(document: object) -> None:
    assert said(json.dumps(document)) != ""


# --- what other rooms know, too ---------------------------------------------------------------------------


def test_titles_are_made_of_the_same_fields_that_the_configuration_accepts() -> None:
    assert set(title.TITLE_FIELDS) == set(TITLE_FIELDS)
    assert title.check_template(parse("").title.template) == []


def test_the_inventory_has_the_columns_that_the_configuration_accepts() -> None:
    assert tuple(column.name for column in COLUMNS) == INVENTORY_COLUMNS
