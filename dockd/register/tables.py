"""The register's tables: one class per noun, whole from the first revision.

Conventions: times are UTC and aware (``UtcTime``); names from cards are raw bytes;
enumerations are text with a CHECK; every constraint has a name, so that Alembic's
batch mode works on SQLite. ``observation``, ``footage``, ``revision`` and ``event`` are
only ever inserted; ``transfer``, ``visit``, ``record`` … hold the present state, whose
history is in ``revision`` and ``event`` (law 7 of the house).
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from dockd.nouns import EntryType, FileOutcome, LateKind, MediaType, OwnerState, Place, Rung, Source, VisitOutcome

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


# Which records wait for a person: recordings, for a recorder's log has no officer to look for.
WAITING = "owner_state <> 'assigned' AND media_type IN ('video', 'audio', 'photo')"


# What a listing may be asked for without naming few records: a part of what people write, times and marks.
WRITTEN = ("title", "party", "case_cause", "matter", "place")
MARKS = (
    *("used_from", "used_to", "media_type", "act_type", "stage", "retention_class"),
    *("late", "is_evidence", "tags_complete", "case_no"),
)
# An index of PostgreSQL takes 2 700 bytes: no longer text.
SHORT, LONG = "length({}) <= 500", "length({}) > 500"
ANY_LONG = " OR ".join(LONG.format(name) for name in WRITTEN)


def where(condition: str) -> dict[str, Any]:
    """For a partial index, on either database."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class UtcTime(TypeDecorator[datetime]):
    """Aware datetimes in, UTC datetimes out, on both dialects (SQLite would drop the zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be registered")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite gives an INTEGER PRIMARY KEY only to the type INTEGER; PostgreSQL needs 64 bits said aloud.
Key = BigInteger().with_variant(Integer(), "sqlite")


class Table(DeclarativeBase):
    """The declarative root of all tables."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcTime(),
        dict[str, Any]: JSON,
        list[Any]: JSON,
        bytes: LargeBinary,
    }


def one_of(column: str, values: type[StrEnum] | tuple[str, ...]) -> CheckConstraint:
    """A CHECK that ``column`` is one of ``values`` (or NULL where the column allows it)."""
    allowed = ", ".join(f"'{v}'" for v in values)
    return CheckConstraint(f"{column} IN ({allowed})", name=column)


class VisitState(StrEnum):
    """Where a visit stands. Anything but ENDED is looked at when dockd starts."""

    OPEN = "open"  # listing, copying, verifying
    SAFE = "safe"  # everything readable is stored; probing, tagging, judging are pending
    ENDED = "ended"
    HELD = "held"  # not copied: the recorder is not registered


class TransferState(StrEnum):
    """The copy protocol's steps as the register knows them (recovery table, field-notes G2)."""

    PLANNED = "planned"
    COPYING = "copying"
    VERIFIED = "verified"
    STORED = "stored"
    DONE = "done"  # final without new bytes: already stored, skipped, unreadable, or handed to a later visit


class RecorderState(StrEnum):
    IN_SERVICE = "in_service"
    OUT_OF_SERVICE = "out_of_service"
    AT_REPAIR = "at_repair"
    RETIRED = "retired"


class AlertState(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


class OutboxState(StrEnum):
    NEW = "new"  # not yet routed to channels
    WAITING = "waiting"
    SENDING = "sending"  # handed over, the channel's answer is not known yet
    SENT = "sent"
    FAILED = "failed"  # given up: the channel refuses this very message, or is not configured any more


class LocationState(StrEnum):
    PRESENT = "present"
    MISSING = "missing"
    ALTERED = "altered"


# --- station, people, recorders -----------------------------------------------------------------


class StationRow(Table):
    """Facts of a station that outlive its configuration: ``store_id`` must match the store's marker."""

    __tablename__ = "station"
    station_no: Mapped[str] = mapped_column(String(64), primary_key=True)
    store_id: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime]
    # The newest time this station has seen: a clock that steps back is noticed at the next start.
    last_seen_at: Mapped[datetime]
    # When the machine was started, as its clock said first: one that is set forward since is noticed.
    boot_id: Mapped[str | None] = mapped_column(String(64))
    booted_at: Mapped[datetime | None]


