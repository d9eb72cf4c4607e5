"""Tables and texts for Dagster's metadata. Dagster shows both as they are; Markdown, it would obey."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import dagster as dg

from cavra_pipeline.escaping import visible

MOST_ROWS: Final = 50

Cell = str | int | float | bool | None


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], nothing: str) -> dg.MetadataValue:
    """Returns rows as table metadata, at most 50 and a last one that counts the others; a text where there are none.

    Args:
        columns: Names of the columns.
        rows: Cells in the order of the columns; each text is escaped.
        nothing: The text in place of a table without rows.
    """
    if not rows:
        return dg.MetadataValue.text(nothing)
    shown = [[_cell(value) for value in row] for row in rows[:MOST_ROWS]]
    if len(rows) > MOST_ROWS:
        shown.append([f"... and {len(rows) - MOST_ROWS:,} more", *[None] * (len(columns) - 1)])
    types = ["int" if all(isinstance(row[at], int) for row in shown) else "string" for at in range(len(columns))]
    return dg.MetadataValue.table(
        [dg.TableRecord(dict(zip(columns, row, strict=True))) for row in shown],
        schema=dg.TableSchema([dg.TableColumn(name, kind) for name, kind in zip(columns, types, strict=True)]),
    )


def _cell(value: object) -> Cell:
    return value if value is None or isinstance(value, bool | int | float) else visible(value)
