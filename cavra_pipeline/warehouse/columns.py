"""Arrow columns made of bare memory. Arrow's own ways load pandas first, to ask whether a list is one of its series."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 -- the warehouse keeps UTC without a zone
_MICROSECOND: Final = timedelta(microseconds=1)


def numbers(values: Iterable[int | None]) -> pa.Array:
    """Returns a column of whole numbers."""
    return _fixed(list(values), pa.int64())


def days(values: Iterable[date]) -> pa.Array:
    """Returns a column of days."""
    return _fixed([value.toordinal() - _EPOCH.toordinal() for value in values], pa.date32())


def moments(values: Iterable[datetime]) -> pa.Array:
    """Returns a column of instants, given in UTC without a zone."""
    return _fixed([(value - _EPOCH) // _MICROSECOND for value in values], pa.timestamp("us"))


def texts(values: Iterable[str | bytes | None]) -> pa.Array:
    """Returns a column of texts; bytes are UTF-8."""
    given = list(values)
    encoded = [value.encode() if isinstance(value, str) else value or b"" for value in given]
    ends = _buffer(np.cumsum([0, *map(len, encoded)]))
    return pa.Array.from_buffers(
        pa.large_string(), len(given), [_are_there(given), ends, pa.py_buffer(b"".join(encoded))]
    )


def lists(values: Any, ends: Any) -> pa.Array:
    """Returns a column of lists of whole numbers, each from one of the ends to the next; both are NumPy arrays."""
    items = pa.Array.from_buffers(pa.int64(), len(values), [None, _buffer(values)])
    kind = pa.large_list(pa.int64())
    return pa.Array.from_buffers(kind, len(ends) - 1, [None, _buffer(ends)], children=[items])


def table(columns: Mapping[str, pa.Array]) -> pa.Table:
    """Returns columns of one length as a table."""
    return pa.Table.from_arrays(list(columns.values()), names=list(columns))


def _fixed(values: Sequence[int | None], kind: pa.DataType) -> pa.Array:
    filled = np.array([value or 0 for value in values], dtype=f"i{kind.bit_width // 8}")
    return pa.Array.from_buffers(kind, len(values), [_are_there(values), _buffer(filled)])


def _are_there(values: Sequence[object]) -> pa.Buffer:
    return _buffer(np.packbits(np.array([value is not None for value in values], dtype=bool), bitorder="little"))


def _buffer(values: Any) -> pa.Buffer:
    return pa.py_buffer(values)