class BayRow(Table):
    """采集口: a socket of the dock that a visit has named; port paths are configuration."""

    __tablename__ = "bay"
    __table_args__ = (UniqueConstraint("station_no", "bay"),)
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    station_no: Mapped[str] = mapped_column(String(64))
    bay: Mapped[str] = mapped_column(String(64))
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class OfficerRow(Table):
    __tablename__ = "officer"
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    cert_no: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(128))
    badge: Mapped[str | None] = mapped_column(String(64), index=True)
    unit: Mapped[str | None] = mapped_column(String(128))
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class RecorderRow(Table):
    __tablename__ = "recorder"
    __table_args__ = (one_of("state", RecorderState),)
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    device_no: Mapped[str] = mapped_column(String(64), unique=True)
    device_serial: Mapped[str | None] = mapped_column(String(64), index=True)
    model: Mapped[str | None] = mapped_column(String(128))
    profile: Mapped[str | None] = mapped_column(String(64))
    unit: Mapped[str | None] = mapped_column(String(128))
    custodian: Mapped[str | None] = mapped_column(String(128))
    device_kind: Mapped[str | None] = mapped_column(String(32))
    owner_cert_no: Mapped[str | None] = mapped_column(String(64))
    past_owners: Mapped[list[Any]] = mapped_column(default=list)  # [until, cert_no], oldest first
    state: Mapped[str] = mapped_column(String(16), default=RecorderState.IN_SERVICE.value)
    attributes: Mapped[list[Any]] = mapped_column(default=list)  # article 31: 防爆, 夜视, 定位
    clock_offset_s: Mapped[float | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class RecorderIdentityRow(Table):
    """What identifies a recorder beside its numbers: USB serial, volume, card. History is kept."""

    __tablename__ = "recorder_identity"
    __table_args__ = (UniqueConstraint("recorder_id", "kind", "value"), Index(None, "kind", "value"))
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    recorder_id: Mapped[int] = mapped_column(ForeignKey("recorder.id"))
    kind: Mapped[str] = mapped_column(String(16))  # usb_serial, fs_uuid, label, card_size
    value: Mapped[str] = mapped_column(String(255))
    trusted: Mapped[bool] = mapped_column(default=False)  # a person registered it, as against merely seen
    first_seen_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]


class RecorderEventRow(Table):
    """A line of the equipment register (articles 24 and 26; columns of domain.md 6.5)."""

    __tablename__ = "recorder_event"
    __table_args__ = (Index(None, "recorder_id", "at"),)
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    recorder_id: Mapped[int] = mapped_column(ForeignKey("recorder.id"))
    kind: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]
    person: Mapped[str | None] = mapped_column(String(128))
    battery_pct: Mapped[int | None]
    battery_source: Mapped[str | None] = mapped_column(String(16))  # read, entered, unknown
    card_size: Mapped[int | None] = mapped_column(BigInteger)
    card_free: Mapped[int | None] = mapped_column(BigInteger)
    clock_offset_s: Mapped[float | None]
    told: Mapped[str | None] = mapped_column(Text)
    result: Mapped[str | None] = mapped_column(Text)
    repairer: Mapped[str | None] = mapped_column(String(128))
    sent_at: Mapped[datetime | None]
    back_at: Mapped[datetime | None]
    visit_id: Mapped[int | None] = mapped_column(ForeignKey("visit.id"), index=True)
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what a dock measured, and what it was found to mean
    created_at: Mapped[datetime]


