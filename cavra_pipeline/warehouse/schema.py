"""The warehouse's schema. Tables are made from the declared fields; views are ``.sql`` files.

There are no migrations: a warehouse of another version is rebuilt from what it is derived from. What one of the two
kinds of warehouse refuses is chosen here, by ``Storage``, and nowhere else.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Final

import duckdb

from cavra_pipeline.boundary.fields import LISTS, Listed
from cavra_pipeline.boundary.kinds import COLUMNS
from cavra_pipeline.errors import PipelineError
from cavra_pipeline.lanes import LANES_OF_NEW_SUBJECTS
from cavra_pipeline.sql import literal, literals, statement
from cavra_pipeline.warehouse.catalog import EVIDENCE_RECORDS, TABLES, VIEWS, comment_on
from cavra_pipeline.warehouse.session import Session

_PACKAGE: Final = "cavra_pipeline.warehouse"

#: Derived columns of the evidence table, beside those that hold declared fields: name, type, meaning.
DERIVED: Final = (
    ("record_type", "VARCHAR", "Table the record belongs to; null for an unknown kind"),
    ("lane", "VARCHAR", "Retry ladder it belongs to"),
    ("subject", "VARCHAR", "What is delivered, executed or acknowledged: the lane's subject"),
    (
        "outcomes",
        "STRUCT(provider VARCHAR, is_failed BOOLEAN, status_code BIGINT)[]",
        "Delivery outcome by provider",
    ),
    ("dropped_field_count", "BIGINT", "Fields outside the allowlist that were left out"),
    ("drop_day", "DATE", "UTC day of the landing file; the Dagster partition"),
    ("file_name", "VARCHAR", "Name of the landing file"),
    ("line_number", "BIGINT", "Line in the landing file"),
    ("is_current", "BOOLEAN", "Whether this is the newest version of its session_id"),
    ("session_key", "BIGINT", "63 bits of the MD5 of session_id, by which other versions are found"),
    ("subject_key", "BIGINT", "63 bits of the MD5 of subject, by which a subject's history is found"),
)


def _type_of(listed: Listed) -> str:
    return "STRUCT(" + ", ".join(f"{member.column} {member.type.sql}" for member in listed.members) + ")[]"


#: Every column of ``evidence_records`` in order: name, DuckDB type, comment.
EVIDENCE_COLUMNS: Final = (
    *((field.column, field.type.sql, field.comment) for field in COLUMNS.values()),
    *((column, _type_of(listed), listed.comment) for column, listed in LISTS.items()),
    *DERIVED,
)

#: Texts of which hardly two are the same, and numbers that hardly repeat.
_UNIQUE: Final = frozenset({"session_id", "event_id", "execution_hash"})
_VARIED: Final = frozenset({"line_number", "session_key", "subject_key"})

#: Raised by each release that changes a table, a view or a macro: files of another version are rebuilt.
VERSION: Final = 17

#: Macros that reports ask by, in the order in which they are created.
MACROS: Final = (
    "numbered",
    "records_up_to",
    "retry_edges",
    "subject_roots",
    "attributed_outcomes",
    "attributed_records",
    "failing_states",
    "failing_pairs",
    "newest_acknowledgements",
)


@dataclass(frozen=True, slots=True)
class Storage:
    """What a kind of warehouse takes of the schema.

    Attributes:
        compresses: Whether a column may name its compression; Parquet files choose their own.
        comments_on_view_columns: Whether the columns of a view may have comments.
        had_a_row: Whether every table must have had a row. A lake's catalog has statistics of those only; for another
            DuckDB asks it in vain for each column that a statement names, which takes seconds.
    """

    compresses: bool
    comments_on_view_columns: bool
    had_a_row: bool


IN_FILE: Final = Storage(compresses=True, comments_on_view_columns=True, had_a_row=False)
IN_LAKE: Final = Storage(compresses=False, comments_on_view_columns=False, had_a_row=True)
#: A value of each type that a column may hold; where there is none it is null.
_VALUES: Final = {
    "VARCHAR": "''",
    "BIGINT": "0",
    "INTEGER": "0",
    "BOOLEAN": "false",
    "DATE": "DATE '1970-01-01'",
    "TIMESTAMP": "TIMESTAMP '1970-01-01'",
}


def _compression(name: str, type_: str) -> str:
    """How a column is stored, so that DuckDB need not try every way on each (docs/decisions/0005-ingest-speed.md)."""
    if type_ == "VARCHAR":
        return " USING COMPRESSION zstd" if name in _UNIQUE else " USING COMPRESSION dict_fsst"
    return " USING COMPRESSION rle" if type_ == "BIGINT" and name not in _VARIED else ""


def create(session: Session, storage: Storage) -> None:
    """Creates every table, view and macro in an empty warehouse, in the open transaction, with comments on them."""
    _create_tables(session, storage)
    _comment(session, storage)


def drop(session: Session) -> None:
    """Removes every table and view, in the open transaction; macros are replaced when they are created."""
    for name in reversed(VIEWS):
        session.execute(f"DROP VIEW IF EXISTS {name}")
    for name in (*TABLES, "evidence_records"):
        session.execute(f"DROP TABLE IF EXISTS {name}")


@cache
def declared_columns() -> Mapping[str, tuple[tuple[str, str, str], ...]]:
    """Returns the columns of every table and view in order: name, DuckDB type, comment. No file is opened for it."""
    with duckdb.connect(config={"threads": 1}) as connection:
        session = Session(connection)
        _create_tables(session, IN_FILE)
        columns = session.rows(_PACKAGE, "columns")
    fields = _field_comments()
    return {
        table: tuple(
            (str(row["column_name"]), str(row["data_type"]), comment_on(table, str(row["column_name"]), fields))
            for row in rows
        )
        for table, rows in groupby(columns, key=lambda row: str(row["table_name"]))
    }


#: Views whose rows are records of ``evidence``, one each: their columns are made of its columns alone.
PROJECTIONS: Final = ("deliveries", "acknowledgements", "retry_plans", "worker_runs", "executions")


@cache
def projected_columns() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Returns, for each projection of ``evidence``, the columns of it that each column is made of."""
    columns_by_view = {}
    with duckdb.connect(config={"threads": 1}) as connection:
        for name in PROJECTIONS:
            _, select = statement(_PACKAGE, f"view_{name}").split(" AS\n", 1)
            ((parsed,),) = connection.execute("SELECT json_serialize_sql(?)", [select]).fetchall()
            columns = json.loads(parsed)["statements"][0]["node"]["select_list"]
            columns_by_view[name] = {
                column["alias"] or column["column_names"][-1]: tuple(_columns_in(column)) for column in columns
            }
    return columns_by_view


