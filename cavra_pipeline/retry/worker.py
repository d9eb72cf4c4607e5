"""The recovery retry worker (contract section 8): plan, select, and if it is a live run, send through the engine.

Dry and live select by the same rules; only a live run claims, sends and writes executions.
Why a crash neither loses nor doubles a send: docs/decisions/0012-live-retries.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.boundary.kinds import payload_key
from cavra_pipeline.connectors import PROBLEM_REASONS, DeliveryOutcome
from cavra_pipeline.documents import DEFAULT_GENERATED_BY, PRODUCT, SCHEMA_PREFIX, instant, naive_utc
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.emitted import record, save_emitted_drop
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.lanes import Gate, Lane
from cavra_pipeline.reports.incidents import incidents, is_to_be_probed
from cavra_pipeline.reports.plan import retry_plans
from cavra_pipeline.reports.policy import RetryPolicy, policy_values, retry_policy
from cavra_pipeline.reports.records import plan_counts
from cavra_pipeline.reports.replan import replan
from cavra_pipeline.retry.claims import Selection, SelectionContext, claim, pair_evidence, select
from cavra_pipeline.retry.first_delivery import take_over_first_deliveries
from cavra_pipeline.retry.records import RETRIES, execution_status
from cavra_pipeline.sending.engine import NO_CONNECTOR, Engine, Run, Sender
from cavra_pipeline.sending.intents import Intent
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import State
from cavra_pipeline.state.leases import checked_run_id
from cavra_pipeline.warehouse import Session, Warehouse

MAX_RETRY_DELIVERIES: Final = 25
_PACKAGE: Final = "cavra_pipeline.retry"
DEFAULT_RETRY_DELIVERIES: Final = 5


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """Request for a worker run.

    Attributes:
        lane: The retry ladder.
        policy: Bounds and delays.
        is_live: Whether to send; False selects and sends nothing.
        max_retry_deliveries: Retries selected at most, 1..25.
        retry_plan_id: Execute only what this saved plan decided, and what of it still holds.
        generated_by: Actor label of who asked.
        interval_minutes: Cadence of the schedule that runs it.
        schedule_is_enabled: Whether that schedule is on.
        is_probe: Whether one retry is selected, instead of all, of a provider that rejects credentials or is gone.
    """

    lane: Lane
    policy: RetryPolicy
    is_live: bool = False
    max_retry_deliveries: int = DEFAULT_RETRY_DELIVERIES
    retry_plan_id: str | None = None
    generated_by: str = DEFAULT_GENERATED_BY
    interval_minutes: int | None = None
    schedule_is_enabled: bool = True
    is_probe: bool = False


def run_worker(
    settings: Settings,
    request: WorkerRequest,
    sender: Sender,
    *,
    clock: Callable[[], datetime],
    run_id: str,
) -> dict[str, Any]:
    """Runs the worker once.

    Args:
        settings: The home; a live run needs the lane in ``live_lanes``.
        request: What to do.
        sender: Connectors; a dry run needs none of their secrets.
        clock: Returns the current time; a live run lasts.
        run_id: A new id for this run.

    Returns:
        The run as a document: the plan it is based on, what was selected, what waits and why, what was sent.

    Raises:
        UsageError: A value is not accepted, or the lane is not live on this host.
        PipelineError: The saved plan is unknown, its evidence has changed since, or something could not be written.
    """
    _check(settings, request, run_id)
    ingest(settings, now=clock())
    warehouse = warehouse_of(settings)
    engine = Engine(settings, RETRIES, clock)
    problem = partial(sender.problem, reads_secrets=request.is_live)
    probed = _probed(warehouse, request.lane, now=clock()) if request.is_probe or settings.worker_probe else frozenset()
    is_asked_for = request.retry_plan_id is not None
    context = SelectionContext(request.lane, sender.has, problem, is_asked_for=is_asked_for, probed=probed)
    if not request.is_live:
        engine.finish()
        now = clock()
        plan, selection = decide(warehouse, engine.state, request, context, now=now)
        document = _document(request, plan, selection, (), context, run_id=run_id, now=now)
        if is_in_use(warehouse, request.lane):
            _record_run(settings, request, plan, document, now=clock())
        return document
    with engine.running(run_id, sender) as running:
        take_over_first_deliveries(running, request.lane)
        now = clock()
        plan, selection = decide(warehouse, engine.state, request, context, now=now)
        run = _LiveRun(warehouse, request, plan, context, running)
        due, selection.selected = selection.selected, []
        try:
            for decision in due:
                _retry(run, decision, selection)
        except (Exception, KeyboardInterrupt):
            with suppress(PipelineError):  # what went wrong first is what the caller is told
                _record_run(settings, request, plan, _live_document(run, selection, now), now=clock())
            raise
        document = _live_document(run, selection, now)
        _record_run(settings, request, plan, document, now=clock())
    running.raise_defects()
    return document


def _probed(warehouse: Warehouse, lane: Lane, *, now: datetime) -> frozenset[str]:
    """The providers with an open incident, of all lanes or this one, that retries alone can't end."""
    with warehouse.reading() as session:
        open_incidents = incidents(session, [now], is_open=True)[naive_utc(now)]
    return frozenset(incident["provider"] for incident in open_incidents if is_to_be_probed(incident, lane))


