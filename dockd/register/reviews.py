"""再判: which records a change in the register may concern, written down with the change and worked off afterwards.

Custody, cases, exceptions, clock readings and persons' tags arrive in any order, before or after the
footage that they speak of. Whoever writes one asks for a review in the same transaction; a crash
before the records are judged again therefore forgets nothing. ``visit.rejudge`` does the work.

A query finds records by recorder, officer or case and by the whole time that their witnesses give,
always through an index, never through all of history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, delete, or_, select, text, true, update
from sqlalchemy.orm import Session, aliased

from dockd.nouns import MediaType
from dockd.register.tables import WAITING, RecordOfficerRow, RecordRow, ReviewRow, StationRow

RECORDINGS = tuple(media.value for media in MediaType if media.is_recording)


@dataclass(frozen=True, slots=True, kw_only=True)
class Concerned:
    """Which records a change may concern: those of one recorder, officer or case, or one record.

    Of a recorder, of an officer, or, where nothing is named, of everybody: those with a moment in
    ``frm`` to ``to`` (None: without bound); of a recorder also those without any time. An officer's
    are also those that wait for an officer at all. A case's are those tagged with it, whenever made.
    """

    recorder_id: int | None = None
    cert_no: str | None = None
    case_no: str | None = None
    record_id: int | None = None
    frm: datetime | None = None
    to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """One review that is not done yet; records up to ``done_id`` are judged again."""

    review_id: int
    concerned: Concerned
    why: str
    done_id: int


def ask_review(session: Session, concerned: Sequence[Concerned], *, why: str, at: datetime) -> None:
    """Every station judges these records again; ``why`` names the change (``custody:3``) in each revision."""
    stations = session.scalars(select(StationRow.station_no)).all()
    session.add_all(
        ReviewRow(
            station_no=station_no,
            recorder_id=one.recorder_id,
            cert_no=one.cert_no,
            case_no=one.case_no,
            record_id=one.record_id,
            from_at=one.frm,
            to_at=one.to,
            why=why[:128],
            asked_at=at,
        )
        for one in dict.fromkeys(concerned)
        for station_no in stations
    )
    session.flush()


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
        frm=row.from_at,
        to=row.to_at,
    )
    return Review(row.id, concerned, row.why, row.done_id)


def concerned_records(session: Session, review: Review, station_no: str) -> list[int]:
    """The recordings of a review that are left, in the order of their ids.

    Sorted here: an order by id would lead SQLite through the whole table instead of the index.
    """
    query = select(RecordRow.id).where(
        RecordRow.station_no == station_no,
        RecordRow.media_type.in_(RECORDINGS),
        _condition(review.concerned),
    )
    return sorted(found for found in session.scalars(query) if found > review.done_id)


def note_done(session: Session, review: Review, done_id: int) -> None:
    """Records up to ``done_id`` are judged again."""
    session.execute(update(ReviewRow).where(ReviewRow.id == review.review_id).values(done_id=done_id))


def end_review(session: Session, review: Review) -> None:
    """Nothing of it is left to do."""
    session.execute(delete(ReviewRow).where(ReviewRow.id == review.review_id))


def _condition(concerned: Concerned) -> ColumnElement[bool]:
    if concerned.record_id is not None:
        return RecordRow.id == concerned.record_id
    if concerned.case_no is not None:
        return RecordRow.case_no == concerned.case_no
    within = _within(concerned.frm, concerned.to)
    if concerned.recorder_id is not None:
        # What has no time may get one: a clock that was measured is believed again.
        return and_(RecordRow.recorder_id == concerned.recorder_id, or_(within, RecordRow.witnessed_to.is_(None)))
    if concerned.cert_no is not None:
        return and_(or_(_names(concerned.cert_no), RecordRow.id.in_(_waiting())), within)
    return within


def _within(frm: datetime | None, to: datetime | None) -> ColumnElement[bool]:
    bounds = (
        RecordRow.witnessed_to >= frm if frm is not None else true(),
        RecordRow.witnessed_from <= to if to is not None else true(),
    )
    return and_(*bounds)


def _names(cert_no: str) -> ColumnElement[bool]:
    return RecordRow.id.in_(select(RecordOfficerRow.record_id).where(RecordOfficerRow.cert_no == cert_no))


def _waiting() -> Select[int]:
    """Recordings that wait for an officer, by the partial index that holds no others."""
    waiting = aliased(RecordRow, name="waiting")
    words = WAITING.replace("owner_state", "waiting.owner_state").replace("media_type", "waiting.media_type")
    return select(waiting.id).where(text(words))
