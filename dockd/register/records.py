"""Records: what is said of footage. They are added once and change only by adding a revision (law 7).

Every function works in the caller's transaction and appends its ledger line there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Row,
    ScalarSelect,
    Select,
    SQLColumnExpression,
    and_,
    delete,
    exists,
    func,
    select,
    text,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from dockd.errors import UnknownNumber
from dockd.law.completeness import tags_complete
from dockd.law.vocabulary import ACT_TYPES, STAGES, term_words
from dockd.locale import _
from dockd.nouns import LateKind, MediaType, OwnerState, Place
from dockd.register import ledger
from dockd.register.officers import officer_names
from dockd.register.tables import (
    ANY_LONG,
    LONG,
    SHORT,
    WAITING,
    EventRow,
    FootageRow,
    LocationRow,
    OfficerRow,
    RecorderRow,
    RecordOfficerRow,
    RecordRow,
    RecordTokenRow,
    RevisionRow,
    VisitRow,
)
from dockd.register.values import chunks, folded

_LONGEST = timedelta(days=31)
_MANY = 50_000  # of so many, to fetch and sort them takes as long as to read an index of all in the order of pages


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRecord:
    """What is known of footage when its record is made: the values of revision 0.

    Times are aware. ``officers`` and the candidates are numbers (``cert_no``, ``case_no``); ``tokens``
    are those of the evidence, whoever has them; ``basis`` says of each tag why it has its value.
    """

    file_no: str
    footage_id: int
    visit_id: int
    station_no: str
    media_type: MediaType
    place_on_card: Place
    original_path: bytes
    original_name: str
    docked_at: datetime
    stored_at: datetime
    recorder_id: int | None = None
    tokens: tuple[str, ...] = ()
    other_names: tuple[str, ...] = ()
    sequence: str | None = None
    title: str | None = None
    used_from: datetime | None = None
    used_to: datetime | None = None
    time_basis: str = ""
    time_flags: tuple[str, ...] = ()
    other_ends: tuple[datetime, ...] = ()
    raw_from: datetime | None = None
    raw_to: datetime | None = None
    clock_offset_s: float | None = None
    party: str | None = None
    case_cause: str | None = None
    case_no: str | None = None
    officers: tuple[str, ...] = ()
    owner_state: OwnerState = OwnerState.UNASSIGNED
    officer_candidates: tuple[str, ...] = ()
    case_candidates: tuple[str, ...] = ()
    basis: Mapping[str, str] | None = None
    act_type: str | None = None
    stage: str | None = None
    step: str | None = None
    matter: str | None = None
    place: str | None = None
    method: str | None = None
    party_notified: str | None = None
    points: tuple[str, ...] = ()
    important_mark: bool = False
    confidentiality: str | None = None
    retention_class: str | None = None
    retention_by_hand: str | None = None
    retain_until: datetime | None = None
    is_evidence: bool = False
    remark: str | None = None
    session_id: int | None = None
    deadline_at: datetime | None = None
    original_deadline_at: datetime | None = None
    late: bool | None = None
    late_kind: LateKind | None = None
    judge_reason: str | None = None
    overdue_s: int = 0
    exception_id: int | None = None
    probed_at: datetime | None = None
    duration_s: float | None = None
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """著录: one record with the facts of its footage, recorder and visit that every screen shows beside it."""

    record_id: int
    file_no: str
    revision: int
    footage_id: int
    visit_id: int
    station_no: str
    bay: str | None
    device_no: str | None
    device_serial: str | None
    media_type: MediaType
    place_on_card: Place
    original_path: bytes
    original_name: str
    other_names: tuple[str, ...]
    sequence: str | None
    size: int
    sha256: str
    location: str | None
    verified_at: datetime | None
    docked_at: datetime
    stored_at: datetime
    title: str | None
    used_from: datetime | None
    used_to: datetime | None
    time_basis: str
    time_flags: tuple[str, ...]
    other_ends: tuple[datetime, ...]
    raw_from: datetime | None
    raw_to: datetime | None
    clock_offset_s: float | None
    party: str | None
    case_cause: str | None
    case_no: str | None
    officers: tuple[str, ...]
    officer_names: tuple[str, ...]
    owner_state: OwnerState
    officer_candidates: tuple[str, ...]
    case_candidates: tuple[str, ...]
    basis: Mapping[str, str]
    tags_complete: bool
    act_type: str | None
    stage: str | None
    step: str | None
    matter: str | None
    place: str | None
    method: str | None
    party_notified: str | None
    points: tuple[str, ...]
    important_mark: bool
    confidentiality: str | None
    retention_class: str | None
    retention_by_hand: str | None
    retain_until: datetime | None
    is_evidence: bool
    disc_no: str | None
    archived_on: datetime | None
    remark: str | None
    session_id: int | None
    deadline_at: datetime | None
    original_deadline_at: datetime | None
    late: bool | None
    late_kind: LateKind | None
    judge_reason: str | None
    overdue_s: int
    exception_id: int | None
    probed_at: datetime | None
    duration_s: float | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Revision:
    """One change of a record: each field with its value before and after (``None`` before revision 0)."""

    number: int
    at: datetime
    actor: str
    why: str
    changes: Mapping[str, tuple[Any, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFilter:
    """Which records; fields that are given must all hold. The period is that of use (使用时间), overlapping."""

    unassigned: bool = False
    case_no: str | None = None
    officer: str | None = None
    device_no: str | None = None
    party: str | None = None
    used_from: datetime | None = None
    used_to: datetime | None = None
    visit_id: int | None = None
    media: MediaType | None = None
    title: str | None = None
    cause: str | None = None
    officer_name: str | None = None
    matter: str | None = None
    place: str | None = None
    act_type: str | None = None
    stage: str | None = None
    retention_class: str | None = None
    session_id: int | None = None
    late: bool | None = None
    is_evidence: bool | None = None
    incomplete: bool = False
    without_case: bool = False


# What goes on for a while, and in several files: a photograph is in no session.
_COURSES = (MediaType.VIDEO.value, MediaType.AUDIO.value)

# What a revision may change. Names, bytes, places and times of storing never change.
REVISABLE = frozenset(
    {f.name for f in fields(NewRecord)}
    - {
        *("file_no", "footage_id", "visit_id", "station_no", "media_type", "place_on_card"),
        *("original_path", "original_name", "tokens", "sequence", "docked_at", "stored_at", "basis"),
    }
) | {"disc_no", "archived_on"}

# A field that says nothing apart from another one and is protected together with it.
_FOLLOWS = {
    "owner_state": "officers",
    "officer_candidates": "officers",
    "case_candidates": "case_no",
    "retain_until": "retention_class",
}


# --- adding and revising --------------------------------------------------------------------------------


def add_record(session: Session, new: NewRecord, *, at: datetime, actor: str) -> int:
    """Adds a record at revision 0 and its ledger line ``record.added``; returns its id."""
    values = {f.name: _column(getattr(new, f.name)) for f in fields(new) if f.name != "tokens"}
    tokens = folded(new.tokens)
    values |= {"basis": dict(new.basis or {}), "facts": dict(new.facts or {}), "other_ends": _plain(new.other_ends)}
    row = RecordRow(**values, revision=0)
    row.tags_complete = _is_complete(session, row)
    row.witnessed_from, row.witnessed_to = witnessed_span(row)
    session.add(row)
    session.flush()
    if row.session_id is None and row.used_from and row.media_type in _COURSES:
        values["session_id"] = row.session_id = row.id  # it begins a session, which is named after it
        session.flush()
    _keep_officers(session, row.id, new.officers)
    session.add_all(RecordTokenRow(record_id=row.id, token=token) for token in tokens)
    ledger.append(
        session,
        station_no=new.station_no,
        kind="record.added",
        subject=f"record:{row.id}",
        data={
            "record_id": row.id,
            **values,
            "tokens": tokens,
            "tags_complete": row.tags_complete,
            "witnessed_from": row.witnessed_from,
            "witnessed_to": row.witnessed_to,
            "device_no": _device_no(session, row.recorder_id),
        },
        at=at,
        actor=actor,
    )
    return row.id


def revise_record(
    session: Session,
    record_id: int,
    changes: Mapping[str, Any],
    *,
    actor: str,
    why: str,
    at: datetime,
    basis: Mapping[str, str] | None = None,
) -> int | None:
    """Makes ``changes`` to a record as one revision; returns its number, or None when nothing changes.

    ``basis`` says of each field why; a person's change without one is its own basis. What a
    person has said is not overwritten by a conclusion of dockd's: such fields are left as
    they are. Raises UnknownNumber for an unknown record and ValueError for a field that never changes.
    """
    if fixed := changes.keys() - REVISABLE:
        raise ValueError(f"a revision cannot change {', '.join(sorted(fixed))}")
    row = session.get(RecordRow, record_id, with_for_update=True)
    if row is None:
        raise UnknownNumber(noun=_("record"), number=record_id, command="dockd record list")
    reasons = _reasons(changes, basis or {}, actor)
    taken = {name: value for name, value in changes.items() if not _is_a_persons(row, name, reasons, actor)}
    story = _apply(row, taken) | _apply_basis(row, taken, reasons)
    if not story:
        return None
    story |= _apply_completeness(session, row) | _apply_span(row)
    row.revision += 1
    if "officers" in story:
        _keep_officers(session, row.id, row.officers)
    _tell_revision(session, row, story, actor=actor, why=why, at=at)
    return row.revision


def rename_case(session: Session, before: str, after: str, *, at: datetime, actor: str) -> list[int]:
    """The case of some records has another number: a revision each, whoever tagged them; returns their ids.

    What they were tagged with, and why, is the same case as before.
    """
    rows = session.scalars(select(RecordRow).where(RecordRow.case_no == before).with_for_update()).all()
    for row in sorted(rows, key=lambda row: row.id):
        row.revision += 1
        _tell_revision(session, row, _apply(row, {"case_no": after}), actor=actor, why=f"case:{after}"[:128], at=at)
    return sorted(row.id for row in rows)


def _reasons(changes: Mapping[str, Any], basis: Mapping[str, str], actor: str) -> dict[str, str]:
    """The basis of every changed field that has one."""
    if not _is_person(actor):
        return {name: why for name, why in basis.items() if name in changes}
    return {name: basis.get(name, actor) for name in changes if name not in _FOLLOWS}


def _is_a_persons(row: RecordRow, name: str, reasons: Mapping[str, str], actor: str) -> bool:
    """Whether the field holds a person's word that this change may not touch."""
    leader = _FOLLOWS.get(name, name)
    if not _is_person(str(row.basis.get(leader, ""))):
        return False
    return not (_is_person(actor) and _is_person(reasons.get(leader, actor)))


