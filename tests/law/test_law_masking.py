"""第二十七条第二款 / article 27(2): 涉及国家秘密、商业秘密和个人隐私的 — secrets and privacy stay inside."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockd.law.masking import is_protected, mask, mask_field, withhold


@pytest.mark.parametrize(
    ("name", "masked"),
    [
        ("张三", "张*"),
        ("张三丰", "张*"),
        ("元氏县某某建材有限公司", "元*"),
        ("张三；李四", "张*"),
        ("张", "*"),
        ("Smith", "S*"),
        ("  张三 ", "张*"),
        ("（张三）", "*"),
        ("130132199001011234", "*"),
        ("", ""),
        ("  ", ""),
    ],
)
def test_a_party_shows_at_most_its_first_character(name: str, masked: str) -> None:
    assert mask(name) == masked


@given(st.text(), st.text())
def test_names_with_the_same_first_character_are_masked_alike(one: str, two: str) -> None:
    assert mask(f"张{one}x") == mask(f"张{two}x") == "张*"


@given(st.text())
def test_a_mask_is_never_longer_than_two_characters(name: str) -> None:
    assert len(mask(name)) <= 2


@pytest.mark.parametrize("field", ["title", "place", "remark"])
def test_text_that_may_hold_names_is_withheld_whole(field: str) -> None:
    assert mask_field(field, "张三家门口") == "（受保护）"
    assert mask_field(field, " ") == ""


def test_only_the_party_is_masked_and_other_columns_stay() -> None:
    assert mask_field("party", "张三") == "张*"
    assert mask_field("case_no", "2026-7") == "2026-7"
    assert withhold("x") == "（受保护）"


@pytest.mark.parametrize("word", [None, "", " ", "公开", "无", "不涉密", "public", "Public", "－"])
def test_records_that_are_public_are_not_protected(word: str | None) -> None:
    assert not is_protected(word)


@pytest.mark.parametrize(
    "word", ["国家秘密", "商业秘密", "个人隐私", "privacy", "trade_secret", "state_secret", "内部", "机密", "??"]
)
def test_a_wording_that_is_not_known_to_be_public_is_protected(word: str) -> None:
    assert is_protected(word)
