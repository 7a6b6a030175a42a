"""中断, interruptions: candidates as they are found, and what a person says of each (article 22).

A candidate is known again by the recordings beside it. One that later footage covers is withdrawn,
one that comes back is open again; what a person has decided stays. Every write is in the caller's
transaction, together with its ledger line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session, aliased

from dockd.errors import BadValue, NoteIncomplete, UnknownNumber
from dockd.law.interruption import missing_of_note
from dockd.law.vocabulary import INTERRUPTION_CAUSES, INTERRUPTION_FORMS
from dockd.locale import _
from dockd.register import ledger
from dockd.register.officers import unknown_officers
from dockd.register.tables import InterruptionRow, RecorderRow, RecordRow
from dockd.register.values import instant, words

_POSITION_MAX, _NOTE_MAX = 128, 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A gap as it was found. ``about`` is the same however often it is found."""

    about: str
    kind: str
    from_at: datetime
    to_at: datetime
    severity: str
    recorder_id: int | None = None
    case_no: str | None = None
    before_record_id: int | None = None
    after_record_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is said of an interruption: spoken on restart (where), or set down in writing (number, signatories)."""

    cause: str
    form: str
    position: str | None = None
    doc_no: str | None = None
    signed_by: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interruption:
    """One candidate or decided interruption as it stands now."""

    interruption_id: int
    kind: str
    device_no: str | None
    case_no: str | None
    file_before: str | None
    file_after: str | None
    from_at: datetime
    to_at: datetime | None
    seconds: int | None
    severity: str
    state: str
    cause: str | None
    form: str | None
    position: str | None
    doc_no: str | None
    signed_by: tuple[str, ...]
    note: str | None
    decided_at: datetime | None
    decided_by: str | None


# --- what is found ------------------------------------------------------------------------------------------


def keep_candidates(
    session: Session,
    found: Iterable[Candidate],
    *,
    among: ColumnElement[bool],
    station_no: str,
    now: datetime,
) -> None:
    """The candidates ``among`` which one looked are those ``found``: new ones open, others are withdrawn."""
    wanted = {one.about: one for one in found}
    known = _by_about(session, among)
    known |= _by_about(session, InterruptionRow.about.in_(sorted(wanted.keys() - known.keys())))
    for about, one in wanted.items():
        _keep(session, known.get(about), one, station_no=station_no, now=now)
    for about in sorted(known.keys() - wanted.keys()):
        if known[about].state == "open":
            known[about].state = "withdrawn"
            _tell(session, known[about], "interruption.withdrawn", station_no=station_no, now=now, actor="dockd")


def _by_about(session: Session, condition: ColumnElement[bool]) -> dict[str, InterruptionRow]:
    return {row.about: row for row in session.scalars(select(InterruptionRow).where(condition))}


def _keep(session: Session, row: InterruptionRow | None, one: Candidate, *, station_no: str, now: datetime) -> None:
    if row is None:
        values = {name: getattr(one, name) for name in one.__slots__}
        row = InterruptionRow(**values, station_no=station_no, found_at=now, state="open", signed_by=[])
        session.add(row)
        _tell(session, row, "interruption.found", station_no=station_no, now=now, actor="dockd")
        return
    if row.state not in ("open", "withdrawn"):
        return
    after = {name: getattr(one, name) for name in ("from_at", "to_at", "severity", "case_no")} | {"state": "open"}
    if all(getattr(row, name) == value for name, value in after.items()):
        return
    for name, value in after.items():
        setattr(row, name, value)
    _tell(session, row, "interruption.found", station_no=station_no, now=now, actor="dockd")


# --- what a person says -------------------------------------------------------------------------------------


def explain_interruption(
    session: Session, interruption_id: int, said: Note, *, station_no: str, now: datetime, actor: str
) -> None:
    """Keeps the note that the article asks for.

    Raises NoteIncomplete where a part of it lacks, UnknownNumber for it or for an officer, BadValue.
    """
    row = _get(session, interruption_id)
    for what, value, terms in (("--cause", said.cause, INTERRUPTION_CAUSES), ("--form", said.form, INTERRUPTION_FORMS)):
        if value not in terms:
            raise BadValue(what=what, value=value, expected=", ".join(terms))
    if strangers := unknown_officers(session, said.signed_by):
        raise UnknownNumber(noun=_("officer"), number=strangers[0], command="dockd officer list")
    position, doc_no = words("--position", said.position, _POSITION_MAX), words("--doc-no", said.doc_no, _POSITION_MAX)
    signed = tuple(dict.fromkeys(said.signed_by))
    lacking = missing_of_note(said.form, cause=said.cause, position=position, doc_no=doc_no, signed_by=signed)
    if lacking:
        raise NoteIncomplete(lacking=", ".join(f"--{part.replace('_', '-')}" for part in lacking))
    row.cause, row.form, row.position, row.doc_no = said.cause, said.form, position, doc_no
    row.signed_by, row.note = list(signed), words("--note", said.note, _NOTE_MAX)
    _decide(session, row, "explained", station_no=station_no, now=now, actor=actor)


def dismiss_interruption(
    session: Session, interruption_id: int, *, note: str, station_no: str, now: datetime, actor: str
) -> None:
    """A person says that this was no interruption, and why. Raises UnknownNumber, BadValue."""
    row = _get(session, interruption_id)
    reason = words("--note", note, _NOTE_MAX)
    if reason is None:
        raise BadValue(what="--note", value="''", expected=_("a few words"))
    row.note = reason
    _decide(session, row, "dismissed", station_no=station_no, now=now, actor=actor)


def _decide(session: Session, row: InterruptionRow, state: str, *, station_no: str, now: datetime, actor: str) -> None:
    row.state, row.decided_at, row.decided_by = state, now, actor
    _tell(session, row, "interruption.decided", station_no=station_no, now=now, actor=actor)


def _get(session: Session, interruption_id: int) -> InterruptionRow:
    row = session.get(InterruptionRow, interruption_id, with_for_update=True)
    if row is None:
        raise _unknown(interruption_id)
    return row


def _unknown(interruption_id: int) -> UnknownNumber:
    return UnknownNumber(noun=_("interruption"), number=interruption_id, command="dockd interruption list --all")


# --- reading ------------------------------------------------------------------------------------------------


def list_interruptions(session: Session, *, open_only: bool = False, case_no: str | None = None) -> list[Interruption]:
    """All that were found, in the order of time; without ``open_only`` also those that are decided or withdrawn."""
    query = _query().order_by(InterruptionRow.from_at, InterruptionRow.id)
    if open_only:
        query = query.where(InterruptionRow.state == "open")
    if case_no is not None:
        query = query.where(InterruptionRow.case_no == case_no)
    return [_noun(*row) for row in session.execute(query)]


def get_interruption(session: Session, interruption_id: int) -> Interruption:
    """The interruption with this number. Raises UnknownNumber."""
    row = session.execute(_query().where(InterruptionRow.id == interruption_id)).one_or_none()
    if row is None:
        raise _unknown(interruption_id)
    return _noun(*row)


def _query() -> Select[*tuple[Any, ...]]:
    before, after = aliased(RecordRow), aliased(RecordRow)
    return (
        select(InterruptionRow, RecorderRow.device_no, before.file_no, after.file_no)
        .outerjoin(RecorderRow, RecorderRow.id == InterruptionRow.recorder_id)
        .outerjoin(before, before.id == InterruptionRow.before_record_id)
        .outerjoin(after, after.id == InterruptionRow.after_record_id)
    )


def open_by_case(session: Session) -> dict[str, int]:
    """How many grave candidates wait for a person, by case."""
    query = select(InterruptionRow.case_no).where(
        InterruptionRow.state == "open", InterruptionRow.severity == "warning", InterruptionRow.case_no.is_not(None)
    )
    counts: dict[str, int] = {}
    for case_no in session.scalars(query):
        counts[str(case_no)] = counts.get(str(case_no), 0) + 1
    return counts


def _noun(row: InterruptionRow, device_no: str | None, file_before: str | None, file_after: str | None) -> Interruption:
    return Interruption(
        interruption_id=row.id,
        kind=row.kind,
        device_no=device_no,
        case_no=row.case_no,
        file_before=file_before,
        file_after=file_after,
        from_at=row.from_at,
        to_at=row.to_at,
        seconds=round((row.to_at - row.from_at).total_seconds()) if row.to_at else None,
        severity=row.severity,
        state=row.state,
        cause=row.cause,
        form=row.form,
        position=row.position,
        doc_no=row.doc_no,
        signed_by=tuple(row.signed_by),
        note=row.note,
        decided_at=row.decided_at,
        decided_by=row.decided_by,
    )


def _tell(session: Session, row: InterruptionRow, kind: str, *, station_no: str, now: datetime, actor: str) -> None:
    session.flush()
    ledger.append(
        session,
        station_no=station_no,
        kind=kind,
        subject=f"interruption:{row.id}",
        data=_data(session, row),
        at=now,
        actor=actor,
    )


def _data(session: Session, row: InterruptionRow) -> Mapping[str, Any]:
    times = {name: instant(getattr(row, name)) for name in ("from_at", "to_at", "found_at", "decided_at")}
    device_no = session.scalar(select(RecorderRow.device_no).where(RecorderRow.id == row.recorder_id))
    plain: Sequence[str] = (
        *("about", "kind", "case_no", "before_record_id", "after_record_id", "severity"),
        *("cause", "form", "position", "doc_no", "signed_by", "note", "state", "decided_by"),
    )
    return {
        "interruption_id": row.id,
        "device_no": device_no,
        **{name: getattr(row, name) for name in plain},
        **times,
    }
