"""Endpoints that make reports: health, plans, the dashboard, the state of every lane."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Query
from fastapi.routing import APIRouter
from starlette.responses import Response

from cavra_pipeline.api import answers, models, report_answers
from cavra_pipeline.api.access import Caller
from cavra_pipeline.api.common import Asker, Served, endpoint
from cavra_pipeline.api.service import Answer, Service
from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import DEFAULT_GENERATED_BY, instant, naive_utc, write_csv
from cavra_pipeline.errors import checked
from cavra_pipeline.executive.wrong import steps_without_incident
from cavra_pipeline.lanes import LANES, Lane, lane_named
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.report import recovery_reports
from cavra_pipeline.reports.clearance import declined_states, held_pairs
from cavra_pipeline.reports.closure import closure_reports, closures_of
from cavra_pipeline.reports.dashboard import dashboards as make_dashboards
from cavra_pipeline.reports.glance import lane_at_a_glance
from cavra_pipeline.reports.health import HealthParameters, health_of_lanes, health_parameters, retry_health_reports
from cavra_pipeline.reports.plan import decision_columns, retry_plans
from cavra_pipeline.reports.policy import RetryPolicy, retry_policy
from cavra_pipeline.reports.records import health_record, plan_record
from cavra_pipeline.reports.store import CLOSURE, DASHBOARD, RECOVERIES, RETRY_HEALTH, RETRY_PLAN, is_what_if, save_plan
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Session

#: What a question has beside its parameters.
_REPORT_FIELDS: Final = set(models.ReportQuery.model_fields)

router = APIRouter(tags=["reports"])


def answer_health(
    service: Service,
    caller: Caller,
    lane: Lane,
    parameters: HealthParameters,
    *,
    generated_by: str,
    as_of: str | None,
    keep: bool = True,
) -> Answer:
    """Returns a health report, saved as evidence and shown in Dagster if ``keep`` is set and the caller may save."""
    is_kept = keep and caller.may_save
    label = actor_label(generated_by, where="generated_by")

    def make(session: Session, at: datetime, now: datetime) -> dict[str, Any]:
        return retry_health_reports(session, lane, parameters, instants=[at], now=now, generated_by=label)[0]

    def save(report: dict[str, Any], at: datetime, now: datetime) -> dict[str, Any]:
        record = health_record(report, now=now) if is_kept else None
        if record:
            other = is_what_if(RETRY_HEALTH, lane, parameters.model_dump(), as_of=at, end=now)
            service.save_report(RETRY_HEALTH, lane.name, report, record, is_what_if=other)
        return {"health": report, "metadata": record}

    return service.ask_as_of(("health", is_kept, lane.name, parameters.model_dump(), label), as_of, make, save)


@endpoint(router, "GET", "/api/v1/lanes/{lane}/health", scope="read", answer=answers.HealthAnswer)
def lane_health(
    service: Served, caller: Asker, lane: models.LaneName, query: Annotated[models.SavedHealthQuery, Query()]
) -> Answer:
    """Returns the health report of a lane.

    With the scope `plan` the report is saved as evidence; `keep=false` makes a preview that is not saved.
    """
    of_lane = lane_named(lane)
    parameters = health_parameters(of_lane, **query.model_dump(exclude=_REPORT_FIELDS | {"keep"}))
    by = query.generated_by or DEFAULT_GENERATED_BY
    return answer_health(service, caller, of_lane, parameters, generated_by=by, as_of=query.as_of, keep=query.keep)


def answer_plan(
    service: Service,
    actor: object,
    lane: Lane,
    policy: RetryPolicy,
    *,
    generated_by: str,
    as_of: str | None = None,
    keep: bool = False,
    with_pending: bool = False,
) -> Answer:
    """Returns a retry plan that is saved as evidence and shown in Dagster, and ``actor`` as it is.

    With ``with_pending`` the due retries that wait for a person stand beside it.
    """
    label = actor_label(generated_by, where="generated_by")

    def make(session: Session, at: datetime, now: datetime) -> dict[str, Any]:
        plan = retry_plans(session, lane, policy, instants=[at], now=now, generated_by=label)[0]
        return {"plan": plan, **({"pending": _pending(session, lane, plan, at)} if with_pending else {})}

    def save(document: dict[str, Any], at: datetime, now: datetime) -> dict[str, Any]:
        plan = document["plan"]
        record = plan_record(plan, now=now)
        other = is_what_if(RETRY_PLAN, lane, policy.model_dump(), as_of=at, end=now)
        service.save_report(RETRY_PLAN, lane.name, plan, record, is_what_if=other)
        if keep:
            save_plan(state_of(service.writing_settings), plan, now=now)
        return {**document, "metadata": record, "actor": actor}

    question = ("plan", actor, lane.name, policy.model_dump(), label, keep, with_pending)
    return service.ask_as_of(question, as_of, make, save)


@endpoint(router, "POST", "/api/v1/lanes/{lane}/plan", scope="plan", answer=answers.PlanAnswer)
def make_plan(service: Served, caller: Asker, lane: models.LaneName, body: models.PlanBody) -> Answer:
    """Makes a retry plan and saves it as evidence; sends nothing.

    A plan of now by the lane's own policy also shows in Dagster; one with another instant or policy does not.
    """
    of_lane = lane_named(lane)
    policy = retry_policy(of_lane, body.retry_policy.model_dump(exclude_unset=True) if body.retry_policy else {})
    by = body.generated_by or DEFAULT_GENERATED_BY
    return answer_plan(
        service, caller.name, of_lane, policy, generated_by=by, as_of=body.as_of, keep=body.keep, with_pending=True
    )


def _pending(session: Session, lane: Lane, plan: Mapping[str, Any], at: datetime) -> list[dict[str, str | None]]:
    """The due retries of a plan that the lane's gate does not let go yet, and which of them a person has declined."""
    pairs = held_pairs(session, lane, plan, naive_utc(at))["retry"]
    declined = declined_states(session, lane, pairs, naive_utc(at))
    return [
        {"subject": subject, "provider": provider, "declined_state": declined.get((subject, provider))}
        for subject, provider in pairs
    ]


