"""再判: which records a change in the register may concern, written down with the change and worked off afterwards.

Custody, cases, exceptions, clock readings, officers, recorders and persons' tags arrive in any order, before
or after the footage that they speak of. Whoever writes one asks for a review in the same transaction; a crash
before the records are judged again therefore forgets nothing. ``visit.rejudge`` does the work. Both
are told in the ledger (``review.asked``, ``review.done``), so that a register that is made again knows what is left.

A query finds records by recorder, officer, number or case and by the whole time that their witnesses
give, always through an index, never through all of history.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, or_, select, text, true, update
from sqlalchemy.orm import Session, aliased

from dockd.nouns import MediaType
from dockd.register import ledger
from dockd.register.tables import (
    WAITING,
    RecorderRow,
    RecordOfficerRow,
    RecordRow,
    RecordTokenRow,
    ReviewRow,
    StationRow,
)
from dockd.register.values import chunks, folded, instant

RECORDINGS = tuple(media.value for media in MediaType if media.is_recording)


# Who judges holds this lock together with others, who changes what is judged by holds it alone ("review" in ASCII).
_EVIDENCE_LOCK = 0x726576696577


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """Which records a change may concern: those of one recorder, officer or case, that give a number, or one record.

    Of a recorder, of an officer, or, where nothing is named, of everybody: those with a moment in
    ``frm`` to ``to`` (None: without bound); of a recorder also those without any time that were docked
    in it. An officer's are also those that wait for an officer at all. A case's are those tagged with it, and a
    number's (``token``) those whose evidence gives it, whenever made. ``waiting``: those alone that have no officer.
    """

    recorder_id: int | None = None
    cert_no: str | None = None
    case_no: str | None = None
    record_id: int | None = None
    token: str | None = None
    waiting: bool = False
    frm: datetime | None = None
    to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """One review that is not done yet; records up to ``done_id`` are judged again."""

    review_id: int
    concerned: Concerned
    why: str
    done_id: int


# --- one after another -----------------------------------------------------------------------------------------


def take_turn(session: Session, station_no: str) -> None:
    """Until the transaction ends nobody else judges this station's records, and what they are judged by stays.

    Taken before evidence is read: what is changed meanwhile would be missed, and its review be done before
    the record is there. SQLite's writing transaction has that lock already.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": _EVIDENCE_LOCK})
        session.execute(text("SELECT pg_advisory_xact_lock(1, hashtext(:no))"), {"no": station_no})


def hold_evidence(session: Session) -> None:
    """Until the transaction ends nobody judges. Taken before a ledger line, as by those who judge."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _EVIDENCE_LOCK})


# --- asking ------------------------------------------------------------------------------------------------


def ask_review(
    session: Session, concerned: Sequence[Concerned], *, why: str, station_no: str, at: datetime, actor: str
) -> None:
    """Every station judges these records again; ``why`` names the change (``custody:3``) in each revision.

    What concerns no record is not asked for. Called before the change's own ledger line (``hold_evidence``).
    """
    if any(one.record_id is None for one in concerned):
        hold_evidence(session)
    session.flush()
    every = select(StationRow.station_no).order_by(StationRow.station_no)
    stations = session.scalars(every).all() if concerned else ()
    rows = [
        ReviewRow(
            station_no=station,
            recorder_id=one.recorder_id,
            cert_no=one.cert_no,
            case_no=one.case_no,
            record_id=one.record_id,
            token=one.token,
            waiting=one.waiting,
            from_at=one.frm,
            to_at=one.to,
            why=why[:128],
            asked_at=at,
            done_id=0,
        )
        for one in dict.fromkeys(concerned)
        for station in stations
        if _concerns_any(session, one, station)
    ]
    session.add_all(rows)
    session.flush()
    own = [_told(session, row) for row in rows if row.station_no == station_no]
    if own:
        said: dict[str, Any] = {"why": rows[0].why, "reviews": own}
        subject = f"station:{station_no}"
        ledger.append(
            session, station_no=station_no, kind="review.asked", subject=subject, data=said, at=at, actor=actor
        )


def concerned_by(session: Session, numbers: Iterable[str | None]) -> dict[str, Concerned]:
    """What concerns the records whose evidence gives one of these numbers, by the number as it is compared.

    All of them are looked for at once: an import names hundreds, and most are in no evidence.
    """
    wanted = folded(numbers)
    if wanted:
        hold_evidence(session)
    given: set[str] = set()
    for chunk in chunks(wanted):
        given |= set(session.scalars(select(RecordTokenRow.token).where(RecordTokenRow.token.in_(chunk)).distinct()))
    return {token: Concerned(token=token) for token in sorted(given)}


def _concerns_any(session: Session, concerned: Concerned, station_no: str) -> bool:
    return session.scalar(_recordings(concerned, station_no).limit(1)) is not None


def _told(session: Session, row: ReviewRow) -> dict[str, Any]:
    """A review as the ledger tells it: with the recorder's number, which is the same in every register."""
    recorder = session.get(RecorderRow, row.recorder_id) if row.recorder_id is not None else None
    names = ("cert_no", "case_no", "record_id", "token", "waiting")
    return {
        "review_id": row.id,
        "device_no": recorder.device_no if recorder else None,
        **{name: getattr(row, name) for name in names},
        "from_at": instant(row.from_at),
        "to_at": instant(row.to_at),
    }