def _columns_in(parsed: object) -> Iterator[str]:
    """The names of columns that an expression reads, as DuckDB has parsed it."""
    if isinstance(parsed, dict) and parsed.get("class") == "COLUMN_REF":
        yield parsed["column_names"][-1]
    elif isinstance(parsed, dict | list):
        for node in parsed.values() if isinstance(parsed, dict) else parsed:
            yield from _columns_in(node)


def _create_tables(session: Session, storage: Storage) -> None:
    for name in TABLES:
        session.run(_PACKAGE, f"create_{name}")
    columns = ", ".join(
        f"{name} {type_}{_compression(name, type_) if storage.compresses else ''}"
        for name, type_, _ in EVIDENCE_COLUMNS
    )
    session.execute(f"CREATE TABLE evidence_records ({columns})")
    if storage.had_a_row:
        _fill_once(session)
    session.run(_PACKAGE, "insert_identity", {"schema_version": VERSION, "warehouse_id": uuid.uuid4().hex})
    # Views, other macros and statements are written with these.
    session.run(_PACKAGE, "macro_key_of")
    session.run(_PACKAGE, "macro_provider_name")
    session.run(_PACKAGE, "macro_status_of_execution")
    session.run(_PACKAGE, "macro_has_new_subjects", lanes_of_new_subjects=literals(LANES_OF_NEW_SUBJECTS))
    for name in VIEWS:
        session.run(_PACKAGE, f"view_{name}")
    for name in MACROS:
        session.run(_PACKAGE, f"macro_{name}")


def _fill_once(session: Session) -> None:
    """Inserts a row into every table and deletes it again."""
    for table, rows in groupby(session.rows(_PACKAGE, "columns"), key=lambda row: str(row["table_name"])):
        values = ", ".join(_VALUES.get(str(row["data_type"]), "NULL") for row in rows)
        session.run(_PACKAGE, "insert_once", table=table, values=values)
        session.run(_PACKAGE, "empty_table", table=table)


def _comment(session: Session, storage: Storage) -> None:
    for kind, comments in (("TABLE", {**TABLES, "evidence_records": EVIDENCE_RECORDS}), ("VIEW", VIEWS)):
        for name, comment in comments.items():
            session.execute(f"COMMENT ON {kind} {name} IS {literal(comment)}")
    fields = _field_comments()
    for row in session.rows(_PACKAGE, "columns"):
        table, column = str(row["table_name"]), str(row["column_name"])
        if table in VIEWS and not storage.comments_on_view_columns:
            continue
        session.execute(f'COMMENT ON COLUMN {table}."{column}" IS {literal(comment_on(table, column, fields))}')


def _field_comments() -> dict[str, str]:
    return {name: comment for name, _, comment in EVIDENCE_COLUMNS}


@dataclass(frozen=True, slots=True)
class Identity:
    """Which warehouse a file is.

    Attributes:
        warehouse_id: Given when it was made.
        commit_number: How many transactions were committed since.
        is_current: Whether it has this release's schema. One that has not is rebuilt.
    """

    warehouse_id: str
    commit_number: int
    is_current: bool = True


class OldWarehouse(PipelineError):
    """The file holds state of its own, as files of an earlier release do."""


def identity_of(session: Session, *, where: str) -> Identity:
    """Returns which warehouse the open file is.

    Raises:
        PipelineError: It was written by a newer release, or by one that stored state in it.
    """
    try:
        ((version, warehouse_id, commit_number),) = session.tuples("FROM identity")
    except duckdb.CatalogException:
        if session.tuples("SELECT 1 FROM duckdb_tables() WHERE table_name = 'schema_version'"):
            raise OldWarehouse(
                "the warehouse is of a release that stored alerts, claims and reports in it",
                where=where,
                remedy="Run: cavra-pipeline upgrade",
            ) from None
        raise
    if int(str(version)) > VERSION:
        raise PipelineError(
            f"the warehouse has schema version {version}, this release reads up to {VERSION}",
            where=where,
            remedy="Upgrade cavra-pipeline, or use another CAVRA_HOME",
        )
    return Identity(str(warehouse_id), int(str(commit_number)), int(str(version)) == VERSION)


def count_commit(session: Session) -> None:
    """Counts the open transaction."""
    session.run(_PACKAGE, "count_commit")
