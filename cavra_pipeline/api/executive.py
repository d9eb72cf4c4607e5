"""Endpoints about the executive report and the escalation plan as of any instant. Nothing is saved, nothing is sent.

What CAVRA's own paths store is in ``cavra_executive.py``.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Query
from fastapi.routing import APIRouter
from starlette.responses import Response

from cavra_pipeline.api import models, report_answers
from cavra_pipeline.api.common import Served, endpoint
from cavra_pipeline.api.service import Answer, Service
from cavra_pipeline.boundary.judge import actor_label
from cavra_pipeline.documents import DEFAULT_GENERATED_BY, parse_as_of
from cavra_pipeline.errors import checked
from cavra_pipeline.executive.escalation import escalation_plan
from cavra_pipeline.executive.render import page_context, report_html
from cavra_pipeline.executive.report import executive_reports
from cavra_pipeline.recoveries.history import RecoveryParameters

router = APIRouter(tags=["reports"])


def arguments_of(service: Service, query: models.RecoveriesQuery) -> dict[str, Any]:
    """Returns the arguments of the reports here; refuses values that are not accepted before the warehouse is read."""
    service.instants(query.as_of)
    parameters = checked(RecoveryParameters, query.model_dump(exclude=set(models.ReportQuery.model_fields)))
    return {
        "slo_minutes": parameters.slo_minutes,
        "generated_by": actor_label(query.generated_by or DEFAULT_GENERATED_BY, where="generated_by"),
        "providers": service.settings.escalation_connectors,
    }


@endpoint(router, "GET", "/api/v1/executive-report", scope="read", answer=report_answers.ExecutiveReport)
def executive_report(service: Served, query: Annotated[models.RecoveriesQuery, Query()]) -> Answer:
    """Previews the executive report; saves nothing."""
    arguments = arguments_of(service, query)
    return service.ask_as_of(
        ("executive report", query.model_dump()),
        query.as_of,
        lambda session, at, now: executive_reports(session, instants=[at], now=now, **arguments)[0],
    )


@endpoint(router, "GET", "/api/v1/executive-report.html", scope="read", answer=None)
def executive_report_as_html(service: Served, query: Annotated[models.RecoveriesQuery, Query()]) -> Response:
    """Previews the executive report as one HTML page to print; saves nothing."""
    arguments = arguments_of(service, query)
    with service.reading() as (session, _):
        now, at = service.instants(query.as_of)
        (report,) = executive_reports(session, instants=[at], now=now, **arguments)
    name = f"executive-report-{report['as_of'][:10]}.html"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    page = report_html(report, page_context(service.settings, parse_as_of(report["as_of"])))
    return Response(page, headers=headers, media_type="text/html; charset=utf-8")


@endpoint(router, "GET", "/api/v1/escalation-plan", scope="read", answer=report_answers.EscalationPlan)
def preview_escalation_plan(service: Served, query: Annotated[models.RecoveriesQuery, Query()]) -> Answer:
    """Previews the escalation plan; saves nothing.

    A route names whom to notify of each open recovery and of each provider with unresolved retries.
    """
    arguments = arguments_of(service, query)
    return service.ask_as_of(
        ("escalation plan", query.model_dump()),
        query.as_of,
        lambda session, at, now: escalation_plan(session, as_of=at, now=now, **arguments),
    )