# --- working off ---------------------------------------------------------------------------------------------


def next_review(session: Session, station_no: str) -> Review | None:
    """The oldest review of the station that is not done yet."""
    row = session.scalar(select(ReviewRow).where(ReviewRow.station_no == station_no).order_by(ReviewRow.id).limit(1))
    if row is None:
        return None
    concerned = Concerned(
        recorder_id=row.recorder_id,
        cert_no=row.cert_no,
        case_no=row.case_no,
        record_id=row.record_id,
        token=row.token,
        waiting=row.waiting,
        frm=row.from_at,
        to=row.to_at,
    )
    return Review(row.id, concerned, row.why, row.done_id)


def concerned_records(session: Session, review: Review, station_no: str) -> list[int]:
    """The recordings of a review that are left, in the order of their ids.

    Sorted here: an order by id would lead SQLite through the whole table instead of the index.
    """
    query = _recordings(review.concerned, station_no)
    return sorted(found for found in session.scalars(query) if found > review.done_id)


def note_done(session: Session, review: Review, done_id: int) -> None:
    """Records up to ``done_id`` are judged again."""
    session.execute(update(ReviewRow).where(ReviewRow.id == review.review_id).values(done_id=done_id))


def end_review(session: Session, review: Review, *, station_no: str, at: datetime) -> None:
    """Nothing of it is left to do. Where somebody else has ended it meanwhile, that was told already."""
    done = session.execute(delete(ReviewRow).where(ReviewRow.id == review.review_id))
    if done.rowcount:  # type: ignore[attr-defined]
        said = {"review_id": review.review_id, "why": review.why}
        subject = f"station:{station_no}"
        ledger.append(
            session, station_no=station_no, kind="review.done", subject=subject, data=said, at=at, actor="dockd"
        )


def _recordings(concerned: Concerned, station_no: str) -> Select[int]:
    # One that is named may be a log, too: there is nothing to judge, but a sidecar may be due.
    judged = true() if concerned.record_id is not None else RecordRow.media_type.in_(RECORDINGS)
    return select(RecordRow.id).where(RecordRow.station_no == station_no, judged, _condition(concerned))


def _condition(concerned: Concerned) -> ColumnElement[bool]:
    waits = RecordRow.id.in_(_waiting()) if concerned.waiting else true()
    return and_(_subject(concerned), waits)


def _subject(concerned: Concerned) -> ColumnElement[bool]:
    if concerned.record_id is not None:
        return RecordRow.id == concerned.record_id
    if concerned.case_no is not None:
        return RecordRow.case_no == concerned.case_no
    if concerned.token is not None:
        return RecordRow.id.in_(select(RecordTokenRow.record_id).where(RecordTokenRow.token == concerned.token))
    within = _within(concerned.frm, concerned.to)
    if concerned.recorder_id is not None:
        # What has no time may get one: a clock that was measured is believed again.
        timeless = and_(RecordRow.witnessed_to.is_(None), _docked_within(concerned.frm, concerned.to))
        return and_(RecordRow.recorder_id == concerned.recorder_id, or_(within, timeless))
    if concerned.cert_no is not None:
        return and_(or_(_names(concerned.cert_no), RecordRow.id.in_(_waiting())), within)
    return within


def _within(frm: datetime | None, to: datetime | None) -> ColumnElement[bool]:
    bounds = (
        RecordRow.witnessed_to >= frm if frm is not None else true(),
        RecordRow.witnessed_from <= to if to is not None else true(),
    )
    return and_(*bounds)


def _docked_within(frm: datetime | None, to: datetime | None) -> ColumnElement[bool]:
    bounds = (
        RecordRow.docked_at >= frm if frm is not None else true(),
        RecordRow.docked_at <= to if to is not None else true(),
    )
    return and_(*bounds)


def _names(cert_no: str) -> ColumnElement[bool]:
    return RecordRow.id.in_(select(RecordOfficerRow.record_id).where(RecordOfficerRow.cert_no == cert_no))


def _waiting() -> Select[int]:
    """Recordings that wait for an officer, by the partial index that holds no others."""
    waiting = aliased(RecordRow, name="waiting")
    words = WAITING.replace("owner_state", "waiting.owner_state").replace("media_type", "waiting.media_type")
    return select(waiting.id).where(text(words))
