"""One run of the shape that Dagster's tutorials show: ``tutorial.py LANDING WAREHOUSE DAY``. Prints one JSON object.

One partition, a data frame through the pandas I/O manager into a DuckDB file, and a second asset that reads it back.
"""

import json
import sys
import time
from pathlib import Path

import dagster as dg
import pandas as pd
from dagster_duckdb_pandas import DuckDBPandasIOManager

LANDING, WAREHOUSE, DAY = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
COLUMNS = ["session_id", "created_at", "metadata_kind", "plan_id", "provider", "delivery_success", "event_id"]
daily = dg.DailyPartitionsDefinition(start_date="2025-01-01")
BY_DAY = {"partition_expr": "drop_day"}


@dg.asset(partitions_def=daily, metadata=BY_DAY)
def evidence(context: dg.AssetExecutionContext) -> pd.DataFrame:
    frame = pd.read_json(LANDING / context.partition_key / "evidence.jsonl", lines=True, dtype=False)
    frame = frame.reindex(columns=COLUMNS).astype("string")
    return frame.assign(drop_day=pd.Timestamp(context.partition_key))


@dg.asset(partitions_def=daily, metadata=BY_DAY)
def kinds(evidence: pd.DataFrame) -> pd.DataFrame:
    return evidence.groupby(["drop_day", "metadata_kind"]).size().reset_index(name="record_count")


def main() -> None:
    started = time.perf_counter()
    with dg.DagsterInstance.get() as instance:
        result = dg.materialize(
            [evidence, kinds],
            partition_key=DAY,
            instance=instance,
            resources={"io_manager": DuckDBPandasIOManager(database=WAREHOUSE)},
        )
    status = Path("/proc/self/status").read_text()
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) // 1024
    print(json.dumps({"seconds": time.perf_counter() - started, "count": int(result.success), "peak_mb": peak}))


if __name__ == "__main__":
    main()
