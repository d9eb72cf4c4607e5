"""Where typed rows wait for their commit: in memory, past a limit in a file that has no name. Allowlisted fields only.

The file is unlinked before its first byte, so it is gone with the process, however that ends.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

import pyarrow as pa

from cavra_pipeline.errors import PipelineError

_COMPRESSION: Final = "lz4"
#: Rows in one row group of DuckDB. Batches of that size are taken in a third faster than ones a tenth of it.
ROWS_IN_A_GROUP: Final = 122_880


class Stage:
    """Rows in no certain order.

    Args:
        folder: Where the file is made, if one is needed.
        limit_bytes: Bytes of rows to hold in memory.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder, self._limit_bytes = folder, limit_bytes
        self._loose: list[pa.Table] = []
        self._held: list[pa.Table] = []
        self._held_bytes = 0
        self._file: IO[bytes] | None = None
        self._writer: Any = None

    def __enter__(self) -> Stage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loose, self._held = [], []
        if self._file:
            self._file.close()

    def add(self, rows: pa.Table) -> None:
        """Takes more rows.

        Raises:
            PipelineError: They have to go to the file and there is no room for it.
        """
        for batch in rows.to_batches():
            one = pa.Table.from_batches([batch])
            if len(batch) >= ROWS_IN_A_GROUP // 2:
                self._hold(one)
            else:
                self._loose.append(one)
        if sum(map(len, self._loose)) >= ROWS_IN_A_GROUP:
            self._join()

    def _join(self) -> None:
        """Makes one batch of the small ones."""
        joined = pa.concat_tables(self._loose) if self._loose else None
        self._loose = []
        if joined is not None and len(joined):
            self._hold(joined.combine_chunks())

    def _hold(self, rows: pa.Table) -> None:
        self._held.append(rows)
        self._held_bytes += rows.nbytes
        if self._held_bytes > self._limit_bytes:
            self._write_out()

    def _write_out(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 -- closed with the stage
                options = pa.ipc.IpcWriteOptions(compression=_COMPRESSION)
                self._writer = pa.ipc.new_stream(self._file, self._held[0].schema, options=options)
            for rows in self._held:
                self._writer.write_table(rows)
        except OSError as error:
            raise PipelineError(
                f"rows that wait for their commit can't be written ({error.strerror or type(error).__name__})",
                where=str(self._folder),
                remedy="Free some disk space and repeat; nothing of this drop was kept",
            ) from None
        self._held, self._held_bytes = [], 0

    def rows(self) -> pa.Table | pa.RecordBatchReader | None:
        """Returns all rows for one statement to read once, or None if there are none."""
        self._join()
        if self._file is None:
            return pa.concat_tables(self._held) if self._held else None
        self._write_out()
        self._writer.close()
        self._file.seek(0)
        return pa.ipc.open_stream(self._file)