def _is_person(name: str) -> bool:
    return name.startswith("person:")


def _apply(row: RecordRow, changes: Mapping[str, Any]) -> dict[str, list[Any]]:
    story = {}
    for name, value in changes.items():
        before, after = _plain(getattr(row, name)), _plain(value)
        if before != after:
            story[name] = [before, after]
            setattr(row, name, after if name == "other_ends" else _column(value))
    return story


def _apply_basis(row: RecordRow, taken: Mapping[str, Any], reasons: Mapping[str, str]) -> dict[str, list[Any]]:
    """A value with a new reason is told too: a person who confirms dockd's conclusion makes it theirs."""
    changed = {name: why for name, why in reasons.items() if name in taken and row.basis.get(name) != why}
    if not changed:
        return {}
    before = {name: row.basis.get(name) for name in changed}
    row.basis = {**row.basis, **changed}
    return {"basis": [before, changed]}


def _apply_completeness(session: Session, row: RecordRow) -> dict[str, list[Any]]:
    complete = _is_complete(session, row)
    if complete == row.tags_complete:
        return {}
    row.tags_complete = complete
    return {"tags_complete": [not complete, complete]}


def _apply_span(row: RecordRow) -> dict[str, list[Any]]:
    before, after = (row.witnessed_from, row.witnessed_to), witnessed_span(row)
    row.witnessed_from, row.witnessed_to = after
    names = ("witnessed_from", "witnessed_to")
    return {n: [_plain(b), _plain(a)] for n, b, a in zip(names, before, after, strict=True) if a != b}


