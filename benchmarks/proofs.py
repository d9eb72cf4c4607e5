"""Proofs: ``python -m benchmarks.proofs [--records N]``. A light proof of one pair of a lane of that many records.

The first proof makes the map of all pairs; the next finds it stored; the one after a new landing file updates it. With
``--verify`` also a verification of the home; with ``--ingest N`` instead N ingests with proofs and N without, in turn.
Times are of this process; on a busy machine compare the processor times.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TypeVar

from benchmarks.__main__ import prepare_file, remove_warehouses, run
from benchmarks.lanes import fill
from benchmarks.measure import NOW, peak_megabytes
from benchmarks.records import LANE, SPAN, START, records
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.check import judged
from cavra_pipeline.verify.home import verify_home
from cavra_pipeline.verify.lane_rules import lane_rules
from cavra_pipeline.verify.prove_pair import prove_pair

T = TypeVar("T")
#: A pair that fails to the end.
SUBJECT, PROVIDER = "plan-0", "webhook"
LATE = 10


def timed(name: str, work: Callable[[], T]) -> T:
    """Prints a row with what a piece of work took, and returns what it returned."""
    began, used = time.perf_counter(), time.process_time()
    done = work()
    print(f"| {name} | {time.perf_counter() - began:.2f} | {time.process_time() - used:.2f} |", flush=True)
    return done


def ingest_late(settings: Settings, start: datetime) -> None:
    """Ingests one landing file more, of ten records of new and old pairs."""
    day = settings.landing / start.date().isoformat()
    day.mkdir(exist_ok=True)
    # A home that was left from another time has some, and one that is read again would not be a new one.
    seed = 2 + len(list(day.glob("late-*.jsonl")))
    late = records(LATE, seed=seed, start=start, span=timedelta(hours=1))
    (day / f"late-{seed}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in late))
    ingest(settings, now=NOW)


def measure(settings: Settings, rounds: int, *, with_verification: bool) -> None:
    """Prints a row for each step; a proof that does not hold ends the run."""
    at = START + SPAN + timedelta(days=1)
    shutil.rmtree(settings.home / "pair_maps", ignore_errors=True)
    proof = b""
    steps = ["map made and logged", *["map stored"] * (rounds - 1), "one landing file later"]
    for number, step in enumerate(steps):
        if number == rounds:
            ingest_late(settings, at - timedelta(hours=1))
        proof = timed(f"light proof, made, {step}", lambda: prove_pair(settings, LANE, SUBJECT, PROVIDER, as_of=at))
    _, fault = timed("light proof, verified", lambda: judged(proof, lane_rules()))
    if fault:
        raise RuntimeError(fault)
    print(f"\n{len(proof):,} bytes, {len(json.loads(proof)['records'])} records of the pair")
    if with_verification:
        print()
        verification = timed("home verified", lambda: verify_home(settings, now=NOW))
        print(
            f"\n{verification.record_count:,} records, {verification.segment_count:,} segments, "
            f"{len(verification.differences)} differences"
        )


def compare_ingests(records_count: int, rounds: int) -> None:
    """Prints what an ingest takes with proofs and without, in turn, and their ratio."""
    folder = Path(tempfile.mkdtemp(prefix="cavra-proofs-"))
    ratios: list[float] = []
    print("| ingest | seconds | processor |\n| --- | ---: | ---: |")
    try:
        prepare_file(folder, "clean", records_count)
        for number in range(rounds):
            taken: dict[str, float] = {}
            # The one that comes first has the colder disk.
            for case in ("ingest_clean", "ingest_unproven")[:: 1 - 2 * (number % 2)]:
                remove_warehouses(folder)
                result = run(case, folder)
                if result["count"] != records_count:
                    raise RuntimeError(f"{case}: {result['count']} of {records_count} records")
                taken[case] = result["cpu_seconds"]
                print(f"| {case} | {result['seconds']:.2f} | {result['cpu_seconds']:.2f} |", flush=True)
            ratios.append(taken["ingest_clean"] / taken["ingest_unproven"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    listed = ", ".join(f"{ratio:.3f}" for ratio in ratios)
    print(f"\nwith proofs to without, processor time: {median(ratios):.3f} ({listed})")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proofs", description=__doc__)
    parser.add_argument("--records", type=int, default=100_000, help="records of the lane (default 100,000)")
    parser.add_argument("--rounds", type=int, default=2, help="how often before that file (default 2)")
    parser.add_argument("--verify", action="store_true", help="verify the home too")
    parser.add_argument("--home", type=Path, help="where to make the home, and to leave it for another time")
    parser.add_argument("--ingest", type=int, metavar="N", help="compare N ingests with proofs with N without instead")
    options = parser.parse_args()
    if options.ingest:
        compare_ingests(options.records, options.ingest)
        return
    folder = options.home or Path(tempfile.mkdtemp(prefix="cavra-proofs-"))
    print("| step | seconds | processor |\n| --- | ---: | ---: |")
    try:
        settings = Settings(home=folder)
        if not settings.warehouse.exists():
            settings = timed(f"{options.records:,} records ingested", lambda: fill(folder, options.records, records))
        measure(settings, options.rounds, with_verification=options.verify)
    finally:
        if not options.home:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{peak_megabytes()} MB at most")


if __name__ == "__main__":
    main()
