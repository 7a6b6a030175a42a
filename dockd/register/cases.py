"""Cases: what the case system says of each, and who worked on it when. What it said before is in the ledger.

A work is one officer's period on one case. Works are added, and their end is put right; none is
withdrawn unless a file is said to tell the whole of its cases, because it may hold only what is
new. Every write is in the caller's transaction, together with its ledger line.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, or_, select, update
from sqlalchemy.orm import Session

from dockd.errors import AlreadyRegistered, BadValue, UnknownNumber
from dockd.locale import _
from dockd.nouns import CaseWork
from dockd.register import ledger
from dockd.register.records import rename_case
from dockd.register.reviews import Concerned, ask_review, hold_evidence
from dockd.register.tables import CaseRow, CaseWorkRow, InterruptionRow, ReviewRow
from dockd.register.values import (
    CASE_NO_MAX,
    Counts,
    chunks,
    differences,
    instant,
    personal_number,
    printable_number,
    shown,
    width,
    words,
)

_WORDS = ("case_cause", "place", "matter", "act_type", "stage", "confidentiality")
_FACTS = ("closed_at", "full_course_required")
_FIELDS = (*_WORDS, "parties", *_FACTS)
# Works that name no officer can only ever be proposed to a person: a screenful is enough.
_OWNERLESS = 50


@dataclass(frozen=True, slots=True)
class CaseLine:
    """One line of the case system: the case, and the period of these officers' work on it."""

    case_no: str
    case_cause: str | None = None
    parties: tuple[str, ...] = ()
    officers: tuple[str, ...] = ()
    used_from: datetime | None = None
    used_to: datetime | None = None
    place: str | None = None
    matter: str | None = None
    act_type: str | None = None
    stage: str | None = None
    closed_at: datetime | None = None
    confidentiality: str | None = None
    full_course_required: bool | None = None
    former_case_no: str | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """One officer's period of work; ``cert_no`` None: the case system names nobody."""

    cert_no: str | None
    used_from: datetime | None
    used_to: datetime | None
    place: str | None


@dataclass(frozen=True, slots=True)
class Case:
    """案件 as it stands now. ``works`` is in the order of time."""

    case_no: str
    case_cause: str | None
    parties: tuple[str, ...]
    place: str | None
    matter: str | None
    act_type: str | None
    stage: str | None
    confidentiality: str | None
    full_course_required: bool
    closed_at: datetime | None
    filed_at: datetime | None = None
    former_numbers: tuple[str, ...] = ()
    works: tuple[Work, ...] = ()


# --- writing ------------------------------------------------------------------------------------------


def check_line(line: CaseLine) -> CaseLine:
    """``line`` as the register takes it. Raises BadValue or ReservedNumber, which name the column."""
    if line.used_from and line.used_to and line.used_to < line.used_from:
        raise BadValue(what="used_to", value=line.used_to.isoformat(), expected=_("a time not before used_from"))
    columns = {name: getattr(CaseRow, name) for name in _WORDS}
    fitting = {name: words(name, getattr(line, name), width(column)) for name, column in columns.items()}
    return CaseLine(
        case_no=printable_number("case_no", line.case_no, CASE_NO_MAX),
        parties=line.parties,
        officers=tuple(dict.fromkeys(personal_number("officer_cert_no", o) for o in line.officers)),
        used_from=line.used_from,
        used_to=line.used_to,
        closed_at=line.closed_at,
        full_course_required=line.full_course_required,
        former_case_no=_former(line),
        **fitting,
    )


def _former(line: CaseLine) -> str | None:
    """The number that the case had before; nothing where it is the one that it has."""
    if not (line.former_case_no and line.former_case_no.strip()):
        return None
    before = printable_number("former_case_no", line.former_case_no, CASE_NO_MAX)
    return before if before != line.case_no.strip() else None