def witnessed_span(row: RecordRow) -> tuple[datetime | None, datetime | None]:
    """The first and the last moment that any witness gives a recording: what a change may concern is found by it."""
    ends = [datetime.fromisoformat(end) for end in row.other_ends]
    known = [t for t in (row.used_from, row.used_to, row.raw_from, row.raw_to, *ends) if t]
    return (min(known), max(known)) if known else (None, None)


def _tell_revision(
    session: Session, row: RecordRow, story: dict[str, list[Any]], *, actor: str, why: str, at: datetime
) -> None:
    session.add(RevisionRow(record_id=row.id, number=row.revision, at=at, actor=actor, why=why, changes=story))
    session.flush()
    ledger.append(
        session,
        station_no=row.station_no,
        kind="record.revised",
        subject=f"record:{row.id}",
        data={"record_id": row.id, "file_no": row.file_no, "revision": row.revision, "why": why, "changes": story},
        at=at,
        actor=actor,
    )


def _is_complete(session: Session, row: RecordRow) -> bool:
    """Article 27's six items, from the record and its recorder's number."""
    items = {
        "title": row.title,
        "device_no": _device_no(session, row.recorder_id),
        "officer": row.officers,
        "used_from": row.used_from,
        "used_to": row.used_to,
        "party": row.party,
        "case_cause": row.case_cause,
    }
    return tags_complete(items, OwnerState(row.owner_state))


