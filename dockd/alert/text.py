"""What an alert says to a person, in the language in use: who, which recorder and file, how late, and which article.

Alerts hold numbers only; names are looked up here, when somebody who may see them reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from dockd.alert.reasons import clue_words, reason_words, rung_words
from dockd.law.filing import MISSING
from dockd.law.text import quote
from dockd.law.vocabulary import ALERT_CLASSES, JUDGEMENT_REASONS
from dockd.locale import N_, _, language
from dockd.register.alerts import Alert
from dockd.register.officers import officer_names
from dockd.register.recorders import STATE_WORDS
from dockd.register.records import original_names


@dataclass(frozen=True, slots=True)
class Names:
    """What the numbers of some alerts stand for: file names by record, officers' names by 执法证号."""

    files: Mapping[int, str] = field(default_factory=dict)
    officers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Told:
    """An alert in words: ``article`` cites what ``quotation`` quotes."""

    title: str
    text: str
    article: str
    quotation: str


def look_up(session: Session, alerts: Iterable[Alert]) -> Names:
    """The names behind the numbers of ``alerts``."""
    every = list(alerts)
    return Names(
        files=original_names(session, (a.record_id for a in every if a.record_id is not None)),
        officers=officer_names(session, (cert_no for a in every for cert_no in cert_nos_of(a))),
    )


def cert_nos_of(alert: Alert) -> tuple[str, ...]:
    """The officers that an alert is about, by 执法证号."""
    return tuple(str(cert_no) for cert_no in alert.facts.get("cert_nos") or ())


def tell(alert: Alert, names: Names, zone: ZoneInfo) -> Told:
    """``alert`` in words. Times are in ``zone``; what is not known is said to be unknown."""
    kind = ALERT_CLASSES[alert.kind]
    article = quote(kind.article, kind.paragraph)
    chinese = language() == "zh"
    return Told(
        title=kind.text(language()),
        text=_(_template(alert)).format_map(_fields(alert, names, zone)),
        article=article.cite_zh if chinese else article.cite_en,
        quotation=article.zh if chinese else article.en,
    )


def _template(alert: Alert) -> str:
    if alert.kind == "store_full" and "need" not in alert.facts:
        return _FILLED
    if alert.kind == "station_clock" and "passed" in alert.facts:
        return _SET_FORWARD
    return _TEMPLATES.get(alert.kind, _GENERAL)


_FILLED = N_("The store has no room left, or its quota is used up. New copies wait.")
_SET_FORWARD = N_(
    "Visit {visit}: this station's clock says {now}, but by the time that has passed since the machine was started it "
    "is {passed}. Set it right; if it is right now, start the machine anew. What was judged by it is left open."
)
_GENERAL = N_("Recorder {recorder}, visit {visit}. Its records: {records}")
_LATE = N_(
    "Recorder {recorder}, officer {officers}, file {file}: to be stored by {deadline}, docked {docked}, "
    "stored {stored}: {late} late."
)
_LATENESS_OPEN = N_("Recorder {recorder}, officer {officers}, file {file}, docked {docked}: {reason}.")
_FILES = N_("Recorder {recorder}, visit {visit}: {count} files (number in the listing: reason): {list}.")

_UNFILED = N_("Case {case}: to be filed by {last_day} ({days_left} days left). Still missing: {missing}.")

