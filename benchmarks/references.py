"""What our ingest is measured against: DuckDB's own load, and the loader that most people would write first."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import duckdb
import pandas as pd
from pydantic import BaseModel, ConfigDict

from cavra_pipeline.boundary.kinds import KINDS

#: The declared fields that the benchmark's records hold. Fewer columns make the reference faster, so none is added.
COLUMNS = {
    **dict.fromkeys(("schema_version", "product", "session_id", "signer", "metadata_kind"), "VARCHAR"),
    "created_at": "TIMESTAMP",
    **dict.fromkeys(("decision_count", "blocked_count", "approval_required_count"), "BIGINT"),
    **dict.fromkeys(("connector_delivery_source", "event_id", "event_type", "plan_id", "provider"), "VARCHAR"),
    "delivery_success": "BOOLEAN",
    "providers": "VARCHAR[]",
    "failed_providers": "VARCHAR[]",
    **dict.fromkeys(("attempt_count", "max_attempt_count"), "BIGINT"),
    "status_codes": "BIGINT[]",
    "delivery": "STRUCT(deliveries STRUCT(provider VARCHAR, success BOOLEAN, status_code BIGINT, attempt_count BIGINT, "
    "started_at TIMESTAMP, completed_at TIMESTAMP)[])",
    **dict.fromkeys(("execution_id", "execution_hash", "execution_status", "run_id", "retry_plan_id"), "VARCHAR"),
    **dict.fromkeys(("acknowledgement_id", "acknowledgement_state", "alert_level"), "VARCHAR"),
    "dry_run": "BOOLEAN",
    **dict.fromkeys(("retryable_count", "selected_retry_count", "waiting_count", "suppressed_count"), "BIGINT"),
    "recovery_escalation_retry_worker_run": "STRUCT(schedule STRUCT(enabled BOOLEAN, interval_minutes BIGINT, "
    "window_start VARCHAR, window_end VARCHAR), summary STRUCT(acknowledgement_pending_count BIGINT, "
    "waiting_retry_count BIGINT, suppressed_retry_count BIGINT))",
}


def all_declared_columns() -> dict[str, str]:
    """The same with every other top-level column of the allowlist, which these records leave empty."""
    declared = {f.path: f.type.sql for kind in KINDS.values() for f in kind.fields if "." not in f.path}
    return {**declared, **COLUMNS}


def raw_load(path: Path, declared: dict[str, str] = COLUMNS, database: str = ":memory:") -> int:
    """DuckDB's typed ``read_json`` into a table, in memory unless told otherwise: no boundary and no versions."""
    columns = "{" + ", ".join(f"'{name}': '{type_}'" for name, type_ in declared.items()) + "}"
    with duckdb.connect(database) as connection:
        connection.execute(
            f"CREATE TABLE raw AS SELECT * FROM read_json('{path}', format = 'newline_delimited', columns = {columns})"
        )
        return int(connection.execute("SELECT count(*) FROM raw").fetchall()[0][0])


class _Attempt(BaseModel):
    provider: str | None = None
    success: bool | None = None
    status_code: int | None = None
    attempt_count: int | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


class _Delivery(BaseModel):
    deliveries: list[_Attempt] = []


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore")
    session_id: str
    created_at: datetime
    metadata_kind: str
    signer: str | None = None
    schema_version: str | None = None
    product: str | None = None
    decision_count: int | None = None
    blocked_count: int | None = None
    approval_required_count: int | None = None
    connector_delivery_source: str | None = None
    event_id: str | None = None
    event_type: str | None = None
    plan_id: str | None = None
    provider: str | None = None
    delivery_success: bool | None = None
    providers: list[str] | None = None
    failed_providers: list[str] | None = None
    attempt_count: int | None = None
    max_attempt_count: int | None = None
    status_codes: list[int | None] | None = None
    delivery: _Delivery | None = None
    execution_id: str | None = None
    execution_hash: str | None = None
    execution_status: str | None = None
    run_id: str | None = None
    retry_plan_id: str | None = None
    acknowledgement_id: str | None = None
    acknowledgement_state: str | None = None
    alert_level: str | None = None
    dry_run: bool | None = None
    retryable_count: int | None = None
    selected_retry_count: int | None = None
    waiting_count: int | None = None
    suppressed_count: int | None = None


def pydantic_and_pandas(path: Path, warehouse: Path) -> int:
    """One model for each line, a data frame for all of them, appended to a DuckDB file: types, but no boundary."""
    with path.open("rb") as file:
        frame = pd.DataFrame([_Record.model_validate_json(line).model_dump() for line in file])
    with duckdb.connect(str(warehouse)) as connection:
        connection.register("frame", frame)
        connection.execute("CREATE TABLE loaded AS SELECT * FROM frame")
    return len(frame)
