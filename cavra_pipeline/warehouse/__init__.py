"""The DuckDB file: connection, transaction, schema. No rule of a report lives here."""

from cavra_pipeline.warehouse.connection import Session, Warehouse, WarehouseBusy

__all__ = ["Session", "Warehouse", "WarehouseBusy"]
