"""How the warehouse file grows: ``python -m benchmarks.size [--days D] [--records N] [--again A]``. Prints JSON.

Each day is ingested in a commit of its own, then every day is read again so many times, each in its own commit, and
then the file is compacted; then evidence of all but the last tenth of the days is pruned, and it is compacted again.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.measure import NOW
from benchmarks.records import START, write_day
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.retention.prune import prune
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.size", description=__doc__)
    parser.add_argument("--days", type=int, default=200, help="daily drops (default 200)")
    parser.add_argument("--records", type=int, default=200, help="records a drop (default 200)")
    parser.add_argument("--again", type=int, default=3, help="how often each is read again (default 3)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cavra-size-"))
    try:
        settings = Settings(home=folder).prepare()
        sizes = []
        for again in range(options.again + 1):
            for number in range(options.days):
                day = START.date() + timedelta(days=number)
                if not again:
                    write_day(settings.landing, number, options.records)
                ingest(settings, now=NOW, first=day, last=day)
            sizes.append(settings.warehouse.stat().st_size)
        began = time.perf_counter()
        done = warehouse_of(settings).compact()
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        horizon = START.date() + timedelta(days=options.days - options.days // 10)
        pruned = prune(warehouse_of(settings), state_of(settings), horizon, now=NOW)
        prune_seconds = time.perf_counter() - began
        pruned_bytes = warehouse_of(settings).compact().after_bytes
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({**vars(options), "bytes_after_each": sizes, "compacted_bytes": done.after_bytes,
                      "compact_seconds": seconds, "pruned_records": pruned.record_count,
                      "prune_seconds": prune_seconds, "pruned_and_compacted_bytes": pruned_bytes}))  # fmt: skip


if __name__ == "__main__":
    main()
