"""What Dagster shows of each day of a run, noted for all days at once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg
from dagster._core.execution.context.metadata_logging import AssetMetadataHandle, OutputMetadataAccumulator


def show_days(context: dg.AssetExecutionContext, asset: dg.AssetKey, days: Mapping[date, Mapping[str, Any]]) -> None:
    """Adds metadata to the materialisation of each day, as ``context.add_asset_metadata`` does for one.

    That one lists the run's partitions and copies all that was added before, each time: a year of eight assets is
    four million copies.
    """
    step = context.get_step_execution_context()
    noted = dict(step._metadata_accumulator.per_output_metadata)
    for day, metadata in days.items():
        handle = AssetMetadataHandle(asset_key=asset, partition_key=day.isoformat())
        noted[handle] = {**noted.get(handle, {}), **metadata}
    step._metadata_accumulator = OutputMetadataAccumulator(per_output_metadata=noted)
