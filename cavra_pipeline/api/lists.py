"""Endpoints that list: evidence, acknowledgements, kept reports, partitions, quarantine, findings."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Query
from fastapi.routing import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from cavra_pipeline.api import examples, models, pages
from cavra_pipeline.api.access import Caller
from cavra_pipeline.api.common import Served, allowed, endpoint
from cavra_pipeline.api.problems import Problem
from cavra_pipeline.api.service import Service
from cavra_pipeline.evidence.queries import day_counts
from cavra_pipeline.lanes import lane_named
from cavra_pipeline.reports.store import days_between, reports_of_days
from cavra_pipeline.warehouse import Session

MOST_DAYS: Final = 366
DEFAULT_DAYS: Final = 31

router = APIRouter(tags=["lists"])
_READ = Annotated[Caller, Depends(allowed("read"))]


def _filters(asked: models.PageQuery) -> dict[str, Any]:
    return asked.model_dump(exclude={"limit", "cursor", "documents"}, by_alias=True)


def _evidence(service: Service, member: str, asked: models.PageQuery, filters: dict[str, Any]) -> Response:
    def make(session: Session) -> dict[str, Any]:
        rows, following = pages.evidence_page(session, filters, limit=asked.limit, cursor=asked.cursor)
        return {member: rows, "next": following}

    return service.ask((member, filters, asked.limit, asked.cursor), make).response()


@endpoint(
    router, "GET", "/api/v1/evidence", scope="read", answer=models.EvidenceAnswer,
    summary="Current evidence, newest first.", example=examples.EVIDENCE,
)  # fmt: skip
def evidence(service: Served, _caller: _READ, asked: Annotated[models.EvidenceQuery, Query()]) -> Response:
    """Lists records by their allowlisted fields, in CAVRA's own shape."""
    return _evidence(service, "records", asked, _filters(asked))


@endpoint(
    router, "GET", "/api/v1/lanes/{lane}/acknowledgements", scope="read", answer=models.AcknowledgementsAnswer,
    summary="What operators acknowledged, newest first.", example=examples.ACKNOWLEDGEMENTS,
)  # fmt: skip
def list_acknowledgements(
    service: Served, _caller: _READ, lane: models.LaneName, asked: Annotated[models.AcknowledgementQuery, Query()]
) -> Response:
    """Lists the acknowledgements of a lane."""
    filters = {**_filters(asked), "lane": lane_named(lane).name, "record_type": "acknowledgement"}
    return _evidence(service, "acknowledgements", asked, filters)


@endpoint(
    router, "GET", "/api/v1/history", scope="read", answer=models.HistoryAnswer,
    summary="Kept reports, newest day first.", example=examples.HISTORY,
)  # fmt: skip
def history(service: Served, _caller: _READ, asked: Annotated[models.HistoryQuery, Query()]) -> Response:
    """Lists the reports that runs kept, one for each lane and day, and the plans that were kept by their id."""
    filters = _filters(asked)

    def make(session: Session) -> dict[str, Any]:
        rows, following = pages.report_page(
            session, filters, limit=asked.limit, cursor=asked.cursor, with_documents=asked.documents
        )
        return {"reports": rows, "next": following}

    return service.ask(("history", filters, asked.documents, asked.limit, asked.cursor), make).response()


@endpoint(
    router, "GET", "/api/v1/history/{report_id}", scope="read", answer=models.ReportAnswer,
    summary="One kept report with its document.", example=examples.REPORT,
)  # fmt: skip
def kept_report(
    service: Served, _caller: _READ, report_id: Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
) -> Response:
    """Gives a report that was kept, by its id."""

    def make(session: Session) -> dict[str, Any] | None:
        rows, _ = pages.report_page(session, {"report_id": report_id}, limit=1, cursor=None, with_documents=True)
        return {"report": rows[0]} if rows else None

    answer = service.ask(("report", report_id), make)
    if answer.body == b"null\n":
        raise Problem(404, "No report of that id is kept.")
    return answer.response()


def _boundary(service: Service, table: str, asked: models.PageQuery) -> Response:
    filters = _filters(asked)

    def make(session: Session) -> dict[str, Any]:
        count, (rows, following) = pages.boundary_page(session, table, filters, limit=asked.limit, cursor=asked.cursor)
        return {"count": count, table: rows, "next": following}

    return service.ask((table, filters, asked.limit, asked.cursor), make).response()


@endpoint(
    router, "GET", "/api/v1/quarantine", scope="read", answer=models.QuarantineAnswer,
    summary="Lines of which nothing was kept: where they stood, their SHA-256 and why.", example=examples.QUARANTINE,
)  # fmt: skip
def quarantine(service: Served, _caller: _READ, asked: Annotated[models.QuarantineQuery, Query()]) -> Response:
    """Lists quarantined lines; never what they said."""
    return _boundary(service, "quarantine", asked)


@endpoint(
    router, "GET", "/api/v1/findings", scope="read", answer=models.FindingsAnswer,
    summary="What was not public-safe: where, which rule, which field.", example=examples.FINDINGS,
)  # fmt: skip
def findings(service: Served, _caller: _READ, asked: Annotated[models.FindingQuery, Query()]) -> Response:
    """Lists findings; never the value."""
    return _boundary(service, "findings", asked)


@endpoint(
    router, "GET", "/api/v1/partitions", scope="read", answer=models.PartitionsAnswer,
    summary="UTC days: what came in, and the alert level of each kept report.", example=examples.PARTITIONS,
)  # fmt: skip
def partitions(service: Served, _caller: _READ, asked: Annotated[models.DaysQuery, Query()]) -> Response:
    """Lists the days of a range, also those on which nothing came in."""
    first, last = days_asked(service, asked, default=DEFAULT_DAYS)
    until = last if (last - first).days < MOST_DAYS else first + timedelta(days=MOST_DAYS - 1)
    days = days_between(first, until)
    following = (until + timedelta(days=1)).isoformat() if until < last else None

    def make(session: Session) -> dict[str, Any]:
        if not days:
            return {"partitions": [], "next_from": None}
        counts = day_counts(session, days)
        reports: dict[object, dict[str, dict[str, Any]]] = {}
        for row in reports_of_days(session, days[0], days[-1]):
            lane, report = (row["lane"] or "all", str(row["report"]))
            reports.setdefault(row["report_day"], {}).setdefault(str(lane), {})[report] = row["alert_level"]
        rows = [{"day": day.isoformat(), **counts[day], "reports": reports.get(day, {})} for day in days]
        return {"partitions": rows, "next_from": following}

    return service.ask(("partitions", first, until, following), make).response()


def days_asked(service: Service, asked: BaseModel, *, default: int) -> tuple[date, date]:
    """Returns the first and the last day of a range; so many up to the last where no first is given."""
    first, last = (getattr(asked, name) for name in ("first", "last"))
    until: date = last or max(first or date.min, service.clock().astimezone(UTC).date())
    since: date = first or until - timedelta(days=min(default - 1, (until - date.min).days))
    return since, until
