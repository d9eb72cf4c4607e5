"""Columns of lists as CSV: an empty list has them too. Tests compare each with the rows of a full one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import Final

from cavra_pipeline.alerts.model import Alert
from cavra_pipeline.lanes import Lane
from cavra_pipeline.reports.incidents import INCIDENT_COLUMNS
from cavra_pipeline.reports.plan import decision_columns

_OF_A_PLAN: Final = ("lane", "subject", "state", "needs")
_FORECAST: Final = (
    "provider", "action", "retry_count", "next_retry_at", "provider_incident_id", "first_tried_at", "exhausted_at",
    "delivered_at", "never_tried", "alike_failure_count", "alike_delivered_count",
)  # fmt: skip
HEALTH_ALERTS: Final = ("lane", "as_of", "severity", "category", "message", "recommended_action")
RECOVERIES: Final = (
    "playbook_id", "provider", "category", "failure_count", "opened_at", "age_minutes", "closure_state", "slo_status",
    "closed_at", "closure_minutes", "external_ref", "escalated_in", "notified_through", "acknowledged", "owner",
)  # fmt: skip
OPEN_ITEMS: Final = ("item", "count")
PLAYBOOK_ENTRIES: Final = ("provider", "category", "failure_count", "latest_failure_at")
CONNECTORS: Final = ("connector", "state")
SLOTS: Final = (
    "schedule", "expected_at", "verdict", "cause", "done_at", "run_id", "closes_at", "judged_at", "revised_at", "cron",
    "time_zone", "is_declared_on", "grace_minutes", "grace_percent", "early_percent", "configuration_from",
)  # fmt: skip
INCIDENTS: Final = tuple(name for name, _, _ in INCIDENT_COLUMNS)
ROUTES: Final = (
    "provider", "category", "severity", "playbook_id", "closure_state", "slo_status", "slo_state", "opened_at",
    "slo_due_at", "age_minutes", "failure_count", "notified_through", "acknowledged", "need", "recommended_action",
)  # fmt: skip
ALERTS: Final = (*(field.name for field in fields(Alert)), "state", "action", "ends_by_hand", "subject_text")
ALERT_EVENTS: Final = (
    "happened_at", "kind", "subject", "episode", "event", "detail", "actor", "alert_id",
    "subject_text",
)  # fmt: skip


def plan_columns(lanes: Iterable[Lane]) -> list[str]:
    """Returns the columns of the retry plans of lanes: each lane's own are empty for the others."""
    return list(dict.fromkeys([*_OF_A_PLAN, *(name for lane in lanes for name in decision_columns(lane))]))


def forecast_columns(lane: Lane) -> Sequence[str]:
    """Returns the columns of the forecast of a lane."""
    return [lane.subject_field, *_FORECAST]


def forecasts_of_lanes(lanes: Iterable[Lane]) -> list[str]:
    """Returns the columns of the forecasts of several lanes: each lane's own are empty for the others."""
    return list(dict.fromkeys(["lane", *(name for lane in lanes for name in forecast_columns(lane))]))
