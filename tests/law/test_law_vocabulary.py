"""The vocabularies: stable codes, Chinese and English words, and an article for each class of alert."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from dockd.law import deadline
from dockd.law.text import quote
from dockd.law.vocabulary import (
    ACT_TYPES,
    ALERT_CLASSES,
    CONFIDENTIALITY,
    EXCEPTION_REASONS,
    JUDGEMENT_REASONS,
    LIABILITIES,
    METHODS,
    OWNER_STATES,
    STAGES,
    STEPS,
    TAG_ITEMS,
    Severity,
    Term,
    method_of,
)
from dockd.nouns import MediaType, OwnerState

TABLES = [ACT_TYPES, STAGES, STEPS, METHODS, EXCEPTION_REASONS, OWNER_STATES, CONFIDENTIALITY, TAG_ITEMS]


@pytest.mark.parametrize("table", [*TABLES, JUDGEMENT_REASONS])
def test_every_code_has_its_own_words_in_both_languages(table: Mapping[str, Term]) -> None:
    assert all(re.fullmatch(r"[a-z_]+", code) for code in table)
    assert len({t.zh for t in table.values()}) == len({t.en for t in table.values()}) == len(table)
    assert all(t.text("zh") == t.text("zh_CN") == t.zh and t.text("en") == t.en for t in table.values())
    assert all(t.en.isascii() and not t.zh.isascii() for t in table.values())


def test_article_2_names_five_acts_and_four_stages() -> None:
    """行政处罚、行政许可、行政强制、行政检查、行政征收征用 · 执法程序启动、调查取证、审查决定、送达执行"""
    assert "、".join(t.zh for t in ACT_TYPES.values()) == "行政处罚、行政许可、行政强制、行政检查、行政征收征用"
    assert "、".join(t.zh for t in STAGES.values()) == "执法程序启动、调查取证、审查决定、送达执行"


def test_every_item_of_articles_8_and_10_has_a_step() -> None:
    articles = {part.strip() for t in STEPS.values() for part in t.article.split(",")}
    assert {f"8({n})" for n in range(1, 12)} | {f"10({n})" for n in range(1, 6)} <= articles


@pytest.mark.parametrize(
    ("media", "zh"), [(MediaType.VIDEO, "录像"), (MediaType.AUDIO, "录音"), (MediaType.PHOTO, "照相")]
)
def test_a_recording_has_a_method(media: MediaType, zh: str) -> None:
    method = method_of(media)
    assert method is not None
    assert method.zh == zh


def test_what_is_no_recording_has_no_method() -> None:
    assert all((method_of(m) is not None) == m.is_recording for m in MediaType)


def test_owner_states_are_those_of_the_nouns() -> None:
    assert set(OWNER_STATES) == {s.value for s in OwnerState}


def test_every_reason_that_a_judgement_gives_has_words() -> None:
    codes = {v for k, v in vars(deadline).items() if k.isupper() and isinstance(v, str)}
    assert codes == set(JUDGEMENT_REASONS)


def test_every_reason_that_leaves_lateness_open_after_storing_has_a_class_of_alert() -> None:
    assert set(JUDGEMENT_REASONS) - {"store_not_designated", "not_stored"} <= set(ALERT_CLASSES)


WANTED = """late_docked late_stored due_soon not_docked deadline_unknown exception_open exception_conflict
identity_conflict unknown_recorder media_in_unusual_place damaged_media unreadable_file clock_disagreement
clock_unset unassigned owner_conflict copy_differs store_full store_altered removed_early not_answering
not_a_file_on_card"""


@pytest.mark.parametrize("code", WANTED.split())
def test_an_alert_quotes_an_article_and_bears_on_an_item_of_article_33(code: str) -> None:
    alert = ALERT_CLASSES[code]
    assert alert.code == code
    assert quote(alert.article, alert.paragraph).zh
    assert alert.liability
    assert set(alert.liability) <= set(LIABILITIES)
    assert alert.text("zh") == alert.zh != alert.en == alert.text("en")


def test_every_class_of_alert_is_complete() -> None:
    assert all(quote(a.article, a.paragraph) and a.liability for a in ALERT_CLASSES.values())
    assert len({a.zh for a in ALERT_CLASSES.values()}) == len(ALERT_CLASSES)


def test_what_may_lose_evidence_is_critical() -> None:
    critical = {code for code, a in ALERT_CLASSES.items() if a.severity is Severity.CRITICAL}
    lost = {"copy_differs", "station_clock", "store_altered", "store_full", "unreadable_file"}
    assert critical == lost | {"store_trouble", "twin_identity", "undelivered"}


def test_article_33_has_five_items_in_its_own_words() -> None:
    assert LIABILITIES[4].zh == "擅自毁损、删除、修改文字记录和音像记录资料的"
    assert [t.article for t in LIABILITIES.values()] == [f"33({n})" for n in range(1, 6)]


def test_the_tables_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        ACT_TYPES["new"] = Term("new", "新", "new")  # type: ignore[index]
