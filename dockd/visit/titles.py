"""名称 of a record by the station's template, from whatever is known of it now (article 27)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from dockd.law.title import make_title
from dockd.law.vocabulary import METHODS
from dockd.nouns import MediaType
from dockd.register import officers
from dockd.register.records import Record
from dockd.register.station import Station


@dataclass(frozen=True, slots=True)
class Known:
    """What a title may speak of; empty fields leave their part of the template out."""

    original: str
    number: str
    media: MediaType
    used_from: datetime | None = None
    cause: str | None = None
    party: str | None = None
    case_no: str | None = None
    device_no: str | None = None
    officers: Sequence[str] = ()


def title_of(session: Session, station: Station, known: Known) -> str:
    """The title by ``title.template``; the original name where next to nothing is known."""
    names = officers.officer_names(session, known.officers)
    local = known.used_from.astimezone(station.zone) if known.used_from else None
    method = METHODS.get(known.media.value)
    values = {
        "cause": known.cause,
        "party": known.party,
        "date": f"{local:%Y%m%d}" if local else None,
        "time": f"{local:%H%M%S}" if local else None,
        "n": known.number,
        "device_no": known.device_no,
        "officer": "、".join(names.get(c, c) for c in known.officers) or None,
        "case_no": known.case_no,
        "media": method.text(station.settings.agency.language) if method else None,
        "original": known.original,
    }
    return make_title(station.settings.title.template, values, known.original)


def retitle(session: Session, station: Station, record: Record, changes: Mapping[str, Any]) -> str | None:
    """The template's title once ``changes`` are made; None where a person has named the record."""
    if record.basis.get("title") != "template" or "title" in changes:
        return None

    def then(name: str) -> Any:
        return changes.get(name, getattr(record, name))

    return title_of(
        session,
        station,
        Known(
            original=record.original_name,
            number=record.sequence or record.file_no.rpartition("-")[2].lstrip("0"),
            media=record.media_type,
            used_from=record.used_from,
            cause=then("case_cause"),
            party=then("party"),
            case_no=then("case_no"),
            device_no=record.device_no,
            officers=then("officers"),
        ),
    )