class ClockReadingRow(Table):
    """What a recorder's clock said at a known time. Inserted once, never changed; what it corrects keeps its raw value.

    ``at_least``: the clock was ahead by that much or more. ``set_after``: it was then set right.
    """

    __tablename__ = "clock_reading"
    __table_args__ = (
        one_of("evidence", ("driver", "clerk", "gps", "future_file")),
        Index(None, "recorder_id", "at"),
    )
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    recorder_id: Mapped[int] = mapped_column(ForeignKey("recorder.id"))
    at: Mapped[datetime]
    offset_s: Mapped[float]
    evidence: Mapped[str] = mapped_column(String(16))
    at_least: Mapped[bool] = mapped_column(default=False)
    set_after: Mapped[bool] = mapped_column(default=False)
    visit_id: Mapped[int | None] = mapped_column(ForeignKey("visit.id"))
    record_id: Mapped[int | None] = mapped_column(ForeignKey("record.id"))
    person: Mapped[str | None] = mapped_column(String(128))
    note: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class CustodyRow(Table):
    """领用."""

    __tablename__ = "custody"
    __table_args__ = (Index(None, "recorder_id", "issued_at"), Index(None, "cert_no", "issued_at"))
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    recorder_id: Mapped[int] = mapped_column(ForeignKey("recorder.id"))
    cert_no: Mapped[str] = mapped_column(String(64), ForeignKey("officer.cert_no"))
    issued_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    returned_at: Mapped[datetime | None]
    issued_by: Mapped[str] = mapped_column(String(128))
    returned_by: Mapped[str | None] = mapped_column(String(128))
    battery_out: Mapped[int | None]
    battery_in: Mapped[int | None]
    battery_out_source: Mapped[str | None] = mapped_column(String(16))
    battery_in_source: Mapped[str | None] = mapped_column(String(16))
    free_out: Mapped[int | None] = mapped_column(BigInteger)
    override_reason: Mapped[str | None] = mapped_column(Text)
    flags: Mapped[list[Any]] = mapped_column(default=list)
    note: Mapped[str | None] = mapped_column(Text)


class CaseRow(Table):
    __tablename__ = "case_file"  # CASE is a word of SQL
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    case_no: Mapped[str] = mapped_column(String(128), unique=True)
    case_cause: Mapped[str | None] = mapped_column(String(255))
    parties: Mapped[list[Any]] = mapped_column(default=list)
    place: Mapped[str | None] = mapped_column(String(255))
    matter: Mapped[str | None] = mapped_column(String(255))
    act_type: Mapped[str | None] = mapped_column(String(32))
    stage: Mapped[str | None] = mapped_column(String(32))
    confidentiality: Mapped[str | None] = mapped_column(String(32))
    full_course_required: Mapped[bool] = mapped_column(default=False)
    former_numbers: Mapped[list[Any]] = mapped_column(default=list)  # numbers that this case had before
    closed_at: Mapped[datetime | None]
    filed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CaseWorkRow(Table):
    """One officer's period of work on a case; several rows a case."""

    __tablename__ = "case_work"
    __table_args__ = (
        Index(None, "cert_no", "used_from"),
        UniqueConstraint("case_id", "cert_no", "used_from", "used_to"),
    )
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"), index=True)
    cert_no: Mapped[str | None] = mapped_column(String(64))
    used_from: Mapped[datetime | None]
    used_to: Mapped[datetime | None]
    place: Mapped[str | None] = mapped_column(String(255))


class ExceptionRow(Table):
    """例外事由: an article 23(2) statement."""

    __tablename__ = "exception"
    __table_args__ = (
        one_of("reason", ("continuous", "out_of_area", "remote", "water", "poor_transport")),
        Index(None, "recorder_id", "from_at"),
        Index(None, "cert_no", "from_at"),
    )
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    recorder_id: Mapped[int | None] = mapped_column(ForeignKey("recorder.id"))
    cert_no: Mapped[str | None] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(16))
    from_at: Mapped[datetime]
    to_at: Mapped[datetime]
    returned_at: Mapped[datetime | None]
    unable: Mapped[bool] = mapped_column(default=False)  # the statement that storing in time was not possible
    declared_by: Mapped[str] = mapped_column(String(64))
    declared_at: Mapped[datetime]
    confirmed_by: Mapped[str | None] = mapped_column(String(64))
    confirmed_at: Mapped[datetime | None]
    note: Mapped[str | None] = mapped_column(Text)