def put_case_lines(
    session: Session, lines: Sequence[CaseLine], *, station_no: str, now: datetime, actor: str, whole: bool = False
) -> Counts:
    """Registers or changes the cases of checked lines; counts cases. What is unknown (None, empty) stays as it was.

    All lines of one case belong into one call; a number that a case had before means that case. A
    case that is the same already costs no write and no ledger line; a change tells each value before
    and after. Parties are those of all its lines; a value in which its lines differ (place, matter,
    stage) is not the case's and is left empty. ``whole``: the lines are all that there is to say of the
    works of their cases; a work that none of them names is withdrawn.
    """
    grouped = _by_case(lines, present_numbers(session, (line.case_no for line in lines)))
    rows = _rows(session, grouped)
    known = frozenset(rows)
    works = _works(session, rows.values())
    changes = {}
    for case_no, group in grouped.items():
        if case_no not in known:
            rows[case_no] = CaseRow(
                case_no=case_no, parties=[], full_course_required=False, former_numbers=[], created_at=now
            )
        changes[case_no] = _put_case(rows[case_no], group)
        if case_no not in known:
            rows[case_no].updated_at = now
            session.add(rows[case_no])
    session.flush()  # a new case has its key now
    counts, told = Counts(), []
    for case_no, group in grouped.items():
        row = rows[case_no]
        story = changes[case_no] | _put_works(session, row, works.get(case_no, []), group, whole)
        what = "added" if case_no not in known else "changed" if story else "unchanged"
        counts = counts.one_more(what)
        if what != "unchanged":
            row.updated_at = now
            data = said_of(row) | story
            told.append(ledger.Line(kind=f"case.{what}", subject=f"case:{case_no}", at=now, data=data))
            concerned = _concerned(row, story, works.get(case_no, []))
            ask_review(session, concerned, why=f"case:{case_no}", station_no=station_no, at=now, actor=actor)
    session.flush()
    ledger.append_many(session, station_no=station_no, lines=told, actor=actor)
    return counts


def close_case(
    session: Session, case_no: str, *, at: datetime, station_no: str, now: datetime, actor: str
) -> datetime | None:
    """The case ended at ``at``: article 28's thirty days run from there. Returns when it was said to have ended before.

    Said again it changes nothing. Raises UnknownNumber.
    """
    row = _find(session, case_no, lock=True)
    if row is None:
        raise unknown_case(case_no)
    before = row.closed_at
    if before == at:
        return before
    row.closed_at, row.updated_at = at, now
    changes = {"closed_at": [instant(before), instant(at)]}
    works = _works(session, [row]).get(row.case_no, [])
    concerned = _concerned(row, {"changes": changes}, works)
    ask_review(session, concerned, why=f"case:{row.case_no}", station_no=station_no, at=now, actor=actor)
    ledger.append(
        session,
        station_no=station_no,
        kind="case.closed",
        subject=f"case:{row.case_no}",
        data=said_of(row) | {"changes": changes},
        at=now,
        actor=actor,
    )
    return before


def renumber_case(
    session: Session, before: str, after: str, *, station_no: str, now: datetime, actor: str
) -> str | None:
    """The case system gave the case ``before`` the number ``after``; both find it from now on.

    Its records follow, whoever tagged them: a person chose the case, not its number. Returns the
    number that it had, None where it has the new one already. Raises UnknownNumber, BadValue, and
    AlreadyRegistered where ``after`` is another case's.
    """
    after = printable_number("case_no", after, CASE_NO_MAX)
    row = _find(session, before, lock=True)
    if row is None:
        raise unknown_case(before)
    if row.case_no == after:
        return None
    other = _find(session, after)
    if other is not None and other.id != row.id:
        raise AlreadyRegistered(noun=_("case"), number=shown(after), command=f"dockd case show {shown(after)}")
    had = row.case_no
    hold_evidence(session)
    row.former_numbers = [number for number in (*row.former_numbers, had) if number != after]
    row.case_no, row.updated_at = after, now
    session.flush()
    ledger.append(
        session,
        station_no=station_no,
        kind="case.renumbered",
        subject=f"case:{after}",
        data=said_of(row) | {"changes": {"case_no": [had, after]}},
        at=now,
        actor=actor,
    )
    rename_case(session, had, after, at=now, actor=actor)
    for table in (InterruptionRow, ReviewRow):  # what else speaks of the case by its number
        session.execute(update(table).where(table.case_no == had).values(case_no=after))
    works = [_work_said(*_key(work), work.place) for work in _works(session, [row]).get(after, [])]
    concerned = _concerned(row, {"works_added": works}, [])
    ask_review(session, concerned, why=f"case:{after}", station_no=station_no, at=now, actor=actor)
    return had


