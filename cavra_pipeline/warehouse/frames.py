"""DataFrames of answers: instants with their zone, numbers and booleans that may be missing, lists as Python lists.

The warehouse holds every instant in UTC without a zone; here it gets it. pandas is loaded when it is first needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from cavra_pipeline.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@contextmanager
def as_python() -> Iterator[None]:
    """Refuses an answer with a value that Python, or a Parquet file, has no type for; also as a decorator.

    Raises:
        UsageError: There is such a value.
    """
    try:
        yield
    except (OverflowError, pa.ArrowNotImplementedError) as error:
        is_date = isinstance(error, OverflowError)
        what = "an instant is outside the years 1 to 9999" if is_date else "a column has a type that Parquet lacks"
        raise UsageError(what, where="the query", remedy="Cast it to text: CAST(... AS VARCHAR)") from None


def in_utc(table: pa.Table) -> pa.Table:
    """Returns the table with every instant in UTC, also inside lists, and with whole numbers that fit as integers."""
    columns = [_cast(column) for column in table.columns]
    return pa.Table.from_arrays(columns, names=table.column_names)


def _cast(column: Any) -> Any:
    wanted = _zoned(column.type)
    if pa.types.is_decimal(column.type) and column.type.scale == 0:
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            return column
    return column if wanted == column.type else column.cast(wanted)


def _zoned(type_: Any) -> Any:
    if pa.types.is_timestamp(type_) and type_.tz is None:
        return pa.timestamp(type_.unit, "UTC")
    if pa.types.is_list(type_):
        return pa.list_(_zoned(type_.value_type))
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(_zoned(field.type)) for field in type_])
    return type_


@as_python()
def to_frame(table: pa.Table) -> pd.DataFrame:
    """Returns an answer as a DataFrame.

    Whole numbers are ``Int64``, booleans ``boolean``, instants ``datetime64[us, UTC]``, days ``datetime64`` without a
    zone, texts ``str``; a list or an object is a Python list or dict, or None.
    """
    import pandas as pd

    def dtype(type_: Any) -> Any:
        if pa.types.is_boolean(type_):
            return pd.BooleanDtype()
        return pd.Int64Dtype() if pa.types.is_integer(type_) else None

    nested = [number for number, type_ in enumerate(table.schema.types) if pa.types.is_nested(type_)]
    flat = in_utc(table.select([number for number in range(table.num_columns) if number not in nested]))
    frame: pd.DataFrame = flat.to_pandas(types_mapper=dtype, date_as_object=False)
    for number in nested:
        values = [value for chunk in table.column(number).chunks for value in _values(chunk)]
        series = pd.Series(values, dtype=object, index=frame.index)
        frame.insert(number, table.column_names[number], series, allow_duplicates=True)
    return frame


def _values(array: Any) -> list[Any]:
    """Python values of an array; pyarrow would take them one by one, which is ten times as slow for instants."""
    if pa.types.is_list(array.type):
        values = iter(_values(array.flatten()))
        lengths = array.value_lengths().to_pylist()
        return [None if length is None else list(islice(values, length)) for length in lengths]
    if pa.types.is_struct(array.type):
        names = [field.name for field in array.type]
        members = zip(*map(_values, array.flatten()), strict=True)
        is_there = array.is_valid().to_pylist()
        rows = zip(is_there, members, strict=True)
        return [dict(zip(names, row, strict=True)) if there else None for there, row in rows]
    if pa.types.is_timestamp(array.type):
        microseconds = array.cast(pa.timestamp("us", array.type.tz)).cast(pa.int64()).to_pylist()
        return [None if each is None else _EPOCH + timedelta(microseconds=each) for each in microseconds]
    return list(array.to_pylist())
