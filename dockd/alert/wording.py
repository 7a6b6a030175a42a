"""Messages in words: one line each, many in one digest that keeps to a service's size.

A digest keeps the order of its messages. Where one recorder raises the same alert again and again, the
numbers stand for the lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from dockd.alert.channels import Parcel
from dockd.alert.reportwords import report_text
from dockd.alert.text import Names, cert_nos_of, look_up, tell
from dockd.law.vocabulary import Severity
from dockd.locale import _
from dockd.register.alerts import Alert, find_alerts
from dockd.register.outbox import ESCALATED, REPEATED, REPORT, TEST, Message
from dockd.register.station import Station
from dockd.register.tables import RecorderRow
from dockd.register.values import instant
from dockd.settings import Channel

_EACH = 3  # so many of a kind and recorder in a row are told one by one
_RANK = (Severity.CRITICAL, Severity.WARNING, Severity.NOTICE)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Messages that one paragraph of the digest tells."""

    messages: tuple[Message, ...]
    rows: tuple[Mapping[str, Any], ...]

    @property
    def key(self) -> tuple[Any, ...]:
        row = self.rows[0]
        return (row["why"], row["kind"], row["device_no"]) if row["alert_id"] else (self.messages[0].message_id,)


def pack(
    session: Session,
    station: Station,
    channel: Channel,
    messages: Sequence[Message],
    *,
    most: int,
    max_bytes: int | None,
    now: datetime,
) -> Parcel:
    """The first of ``messages`` (at least one) that go out together; what does not fit goes with the next parcel."""
    if any(message.body.get("alone") for message in messages[:1]):
        most = 1
    some = messages[:most]
    alerts = {a.alert_id: a for a in find_alerts(session, [m.alert_id for m in some if m.alert_id])}
    names = look_up(session, alerts.values()) if channel.names else Names()
    rows = [_row(station, channel, message, alerts.get(message.alert_id or 0), names, now) for message in some]
    entries = _entries(some, rows)
    title, fitting = _fit(station, entries, max_bytes)
    taken = [message for entry in fitting for message in entry.messages]
    shown = [row for entry in fitting for row in entry.rows]
    text = "\n".join([title, *(_told(entry) for entry in fitting)])
    return Parcel(
        message_ids=tuple(message.message_id for message in taken),
        title=title,
        text=cut(text, max_bytes) if max_bytes else text,
        severity=next(s.value for s in _RANK if any(row["severity"] == s.value for row in shown)),
        rows=tuple(shown),
    )


def units_of(session: Session, device_nos: Sequence[str]) -> dict[str, str | None]:
    """The unit of each recorder."""
    rows = session.execute(
        select(RecorderRow.device_no, RecorderRow.unit).where(RecorderRow.device_no.in_(list(device_nos)))
    )
    return {row.device_no: row.unit for row in rows}


def cut(text: str, max_bytes: int) -> str:
    """``text`` in at most ``max_bytes`` of UTF-8, cut between characters, with a sign that it was cut."""
    raw = text.encode()
    if len(raw) <= max_bytes:
        return text
    return raw[: max_bytes - len("…".encode())].decode("utf-8", "ignore") + "…"


# --- one message -----------------------------------------------------------------------------------------


def _row(
    station: Station, channel: Channel, message: Message, alert: Alert | None, names: Names, now: datetime
) -> dict[str, Any]:
    row: dict[str, Any] = {
        "station_no": station.station_no,
        "message_id": message.message_id,
        "why": message.why,
        "alert_id": message.alert_id,
        "kind": None,
        "severity": Severity.NOTICE.value,
        "title": "",
        "text": "",
        "article": "",
        "opened_at": None,
        "device_no": message.device_no,
        "cert_nos": [],
        "visit_id": None,
        "may_repeat": bool(message.body.get("unsure")),
    }
    if message.why == REPORT:
        title, lines = report_text(message.body["report"], station.zone)
        row |= {"title": title, "text": "\n".join(lines), "report": message.body["report"]}
    elif message.why == TEST or alert is None:
        row |= {"title": _("Test message"), "text": _("This channel works.")}
    else:
        row |= _alert_row(station, channel, message, alert, names, now)
    return row