def _concerned(row: CaseRow, story: Mapping[str, Any], works: Sequence[CaseWorkRow]) -> list[Concerned]:
    """The recordings that a change of the case may concern: its own, and those in the time of works that changed.

    A work without end lasts until the case is closed.
    """
    changed = [*story.get("works_added", ()), *story.get("works_removed", ())]
    changed += [side for work in story.get("works_changed", ()) for side in (work["before"], work["after"])]
    if "closed_at" in story.get("changes", {}):
        changed += [_work_said(*_key(work), work.place) for work in works if work.used_to is None]
    periods = [Concerned(cert_no=w["cert_no"], frm=_time(w["used_from"]), to=_time(w["used_to"])) for w in changed]
    return [Concerned(case_no=row.case_no), *(one for one in periods if one.frm is not None)]


def _time(said: str | None) -> datetime | None:
    return datetime.fromisoformat(said) if said else None


def unknown_case(case_no: str) -> UnknownNumber:
    return UnknownNumber(noun=_("case"), number=shown(case_no), command="dockd case list")


def _by_case(lines: Sequence[CaseLine], present: Mapping[str, str]) -> dict[str, list[CaseLine]]:
    grouped: dict[str, list[CaseLine]] = {}
    for line in lines:
        grouped.setdefault(present.get(line.case_no, line.case_no), []).append(line)
    return grouped


def _put_case(row: CaseRow, lines: Sequence[CaseLine]) -> dict[str, Any]:
    """Sets what the lines say of their case together; what changed with it, before and after."""
    said: dict[str, Any] = {"parties": list(dict.fromkeys(party for line in lines for party in line.parties))}
    disputed = {}
    for name in (*_WORDS, *_FACTS):
        values = {getattr(line, name) for line in lines} - {None}
        said[name] = next(iter(values)) if len(values) == 1 else None
        if len(values) > 1 and getattr(row, name) is not None:
            disputed[name] = [getattr(row, name), None]
    before = {name: getattr(row, name) for name in said}
    changes = differences(before, said, _FIELDS) | disputed
    for name, (_before, after) in changes.items():
        setattr(row, name, after)
    return {"changes": _plain(changes)} if changes else {}


def _put_works(
    session: Session, row: CaseRow, known: Sequence[CaseWorkRow], lines: Sequence[CaseLine], whole: bool
) -> dict[str, Any]:
    """Adds the lines' works that are new and puts right the end of one that is known by officer and start.

    ``whole``: withdraws those that no line means.
    """
    wanted = _wanted_works(lines)
    there = {_key(work): work for work in known}
    added, changed = [], []
    unnamed = list(known)
    for key, place in wanted.items():
        work = there.get(key) or _unended(known, key, wanted)
        if work in unnamed:
            unnamed.remove(work)
        if work is None:
            session.add(CaseWorkRow(case_id=row.id, cert_no=key[0], used_from=key[1], used_to=key[2], place=place))
            added.append(_work_said(*key, place))
            continue
        before = _work_said(*_key(work), work.place)
        work.used_to, work.place = key[2] or work.used_to, place or work.place
        after = _work_said(*_key(work), work.place)
        if after != before:
            changed.append({"before": before, "after": after})
    removed = [_work_said(*_key(work), work.place) for work in unnamed] if whole else []
    for work in unnamed if whole else ():
        session.delete(work)
    told = {"works_added": added, "works_changed": changed, "works_removed": removed}
    return {name: works for name, works in told.items() if works}