# --- visits and bytes -----------------------------------------------------------------------------


class VisitRow(Table):
    """一次接入: one stay of one recorder in one bay."""

    __tablename__ = "visit"
    __table_args__ = (
        one_of("state", VisitState),
        one_of("outcome", VisitOutcome),
        one_of("source", Source),
        one_of("identified_by", Rung),
        Index(None, "recorder_id", "docked_at"),
        Index(None, "docked_at"),
        # Start-up looks at unfinished visits only: this index holds nothing else.
        Index(
            "ix_visit_unfinished",
            "station_no",
            "state",
            sqlite_where=text("state IN ('open', 'safe')"),
            postgresql_where=text("state IN ('open', 'safe')"),
        ),
    )
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    station_no: Mapped[str] = mapped_column(String(64))
    bay: Mapped[str | None] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default=VisitState.OPEN.value)
    recorder_id: Mapped[int | None] = mapped_column(ForeignKey("recorder.id"))
    identified_by: Mapped[str] = mapped_column(String(16), default=Rung.NONE.value)
    evidence: Mapped[dict[str, Any]] = mapped_column(default=dict)  # what every rung said
    profile: Mapped[str | None] = mapped_column(String(64))
    card_instance: Mapped[str] = mapped_column(String(255))
    card: Mapped[dict[str, Any]] = mapped_column(default=dict)
    path: Mapped[str | None] = mapped_column(Text)
    person: Mapped[str | None] = mapped_column(String(128))
    note: Mapped[str | None] = mapped_column(Text)
    docked_at: Mapped[datetime]
    opened_at: Mapped[datetime]  # when dockd began; docked_at may be a person's statement
    first_byte_at: Mapped[datetime | None]
    safe_at: Mapped[datetime | None]
    stored_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    bytes_read: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_stored: Mapped[int] = mapped_column(BigInteger, default=0)
    manifest: Mapped[str | None] = mapped_column(Text)
    clock_synchronised: Mapped[bool | None]


class ObservationRow(Table):
    """卡上所见. Inserted with the listing, never changed."""

    __tablename__ = "observation"
    __table_args__ = (
        one_of("type", EntryType),
        UniqueConstraint("visit_id", "seq"),
        # "Already stored" and "resume" ask: was this file seen on this card before?
        Index(None, "card_instance", "path_hash"),
    )
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    seq: Mapped[int]
    card_instance: Mapped[str] = mapped_column(String(255))
    path: Mapped[bytes]
    path_hash: Mapped[bytes] = mapped_column(LargeBinary(16))  # SHA-256 of path, cut: a short key for long names
    type: Mapped[str] = mapped_column(String(16))
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    inode: Mapped[str] = mapped_column(String(24))  # unsigned 64 bits do not fit a BIGINT
    error: Mapped[str | None] = mapped_column(String(32))
    media: Mapped[str | None] = mapped_column(String(16))
    place: Mapped[str | None] = mapped_column(String(16))


class TransferRow(Table):
    """What became of one observation that is a file: the copy protocol's state and the outcome."""

    __tablename__ = "transfer"
    __table_args__ = (
        one_of("state", TransferState),
        one_of("outcome", FileOutcome),
        Index(None, "visit_id", "state"),
        Index(None, "file_no"),
        Index("ix_transfer_temp", "temp", unique=True),
        # Temps kept for a card that may come back: few at any time.
        Index(
            "ix_transfer_copying",
            "observation_id",
            sqlite_where=text("state IN ('copying', 'verified')"),
            postgresql_where=text("state IN ('copying', 'verified')"),
        ),
    )
    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.id"), primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    state: Mapped[str] = mapped_column(String(16), default=TransferState.PLANNED.value)
    outcome: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)
    temp: Mapped[str | None] = mapped_column(Text)  # relative to the store's root
    final: Mapped[str | None] = mapped_column(Text)
    file_no: Mapped[str | None] = mapped_column(String(64))  # of the footage, also where that was stored before
    sha256: Mapped[str | None] = mapped_column(String(64))
    size: Mapped[int | None] = mapped_column(BigInteger)
    verified_via: Mapped[str | None] = mapped_column(String(16))
    verified_at: Mapped[datetime | None]
    holes: Mapped[list[Any] | None] = mapped_column(JSON)
    attempts: Mapped[int] = mapped_column(default=0)


