"""The Chinese catalogue: complete, of today, and with the same fields as the English texts."""

from __future__ import annotations

import runpy
import string
from pathlib import Path
from typing import Any

import pytest

from dockd.locale import N_, _, choose_language, configured_language, language, use_language

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def tool() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / ".ci/catalogue"))


@pytest.fixture(scope="module")
def catalogue(tool: dict[str, Any]) -> Any:
    return tool["catalogue"]()


def fields(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name}


def test_every_text_has_a_chinese_translation(tool: dict[str, Any], catalogue: Any) -> None:
    assert tool["missing"](catalogue) == []


def test_the_catalogue_is_of_today(tool: dict[str, Any], catalogue: Any) -> None:
    assert not tool["is_stale"](catalogue), "run .ci/catalogue"


def test_both_languages_have_the_same_fields(catalogue: Any) -> None:
    for message in (m for m in catalogue if m.string):
        if isinstance(message.id, str):
            assert fields(message.string) == fields(message.id), message.id
        else:
            assert fields(message.string[0]) <= fields(message.id[1]), message.id


def test_chinese_sentences_have_chinese_punctuation(catalogue: Any) -> None:
    for message in catalogue:
        text = message.string if isinstance(message.string, str) else message.string[0]
        for i, c in enumerate(text[:-1]):
            if c in ",;:!?()":
                chinese = [d for d in text[max(0, i - 1)] + text[i + 1] if "\u4e00" <= d <= "\u9fff"]
                assert not chinese, (c, text)


def test_texts_with_layout_keep_it(catalogue: Any) -> None:
    for message in catalogue:
        if isinstance(message.id, str) and message.id:
            assert message.string.count("\n") == message.id.count("\n"), message.id


def test_a_text_is_spoken_in_the_language_in_use() -> None:
    use_language("zh")
    assert (_("interrupted; what is stored is safe"), language()) == ("已中断；已储存的内容是安全的", "zh")
    use_language("en")
    assert (_("interrupted; what is stored is safe"), language()) == ("interrupted; what is stored is safe", "en")


def test_a_text_that_is_not_in_the_catalogue_comes_out_in_english() -> None:
    use_language("zh")
    assert _("nothing like this was ever marked") == "nothing like this was ever marked"
    assert _("") == ""
    assert N_("marked") == "marked"


def test_chinese_comes_first_where_nothing_is_said() -> None:
    assert choose_language({}) == "zh"
    assert choose_language({"LANG": "english"}) == "zh"
    assert choose_language({"LANG": "C.UTF-8"}) == "zh"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("agency:\n  language: en\n", "en"),
        ('# x\nagency:   # c\n\n  # language: zh\n  name: y\n  language: "en"  # c\n', "en"),
        ("agency:\r\n  language: zh\r\n", "zh"),
        ("agency: {name: x}\nother:\n  language: en\n", None),
        ("agency:\n  name: x\nother:\n  language: en\n", None),
        ("agency:\n  language: fr\n", None),
        ("\x00\xff", None),
    ],
)
def test_the_stations_language_is_seen_at_a_glance(text: str, expected: str | None, tmp_path: Path) -> None:
    file = tmp_path / "dockd.yaml"
    file.write_text(text, encoding="latin-1")
    assert configured_language(file) == expected
    assert configured_language(tmp_path / "absent") is None
    assert configured_language(tmp_path) is None
