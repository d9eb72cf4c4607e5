"""An open connection to the warehouse: statements from ``.sql`` files, their rows, and tables lent to them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from cavra_pipeline.errors import OutOfMemory, PipelineError, TransientError, UsageError
from cavra_pipeline.sql import statement

_PACKAGE: Final = "cavra_pipeline.warehouse"


def lane_counts() -> str:
    """Returns the columns that count a lane's records, for the statements of reports and of prunings."""
    return statement(_PACKAGE, "columns_lane_counts")


@dataclass(frozen=True, slots=True)
class Rows:
    """A few rows to lend to statements, with the DuckDB type of each column.

    Attributes:
        types: DuckDB type of each column, in order.
        rows: The rows.
    """

    types: Mapping[str, str]
    rows: Sequence[tuple[object, ...]]


class Memory:
    """Remembers answers about one state of the evidence; whoever wants to share answers shares it."""

    def __init__(self) -> None:
        self._marked_cache: tuple[str, dict[Hashable, Any]] = ("", {})

    def of(self, mark: str) -> dict[Hashable, Any]:
        """Returns the cache for the evidence with this mark, and forgets that of any other."""
        if self._marked_cache[0] != mark:
            self._marked_cache = (mark, {})
        return self._marked_cache[1]


class Session:
    """An open connection. Statements come from ``.sql`` files and take their values as parameters."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, memory: Memory | None = None, *, is_reader: bool = False
    ) -> None:
        """Wraps a connection.

        Args:
            connection: The connection.
            memory: What earlier readers have worked out, if this one shares it.
            is_reader: Whether the evidence stays as it is while the session is open, so that answers can be kept.
        """
        self._connection = connection
        self._memory = memory
        self._cache: dict[Hashable, Any] | None = {} if is_reader and memory is None else None

    def run(self, package: str, name: str, parameters: dict[str, object] | None = None, **parts: str) -> None:
        """Runs a statement for its effect."""
        self._execute(statement(package, name, **parts), parameters)

    def rows(
        self, package: str, name: str, parameters: dict[str, object] | None = None, **parts: str
    ) -> list[dict[str, object]]:
        """Returns every row of a statement as a dict by column name."""
        return list(self.stream(package, name, parameters, **parts))

    def stream(
        self, package: str, name: str, parameters: dict[str, object] | None = None, **parts: str
    ) -> Iterator[dict[str, Any]]:
        """Yields the rows of a statement a thousand at a time, for results too large to hold."""
        result = self._execute(statement(package, name, **parts), parameters)
        names = [column[0] for column in result.description or ()]
        while True:
            with _failures():
                rows = result.fetchmany(1000)
            if not rows:
                return
            yield from (dict(zip(names, row, strict=True)) for row in rows)

    def tuples(self, sql: str, parameters: dict[str, object] | None = None) -> list[tuple[object, ...]]:
        """Returns every row of a short query that is written where it is asked."""
        result = self._execute(sql, parameters)
        with _failures():
            return result.fetchall()

    def arrow(self, sql: str, parameters: Mapping[str, object]) -> pa.Table:
        """Returns the answer to a query that a caller wrote, whole.

        Raises:
            UsageError: DuckDB does not take the query.
            PipelineError: DuckDB can't answer it, as for a file that the query reads. It says nothing of the warehouse.
        """
        # Else a name that is no table could be a variable of whoever called.
        self.execute("SET python_enable_replacements = false")
        with _failures():
            try:
                return self._connection.sql(sql, params=dict(parameters) or None).to_arrow_table()
            except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
                # These say what stands in the query and the schema; what the others say may hold a value.
                first, *more = str(error).splitlines()
                near = next((line for line in more if line.startswith(("Did you mean", "Candidate bindings"))), "")
                near = near.replace("Candidate bindings: ", "Did you mean one of ")
                near = f"{near.removesuffix('?')}?" if near else ""
                raise _refused_query(first.partition(" Error: ")[2].rstrip(".!"), near) from None
            except (duckdb.ConversionException, duckdb.InvalidInputException, duckdb.OutOfRangeException) as error:
                raise _refused_query(
                    f"a value can't be converted or is out of range ({type(error).__name__})"
                ) from None
            except (duckdb.OutOfMemoryException, duckdb.InterruptException):
                raise
            except duckdb.Error as error:
                raise PipelineError(
                    f"DuckDB can't answer it ({type(error).__name__})",
                    where="the query",
                    remedy="Check the files that it reads; where it reads tables alone, the warehouse may be damaged",
                ) from None

    def cache(self) -> dict[Hashable, Any]:
        """Returns the mutable cache for the evidence that a reader sees; to a writer, an empty dict each time."""
        if self._cache is None:
            if self._memory is None:
                return {}
            self._cache = self._memory.of(str(self.rows(_PACKAGE, "evidence_mark")[0]["mark"]))
        return self._cache

    def execute(self, sql: str) -> None:
        """Runs a statement that is made from a declared table, such as a table's definition."""
        self._execute(sql, None)

    def interrupt(self) -> None:
        """Ends the statement that runs, from another thread."""
        self._connection.interrupt()

    @contextmanager
    def staged(self, **tables: pa.Table | pa.RecordBatchReader | Rows) -> Iterator[None]:
        """Stages tables for the statements run inside, under their names."""
        for name, table in tables.items():
            if isinstance(table, Rows):
                self._make(name, table)
            else:
                self._connection.register(name, table)
        try:
            yield
        finally:
            # An aborted transaction refuses this too; the failure that aborted it is the one to show.
            with suppress(duckdb.TransactionException):
                for name, table in tables.items():
                    if isinstance(table, Rows):
                        self.run(_PACKAGE, "drop_staged", table=name)
                    else:
                        self._connection.unregister(name)

    @contextmanager
    def kept(self, package: str, name: str, parameters: dict[str, object]) -> Iterator[None]:
        """Keeps the answer to a statement under its name for the statements run inside, so that it is read once."""
        self._execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {statement(package, name)}", parameters)
        try:
            yield
        finally:
            with suppress(duckdb.TransactionException):
                self.run(_PACKAGE, "drop_staged", table=name)

    def _make(self, name: str, table: Rows) -> None:
        columns = ", ".join(f"unnest(${column}::{type_}[]) AS {column}" for column, type_ in table.types.items())
        values = zip(*table.rows, strict=True) if table.rows else [()] * len(table.types)
        lists: dict[str, object] = {
            column: list(of_column) for column, of_column in zip(table.types, values, strict=True)
        }
        self.run(_PACKAGE, "create_staged", lists, table=name, columns=columns)

    def _execute(self, sql: str, parameters: dict[str, object] | None) -> duckdb.DuckDBPyConnection:
        with _failures():
            return self._connection.execute(sql, parameters) if parameters else self._connection.execute(sql)


@contextmanager
def _failures() -> Iterator[None]:
    """Turns what DuckDB raises into errors of ours where its text may show a value, or where somebody can act."""
    try:
        yield
    except duckdb.ConversionException as error:
        raise RuntimeError(f"a statement failed ({type(error).__name__})") from None
    except duckdb.OutOfMemoryException:
        raise OutOfMemory("the warehouse") from None
    except duckdb.InterruptException:
        raise TransientError(
            "the question took too long", where="the warehouse", remedy="Ask for less, or repeat it later"
        ) from None


def _refused_query(what: str, near: str = "") -> UsageError:
    remedy = "Correct it; docs/data-dictionary.md lists tables and columns"
    return UsageError(what, where="the query", remedy=f"{near} {remedy}".strip())
