"""A page of records is found in indexes that hold what it may be asked for, in the order of pages, and nothing else.

They take the place of the one that held the parties alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"

WRITTEN = ("title", "party", "case_cause", "matter", "place")
MARKS = ("used_from", "used_to", "media_type", "act_type", "stage", "retention_class")
MORE_MARKS = ("late", "is_evidence", "tags_complete", "case_no")


def upgrade() -> None:
    """An index for each text, one for texts that none of these takes, and one for all that is no text."""
    op.drop_index("ix_record_party", "record")
    op.drop_index("ix_record_many_parties", "record")
    for name in WRITTEN:
        _make_partial_index(f"ix_record_by_{name}", ["id", name], f"length({name}) <= 500")
    _make_partial_index("ix_record_by_long", ["id"], " OR ".join(f"length({name}) > 500" for name in WRITTEN))
    op.create_index("ix_record_by_marks", "record", ["id", *MARKS, *MORE_MARKS], unique=False)


def _make_partial_index(name: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, "record", columns, unique=False, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    """There is no way back: an upgrade leaves a backup beside the register."""
    raise NotImplementedError
