"""Adds the records of the newest pull of a source, by frozen statements of each database."""

from sqlalchemy import Connection

from cavra_pipeline.state.migrations import run_statements

revision = "0003"
down_revision = "0002"


def upgrade(connection: Connection) -> None:
    """Adds the columns of this revision."""
    run_statements(connection, revision)
