"""Every table of the register, whole from the first revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Makes the tables, each after those it refers to."""
    _make_bay()
    _make_case_file()
    _make_channel()
    _make_event()
    _make_ledger_head()
    _make_officer()
    _make_recorder()
    _make_station()
    _make_case_work()
    _make_custody()
    _make_exception()
    _make_recorder_identity()
    _make_visit()
    _make_observation()
    _make_recorder_event()
    _make_footage()
    _make_transfer()
    _make_journal()
    _make_location()
    _make_record()
    _make_alert()
    _make_interruption()
    _make_record_officer()
    _make_record_token()
    _make_review()
    _make_revision()
    _make_sidecar()
    _make_clock_reading()
    _make_outbox()


def downgrade() -> None:
    """Not offered: the way back is the backup that was made before the upgrade."""
    raise NotImplementedError


def _make_bay() -> None:
    op.create_table(
        "bay",
        sa.Column("id", KEY, nullable=False),
        sa.Column("station_no", sa.String(length=64), nullable=False),
        sa.Column("bay", sa.String(length=64), nullable=False),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bay")),
        sa.UniqueConstraint("station_no", "bay", name=op.f("uq_bay_station_no_bay")),
    )


def _make_case_file() -> None:
    op.create_table(
        "case_file",
        sa.Column("id", KEY, nullable=False),
        sa.Column("case_no", sa.String(length=128), nullable=False),
        sa.Column("case_cause", sa.String(length=255), nullable=True),
        sa.Column("parties", sa.JSON(), nullable=False),
        sa.Column("place", sa.String(length=255), nullable=True),
        sa.Column("matter", sa.String(length=255), nullable=True),
        sa.Column("act_type", sa.String(length=32), nullable=True),
        sa.Column("stage", sa.String(length=32), nullable=True),
        sa.Column("confidentiality", sa.String(length=32), nullable=True),
        sa.Column("full_course_required", sa.Boolean(), nullable=False),
        sa.Column("former_numbers", sa.JSON(), nullable=False),
        sa.Column("closed_at", TIME, nullable=True),
        sa.Column("filed_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_file")),
        sa.UniqueConstraint("case_no", name=op.f("uq_case_file_case_no")),
    )


