"""Creates the tables of segments and of the commit log, by frozen statements of each database."""

from sqlalchemy import Connection

from cavra_pipeline.state.migrations import run_statements

revision = "0004"
down_revision = "0003"


def upgrade(connection: Connection) -> None:
    """Creates the tables of this revision."""
    run_statements(connection, revision)
