"""A question to the warehouse, a table's name or one query, answered as an Arrow table in a total order.

Every table that the query names shows only records up to ``as_of`` and of the requested landing days: temporary views
stand in for the tables. What DataFrames look like is in ``frames.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, TypedDict

import duckdb
import pyarrow as pa

from cavra_pipeline.documents import naive_utc, parse_as_of
from cavra_pipeline.errors import UsageError, use_one_of
from cavra_pipeline.sql import literal, statement
from cavra_pipeline.warehouse.catalog import IS_UNIQUE, KEYS
from cavra_pipeline.warehouse.session import Session

_PACKAGE: Final = "cavra_pipeline.warehouse"
#: The column that says when a row happened, the first that a table has.
_INSTANTS: Final = ("created_at", "opened_at")
_DAY: Final = "drop_day"
_AS_OF: Final = "as_of"

Columns = Mapping[str, tuple[str, ...]]


class Narrowing(TypedDict, total=False):
    """What narrows a question.

    Attributes:
        as_of: Only records created up to this instant, as every report has it; ISO-8601 text or a datetime, UTC if
            it has no offset. A query may use it as ``$as_of``. Tables without an instant go by their landing day.
        days: Only records of these landing days (Dagster's partitions): one day, or any number, as dates or YYYY-MM-DD.
        columns: Only these columns of a table, in this order.
        parameters: Values of the ``$name`` parameters of a query.
    """

    as_of: datetime | str | None
    days: date | str | Iterable[date | str] | None
    columns: Sequence[str] | None
    parameters: Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class _Query:
    """What a query says: its text, the tables it names, whether it orders its rows, and its parameters."""

    text: str
    tables: frozenset[str]
    qualified: frozenset[str]
    is_ordered: bool
    parameters: frozenset[str]


def read_table(session: Session, table_or_sql: str, narrowing: Narrowing) -> pa.Table:
    """Answers a question; rows are in one order, that of the query or else of all its columns.

    Args:
        session: A warehouse open for reading, used for nothing else: its tables stay narrowed.
        table_or_sql: Name of a table or view, or one SELECT statement.
        narrowing: What narrows it.

    Raises:
        UsageError: There is no such table or column, the query can't be run, or it can't be narrowed so.
    """
    tables = _columns(session)
    as_of = as_of_instant(narrowing.get("as_of"))
    days = requested_days(narrowing.get("days"))
    name = table_or_sql.strip()
    is_name = name.replace("_", "").isalnum()
    if is_name:
        query = _Query(
            _listing(name, tables, narrowing.get("columns")), frozenset({name}), frozenset(), True, frozenset()
        )
        if narrowing.get("parameters"):
            raise UsageError("a table takes no parameters", where=name, remedy="Give a query that uses them")
    else:
        query = _parsed(session, name)
        if narrowing.get("columns") is not None:
            raise UsageError("a query names its columns itself", where="columns", remedy="Leave columns out")
    _narrow(session, query, tables, as_of, days)
    values = {key: _bound(value) for key, value in (narrowing.get("parameters") or {}).items()}
    if _AS_OF in query.parameters and as_of is not None:
        values.setdefault(_AS_OF, naive_utc(as_of))
    _require_values(query, values)
    text = query.text if query.is_ordered else statement(_PACKAGE, "put_in_order", query=query.text)
    try:
        return session.arrow(text, values)
    except UsageError as error:
        # DuckDB guesses among its own tables too.
        for table in sorted(query.tables):
            if f"table with name {table} does" in error.what.lower():
                _named(table, tables, "table")
        raise


def as_of_instant(value: datetime | str | None) -> datetime | None:
    """Returns the instant in UTC; one without an offset is UTC.

    Raises:
        UsageError: It is not an ISO-8601 timestamp.
    """
    if value is None or isinstance(value, str):
        return parse_as_of(value) if value else None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def requested_days(value: date | str | Iterable[date | str] | None) -> list[date] | None:
    """Returns distinct days in order, or None for all.

    Raises:
        UsageError: One of them is no day.
    """
    if value is None:
        return None
    each: Iterable[date | str] = [value] if isinstance(value, date | str) else value
    try:
        return sorted({_day(day) for day in each})
    except (ValueError, TypeError):
        raise UsageError(
            "the value is not a day", where="days", remedy="Write days as YYYY-MM-DD, or give dates"
        ) from None


def _day(value: date | str) -> date:
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(value)


def _columns(session: Session) -> Columns:
    columns: dict[str, tuple[str, ...]] = {}
    for row in session.rows(_PACKAGE, "columns"):
        table = str(row["table_name"])
        columns[table] = (*columns.get(table, ()), str(row["column_name"]))
    return columns


def _listing(name: str, tables: Columns, columns: Sequence[str] | None) -> str:
    """The query that lists a table: by its instant, then its key, then, where rows may share that, everything."""
    there = _named(name, tables, "table")
    for column in columns or ():
        _named(column, dict.fromkeys(there), f"column of {name}")
    key = KEYS.get(name, ())
    rest = () if key in IS_UNIQUE else there
    order = ", ".join(dict.fromkeys((*(instant for instant in _INSTANTS if instant in there), *key, *rest)))
    selected = ", ".join(f'"{column}"' for column in (there if columns is None else columns))
    return statement(_PACKAGE, "list_table", table=name, columns=selected, order=order)


def _named(name: str, declared: Mapping[str, Any], what: str) -> Any:
    if name not in declared:
        remedy = use_one_of(name, sorted(declared), listed_in="docs/data-dictionary.md")
        raise UsageError(f"there is no such {what}", where=name[:80], remedy=remedy)
    return declared[name]


def _parsed(session: Session, text: str) -> _Query:
    ((serialized,),) = session.tuples("SELECT json_serialize_sql($text)", {"text": text})
    parsed = json.loads(str(serialized))
    if parsed["error"] or len(parsed["statements"]) != 1:
        is_misspelt = parsed.get("error_type") == "parser"
        raise UsageError(
            str(parsed["error_message"]).splitlines()[0] if is_misspelt else "it is not one SELECT statement",
            where="the query",
            remedy="Give the name of a table, or one SELECT statement",
        )
    (tree,) = parsed["statements"]
    nodes = list(_nodes(tree["node"]))
    tables = [node for node in nodes if node.get("type") == "BASE_TABLE"]
    return _Query(
        _without_end(text),
        frozenset(node["table_name"].lower() for node in tables),
        frozenset(node["table_name"].lower() for node in tables if node.get("schema_name") or node.get("catalog_name")),
        any(modifier["type"] == "ORDER_MODIFIER" for modifier in tree["node"]["modifiers"]),
        frozenset(node["identifier"] for node in nodes if node.get("class") == "PARAMETER"),
    )


def _without_end(text: str) -> str:
    """The statement without its semicolon and what follows, so that it can be put into another."""
    encoded = text.encode()
    ends = [offset for offset, _ in duckdb.tokenize(text) if encoded[offset : offset + 1] == b";"]
    return encoded[: min(ends, default=len(encoded))].decode()


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        tree = list(tree.values())
    if isinstance(tree, list):
        for node in tree:
            yield from _nodes(node)


def _narrow(session: Session, query: _Query, tables: Columns, as_of: datetime | None, days: list[date] | None) -> None:
    """Puts a temporary view of the same name before each table that the query names."""
    if as_of is None and days is None:
        return
    ((database,),) = session.tuples("SELECT current_database()")
    quoted = '"{}"'.format(str(database).replace('"', '""'))
    for table in sorted(query.tables & tables.keys()):
        if table in query.qualified:
            raise UsageError(
                "the query names the table with its schema, so as_of and days can't narrow it",
                where=table,
                remedy="Write the table's name alone",
            )
        conditions = [*_up_to(table, tables[table], as_of), *_of_days(table, tables[table], days)]
        session.run(_PACKAGE, "narrow", table=table, database=quoted, condition=" AND ".join(conditions))


def _up_to(table: str, columns: Sequence[str], as_of: datetime | None) -> Iterator[str]:
    if as_of is None:
        return
    for column in _INSTANTS:
        if column in columns:
            yield f"{column} <= TIMESTAMP {literal(naive_utc(as_of).isoformat(' '))}"
            return
    if _DAY not in columns:
        raise UsageError("the table has no instant to narrow by", where=table, remedy="Leave as_of out")
    yield f"{_DAY} <= DATE {literal(naive_utc(as_of).date().isoformat())}"


def _of_days(table: str, columns: Sequence[str], days: list[date] | None) -> Iterator[str]:
    if days is None:
        return
    if _DAY not in columns:
        raise UsageError("the table has no landing days to narrow by", where=table, remedy="Leave days out")
    if not days:
        yield "false"
    elif days[-1] - days[0] == timedelta(days=len(days) - 1):
        yield f"{_DAY} BETWEEN DATE {literal(days[0].isoformat())} AND DATE {literal(days[-1].isoformat())}"
    else:
        yield f"{_DAY} IN ({', '.join(f'DATE {literal(day.isoformat())}' for day in days)})"


def _bound(value: object) -> object:
    return naive_utc(value) if isinstance(value, datetime) and value.tzinfo else value


def _require_values(query: _Query, values: Mapping[str, object]) -> None:
    for name in sorted(query.parameters - values.keys()):
        remedy = "Give as_of" if name == _AS_OF else f"Give it: parameters={{'{name}': ...}}"
        raise UsageError("the parameter has no value", where=f"${name}", remedy=remedy)
    for name in sorted(values.keys() - query.parameters):
        raise UsageError("the query has no such parameter", where=f"${name[:80]}", remedy="Leave it out")
