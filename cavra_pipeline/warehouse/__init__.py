"""The DuckDB file, derived from the landing zone: connection, transaction, schema. No rule of a report lives here."""

from cavra_pipeline.warehouse.connection import Warehouse, WarehouseBusy
from cavra_pipeline.warehouse.session import Memory, Rows, Session, lane_counts

__all__ = ["Memory", "Rows", "Session", "Warehouse", "WarehouseBusy", "lane_counts"]
