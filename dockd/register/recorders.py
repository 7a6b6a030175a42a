"""Recorders: which are registered, by which number or token they are known, and what became of them.

Every write is in the caller's transaction, together with its ledger line; only
``note_identity`` has none of its own: the visit's line holds what was seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from dockd.errors import AlreadyRegistered, BadValue, UnknownNumber
from dockd.law.vocabulary import RECORDER_ATTRIBUTES
from dockd.locale import N_, _
from dockd.nouns import Recorder
from dockd.register import ledger
from dockd.register.reviews import Concerned, ask_review, concerned_by
from dockd.register.tables import RecorderIdentityRow, RecorderRow, RecorderState
from dockd.register.values import (
    Counts,
    chunks,
    clean,
    device_number,
    differences,
    folded,
    instant,
    optional_number,
    shown,
    width,
    words,
)

STATE_WORDS: Mapping[str, str] = {
    RecorderState.IN_SERVICE: N_("in service"),
    RecorderState.OUT_OF_SERVICE: N_("out of service"),
    RecorderState.AT_REPAIR: N_("at repair"),
    RecorderState.RETIRED: N_("retired"),
}
_FIELDS = ("device_serial", "model", "profile", "unit", "custodian", "device_kind", "owner_cert_no", "attributes")
_NUMBERS = ("device_no", "device_serial")
"""By which the names of files mean a recorder."""
_WORDS = {
    "model": RecorderRow.model,
    "profile": RecorderRow.profile,
    "unit": RecorderRow.unit,
    "custodian": RecorderRow.custodian,
    "device_kind": RecorderRow.device_kind,
}


@dataclass(frozen=True, slots=True)
class Identity:
    """What a recorder was known by. ``trusted``: a person registered it, as against merely seen."""

    kind: str
    value: str
    trusted: bool
    first_seen_at: datetime
    last_seen_at: datetime


# --- registering -----------------------------------------------------------------------------------


def check_recorder(recorder: Recorder) -> Recorder:
    """``recorder`` as the register takes it. Raises BadValue or ReservedNumber, which name the column."""
    fitting: dict[str, Any] = {
        name: words(name, getattr(recorder, name), width(column)) for name, column in _WORDS.items()
    }
    return replace(
        recorder,
        device_no=device_number(recorder.device_no),
        device_serial=optional_number("device_serial", recorder.device_serial),
        owner_cert_no=optional_number("owner_cert_no", recorder.owner_cert_no),
        attributes=recorder_attributes(recorder.attributes),
        **fitting,
    )


def recorder_attributes(said: Iterable[str]) -> tuple[str, ...]:
    """Article 31's attributes by code, each once, from codes or Chinese words. Raises BadValue."""
    codes = {word: term.code for term in RECORDER_ATTRIBUTES.values() for word in (term.code, term.zh, term.en)}
    found = []
    for word in said:
        if word not in codes:
            known = ", ".join(f"{term.code} ({term.zh})" for term in RECORDER_ATTRIBUTES.values())
            raise BadValue(what="attributes", value=shown(word), expected=known)
        found.append(codes[word])
    return tuple(sorted(set(found)))


def change_recorder(
    session: Session, device_no: str, said: Mapping[str, Any], *, station_no: str, now: datetime, actor: str
) -> Recorder:
    """Changes what ``said`` names; empty words take a value away, None leaves it. Raises UnknownNumber, BadValue."""
    row = get_row(session, device_no, lock=True)
    before = _said(row)
    wanted = {name: value for name, value in said.items() if value is not None}
    checked = check_recorder(replace(_noun(row), **wanted))
    after = {name: _kept(name, getattr(checked, name)) for name in wanted}
    changes = {name: [before[name], value] for name, value in after.items() if value != before[name]}
    if changes:
        _set(row, changes, now)
        _ask(session, [(row, changes)], station_no=station_no, now=now, actor=actor)
        ledger.append(
            session,
            station_no=station_no,
            kind="recorder.changed",
            subject=f"recorder:{row.device_no}",
            data=_said(row) | {"changes": changes},
            at=now,
            actor=actor,
        )
    return _noun(row)


