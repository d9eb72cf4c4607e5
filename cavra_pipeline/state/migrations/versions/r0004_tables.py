"""Creates the tables, by frozen statements of each database."""

from sqlalchemy import Connection

from cavra_pipeline.state.migrations import run_statements

revision = "0004"
down_revision = None


def upgrade(connection: Connection) -> None:
    """Creates every table."""
    run_statements(connection, revision)
