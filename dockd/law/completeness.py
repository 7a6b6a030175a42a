"""Article 27(1): which of the six items a record still lacks.

行政执法机关应当加强行政执法全过程记录资料的管理，明确专门人员负责行政执法全过程记录资料的归档保存、使用管理，
并按照名称、记录设备编号、执法人员信息、使用时间、案件当事人和案由名称等项目分类存储。
The agency shall strengthen the management of whole-process records, name staff who are responsible
for their filing, keeping and use, and store them classified by items such as title, number of the
recording device, officer information, time of use, party to the case and cause of action.

使用时间 is two columns, start and end; a record without either of them lacks that item.
"""

from __future__ import annotations

from collections.abc import Mapping, Sized

from dockd.law.vocabulary import TAG_ITEMS
from dockd.nouns import OwnerState


def missing_items(values: Mapping[str, object]) -> tuple[str, ...]:
    """The columns that are still empty, in the article's order.

    Read are ``title``, ``device_no``, ``officer``, ``used_from``, ``used_to``, ``party`` and
    ``case_cause``; absent, None, blank text and an empty sequence are all empty.
    """
    return tuple(code for code in TAG_ITEMS if _is_empty(values.get(code)))


def tags_complete(values: Mapping[str, object], owner_state: OwnerState) -> bool:
    """All six items present and no conflict about the officer."""
    return owner_state is not OwnerState.CONFLICT and not missing_items(values)


def _is_empty(value: object) -> bool:
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, Sized) and len(value) == 0)