def add_recorder(session: Session, recorder: Recorder, *, station_no: str, now: datetime, actor: str) -> Recorder:
    """Registers one recorder; returns it as registered.

    Raises ReservedNumber, BadValue, AlreadyRegistered (also where only upper and lower case differ).
    """
    recorder = check_recorder(recorder)
    known = find_recorder(session, recorder.device_no) or device_no_twins(session, [recorder.device_no])
    if known:
        command = f"dockd recorder show {recorder.device_no}" if isinstance(known, Recorder) else "dockd recorder list"
        raise AlreadyRegistered(noun=_("recorder"), number=recorder.device_no, command=command)
    put_recorders(session, [recorder], station_no=station_no, now=now, actor=actor)
    return get_recorder(session, recorder.device_no)


def put_recorders(
    session: Session, recorders: Sequence[Recorder], *, station_no: str, now: datetime, actor: str
) -> Counts:
    """Registers or changes checked recorders, each named once; what is unknown (None) stays as it was.

    A recorder that is the same already costs no write and no ledger line; a change tells each value before and after.
    """
    known = _rows(session, [r.device_no for r in recorders])
    counts = Counts()
    lines, changed = [], []
    for recorder in recorders:
        row, what, changes = _put(session, known.get(recorder.device_no), recorder, now)
        counts = counts.one_more(what)
        if what != "unchanged":
            subject = f"recorder:{recorder.device_no}"
            data = _said(row) | ({"changes": changes} if what == "changed" else {})
            lines.append(ledger.Line(kind=f"recorder.{what}", subject=subject, at=now, data=data))
            changed.append((row, changes))
    _ask(session, changed, station_no=station_no, now=now, actor=actor)
    ledger.append_many(session, station_no=station_no, lines=lines, actor=actor)
    return counts


def _put(
    session: Session, row: RecorderRow | None, recorder: Recorder, now: datetime
) -> tuple[RecorderRow, str, dict[str, list[Any]]]:
    """The row, what became of it, and each value before and after."""
    said = {name: _kept(name, getattr(recorder, name)) for name in ("device_no", *_FIELDS)}
    if row is None:
        row = RecorderRow(**said, state=recorder.state, past_owners=[], created_at=now, updated_at=now)
        session.add(row)
        return row, "added", {name: [None, said[name]] for name in _NUMBERS}
    changes = differences(_said(row), said, _FIELDS)
    if not changes:
        return row, "unchanged", changes
    _set(row, changes, now)
    return row, "changed", changes


def _set(row: RecorderRow, changes: Mapping[str, list[Any]], now: datetime) -> None:
    """What was recorded while an officer had it for good stays that officer's."""
    for name, (before, after) in changes.items():
        setattr(row, name, after)
        if name == "owner_cert_no" and before:
            row.past_owners = [*row.past_owners, [instant(now), before]]
    row.updated_at = now


def _ask(
    session: Session,
    changed: Sequence[tuple[RecorderRow, Mapping[str, list[Any]]]],
    *,
    station_no: str,
    now: datetime,
    actor: str,
) -> None:
    """A number that means this recorder, or no longer, and a new owner may say whose some recordings are."""
    session.flush()
    numbers = {row: folded(n for name in _NUMBERS for n in changes.get(name, ())) for row, changes in changed}
    known = concerned_by(session, [number for own in numbers.values() for number in own])
    for row, changes in changed:
        concerned = [known[number] for number in numbers[row] if number in known]
        if "owner_cert_no" in changes:
            concerned += [Concerned(recorder_id=row.id, waiting=True), Concerned(recorder_id=row.id, frm=now)]
        if concerned:
            why = f"recorder:{row.device_no}"
            ask_review(session, concerned, why=why, station_no=station_no, at=now, actor=actor)


# --- finding ------------------------------------------------------------------------------------------


def find_recorder(session: Session, device_no: str) -> Recorder | None:
    """The recorder with this bureau number."""
    row = _find(session, device_no)
    return _noun(row) if row else None


def get_recorder(session: Session, device_no: str) -> Recorder:
    """The recorder with this bureau number. Raises UnknownNumber."""
    return _noun(get_row(session, device_no))


