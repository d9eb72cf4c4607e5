"""Creates the first tables, by frozen statements of each database."""

from sqlalchemy import Connection

from cavra_pipeline.state.migrations import run_statements

revision = "0001"
down_revision = None


def upgrade(connection: Connection) -> None:
    """Creates every table of this revision."""
    run_statements(connection, revision)
