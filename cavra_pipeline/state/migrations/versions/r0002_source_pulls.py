"""Creates the table of pulls of sources, by frozen statements of each database."""

from sqlalchemy import Connection

from cavra_pipeline.state.migrations import run_statements

revision = "0002"
down_revision = "0001"


def upgrade(connection: Connection) -> None:
    """Creates the table of this revision."""
    run_statements(connection, revision)
