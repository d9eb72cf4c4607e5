"""The recovery retry worker (contract section 8): plan, select, and if it is a live run, claim, send and record.

Dry and live select by the same rules; only a live run claims, sends and writes executions.
Why a crash neither loses nor doubles a retry: docs/decisions/0012-live-retries.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

from cavra_pipeline.connectors import PROBLEM_REASONS, DeliveryOutcome, Grade, Notification, Problem
from cavra_pipeline.documents import DEFAULT_GENERATED_BY, PRODUCT, SCHEMA_PREFIX, canonical_json, instant
from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.evidence.boundary import actor_label
from cavra_pipeline.evidence.ingest import ingest, warehouse_of
from cavra_pipeline.evidence.own import commit_own_drop, record, write_own_drop
from cavra_pipeline.lanes import Lane
from cavra_pipeline.reports.store import replan
from cavra_pipeline.retry.claims import (
    Claim,
    Desk,
    Selection,
    claim,
    delivery_id,
    select,
    settle,
    settle_ended_runs,
)
from cavra_pipeline.retry.live_runs import LiveRun, LiveRuns, Note, checked_run_id
from cavra_pipeline.retry.plan import retry_plan
from cavra_pipeline.retry.policy import FIELDS, RetryPolicy, retry_policy
from cavra_pipeline.retry.records import delivery_record
from cavra_pipeline.settings import Settings
from cavra_pipeline.warehouse import Session, Warehouse

MAX_RETRY_DELIVERIES: Final = 25
DEFAULT_RETRY_DELIVERIES: Final = 5
_SUBJECT_CHARACTERS: Final = 150
_DEFECT: Final = "connector_defect"


class Sender(Protocol):
    """What a live run sends through: the connectors of the host."""

    def has(self, provider: str) -> bool:
        """Tells whether the provider's connector is configured and on."""

    def problem(self, provider: str, *, reads_secrets: bool) -> Problem | None:
        """Returns why a connector cannot be used, or None; its secrets are looked for only if that is asked."""

    def send(self, provider: str, notification: Notification) -> DeliveryOutcome:
        """Makes one attempt; never raises for what the provider or the network does."""


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """What a run is asked to do.

    Attributes:
        lane: The retry ladder.
        policy: Bounds and delays.
        is_live: Whether to send; False selects and sends nothing.
        max_retry_deliveries: Retries selected at most, 1..25.
        retry_plan_id: Execute only what this kept plan said, and what of it still holds.
        generated_by: Actor label of who asked.
        interval_minutes: Cadence of the schedule that runs it.
        schedule_is_enabled: Whether that schedule is on.
    """

    lane: Lane
    policy: RetryPolicy
    is_live: bool = False
    max_retry_deliveries: int = DEFAULT_RETRY_DELIVERIES
    retry_plan_id: str | None = None
    generated_by: str = DEFAULT_GENERATED_BY
    interval_minutes: int | None = None
    schedule_is_enabled: bool = True


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
        settings: The home; a live run needs ``live_is_armed``.
        request: What to do.
        sender: Connectors; a dry run needs none of their secrets.
        clock: Tells the time; a live run lasts.
        run_id: A new id for this run.

    Returns:
        The run as a document: the plan it rests on, what was selected, what waits and why, what was sent.

    Raises:
        UsageError: A value is not accepted, or live is not armed on this host.
        PipelineError: The kept plan is unknown, its evidence has changed since, or something could not be written.
    """
    _check(settings, request, run_id)
    ingest(settings, now=clock())
    warehouse = warehouse_of(settings)
    runs = LiveRuns(settings.home / "live-runs")
    problem = partial(sender.problem, reads_secrets=request.is_live)
    desk = Desk(request.lane, sender.has, runs, problem, is_asked_for=request.retry_plan_id is not None)
    now = clock()
    if not request.is_live:
        with warehouse.reading() as session:
            plan, selection = decide(session, request, desk, now=now)
        document = _document(request, plan, selection, (), desk, run_id=run_id, now=now)
        _record_run(settings, warehouse, request, document, now=clock())
        return document
    with runs.living(run_id) as alive:
        with warehouse.writing("settle what earlier live runs left") as session:
            open_runs = settle_ended_runs(session, desk)
            plan, selection = decide(session, request, desk, now=now)
        runs.clear_away(but=open_runs | {run_id})
        run = _Run(settings, warehouse, request, plan, desk, sender, clock, alive)
        due, selection.selected = selection.selected, []
        try:
            for decision in due:
                _make(run, decision, selection)
        except (Exception, KeyboardInterrupt):
            with suppress(PipelineError):  # what went wrong first is what the caller is told
                _record_run(settings, warehouse, request, _live_document(run, selection, now), now=clock())
            raise
        document = _live_document(run, selection, now)
        _record_run(settings, warehouse, request, document, now=clock())
    if run.defects:
        raise PipelineError(
            f"a connector failed in a way it should not ({', '.join(sorted(set(run.defects)))})",
            where=f"worker run {run_id}",
            remedy="Report this as a defect; the attempts are recorded as failed and keep their idempotency id",
        )
    return document


def _check(settings: Settings, request: WorkerRequest, run_id: str) -> None:
    checked_run_id(run_id)
    actor_label(request.generated_by, where="generated_by")
    if not 1 <= request.max_retry_deliveries <= MAX_RETRY_DELIVERIES:
        raise UsageError(
            "the value is not accepted",
            where="max_retry_deliveries",
            remedy=f"Give an integer from 1 to {MAX_RETRY_DELIVERIES}",
        )
    if request.is_live and not settings.live_is_armed:
        raise UsageError(
            "live retries are not armed on this host",
            where="CAVRA_LIVE_RETRIES",
            remedy="Set CAVRA_LIVE_RETRIES=armed in the environment of the worker, or run it dry",
        )


def decide(session: Session, request: WorkerRequest, desk: Desk, *, now: datetime) -> tuple[dict[str, Any], Selection]:
    """Makes the plan and selects from it; the same for a dry and a live run."""
    lane, kept = request.lane, None
    if request.retry_plan_id:
        kept = replan(session, lane, request.retry_plan_id, now=now)
    policy = _policy_of(lane, kept) if kept else request.policy
    plan = retry_plan(session, lane, policy, as_of=now, now=now, generated_by=request.generated_by)
    decisions = _due(plan)
    if kept:
        key = lane.subject_field
        said = {(d[key], d["provider"], d["latest_delivery_id"]) for d in _due(kept)}
        decisions = [d for d in decisions if (d[key], d["provider"], d["latest_delivery_id"]) in said]
    return kept or plan, select(session, desk, decisions, limit=request.max_retry_deliveries, now=now)


def _due(plan: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [decision for decision in plan["retry_decisions"] if decision["action"] == "retry"]


def _policy_of(lane: Lane, plan: Mapping[str, Any]) -> RetryPolicy:
    """The policy a plan was made with: what it said is judged by that one, not by another."""
    values = {name: plan[name] for name in FIELDS if name in plan}
    return retry_policy(lane, {**values, "retry_delay_minutes": plan["base_retry_delay_minutes"]})


@dataclass(frozen=True, slots=True)
class _Run:
    """What every retry of one live run shares, and what has become of them so far."""

    settings: Settings
    warehouse: Warehouse
    request: WorkerRequest
    plan: Mapping[str, Any]
    desk: Desk
    sender: Sender
    clock: Callable[[], datetime]
    alive: LiveRun
    executions: list[dict[str, Any]] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)


def _make(run: _Run, decision: dict[str, Any], selection: Selection) -> None:
    """Claims one retry, sends it and records what became of it: noted, then on disk, then in the warehouse."""
    with run.warehouse.writing("claim a retry") as session:
        one = claim(
            session,
            run.desk,
            decision,
            now=run.clock(),
            retry_plan_id=str(run.plan["retry_plan_id"]),
            run_id=run.alive.run_id,
        )
    if isinstance(one, Selection):
        selection.pending += one.pending
        selection.held += one.held
        return
    selection.selected.append(decision)
    outcome = _send(run, one)
    reason = outcome.reason if outcome else "no_connector"
    floor = outcome.retry_not_before if outcome else None
    is_refused = outcome is not None and not outcome.success and not outcome.transient
    if outcome:
        run.alive.note(Note(one.execution_id, reason, floor, is_refused))
    completed_at = max(outcome.completed_at if outcome else run.clock(), one.recorded_after)
    status = "skipped" if outcome is None else "delivered" if outcome.success else "failed"
    records = _records(run, one, outcome, status, created_at=completed_at)
    name = one.execution_id if outcome else f"{one.execution_id}-skipped"
    drop = write_own_drop(run.settings, name, records, now=completed_at)
    with run.warehouse.writing("record a retry") as session:
        commit_own_drop(session, drop, now=completed_at)
        settle(
            session,
            one,
            run_id=run.alive.run_id,
            state="skipped" if outcome is None else "refused" if is_refused else "done",
            reason=reason,
            retry_not_before=floor,
            completed_at=completed_at,
        )
    run.executions.append({
        run.request.lane.subject_field: decision[run.request.lane.subject_field],
        "provider": decision["provider"],
        "execution_id": one.execution_id,
        "execution_status": status,
        "grade": outcome.grade.value if outcome else None,
        "reason": reason,
        "status_code": outcome.status_code if outcome else None,
        "attempt_count": outcome.attempt_count if outcome else 0,
        "retry_not_before": instant(floor),
    })  # fmt: skip


def _send(run: _Run, one: Claim) -> DeliveryOutcome | None:
    """Makes the attempt; None if there is no connector for it."""
    provider = str(one.decision["provider"])
    if not run.sender.has(provider):
        return None
    started_at = run.clock()
    notification = notification_for(run.request.lane, one)
    try:
        return run.sender.send(provider, notification)
    except Exception as error:  # noqa: BLE001 -- whatever it is, nobody knows what became of the message
        run.defects.append(type(error).__name__)
        return DeliveryOutcome(provider, Grade.AMBIGUOUS, None, 1, started_at, run.clock(), None, _DEFECT)


def notification_for(lane: Lane, one: Claim) -> Notification:
    """Makes the message of a retry; it holds ids and counts only."""
    decision = one.decision
    subject = "".join(c if c.isprintable() else " " for c in str(decision[lane.subject_field]))
    subject = " ".join(subject.split())[:_SUBJECT_CHARACTERS] or "unnamed"
    return Notification(
        idempotency_id=one.idempotency_id,
        event_type=f"cavra.{lane.name}.retry",
        title=f"CAVRA {lane.name.replace('_', ' ')}: {subject}",
        summary=f"Delivery to {decision['provider']} failed {decision['retry_count']} times; this is its retry.",
        severity="critical",
        subject=subject,
        occurred_at=datetime.fromisoformat(str(decision["latest_delivery_at"])),
        facts={
            "lane": lane.name,
            "failures": decision["retry_count"],
            "latest_delivery": decision["latest_delivery_id"],
        },
    )


def _records(
    run: _Run, one: Claim, outcome: DeliveryOutcome | None, status: str, *, created_at: datetime
) -> list[dict[str, Any]]:
    """The evidence of one retry: the delivery, if one was tried, and the execution."""
    lane, decision, identity = run.request.lane, one.decision, one.execution_id
    provider = decision["provider"]
    subject = {lane.subject_field: decision[lane.subject_field]}
    if lane.decides_on_reports:
        subject["executive_report_id"] = decision.get("executive_report_id")
    made_by = {"worker_run_id" if lane.subject_field == "run_id" else "run_id": run.alive.run_id}
    shared: dict[str, Any] = {"created_at": created_at, "signer": run.request.generated_by}
    facts = {"retry_plan_id": run.plan["retry_plan_id"], **subject}
    content = {**facts, **made_by, "provider": provider, "execution_status": status, "execution_id": identity}
    execution = record(
        f"{lane.ladder_stem}-execution-record",
        session_id=f"execution-{identity}",
        execution_hash=hashlib.sha256(canonical_json(content).encode()).hexdigest(),
        delivery_success=status == "delivered",
        **content,
        **shared,
    )
    if outcome is None:
        return [execution]
    delivery = delivery_record(
        lane,
        [outcome],
        session_id=delivery_id(identity),
        event_type=f"cavra.{lane.name}.retry",
        subject=subject,
        max_attempt_count=decision["max_retry_attempts"],
        worker_run_id=run.alive.run_id,
        retry_plan_id=run.plan["retry_plan_id"],
        **shared,
    )
    return [delivery, execution]


def _live_document(run: _Run, selection: Selection, now: datetime) -> dict[str, Any]:
    return _document(run.request, run.plan, selection, run.executions, run.desk, run_id=run.alive.run_id, now=now)


def _document(
    request: WorkerRequest,
    plan: Mapping[str, Any],
    selection: Selection,
    executions: Sequence[Mapping[str, Any]],
    desk: Desk,
    *,
    run_id: str,
    now: datetime,
) -> dict[str, Any]:
    # no provider's: what is wrong with the whole file is reported although nothing is held for it
    named = ["", *(str(one["provider"]) for one in selection.held if one["held_because"] in PROBLEM_REASONS)]
    found = (desk.connector_problem(provider) for provider in named)
    problems = {problem.subject: problem.document() for problem in found if problem}
    return {
        "schema_version": f"{SCHEMA_PREFIX}{request.lane.ladder_stem}-worker-run.v1",
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
    settings: Settings, warehouse: Warehouse, request: WorkerRequest, document: Mapping[str, Any], *, now: datetime
) -> None:
    """Writes the worker-run record, dry or live, and that of the plan it rests on."""
    written = [_run_record(request, document, now=now), _plan_record(request, document)]
    drop = write_own_drop(settings, f"worker-run-{document['run_id']}", written, now=now)
    with warehouse.writing("record a worker run") as session:
        commit_own_drop(session, drop, now=now)


def _run_record(request: WorkerRequest, document: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    stem = f"{request.lane.ladder_stem}-worker-run"
    return record(
        stem,
        session_id=f"worker-run-{document['run_id']}",
        created_at=now,
        signer=request.generated_by,
        run_id=document["run_id"],
        dry_run=document["dry_run"],
        retryable_count=document["retryable_count"],
        selected_retry_count=document["selected_retry_count"],
        **{
            stem.replace("-", "_"): {
                "schedule": {
                    "enabled": request.schedule_is_enabled,
                    "interval_minutes": request.interval_minutes or request.lane.expected_interval_minutes,
                },
                "summary": {
                    name: document[name]
                    for name in ("acknowledgement_pending_count", "waiting_retry_count", "suppressed_retry_count")
                },
            }
        },
    )


def _plan_record(request: WorkerRequest, document: Mapping[str, Any]) -> dict[str, Any]:
    return record(
        request.lane.retry_plan_kind,
        session_id=document["retry_plan_id"],
        created_at=datetime.fromisoformat(document["retry_plan_as_of"]),
        signer=request.generated_by,
        retry_plan_id=document["retry_plan_id"],
        alert_level=document["alert_level"],
        retryable_count=document["retryable_count"],
        waiting_count=document["waiting_retry_count"],
        suppressed_count=document["suppressed_retry_count"],
    )
