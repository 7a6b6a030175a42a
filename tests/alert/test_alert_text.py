"""Alerts in words: who, which recorder and file, how late, and the article; names only where a person reads."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shelf import AT, Shelf

from dockd.alert.text import Names, Told, look_up, tell
from dockd.law.vocabulary import ALERT_CLASSES
from dockd.locale import use_language
from dockd.register.alerts import Alert, find_alert, open_alert
from dockd.register.session import Register, create_register, open_register
from dockd.register.tables import AlertState

ZONE = ZoneInfo("Asia/Shanghai")
LATE = {
    "file_no": "S1-20261123-000001-00001",
    "cert_nos": ["13012301", "13012302"],
    "deadline_at": (AT - timedelta(hours=2)).isoformat(),
    "docked_at": AT.isoformat(),
    "stored_at": (AT + timedelta(minutes=1)).isoformat(),
    "overdue_s": 7201,
}


@pytest.fixture
def register(tmp_path: Path) -> Iterator[Register]:
    url = f"sqlite:///{tmp_path}/register.db"
    create_register(url)
    opened = open_register(url)
    yield opened
    opened.close()


def alert(kind: str = "late_docked", facts: Any = None, **said: Any) -> Alert:
    return Alert(
        **{
            "alert_id": 1,
            "station_no": "S1",
            "kind": kind,
            "about": "record:1",
            "severity": ALERT_CLASSES[kind].severity.value,
            "state": AlertState.OPEN,
            "opened_at": AT,
            "visit_id": 7,
            "record_id": 1,
            "device_no": "YS-07",
            "facts": facts or {},
            "level": 0,
            "repeated_at": None,
            **dict.fromkeys(
                ("acknowledged_at", "acknowledged_by", "acknowledge_note", "closed_at", "closed_by", "close_note")
            ),
            **said,
        }
    )


def test_a_late_file_names_recorder_officers_file_and_hours(register: Register) -> None:
    shelf = Shelf(register)
    shelf.officer("13012301", "王强")
    record_id = shelf.record(shelf.visit(shelf.recorder("YS-07")), b"DCIM/YS00701_0001.MP4")
    with register.write() as session:
        asked = {"station_no": "S1", "kind": "late_docked", "about": "record:1", "at": AT}
        alert_id = open_alert(session, facts=LATE, record_id=record_id, device_no="YS-07", **asked)  # type: ignore[arg-type]
    with register.read() as session:
        found = find_alert(session, alert_id or 0)
        assert found is not None
        told = tell(found, look_up(session, [found]), ZONE)
    assert told == Told(
        title="docked after the deadline",
        text=(
            "Recorder YS-07, officer 王强 (13012301), 13012302, file YS00701_0001.MP4 (S1-20261123-000001-00001): "
            "to be stored by 2026-11-23 08:00:00, docked 2026-11-23 10:00:00, stored 2026-11-23 10:01:00: "
            "2 h 1 min late."
        ),
        article="article 23(1)",
        quotation=told.quotation,
    )
    assert "twenty-four hours" in told.quotation


def test_the_article_is_quoted_in_chinese_to_who_reads_chinese() -> None:
    use_language("zh")
    told = tell(alert(facts=LATE), Names(), ZONE)
    assert (told.title, told.article) == ("接入超时", "第二十三条第一款")
    assert "二十四小时内将音像记录信息储存至所在机关" in told.quotation
    for known in ("YS-07", "13012301", "S1-20261123-000001-00001", "2026-11-23 08:00:00"):
        assert known in told.text


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", sorted(ALERT_CLASSES))
def test_every_kind_has_words_and_an_article_also_when_nothing_is_known(kind: str, language: Any) -> None:
    use_language(language)
    told = tell(alert(kind, record_id=None, visit_id=None, device_no=None), Names(), ZONE)
    assert all((told.title, told.text, told.article, told.quotation))
    assert "{" not in told.text
    assert "None" not in told.text


@pytest.mark.parametrize(
    ("kind", "facts", "words"),
    [
        (
            "store_altered",
            {"finding": "altered", "location": "footage/x.mp4", "reason": "size 9 instead of 10"},
            "footage/x.mp4: not what was stored. (size 9 instead of 10)",
        ),
        ("store_altered", {"finding": "missing", "location": "footage/x.mp4", "reason": ""}, "missing from the store."),
        (
            "unreadable_file",
            {"count": 2, "files": ["3: unreadable_at:0", "5: x"]},
            "2 files (number in the listing: reason): 3",
        ),
        (
            "unknown_recorder",
            {"files": 12, "evidence": "file_names: YS-09, usb_serial: 77"},
            "12 files was not copied: its recorder is not registered (found: file names: YS-09, USB serial number: 77)",
        ),
        (
            "identity_conflict",
            {"others": ["YS-08", "YS-09"], "rung": "binding_file"},
            "(a file on the card); other evidence says YS-08, YS-09.",
        ),
        ("deadline_unknown", {"reason": "deadline_disputed", "file_no": "F1"}, "witnesses of the time disagree"),
    ],
)
def test_each_kind_says_its_own_facts(kind: str, facts: Any, words: str) -> None:
    assert words in tell(alert(kind, facts), Names(), ZONE).text


@given(st.integers(min_value=1, max_value=10**7))
def test_what_is_late_is_never_late_by_nothing(seconds: int) -> None:
    text = tell(alert(facts={**LATE, "overdue_s": seconds}), Names(), ZONE).text
    hours, minutes = (int(part) for part in text.rpartition(": ")[2].replace(" min late.", "").split(" h "))
    assert hours * 3600 + (minutes - 1) * 60 < seconds <= hours * 3600 + minutes * 60