def _preview(service: Service, lane: Lane, query: models.PlanQuery) -> tuple[Any, dict[str, Any]]:
    policy_values = query.model_dump(exclude_unset=True, exclude=_REPORT_FIELDS)
    policy = retry_policy(lane, policy_values)
    label = actor_label(query.generated_by or DEFAULT_GENERATED_BY, where="generated_by")
    service.instants(query.as_of)

    def make(session: Session) -> dict[str, Any]:
        now, as_of = service.instants(query.as_of)
        plan = retry_plans(session, lane, policy, instants=[as_of], now=now, generated_by=label)[0]
        return {"plan": plan, "pending": _pending(session, lane, plan, as_of)}

    return make, {"lane": lane.name, **query.model_dump()}


@endpoint(router, "GET", "/api/v1/lanes/{lane}/plan", scope="read", answer=answers.PendingPlan)
def preview_plan(service: Served, lane: models.LaneName, query: Annotated[models.PlanQuery, Query()]) -> Answer:
    """Previews a retry plan; saves nothing."""
    make, question = _preview(service, lane_named(lane), query)
    return service.ask(("look", question), make)


@endpoint(router, "GET", "/api/v1/lanes/{lane}/plan.csv", scope="read", answer=None)
def plan_as_csv(service: Served, lane: models.LaneName, query: Annotated[models.PlanQuery, Query()]) -> Response:
    """Previews a retry plan as CSV, a row for each decision; saves nothing."""
    make, _ = _preview(service, lane_named(lane), query)
    with service.reading() as (session, _):
        plan = make(session)["plan"]
    name = f"retry-plan-{lane}-{plan['as_of'][:10]}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    table, columns = io.StringIO(), decision_columns(lane_named(lane))
    write_csv(table, columns, (map(decision.get, columns) for decision in plan["retry_decisions"]))
    return Response(table.getvalue(), headers=headers, media_type="text/csv; charset=utf-8")