class JournalRow(Table):
    """Proof of a temp's prefix: SHA-256 of the first ``offset`` bytes as they left the card."""

    __tablename__ = "journal"
    observation_id: Mapped[int] = mapped_column(ForeignKey("transfer.observation_id"), primary_key=True)
    offset: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    prefix_sha256: Mapped[str] = mapped_column(String(64))


class FootageRow(Table):
    """原始文件: stored bytes. Never changes; where they lie is in ``location``."""

    __tablename__ = "footage"
    __table_args__ = (
        # "Already stored" asks these two; they hold one row a recording, however often its card was docked.
        Index(None, "card_instance", "path_hash"),
        Index(None, "sha256", "size"),
    )
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    observation_id: Mapped[int] = mapped_column(ForeignKey("observation.id"), unique=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    recorder_id: Mapped[int | None] = mapped_column(ForeignKey("recorder.id"))
    card_instance: Mapped[str] = mapped_column(String(255))
    path: Mapped[bytes]
    path_hash: Mapped[bytes] = mapped_column(LargeBinary(16))
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    docked_at: Mapped[datetime]  # when these bytes were first seen in a dock
    file_no: Mapped[str] = mapped_column(String(64), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    holes: Mapped[list[Any] | None] = mapped_column(JSON)
    stored_at: Mapped[datetime]


class LocationRow(Table):
    """Where footage lies in the store of a station and when that copy was last proven.

    Only that station can look at it: where a register is shared, every question names whose store is meant.
    """

    __tablename__ = "location"
    __table_args__ = (one_of("state", LocationState), Index(None, "station_no", "verified_at"))
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    station_no: Mapped[str] = mapped_column(String(64))
    footage_id: Mapped[int] = mapped_column(ForeignKey("footage.id"), index=True)
    path: Mapped[str] = mapped_column(String(512), unique=True)
    state: Mapped[str] = mapped_column(String(16), default=LocationState.PRESENT.value)
    stored_at: Mapped[datetime]
    verified_at: Mapped[datetime]
    verified_via: Mapped[str] = mapped_column(String(16))


class SidecarRow(Table):
    """A sidecar in the store of the record's station."""

    __tablename__ = "sidecar"
    __table_args__ = (UniqueConstraint("record_id", "revision"),)
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    record_id: Mapped[int] = mapped_column(ForeignKey("record.id"))
    revision: Mapped[int]
    path: Mapped[str] = mapped_column(String(512), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    written_at: Mapped[datetime]


# --- what is said of footage ------------------------------------------------------------------------


class RecordRow(Table):
    """著录: what is said of footage. The present values; how they came about is in ``revision``."""

    __tablename__ = "record"
    __table_args__ = (
        one_of("media_type", MediaType),
        one_of("place_on_card", Place),
        one_of("owner_state", OwnerState),
        one_of("late_kind", LateKind),
        Index(None, "recorder_id", "used_from"),
        # "Which records may a change concern?" asks by the whole time that witnesses give, never by all of history.
        Index(None, "recorder_id", "witnessed_to"),
        Index(None, "witnessed_to"),
        Index(None, "case_no"),
        # A month's figures: made in it, or docked in it where nobody knows when it was made.
        Index(None, "used_from", "docked_at"),
        # In the order of pages: a part of a name is looked for in all names, and in nothing else of a record.
        *(Index(f"ix_record_by_{name}", "id", name, **where(SHORT.format(name))) for name in WRITTEN),
        Index("ix_record_by_long", "id", **where(ANY_LONG)),
        Index("ix_record_by_marks", "id", *MARKS),
        Index(None, "stored_at"),
        Index(None, "tags_complete", "stored_at"),
        Index(None, "visit_id"),
        Index(None, "exception_id"),
        Index("ix_record_unassigned", "stored_at", **where(WAITING)),
    )
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    file_no: Mapped[str] = mapped_column(String(64), unique=True)
    footage_id: Mapped[int] = mapped_column(ForeignKey("footage.id"), unique=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    recorder_id: Mapped[int | None] = mapped_column(ForeignKey("recorder.id"))
    station_no: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(16))
    place_on_card: Mapped[str] = mapped_column(String(16))
    original_path: Mapped[bytes]
    original_name: Mapped[str] = mapped_column(Text)
    other_names: Mapped[list[Any]] = mapped_column(default=list)
    sequence: Mapped[str | None] = mapped_column(String(32))
    # docked_at is when these bytes were first seen in a dock, not when a resumed copy of them began
    docked_at: Mapped[datetime]
    stored_at: Mapped[datetime]
    revision: Mapped[int] = mapped_column(default=0)
    # article 27
    title: Mapped[str | None] = mapped_column(Text)
    used_from: Mapped[datetime | None]
    used_to: Mapped[datetime | None]
    time_basis: Mapped[str] = mapped_column(String(128), default="")
    time_flags: Mapped[list[Any]] = mapped_column(default=list)
    other_ends: Mapped[list[Any]] = mapped_column(default=list)
    raw_from: Mapped[datetime | None]  # what the recorder's own clock said, where a measured offset corrects it
    raw_to: Mapped[datetime | None]
    clock_offset_s: Mapped[float | None]  # the recorder's clock was so many seconds ahead
    witnessed_from: Mapped[datetime | None]  # every moment that some witness gives lies between these two
    witnessed_to: Mapped[datetime | None]
    party: Mapped[str | None] = mapped_column(Text)
    case_cause: Mapped[str | None] = mapped_column(Text)
    case_no: Mapped[str | None] = mapped_column(String(128))
    officers: Mapped[list[Any]] = mapped_column(default=list)  # cert_nos in order; searched through record_officer
    owner_state: Mapped[str] = mapped_column(String(16), default=OwnerState.UNASSIGNED.value)
    officer_candidates: Mapped[list[Any]] = mapped_column(default=list)
    case_candidates: Mapped[list[Any]] = mapped_column(default=list)
    basis: Mapped[dict[str, Any]] = mapped_column(default=dict)  # tag → why; "person:NAME" is never overwritten
    tags_complete: Mapped[bool] = mapped_column(default=False)
    # further vocabulary (articles 2, 8, 10, 19-21, 25, 27(2), 27(3), 28)
    act_type: Mapped[str | None] = mapped_column(String(32))
    stage: Mapped[str | None] = mapped_column(String(32))
    step: Mapped[str | None] = mapped_column(String(32))
    matter: Mapped[str | None] = mapped_column(Text)
    place: Mapped[str | None] = mapped_column(Text)
    method: Mapped[str | None] = mapped_column(String(64))
    party_notified: Mapped[str | None] = mapped_column(String(8))
    points: Mapped[list[Any]] = mapped_column(default=list)  # what of article 21's list was recorded
    important_mark: Mapped[bool] = mapped_column(default=False)
    confidentiality: Mapped[str | None] = mapped_column(String(32))
    retention_class: Mapped[str | None] = mapped_column(String(64))  # the class in force
    retention_by_hand: Mapped[str | None] = mapped_column(String(64))
    retain_until: Mapped[datetime | None]
    is_evidence: Mapped[bool] = mapped_column(default=False)
    disc_no: Mapped[str | None] = mapped_column(String(64))
    archived_on: Mapped[datetime | None]
    remark: Mapped[str | None] = mapped_column(Text)
    session_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    # article 23
    deadline_at: Mapped[datetime | None]
    original_deadline_at: Mapped[datetime | None]
    late: Mapped[bool | None]
    late_kind: Mapped[str | None] = mapped_column(String(16))
    judge_reason: Mapped[str | None] = mapped_column(String(64))
    overdue_s: Mapped[int] = mapped_column(BigInteger, default=0)
    exception_id: Mapped[int | None] = mapped_column(ForeignKey("exception.id"))
    # advice of the parsers
    probed_at: Mapped[datetime | None]
    duration_s: Mapped[float | None]
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)


class RecordOfficerRow(Table):
    """Which officers a record names: one row each, so that a search by officer uses an index."""

    __tablename__ = "record_officer"
    record_id: Mapped[int] = mapped_column(ForeignKey("record.id"), primary_key=True)
    cert_no: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    position: Mapped[int]


class RecordTokenRow(Table):
    """The numbers that a record's evidence gives for its officer or recorder, folded: whom they mean may change."""

    __tablename__ = "record_token"
    record_id: Mapped[int] = mapped_column(ForeignKey("record.id"), primary_key=True)
    token: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)


class RevisionRow(Table):
    """One change of one record: who, when, why, and each value before and after."""

    __tablename__ = "revision"
    __table_args__ = (UniqueConstraint("record_id", "number"), Index(None, "at"))
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    record_id: Mapped[int] = mapped_column(ForeignKey("record.id"))
    number: Mapped[int]
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(128))
    why: Mapped[str] = mapped_column(String(128))
    changes: Mapped[dict[str, Any]]  # {"party": [before, after], …}


