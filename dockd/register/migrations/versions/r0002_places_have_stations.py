"""A place in a store names its station: several stations of one register have a store each.

And indexes: a month's figures, what was revised lately and a party are found without a look at every record.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0002"
down_revision: str | None = "0001"


def upgrade() -> None:
    """Every place has the station of the visit that stored it there."""
    with op.batch_alter_table("location") as table:
        table.add_column(sa.Column("station_no", sa.String(length=64), nullable=True))
    op.execute(
        "UPDATE location SET station_no = (SELECT visit.station_no FROM footage JOIN visit "
        "ON visit.id = footage.visit_id WHERE footage.id = location.footage_id)"
    )
    # What was missing may have been stored again by another station than the first.
    op.execute(
        "UPDATE location SET station_no = again.station_no FROM (SELECT transfer.final AS path, visit.station_no "
        "FROM transfer JOIN visit ON visit.id = transfer.visit_id WHERE transfer.reason = 'stored_again') AS again "
        "WHERE again.path = location.path"
    )
    with op.batch_alter_table("location") as table:
        table.alter_column("station_no", existing_type=sa.String(length=64), nullable=False)
        table.drop_index(op.f("ix_location_verified_at"))
        table.create_index(op.f("ix_location_station_no_verified_at"), ["station_no", "verified_at"], unique=False)
    op.drop_index(op.f("ix_record_used_from"), "record")
    op.create_index(op.f("ix_record_used_from_docked_at"), "record", ["used_from", "docked_at"], unique=False)
    few, many = sa.text("length(party) <= 500"), sa.text("length(party) > 500")
    op.create_index("ix_record_party", "record", ["party", "id"], sqlite_where=few, postgresql_where=few)
    op.create_index("ix_record_many_parties", "record", ["id"], sqlite_where=many, postgresql_where=many)
    op.create_index(op.f("ix_revision_at"), "revision", ["at"], unique=False)


def downgrade() -> None:
    """There is no way back: an upgrade leaves a backup beside the register."""
    raise NotImplementedError
