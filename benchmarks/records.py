"""Seeded evidence in the shape a busy deployment writes it: most deliveries succeed, what fails is mostly retried."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KIND_PREFIX
from cavra_pipeline.lanes import LANES

START = datetime(2026, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=365)
PROVIDERS = ("webhook", "slack", "teams", "splunk", "sentinel", "datadog", "jira", "servicenow")
LANE = LANES["recovery_escalation"]
STEM = KIND_PREFIX + "recovery-escalation"

Record = dict[str, Any]


def records(
    count: int, seed: int = 1, start: datetime = START, span: timedelta = SPAN, first: int = 0
) -> Iterator[Record]:
    """Yields that many records in order of time, evenly over the span, numbered from ``first``."""
    chance = Random(seed)
    makers = (delivery_of, _execution, _acknowledgement, _worker_run, _retry_plan)
    for number in range(first, first + count):
        moment = start + timedelta(microseconds=span // timedelta(microseconds=1) * (number - first) // count)
        record = {
            "schema_version": "cavra.evidence.metadata.v1",
            "product": "CAVRA",
            "session_id": f"session-{seed}-{number:09d}-{chance.getrandbits(64):016x}",
            "created_at": moment.isoformat(),
            "signer": "release-governance",
            "decision_count": 0,
            "blocked_count": 0,
            "approval_required_count": 0,
        }
        (make,) = chance.choices(makers, (50, 14, 12, 10, 14))
        record.update(make(number, moment.isoformat(), chance))
        yield record


def delivery_of(number: int, at: str, chance: Random) -> Record:
    """Returns what a delivery says: of each plan there are up to three, numbered from three times its own number."""
    plan = number // 3
    # The pair of one plan in 250 fails to the end; one first attempt in 50 fails and is then retried with success.
    providers = [PROVIDERS[plan % 8], PROVIDERS[(plan // 8 + 1 + plan) % 8]][: 1 + (plan % 4 == 0)]
    is_bad = plan % 250 == 0 or (number % 3 == 0 and chance.random() < 0.02)
    failed = providers[:1] if is_bad else []
    return {
        "metadata_kind": DELIVERY_KIND,
        "connector_delivery_source": LANE.delivery_source,
        "event_id": f"event-{number}",
        "event_type": "cavra.rollback.recovery",
        "plan_id": f"plan-{plan}",
        "delivery_success": not failed,
        "providers": providers,
        "failed_providers": failed,
        "attempt_count": 1,
        "max_attempt_count": 3,
        "status_codes": [503 if name in failed else 200 for name in providers],
        "delivery": {
            "deliveries": [
                {
                    "provider": name,
                    "success": name not in failed,
                    "status_code": 503 if name in failed else 200,
                    "attempt_count": 1,
                    "started_at": at,
                    "completed_at": at,
                }
                for name in providers
            ]
        },
    }


def _execution(number: int, _at: str, chance: Random) -> Record:
    is_delivered = chance.random() < 0.95
    return {
        "metadata_kind": f"{STEM}-retry-execution-record",
        "execution_id": f"execution-{number}",
        "execution_hash": f"{chance.getrandbits(256):064x}",
        "execution_status": "delivered" if is_delivered else "failed",
        "run_id": f"run-{number // 10}",
        "retry_plan_id": f"retry-plan-{number // 10}",
        "plan_id": f"plan-{number // 3}",
        "provider": PROVIDERS[number % 8],
        "delivery_success": is_delivered,
    }


def _acknowledgement(number: int, _at: str, _chance: Random) -> Record:
    return {
        "metadata_kind": f"{STEM}-ack",
        "acknowledgement_id": f"acknowledgement-{number}",
        "plan_id": f"plan-{number // 3}",
        "provider": PROVIDERS[number % 8],
        "acknowledgement_state": "accepted",
    }


def _worker_run(number: int, at: str, _chance: Random) -> Record:
    return {
        "metadata_kind": f"{STEM}-retry-worker-run",
        "run_id": f"run-{number}",
        "dry_run": True,
        "retryable_count": 2,
        "selected_retry_count": 1,
        "recovery_escalation_retry_worker_run": {
            "schedule": {"enabled": True, "interval_minutes": 30, "window_start": at, "window_end": at},
            "summary": {"acknowledgement_pending_count": 0, "waiting_retry_count": 0, "suppressed_retry_count": 0},
        },
    }


def _retry_plan(number: int, _at: str, _chance: Random) -> Record:
    return {
        "metadata_kind": f"{STEM}-delivery-retry-plan",
        "retry_plan_id": f"retry-plan-{number}",
        "alert_level": "warning",
        "retryable_count": 2,
        "waiting_count": 1,
        "suppressed_count": 0,
    }


def _faulty(record: Record, chance: Random) -> bytes:
    """The record's line with one fault of those that an operator meets."""
    record = dict(record)
    fault = chance.randrange(8)
    if fault == 0:
        return json.dumps(record).encode()[:-9]
    if fault == 1:
        return json.dumps(record).encode().replace(b"CAVRA", b"CAVR\xff")
    if fault == 2:
        del record["session_id"]
    elif fault == 3:
        record["decision_count"] = "three"
    elif fault == 4:
        record["created_at"] = "yesterday"
    elif fault == 5:
        record["product"] = "ghp_" + "0123456789abcdefghij0123456789abcdef"
    elif fault == 6:
        record["request"] = {"url": "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX"}
    else:
        record["signer"] = "someone@example.com"
    return json.dumps(record).encode()


def write_drop(path: Path, count: int, *, faulty_share: float = 0.0, seed: int = 1, start: datetime = START,
               span: timedelta = SPAN, first: int = 0) -> int:  # fmt: skip
    """Writes that many records as JSON lines and returns the size of the file."""
    chance = Random(seed + 1)
    with path.open("wb") as file:
        for record in records(count, seed, start, span, first):
            line = _faulty(record, chance) if chance.random() < faulty_share else json.dumps(record).encode()
            file.write(line + b"\n")
    return path.stat().st_size


def write_day(landing: Path, number: int, count: int, first: datetime = START) -> None:
    """Writes that many records as the landing file of the day that is so many days after the first."""
    start = first + timedelta(days=number)
    folder = landing / start.date().isoformat()
    folder.mkdir(exist_ok=True)
    write_drop(folder / "evidence.jsonl", count, seed=number, start=start, span=timedelta(days=1))
