"""Officers: who may be named as 执法人员, found by certificate number or by the number that recorders carry.

Every write is in the caller's transaction, together with its ledger line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from dockd.errors import AlreadyRegistered, BadValue, UnknownNumber
from dockd.locale import _
from dockd.nouns import Officer
from dockd.register import ledger
from dockd.register.reviews import ask_review, concerned_by
from dockd.register.tables import OfficerRow
from dockd.register.values import (
    Counts,
    chunks,
    differences,
    folded,
    optional_number,
    personal_number,
    shown,
    width,
    words,
)

_FIELDS = ("name", "badge", "unit")


def check_officer(officer: Officer) -> Officer:
    """``officer`` as the register takes it. Raises BadValue or ReservedNumber, which name the column."""
    name = words("officer_name", officer.name, width(OfficerRow.name))
    if not name:
        raise BadValue(what="officer_name", value="''", expected=_("a name"))
    return Officer(
        cert_no=personal_number("officer_cert_no", officer.cert_no),
        name=name,
        badge=optional_number("badge", officer.badge),
        unit=words("unit", officer.unit, width(OfficerRow.unit)),
    )


def add_officer(session: Session, officer: Officer, *, station_no: str, now: datetime, actor: str) -> Officer:
    """Registers one officer; returns it as registered.

    Raises AlreadyRegistered (also where only upper and lower case differ), BadValue, ReservedNumber.
    """
    officer = check_officer(officer)
    known = find_officer(session, officer.cert_no) or cert_no_twins(session, [officer.cert_no])
    if known:
        command = f"dockd officer show {officer.cert_no}" if isinstance(known, Officer) else "dockd officer list"
        raise AlreadyRegistered(noun=_("officer"), number=officer.cert_no, command=command)
    put_officers(session, [officer], station_no=station_no, now=now, actor=actor)
    return officer


def put_officers(
    session: Session, officers: Sequence[Officer], *, station_no: str, now: datetime, actor: str
) -> Counts:
    """Registers or changes checked officers, each named once; what is unknown (None) stays as it was.

    An officer who is the same already costs no write and no ledger line; a change tells each value before and after.
    """
    known = _rows(session, [o.cert_no for o in officers])
    counts = Counts()
    lines, changed = [], {}
    for officer in officers:
        what, data = _put(session, known.get(officer.cert_no), officer, now)
        counts = counts.one_more(what)
        if data:
            lines.append(ledger.Line(kind=f"officer.{what}", subject=f"officer:{officer.cert_no}", at=now, data=data))
            changed[officer.cert_no] = _numbers(what, data)
    session.flush()
    _ask(session, changed, station_no=station_no, now=now, actor=actor)
    ledger.append_many(session, station_no=station_no, lines=lines, actor=actor)
    return counts


def _numbers(what: str, data: Mapping[str, Any]) -> list[str]:
    """The numbers that mean this officer now and did not before, or no longer."""
    said = (data["cert_no"], data["badge"]) if what == "added" else data["changes"].get("badge", ())
    return folded(said)


def _ask(session: Session, changed: Mapping[str, Sequence[str]], *, station_no: str, now: datetime, actor: str) -> None:
    """The recordings whose evidence gives these numbers are judged again, by officer."""
    concerned = concerned_by(session, [number for numbers in changed.values() for number in numbers])
    for cert_no, numbers in changed.items():
        if own := [concerned[number] for number in numbers if number in concerned]:
            ask_review(session, own, why=f"officer:{cert_no}", station_no=station_no, at=now, actor=actor)


def _put(
    session: Session, row: OfficerRow | None, officer: Officer, now: datetime
) -> tuple[str, dict[str, Any] | None]:
    said = asdict(officer)
    if row is None:
        session.add(OfficerRow(**said, created_at=now, updated_at=now))
        return "added", said
    changes = differences(_said(row), said, _FIELDS)
    if not changes:
        return "unchanged", None
    for name, (_before, after) in changes.items():
        setattr(row, name, after)
    row.updated_at = now
    return "changed", _said(row) | {"changes": changes}


def find_officer(session: Session, cert_no: str) -> Officer | None:
    """The officer with this certificate number."""
    if not cert_no.isprintable():
        return None  # nobody's number, and neither dialect takes every such text as a parameter
    row = session.scalar(select(OfficerRow).where(OfficerRow.cert_no == cert_no))
    return _noun(row) if row else None


def get_officer(session: Session, cert_no: str) -> Officer:
    """The officer with this certificate number. Raises UnknownNumber."""
    officer = find_officer(session, cert_no)
    if officer is None:
        raise UnknownNumber(noun=_("officer"), number=shown(cert_no), command="dockd officer list")
    return officer


def list_officers(session: Session) -> list[Officer]:
    """Every officer, by certificate number."""
    return [_noun(row) for row in session.scalars(select(OfficerRow).order_by(OfficerRow.cert_no))]


def officer_by_token(session: Session, token: str) -> str | None:
    """The certificate number of the one officer whose badge or certificate number ``token`` is, else None.

    Upper and lower case are not told apart; a token that two officers could mean is nobody's.
    """
    if not token.isprintable():
        return None
    found = session.scalars(
        select(OfficerRow.cert_no)
        .where(
            or_(
                OfficerRow.cert_no == token,
                OfficerRow.badge == token,
                func.lower(OfficerRow.cert_no) == token.lower(),
                func.lower(OfficerRow.badge) == token.lower(),
            )
        )
        .limit(2)
    ).all()
    return found[0] if len(found) == 1 else None


def officer_names(session: Session, cert_nos: Iterable[str]) -> dict[str, str]:
    """The names of those certificate numbers that are registered."""
    return {number: row.name for number, row in _rows(session, cert_nos).items()}


def unknown_officers(session: Session, cert_nos: Iterable[str]) -> list[str]:
    """Which of ``cert_nos`` no officer has, in order."""
    wanted = sorted(set(cert_nos))
    known = _rows(session, wanted)
    return [number for number in wanted if number not in known]


def cert_no_twins(session: Session, cert_nos: Iterable[str]) -> dict[str, str]:
    """For each of ``cert_nos`` that is registered in other letters (``jx01`` for ``JX01``): as what."""
    twins: dict[str, str] = {}
    for chunk in chunks(sorted(set(cert_nos))):
        folded = {number.lower(): number for number in chunk}
        found = session.scalars(
            select(OfficerRow.cert_no).where(
                func.lower(OfficerRow.cert_no).in_(folded), OfficerRow.cert_no.not_in(chunk)
            )
        )
        twins |= {folded[number.lower()]: number for number in found}
    return twins


def _rows(session: Session, cert_nos: Iterable[str]) -> dict[str, OfficerRow]:
    return {
        row.cert_no: row
        for chunk in chunks(sorted(set(cert_nos)))
        for row in session.scalars(select(OfficerRow).where(OfficerRow.cert_no.in_(chunk)))
    }


def _said(row: OfficerRow) -> dict[str, Any]:
    return {"cert_no": row.cert_no, "name": row.name, "badge": row.badge, "unit": row.unit}


def _noun(row: OfficerRow) -> Officer:
    return Officer(cert_no=row.cert_no, name=row.name, badge=row.badge, unit=row.unit)