_TEMPLATES = {
    "job_failed": N_("The task {job} did not end well ({evidence}). The journal says more: journalctl -u dockd"),
    "config_refused": N_("The configuration was changed and cannot be taken: {evidence}. The old one is in force."),
    "import_refused": N_("{bad} of {lines} lines of a table in the drop folder were not taken. Its report: {location}"),
    "due_soon": N_(
        "Recorder {recorder}, officer {officers}, is out: what it recorded until {since} is to be stored by "
        "{deadline}. Dock it by then; an exception under article 23(2) is entered with: dockd exception add"
    ),
    "not_docked": N_(
        "Recorder {recorder}, officer {officers}, was not docked: whatever it recorded until {since} was to be stored "
        "by {deadline}. Have it docked, or enter the exception: dockd exception add"
    ),
    "exception_open": N_(
        "Exception {exception}, recorder {recorder}, officer {officers}: its period ended at {to}, and nobody has "
        "entered when they came back. Enter it: dockd exception return {exception} --at TIME"
    ),
    "exception_unconfirmed": N_(
        "Exception {exception}, recorder {recorder}, officer {officers} moves a deadline and is not confirmed. "
        "Another officer confirms it: dockd exception confirm {exception} --by CERT_NO"
    ),
    "exception_conflict": N_(
        "Exception {exception}, recorder {recorder}, officer {officers}: the recorder was docked at {docked}, before "
        "they are said to have come back, so it excuses nothing. Put the return right: dockd exception return"
    ),
    "interruption": N_(
        "Case {case}: its whole course is to be recorded, and {count} times are without a recording or explanation. "
        "List them: dockd interruption list --case {case}"
    ),
    "filing_due": _UNFILED,
    "filing_overdue": N_("Case {case}: was to be filed by {last_day} and is not. Still missing: {missing}."),
    "late_docked": _LATE,
    "late_stored": _LATE,
    "deadline_unknown": _LATENESS_OPEN,
    "deadline_disputed": _LATENESS_OPEN,
    "unreadable_file": _FILES,
    "copy_differs": _FILES,
    "not_a_file_on_card": _FILES,
    "unassigned": N_("Recorder {recorder}, visit {visit}: recordings without an officer. List them: {unassigned}"),
    "untagged": N_(
        "Recorder {recorder}, visit {visit}: {count} recordings stored since {stored} still lack items of article 27. "
        "List them: {incomplete}"
    ),
    "owner_conflict": N_(
        "Recorder {recorder}, visit {visit}: custody and file name name different officers. List them: {unassigned}"
    ),
    "unknown_recorder": N_(
        "A card with {files} files was not copied: its recorder is not registered (found: {evidence}). Register it "
        "with dockd recorder add: if it is still docked it is then read by itself, otherwise dock it again."
    ),
    "identity_conflict": N_("Taken for recorder {recorder} ({rung}); other evidence says {others}. Visit {visit}."),
    "twin_identity": N_(
        "Visit {visit} was taken for recorder {recorder}, which is docked in bay {bay} already. It was counted as "
        "nobody's: find out which of the two is the registered one."
    ),
    "card_not_opened": N_("Bay {bay}: {evidence}"),
    "unlock_failed": N_("Bay {bay}, profile {profile}: {evidence}"),
    "store_trouble": N_("The store takes no data now: {evidence}. Visits wait and go on by themselves."),
    "store_altered": N_("{location}: {finding} {detail}"),
    "store_full": N_("{need} bytes were needed, {free} are free, {reserve} are kept in reserve. New copies wait."),
    "removed_early": N_("Recorder {recorder}, visit {visit}: the card was removed before everything was stored."),
    "not_answering": N_(
        "Recorder {recorder}, visit {visit}: the card stopped answering before everything was stored. Unplug the "
        "recorder and dock it again; if it happens again, keep the card aside."
    ),
    "station_clock": N_(
        "Visit {visit}: this station's clock says {now}, but {seen} was seen before. Set it right; what was judged "
        "by it is left open."
    ),
}

_TEMPLATES |= {
    "battery_low": N_("Recorder {recorder}: the battery is at {battery} %. Charge it before it is handed out."),
    "card_full": N_("Recorder {recorder}, visit {visit}: {room} left on its card. Clear it before it is handed out."),
    "card_dirty": N_("Recorder {recorder}, visit {visit}: its card says that it was not closed properly."),
    "card_errors": N_(
        "Recorder {recorder}, visit {visit}: errors of the card again. Take it out of use and have it repaired."
    ),
    "card_slow": N_("Recorder {recorder}, visit {visit}: its card is read at {rate}, usually at {usual}."),
    "locked_left": N_("Recorder {recorder}, visit {visit}: {locked} locked files are stored and still on its card."),
    "check_due": N_("Recorder {recorder}: a check was due on {due}, the last one was on {since}."),
    "maintenance_due": N_("Recorder {recorder}: maintenance was due on {due}, the last one was on {since}."),
    "repair_overdue": N_("Recorder {recorder}: sent to repair on {since}, it should be back since {due}."),
    "return_overdue": N_("Recorder {recorder}, officer {officers}: handed out on {since}, due back on {due}."),
    "recorder_fault": N_(
        "Recorder {recorder}: a fault was reported for {at}. It must not be used until it is repaired."
    ),
    "out_of_service_docked": N_(
        "Recorder {recorder} is {state} and was docked (visit {visit}). Its footage is stored. Who has used it?"
    ),
    "card_changed": N_(
        "Recorder {recorder}, visit {visit}: another card than before, or the same one formatted. Was it the repairer?"
    ),
    "serial_changed": N_(
        "Recorder {recorder}, visit {visit}: its files carry another serial number than the registered one."
    ),
    "undelivered": N_("Channel {channel} has delivered nothing since {since}: {error}. See: dockd alert outbox"),
}

_FINDINGS = {
    "missing": N_("missing from the store."),
    "altered": N_("not what was stored."),
    "unreadable": N_("cannot be read."),
    "unregistered": N_("is not in the register."),
    "unsealed": N_("is the right file, but was made writable."),
    "vanished": N_("vanished before it was stored."),
    "temp_vanished": N_("vanished before it was stored; its card is copied again when it comes back."),
    "copy_differs": N_(
        "gave back other bytes than were written. It is kept, the file was copied once more. "
        "Check disk, cable and memory."
    ),
    "copy_unreadable": N_(
        "cannot be read back: the disk fails in this place. It is kept, the file was copied once more, elsewhere."
    ),
    "temp_unreadable": N_(
        "was proven and could not be read back when it was to be stored: the disk fails. What is left of it is kept; "
        "its card is copied again when it comes back."
    ),
    "temp_altered": N_("was changed before it was stored; its card is copied again when it comes back."),
}


