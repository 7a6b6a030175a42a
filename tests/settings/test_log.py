"""The log: fixed events, known fields, and never a name."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from dockd import log


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    log.configure("info", stream=stream, environ={})
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    structlog.reset_defaults()


def only(stream: io.StringIO) -> dict[str, Any]:
    (line,) = stream.getvalue().splitlines()
    return json.loads(line)


def test_an_event_is_a_line_of_json_with_its_known_fields(lines: io.StringIO) -> None:
    structlog.get_logger().warning(
        "alert_opened", alert_id=7, device_no="执记-01", cert_no="冀A-12", kind="late_docked"
    )
    line = only(lines)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "alert_opened",
        "level": "warning",
        "alert_id": 7,
        "device_no": "执记-01",
        "cert_no": "冀A-12",
        "kind": "late_docked",
    }


@pytest.mark.parametrize("key", ["officer_name", "party", "title", "path", "original_name", "place", "note"])
def test_a_field_that_may_hold_a_name_does_not_pass(key: str, lines: io.StringIO) -> None:
    structlog.get_logger().info("visit_opened", visit_id=1, **{key: "张三"})
    assert "张三" not in lines.getvalue()
    assert only(lines)["fields_dropped"] == 1


def test_a_known_field_does_not_carry_free_text(lines: io.StringIO) -> None:
    structlog.get_logger().info("visit_opened", reason="张三 said so", error={"a": "张三"}, op=["x", "张三"])
    assert "张三" not in lines.getvalue()


def test_a_sentence_is_no_event(lines: io.StringIO) -> None:
    structlog.get_logger().info("card of 张三 opened")
    assert only(lines)["event"] == "unnamed_event"
    assert "张三" not in lines.getvalue()


def test_an_exception_comes_without_its_message(lines: io.StringIO) -> None:
    try:
        raise ValueError("张三")
    except ValueError:
        structlog.get_logger().error("probe_failed", exc_info=True)
    line = only(lines)
    assert line["exception"] == ["ValueError"]
    assert "test_log.py" in line["frames"][0]
    assert "张三" not in lines.getvalue()


def test_what_a_library_logs_comes_without_its_values(lines: io.StringIO) -> None:
    logging.getLogger("sqlalchemy.pool").warning("lost %s", "张三")
    line = only(lines)
    assert (line["event"], line["logger"], line["message"]) == ("library_message", "sqlalchemy.pool", "lost %s")


def test_what_a_library_has_filled_in_itself_is_named_by_its_place_only(lines: io.StringIO) -> None:
    logging.getLogger("watchdog").error("cannot watch /home/张三")
    line = only(lines)
    assert "张三" not in lines.getvalue()
    assert line["message"].startswith("test_log:")


def test_below_the_level_nothing_is_written(lines: io.StringIO) -> None:
    structlog.get_logger().debug("visit_opened")
    logging.getLogger("pyudev").debug("x")
    assert lines.getvalue() == ""


def test_on_a_terminal_a_person_can_read_it() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    log.configure("info", stream=stream, environ={"NO_COLOR": "1"})
    structlog.get_logger().info("visit_opened", visit_id=5)
    assert "visit_opened" in stream.getvalue()
    assert "visit_id=5" in stream.getvalue()
    log.configure("info", stream=stream, environ={"JOURNAL_STREAM": "8:1"})
    structlog.get_logger().info("visit_ended", visit_id=5)
    assert json.loads(stream.getvalue().splitlines()[-1])["event"] == "visit_ended"
    logging.getLogger().handlers.clear()
    structlog.reset_defaults()