@endpoint(router, "GET", "/api/v1/lanes", scope="read", answer=answers.LanesAnswer)
def lanes(service: Served, query: Annotated[models.MomentQuery, Query()]) -> Answer:
    """Returns the state of every lane, of recoveries and of closure.

    Each lane is evaluated by its own parameters.
    """

    def make(session: Session, at: datetime, now: datetime) -> dict[str, Any]:
        health = health_of_lanes(session, instants=[at], now=now)
        recovered = recovery_reports(session, RecoveryParameters(), instants=[at], now=now)
        made_by = {"generated_at": instant(now), "generated_by": DEFAULT_GENERATED_BY}
        closed = closures_of(session, health, recovered, instants=[naive_utc(at)], made_by=made_by)
        glances = [lane_at_a_glance(session, lane, health[lane.name][0], as_of=at, now=now) for lane in LANES.values()]
        return {
            "as_of": instant(at),
            "generated_at": instant(now),
            "lanes": glances,
            "steps_without_incident": steps_without_incident(glances),
            "recoveries": {name: recovered[0][name] for name in _RECOVERIES_GLANCE},
            "closure": {name: closed[0][name] for name in _CLOSURE_GLANCE},
        }

    return service.ask_as_of(("lanes",), query.as_of, make)


_RECOVERIES_GLANCE: Final = (
    "alert_level", "state", "recovery_slo_minutes", "recovery_open_count", "recovery_slo_breached_count",
)  # fmt: skip
_CLOSURE_GLANCE: Final = ("alert_level", "closure_state", "open_item_count")


def _over_all_lanes(
    service: Service,
    caller: Caller,
    report: str,
    query: models.MomentQuery,
    make: Callable[[Session, datetime, datetime], dict[str, Any]],
    parameters: Mapping[str, Any] | None = None,
) -> Answer:
    """Returns a report over all lanes as of an instant; with the scope `plan` it shows in Dagster too."""

    def save(document: dict[str, Any], at: datetime, now: datetime) -> dict[str, Any]:
        if caller.may_save and not is_what_if(report, None, parameters or {}, as_of=at, end=now):
            service.save_report(report, None, document, None)
        return document

    return service.ask_as_of((report, caller.may_save, query.model_dump()), query.as_of, make, save)


@endpoint(router, "GET", "/api/v1/dashboard", scope="read", answer=answers.Dashboard)
def dashboard(service: Served, caller: Asker, query: Annotated[models.MomentQuery, Query()]) -> Answer:
    """Returns counts over all lanes, and for each lane.

    With the scope `plan` the dashboard shows in Dagster too.
    """
    return _over_all_lanes(
        service, caller, DASHBOARD, query, lambda session, at, now: make_dashboards(session, instants=[at], now=now)[0]
    )


@endpoint(router, "GET", "/api/v1/recoveries", scope="read", answer=report_answers.Recoveries)
def recoveries(service: Served, caller: Asker, query: Annotated[models.RecoveriesQuery, Query()]) -> Answer:
    """Returns the recovery report: which recoveries are open, past their limit or closed.

    With the scope `plan` the report shows in Dagster too.
    """
    parameters = checked(RecoveryParameters, query.model_dump(exclude=_REPORT_FIELDS))
    label = actor_label(query.generated_by or DEFAULT_GENERATED_BY, where="generated_by")
    return _over_all_lanes(
        service,
        caller,
        RECOVERIES,
        query,
        lambda session, at, now: recovery_reports(session, parameters, instants=[at], now=now, generated_by=label)[0],
        parameters.model_dump(),
    )


@endpoint(router, "GET", "/api/v1/closure", scope="read", answer=report_answers.ClosureReport)
def closure(service: Served, caller: Asker, query: Annotated[models.ReportQuery, Query()]) -> Answer:
    """Returns the closure report: each item that is still open.

    With the scope `plan` the report shows in Dagster too.
    """
    label = actor_label(query.generated_by or DEFAULT_GENERATED_BY, where="generated_by")
    return _over_all_lanes(
        service,
        caller,
        CLOSURE,
        query,
        lambda session, at, now: closure_reports(session, instants=[at], now=now, generated_by=label)[0],
    )