def get_row(session: Session, device_no: str, *, lock: bool = False) -> RecorderRow:
    """The recorder's row; with ``lock``, nobody else changes it until the transaction ends. Raises UnknownNumber."""
    row = _find(session, device_no, lock=lock)
    if row is None:
        raise UnknownNumber(noun=_("recorder"), number=shown(device_no), command="dockd recorder list")
    return row


def _find(session: Session, device_no: str, *, lock: bool = False) -> RecorderRow | None:
    if not device_no.isprintable():
        return None  # nobody's number, and neither dialect takes every such text as a parameter
    query = select(RecorderRow).where(RecorderRow.device_no == device_no)
    # Without the key: records that refer to the recorder are added meanwhile, by one who holds the evidence.
    return session.scalar(query.with_for_update(key_share=True) if lock else query)


def list_recorders(session: Session) -> list[Recorder]:
    """Every recorder, by its number."""
    return [_noun(row) for row in session.scalars(select(RecorderRow).order_by(RecorderRow.device_no))]


def state_of_register(session: Session) -> str:
    """A text that becomes another one whenever a recorder is registered or changed by a person."""
    registered, changed_at = session.execute(select(func.count(), func.max(RecorderRow.updated_at))).one()
    trusted = session.scalar(select(func.count()).where(RecorderIdentityRow.trusted))
    return f"{registered} {changed_at} {trusted}"


def device_no_of(session: Session, recorder_id: int) -> str | None:
    """The bureau number of the recorder with this key."""
    return session.scalar(select(RecorderRow.device_no).where(RecorderRow.id == recorder_id))


def device_by_token(session: Session, token: str) -> str | None:
    """The number of the one recorder whose bureau number or maker's serial ``token`` is, else None.

    Upper and lower case are not told apart; a token that two recorders could mean is no one's.
    """
    if not token.isprintable():
        return None
    found = session.scalars(
        select(RecorderRow.device_no)
        .where(
            or_(
                RecorderRow.device_no == token,
                RecorderRow.device_serial == token,
                func.lower(RecorderRow.device_no) == token.lower(),
                func.lower(RecorderRow.device_serial) == token.lower(),
            )
        )
        .limit(2)
    ).all()
    return found[0] if len(found) == 1 else None


def device_by_serial(session: Session, serial: str) -> str | None:
    """The number of the one recorder that a person registered with this maker's serial, else None."""
    if not serial.isprintable():
        return None
    query = select(RecorderRow.device_no).where(func.lower(RecorderRow.device_serial) == serial.lower())
    found = session.scalars(query.limit(2)).all()
    return found[0] if len(found) == 1 else None


def standing_owner(session: Session, device_no: str, moments: Iterable[datetime]) -> str | None:
    """The certificate number of the officer who had this recorder for good at all of these moments.

    The first who is registered is its owner from ever on, and one who follows another from the moment
    at which that was registered. Without any moment it must have been the same officer always.
    """
    row = _find(session, device_no)
    if row is None:
        return None
    past = [(datetime.fromisoformat(until), cert_no) for until, cert_no in row.past_owners]
    known = list(moments)
    owners = {next((who for until, who in past if at < until), row.owner_cert_no) for at in known}
    if not known:
        owners = {row.owner_cert_no, *(who for _until, who in past)}
    return owners.pop() if len(owners) == 1 else None


def device_no_twins(session: Session, device_nos: Iterable[str]) -> dict[str, str]:
    """For each of ``device_nos`` that is registered in other letters (``ys-07`` for ``YS-07``): as what."""
    twins: dict[str, str] = {}
    for chunk in chunks(sorted(set(device_nos))):
        folded = {number.lower(): number for number in chunk}
        found = session.scalars(
            select(RecorderRow.device_no).where(
                func.lower(RecorderRow.device_no).in_(folded), RecorderRow.device_no.not_in(chunk)
            )
        )
        twins |= {folded[number.lower()]: number for number in found}
    return twins


# --- what identifies a recorder beside its numbers ---------------------------------------------------


def recorder_by_identity(session: Session, kind: str, value: str) -> list[str]:
    """The numbers of the recorders for which a person registered this identity.

    What was merely seen identifies nobody: makers give whole batches one volume label or serial,
    and a card may have been moved since.
    """
    if not (value := _identity_value(value)):
        return []
    query = (
        select(RecorderRow.device_no)
        .join(RecorderIdentityRow, RecorderIdentityRow.recorder_id == RecorderRow.id)
        .where(
            RecorderIdentityRow.kind == kind,
            RecorderIdentityRow.value == value,
            RecorderIdentityRow.trusted,
        )
        .order_by(RecorderRow.device_no)
    )
    return list(session.scalars(query))


