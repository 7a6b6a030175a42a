"""What people see of the dock: the board's words in both languages, rates, the lines that ``dockd identify`` makes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
import yaml

from dockd.cli.identify import lines
from dockd.cli.status import board, closing_lines, reasons, sized
from dockd.errors import CardNotOpened
from dockd.locale import use_language
from dockd.service.devices import Block, Gadget, Ownership, Sighting
from dockd.service.foundation import WAITED_FOR
from dockd.service.introduction import bay_line, device_lines, free_name, news, register_command
from dockd.service.sight import Pace
from dockd.service.stays import State
from dockd.visit.request import Phase, Progress
from dockd.visit.urgency import next_deadline

CHINESE = {
    "empty": "空闲",
    "identifying": "识别中",
    "locked": "已连接，设备未解锁",
    "unknown": "未登记设备，未读取",
    "queued": "排队中",
    "copying": "正在采集，请勿拔出",
    "verifying": "正在校验，请勿拔出",
    "done": "已储存并校验，可以取走",
    "done_late": "已储存，但超过 24 小时",
    "removed_early": "提前拔出，未完成",
    "failed": "采集失败：{reason}",
    "out_of_service": "该设备已停用，请报修",
}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_state_of_a_bay_has_an_icon_a_colour_and_words(language: str) -> None:
    use_language(language)  # type: ignore[arg-type]
    words = board()
    assert set(words) == {state.value for state in State}
    assert all(icon and colour and text for icon, colour, text in words.values())


def test_the_boards_chinese_is_that_of_the_domain() -> None:
    use_language("zh")
    words = board()
    for state, text in CHINESE.items():
        assert words[state][2].startswith(text), state


def test_every_trouble_that_a_bay_can_have_has_words() -> None:
    waited_for = {kind.__name__ for kind in WAITED_FOR}
    for kind in (*WAITED_FOR, *CardNotOpened.__subclasses__()):
        assert reasons().get(kind().name), kind
    assert {"StoreFull", "RegisterLocked"} <= waited_for


def test_a_rate_is_of_the_last_seconds_and_only_while_copying() -> None:
    pace = Pace()
    for second in range(20):
        pace.note(Progress(Phase.COPYING, bytes_total=10**9, bytes_read=second * 1000), float(second))
    assert pace.rate == pytest.approx(1000)
    for second in range(20, 60):
        pace.note(Progress(Phase.COPYING, bytes_total=10**9, bytes_read=19000 + (second - 19) * 5000), float(second))
    assert pace.rate == pytest.approx(5000, rel=0.05)
    pace.note(Progress(Phase.PAUSED), 61.0)
    assert pace.rate == 0


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (200 << 20, "200 MiB"), (5 << 40, "5.0 TiB")]
)
def test_sizes_are_short(count: int, text: str) -> None:
    assert sized(count) == text


def test_what_stands_below_the_board() -> None:
    seen = {
        "service": {"words": "ready"},
        "store": {"bytes_free": 1 << 30, "bytes_total": 2 << 30, "bytes_reserve": 0},
        "alerts_open": 3,
        "last_export": None,
    }
    text = "\n".join(closing_lines(seen))
    assert "1.0 GiB free of 2.0 GiB" in text
    assert "Open alerts: 3" in text


# --- the queue's urgency ---------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")


def ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9


def test_the_next_deadline_is_that_of_the_oldest_recording_that_can_still_be_in_time() -> None:
    ends = [ns(NOW - timedelta(hours=hours)) for hours in (1, 20, 30)]
    assert next_deadline(ends, NOW, 24, zone=ZONE) == (NOW + timedelta(hours=4), True)


def test_times_that_cannot_be_right_say_nothing() -> None:
    assert next_deadline([0, ns(NOW + timedelta(days=3))], NOW, 24, zone=ZONE) == (None, False)
    assert next_deadline([], NOW, 24, zone=ZONE) == (None, False)


def test_wall_clock_times_of_fat_are_read_in_the_stations_zone() -> None:
    wall = ns((NOW - timedelta(hours=1)).astimezone(ZONE).replace(tzinfo=UTC))
    assert next_deadline([wall], NOW, 24, mtime_is_wall=True, zone=ZONE) == (NOW + timedelta(hours=23), False)


# --- identify --------------------------------------------------------------------------------------------------

CAMERA = Gadget("1-4.2", "pci", "1:5", "4255", "0001", "2107731", "Ambarella", "A9")
CARD = Block("sdb1", 1, 1, "1-4.2", "pci", Ownership.CARD, "vfat", "1234-ABCD", "CARD", 1000)


def test_what_was_plugged_in_between_two_looks_is_found_by_its_port() -> None:
    before = Sighting(gadgets=frozenset({Gadget("1-1", "pci", "1:2")}))
    after = Sighting(frozenset({CARD}), before.gadgets | {CAMERA})
    (found,) = news(before, after, {"1-1": "A1"})
    assert (found.port, found.bay, found.serial) == ("1-4.2", None, "2107731")


def test_the_lines_for_the_configuration_are_yaml_that_says_it() -> None:
    (found,) = news(Sighting(), Sighting(frozenset({CARD}), frozenset({CAMERA})), {})
    text = "bays:\n" + bay_line(found, ["A1", "A2"]) + "\ndevices:\n" + "\n".join(device_lines(found))
    said = yaml.safe_load(text)
    assert said == {"bays": {"A3": {"ports": ["1-4.2"]}}, "devices": [{"vendor": "4255", "product": "0001"}]}
    assert register_command(found) == "dockd recorder add N --serial 2107731"
    shown = "\n".join(lines(found, ["A1"]))
    assert 'A2: {ports: ["1-4.2"]}' in shown
    assert "sdb1" in shown


def test_a_recorder_without_a_card_is_said_to_be_perhaps_locked() -> None:
    (found,) = news(Sighting(), Sighting(gadgets=frozenset({CAMERA})), {"1-4.2": "A1"})
    shown = "\n".join(lines(found, ["A1"]))
    assert "may be locked" in shown
    assert "bay A1 already" in shown


def test_the_first_bay_is_a1() -> None:
    assert free_name([]) == "A1"
    assert free_name(["Left 7", "B2"]) == "A8"
