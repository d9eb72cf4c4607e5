"""Writes the data dictionary, ``docs/data-dictionary.md``, from the comments of a new warehouse; run as ``python -m``.

The page has a diagram of how the tables belong together and a list of the columns of each.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cavra_pipeline.warehouse.catalog import KEYS, TABLES, VIEWS
from cavra_pipeline.warehouse.connection import FileWarehouse

_PACKAGE: Final = "cavra_pipeline.warehouse"
_OPENING: Final = """# Data dictionary

*For data engineers.* Tables and views of the [warehouse](warehouse.md), made from the comments in its schema;
a test keeps this page true.
To rewrite it: `python -m tests.frames.dictionary docs/data-dictionary.md`.

All instants are UTC, `TIMESTAMP` without a zone; days are UTC days. As DataFrames they have their zone
([pandas](pandas.md)). A column that a kind of record does not have is null.

## How they belong together

Each line names the columns that match. Boxes show keys only; the lists below have every column. An id that is named
need not be there: CAVRA may have written that record before the first import, or not at all."""
#: Comments of every table and view of the file.
_COMMENTS: Final = (
    "SELECT table_name, comment FROM duckdb_tables() WHERE database_name = current_database() "
    "UNION ALL "
    "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal AND database_name = current_database()"
)
#: How often a row is named by rows of the other side: at most once, or any number of times.
_ENDS: Final = {True: "||--o|", False: "||--o{"}


@dataclass(frozen=True, slots=True)
class Relation:
    """How rows of two tables belong together.

    Attributes:
        parent: Table of which each row is named by any number of rows of the other.
        child: The other table.
        columns: The columns that match.
        verb: What ``parent`` does to ``child``, for the diagram.
        is_single: Whether at most one row names each.
    """

    parent: str
    child: str
    columns: tuple[str, ...]
    verb: str
    is_single: bool = False


def _relation(parent: str, child: str, columns: str, verb: str, is_single: bool = False) -> Relation:
    return Relation(parent, child, tuple(columns.split()), verb, is_single)


def _kinds_of_evidence() -> Iterator[Relation]:
    for name in VIEWS:
        if KEYS[name] == ("session_id",) and name not in ("evidence", "watchable_records"):
            yield _relation("evidence", name, "session_id", "is", is_single=True)


RELATIONS: Final = (
    _relation("drops", "evidence_records", "drop_day file_name", "holds"),
    _relation("drops", "quarantine", "drop_day file_name", "holds"),
    _relation("drops", "findings", "drop_day file_name", "holds"),
    _relation("evidence_records", "evidence", "drop_day file_name line_number", "is current as", is_single=True),
    *_kinds_of_evidence(),
    _relation("evidence", "recoveries", "session_id", "opens"),
    _relation("deliveries", "delivery_outcomes", "session_id", "ends in"),
    _relation("retry_plans", "executions", "retry_plan_id", "decides"),
    _relation("escalation_plans", "escalation_routes", "session_id", "names"),
    _relation("recoveries", "escalation_routes", "playbook_id provider", "is named in"),
    _relation("recoveries", "recovery_closures", "playbook_id provider", "is closed by"),
)


def dictionary() -> str:
    """Returns the page."""
    with TemporaryDirectory() as folder:
        warehouse = FileWarehouse(Path(folder) / "warehouse.duckdb")
        with warehouse.writing("describe it"):
            pass
        with warehouse.reading() as session:
            columns = session.rows(_PACKAGE, "columns")
            comments = {str(name): str(comment) for name, comment in session.tuples(_COMMENTS)}
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
