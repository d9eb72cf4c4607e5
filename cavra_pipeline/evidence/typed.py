"""Typed rows: what the boundary let through, as Arrow tables with one column for each declared field.

Here they are made of records that the reference let through one by one, in ``blocks.py`` of whole blocks of lines.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.json

from cavra_pipeline.boundary.kinds import (
    COLUMNS,
    DELIVERIES_COLUMN,
    DELIVERIES_PATH,
    DELIVERY_MEMBERS,
    KINDS,
    Field,
    Type,
    fields_of,
)
from cavra_pipeline.boundary.verdict import Kept
from cavra_pipeline.evidence.meaning import meaning_of

ARROW_TYPES: Final = {
    Type.STRING: pa.string(),
    Type.ACTOR: pa.string(),
    Type.INTEGER: pa.int64(),
    Type.BOOLEAN: pa.bool_(),
    Type.TIMESTAMP: pa.timestamp("us"),
    Type.STRINGS: pa.list_(pa.string()),
    Type.INTEGERS: pa.list_(pa.int64()),
}
DELIVERY: Final = pa.struct([(name, ARROW_TYPES[member.type]) for name, member in DELIVERY_MEMBERS.items()])

OUTCOME: Final = pa.struct([("provider", pa.string()), ("is_failed", pa.bool_()), ("status_code", pa.int64())])

#: A row: the line it came of, every declared column, the list of a delivery's providers, what it means
#: (``meaning.py``), and how many fields were left out of it. An unknown kind has no record type.
TYPED: Final = pa.schema([
    ("line_number", pa.int64()),
    *((name, ARROW_TYPES[field.type]) for name, field in COLUMNS.items()),
    (DELIVERIES_COLUMN, pa.list_(DELIVERY)),
    ("record_type", pa.string()),
    ("lane", pa.string()),
    ("subject", pa.string()),
    ("outcomes", pa.list_(OUTCOME)),
    ("dropped_field_count", pa.int64()),
])  # fmt: skip


def column_of(numbers: npt.NDArray[np.int64]) -> pa.Array:
    """An Arrow array over whole numbers. Arrow's own ways between the two load pandas first, to ask whose they are."""
    return pa.Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])


def numbers_of(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """The whole numbers of a column, none of which is null."""
    parts = [np.frombuffer(one.buffers()[1], np.int64, len(one), 8 * one.offset) for one in column.chunks if len(one)]
    return np.concatenate([np.empty(0, np.int64), *parts])


def rows_of(kept: Mapping[int, Kept]) -> pa.Table:
    """Makes typed rows of records that the reference let through, by the numbers of their lines."""
    rows = [
        {
            "line_number": number,
            **(row := _row(one.record)),
            **meaning_of(row),
            "dropped_field_count": one.dropped_field_count,
        }
        for number, one in kept.items()
    ]
    if not rows:
        return pa.Table.from_batches([], TYPED)
    # By way of JSON, since to take lists as they are Arrow loads pandas first (docs/decisions/0005-ingest-speed.md).
    text = "\n".join(json.dumps(row, default=datetime.isoformat) for row in rows).encode()
    return pyarrow.json.read_json(
        io.BytesIO(text),
        pyarrow.json.ReadOptions(use_threads=False, block_size=len(text) + 1),
        pyarrow.json.ParseOptions(explicit_schema=TYPED, unexpected_field_behavior="error"),
    )


def _row(record: dict[str, Any]) -> dict[str, object]:
    row: dict[str, object] = {}
    for field in fields_of(str(record["metadata_kind"])):
        if not field.path.startswith(DELIVERIES_PATH):
            value = _at(record, field.path)
            if value is not None:
                row[field.column] = _typed(value, field)
    deliveries = _at(record, DELIVERIES_PATH.removesuffix("[]"))
    if deliveries is not None and record["metadata_kind"] in KINDS:
        row[DELIVERIES_COLUMN] = [
            {name: _typed(delivery.get(name), member) for name, member in DELIVERY_MEMBERS.items()}
            for delivery in deliveries
        ]
    return row


def _at(record: Any, path: str) -> Any:
    for key in path.split("."):
        if record is None:
            return None
        record = record.get(key)
    return record


def _typed(value: Any, field: Field) -> object:
    if field.type is Type.TIMESTAMP and value is not None:
        return datetime.fromisoformat(value).astimezone(UTC).replace(tzinfo=None)
    return None if field.type is Type.ACTOR and value == "" else value