def _check(settings: Settings, request: WorkerRequest, run_id: str) -> None:
    checked_run_id(run_id)
    actor_label(request.generated_by, where="generated_by")
    if not 1 <= request.max_retry_deliveries <= MAX_RETRY_DELIVERIES:
        raise UsageError(
            "the value is not accepted",
            where="max_retry_deliveries",
            remedy=f"Give an integer from 1 to {MAX_RETRY_DELIVERIES}",
        )
    if request.is_live:
        settings.require_live(request.lane.name)


def decide(
    warehouse: Warehouse, state: State, request: WorkerRequest, context: SelectionContext, *, now: datetime
) -> tuple[dict[str, Any], Selection]:
    """Makes the plan and selects from it; the same for a dry and a live run."""
    with warehouse.reading() as session:
        plan, decisions = _planned(session, state, request, now=now)
        evidence = pair_evidence(session, request.lane, decisions, now=now)
    with state.reading() as connection:
        limit = request.max_retry_deliveries
        return plan, select(evidence, connection, context, decisions, limit=limit, now=now)


def is_in_use(warehouse: Warehouse, lane: Lane) -> bool:
    """Whether a dry run of the lane is recorded: of a lane that is not in use it would be the first record."""
    if lane.is_always_in_use:
        return True
    with warehouse.reading() as session:
        return bool(session.rows(_PACKAGE, "lane_in_use", {"lane": lane.name})[0]["is_in_use"])


