"""What the worker's tests run in processes of their own. Each function is importable by name and takes plain values."""

from __future__ import annotations

import os
import sys
import uuid
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Final

from cavra_pipeline import cli
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.executive.escalation import escalation_plan
from cavra_pipeline.executive.publish import escalation, report_announcement, report_run_id
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.lanes import LANES
from cavra_pipeline.reports.policy import retry_policy
from cavra_pipeline.retry.first_delivery import first_delivery
from cavra_pipeline.retry.sender import open_sender
from cavra_pipeline.retry.worker import MAX_RETRY_DELIVERIES, WorkerRequest, run_worker
from cavra_pipeline.settings import Settings
from tests.worker.support import SIGNING

SECRETS: Final = {"SIGNING": SIGNING}
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
    sender = open_sender(settings, clock=_now, environ=SECRETS)
    runs = 0
    while run_worker(settings, request, sender, clock=_now, run_id=new_run_id())["retryable_count"]:
        runs += 1
    return runs


def work_on_shared_state(home: Path, lane: str, state_address: str) -> None:
    """Runs the worker live until this home has nothing left to send and waits for nobody else's claim."""
    settings = Settings(
        home=home,
        threads=1,
        live_lanes=frozenset({lane}),
        immediate_tries=1,
        connectors_file=home / "connectors.yaml",
        state_address=state_address,
    ).prepare()
    request = WorkerRequest(
        lane=LANES[lane],
        policy=retry_policy(LANES[lane], POLICY),
        is_live=True,
        max_retry_deliveries=MAX_RETRY_DELIVERIES,
    )
    sender = open_sender(settings, clock=_now, environ=SECRETS)
    while True:
        done = run_worker(settings, request, sender, clock=_now, run_id=new_run_id())
        held = {one["held_because"] for one in done["held_retries"]}
        if not done["executions"] and not held & {"claimed_by_another_run", "over_the_limit_of_this_run"}:
            return


def announce_until_enough(home: Path, newest: str, providers: list[str]) -> None:
    """Sends the plan and the report as of one instant after another, until the test says that enough are begun."""
    settings = Settings(
        home=home,
        threads=1,
        live_lanes=frozenset(LANES),
        immediate_tries=1,
        connectors_file=home / "connectors.yaml",
    ).prepare()
    sender = open_sender(settings, clock=_now, environ=SECRETS)
    for number in count():
        begun, finished = home / f"begun-{number}", home / f"finished-{number}"
        if finished.exists():
            continue
        if not begun.exists() and (home / "enough").exists():
            return
        begun.touch()
        as_of = datetime.fromisoformat(newest) - timedelta(minutes=number)
        with warehouse_of(settings).reading() as session:
            plan = escalation_plan(session, as_of=as_of, now=_now(), providers=providers)
            report = executive_reports(session, instants=[as_of], now=_now(), providers=providers)[0]
        for announcement in (
            escalation(plan, requested_at=_now(), made_at=_now(), as_of=as_of),
            report_announcement(report, run_id=report_run_id(report), made_at=_now(), requested_at=_now(), as_of=as_of),
        ):
            with first_delivery(
                settings,
                sender,
                announcement,
                providers=providers,
                is_live=True,
                clock=_now,
                run_id=new_run_id(),
            ) as sent:
                assert all(outcome["success"] for outcome in sent["outcomes"]), sent
        finished.touch()


def command(home: Path, *arguments: str) -> None:
    """Runs the command line on a home, in this process."""
    os.environ |= SECRETS
    os.environ |= {
        "CAVRA_HOME": str(home),
        "CAVRA_LIVE_LANES": ",".join(LANES),
        "CAVRA_IMMEDIATE_TRIES": "1",
        "CAVRA_THREADS": "1",
    }
    sys.argv = ["cavra-pipeline", *arguments]
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        cli.main()


def new_run_id() -> str:
    """A run id that begins with the id of its process, so that a test knows whose lease it is."""
    return f"{os.getpid()}-{uuid.uuid4().hex}"


def _now() -> datetime:
    return datetime.now(UTC)