class ReviewRow(Table):
    """再判: which records a change may concern. Written with the change, gone when all of them are judged again.

    One row names one recorder, officer, case, number or record, or nothing (everything in that time), for
    one station: only the station that holds the footage can write its sidecars.
    """

    __tablename__ = "review"
    __table_args__ = (Index(None, "station_no", "id"),)
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    station_no: Mapped[str] = mapped_column(String(64))
    recorder_id: Mapped[int | None] = mapped_column(ForeignKey("recorder.id"))
    cert_no: Mapped[str | None] = mapped_column(String(64))
    case_no: Mapped[str | None] = mapped_column(String(128))
    record_id: Mapped[int | None] = mapped_column(ForeignKey("record.id"))
    token: Mapped[str | None] = mapped_column(String(64))
    waiting: Mapped[bool] = mapped_column(default=False)  # those only that wait for an officer
    from_at: Mapped[datetime | None]
    to_at: Mapped[datetime | None]
    why: Mapped[str] = mapped_column(String(128))
    done_id: Mapped[int] = mapped_column(BigInteger, default=0)  # records up to this id are judged again
    asked_at: Mapped[datetime]


class InterruptionRow(Table):
    """中断: a time without recording that a person has to judge, or has judged (article 22)."""

    __tablename__ = "interruption"
    __table_args__ = (
        one_of("kind", ("session", "case")),
        one_of("state", ("open", "explained", "dismissed", "withdrawn")),
        one_of("cause", ("equipment", "weather", "obstruction", "other")),
        one_of("form", ("voice", "written")),
        Index(None, "state", "from_at"),
        Index(None, "recorder_id", "from_at"),
    )
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    station_no: Mapped[str] = mapped_column(String(64))  # that found it
    about: Mapped[str] = mapped_column(String(255), unique=True)  # what it is a gap of: found again, it is the same
    kind: Mapped[str] = mapped_column(String(16))  # between two files of a session, or in a case's period
    recorder_id: Mapped[int | None] = mapped_column(ForeignKey("recorder.id"))
    case_no: Mapped[str | None] = mapped_column(String(128), index=True)
    before_record_id: Mapped[int | None] = mapped_column(ForeignKey("record.id"))
    after_record_id: Mapped[int | None] = mapped_column(ForeignKey("record.id"))
    from_at: Mapped[datetime]
    to_at: Mapped[datetime | None]
    severity: Mapped[str] = mapped_column(String(16))
    found_at: Mapped[datetime]
    cause: Mapped[str | None] = mapped_column(String(32))
    form: Mapped[str | None] = mapped_column(String(16))
    position: Mapped[str | None] = mapped_column(String(128))  # where the cause is spoken in the second file
    doc_no: Mapped[str | None] = mapped_column(String(128))  # number of the written account
    signed_by: Mapped[list[Any]] = mapped_column(default=list)
    note: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    decided_at: Mapped[datetime | None]
    decided_by: Mapped[str | None] = mapped_column(String(128))