def _alert_row(
    station: Station, channel: Channel, message: Message, alert: Alert, names: Names, now: datetime
) -> dict[str, Any]:
    told = tell(alert if channel.names else _without_names(alert), names, station.zone)
    age = max(0, int((now - alert.opened_at).total_seconds()) // 3600)
    before = {
        ESCALATED: _("[escalated, open for {hours} h]").format(hours=age),
        REPEATED: _("[again, open for {hours} h]").format(hours=age),
    }
    closed = _("[closed meanwhile]") if alert.closed_at else ""
    return {
        "kind": alert.kind,
        "severity": str(message.body.get("severity") or alert.severity),
        "title": " ".join(part for part in (before.get(message.why, ""), closed, told.title) if part),
        "text": told.text,
        "article": told.article,
        "opened_at": instant(alert.opened_at),
        "cert_nos": list(cert_nos_of(alert)),
        "visit_id": alert.visit_id,
    }


def _without_names(alert: Alert) -> Alert:
    """What a card says of itself (labels, tokens in names) may be a person's name: it stays in the station."""
    hidden = {"evidence", "serials", "value"}
    return replace(alert, facts={k: v for k, v in alert.facts.items() if k not in hidden})


# --- many ------------------------------------------------------------------------------------------------


def _entries(messages: Sequence[Message], rows: Sequence[Mapping[str, Any]]) -> list[_Entry]:
    """One entry a message, but for what one recorder raises again and again without anything else in between."""
    entries: list[_Entry] = []
    last: dict[str | None, int] = {}
    for message, row in zip(messages, rows, strict=True):
        one = _Entry((message,), (row,))
        at = last.get(message.device_no) if message.device_no else None
        if at is not None and entries[at].key == one.key:
            entries[at] = _Entry((*entries[at].messages, message), (*entries[at].rows, row))
        else:
            entries.append(one)
            last[message.device_no] = len(entries) - 1
    return entries


def _fit(station: Station, entries: Sequence[_Entry], max_bytes: int | None) -> tuple[str, list[_Entry]]:
    """As many entries from the first on as the service takes, and the title that counts them."""
    fitting: list[_Entry] = []
    size = 0
    for entry in entries:
        size += len(_told(entry).encode()) + 1
        title = _title(station, [*fitting, entry])
        if fitting and max_bytes and size + len(title.encode()) > max_bytes:
            break
        fitting.append(entry)
    return _title(station, fitting), fitting


def _title(station: Station, entries: Sequence[_Entry]) -> str:
    rows = [row for entry in entries for row in entry.rows]
    if len(rows) == 1:
        return f"dockd {station.station_no}: {rows[0]['title']}"
    return _("dockd {station_no}: {count} messages").format(station_no=station.station_no, count=len(rows))


def _told(entry: _Entry) -> str:
    if len(entry.rows) <= _EACH or not entry.rows[0]["alert_id"]:
        return "\n".join(_line(row) for row in entry.rows)
    first = entry.rows[0]
    numbers = _numbers([int(row["alert_id"]) for row in entry.rows])
    return _("[{severity}] {title} × {count}: recorder {recorder}, alerts {numbers}. List them: {command}").format(
        severity=severity_words()[first["severity"]],
        title=first["title"],
        count=len(entry.rows),
        recorder=first["device_no"] or _("unknown"),
        numbers=numbers,
        command="dockd alert list --open",
    )


def _line(row: Mapping[str, Any]) -> str:
    if not row["alert_id"]:
        return str(row["text"])
    line = _("[{severity}] {alert_id} {title} ({article}). {text}").format(
        severity=severity_words()[row["severity"]],
        alert_id=row["alert_id"],
        title=row["title"],
        article=row["article"],
        text=row["text"],
    )
    return f"{line} {_('(may be a repetition)')}" if row["may_repeat"] else line


def severity_words() -> dict[str, str]:
    """The severities in the language in use."""
    return {"notice": _("notice"), "warning": _("warning"), "critical": _("critical")}


def _numbers(numbers: Sequence[int]) -> str:
    """``3–7, 9``"""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}–{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
