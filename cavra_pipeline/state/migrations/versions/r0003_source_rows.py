"""Adds the records of the newest pull of a source, by frozen statements of each database."""

from importlib.resources import files

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the columns of this revision."""
    connection = op.get_bind()
    name = f"r0003_{connection.dialect.name}.ddl"
    script = files("cavra_pipeline.state.migrations").joinpath("ddl", name).read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
