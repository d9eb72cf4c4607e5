"""The DuckDB file: connection, transaction, schema. No rule of a report lives here."""

from cavra_pipeline.warehouse.connection import Rows, Session, Warehouse, WarehouseBusy
from cavra_pipeline.warehouse.memory import Memory

__all__ = ["Memory", "Rows", "Session", "Warehouse", "WarehouseBusy"]
