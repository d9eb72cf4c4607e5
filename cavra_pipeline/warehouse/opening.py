"""Chooses the warehouse of a home: its DuckDB file, or the lake that ``CAVRA_WAREHOUSE_URL`` names."""

from __future__ import annotations

from pathlib import Path

from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse.base import Keeper, Warehouse
from cavra_pipeline.warehouse.connection import FileWarehouse
from cavra_pipeline.warehouse.session import Memory


def open_warehouse(
    settings: Settings, *, keeper: Keeper | None = None, memory: Memory | None = None, is_borrowed: bool = False
) -> Warehouse:
    """Returns the warehouse that the settings name, with their limits.

    Args:
        settings: The home.
        keeper: Rebuilds it; None for one that is filled by its caller.
        memory: What readers have worked out from the evidence, or None to work everything out each time.
        is_borrowed: Whether it is only read, and neither made nor rebuilt.

    Raises:
        UsageError: The address of a lake is not whole, or the packages that it needs are not installed.
    """
    if settings.warehouse_address is None:
        return FileWarehouse(
            settings.warehouse,
            settings.busy_wait_seconds,
            settings.threads,
            settings.memory_limit,
            memory,
            keeper,
            is_borrowed,
        )
    # Only here: the file needs nothing of it.
    from cavra_pipeline.warehouse.lake import LakeWarehouse
    from cavra_pipeline.warehouse.lake_address import lake_at

    return LakeWarehouse(
        lake_at(settings.warehouse_address, settings.data_address, settings.threads, settings.memory_limit),
        state_of(settings),
        settings.busy_wait_seconds,
        memory,
        keeper,
        is_borrowed,
    )


def scratch_warehouse(settings: Settings, path: Path) -> FileWarehouse:
    """Returns a file beside the home's warehouse with the limits of the settings, which no one rebuilds."""
    return FileWarehouse(path, settings.busy_wait_seconds, settings.threads, settings.memory_limit)