def note_identity(session: Session, device_no: str, kind: str, value: str, *, now: datetime) -> None:
    """Remembers that a visit saw this recorder with this identity; a person's word for it stays.

    Times only widen; an empty identity is none. Raises UnknownNumber. No ledger line: the visit's own
    line holds what was seen.
    """
    recorder = get_row(session, device_no)
    if value := _identity_value(value):
        _touch(session, recorder, kind, value, now)


def trust_identity(
    session: Session, device_no: str, kind: str, value: str, *, station_no: str, now: datetime, actor: str
) -> None:
    """A person's word that this identity is this recorder's; said again it changes nothing.

    Raises UnknownNumber, BadValue.
    """
    recorder = get_row(session, device_no)
    if not (value := _identity_value(value)):
        raise BadValue(what=kind, value="''", expected=_("printable characters"))
    row = _touch(session, recorder, kind, value, now)
    if row.trusted:
        return
    row.trusted = True
    ledger.append(
        session,
        station_no=station_no,
        kind="recorder.identity_trusted",
        subject=f"recorder:{device_no}",
        data={"device_no": device_no, "kind": kind, "value": value},
        at=now,
        actor=actor,
    )


def last_identity(session: Session, recorder_id: int, kind: str) -> str | None:
    """The newest identity of this kind that the recorder was seen with."""
    return session.scalar(
        select(RecorderIdentityRow.value)
        .where(RecorderIdentityRow.recorder_id == recorder_id, RecorderIdentityRow.kind == kind)
        .order_by(RecorderIdentityRow.last_seen_at.desc(), RecorderIdentityRow.id.desc())
        .limit(1)
    )


def identities(session: Session, device_no: str) -> list[Identity]:
    """What this recorder was known by, oldest first."""
    query = (
        select(RecorderIdentityRow)
        .join(RecorderRow, RecorderRow.id == RecorderIdentityRow.recorder_id)
        .where(RecorderRow.device_no == device_no)
        .order_by(RecorderIdentityRow.first_seen_at, RecorderIdentityRow.id)
    )
    return [
        Identity(row.kind, row.value, row.trusted, row.first_seen_at, row.last_seen_at)
        for row in session.scalars(query)
    ]


def _touch(session: Session, recorder: RecorderRow, kind: str, value: str, now: datetime) -> RecorderIdentityRow:
    query = select(RecorderIdentityRow).where(
        RecorderIdentityRow.recorder_id == recorder.id,
        RecorderIdentityRow.kind == kind,
        RecorderIdentityRow.value == value,
    )
    row = session.scalar(query)
    if row is None:
        row = RecorderIdentityRow(
            recorder_id=recorder.id, kind=kind, value=value, trusted=False, first_seen_at=now, last_seen_at=now
        )
        session.add(row)
        session.flush()
    row.first_seen_at = min(row.first_seen_at, now)
    row.last_seen_at = max(row.last_seen_at, now)
    return row


def _identity_value(value: str) -> str:
    """What a card or a device says of itself is hostile: it is cut and cleaned, and refused never."""
    return clean(value)[: width(RecorderIdentityRow.value)]


# --- rows ------------------------------------------------------------------------------------------------


def _rows(session: Session, device_nos: Iterable[str]) -> dict[str, RecorderRow]:
    return {
        row.device_no: row
        for chunk in chunks(sorted(set(device_nos)))
        for row in session.scalars(select(RecorderRow).where(RecorderRow.device_no.in_(chunk)))
    }


def _said(row: RecorderRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("device_no", *_FIELDS, "past_owners", "state")}


def _kept(name: str, value: Any) -> Any:
    """A value as its column holds it."""
    return list(value) if name == "attributes" else value


def _noun(row: RecorderRow) -> Recorder:
    said = {name: getattr(row, name) for name in ("device_no", *_FIELDS, "state")}
    return Recorder(id=row.id, **{**said, "attributes": tuple(row.attributes)})
