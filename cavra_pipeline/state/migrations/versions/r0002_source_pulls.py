"""Creates the table of pulls of sources, by frozen statements of each database."""

from importlib.resources import files

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Creates the table of this revision."""
    connection = op.get_bind()
    name = f"r0002_{connection.dialect.name}.ddl"
    script = files("cavra_pipeline.state.migrations").joinpath("ddl", name).read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
