"""第二十七条 / article 27(1): 名称、记录设备编号、执法人员信息、使用时间、案件当事人和案由名称 — the six items."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dockd.law.completeness import missing_items, tags_complete
from dockd.nouns import OwnerState

WHOLE: dict[str, object] = {
    "title": "违法占地-张三-20260305-1",
    "device_no": "07",
    "officer": ("Z001",),
    "used_from": datetime(2026, 3, 5, 1, tzinfo=UTC),
    "used_to": datetime(2026, 3, 5, 2, tzinfo=UTC),
    "party": "张三",
    "case_cause": "违法占地",
}


def test_a_record_with_all_six_items_lacks_nothing() -> None:
    assert missing_items(WHOLE) == ()
    assert tags_complete(WHOLE, OwnerState.ASSIGNED)


@pytest.mark.parametrize("item", WHOLE)
@pytest.mark.parametrize("empty", [None, "", "  ", (), []])
def test_an_item_that_is_empty_is_named(item: str, empty: object) -> None:
    values = WHOLE | {item: empty}
    assert missing_items(values) == (item,)
    assert not tags_complete(values, OwnerState.ASSIGNED)


def test_items_are_named_in_the_order_of_the_article() -> None:
    assert missing_items({}) == tuple(WHOLE)


def test_a_record_with_a_conflict_is_never_complete() -> None:
    assert not tags_complete(WHOLE, OwnerState.CONFLICT)
