"""Typed rows: lines of JSON that passed the boundary, as Arrow tables with one column for each declared field.

DuckDB reads lines kind by kind, from memory, and one SQL statement says what a record means: its lane, its subject
and its outcomes. Both paths of the boundary, the fast and the slow one, end here (docs/decisions/0005-ingest-speed.md).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import IO, Any, Final

import duckdb
import pyarrow as pa

from cavra_pipeline.boundary.allowlist import allowlist_of
from cavra_pipeline.boundary.fields import LISTS, Field, Listed, Type
from cavra_pipeline.boundary.kinds import COLUMNS, DELIVERY_KIND, KINDS, fields_of, lists_of
from cavra_pipeline.boundary.parsing import MAX_LINE_BYTES
from cavra_pipeline.errors import os_error_named
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.sql import literal, statement

_PACKAGE: Final = "cavra_pipeline.evidence"
#: Stands for every kind that is not declared: its records have the envelope only.
UNKNOWN_KIND: Final = ""

_ARROW_TYPES: Final = {
    Type.STRING: pa.string(),
    Type.ACTOR: pa.string(),
    Type.INTEGER: pa.int64(),
    Type.NUMBER: pa.float64(),
    Type.BOOLEAN: pa.bool_(),
    Type.TIMESTAMP: pa.timestamp("us"),
    Type.STRINGS: pa.list_(pa.string()),
    Type.INTEGERS: pa.list_(pa.int64()),
}
_ENTRIES: Final = {
    column: pa.list_(pa.struct([(member.column, _ARROW_TYPES[member.type]) for member in listed.members]))
    for column, listed in LISTS.items()
}
_OUTCOME: Final = pa.struct([("provider", pa.string()), ("is_failed", pa.bool_()), ("status_code", pa.int64())])

#: A row: the number of its line, every declared column, the lists of objects, what the record means,
#: and how many fields were left out of it. An unknown kind has no record type.
ROW_SCHEMA: Final = pa.schema([
    ("line_number", pa.int64()),
    *((name, _ARROW_TYPES[field.type]) for name, field in COLUMNS.items()),
    *_ENTRIES.items(),
    ("record_type", pa.string()),
    ("lane", pa.string()),
    ("subject", pa.string()),
    ("outcomes", pa.list_(_OUTCOME)),
    ("dropped_field_count", pa.int64()),
])  # fmt: skip
# Made of no batches: `empty_table` would import pandas, with every command.
NO_ROWS: Final = pa.Table.from_batches([], schema=ROW_SCHEMA)

#: No line may stay in a cache, or be written to a folder for what does not fit into memory.
_CONFIGURATION: Final[dict[str, Any]] = {
    "threads": 1,
    "enable_external_file_cache": False,
    "temp_directory": "",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
}
#: Columns that a kind does not have are slices of one array of nulls.
_NULL_ROWS: Final = 131_072
_WRITE_BYTES: Final = 1024 * 1024
#: The subject of these records stands in the lane's subject field.
_ABOUT_A_SUBJECT: Final = ("execution", "acknowledgement", "approval")


@dataclass(slots=True)
class Lines:
    """Lines of one kind that are to become rows.

    Attributes:
        numbers: The number of each line.
        dropped: How many fields were left out of each line; none of any if the list is empty.
        texts: All of them in order, one or more in each buffer: UTF-8, every line ended by a newline.
    """

    numbers: list[int] = field(default_factory=list)
    dropped: list[int] = field(default_factory=list)
    texts: list[bytes | memoryview] = field(default_factory=list)


class RecordTables:
    """Makes typed rows of lines. One thread at a time may use it."""

    def __init__(self) -> None:
        self._connection = duckdb.connect(config=_CONFIGURATION)
        # The session's time zone decides what a timestamp with an offset becomes.
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute(statement("cavra_pipeline.warehouse", "macro_provider_name"))

    def of_kind(self, kind: str, lines: Lines, *, is_exact: bool = True) -> tuple[pa.Table, Any]:
        """Reads lines of one kind; each is a JSON object.

        Args:
            kind: A declared kind, or ``UNKNOWN_KIND``.
            lines: The lines, in order.
            is_exact: Whether each line is known to hold declared keys only, each once and of its type. If not, a value
                of another type is read as null, and of a key that stands there twice the first value is read.

        Returns:
            Their rows in that order, and as a NumPy array how many declared keys of each are not null.

        Raises:
            ValueError: The lines can't be read so; the message holds nothing of them.
        """
        query = _query(kind).replace("{{ignore_errors}}", str(not is_exact))
        with _file_of(lines.texts) as path:
            try:
                read = self._connection.sql(query.replace("{{path}}", path)).to_arrow_table()
            except duckdb.Error as error:
                raise ValueError(f"lines that passed can't be read: {type(error).__name__}") from None
        if len(read) != len(lines.numbers):
            raise ValueError(f"{len(lines.numbers)} lines became {len(read)} rows")
        read_columns = {name: read.column(name) for name in read.column_names}
        read_columns["line_number"] = pa.array(lines.numbers, pa.int64())
        read_columns["dropped_field_count"] = pa.array(lines.dropped or [0] * len(read), pa.int64())
        columns = [
            read_columns[column.name].cast(column.type)
            if column.name in read_columns
            else nulls(column.type, len(read))
            for column in ROW_SCHEMA
        ]
        return pa.Table.from_arrays(columns, schema=ROW_SCHEMA), read.column("key_count").to_numpy()

    def of_kinds(self, kinds: Mapping[str, Lines]) -> pa.Table:
        """Reads lines of several kinds, as ``of_kind`` does."""
        return pa.concat_tables([NO_ROWS, *(self.of_kind(kind, lines)[0] for kind, lines in kinds.items())])


def nulls(type_: pa.DataType, size: int) -> pa.ChunkedArray:
    """Returns a column of nulls that takes no memory of its own."""
    whole, rest = divmod(size, _NULL_ROWS)
    some = _null_array(type_)
    return pa.chunked_array([some] * whole + [some.slice(0, rest)], type_)


@cache
def _null_array(type_: pa.DataType) -> pa.Array:
    return pa.nulls(_NULL_ROWS, type_)


@contextmanager
def _file_of(texts: Iterable[bytes | memoryview]) -> Iterator[str]:
    """Yields the path of a file with these lines that has no name and is gone when the process is.

    It lies in memory where the system can do so (Linux); else it is unlinked before its first byte is written.

    Raises:
        PipelineError: It can't be written.
    """
    file: IO[bytes]
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("lines"), "wb", _WRITE_BYTES)
    else:
        file = tempfile.TemporaryFile(buffering=_WRITE_BYTES)  # noqa: SIM115 -- closed below
    with (
        os_error_named(
            "lines can't be written to it",
            where="a temporary file",
            remedy="Free some disk space, or raise the limit on the size of files (ulimit -f), then repeat",
        ),
        file,
    ):
        file.writelines(texts)
        file.flush()
        yield f"/dev/fd/{file.fileno()}"


def _typed_key(key: str, node: Any) -> str:
    """A declared key and its DuckDB type, as a member of a structure."""
    name = key.removesuffix("[]")
    if isinstance(node, Field):
        # With its zone a timestamp keeps its offset.
        return f'"{name}" {"TIMESTAMPTZ" if node.type is Type.TIMESTAMP else node.type.sql}'
    members = ", ".join(_typed_key(*member) for member in node.items())
    return f'"{name}" STRUCT({members}){"[]" if name != key else ""}'


def _key_count(tree: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """SQL expressions that sum up to how many declared keys of a line are not null."""
    for key, node in tree.items():
        here = f'{path}"{key.removesuffix("[]")}"'
        yield f"({here} IS NOT NULL)::BIGINT"
        if key.endswith("[]"):
            members = " + ".join(_key_count(node, "d."))
            yield f"coalesce(list_sum(list_transform({here}, lambda d: {members})), 0)"
        elif not isinstance(node, Field):
            yield from _key_count(node, f"{here}.")


def _column(declared: Field, place: str) -> str:
    if declared.type is Type.TIMESTAMP:
        return f"{place}::TIMESTAMP"
    return f"nullif({place}, '')" if declared.type is Type.ACTOR else place


def _columns(fields: Sequence[Field]) -> Iterator[str]:
    for declared in fields:
        if "[]" not in declared.path:
            yield f"{_column(declared, _place(declared.path))} AS {declared.column}"


def _place(path: str) -> str:
    return ".".join(f'"{key}"' for key in path.split("."))


def _entries(listed: Listed) -> str:
    members = ", ".join(f"'{member.column}': {_column(member, f'd.{member.column}')}" for member in listed.members)
    return f"list_transform({_place(listed.path)}, lambda d: {{ {members} }}) AS {listed.column}"


def _by_lane(of: Mapping[str, str]) -> str:
    return " ".join(f"WHEN {literal(value)} THEN {result}" for value, result in of.items()) + " ELSE NULL"


def subject_of(fields: Iterable[str]) -> str:
    """Returns the SQL expression of a subject: the first of these columns that is not empty.

    An ``event_id`` that only names the type of the event is none (contract section 4).
    """
    named = ("nullif(event_id, event_type)" if name == "event_id" else name for name in fields)
    return f"coalesce({', '.join(f'''nullif({name}, '')''' for name in named)})"


@cache
def _query(kind: str) -> str:
    """The statement that reads lines of a kind and says what each record means."""
    fields, tree = fields_of(kind), allowlist_of(kind).tree
    lines = statement(
        _PACKAGE,
        "read_lines",
        shape=", ".join(f"{literal(key)}: {literal(type_)}" for key, type_ in _top_level(tree)),
        columns=", ".join((*_columns(fields), *(_entries(LISTS[column]) for column in lists_of(kind)))),
        key_count=" + ".join(_key_count(tree)),
        max_bytes=str(2 * MAX_LINE_BYTES),
    )
    if kind == DELIVERY_KIND:
        return statement(
            _PACKAGE,
            "read_deliveries",
            lines=lines,
            lane=_by_lane({lane.delivery_source: literal(name) for name, lane in LANES.items()}),
            subject=_by_lane({name: subject_of(lane.subject_fields) for name, lane in LANES.items()}),
        )
    declared = KINDS.get(kind)
    lane = LANES[declared.lane] if declared and declared.lane else None
    return statement(
        _PACKAGE,
        "read_others",
        lines=lines,
        record_type=literal(declared.record_type) if declared else "NULL",
        lane=literal(lane.name) if lane else "NULL",
        subject=_subject(declared.record_type if declared else "", lane),
    )


def _subject(record_type: str, lane: Lane | None) -> str:
    return subject_of([lane.subject_field]) if lane and record_type in _ABOUT_A_SUBJECT else "NULL"


def _top_level(tree: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, node in tree.items():
        name, type_ = _typed_key(key, node).split(" ", 1)
        yield name.strip('"'), type_
