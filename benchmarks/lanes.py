"""Warm reports of each lane: ``python -m benchmarks.lanes [--records N] [--rounds R]``. Prints a table and JSON.

A home of all lanes, retries linked to what they retry, playbooks and closures among them. Every figure is a ratio too,
to a reference in the same round: one pass of DuckDB over the evidence that counts the records of each lane and type.
Exit code 1: a report of a lane took over half a second, or did not rest on its evidence.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import NOW
from benchmarks.records import LANE, SPAN, START, Record, records
from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KIND_PREFIX, payload_key
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.reports.health import health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session

BAR_SECONDS = 0.5
DROPS = 12
REFERENCE = "reference: one pass that counts lanes and types"
#: One record in so many opens a recovery; another closes most of them.
RECOVERY_EVERY = 500
CLOSURES = ("resolved", "mitigated", "resolved", "deferred")


def of_all_lanes(count: int) -> Iterator[Record]:
    """Yields that many records: those of one lane, turned into those of each in turn, with playbooks and closures."""
    lanes = list(LANES.values())
    positions = {f"{KIND_PREFIX}{kind}": n for n, kind in enumerate(_kinds_of(LANE))}
    sent: dict[str, Record] = {}
    for number, record in enumerate(records(count)):
        if number % RECOVERY_EVERY < 2:
            yield _recovery(record, number)
            continue
        lane = lanes[number // 3 % len(lanes)]
        record[lane.subject_field] = subject = record.pop("plan_id", f"plan-{number // 3}")
        if record["metadata_kind"] == DELIVERY_KIND:
            record["connector_delivery_source"] = lane.delivery_source
            if lane.retries_have_new_subjects and number % 3:
                record[lane.subject_field] = f"{subject}-{number % 3}"
                sent[lane.name] = record
        else:
            kind = _kinds_of(lane)[positions[record["metadata_kind"]]]
            # A lane without acknowledgements has another retry plan in their place.
            record["metadata_kind"] = KIND_PREFIX + (kind or lane.kinds.retry_plan)
            if kind and kind == lane.kinds.execution and lane.name in sent:
                # A run records its retry a second after the delivery.
                retry = sent.pop(lane.name)
                link = retry["session_id"]
                record["created_at"] = (datetime.fromisoformat(retry["created_at"]) + timedelta(seconds=1)).isoformat()
                record[payload_key(kind)] = {"delivery_metadata_id": link, "new_delivery_id": link}
        yield record


def _kinds_of(lane: Lane) -> list[str | None]:
    return [lane.kinds.retry_plan, lane.kinds.worker_run, lane.kinds.execution, lane.acknowledgement_kind]


def _recovery(record: Record, number: int) -> Record:
    book, provider = f"book-{number // RECOVERY_EVERY}", "slack"
    kept = {name: record[name] for name in ("schema_version", "product", "session_id", "created_at", "signer")}
    if number % RECOVERY_EVERY == 0:
        kind = f"{KIND_PREFIX}connector-recovery-playbook"
        entries = {"provider_playbooks": [{"provider": provider, "category": "chatops", "failure_count": 2}]}
        return {**kept, "metadata_kind": kind, "playbook_id": book, "connector_recovery_playbook": entries}
    state = CLOSURES[number // RECOVERY_EVERY % len(CLOSURES)]
    about = {"playbook_id": book, "provider": provider, "closure_state": state}
    return {**kept, "metadata_kind": f"{KIND_PREFIX}connector-recovery-closure", **about}


def fill(folder: Path, count: int, make: Callable[[int], Iterator[Record]] = of_all_lanes) -> Settings:
    """Makes a home of that many records, by default of all lanes, in a drop for each month."""
    settings = Settings(home=folder).prepare()
    for number, month in groupby(enumerate(make(count)), lambda numbered: numbered[0] * DROPS // count):
        day = settings.landing / (START + SPAN * (number + 1) / DROPS).date().isoformat()
        day.mkdir(exist_ok=True)
        with (day / "evidence.jsonl").open("w") as file:
            file.writelines(json.dumps(record) + "\n" for _, record in month)
    result = ingest(settings, now=NOW)
    if (result.received_count, result.quarantined_count) != (count, 0):
        raise RuntimeError(f"{result.received_count} of {count} records, {result.quarantined_count} of them rejected")
    return settings


def cases(session: Session) -> dict[str, Callable[[int], int]]:
    """What is timed, by name: given the round, so that no answer is asked for twice, how many records it rests on."""

    def count(_: int) -> int:
        rows = session.tuples("SELECT lane, record_type, count(*), max(created_at) FROM evidence GROUP BY ALL")
        return sum(int(str(row[2])) for row in rows)

    def health(lane: Lane) -> Callable[[int], int]:
        return lambda n: _rests(
            retry_health_reports(session, lane, health_parameters(lane), instants=[_at(n)], now=NOW)
        )

    def plan(lane: Lane) -> Callable[[int], int]:
        return lambda n: _rests(retry_plans(session, lane, retry_policy(lane, {}), instants=[_at(n)], now=NOW))

    reports = {
        f"{report} of {lane.name}": make(lane)
        for lane in LANES.values()
        for report, make in (("health", health), ("plan", plan))
    }
    recoveries = {
        "recoveries": lambda n: _rests(recovery_reports(session, RecoveryParameters(), instants=[_at(n)], now=NOW))
    }
    return {REFERENCE: count, **reports, **recoveries}


def _at(number: int) -> Any:
    return NOW - timedelta(minutes=number)


def _rests(reports: list[dict[str, Any]]) -> int:
    return int(reports[0]["evidence_record_count"])


def measure_all(
    session: Session, of_session: Callable[[Session], dict[str, Callable[[int], int]]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]], set[str]]:
    """Returns the seconds of each case by round, those of the processor, and the cases that found nothing once.

    Each is made once before it is timed.
    """
    taken: dict[str, list[float]] = {}
    processor: dict[str, list[float]] = {}
    empty: set[str] = set()
    for number in range(rounds + 1):
        for name, case in of_session(session).items():
            began, used = time.perf_counter(), time.process_time()
            if case(number) == 0:
                empty.add(name)
            if number:
                taken.setdefault(name, []).append(time.perf_counter() - began)
                processor.setdefault(name, []).append(time.process_time() - used)
    return taken, processor, empty


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.lanes", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000, help="records of all lanes (default 1,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each report is made (default 5)")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="cavra-lanes-"))
    try:
        settings = fill(folder, options.records)
        with warehouse_of(settings).reading() as session:
            taken, processor, empty = measure_all(session, cases, options.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    ratios = {
        name: median(spent / reference for spent, reference in zip(seconds, taken[REFERENCE], strict=True))
        for name, seconds in taken.items()
    }
    print("| report | seconds, median | processor | x reference |\n| --- | ---: | ---: | ---: |")
    for name, seconds in taken.items():
        print(f"| {name} | {median(seconds):.3f} | {median(processor[name]):.3f} | {ratios[name]:.1f} |")
    print("\n" + json.dumps({**vars(options), "seconds": {name: median(spent) for name, spent in taken.items()}}))
    slow = [name for name, seconds in taken.items() if median(seconds) > BAR_SECONDS]
    if slow or empty:
        sys.exit(f"over {BAR_SECONDS} s: {slow}; rests on nothing: {sorted(empty)}")


if __name__ == "__main__":
    main()
