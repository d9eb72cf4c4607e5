"""The dashboard of a lane's health alerts, counted as CAVRA counts (contract section 13): whole history, one instant.

Our own counts, in which the newest acknowledgement decides, are in ``health.py``.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from cavra_pipeline.documents import naive_utc
from cavra_pipeline.lanes import ANSWERING_STATES, Lane
from cavra_pipeline.warehouse import Session

_PACKAGE: Final = "cavra_pipeline.reports"
#: So many of the connectors that nobody has acknowledged are listed; all are counted.
_MOST_LISTED: Final = 20


def alert_dashboard(session: Session, lane: Lane, *, as_of: datetime) -> dict[str, Any]:
    """Returns the counts and the level of a lane of health alerts by CAVRA's names.

    Args:
        session: An open warehouse.
        lane: A lane that delivers health alerts.
        as_of: Records created later do not exist for it.

    Returns:
        The level, the counts, and up to 20 entries ``outstanding_acknowledgements``. Where CAVRA counts every alert
        plan it also counts successes, and nothing is a warning.
    """
    counts_every_plan = lane.cavra is not None and lane.cavra.counts_every_plan
    asked: dict[str, object] = {"lane": lane.name, "as_of": naive_utc(as_of)}
    (row,) = session.rows(_PACKAGE, "alert_plan_counts", asked)
    counts = {name: int(str(value)) for name, value in row.items()}
    outstanding = session.rows(
        _PACKAGE,
        "unanswered_alert_plans",
        {**asked, "every_plan": counts_every_plan, "answering": list(ANSWERING_STATES)},
    )
    failed, selected = counts.pop("failed_delivery_count"), counts.pop("selected_provider_count")
    shared = {
        **counts,
        "outstanding_acknowledgement_count": len(outstanding),
        "outstanding_acknowledgements": outstanding[:_MOST_LISTED],
    }
    level = "critical" if failed or outstanding else "healthy"
    if counts_every_plan:
        succeeded = counts["delivery_count"] - failed
        only_there = {"delivery_success_count": succeeded, "delivery_failed_count": failed}
        return {"alert_level": level, **shared, **only_there, "selected_provider_count": selected}
    if level == "healthy" and counts["suppressed_provider_count"]:
        level = "warning"
    return {"alert_level": level, **shared, "failed_delivery_count": failed}
