"""The warehouse, derived from the landing zone: a DuckDB file or a lake. No rule of a report lives here."""

from cavra_pipeline.warehouse.base import Warehouse, WarehouseBusy, WriteConflict, repeated
from cavra_pipeline.warehouse.connection import FileWarehouse
from cavra_pipeline.warehouse.session import Memory, Rows, Session, lane_counts

__all__ = [
    "FileWarehouse",
    "Memory",
    "Rows",
    "Session",
    "Warehouse",
    "WarehouseBusy",
    "WriteConflict",
    "lane_counts",
    "repeated",
]
