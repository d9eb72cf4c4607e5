"""Endpoints that make reports: health, plans, the dashboard, the lanes at a glance."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, Query
from fastapi.routing import APIRouter
from starlette.responses import Response

from cavra_pipeline.api import examples, models
from cavra_pipeline.api.access import Caller
from cavra_pipeline.api.common import Served, allowed, endpoint
from cavra_pipeline.api.service import Service
from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.dashboard.counts import dashboard as make_dashboard
from cavra_pipeline.documents import DEFAULT_GENERATED_BY, instant
from cavra_pipeline.escaping import csv_cell
from cavra_pipeline.health.report import health_parameters, retry_health
from cavra_pipeline.lanes import LANES, Lane, lane_named
from cavra_pipeline.reports.plan import retry_plan
from cavra_pipeline.reports.policy import RetryPolicy, retry_policy
from cavra_pipeline.reports.records import health_record, plan_record
from cavra_pipeline.reports.store import DASHBOARD, RETRY_HEALTH, RETRY_PLAN, keep_plan
from cavra_pipeline.retry.acknowledge import states_of
from cavra_pipeline.warehouse import Session

CAVRA: Final = "/runtime/go-pilot/rollback-drill-notifications/acknowledgements/audit-delivery"
#: CAVRA's own paths, by the lane they are about.
_HEALTH_PATHS: Final = {
    "recovery_escalation": f"{CAVRA}/recovery-escalations/retry-health",
    "executive_report": f"{CAVRA}/recovery-executive-report/delivery-retry-health",
}
_PLAN_PATHS: Final = {
    "recovery_escalation": f"{CAVRA}/recovery-escalations/delivery-retry-plan",
    "executive_report": f"{CAVRA}/recovery-executive-report/delivery-retry-plan",
}

router = APIRouter(tags=["reports"])
_READ = Annotated[Caller, Depends(allowed("read"))]
_PLAN = Annotated[Caller, Depends(allowed("plan"))]


def _health(service: Service, caller: Caller, lane: Lane, asked: models.HealthQuery) -> Response:
    given = asked.model_dump(exclude={"as_of", "generated_by"})
    parameters = health_parameters(lane, **given)
    label = actor_label(asked.generated_by or DEFAULT_GENERATED_BY, where="generated_by")
    service.instants(asked.as_of)

    def make() -> tuple[Any, Any]:
        with service.reading() as (session, state):
            now, as_of = service.instants(asked.as_of)
            report = retry_health(session, lane, parameters, as_of=as_of, now=now, generated_by=label)
        record = health_record(report, now=now) if caller.may_save else None
        if record:
            service.made(RETRY_HEALTH, lane.name, report, record)
        return {"health": report, "metadata": record}, state

    return service.once(("health", caller.may_save, lane.name, asked.model_dump()), make).response()


@endpoint(
    router, "GET", "/api/v1/lanes/{lane}/health", scope="read", answer=models.HealthAnswer,
    summary="Is the lane's retry worker running, are its plans fresh, what failed, what waits for a person?",
    example=examples.HEALTH,
)  # fmt: skip
def lane_health(
    service: Served, caller: _READ, lane: models.LaneName, asked: Annotated[models.HealthQuery, Query()]
) -> Response:
    """Makes the health report of a lane. With the scope `plan` it is saved as evidence and shows in Dagster too."""
    return _health(service, caller, lane_named(lane), asked)


def _plan(service: Service, caller: Caller, lane: Lane, body: models.PlanBody) -> Response:
    given = body.retry_policy.model_dump(exclude_unset=True) if body.retry_policy else {}
    policy = retry_policy(lane, given)
    label = actor_label(body.generated_by or DEFAULT_GENERATED_BY, where="generated_by")
    service.instants(body.as_of)

    def make() -> tuple[Any, Any]:
        with service.reading() as (session, state):
            now, as_of = service.instants(body.as_of)
            plan = retry_plan(session, lane, policy, as_of=as_of, now=now, generated_by=label)
        record = plan_record(plan, now=now)
        service.made(RETRY_PLAN, lane.name, plan, record)
        if body.keep:
            keep_plan(service.writable(), plan, now=now)
            service.written()
        return {"plan": plan, "metadata": record, "actor": caller.name}, state

    return service.once(("plan", caller.name, lane.name, body.model_dump()), make).response()


@endpoint(
    router, "POST", "/api/v1/lanes/{lane}/plan", scope="plan", answer=models.PlanAnswer,
    summary="Which failed deliveries to retry, which wait, which are exhausted?", example=examples.PLAN,
)  # fmt: skip
def make_plan(service: Served, caller: _PLAN, lane: models.LaneName, body: models.PlanBody) -> Response:
    """Makes a retry plan, keeps its evidence record and tells Dagster. Nothing is sent."""
    return _plan(service, caller, lane_named(lane), body)


def _declare_alias(lane: Lane) -> None:
    @endpoint(
        router, "GET", _HEALTH_PATHS[lane.name], scope="read", answer=models.HealthAnswer,
        summary=f"CAVRA's own path for the health of {lane.name}.", example=examples.HEALTH,
        name=f"cavra_health_{lane.name}",
    )  # fmt: skip
    def cavra_health(service: Served, caller: _READ, asked: Annotated[models.HealthQuery, Query()]) -> Response:
        return _health(service, caller, lane, asked)

    @endpoint(
        router, "POST", _PLAN_PATHS[lane.name], scope="plan", answer=models.PlanAnswer,
        summary=f"CAVRA's own path for the retry plan of {lane.name}.", example=examples.PLAN,
        name=f"cavra_plan_{lane.name}",
    )  # fmt: skip
    def cavra_plan(service: Served, caller: _PLAN, body: models.PlanBody) -> Response:
        return _plan(service, caller, lane, body)


for _name in _HEALTH_PATHS:
    _declare_alias(LANES[_name])


def _look(service: Service, lane: Lane, asked: models.PlanQuery) -> tuple[Any, dict[str, Any]]:
    given = asked.model_dump(exclude_unset=True, exclude={"as_of", "generated_by"})
    policy = retry_policy(lane, given)
    label = actor_label(asked.generated_by or DEFAULT_GENERATED_BY, where="generated_by")
    service.instants(asked.as_of)

    def make(session: Session) -> dict[str, Any]:
        now, as_of = service.instants(asked.as_of)
        return {"plan": retry_plan(session, lane, policy, as_of=as_of, now=now, generated_by=label)}

    return make, {"lane": lane.name, **asked.model_dump()}


@endpoint(
    router, "GET", "/api/v1/lanes/{lane}/plan", scope="read", answer=models.PlanLook,
    summary="What a retry plan would say; nothing is kept.", example={"plan": examples.PLAN["plan"]},
)  # fmt: skip
def look_at_plan(
    service: Served, _caller: _READ, lane: models.LaneName, asked: Annotated[models.PlanQuery, Query()]
) -> Response:
    """Makes a retry plan without any trace."""
    make, question = _look(service, lane_named(lane), asked)
    return service.ask(("look", question), make).response()


@endpoint(
    router, "GET", "/api/v1/lanes/{lane}/plan.csv", scope="read", answer=None,
    summary="The decisions of a retry plan as CSV.",
)  # fmt: skip
def plan_as_csv(
    service: Served, _caller: _READ, lane: models.LaneName, asked: Annotated[models.PlanQuery, Query()]
) -> Response:
    """Makes a retry plan without any trace, and writes its decisions as a table."""
    make, _ = _look(service, lane_named(lane), asked)
    with service.reading() as (session, _):
        plan = make(session)["plan"]
    name = f"retry-plan-{lane}-{plan['as_of'][:10]}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_csv(plan["retry_decisions"]), headers=headers, media_type="text/csv; charset=utf-8")


def _csv(decisions: list[dict[str, Any]]) -> str:
    table = io.StringIO()
    if decisions:
        writer = csv.writer(table, quoting=csv.QUOTE_NONNUMERIC)
        writer.writerow(decisions[0])
        writer.writerows([[csv_cell(value) for value in one.values()] for one in decisions])
    return table.getvalue()


@endpoint(
    router, "GET", "/api/v1/lanes", scope="read", answer=models.LanesAnswer,
    summary="Each lane at a glance, now; nothing is kept.", example=examples.LANES,
)  # fmt: skip
def lanes(service: Served, _caller: _READ) -> Response:
    """Judges every lane by its own parameters."""

    def make(session: Session) -> dict[str, Any]:
        now = service.clock()
        return {
            "as_of": instant(now),
            "generated_at": instant(now),
            "lanes": [_at_a_glance(session, lane, now) for lane in LANES.values()],
        }

    return service.ask(("lanes",), make).response()


_GLANCE: Final = (
    "alert_level", "alert_count", "latest_worker_run_id", "latest_worker_age_minutes", "latest_retry_plan_id",
    "latest_retry_plan_age_minutes", "unresolved_delivery_count", "acknowledgement_pending_count",
    "failed_execution_count", "unresolved_failed_execution_count", "evidence_record_count",
)  # fmt: skip


def _at_a_glance(session: Session, lane: Lane, now: datetime) -> dict[str, Any]:
    health = retry_health(session, lane, health_parameters(lane), as_of=now, now=now)
    policy: RetryPolicy = retry_policy(lane)
    plan = retry_plan(session, lane, policy, as_of=now, now=now)
    return {
        "lane": lane.name,
        "subject_field": lane.subject_field,
        "expected_interval_minutes": lane.expected_interval_minutes,
        "stale_metadata_minutes": lane.stale_metadata_minutes,
        "retry_delay_minutes": lane.retry_delay_minutes,
        "live_needs_acknowledgement": lane.live_needs_acknowledgement,
        "acknowledgement_states": list(states_of(lane)) if lane.takes_acknowledgements else [],
        **{name: health[name] for name in _GLANCE},
        **{name: plan[name] for name in ("retryable_count", "waiting_count", "suppressed_count")},
        "alerts": [
            {**alert, "action": action}
            for alert, action in zip(health["alerts"], health["recommended_actions"], strict=True)
        ],
        "outage_open_since": _first(health["outages"], "started_at", lambda one: one["ended_at"] is None),
        "oldest_gap_since": _first(health["acknowledgement_gaps"], "since"),
    }


def _first(rows: list[Mapping[str, Any]], name: str, which: Any = lambda _: True) -> str | None:
    return min((row[name] for row in rows if which(row) and row[name]), default=None)


@endpoint(
    router, "GET", "/api/v1/dashboard", scope="read", answer=models.Dashboard,
    summary="Counts of everything, over all lanes and per lane.", example=examples.DASHBOARD,
)  # fmt: skip
def dashboard(service: Served, caller: _READ, asked: Annotated[models.MomentQuery, Query()]) -> Response:
    """Makes the dashboard. With the scope `plan` it shows in Dagster too."""
    service.instants(asked.as_of)

    def make() -> tuple[Any, Any]:
        with service.reading() as (session, state):
            now, as_of = service.instants(asked.as_of)
            document = make_dashboard(session, as_of=as_of, now=now)
        if caller.may_save:
            service.made(DASHBOARD, None, document, None)
        return document, state

    return service.once(("dashboard", caller.may_save, asked.as_of), make).response()
