"""Endpoints at CAVRA's own paths that count over the whole history: its two dashboards (contract section 13).

They write nothing. Dashboards of one lane's alerts are in ``cavra_lists.py``.
"""

from __future__ import annotations

from typing import Any, Final

from fastapi.routing import APIRouter

from cavra_pipeline.api import cavra_answers
from cavra_pipeline.api.cavra import DELIVERIES, NOTIFICATIONS
from cavra_pipeline.api.cavra_lists import DRILLS, alerts_of, newest_records
from cavra_pipeline.api.common import Served, endpoint
from cavra_pipeline.api.search import Filters
from cavra_pipeline.api.service import Answer
from cavra_pipeline.boundary.kinds import KIND_PREFIX
from cavra_pipeline.lanes import LANES, Lane
from cavra_pipeline.reports.cavra_dashboard import FINAL_ALERTS, closure_dashboard, notification_dashboard
from cavra_pipeline.reports.cavra_items import ARCHIVE_SOURCE
from cavra_pipeline.warehouse import Session

#: Records about archive-reference health alerts, which are of no lane.
_ARCHIVE_ALERTS: Final = Filters(
    kind_prefix=f"{KIND_PREFIX}final-reporting-archive-reference-health-alert", source_prefix=ARCHIVE_SOURCE
)
_LANES: Final[dict[str, Lane]] = {lane.delivery_source: lane for lane in LANES.values()}

router = APIRouter(tags=["cavra"])


@endpoint(
    router, "GET", f"{NOTIFICATIONS}/dashboard", scope="read", answer=cavra_answers.CavraDashboard,
    summary="CAVRA's own path for the dashboard of drill notifications and their audit deliveries.",
)  # fmt: skip
def cavra_dashboard(service: Served) -> Answer:
    """CAVRA's counts over the whole history; a count is null where CAVRA reads fields that are not stored here."""

    def make(session: Session) -> dict[str, Any]:
        now = service.clock()
        return {**notification_dashboard(session, as_of=now), "latest": newest_records(session, DRILLS, now)}

    return service.ask(("cavra dashboard",), make)


@endpoint(
    router, "GET", f"{DELIVERIES}/final-reporting-closure-dashboard", scope="read",
    answer=cavra_answers.CavraClosureDashboard,
    summary="CAVRA's own path for the final reporting dashboard.",
)  # fmt: skip
def cavra_closure_dashboard(service: Served) -> Answer:
    """CAVRA's open items, some of which never clear; `/api/v1/closure` lists what is open now."""

    def make(session: Session) -> dict[str, Any]:
        now = service.clock()
        document = closure_dashboard(session, as_of=now)
        for name, alerts in FINAL_ALERTS.items():
            lane = _LANES.get(alerts.delivery_source)
            about = alerts_of(lane) if lane else _ARCHIVE_ALERTS
            document[name]["latest"] = newest_records(session, about, now)
        return document

    return service.ask(("cavra closure dashboard",), make)