def _device_no(session: Session, recorder_id: int | None) -> str | None:
    return session.scalar(select(RecorderRow.device_no).where(RecorderRow.id == recorder_id)) if recorder_id else None


def _keep_officers(session: Session, record_id: int, cert_nos: Sequence[str]) -> None:
    """The rows through which a search by officer finds the record say what the record says."""
    session.execute(delete(RecordOfficerRow).where(RecordOfficerRow.record_id == record_id))
    session.add_all(
        RecordOfficerRow(record_id=record_id, cert_no=cert_no, position=i)
        for i, cert_no in enumerate(dict.fromkeys(cert_nos))
    )
    session.flush()


def _column(value: Any) -> Any:
    """A value as its column takes it."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    return dict(value) if isinstance(value, Mapping) else value


def _plain(value: Any) -> Any:
    """A value as JSON: times in UTC, sequences as lists."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return _column(value)


# --- finding ---------------------------------------------------------------------------------------------


def find_record(session: Session, record_id: int) -> Record | None:
    """The record with this id, as it stands now."""
    return _one(session, RecordRow.id == record_id)


def find_record_by_number(session: Session, file_no: str) -> Record | None:
    """The record with this 文件编号."""
    return _one(session, RecordRow.file_no == file_no)


def list_records(session: Session, wanted: RecordFilter, *, limit: int, after: int = 0) -> tuple[Record, ...]:
    """At most ``limit`` records that ``wanted`` names, in the order of their ids, those after id ``after``.

    The next page begins after the last id of this one, however the register grew meanwhile.
    """
    pages = [
        _read(session, _records().where(RecordRow.id.in_(some)).order_by(RecordRow.id))
        for some in chunks(_page(session, wanted, limit=limit, after=after))
    ]
    return tuple(record for page in pages for record in page)


def _page(session: Session, wanted: RecordFilter, *, limit: int, after: int) -> list[int]:
    """A page's ids: of few that an index leads to, or read in order from an index of nothing but what is asked for."""
    if _are_few(session, wanted):
        queries = [_ids_of_few]
    else:
        queries = [_ids_by_word, _ids_by_long_word] if _words(wanted) else [_ids_by_marks]
    return sorted(i for query in queries for i in session.scalars(query(wanted, limit=limit, after=after)))[:limit]


def _are_few(session: Session, wanted: RecordFilter) -> bool:
    """Whether something is asked for that has an index of its own which leads to few records."""
    numbers = (wanted.case_no, wanted.officer, wanted.device_no, wanted.visit_id, wanted.session_id)
    if any(number is not None for number in (*numbers, wanted.officer_name)) or wanted.unassigned:
        return True
    if not (times := _times(wanted)):
        return False
    some = select(RecordRow.id).where(*times).limit(_MANY).subquery()
    return (session.scalar(select(func.count()).select_from(some)) or 0) < _MANY


def _ids_of_few(wanted: RecordFilter, *, limit: int, after: int) -> Select[int]:
    """Found or ordered by the id itself, those of a time would be met on a walk through all of history."""
    return _ids(wanted, RecordRow.id + 0 if _times(wanted) else RecordRow.id, limit=limit, after=after)