_Key = tuple[str | None, datetime | None, datetime | None]


def _wanted_works(lines: Sequence[CaseLine]) -> dict[_Key, str | None]:
    """Each work that the lines speak of, once; a line without officer and time speaks of none."""
    wanted: dict[_Key, str | None] = {}
    for line in lines:
        for cert_no in line.officers or (None,):
            key = (cert_no, line.used_from, line.used_to)
            if key != (None, None, None):
                wanted[key] = line.place or wanted.get(key)
    return wanted


def _unended(known: Sequence[CaseWorkRow], key: _Key, wanted: Mapping[_Key, str | None]) -> CaseWorkRow | None:
    """The registered work of the same officer and start, unless another line means that one: its end is put right."""
    same = [work for work in known if _key(work)[:2] == key[:2] and _key(work) not in wanted]
    return same[0] if len(same) == 1 and key[1] is not None else None


def _key(work: CaseWorkRow) -> _Key:
    return work.cert_no, work.used_from, work.used_to


def _work_said(cert_no: str | None, begin: datetime | None, end: datetime | None, place: str | None) -> dict[str, Any]:
    return {"cert_no": cert_no, "used_from": instant(begin), "used_to": instant(end), "place": place}


# --- reading ----------------------------------------------------------------------------------------------


def find_case(session: Session, case_no: str) -> Case | None:
    """The case that has this number, or had it before, and everybody's work on it."""
    row = _find(session, case_no)
    return _noun(row, _works(session, [row]).get(row.case_no, [])) if row else None


def get_case(session: Session, case_no: str) -> Case:
    """The case with this number and everybody's work on it. Raises UnknownNumber."""
    found = find_case(session, case_no)
    if found is None:
        raise unknown_case(case_no)
    return found


def get_row(session: Session, case_no: str, *, lock: bool = False) -> CaseRow:
    """The case's row; with ``lock``, nobody else changes it until the transaction ends. Raises UnknownNumber."""
    row = _find(session, case_no, lock=lock)
    if row is None:
        raise unknown_case(case_no)
    return row


def list_cases(session: Session) -> list[Case]:
    """Every case with its works, by number."""
    rows = session.scalars(select(CaseRow).order_by(CaseRow.case_no)).all()
    works = _works(session, rows)
    return [_noun(row, works.get(row.case_no, [])) for row in rows]


def present_numbers(session: Session, case_nos: Iterable[str]) -> dict[str, str]:
    """The present numbers of the cases that had one of these before, by the former one.

    A number that a case has now means that case, whatever had it before.
    """
    asked = set(case_nos)
    renamed = session.execute(select(CaseRow.case_no, CaseRow.former_numbers).where(_was_renumbered()))
    former = {was: case_no for case_no, before in renamed for was in before if was in asked}
    taken = _rows(session, former)
    return {was: case_no for was, case_no in former.items() if was not in taken}


def _was_renumbered() -> ColumnElement[bool]:
    """Few cases change their number: they are looked through one by one."""
    return cast(CaseRow.former_numbers, Text) != "[]"


def case_values(session: Session, case_no: str) -> dict[str, str | None]:
    """What a record of this case takes over, by the record's columns; ``party`` joined by ``；``.

    Raises UnknownNumber.
    """
    row = _find(session, case_no)
    if row is None:
        raise unknown_case(case_no)
    return {"case_no": row.case_no, "party": "；".join(row.parties) or None} | {n: getattr(row, n) for n in _WORDS}


def cases_of(session: Session, cert_nos: Iterable[str], frm: datetime, to: datetime) -> list[CaseWork]:
    """The works of these officers that have a moment in ``frm`` to ``to``, both included, in the order of time.

    After them the newest of such works that name no officer. A work without end lasts until
    its case was closed; one without start has no place in time and is left out.
    """
    numbers = sorted(set(cert_nos))
    theirs = [work for chunk in chunks(numbers) for work in _at_work(session, CaseWorkRow.cert_no.in_(chunk), frm, to)]
    nobodys = _at_work(session, CaseWorkRow.cert_no.is_(None), frm, to, limit=_OWNERLESS)
    return [*sorted(theirs, key=lambda work: (work.used_from, work.case_no, work.cert_no)), *nobodys]


