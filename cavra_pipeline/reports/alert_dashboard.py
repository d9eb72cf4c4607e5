"""The dashboard of one sort of health alert, counted as CAVRA counts (contract section 13): whole history, one instant.

Our own counts, in which the newest acknowledgement decides, are in ``health.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import naive_utc
from cavra_pipeline.lanes import ANSWERING_STATES, Lane
from cavra_pipeline.reports.cavra_items import ARCHIVE, ARCHIVE_SOURCE
from cavra_pipeline.reports.outstanding import AlertKinds
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
#: So many of the connectors that no one has acknowledged are listed; all are counted.
_MOST_LISTED: Final = 20


@dataclass(frozen=True, slots=True)
class AlertSource:
    """One sort of health alert.

    Attributes:
        kinds: The kinds of its plans and acknowledgements.
        delivery_source: ``connector_delivery_source`` of its deliveries.
        counts_every_plan: Whether CAVRA counts every plan of it, not each health report's newest.
    """

    kinds: AlertKinds
    delivery_source: str
    counts_every_plan: bool

    @classmethod
    def of(cls, lane: Lane) -> AlertSource:
        """Returns the alerts that a lane delivers."""
        every = lane.cavra is not None and lane.cavra.counts_every_plan
        return cls(AlertKinds.named(lane.kind_stem), lane.delivery_source, every)


#: Archive-reference health alerts, whose deliveries have no lane.
ARCHIVE_ALERTS: Final = AlertSource(ARCHIVE, ARCHIVE_SOURCE, counts_every_plan=True)


def alert_dashboard(session: Session, alerts: AlertSource, *, as_of: datetime) -> dict[str, Any]:
    """Returns the counts and the level of one sort of health alert by CAVRA's names.

    Args:
        session: An open warehouse.
        alerts: The sort of alert.
        as_of: Records created later do not exist for it.

    Returns:
        The level, the counts, and up to 20 entries ``outstanding_acknowledgements``. Where CAVRA counts every alert
        plan it also counts successes, and nothing is a warning.
    """
    parameters: dict[str, object] = {
        "plan_kind": alerts.kinds.plan,
        "acknowledgement_kind": alerts.kinds.acknowledgement,
        "as_of": naive_utc(as_of),
    }
    (row,) = session.rows(_PACKAGE, "alert_plan_counts", {**parameters, "source": alerts.delivery_source})
    counts = {name: int(str(value)) for name, value in row.items()}
    outstanding = session.rows(
        _PACKAGE,
        "unanswered_alert_plans",
        {**parameters, "every_plan": alerts.counts_every_plan, "answering": list(ANSWERING_STATES)},
    )
    failed, selected = counts.pop("failed_delivery_count"), counts.pop("selected_provider_count")
    shared = {
        **counts,
        "outstanding_acknowledgement_count": len(outstanding),
        "outstanding_acknowledgements": outstanding[:_MOST_LISTED],
    }
    level = "critical" if failed or outstanding else "healthy"
    if alerts.counts_every_plan:
        succeeded = counts["delivery_count"] - failed
        only_there = {"delivery_success_count": succeeded, "delivery_failed_count": failed}
        return {"alert_level": level, **shared, **only_there, "selected_provider_count": selected}
    if level == "healthy" and counts["suppressed_provider_count"]:
        level = "warning"
    return {"alert_level": level, **shared, "failed_delivery_count": failed}