def _ids_by_marks(wanted: RecordFilter, *, limit: int, after: int) -> Select[int]:
    return _ids(wanted, RecordRow.id, limit=limit, after=after, index="ix_record_by_marks")


def _ids_by_word(wanted: RecordFilter, *, limit: int, after: int) -> Select[int]:
    """Through the index of the longest word that is asked for: the more it says, the fewer have it."""
    name = _rarest(wanted)
    query = _ids(wanted, RecordRow.id, limit=limit, after=after, index=f"ix_record_by_{name}")
    return query.where(text(SHORT.format(name)))


def _ids_by_long_word(wanted: RecordFilter, *, limit: int, after: int) -> Select[int]:
    """Those in which that word stands in a text too long for its index: there are few, looked at one by one."""
    query = _ids(wanted, RecordRow.id, limit=limit, after=after, index="ix_record_by_long")
    return query.where(text(f"({ANY_LONG})"), text(LONG.format(_rarest(wanted))))


def _rarest(wanted: RecordFilter) -> str:
    words = _words(wanted)
    return max(words, key=lambda name: len(words[name]))


def _ids(
    wanted: RecordFilter, key: SQLColumnExpression[int], *, limit: int, after: int, index: str | None = None
) -> Select[int]:
    query = select(RecordRow.id).where(key > after, *_conditions(wanted)).order_by(key).limit(limit)
    # SQLite would walk through the whole table in the order of its ids.
    return query.with_hint(RecordRow, f"INDEXED BY {index}", "sqlite") if index else query


def count_records(session: Session, case_no: str) -> int:
    """How many recordings are tagged with the case."""
    query = select(func.count()).select_from(RecordRow).where(RecordRow.case_no == case_no, _is_recording())
    return int(session.scalar(query) or 0)


def recordings_of(session: Session, of: str, number: int) -> list[int]:
    """The recordings of one ``visit`` or ``session``, in the order of their ids; logs and the like are none."""
    column = {"visit": RecordRow.visit_id, "session": RecordRow.session_id}[of]
    media = [media.value for media in MediaType if media.is_recording]
    return sorted(session.scalars(select(RecordRow.id).where(column == number, RecordRow.media_type.in_(media))))


def any_judged(session: Session, exception_id: int, reason: str) -> bool:
    """Whether any recording was judged by this exception with this reason."""
    query = exists().where(RecordRow.exception_id == exception_id, RecordRow.judge_reason == reason)
    return bool(session.scalar(select(query)))


def record_history(session: Session, record_id: int) -> tuple[Revision, ...]:
    """How the record came to say what it says, oldest first; number 0 is its making, read from the ledger."""
    rows = session.scalars(select(RevisionRow).where(RevisionRow.record_id == record_id).order_by(RevisionRow.number))
    return (
        *_making(session, record_id),
        *(Revision(r.number, r.at, r.actor, r.why, {k: (b, a) for k, (b, a) in r.changes.items()}) for r in rows),
    )


def _one(session: Session, condition: ColumnElement[bool]) -> Record | None:
    return next(iter(_read(session, _records().where(condition))), None)


def _conditions(wanted: RecordFilter) -> list[ColumnElement[bool]]:
    """The parts of the filter that are given, each so that its index can serve it."""
    said: list[ColumnElement[bool] | None] = [
        None if wanted.case_no is None else RecordRow.case_no == wanted.case_no,
        None if wanted.officer is None else RecordRow.id.in_(_named(wanted.officer)),
        None if wanted.device_no is None else RecordRow.recorder_id.in_(_numbered(wanted.device_no)),
        *_times(wanted),
        None if wanted.visit_id is None else RecordRow.visit_id == wanted.visit_id,
        None if wanted.media is None else RecordRow.media_type == wanted.media.value,
        RecordRow.id.in_(_waiting()) if wanted.unassigned else None,
        *_by_words(wanted),
        None if wanted.session_id is None else RecordRow.session_id == wanted.session_id,
        None if wanted.late is None else RecordRow.late.is_(wanted.late),
        None if wanted.is_evidence is None else RecordRow.is_evidence.is_(wanted.is_evidence),
        RecordRow.tags_complete.is_(False) & _is_recording() if wanted.incomplete else None,
        RecordRow.case_no.is_(None) & _is_recording() if wanted.without_case else None,
    ]
    return [condition for condition in said if condition is not None]


