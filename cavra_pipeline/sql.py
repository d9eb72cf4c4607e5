"""Reads the SQL that stands in ``.sql`` files, one statement each. Values are bound, never written into the text."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files


@cache
def _text(package: str, name: str) -> str:
    return files(package).joinpath("sql", f"{name}.sql").read_text(encoding="utf-8")


def statement(package: str, name: str, **parts: str) -> str:
    """Returns the statement of that name in the package's ``sql`` folder.

    Args:
        package: The package that owns the statement, such as ``cavra_pipeline.retry``.
        name: File name without ``.sql``.
        parts: Text for each ``{{placeholder}}``: column lists made from declared tables, never data.
    """
    text = _text(package, name)
    for placeholder, part in parts.items():
        text = text.replace("{{" + placeholder + "}}", part)
    return text


def literal(text: str) -> str:
    """Returns the text as an SQL string literal, for constants that DuckDB does not take as parameters."""
    return "'" + text.replace("'", "''") + "'"


def literals(texts: Iterable[str]) -> str:
    """Returns what stands between the brackets of ``IN (...)``; of no text it holds none."""
    return ", ".join(map(literal, texts)) or "NULL"
