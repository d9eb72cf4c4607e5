"""Migrations of the state database: a revision each in ``versions``, whose statements lie frozen in ``ddl``."""

from importlib.resources import files

from alembic import op


def run_statements(revision: str) -> None:
    """Runs the statements of a revision for the database at hand.

    Args:
        revision: Its number, such as ``0002``.
    """
    connection = op.get_bind()
    name = f"r{revision}_{connection.dialect.name}.ddl"
    script = files(__name__).joinpath("ddl", name).read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