def _times(wanted: RecordFilter) -> list[ColumnElement[bool]]:
    said = (
        None if wanted.used_from is None else _used_since(wanted.used_from),
        None if wanted.used_to is None else RecordRow.used_from <= wanted.used_to,
    )
    return [condition for condition in said if condition is not None]


def _used_since(begin: datetime) -> ColumnElement[bool]:
    """Used at that time or later. The index is entered a little earlier: no recorder is a month over one file."""
    return and_(RecordRow.used_from >= begin - _LONGEST, func.coalesce(RecordRow.used_to, RecordRow.used_from) >= begin)


def _words(wanted: RecordFilter) -> dict[str, str]:
    """What a part of is asked for, by its column."""
    said = {
        "title": wanted.title,
        "party": wanted.party,
        "case_cause": wanted.cause,
        "matter": wanted.matter,
        "place": wanted.place,
    }
    return {name: word for name, word in said.items() if word is not None}


class _Contains(FunctionElement[bool]):
    """Whether a text contains a word, of which no letter is Latin. LIKE takes up to twice as long for it."""

    type = Boolean()
    inherit_cache = True


class _ContainsLatin(_Contains):
    """The same of any other word, with its pattern: SQLite's LIKE knows no case of Latin letters, and is quick."""

    inherit_cache = True


@compiles(_Contains)
def _by_position(element: _Contains, compiler: SQLCompiler, **how: Any) -> str:
    column, word = (compiler.process(clause, **how) for clause in list(element.clauses)[:2])
    return f"{'instr' if compiler.dialect.name == 'sqlite' else 'strpos'}({column}, {word}) > 0"


@compiles(_ContainsLatin, "sqlite")
def _by_pattern(element: _ContainsLatin, compiler: SQLCompiler, **how: Any) -> str:
    column, _word, pattern = element.clauses
    return f"{compiler.process(column, **how)} LIKE {compiler.process(pattern, **how)} ESCAPE '/'"


def _contains(column: ColumnElement[str], word: str) -> ColumnElement[bool]:
    if not re.search("[A-Za-z]", word):
        return _Contains(column, word)
    escaped = re.sub("([%_/])", r"/\1", word)
    return _ContainsLatin(column, word, f"%{escaped}%")


def _by_words(wanted: RecordFilter) -> list[ColumnElement[bool] | None]:
    """Conditions on text: a part of it for what people write, the whole of it for a vocabulary's code."""
    codes = {
        RecordRow.act_type: term_words(ACT_TYPES, wanted.act_type),
        RecordRow.stage: term_words(STAGES, wanted.stage),
    }
    columns = RecordRow.__table__.columns
    return [
        *(_contains(columns[name], word) for name, word in _words(wanted).items()),
        *(column.in_(words) for column, words in codes.items() if words),
        None if wanted.retention_class is None else RecordRow.retention_class == wanted.retention_class,
        None if wanted.officer_name is None else RecordRow.id.in_(_called(wanted.officer_name)),
    ]


def _is_recording() -> ColumnElement[bool]:
    return RecordRow.media_type.in_([media.value for media in MediaType if media.is_recording])


def _called(name: str) -> Select[int]:
    """Records that name an officer whose name contains this text."""
    return (
        select(RecordOfficerRow.record_id)
        .join(OfficerRow, OfficerRow.cert_no == RecordOfficerRow.cert_no)
        .where(OfficerRow.name.contains(name, autoescape=True))
    )


def _waiting() -> Select[int]:
    """Recordings that wait for an officer, read from the partial index that holds no others.

    SQLite uses that index only where its condition is said in the same words, and in a query of
    its own: an order by id would lead it through the whole table instead.
    """
    waiting = aliased(RecordRow, name="waiting")
    return select(waiting.id).where(
        text(WAITING.replace("owner_state", "waiting.owner_state").replace("media_type", "waiting.media_type"))
    )


def _named(cert_no: str) -> Select[int]:
    return select(RecordOfficerRow.record_id).where(RecordOfficerRow.cert_no == cert_no)