def _at_work(
    session: Session, whose: ColumnElement[bool], frm: datetime, to: datetime, *, limit: int | None = None
) -> list[CaseWork]:
    query = (
        select(CaseWorkRow, CaseRow)
        .join(CaseRow, CaseRow.id == CaseWorkRow.case_id)
        .where(
            whose,
            CaseWorkRow.used_from <= to,
            or_(
                CaseWorkRow.used_to >= frm,
                CaseWorkRow.used_to.is_(None) & or_(CaseRow.closed_at.is_(None), CaseRow.closed_at >= frm),
            ),
        )
        .order_by(CaseWorkRow.used_from.desc(), CaseWorkRow.id.desc())
        .limit(limit)
    )
    return [_case_work(work, case) for work, case in session.execute(query)]


def _case_work(work: CaseWorkRow, case: CaseRow) -> CaseWork:
    return CaseWork(
        case_no=case.case_no,
        cert_no=work.cert_no,
        used_from=work.used_from,
        used_to=work.used_to or case.closed_at,
        case_cause=case.case_cause,
        parties=tuple(case.parties),
        place=work.place or case.place,
        matter=case.matter,
        act_type=case.act_type,
        stage=case.stage,
        confidentiality=case.confidentiality,
    )


def _find(session: Session, case_no: str, *, lock: bool = False) -> CaseRow | None:
    if not case_no.isprintable():
        return None  # no case's number, and neither dialect takes every such text as a parameter
    query = select(CaseRow).where(CaseRow.case_no == case_no)
    row = session.scalar(query.with_for_update() if lock else query)
    if row is None and (present := present_numbers(session, [case_no]).get(case_no)):
        return _find(session, present, lock=lock)
    return row


def _rows(session: Session, case_nos: Iterable[str]) -> dict[str, CaseRow]:
    return {
        row.case_no: row
        for chunk in chunks(case_nos)
        for row in session.scalars(select(CaseRow).where(CaseRow.case_no.in_(chunk)))
    }


def _works(session: Session, rows: Iterable[CaseRow]) -> dict[str, list[CaseWorkRow]]:
    """The works of each case by its number, in the order of time; those without start first."""
    numbers = {row.id: row.case_no for row in rows}
    works: dict[str, list[CaseWorkRow]] = {}
    for chunk in chunks(numbers):
        query = select(CaseWorkRow).where(CaseWorkRow.case_id.in_(chunk)).order_by(CaseWorkRow.id)
        for work in session.scalars(query):
            works.setdefault(numbers[work.case_id], []).append(work)
    return {case_no: sorted(found, key=_by_time) for case_no, found in works.items()}


def _by_time(work: CaseWorkRow) -> tuple[bool, float, int]:
    return work.used_from is not None, work.used_from.timestamp() if work.used_from else 0.0, work.id


def said_of(row: CaseRow) -> dict[str, Any]:
    """What a ledger line tells of the case as it stands now."""
    said = {name: getattr(row, name) for name in ("case_no", *_FIELDS, "former_numbers")}
    return said | {"closed_at": instant(row.closed_at), "filed_at": instant(row.filed_at)}


def _plain(changes: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return {
        name: [instant(value) if isinstance(value, datetime) else value for value in pair]
        for name, pair in changes.items()
    }


def _noun(row: CaseRow, works: Sequence[CaseWorkRow]) -> Case:
    values = {
        name: getattr(row, name) for name in ("case_no", *_WORDS, "full_course_required", "closed_at", "filed_at")
    }
    done = tuple(Work(work.cert_no, work.used_from, work.used_to, work.place) for work in works)
    return Case(**values, parties=tuple(row.parties), former_numbers=tuple(row.former_numbers), works=done)
