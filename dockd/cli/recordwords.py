"""A record on a screen: every item by its label, codes as words, in the person's language. JSON keeps the codes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from dockd.law.vocabulary import OWNER_STATES
from dockd.locale import N_, language, word_of

LABELS: Mapping[str, str] = {
    "record_id": N_("record"),
    "file_no": N_("file number"),
    "revision": N_("revision"),
    "footage_id": N_("footage"),
    "visit_id": N_("visit"),
    "station_no": N_("station"),
    "bay": N_("bay"),
    "device_no": N_("recorder"),
    "recorder_id": N_("recorder's key"),
    "device_serial": N_("serial"),
    "media_type": N_("media type"),
    "place_on_card": N_("place on the card"),
    "original_path": N_("path on the card"),
    "original_name": N_("original name"),
    "other_names": N_("other names"),
    "sequence": N_("number in the name"),
    "size": N_("bytes"),
    "sha256": N_("SHA-256"),
    "location": N_("file in the store"),
    "verified_at": N_("verified"),
    "docked_at": N_("docked"),
    "stored_at": N_("stored"),
    "title": N_("title"),
    "used_from": N_("used from"),
    "used_to": N_("used to"),
    "time_basis": N_("basis of the time"),
    "time_flags": N_("remarks on the time"),
    "other_ends": N_("other possible ends"),
    "raw_from": N_("used from, by its own clock"),
    "raw_to": N_("used to, by its own clock"),
    "clock_offset_s": N_("clock ahead (s)"),
    "witnessed_from": N_("earliest possible moment"),
    "witnessed_to": N_("latest possible moment"),
    "party": N_("party"),
    "case_cause": N_("cause"),
    "case_no": N_("case"),
    "officers": N_("certificates of the officers"),
    "officer_names": N_("officers"),
    "owner_state": N_("ownership"),
    "officer_candidates": N_("possible officers"),
    "case_candidates": N_("possible cases"),
    "basis": N_("reasons"),
    "tags_complete": N_("complete"),
    "act_type": N_("act type"),
    "stage": N_("stage"),
    "step": N_("step"),
    "matter": N_("matter"),
    "place": N_("place"),
    "method": N_("method"),
    "party_notified": N_("party was told"),
    "points": N_("points recorded"),
    "important_mark": N_("marked important"),
    "confidentiality": N_("confidentiality"),
    "retention_class": N_("retention class"),
    "retention_by_hand": N_("retention class by hand"),
    "retain_until": N_("retain until"),
    "is_evidence": N_("used as evidence"),
    "disc_no": N_("disc"),
    "archived_on": N_("archived"),
    "remark": N_("remark"),
    "session_id": N_("session"),
    "deadline_at": N_("deadline"),
    "original_deadline_at": N_("deadline without exception"),
    "late": N_("late"),
    "late_kind": N_("kind of lateness"),
    "judge_reason": N_("why it is judged so"),
    "overdue_s": N_("late by (s)"),
    "exception_id": N_("exception"),
    "probed_at": N_("looked into"),
    "duration_s": N_("length (s)"),
    "facts": N_("what the file says"),
    "waiting_s": N_("waiting (s)"),
}
_CODES: Mapping[str, Mapping[str, str]] = {
    "late_kind": {"docked": N_("docked too late"), "stored": N_("stored too late by the station")},
    "media_type": {
        "video": N_("video"),
        "audio": N_("audio"),
        "photo": N_("photo"),
        "log": N_("recorder log"),
        "other": N_("other"),
    },
    "method": {"video": N_("video"), "audio": N_("audio"), "photo": N_("photo")},
    "retention_class": {"unclassified": N_("unclassified")},
    "party_notified": {"yes": N_("yes"), "no": N_("no"), "unknown": N_("unknown")},
}
_BASES: Mapping[str, str] = {
    "name": N_("file name"),
    "container": N_("date in the file"),
    "zoned": N_("date in the file with its zone"),
    "gps": N_("GPS time in the file"),
    "mtime": N_("the file's time"),
    "clock_clerk": N_("put right by a clerk's reading of the clock"),
    "clock_gps": N_("put right by GPS"),
    "clock_driver": N_("put right by the recorder's own answer"),
    "clock_future_file": N_("put right by a file from the future"),
    "custody": N_("custody register"),
    "binding_file": N_("binding file on the card"),
    "standing_owner": N_("registered owner"),
    "officer": N_("officer"),
    "time": N_("time"),
    "place": N_("place"),
    "template": N_("title template"),
    "visit": N_("visit"),
    "default": N_("default"),
    "file_name": N_("file name"),
}
"""Why a value is believed, part by part."""
_WHY: Mapping[str, str] = {
    "stored": N_("described when it was stored"),
    "tagged": N_("said by a person"),
    "session": N_("joined with its neighbours"),
    "important_mark visit": N_("marked important, seen in visit {number}"),
    "configuration": N_("judged by the present configuration"),
    "custody": N_("custody {number}"),
    "case": N_("case {number}"),
    "exception": N_("exception {number}"),
    "clock": N_("clock reading {number}"),
    "officer": N_("register of officers: {number}"),
    "recorder": N_("register of recorders: {number}"),
}


def label(name: str) -> str:
    """What an item is called."""
    return word_of(name, LABELS)


def value_words(name: str, value: object) -> object:
    """A value as people read it; a code that has no word stays as it is."""
    if name == "basis" and isinstance(value, Mapping):
        return [f"{label(str(key))} = {basis_words(str(why))}" for key, why in value.items() if why]
    if name == "time_basis" and isinstance(value, str):
        return basis_words(value)
    if name == "owner_state" and value in OWNER_STATES:
        return OWNER_STATES[str(value)].text(language())
    if isinstance(value, str) and name in _CODES:
        return word_of(value, _CODES[name])
    if isinstance(value, str) and name.endswith(("_at", "_from", "_to", "_until", "_on")):
        return _moment(value)
    return value


def basis_words(basis: str) -> str:
    """The witnesses of a value: ``custody+name`` in words; a person or a case is named as it is."""
    kind, colon, _number = basis.partition(":")
    if colon:
        return who(basis) if kind == "person" else why_words(basis)
    return " + ".join(word_of(part, _BASES) for part in basis.split("+"))


def _moment(text: str) -> datetime | str:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def why_words(why: str) -> str:
    """Why a revision was made: ``custody:3`` in words."""
    kind, _colon, number = why.partition(":")
    return word_of(kind, _WHY).format(number=number) if kind in _WHY else why


def who(actor: str) -> str:
    """A person by the name with which he is known to the machine."""
    return actor.removeprefix("person:")
