"""第二十七条 名称 / article 27, title: made of what is known, readable, on one line."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.title import TITLE_FIELDS, TITLE_LENGTH, check_template, make_title

DEFAULT = "{cause}-{party}-{date}-{n}"
NAME = "TA00716_JX0227_20260305090000_0001.mp4"

# template | values | title
TITLES = [
    (DEFAULT, {"cause": "违法占地", "party": "张三", "date": "20260305", "n": "1"}, "违法占地-张三-20260305-1"),
    (DEFAULT, {"cause": "违法占地", "date": "20260305", "n": "1"}, "违法占地-20260305-1"),
    (DEFAULT, {"party": "张三", "date": "20260305", "n": "2"}, "张三-20260305-2"),
    (DEFAULT, {"cause": "违法占地", "party": "张三"}, "违法占地-张三"),
    (DEFAULT, {"cause": " ", "party": None, "date": "20260305", "n": "1"}, NAME),
    (DEFAULT, {}, NAME),
    ("{date} {time}", {"date": "20260305", "time": "0900"}, NAME),
    ("无字段 no field", {"cause": "违法占地"}, NAME),
    ("{cause}（{party}）-{date}", {"cause": "违法占地", "date": "20260305"}, "违法占地-20260305"),
    ("{cause}（{party}）-{date}", {"cause": "违法占地", "party": "张三"}, "违法占地（张三）"),
    ("{cause}（{party}）-{date}", {"party": "张三", "date": "20260305"}, "（张三）-20260305"),
    ("案号{case_no} 当事人{party} 第{n}号", {"party": "张三", "n": "3"}, "当事人张三 第3号"),
    ("案号{case_no} 当事人{party} 第{n}号", {"case_no": "2026-7"}, "案号2026-7"),
    ("{device_no}/{date}", {"device_no": "07", "date": "20260305"}, "07/20260305"),
    ("{cause}-{party}", {"cause": "{party}", "party": "-张-"}, "{party}--张-"),
    ("{cause}", {"cause": "违法\n占地\u202e\x1b[31m"}, "违法 占地 [31m"),
    ("{cause}", {"cause": "caf\udce9"}, "caf\N{REPLACEMENT CHARACTER}"),
]


@pytest.mark.parametrize(("template", "values", "title"), TITLES)
def test_a_title_says_only_what_is_known(template: str, values: dict[str, str | None], title: str) -> None:
    assert make_title(template, values, NAME) == title


def test_the_fallback_is_taken_as_it_is_and_never_as_a_template() -> None:
    assert make_title(DEFAULT, {"date": "20260305"}, "a{cause}\n.mp4") == "a{cause} .mp4"


def test_a_very_long_title_is_cut_and_says_so() -> None:
    title = make_title("{party}", {"party": "某" * 500}, NAME)
    assert len(title) == TITLE_LENGTH
    assert title.endswith("…")


def test_every_documented_field_may_be_used() -> None:
    assert check_template("-".join(f"{{{f}}}" for f in TITLE_FIELDS)) == []


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        (DEFAULT, []),
        ("{cause}-{badge}", ["badge"]),
        ("{}", [""]),
        ("{cause.__class__}{n!r}{n:>9}", ["cause.__class__", "n!r", "n:>9"]),
        ("{cause", ["{"]),
        ("{{cause}}", ["{", "}"]),
    ],
)
def test_what_is_wrong_in_a_template_is_named(template: str, wrong: list[str]) -> None:
    assert check_template(template) == wrong


def test_a_field_that_settings_would_refuse_counts_as_empty() -> None:
    assert make_title("{cause}-{badge}", {"cause": "违法占地", "badge": "JX0227"}, NAME) == "违法占地"


any_text = st.text(st.characters(), max_size=30)


@given(
    template=st.lists(st.sampled_from([*(f"{{{f}}}" for f in TITLE_FIELDS), "-", "（", "）", "{", "\n"])).map("".join),
    values=st.dictionaries(st.sampled_from(TITLE_FIELDS), st.none() | any_text),
    fallback=any_text,
)
def test_a_title_never_holds_a_control_character(template: str, values: dict[str, str | None], fallback: str) -> None:
    title = make_title(template, values, fallback)
    assert not [c for c in title if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert title == title.strip()
    assert len(title) <= TITLE_LENGTH
    title.encode("utf-8")
