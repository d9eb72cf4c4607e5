"""Writes the data dictionary, ``docs/data-dictionary.md``, from the comments of a new warehouse; run as ``python -m``.

The page has a diagram of how the tables belong together and a list of the columns of each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cavra_pipeline.warehouse.catalog import KEYS, RELATIONS, TABLES, VIEWS
from cavra_pipeline.warehouse.connection import FileWarehouse

_PACKAGE: Final = "cavra_pipeline.warehouse"
_OPENING: Final = """# Data dictionary

*For data engineers.* Tables and views of the [warehouse](warehouse.md), made from the comments in its schema;
a test keeps this page true.
To rewrite it: `python -m cavra_pipeline.warehouse.dictionary docs/data-dictionary.md`.

All instants are UTC, `TIMESTAMP` without a zone; days are UTC days. As DataFrames they have their zone
([pandas](pandas.md)). A column that a kind of record does not have is null.

## How they belong together

Each line names the columns that match. Boxes show keys only; the lists below have every column. An id that is named
need not be there: CAVRA may have written that record before the first import, or not at all."""
#: How often a row is named by rows of the other side: at most once, or any number of times.
_ENDS: Final = {True: "||--o|", False: "||--o{"}


def dictionary() -> str:
    """Returns the page."""
    with TemporaryDirectory() as folder:
        warehouse = FileWarehouse(Path(folder) / "warehouse.duckdb")
        with warehouse.writing("describe it"):
            pass
        with warehouse.reading() as session:
            columns = session.rows(_PACKAGE, "columns")
            comments = {str(row["name"]): str(row["comment"]) for row in session.rows(_PACKAGE, "table_comments")}
    by_table = {name: list(rows) for name, rows in groupby(columns, key=lambda row: str(row["table_name"]))}
    lines = [_OPENING, "", *_diagram(by_table)]
    for title, names in (("Views", VIEWS), ("Tables", ("evidence_records", *TABLES))):
        lines += ["", f"## {title}"]
        for name in names:
            lines += ["", *_listed(name, comments[name], by_table[name])]
    return "\n".join(lines) + "\n"


def _diagram(by_table: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    yield from ("```mermaid", "erDiagram")
    for relation in RELATIONS:
        said = f"{relation.verb} ({', '.join(relation.columns)})"
        yield f'    {relation.parent} {_ENDS[relation.is_single]} {relation.child} : "{said}"'
    for name in dict.fromkeys(name for relation in RELATIONS for name in (relation.parent, relation.child)):
        named = {column for each in RELATIONS if name in (each.parent, each.child) for column in each.columns}
        yield f"    {name} {{"
        for row in by_table[name]:
            column = str(row["column_name"])
            if column in KEYS[name] or column in named:
                mark = " PK" if column in KEYS[name] else " FK"
                yield f"        {str(row['data_type']).lower()} {column}{mark}"
        yield "    }"
    yield "```"


def _listed(name: str, comment: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from (f"### `{name}`", "", comment if comment.endswith("?") else f"{comment}.")
    if name in KEYS:
        yield f"Key: {', '.join(f'`{column}`' for column in KEYS[name])}."
    if name == "evidence":
        yield "It has the columns of [`evidence_records`](#evidence_records) without `is_current`, and `status`:"
        yield f"{next(row['comment'] for row in rows if row['column_name'] == 'status')}."
        return
    yield from ("", "| column | type | says |", "| --- | --- | --- |")
    for row in rows:
        yield f"| `{row['column_name']}` | {_type(str(row['data_type']))} | {row['comment']} |"


def _type(name: str) -> str:
    return name.replace("VARCHAR", "text").replace("STRUCT", "struct").lower().replace("bigint", "integer")


def main() -> None:
    """Rewrites the page given as the only argument."""
    Path(sys.argv[1]).write_text(dictionary(), encoding="utf-8")


if __name__ == "__main__":
    main()
