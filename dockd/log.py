"""What the log says: fixed snake_case events with known fields, JSON for machines, readable on a terminal.

A log is read by more people than the register, so it is an allow-list: a field that is
not in ``FIELDS`` does not pass, exceptions come without their messages, and what a
library logs comes without its values. No personal name and no file name is ever in it.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Mapping, MutableMapping
from datetime import datetime
from typing import Any, TextIO

import structlog

from dockd import trace

# fmt: off
FIELDS = frozenset((
    "acknowledged", "action", "alert_id", "attempt", "backlog", "bay", "bytes_done", "bytes_free", "bytes_read",
    "bytes_stored", "bytes_total", "bytes_written", "case_no", "cert_no", "channel", "code", "count", "date",
    "days_left", "deadline_at", "device_no", "diskseq", "docked_at", "duration_s", "elapsed_s", "errno", "error",
    "event", "exception", "exit_code", "export", "failures", "faults", "file_no", "files", "files_wrong",
    "footage_id", "frames", "free", "hours", "identified_by", "job", "kind", "late_docked", "late_kind",
    "late_stored", "ledger_seq", "level", "lines", "logger", "message", "message_id", "needs", "next_at", "offset",
    "oldest_proof", "op", "outcome", "overdue_s", "per_day", "pid", "port", "profile", "proofs_due", "queue", "rate",
    "reason", "record_id", "recorders_docked", "records", "revision", "rows", "rung", "safe_at", "seconds", "seq",
    "sha256", "signal", "since", "slot", "source", "state", "station_no", "status", "step", "store_id", "stored_at",
    "time", "timestamp", "tool", "unassigned", "unassigned_since", "unit_no", "unsent", "until", "version",
    "visit_id", "visits", "visits_held", "visits_incomplete", "wait_s",
))
# fmt: on
"""Every field a log line may have. Numbers of people and things, never their names."""

_EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CODE = re.compile(r"[A-Za-z0-9 ._:,;/+@#%()<>=-]{0,128}")
_TEXTS = ("bay", "message", "exception", "frames")
Line = MutableMapping[str, Any]


def configure(level: str, *, stream: TextIO | None = None, environ: Mapping[str, str] = os.environ) -> None:
    """From now on every logger, ours and the libraries', writes to ``stream`` (stderr) from ``level`` up."""
    stream = stream or sys.stderr
    known: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        name_exception,
        keep_known_fields,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[drop_values, *known],
            use_get_message=False,
            pass_foreign_args=True,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(stream, environ)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[*known, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


def _renderer(stream: TextIO, environ: Mapping[str, str]) -> Any:
    if stream.isatty() and "JOURNAL_STREAM" not in environ:
        return structlog.dev.ConsoleRenderer(colors="NO_COLOR" not in environ)
    return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)


def keep_known_fields(_logger: Any, _method: str, line: Line) -> Line:
    """Let through what is in ``FIELDS`` and looks like a number, a code or a time; count what was dropped."""
    kept = {key: value for key, value in line.items() if _passes(key, value)}
    kept["event"] = line["event"] if _EVENT.fullmatch(str(line.get("event"))) else "unnamed_event"
    if len(kept) < len(line):
        kept["fields_dropped"] = len(line) - len(kept)
    return kept


def _passes(key: str, value: object) -> bool:
    if key.startswith("_"):  # structlog's own, removed before rendering
        return True
    if key not in FIELDS:
        return False
    if isinstance(value, str):
        return _CODE.fullmatch(value) is not None or ((key.endswith("_no") or key in _TEXTS) and _is_short(value))
    if isinstance(value, list | tuple):
        return all(_passes(key, item) for item in value)
    return value is None or isinstance(value, bool | int | float | datetime)


def _is_short(text: str) -> bool:
    return len(text) <= 200 and text.isprintable()


def name_exception(_logger: Any, _method: str, line: Line) -> Line:
    """``exc_info`` becomes the kinds of the exceptions and the lines of code, without their messages."""
    found = line.pop("exc_info", None)
    error = sys.exc_info()[1] if found is True else found[1] if isinstance(found, tuple) else found
    if isinstance(error, BaseException):
        line["exception"] = [trace.kind(one) for one in trace.chain(error)]
        line["frames"] = list(trace.frames(error))
    return line


def drop_values(_logger: Any, _method: str, line: Line) -> Line:
    """A library's line keeps its logger and, where values were filled in, its template; the values stay out."""
    record: logging.LogRecord = line["_record"]
    template = line["event"] if line.pop("positional_args", None) else ""
    line["message"] = template[:200] or f"{record.module}:{record.lineno}"
    line["event"] = "library_message"
    line["logger"] = record.name
    return line
