"""Opens the warehouse of a home: the file and the limits that the settings name."""

from __future__ import annotations

from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse.connection import Warehouse


def warehouse_of(settings: Settings) -> Warehouse:
    """Returns the home's warehouse with the limits of the settings."""
    return Warehouse(settings.warehouse, settings.busy_wait_seconds, settings.threads, settings.memory_limit)
