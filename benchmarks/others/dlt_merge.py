"""dlt with ``merge`` by session_id into a DuckDB file: ``dlt_merge.py FILE WAREHOUSE``. Prints one JSON object."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt

BATCH = 10_000


def batches(path: Path) -> Iterator[list[dict[str, Any]]]:
    with path.open("rb") as file:
        batch = []
        for line in file:
            batch.append(json.loads(line))
            if len(batch) == BATCH:
                yield batch
                batch = []
        yield batch


def main() -> None:
    path, warehouse = Path(sys.argv[1]), Path(sys.argv[2])
    warehouse.unlink(missing_ok=True)
    started = time.perf_counter()
    pipeline = dlt.pipeline(
        "evidence",
        destination=dlt.destinations.duckdb(str(warehouse)),
        dataset_name="evidence",
        pipelines_dir=str(warehouse.parent / "dlt-pipelines"),
    )
    records = dlt.resource(batches(path), name="records", primary_key="session_id", write_disposition="merge")
    pipeline.run(records)
    seconds = time.perf_counter() - started
    with pipeline.sql_client() as client:
        count = client.execute_sql("SELECT count(*) FROM records")[0][0]
    status = Path("/proc/self/status").read_text()
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) // 1024
    print(json.dumps({"seconds": seconds, "count": count, "peak_mb": peak}))


if __name__ == "__main__":
    main()
