"""Metadata of assets: tables, texts, the days of a run. Dagster would obey Markdown, and shows these as is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

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


def show_days(context: dg.AssetExecutionContext, asset: dg.AssetKey, days: Mapping[date, Mapping[str, Any]]) -> None:
    """Adds metadata to the materialisation of each day, as ``context.add_asset_metadata`` does for one.

    That one lists the run's partitions and copies all that was added before, each time: a year of eight assets is
    four million copies. Where Dagster's internals are others than these were written for, it is called all the same.
    """
    try:
        from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator

        step = context.get_step_execution_context()
        noted = dict(step._metadata_accumulator.per_output_metadata)
        for day, metadata in days.items():
            handle = AssetMetadataHandle(asset_key=asset, partition_key=day.isoformat())
            noted[handle] = {**noted.get(handle, {}), **metadata}
        step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata=noted)
    except (ImportError, AttributeError, TypeError):
        for day, metadata in days.items():
            context.add_asset_metadata(metadata, asset_key=asset, partition_key=day.isoformat())