# --- who must know --------------------------------------------------------------------------------


class AlertRow(Table):
    """One matter that somebody must know: opened once (``about``), closed by a fact or a person."""

    __tablename__ = "alert"
    __table_args__ = (
        one_of("state", AlertState),
        Index(None, "state", "opened_at"),
        Index(None, "kind", "about"),
        Index(
            "ix_alert_open_about",
            "station_no",
            "kind",
            "about",
            unique=True,
            sqlite_where=text("state <> 'closed'"),
            postgresql_where=text("state <> 'closed'"),
        ),
    )
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    station_no: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(32))
    about: Mapped[str] = mapped_column(String(128))  # e.g. record:12, visit:7/IMG…: what it is one alert about
    severity: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default=AlertState.OPEN.value)
    opened_at: Mapped[datetime]
    visit_id: Mapped[int | None] = mapped_column(ForeignKey("visit.id"), index=True)
    record_id: Mapped[int | None] = mapped_column(ForeignKey("record.id"), index=True)
    recorder_id: Mapped[int | None] = mapped_column(ForeignKey("recorder.id"))
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)  # fills the text; numbers only, names are looked up
    level: Mapped[int] = mapped_column(default=0)
    repeated_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(128))
    acknowledge_note: Mapped[str | None] = mapped_column(Text)
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[str | None] = mapped_column(String(128))
    close_note: Mapped[str | None] = mapped_column(Text)


