"""Endpoints at CAVRA's own paths that list records: evidence, drill notifications, histories and dashboards of alerts.

They write nothing. What a filter means is in ``search.py``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Path, Query
from fastapi.routing import APIRouter
from pydantic import BaseModel

from cavra_pipeline.api import answers, cavra_models
from cavra_pipeline.api.cavra import DELIVERIES, NOTIFICATIONS
from cavra_pipeline.api.common import Served, endpoint
from cavra_pipeline.api.problems import HttpProblem
from cavra_pipeline.api.search import Filters, find_record, search_records
from cavra_pipeline.api.service import Answer, Service
from cavra_pipeline.documents import PRODUCT, naive_utc
from cavra_pipeline.lanes import LANES, CavraPaths, Lane
from cavra_pipeline.provider_names import provider_name
from cavra_pipeline.reports.alert_dashboard import AlertSource, alert_dashboard
from cavra_pipeline.warehouse import Session

EVIDENCE: Final = "/evidence"
_SCHEMA: Final = "cavra.go-backend-pilot.rollback-drill-notification-history.v1"
#: What is about rollback drills, by its kind or by the source of its delivery.
DRILLS: Final = Filters(kind_prefix="go-backend-rollback-drill-", source_prefix="go_backend_rollback_drill")
#: So many records are the latest of a dashboard.
_MOST_LATEST: Final = 10
#: Filters on fields that no record here has.
_NOWHERE: Final = (
    "rollout_status", "environment", "deployment_target", "target_ring", "promotion_execution_status",
    "rollback_execution_status", "schedule_id",
)  # fmt: skip
#: What a filter is called here, where CAVRA calls it otherwise.
_RENAMED: Final = {"session_id": "part_of_id", "connector_delivery_source": "delivery_source"}

router = APIRouter(tags=["cavra"])


def _filters(query: BaseModel, **fixed: Any) -> Filters:
    """A filter that is empty is none, as in CAVRA."""
    values = {
        name: value
        for name, value in query.model_dump(exclude={"limit", "offset"}).items()
        if value is not None and value != ""
    }
    is_nothing = any([values.pop(name, None) is not None for name in _NOWHERE])  # noqa: C419 -- each has to go
    if "provider" in values:
        values["provider"] = provider_name(values["provider"])
    named = {_RENAMED.get(name, name): value for name, value in values.items()}
    return Filters(**named, **fixed, is_nothing=is_nothing)


def alerts_of(lane: Lane) -> Filters:
    """Returns the filter of the history of a lane's alerts."""
    return Filters(lane=lane.name, record_types=lane.cavra.history_types if lane.cavra else None)


def newest_records(session: Session, about: Filters, now: datetime) -> list[dict[str, Any]]:
    """Returns the ten newest records that pass a filter, as the dashboards show them."""
    records: list[dict[str, Any]] = search_records(session, replace(about, until=naive_utc(now)), limit=_MOST_LATEST)[
        "items"
    ]
    return records


def _records(service: Service, query: cavra_models.RecordsQuery, filters: Filters, **members: str) -> Answer:
    def make(session: Session) -> dict[str, Any]:
        return {**members, **search_records(session, filters, limit=query.limit, offset=query.offset)}

    return service.ask(("records", members, filters, query.limit, query.offset), make)


@endpoint(router, "GET", EVIDENCE, scope="read", answer=answers.CavraRecords)
def cavra_evidence(service: Served, query: Annotated[cavra_models.CavraEvidenceQuery, Query()]) -> Answer:
    """Lists current evidence as CAVRA's own store does, by its allowlisted fields."""
    return _records(service, query, _filters(query))


@endpoint(router, "GET", f"{EVIDENCE}/{{session_id:path}}", scope="read", answer=answers.Record)
def cavra_evidence_record(service: Served, session_id: Annotated[str, Path(min_length=1)]) -> Answer:
    """Gives one current record, by its allowlisted fields."""

    def make(session: Session) -> dict[str, Any]:
        record = find_record(session, session_id)
        if record is None:
            raise HttpProblem(404, "evidence metadata not found")
        return record

    return service.ask(("record", session_id), make)


@endpoint(router, "GET", NOTIFICATIONS, scope="read", answer=answers.CavraHistory)
def cavra_notifications(service: Served, query: Annotated[cavra_models.CavraNotificationsQuery, Query()]) -> Answer:
    """Lists the records about rollback drills and their deliveries."""
    filters = _filters(query, kind_prefix=DRILLS.kind_prefix, source_prefix=DRILLS.source_prefix)
    return _records(service, query, filters, schema_version=_SCHEMA, product=PRODUCT)


def _declare_history(lane: Lane, paths: CavraPaths) -> None:
    @endpoint(
        router, "GET", f"{DELIVERIES}/{paths.base}", scope="read", answer=answers.CavraHistory,
        summary=f"CAVRA's own path for the history of the alerts of {lane.name}.", name=f"cavra_history_{lane.name}",
    )  # fmt: skip
    def cavra_history(service: Served, query: Annotated[cavra_models.CavraHistoryQuery, Query()]) -> Answer:
        filters = _filters(query, lane=lane.name, record_types=paths.history_types)
        return _records(service, query, filters, schema_version=_SCHEMA, product=PRODUCT)


def _declare_dashboard(lane: Lane, paths: CavraPaths) -> None:
    @endpoint(
        router, "GET", f"{DELIVERIES}/{paths.base.removesuffix('s')}-dashboard", scope="read",
        answer=answers.CavraAlertDashboard, name=f"cavra_dashboard_{lane.name}",
        summary=f"CAVRA's own path for the dashboard of the alerts of {lane.name}.",
    )  # fmt: skip
    def cavra_dashboard(service: Served) -> Answer:
        """CAVRA's counts over the whole history; `latest` are the ten newest records of the alerts' history."""

        def make(session: Session) -> dict[str, Any]:
            now = service.clock()
            counted = alert_dashboard(session, AlertSource.of(lane), as_of=now)
            return {**counted, "latest": newest_records(session, alerts_of(lane), now)}

        return service.ask(("alert dashboard", lane.name), make)


for _lane in LANES.values():
    if _lane.cavra and _lane.alerts_of:
        _declare_history(_lane, _lane.cavra)
        _declare_dashboard(_lane, _lane.cavra)