def _fields(alert: Alert, names: Names, zone: ZoneInfo) -> Mapping[str, str]:
    facts, unknown = alert.facts, _("unknown")
    return {
        "exception": str(facts.get("exception_id") or unknown),
        "case": str(facts.get("case_no") or unknown),
        "to": _time(facts.get("to_at"), zone) or unknown,
        "last_day": str(facts.get("last_day") or unknown),
        "days_left": str(facts.get("days_left", "")),
        "missing": _(", ").join(_lacks(code) for code in facts.get("missing") or ()) or _("nothing"),
        "recorder": alert.device_no or str(facts.get("device_no") or unknown),
        "officers": _officers(alert, names) or unknown,
        "file": _file(alert, names) or unknown,
        "visit": str(alert.visit_id or unknown),
        "deadline": _time(facts.get("deadline_at"), zone) or unknown,
        "docked": _time(facts.get("docked_at"), zone) or unknown,
        "stored": _time(facts.get("stored_at"), zone) or unknown,
        "late": _span(int(facts.get("overdue_s") or 0)),
        "reason": _reason(facts.get("reason")) or unknown,
        "count": str(facts.get("count", "")),
        "list": _(", ").join(map(_listed, facts.get("files") or ())) if alert.kind in _LISTING else "",
        "files": str(facts.get("files", "")),
        "evidence": _evidence(alert) or unknown,
        "bay": str(facts.get("bay") or unknown),
        "job": str(facts.get("job") or unknown),
        "bad": str(facts.get("bad", "")),
        "lines": str(facts.get("lines", "")),
        "profile": str(facts.get("profile") or unknown),
        "rung": rung_words(str(facts.get("rung") or unknown)),
        "others": _(", ").join(map(str, facts.get("others") or ())) or unknown,
        "location": str(facts.get("location") or unknown),
        "finding": _(_FINDINGS.get(str(facts.get("finding")), "")) or str(facts.get("finding") or unknown),
        "detail": f"({facts['reason']})" if facts.get("reason") else "",
        "records": f"dockd record list --visit {alert.visit_id or '…'}",
        "unassigned": "dockd record list --unassigned",
        "incomplete": f"dockd record list --incomplete --visit {alert.visit_id or '…'}",
        "need": str(facts.get("need") or unknown),
        "free": str(facts.get("free") or unknown),
        "reserve": str(facts.get("reserve") or unknown),
        "battery": str(facts.get("battery", "")),
        "room": _size(facts.get("free")) or unknown,
        "rate": _rate(facts.get("rate")) or unknown,
        "usual": _rate(facts.get("usual")) or unknown,
        "locked": str(facts.get("locked_left", "")),
        "due": _time(facts.get("due_at"), zone) or unknown,
        "since": _time(facts.get("since"), zone) or unknown,
        "at": _time(facts.get("at"), zone) or unknown,
        "state": _(STATE_WORDS.get(str(facts.get("state")), "")) or unknown,
        "channel": str(facts.get("channel") or unknown),
        "error": str(facts.get("error") or unknown),
        "now": _time(facts.get("now"), zone) or unknown,
        "seen": _time(facts.get("seen"), zone) or unknown,
        "passed": _time(facts.get("passed"), zone) or unknown,
    }


def _evidence(alert: Alert) -> str:
    evidence = str(alert.facts.get("evidence") or "")
    return clue_words(evidence) if alert.kind == "unknown_recorder" else evidence


def _listed(file: Any) -> str:
    """``12: cannot be read at byte 0``"""
    number, sep, reason = str(file).partition(": ")
    return f"{number}{sep}{reason_words(reason)}"


_LISTING = frozenset({"unreadable_file", "copy_differs", "not_a_file_on_card"})


def _officers(alert: Alert, names: Names) -> str:
    """``Wang Qiang (13012301)`` for each officer."""
    template = _("{name} ({cert_no})")
    return _(", ").join(
        template.format(name=names.officers[cert_no], cert_no=cert_no) if cert_no in names.officers else cert_no
        for cert_no in cert_nos_of(alert)
    )


def _file(alert: Alert, names: Names) -> str:
    number = str(alert.facts.get("file_no") or "")
    name = names.files.get(alert.record_id or 0)
    return _("{name} ({number})").format(name=name, number=number) if name else number


def _time(value: Any, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(str(value)).astimezone(zone):%Y-%m-%d %H:%M:%S}" if value else ""


def _span(seconds: int) -> str:
    """Whole minutes, rounded up: what is late is never late by nothing."""
    hours, minutes = divmod(-(-seconds // 60), 60)
    return _("{hours} h {minutes} min").format(hours=hours, minutes=minutes)


def _size(value: Any) -> str:
    return "" if value is None else f"{int(value) / 1e9:.1f} GB"


def _rate(value: Any) -> str:
    return "" if value is None else f"{float(value) / 1e6:.1f} MB/s"


def _lacks(code: Any) -> str:
    term = MISSING.get(str(code))
    return term.text(language()) if term else str(code)


def _reason(code: Any) -> str:
    term = JUDGEMENT_REASONS.get(str(code))
    return term.text(language()) if term else str(code or "")