class OutboxRow(Table):
    """One message: ``new`` until it is known who gets it, then one row for each channel until that one has it.

    Bodies hold numbers only, as facts do: names are looked up when a message is sent, where the channel may have them.
    """

    __tablename__ = "outbox"
    __table_args__ = (one_of("state", OutboxState), Index(None, "station_no", "state", "channel"))
    id: Mapped[int] = mapped_column(Key, primary_key=True)
    station_no: Mapped[str] = mapped_column(String(64))
    alert_id: Mapped[int | None] = mapped_column(ForeignKey("alert.id"), index=True)
    channel: Mapped[str] = mapped_column(String(64), default="")
    why: Mapped[str] = mapped_column(String(16))  # opened, escalated, repeated, report, test
    device_no: Mapped[str | None] = mapped_column(String(64))  # messages of one recorder keep their order
    body: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(16), default=OutboxState.NEW.value)
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    not_before: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)


class ChannelRow(Table):
    """How a channel does: who is sending on it, since when it fails, when it is tried again, what it sent lately."""

    __tablename__ = "channel"
    station_no: Mapped[str] = mapped_column(String(64), primary_key=True)
    channel: Mapped[str] = mapped_column(String(64), primary_key=True)
    busy_until: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(default=0)
    failing_since: Mapped[datetime | None]
    next_try_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    sent: Mapped[list[Any]] = mapped_column(default=list)  # times of the last sendings, for the service's limit


# --- the ledger -------------------------------------------------------------------------------------


class EventRow(Table):
    """台账: a line of the append-only, hash-chained ledger, one chain per station."""

    __tablename__ = "event"
    __table_args__ = (Index(None, "subject"),)
    station_no: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(Key, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    kind: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(128))  # e.g. recorder:YS-07, record:12, visit:3
    line: Mapped[str] = mapped_column(Text)  # the exact bytes of the mirror's line, without its newline
    sha256: Mapped[str] = mapped_column(String(64))  # of line; the next line's "prev"


class LedgerHeadRow(Table):
    """The end of a station's chain; its row lock puts writers in order."""

    __tablename__ = "ledger_head"
    station_no: Mapped[str] = mapped_column(String(64), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
