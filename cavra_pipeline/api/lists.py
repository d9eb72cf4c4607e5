"""Endpoints that list: evidence, acknowledgements, saved reports, partitions, quarantine, findings."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import Annotated, Any, Final

from fastapi import Path, Query
from fastapi.routing import APIRouter

from cavra_pipeline.api import answers, models, pages
from cavra_pipeline.api.common import Served, endpoint
from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.api.service import Answer, Service, json_answer
from cavra_pipeline.evidence.queries import day_counts
from cavra_pipeline.lanes import lane_named
from cavra_pipeline.reports.store import SavedReports, days_between, list_reports
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Session

MOST_DAYS: Final = 366
DEFAULT_DAYS: Final = 31

router = APIRouter(tags=["lists"])


def _filters(query: models.PageQuery) -> dict[str, Any]:
    return query.model_dump(exclude={"limit", "cursor", "documents"}, by_alias=True)


def _evidence(service: Service, member: str, query: models.PageQuery, filters: dict[str, Any]) -> Answer:
    def make(session: Session) -> dict[str, Any]:
        rows, following = pages.evidence_page(session, filters, limit=query.limit, cursor=query.cursor)
        return {member: rows, "next": following}

    return service.ask((member, filters, query.limit, query.cursor), make)


@endpoint(router, "GET", "/api/v1/evidence", scope="read", answer=answers.EvidenceAnswer)
def evidence(service: Served, query: Annotated[models.EvidenceQuery, Query()]) -> Answer:
    """Lists records by their allowlisted fields, in CAVRA's own shape."""
    return _evidence(service, "records", query, _filters(query))


@endpoint(router, "GET", "/api/v1/lanes/{lane}/acknowledgements", scope="read", answer=answers.AcknowledgementsAnswer)
def list_acknowledgements(
    service: Served, lane: models.LaneName, query: Annotated[models.AcknowledgementQuery, Query()]
) -> Answer:
    """Lists the acknowledgements of a lane."""
    filters = {**_filters(query), "lane": lane_named(lane).name, "record_type": "acknowledgement"}
    return _evidence(service, "acknowledgements", query, filters)


@endpoint(router, "GET", "/api/v1/history", scope="read", answer=answers.HistoryAnswer)
def history(service: Served, query: Annotated[models.HistoryQuery, Query()]) -> Answer:
    """Lists saved reports, one for each lane and day, and saved plans."""
    state, filters = state_of(service.settings), _filters(query)
    rows, following = pages.report_page(
        state, filters, limit=query.limit, cursor=query.cursor, with_documents=query.documents
    )
    return json_answer({"reports": rows, "next": following})


@endpoint(router, "GET", "/api/v1/history/{report_id}", scope="read", answer=answers.ReportAnswer)
def saved_report(service: Served, report_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,128}$")]) -> Answer:
    """Returns a saved report by its id."""
    state, filters = state_of(service.settings), {"report_id": report_id}
    rows, _ = pages.report_page(state, filters, limit=1, cursor=None, with_documents=True)
    if not rows:
        raise HttpProblem(404, "No report of that id is saved.")
    return json_answer({"report": rows[0]})


def _boundary(service: Service, table: str, query: models.PageQuery) -> Answer:
    filters = _filters(query)

    def make(session: Session) -> dict[str, Any]:
        count, (rows, following) = pages.boundary_page(session, table, filters, limit=query.limit, cursor=query.cursor)
        return {"count": count, table: rows, "next": following}

    return service.ask((table, filters, query.limit, query.cursor), make)


@endpoint(router, "GET", "/api/v1/quarantine", scope="read", answer=answers.QuarantineAnswer)
def quarantine(service: Served, query: Annotated[models.QuarantineQuery, Query()]) -> Answer:
    """Lists quarantined lines by place, SHA-256 and reason; never their content."""
    return _boundary(service, "quarantine", query)


@endpoint(router, "GET", "/api/v1/findings", scope="read", answer=answers.FindingsAnswer)
def findings(service: Served, query: Annotated[models.FindingQuery, Query()]) -> Answer:
    """Lists findings by place and rule; never the value."""
    return _boundary(service, "findings", query)


@endpoint(router, "GET", "/api/v1/partitions", scope="read", answer=answers.PartitionsAnswer)
def partitions(service: Served, query: Annotated[models.Days, Query()]) -> Answer:
    """Lists the UTC days of a range with counts of evidence and each lane's level."""
    first, last = day_range(service, query, default=DEFAULT_DAYS)
    until = last if (last - first).days < MOST_DAYS else first + timedelta(days=MOST_DAYS - 1)
    days = days_between(first, until)
    following = (until + timedelta(days=1)).isoformat() if until < last else None

    def make(session: Session) -> dict[str, Any]:
        if not days:
            return {"partitions": [], "next_from": None}
        counts = day_counts(session, days)
        reports: dict[object, dict[str, dict[str, Any]]] = {}
        saved = list_reports(state_of(service.settings), SavedReports(first=days[0], last=days[-1]))
        saved.sort(key=lambda row: (row["report"], row["lane"] or "", row["generated_at"]))
        for row in saved:
            lane, report = (row["lane"] or "all", str(row["report"]))
            reports.setdefault(row["report_day"], {}).setdefault(str(lane), {})[report] = row["alert_level"]
        rows = [{"day": day.isoformat(), **counts[day], "reports": reports.get(day, {})} for day in days]
        return {"partitions": rows, "next_from": following}

    return service.ask(("partitions", first, until, following), make)


def day_range(service: Service, days: models.Days, *, default: int) -> tuple[date, date]:
    """Returns the first and the last day of a range; so many up to the last where no first is given."""
    first, last = (getattr(days, name) for name in ("first", "last"))
    until: date = last or max(first or date.min, service.clock().astimezone(UTC).date())
    since: date = first or until - timedelta(days=min(default - 1, (until - date.min).days))
    return since, until
