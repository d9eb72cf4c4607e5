"""Creates the first tables, by frozen statements of each database."""

from alembic import op

from cavra_pipeline.sql import statement

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates every table of this revision."""
    connection = op.get_bind()
    script = statement("cavra_pipeline.state.migrations", f"r0001_{connection.dialect.name}")
    for one in script.split(";\n"):
        if one.strip():
            connection.exec_driver_sql(one)