def _make_channel() -> None:
    op.create_table(
        "channel",
        sa.Column("station_no", sa.String(length=64), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("busy_until", TIME, nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", TIME, nullable=True),
        sa.Column("next_try_at", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("sent", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("station_no", "channel", name=op.f("pk_channel")),
    )


def _make_event() -> None:
    op.create_table(
        "event",
        sa.Column("station_no", sa.String(length=64), nullable=False),
        sa.Column("seq", KEY, autoincrement=False, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("station_no", "seq", name=op.f("pk_event")),
    )
    op.create_index(op.f("ix_event_subject"), "event", ["subject"], unique=False)


def _make_ledger_head() -> None:
    op.create_table(
        "ledger_head",
        sa.Column("station_no", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("station_no", name=op.f("pk_ledger_head")),
    )


def _make_officer() -> None:
    op.create_table(
        "officer",
        sa.Column("id", KEY, nullable=False),
        sa.Column("cert_no", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("badge", sa.String(length=64), nullable=True),
        sa.Column("unit", sa.String(length=128), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_officer")),
        sa.UniqueConstraint("cert_no", name=op.f("uq_officer_cert_no")),
    )
    op.create_index(op.f("ix_officer_badge"), "officer", ["badge"], unique=False)


def _make_recorder() -> None:
    op.create_table(
        "recorder",
        sa.Column("id", KEY, nullable=False),
        sa.Column("device_no", sa.String(length=64), nullable=False),
        sa.Column("device_serial", sa.String(length=64), nullable=True),
        sa.Column("model", sa.String(length=128), nullable=True),
        sa.Column("profile", sa.String(length=64), nullable=True),
        sa.Column("unit", sa.String(length=128), nullable=True),
        sa.Column("custodian", sa.String(length=128), nullable=True),
        sa.Column("device_kind", sa.String(length=32), nullable=True),
        sa.Column("owner_cert_no", sa.String(length=64), nullable=True),
        sa.Column("past_owners", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("clock_offset_s", sa.Double(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=False),
        sa.CheckConstraint(
            "state IN ('in_service', 'out_of_service', 'at_repair', 'retired')", name=op.f("ck_recorder_state")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recorder")),
        sa.UniqueConstraint("device_no", name=op.f("uq_recorder_device_no")),
    )
    op.create_index(op.f("ix_recorder_device_serial"), "recorder", ["device_serial"], unique=False)


def _make_station() -> None:
    op.create_table(
        "station",
        sa.Column("station_no", sa.String(length=64), nullable=False),
        sa.Column("store_id", sa.String(length=64), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.Column("boot_id", sa.String(length=64), nullable=True),
        sa.Column("booted_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("station_no", name=op.f("pk_station")),
    )


def _make_case_work() -> None:
    op.create_table(
        "case_work",
        sa.Column("id", KEY, nullable=False),
        sa.Column("case_id", KEY, nullable=False),
        sa.Column("cert_no", sa.String(length=64), nullable=True),
        sa.Column("used_from", TIME, nullable=True),
        sa.Column("used_to", TIME, nullable=True),
        sa.Column("place", sa.String(length=255), nullable=True),
        sa.ForeignKeyConstraint(["case_id"], ["case_file.id"], name=op.f("fk_case_work_case_id_case_file")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_case_work")),
        sa.UniqueConstraint(
            "case_id", "cert_no", "used_from", "used_to", name=op.f("uq_case_work_case_id_cert_no_used_from_used_to")
        ),
    )
    op.create_index(op.f("ix_case_work_case_id"), "case_work", ["case_id"], unique=False)
    op.create_index(op.f("ix_case_work_cert_no_used_from"), "case_work", ["cert_no", "used_from"], unique=False)


def _make_custody() -> None:
    op.create_table(
        "custody",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recorder_id", KEY, nullable=False),
        sa.Column("cert_no", sa.String(length=64), nullable=False),
        sa.Column("issued_at", TIME, nullable=False),
        sa.Column("due_at", TIME, nullable=True),
        sa.Column("returned_at", TIME, nullable=True),
        sa.Column("issued_by", sa.String(length=128), nullable=False),
        sa.Column("returned_by", sa.String(length=128), nullable=True),
        sa.Column("battery_out", sa.Integer(), nullable=True),
        sa.Column("battery_in", sa.Integer(), nullable=True),
        sa.Column("battery_out_source", sa.String(length=16), nullable=True),
        sa.Column("battery_in_source", sa.String(length=16), nullable=True),
        sa.Column("free_out", sa.BigInteger(), nullable=True),
        sa.Column("override_reason", sa.Text(), nullable=True),
        sa.Column("flags", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["cert_no"], ["officer.cert_no"], name=op.f("fk_custody_cert_no_officer")),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorder.id"], name=op.f("fk_custody_recorder_id_recorder")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_custody")),
    )
    op.create_index(op.f("ix_custody_cert_no_issued_at"), "custody", ["cert_no", "issued_at"], unique=False)
    op.create_index(op.f("ix_custody_recorder_id_issued_at"), "custody", ["recorder_id", "issued_at"], unique=False)


def _make_exception() -> None:
    op.create_table(
        "exception",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recorder_id", KEY, nullable=True),
        sa.Column("cert_no", sa.String(length=64), nullable=True),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("from_at", TIME, nullable=False),
        sa.Column("to_at", TIME, nullable=False),
        sa.Column("returned_at", TIME, nullable=True),
        sa.Column("unable", sa.Boolean(), nullable=False),
        sa.Column("declared_by", sa.String(length=64), nullable=False),
        sa.Column("declared_at", TIME, nullable=False),
        sa.Column("confirmed_by", sa.String(length=64), nullable=True),
        sa.Column("confirmed_at", TIME, nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "reason IN ('continuous', 'out_of_area', 'remote', 'water', 'poor_transport')",
            name=op.f("ck_exception_reason"),
        ),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorder.id"], name=op.f("fk_exception_recorder_id_recorder")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exception")),
    )
    op.create_index(op.f("ix_exception_cert_no_from_at"), "exception", ["cert_no", "from_at"], unique=False)
    op.create_index(op.f("ix_exception_recorder_id_from_at"), "exception", ["recorder_id", "from_at"], unique=False)


def _make_recorder_identity() -> None:
    op.create_table(
        "recorder_identity",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recorder_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("trusted", sa.Boolean(), nullable=False),
        sa.Column("first_seen_at", TIME, nullable=False),
        sa.Column("last_seen_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["recorder_id"], ["recorder.id"], name=op.f("fk_recorder_identity_recorder_id_recorder")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recorder_identity")),
        sa.UniqueConstraint("recorder_id", "kind", "value", name=op.f("uq_recorder_identity_recorder_id_kind_value")),
    )
    op.create_index(op.f("ix_recorder_identity_kind_value"), "recorder_identity", ["kind", "value"], unique=False)


def _make_visit() -> None:
    op.create_table(
        "visit",
        sa.Column("id", KEY, nullable=False),
        sa.Column("station_no", sa.String(length=64), nullable=False),
        sa.Column("bay", sa.String(length=64), nullable=True),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("recorder_id", KEY, nullable=True),
        sa.Column("identified_by", sa.String(length=16), nullable=False),
        sa.Column("evidence", sa.JSON(), nullable=False),
        sa.Column("profile", sa.String(length=64), nullable=True),
        sa.Column("card_instance", sa.String(length=255), nullable=False),
        sa.Column("card", sa.JSON(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("person", sa.String(length=128), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("docked_at", TIME, nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("first_byte_at", TIME, nullable=True),
        sa.Column("safe_at", TIME, nullable=True),
        sa.Column("stored_at", TIME, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("bytes_read", sa.BigInteger(), nullable=False),
        sa.Column("bytes_stored", sa.BigInteger(), nullable=False),
        sa.Column("manifest", sa.Text(), nullable=True),
        sa.Column("clock_synchronised", sa.Boolean(), nullable=True),
        sa.CheckConstraint(
            "identified_by IN ('explicit', 'driver', 'binding_file', 'usb_serial', 'volume', 'file_names', 'none')",
            name=op.f("ck_visit_identified_by"),
        ),
        sa.CheckConstraint("outcome IN ('complete', 'partial', 'failed')", name=op.f("ck_visit_outcome")),
        sa.CheckConstraint("source IN ('dock', 'folder', 'manual')", name=op.f("ck_visit_source")),
        sa.CheckConstraint("state IN ('open', 'safe', 'ended', 'held')", name=op.f("ck_visit_state")),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorder.id"], name=op.f("fk_visit_recorder_id_recorder")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_visit")),
    )
    op.create_index(op.f("ix_visit_docked_at"), "visit", ["docked_at"], unique=False)
    op.create_index(op.f("ix_visit_recorder_id_docked_at"), "visit", ["recorder_id", "docked_at"], unique=False)
    op.create_index(
        "ix_visit_unfinished",
        "visit",
        ["station_no", "state"],
        unique=False,
        sqlite_where=sa.text("state IN ('open', 'safe')"),
        postgresql_where=sa.text("state IN ('open', 'safe')"),
    )


def _make_observation() -> None:
    op.create_table(
        "observation",
        sa.Column("id", KEY, nullable=False),
        sa.Column("visit_id", KEY, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("card_instance", sa.String(length=255), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("path_hash", sa.LargeBinary(length=16), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("inode", sa.String(length=24), nullable=False),
        sa.Column("error", sa.String(length=32), nullable=True),
        sa.Column("media", sa.String(length=16), nullable=True),
        sa.Column("place", sa.String(length=16), nullable=True),
        sa.CheckConstraint(
            "type IN ('file', 'directory', 'symlink', 'fifo', 'socket', 'device', 'unknown')",
            name=op.f("ck_observation_type"),
        ),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_observation_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observation")),
        sa.UniqueConstraint("visit_id", "seq", name=op.f("uq_observation_visit_id_seq")),
    )
    op.create_index(
        op.f("ix_observation_card_instance_path_hash"), "observation", ["card_instance", "path_hash"], unique=False
    )


def _make_recorder_event() -> None:
    op.create_table(
        "recorder_event",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recorder_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("person", sa.String(length=128), nullable=True),
        sa.Column("battery_pct", sa.Integer(), nullable=True),
        sa.Column("battery_source", sa.String(length=16), nullable=True),
        sa.Column("card_size", sa.BigInteger(), nullable=True),
        sa.Column("card_free", sa.BigInteger(), nullable=True),
        sa.Column("clock_offset_s", sa.Double(), nullable=True),
        sa.Column("told", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("repairer", sa.String(length=128), nullable=True),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("back_at", TIME, nullable=True),
        sa.Column("visit_id", KEY, nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorder.id"], name=op.f("fk_recorder_event_recorder_id_recorder")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_recorder_event_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recorder_event")),
    )
    op.create_index(op.f("ix_recorder_event_recorder_id_at"), "recorder_event", ["recorder_id", "at"], unique=False)
    op.create_index(op.f("ix_recorder_event_visit_id"), "recorder_event", ["visit_id"], unique=False)


def _make_footage() -> None:
    op.create_table(
        "footage",
        sa.Column("id", KEY, nullable=False),
        sa.Column("observation_id", KEY, nullable=False),
        sa.Column("visit_id", KEY, nullable=False),
        sa.Column("recorder_id", KEY, nullable=True),
        sa.Column("card_instance", sa.String(length=255), nullable=False),
        sa.Column("path", sa.LargeBinary(), nullable=False),
        sa.Column("path_hash", sa.LargeBinary(length=16), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("docked_at", TIME, nullable=False),
        sa.Column("file_no", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("holes", sa.JSON(), nullable=True),
        sa.Column("stored_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observation.id"], name=op.f("fk_footage_observation_id_observation")
        ),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorder.id"], name=op.f("fk_footage_recorder_id_recorder")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_footage_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_footage")),
        sa.UniqueConstraint("file_no", name=op.f("uq_footage_file_no")),
        sa.UniqueConstraint("observation_id", name=op.f("uq_footage_observation_id")),
    )
    op.create_index(op.f("ix_footage_card_instance_path_hash"), "footage", ["card_instance", "path_hash"], unique=False)
    op.create_index(op.f("ix_footage_sha256_size"), "footage", ["sha256", "size"], unique=False)
    op.create_index(op.f("ix_footage_visit_id"), "footage", ["visit_id"], unique=False)


def _make_transfer() -> None:
    op.create_table(
        "transfer",
        sa.Column("observation_id", KEY, nullable=False),
        sa.Column("visit_id", KEY, nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("temp", sa.Text(), nullable=True),
        sa.Column("final", sa.Text(), nullable=True),
        sa.Column("file_no", sa.String(length=64), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("verified_via", sa.String(length=16), nullable=True),
        sa.Column("verified_at", TIME, nullable=True),
        sa.Column("holes", sa.JSON(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "outcome IN ('stored', 'stored_damaged', 'already_stored', 'unreadable', 'skipped')",
            name=op.f("ck_transfer_outcome"),
        ),
        sa.CheckConstraint(
            "state IN ('planned', 'copying', 'verified', 'stored', 'done')", name=op.f("ck_transfer_state")
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observation.id"], name=op.f("fk_transfer_observation_id_observation")
        ),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_transfer_visit_id_visit")),
        sa.PrimaryKeyConstraint("observation_id", name=op.f("pk_transfer")),
    )
    op.create_index(
        "ix_transfer_copying",
        "transfer",
        ["observation_id"],
        unique=False,
        sqlite_where=sa.text("state IN ('copying', 'verified')"),
        postgresql_where=sa.text("state IN ('copying', 'verified')"),
    )
    op.create_index(op.f("ix_transfer_file_no"), "transfer", ["file_no"], unique=False)
    op.create_index("ix_transfer_temp", "transfer", ["temp"], unique=True)
    op.create_index(op.f("ix_transfer_visit_id_state"), "transfer", ["visit_id", "state"], unique=False)


def _make_journal() -> None:
    op.create_table(
        "journal",
        sa.Column("observation_id", KEY, nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("prefix_sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["transfer.observation_id"], name=op.f("fk_journal_observation_id_transfer")
        ),
        sa.PrimaryKeyConstraint("observation_id", "offset", name=op.f("pk_journal")),
    )


def _make_location() -> None:
    op.create_table(
        "location",
        sa.Column("id", KEY, nullable=False),
        sa.Column("footage_id", KEY, nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("stored_at", TIME, nullable=False),
        sa.Column("verified_at", TIME, nullable=False),
        sa.Column("verified_via", sa.String(length=16), nullable=False),
        sa.CheckConstraint("state IN ('present', 'missing', 'altered')", name=op.f("ck_location_state")),
        sa.ForeignKeyConstraint(["footage_id"], ["footage.id"], name=op.f("fk_location_footage_id_footage")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_location")),
        sa.UniqueConstraint("path", name=op.f("uq_location_path")),
    )
    op.create_index(op.f("ix_location_footage_id"), "location", ["footage_id"], unique=False)
    op.create_index(op.f("ix_location_verified_at"), "location", ["verified_at"], unique=False)


RECORD: tuple[sa.Column[object], ...] = (
    sa.Column("id", KEY, nullable=False),
    sa.Column("file_no", sa.String(length=64), nullable=False),
    sa.Column("footage_id", KEY, nullable=False),
    sa.Column("visit_id", KEY, nullable=False),
    sa.Column("recorder_id", KEY, nullable=True),
    sa.Column("station_no", sa.String(length=64), nullable=False),
    sa.Column("media_type", sa.String(length=16), nullable=False),
    sa.Column("place_on_card", sa.String(length=16), nullable=False),
    sa.Column("original_path", sa.LargeBinary(), nullable=False),
    sa.Column("original_name", sa.Text(), nullable=False),
    sa.Column("other_names", sa.JSON(), nullable=False),
    sa.Column("sequence", sa.String(length=32), nullable=True),
    sa.Column("docked_at", TIME, nullable=False),
    sa.Column("stored_at", TIME, nullable=False),
    sa.Column("revision", sa.Integer(), nullable=False),
    sa.Column("title", sa.Text(), nullable=True),
    sa.Column("used_from", TIME, nullable=True),
    sa.Column("used_to", TIME, nullable=True),
    sa.Column("time_basis", sa.String(length=128), nullable=False),
    sa.Column("time_flags", sa.JSON(), nullable=False),
    sa.Column("other_ends", sa.JSON(), nullable=False),
    sa.Column("raw_from", TIME, nullable=True),
    sa.Column("raw_to", TIME, nullable=True),
    sa.Column("clock_offset_s", sa.Double(), nullable=True),
    sa.Column("witnessed_from", TIME, nullable=True),
    sa.Column("witnessed_to", TIME, nullable=True),
    sa.Column("party", sa.Text(), nullable=True),
    sa.Column("case_cause", sa.Text(), nullable=True),
    sa.Column("case_no", sa.String(length=128), nullable=True),
    sa.Column("officers", sa.JSON(), nullable=False),
    sa.Column("owner_state", sa.String(length=16), nullable=False),
    sa.Column("officer_candidates", sa.JSON(), nullable=False),
    sa.Column("case_candidates", sa.JSON(), nullable=False),
    sa.Column("basis", sa.JSON(), nullable=False),
    sa.Column("tags_complete", sa.Boolean(), nullable=False),
    sa.Column("act_type", sa.String(length=32), nullable=True),
    sa.Column("stage", sa.String(length=32), nullable=True),
    sa.Column("step", sa.String(length=32), nullable=True),
    sa.Column("matter", sa.Text(), nullable=True),
    sa.Column("place", sa.Text(), nullable=True),
    sa.Column("method", sa.String(length=64), nullable=True),
    sa.Column("party_notified", sa.String(length=8), nullable=True),
    sa.Column("points", sa.JSON(), nullable=False),
    sa.Column("important_mark", sa.Boolean(), nullable=False),
    sa.Column("confidentiality", sa.String(length=32), nullable=True),
    sa.Column("retention_class", sa.String(length=64), nullable=True),
    sa.Column("retention_by_hand", sa.String(length=64), nullable=True),
    sa.Column("retain_until", TIME, nullable=True),
    sa.Column("is_evidence", sa.Boolean(), nullable=False),
    sa.Column("disc_no", sa.String(length=64), nullable=True),
    sa.Column("archived_on", TIME, nullable=True),
    sa.Column("remark", sa.Text(), nullable=True),
    sa.Column("session_id", sa.BigInteger(), nullable=True),
    sa.Column("deadline_at", TIME, nullable=True),
    sa.Column("original_deadline_at", TIME, nullable=True),
    sa.Column("late", sa.Boolean(), nullable=True),
    sa.Column("late_kind", sa.String(length=16), nullable=True),
    sa.Column("judge_reason", sa.String(length=64), nullable=True),
    sa.Column("overdue_s", sa.BigInteger(), nullable=False),
    sa.Column("exception_id", KEY, nullable=True),
    sa.Column("probed_at", TIME, nullable=True),
    sa.Column("duration_s", sa.Double(), nullable=True),
    sa.Column("facts", sa.JSON(), nullable=False),
)


def _make_record() -> None:
    op.create_table(
        "record",
        *RECORD,
        sa.CheckConstraint("late_kind IN ('docked', 'stored')", name=op.f("ck_record_late_kind")),
        sa.CheckConstraint(
            "media_type IN ('video', 'audio', 'photo', 'log', 'sidecar', 'thumbnail', 'config', 'other')",
            name=op.f("ck_record_media_type"),
        ),
        sa.CheckConstraint("owner_state IN ('assigned', 'unassigned', 'conflict')", name=op.f("ck_record_owner_state")),
        sa.CheckConstraint(
            "place_on_card IN ('normal', 'temp', 'trash', 'recovered', 'system')", name=op.f("ck_record_place_on_card")
        ),
        sa.ForeignKeyConstraint(["exception_id"], ["exception.id"], name=op.f("fk_record_exception_id_exception")),
        sa.ForeignKeyConstraint(["footage_id"], ["footage.id"], name=op.f("fk_record_footage_id_footage")),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorder.id"], name=op.f("fk_record_recorder_id_recorder")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_record_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record")),
        sa.UniqueConstraint("file_no", name=op.f("uq_record_file_no")),
        sa.UniqueConstraint("footage_id", name=op.f("uq_record_footage_id")),
    )
    op.create_index(op.f("ix_record_case_no"), "record", ["case_no"], unique=False)
    op.create_index(op.f("ix_record_exception_id"), "record", ["exception_id"], unique=False)
    op.create_index(op.f("ix_record_recorder_id_used_from"), "record", ["recorder_id", "used_from"], unique=False)
    op.create_index(op.f("ix_record_recorder_id_witnessed_to"), "record", ["recorder_id", "witnessed_to"], unique=False)
    op.create_index(op.f("ix_record_session_id"), "record", ["session_id"], unique=False)
    op.create_index(op.f("ix_record_stored_at"), "record", ["stored_at"], unique=False)
    op.create_index(
        "ix_record_unassigned",
        "record",
        ["stored_at"],
        unique=False,
        sqlite_where=sa.text("owner_state <> 'assigned' AND media_type IN ('video', 'audio', 'photo')"),
        postgresql_where=sa.text("owner_state <> 'assigned' AND media_type IN ('video', 'audio', 'photo')"),
    )
    op.create_index(op.f("ix_record_tags_complete_stored_at"), "record", ["tags_complete", "stored_at"], unique=False)
    op.create_index(op.f("ix_record_used_from"), "record", ["used_from"], unique=False)
    op.create_index(op.f("ix_record_visit_id"), "record", ["visit_id"], unique=False)
    op.create_index(op.f("ix_record_witnessed_to"), "record", ["witnessed_to"], unique=False)


def _make_alert() -> None:
    op.create_table(
        "alert",
        sa.Column("id", KEY, nullable=False),
        sa.Column("station_no", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("about", sa.String(length=128), nullable=False),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("opened_at", TIME, nullable=False),
        sa.Column("visit_id", KEY, nullable=True),
        sa.Column("record_id", KEY, nullable=True),
        sa.Column("recorder_id", KEY, nullable=True),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("repeated_at", TIME, nullable=True),
        sa.Column("acknowledged_at", TIME, nullable=True),
        sa.Column("acknowledged_by", sa.String(length=128), nullable=True),
        sa.Column("acknowledge_note", sa.Text(), nullable=True),
        sa.Column("closed_at", TIME, nullable=True),
        sa.Column("closed_by", sa.String(length=128), nullable=True),
        sa.Column("close_note", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('open', 'acknowledged', 'closed')", name=op.f("ck_alert_state")),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_alert_record_id_record")),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorder.id"], name=op.f("fk_alert_recorder_id_recorder")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_alert_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alert")),
    )
    op.create_index(op.f("ix_alert_kind_about"), "alert", ["kind", "about"], unique=False)
    op.create_index(
        "ix_alert_open_about",
        "alert",
        ["station_no", "kind", "about"],
        unique=True,
        sqlite_where=sa.text("state <> 'closed'"),
        postgresql_where=sa.text("state <> 'closed'"),
    )
    op.create_index(op.f("ix_alert_record_id"), "alert", ["record_id"], unique=False)
    op.create_index(op.f("ix_alert_state_opened_at"), "alert", ["state", "opened_at"], unique=False)
    op.create_index(op.f("ix_alert_visit_id"), "alert", ["visit_id"], unique=False)


def _make_interruption() -> None:
    op.create_table(
        "interruption",
        sa.Column("id", KEY, nullable=False),
        sa.Column("station_no", sa.String(length=64), nullable=False),
        sa.Column("about", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("recorder_id", KEY, nullable=True),
        sa.Column("case_no", sa.String(length=128), nullable=True),
        sa.Column("before_record_id", KEY, nullable=True),
        sa.Column("after_record_id", KEY, nullable=True),
        sa.Column("from_at", TIME, nullable=False),
        sa.Column("to_at", TIME, nullable=True),
        sa.Column("severity", sa.String(length=16), nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=True),
        sa.Column("form", sa.String(length=16), nullable=True),
        sa.Column("position", sa.String(length=128), nullable=True),
        sa.Column("doc_no", sa.String(length=128), nullable=True),
        sa.Column("signed_by", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("decided_at", TIME, nullable=True),
        sa.Column("decided_by", sa.String(length=128), nullable=True),
        sa.CheckConstraint(
            "cause IN ('equipment', 'weather', 'obstruction', 'other')", name=op.f("ck_interruption_cause")
        ),
        sa.CheckConstraint("form IN ('voice', 'written')", name=op.f("ck_interruption_form")),
        sa.CheckConstraint("kind IN ('session', 'case')", name=op.f("ck_interruption_kind")),
        sa.CheckConstraint(
            "state IN ('open', 'explained', 'dismissed', 'withdrawn')", name=op.f("ck_interruption_state")
        ),
        sa.ForeignKeyConstraint(
            ["after_record_id"], ["record.id"], name=op.f("fk_interruption_after_record_id_record")
        ),
        sa.ForeignKeyConstraint(
            ["before_record_id"], ["record.id"], name=op.f("fk_interruption_before_record_id_record")
        ),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorder.id"], name=op.f("fk_interruption_recorder_id_recorder")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_interruption")),
        sa.UniqueConstraint("about", name=op.f("uq_interruption_about")),
    )
    op.create_index(op.f("ix_interruption_case_no"), "interruption", ["case_no"], unique=False)
    op.create_index(
        op.f("ix_interruption_recorder_id_from_at"), "interruption", ["recorder_id", "from_at"], unique=False
    )
    op.create_index(op.f("ix_interruption_state_from_at"), "interruption", ["state", "from_at"], unique=False)


def _make_review() -> None:
    op.create_table(
        "review",
        sa.Column("id", KEY, nullable=False),
        sa.Column("station_no", sa.String(length=64), nullable=False),
        sa.Column("recorder_id", KEY, nullable=True),
        sa.Column("cert_no", sa.String(length=64), nullable=True),
        sa.Column("case_no", sa.String(length=128), nullable=True),
        sa.Column("record_id", KEY, nullable=True),
        sa.Column("token", sa.String(length=64), nullable=True),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        sa.Column("from_at", TIME, nullable=True),
        sa.Column("to_at", TIME, nullable=True),
        sa.Column("why", sa.String(length=128), nullable=False),
        sa.Column("done_id", sa.BigInteger(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_review_record_id_record")),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorder.id"], name=op.f("fk_review_recorder_id_recorder")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_review")),
    )
    op.create_index(op.f("ix_review_station_no_id"), "review", ["station_no", "id"], unique=False)


def _make_clock_reading() -> None:
    op.create_table(
        "clock_reading",
        sa.Column("id", KEY, nullable=False),
        sa.Column("recorder_id", KEY, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("offset_s", sa.Double(), nullable=False),
        sa.Column("evidence", sa.String(length=16), nullable=False),
        sa.Column("at_least", sa.Boolean(), nullable=False),
        sa.Column("set_after", sa.Boolean(), nullable=False),
        sa.Column("visit_id", KEY, nullable=True),
        sa.Column("record_id", KEY, nullable=True),
        sa.Column("person", sa.String(length=128), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint(
            "evidence IN ('driver', 'clerk', 'gps', 'future_file')", name=op.f("ck_clock_reading_evidence")
        ),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_clock_reading_record_id_record")),
        sa.ForeignKeyConstraint(["recorder_id"], ["recorder.id"], name=op.f("fk_clock_reading_recorder_id_recorder")),
        sa.ForeignKeyConstraint(["visit_id"], ["visit.id"], name=op.f("fk_clock_reading_visit_id_visit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clock_reading")),
    )
    op.create_index(op.f("ix_clock_reading_recorder_id_at"), "clock_reading", ["recorder_id", "at"], unique=False)


def _make_record_officer() -> None:
    op.create_table(
        "record_officer",
        sa.Column("record_id", KEY, nullable=False),
        sa.Column("cert_no", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_record_officer_record_id_record")),
        sa.PrimaryKeyConstraint("record_id", "cert_no", name=op.f("pk_record_officer")),
    )
    op.create_index(op.f("ix_record_officer_cert_no"), "record_officer", ["cert_no"], unique=False)


def _make_record_token() -> None:
    op.create_table(
        "record_token",
        sa.Column("record_id", KEY, nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_record_token_record_id_record")),
        sa.PrimaryKeyConstraint("record_id", "token", name=op.f("pk_record_token")),
    )
    op.create_index(op.f("ix_record_token_token"), "record_token", ["token"], unique=False)


def _make_revision() -> None:
    op.create_table(
        "revision",
        sa.Column("id", KEY, nullable=False),
        sa.Column("record_id", KEY, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("why", sa.String(length=128), nullable=False),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_revision_record_id_record")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_revision")),
        sa.UniqueConstraint("record_id", "number", name=op.f("uq_revision_record_id_number")),
    )


def _make_sidecar() -> None:
    op.create_table(
        "sidecar",
        sa.Column("id", KEY, nullable=False),
        sa.Column("record_id", KEY, nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("written_at", TIME, nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_sidecar_record_id_record")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sidecar")),
        sa.UniqueConstraint("path", name=op.f("uq_sidecar_path")),
        sa.UniqueConstraint("record_id", "revision", name=op.f("uq_sidecar_record_id_revision")),
    )


def _make_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", KEY, nullable=False),
        sa.Column("station_no", sa.String(length=64), nullable=False),
        sa.Column("alert_id", KEY, nullable=True),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("why", sa.String(length=16), nullable=False),
        sa.Column("device_no", sa.String(length=64), nullable=True),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("not_before", TIME, nullable=False),
        sa.Column("sent_at", TIME, nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('new', 'waiting', 'sending', 'sent', 'failed')", name=op.f("ck_outbox_state")),
        sa.ForeignKeyConstraint(["alert_id"], ["alert.id"], name=op.f("fk_outbox_alert_id_alert")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_alert_id"), "outbox", ["alert_id"], unique=False)
    columns = ["station_no", "state", "channel"]
    op.create_index(op.f("ix_outbox_station_no_state_channel"), "outbox", columns, unique=False)
