"""What the worker's tests run in processes of their own. Each function is importable by name and takes plain values."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cavra_pipeline.lanes import LANES
from cavra_pipeline.retry.policy import retry_policy
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.retry.worker import MAX_RETRY_DELIVERIES, WorkerRequest, run_worker
from cavra_pipeline.settings import Settings
from tests.worker.support import SIGNING

POLICY: Final[dict[str, Any]] = {"allow_immediate_retry": True, "max_retry_attempts": 100}


def work_until_nothing_is_due(home: Path, lane: str) -> int:
    """Runs the worker live, through the real connectors, as often as there is something to retry."""
    settings = Settings(
        home=home, threads=1, live_lanes=frozenset({lane}), immediate_tries=1, connectors_file=home / "connectors.yaml"
    ).prepare()
    request = WorkerRequest(
        lane=LANES[lane],
        policy=retry_policy(LANES[lane], POLICY),
        is_live=True,
        max_retry_deliveries=MAX_RETRY_DELIVERIES,
    )
    with open_sender(settings, clock=_now, environ={"SIGNING": SIGNING}) as sender:
        runs = 0
        while run_worker(settings, request, sender, clock=_now, run_id=uuid.uuid4().hex)["retryable_count"]:
            runs += 1
    return runs


def _now() -> datetime:
    return datetime.now(UTC)
