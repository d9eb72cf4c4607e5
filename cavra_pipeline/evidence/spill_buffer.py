"""Buffers typed rows before their commit; above a limit they spill to a file without a name. Allowlisted fields only.

The file is unlinked before its first byte, so it is gone with the process, however that ends.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import pyarrow as pa

from cavra_pipeline.errors import os_error_named
from cavra_pipeline.evidence.rows import nulls

_COMPRESSION: Final = "lz4"
#: Rows in one row group of DuckDB. DuckDB reads batches of that size a third faster than ones a tenth of it.
ROWS_IN_A_GROUP: Final = 122_880


class SpillBuffer:
    """Rows in no certain order.

    Args:
        folder: Where the file is made, if one is needed.
        limit_bytes: Bytes of rows to hold in memory.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes
        #: Batches by which of their columns are null throughout: joined with others, nulls would take memory.
        self._loose: defaultdict[tuple[bool, ...], list[pa.RecordBatch]] = defaultdict(list)
        self._tables: list[pa.Table] = []
        self._table_bytes = 0
        self._file: IO[bytes] | None = None
        self._writer: Any = None

    def __enter__(self) -> SpillBuffer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loose.clear()
        self._tables = []
        if self._file:
            self._file.close()

    def add(self, rows: pa.Table) -> None:
        """Takes more rows.

        Raises:
            PipelineError: They have to go to the file and there is no room for it.
        """
        for batch in rows.to_batches():
            if len(batch):
                are_null = tuple(column.null_count == len(batch) for column in batch.columns)
                self._loose[are_null].append(batch)
                if sum(map(len, self._loose[are_null])) >= ROWS_IN_A_GROUP:
                    self._join(are_null)

    def _join(self, are_null: tuple[bool, ...]) -> None:
        """Makes one batch of small ones that are alike."""
        joined = pa.Table.from_batches(self._loose.pop(are_null))
        columns = [
            nulls(column.type, len(joined)) if is_null else column.combine_chunks()
            for column, is_null in zip(joined.columns, are_null, strict=True)
        ]
        self._tables.append(pa.Table.from_arrays(columns, schema=joined.schema))
        self._table_bytes += sum(
            column.nbytes for column, is_null in zip(columns, are_null, strict=True) if not is_null
        )
        if self._table_bytes > self._limit_bytes:
            self._write_out()

    def _write_out(self) -> None:
        with os_error_named(
            "rows that wait for their commit can't be written",
            where=self._folder,
            remedy="Free some disk space and repeat; nothing of this landing file was committed",
        ):
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 -- closed with the buffer
                options = pa.ipc.IpcWriteOptions(compression=_COMPRESSION)
                self._writer = pa.ipc.new_stream(self._file, self._tables[0].schema, options=options)
            for rows in self._tables:
                self._writer.write_table(rows)
        self._tables, self._table_bytes = [], 0

    def rows(self) -> pa.RecordBatchReader | None:
        """Returns all rows for one statement to read once, or None if there are none. What was read is let go of."""
        for are_null in list(self._loose):
            self._join(are_null)
        if self._file is None:
            tables, self._tables = self._tables, []
            return pa.RecordBatchReader.from_batches(tables[0].schema, _batches_of(tables)) if tables else None
        self._write_out()
        self._writer.close()
        self._file.seek(0)
        return pa.ipc.open_stream(self._file)


def _batches_of(tables: list[pa.Table]) -> Iterator[pa.RecordBatch]:
    while tables:
        yield from tables.pop(0).to_batches()