def _numbered(device_no: str) -> Select[int]:
    return select(RecorderRow.id).where(RecorderRow.device_no == device_no)


def _records() -> Select[*tuple[Any, ...]]:
    return (
        select(
            RecordRow,
            FootageRow.sha256,
            FootageRow.size,
            VisitRow.bay,
            RecorderRow.device_no,
            RecorderRow.device_serial,
            LocationRow.path.label("location"),
            LocationRow.verified_at,
        )
        .join(FootageRow, FootageRow.id == RecordRow.footage_id)
        .join(VisitRow, VisitRow.id == RecordRow.visit_id)
        .outerjoin(RecorderRow, RecorderRow.id == RecordRow.recorder_id)
        .outerjoin(LocationRow, LocationRow.id == newest_location(RecordRow.station_no))
    )


@dataclass(frozen=True, slots=True)
class StoredAt:
    """One place of footage in a station's store: whether it was right when it was last looked at, and when proven."""

    station_no: str
    location: str
    state: str
    stored_at: datetime
    verified_at: datetime


def places_of(session: Session, footage_id: int) -> tuple[StoredAt, ...]:
    """Every place of one file, the newest first.

    A file that was missing or altered was stored again elsewhere; another station may have stored it, too.
    """
    rows = session.scalars(
        select(LocationRow).where(LocationRow.footage_id == footage_id).order_by(LocationRow.id.desc())
    )
    return tuple(StoredAt(row.station_no, row.path, row.state, row.stored_at, row.verified_at) for row in rows)


def newest_location(station_no: str | InstrumentedAttribute[str]) -> ScalarSelect[int | None]:
    """The id of the place where the footage of a query's row lies now in the store of a station.

    It may have been stored there again. ``station_no`` is a column of the query's row, or said.
    """
    # An alias: the query's own join names a place, too.
    place = aliased(LocationRow)
    query = select(func.max(place.id)).where(place.footage_id == FootageRow.id, place.station_no == station_no)
    return query.correlate_except(place).scalar_subquery()


def _read(session: Session, query: Select[*tuple[Any, ...]]) -> tuple[Record, ...]:
    rows = session.execute(query.execution_options(populate_existing=True)).all()
    names = officer_names(session, (c for row in rows for c in row.RecordRow.officers))
    return tuple(_as_record(row, names) for row in rows)


def original_names(session: Session, record_ids: Iterable[int]) -> dict[int, str]:
    """The names on their cards of some records' files, by record id."""
    names: dict[int, str] = {}
    for some in chunks(sorted(set(record_ids))):
        rows = session.execute(select(RecordRow.id, RecordRow.original_name).where(RecordRow.id.in_(some)))
        names.update((row.id, row.original_name) for row in rows)
    return names


_SAME = tuple(f.name for f in fields(Record) if f.name in RecordRow.__table__.columns)


def _as_record(row: Row[*tuple[Any, ...]], names: Mapping[str, str]) -> Record:
    said: RecordRow = row.RecordRow
    values = {name: _frozen(getattr(said, name)) for name in _SAME}
    return Record(
        **values
        | {
            "record_id": said.id,
            "media_type": MediaType(said.media_type),
            "place_on_card": Place(said.place_on_card),
            "owner_state": OwnerState(said.owner_state),
            "late_kind": LateKind(said.late_kind) if said.late_kind else None,
            "other_ends": tuple(datetime.fromisoformat(end) for end in said.other_ends),
            "officer_names": tuple(names.get(cert_no, "") for cert_no in said.officers),
            "bay": row.bay,
            "device_no": row.device_no,
            "device_serial": row.device_serial,
            "size": row.size,
            "sha256": row.sha256,
            "location": row.location,
            "verified_at": row.verified_at,
        }
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _making(session: Session, record_id: int) -> list[Revision]:
    event = session.execute(
        select(EventRow.line).where(EventRow.subject == f"record:{record_id}", EventRow.kind == "record.added")
    ).scalar()
    if event is None:
        return []
    line = json.loads(event)
    data = line["data"]
    said = {name: (None, data[name]) for name in sorted(REVISABLE) if data.get(name) not in (None, "", [], {})}
    return [Revision(0, datetime.fromisoformat(line["at"]), line["actor"], "stored", said)]
