"""Endpoints about causes: provider incidents, forecasts, and why one delivery waits. Nothing is saved."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from fastapi.routing import APIRouter

from cavra_pipeline.api import models, report_answers
from cavra_pipeline.api.common import Served, endpoint
from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.api.service import Answer
from cavra_pipeline.causes.explain import UnknownPair, explain
from cavra_pipeline.causes.forecast import ForecastParameters, forecast
from cavra_pipeline.errors import checked
from cavra_pipeline.lanes import lane_named
from cavra_pipeline.reports.incidents import incident_reports
from cavra_pipeline.reports.policy import RetryPolicy, retry_policy
from cavra_pipeline.retry.sender import connector_check
from cavra_pipeline.warehouse import Session

router = APIRouter(tags=["causes"])


@endpoint(router, "GET", "/api/v1/incidents", scope="read", answer=report_answers.Incidents)
def incidents(service: Served, query: Annotated[models.IncidentsQuery, Query()]) -> Answer:
    """Lists provider incidents: which providers were or are broken, since when, and why."""
    return service.ask_as_of(
        ("incidents", query.provider, query.open),
        query.as_of,
        lambda session, at, now: incident_reports(
            session, instants=[at], now=now, provider=query.provider, is_open=query.open
        )[0],
    )


@endpoint(router, "GET", "/api/v1/lanes/{lane}/forecast", scope="read", answer=report_answers.Forecast)
def lane_forecast(service: Served, lane: models.LaneName, query: Annotated[models.ForecastQuery, Query()]) -> Answer:
    """Forecasts when each failing delivery of a lane is tried, exhausted or delivered; saves nothing.

    The coming worker runs are simulated twice: every retry fails, every retry is delivered.
    """
    of_lane, values = lane_named(lane), query.model_dump(exclude_unset=True)
    parameters = checked(ForecastParameters, {name: values.get(name) for name in ForecastParameters.model_fields})
    policy = retry_policy(of_lane, {name: values.get(name) for name in RetryPolicy.model_fields})
    has_connector = connector_check(service.settings)
    return service.ask_as_of(
        ("forecast", lane, parameters.model_dump(), policy.model_dump()),
        query.as_of,
        lambda session, at, now: forecast(
            session, of_lane, policy, parameters, as_of=at, now=now, has_connector=has_connector
        ),
    )


@endpoint(router, "GET", "/api/v1/explain", scope="read", answer=report_answers.Explanations)
def explanation(service: Served, query: Annotated[models.ExplainQuery, Query()]) -> Answer:
    """Explains one delivery: its records in order, its state, and what would release it."""
    lane = lane_named(query.lane) if query.lane else None
    has_connector = connector_check(service.settings)

    def make(session: Session, at: datetime, now: datetime) -> dict[str, Any]:
        pair: dict[str, Any] = {"subject": query.subject, "provider": query.provider, "lane": lane}
        try:
            return explain(session, **pair, as_of=at, now=now, has_connector=has_connector)
        except UnknownPair as error:
            raise HttpProblem(404, str(error)) from None

    return service.ask_as_of(("explain", query.subject, query.provider, query.lane), query.as_of, make)
