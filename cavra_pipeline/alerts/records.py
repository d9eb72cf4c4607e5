"""CAVRA's own records of alerts: who is notified (alert plan) and what a person said (alert acknowledgement).

Evidence comes first, the state that depends on it after: a repeat after a crash writes the same records again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa

from cavra_pipeline.alerts.lifecycle import alert_lane
from cavra_pipeline.alerts.model import Alert
from cavra_pipeline.alerts.store import mark_recorded, unrecorded_notices
from cavra_pipeline.documents import DEFAULT_GENERATED_BY
from cavra_pipeline.evidence.emitted import record, save_emitted_drop
from cavra_pipeline.lanes import LANES
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of

ACKNOWLEDGED: Final = "acknowledged"
RESOLVED: Final = "resolved"


def record_plans(settings: Settings) -> None:
    """Writes the plans of notifications that are not evidence yet; a plan is one record for all its connectors.

    Raises:
        TransientError: The warehouse or the state database stayed busy; repeat.
    """
    with state_of(settings).reading() as c:
        rows = unrecorded_notices(c)
    plans = {plan_id: list(same) for plan_id, same in groupby(rows, key=lambda row: row["plan_id"])}
    for plan_id, same in plans.items():
        at = same[0]["created_at"]
        save_emitted_drop(settings, plan_id, [_plan_record(same)], now=at, act="record an alert plan")
    if plans:
        with state_of(settings).writing() as c:
            mark_recorded(c, plans)


def _plan_record(rows: Sequence[sa.RowMapping]) -> dict[str, Any]:
    first = rows[0]
    return record(
        f"{LANES[first['lane']].kind_stem}-plan",
        session_id=first["plan_id"],
        created_at=first["created_at"],
        signer=DEFAULT_GENERATED_BY,
        plan_id=first["plan_id"],
        alert_level=first["alert_level"],
        selected_providers=[row["provider"] for row in rows],
        suppressed_providers=list(first["suppressed_providers"]),
        **({"health_id": first["health_id"]} if first["health_id"] else {}),
    )


def record_acknowledgement(
    settings: Settings, alert: Alert, plans: Mapping[str, str], *, state: str, by: str, now: datetime
) -> None:
    """Writes what a person said of an alert as evidence: a file of the landing zone, then its commit.

    Args:
        settings: The home.
        alert: The alert.
        plans: The connectors that were notified of it, each with the plan that chose it. There is a record for each;
            where there is none, one record without plan and provider.
        state: ``acknowledged`` or ``resolved``.
        by: Actor label.
        now: When it was said.
    """
    name = alert.alert_id if state == ACKNOWLEDGED else f"{alert.alert_id}-{state}"
    health_id = alert.evidence.get("health_id")
    written = [
        record(
            f"{LANES[alert_lane(alert)].kind_stem}-ack",
            session_id="-".join(("acknowledgement", name, *([about["provider"]] if about else []))),
            created_at=now,
            signer=by,
            decision_count=1,
            acknowledgement_id=f"ack-{name}",
            acknowledgement_state=state,
            **about,
            **({"health_id": str(health_id)} if health_id else {}),
        )
        for about in [{"provider": provider, "plan_id": plan_id} for provider, plan_id in plans.items()] or [{}]
    ]
    save_emitted_drop(settings, f"acknowledgement-{name}", written, now=now, act="record an acknowledgement")