def _planned(
    session: Session, state: State, request: WorkerRequest, *, now: datetime
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The plan, and its decisions that are due."""
    lane, kept = request.lane, None
    if request.retry_plan_id:
        kept = replan(session, state, lane, request.retry_plan_id, now=now)
    # What a plan said is judged by the policy it was made with, not by another.
    policy = retry_policy(lane, policy_values(kept)) if kept else request.policy
    plan = retry_plans(session, lane, policy, instants=[now], now=now, generated_by=request.generated_by)[0]
    decisions = _due(plan)
    if kept:
        key = lane.subject_field
        said = {(d[key], d["provider"], d["latest_delivery_id"]) for d in _due(kept)}
        decisions = [d for d in decisions if (d[key], d["provider"], d["latest_delivery_id"]) in said]
    return kept or plan, decisions


def _due(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [decision for decision in plan["retry_decisions"] if decision["action"] == "retry"]


@dataclass(frozen=True, slots=True)
class _LiveRun:
    """State that the retries of one live run share, and their executions so far."""

    warehouse: Warehouse
    request: WorkerRequest
    plan: Mapping[str, Any]
    context: SelectionContext
    running: Run
    executions: list[dict[str, Any]] = field(default_factory=list)


def _retry(run: _LiveRun, decision: dict[str, Any], selection: Selection) -> None:
    """Claims one retry, sends it and records how it ended."""
    now = run.running.engine.clock()
    with run.warehouse.reading() as session:
        evidence = pair_evidence(session, run.request.lane, [decision], now=now)
    with run.running.engine.state.writing() as connection:
        claimed = claim(
            evidence,
            connection,
            run.context,
            run.running,
            decision,
            now=now,
            retry_plan_id=str(run.plan["retry_plan_id"]),
            by=run.request.generated_by,
        )
    if isinstance(claimed, Selection):
        selection.pending += claimed.pending
        selection.held += claimed.held
        return
    selection.selected.append(decision)
    outcome = run.running.attempt(claimed)
    run.running.engine.record(claimed, outcome)
    run.executions.append(_execution(run.request.lane, claimed, outcome))


def _execution(lane: Lane, intent: Intent, outcome: DeliveryOutcome | None) -> dict[str, Any]:
    return {
        lane.subject_field: intent.subject,
        "provider": intent.provider,
        "execution_id": intent.intent_id,
        "execution_status": execution_status(outcome),
        "grade": outcome.grade.value if outcome else None,
        "reason": outcome.reason if outcome else NO_CONNECTOR,
        "status_code": outcome.status_code if outcome else None,
        "attempt_count": outcome.attempt_count if outcome else 0,
        "retry_not_before": instant(outcome.retry_not_before) if outcome else None,
    }


def _live_document(run: _LiveRun, selection: Selection, now: datetime) -> dict[str, Any]:
    run_id = run.running.run_id
    return _document(run.request, run.plan, selection, run.executions, run.context, run_id=run_id, now=now)


def _document(
    request: WorkerRequest,
    plan: Mapping[str, Any],
    selection: Selection,
    executions: Sequence[Mapping[str, Any]],
    context: SelectionContext,
    *,
    run_id: str,
    now: datetime,
) -> dict[str, Any]:
    # no provider's: what is wrong with the whole file is reported although nothing is held for it
    named = [
        "",
        *(str(decision["provider"]) for decision in selection.held if decision["held_because"] in PROBLEM_REASONS),
    ]
    named_problems = (context.connector_problem(provider) for provider in named)
    problems = {problem.subject: problem.document() for problem in named_problems if problem}
    return {
        "schema_version": f"{SCHEMA_PREFIX}{request.lane.kinds.worker_run}.v1",
        "product": PRODUCT,
        "lane": request.lane.name,
        "run_id": run_id,
        "as_of": instant(now),
        "generated_by": request.generated_by,
        "dry_run": not request.is_live,
        "retry_plan_id": plan["retry_plan_id"],
        "retry_plan_as_of": plan["as_of"],
        "alert_level": plan["alert_level"],
        "max_retry_deliveries": request.max_retry_deliveries,
        "decision_count": plan["decision_count"],
        "retryable_count": plan["retryable_count"],
        "waiting_retry_count": plan["waiting_count"],
        "suppressed_retry_count": plan["suppressed_count"],
        "acknowledgement_pending_count": len(selection.pending),
        "selected_retry_count": len(selection.selected),
        "held_retry_count": len(selection.held),
        "selected_retries": selection.selected,
        "acknowledgement_pending": selection.pending,
        "held_retries": selection.held,
        "connector_problems": list(problems.values()),
        "executions": list(executions),
    }


def _record_run(
    settings: Settings,
    request: WorkerRequest,
    plan: Mapping[str, Any],
    document: Mapping[str, Any],
    *,
    now: datetime,
) -> None:
    """Saves the worker-run record, dry or live, and that of the plan it is based on."""
    records = [_run_record(request, document, now=now), _plan_record(request, plan)]
    save_emitted_drop(settings, f"worker-run-{document['run_id']}", records, now=now, act="record a worker run")


def _run_record(request: WorkerRequest, document: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    lane = request.lane
    counted = {"retryable_count": document["retryable_count"]}
    pending = "approval_pending_count" if lane.gate is Gate.APPROVAL else "acknowledgement_pending_count"
    summary = {name: document[name] for name in ("waiting_retry_count", "suppressed_retry_count")}
    payload = {
        "schedule": {
            "enabled": request.schedule_is_enabled,
            "interval_minutes": request.interval_minutes or lane.expected_interval_minutes,
        },
        "summary": {pending: document["acknowledgement_pending_count"], **summary},
    }
    if lane.results_are_nested:
        payload["summary"].update(counted)
        counted = {}
    return record(
        lane.kinds.worker_run,
        session_id=f"worker-run-{document['run_id']}",
        created_at=now,
        signer=request.generated_by,
        decision_count=document["decision_count"],
        blocked_count=document["suppressed_retry_count"],
        approval_required_count=document["selected_retry_count"],
        run_id=document["run_id"],
        dry_run=document["dry_run"],
        **counted,
        selected_retry_count=document["selected_retry_count"],
        **{payload_key(lane.kinds.worker_run): payload},
    )


def _plan_record(request: WorkerRequest, plan: Mapping[str, Any]) -> dict[str, Any]:
    return record(
        request.lane.kinds.retry_plan,
        session_id=plan["retry_plan_id"],
        created_at=datetime.fromisoformat(plan["as_of"]),
        signer=request.generated_by,
        retry_plan_id=plan["retry_plan_id"],
        alert_level=plan["alert_level"],
        retryable_count=plan["retryable_count"],
        waiting_count=plan["waiting_count"],
        suppressed_count=plan["suppressed_count"],
        **plan_counts(plan),
    )
