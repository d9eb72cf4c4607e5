"""Migrations of the state database: a revision each in ``versions``, whose statements lie frozen in ``ddl``."""

from importlib.resources import files

from sqlalchemy import Connection


def run_statements(connection: Connection, revision: str) -> None:
    """Runs the statements of a revision for the database at hand.

    Args:
        connection: A connection to it, in a transaction.
        revision: Its number, such as ``0002``.
    """
    name = f"r{revision}_{connection.dialect.name}.ddl"
    script = files(__name__).joinpath("ddl", name).read_text(encoding="utf-8")
    for statement in script.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
