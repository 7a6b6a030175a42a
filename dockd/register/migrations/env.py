"""Runs the revisions on the connection it is handed, inside that connection's transaction."""

from alembic import context
from sqlalchemy import Connection

from dockd.register.tables import Table


def migrate(connection: Connection) -> None:
    """Brings the schema to the revision that alembic was asked for; committing is the caller's."""
    context.configure(connection=connection, target_metadata=Table.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


migrate(context.config.attributes["connection"])
