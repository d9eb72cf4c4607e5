"""Models of the answers about recoveries and closure, for OpenAPI and for the check of every answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from cavra_pipeline.api.answers import Open, Record
from cavra_pipeline.api.models import AlertLevel


class Recoveries(Open):
    """Recoveries, those past their limit first, then the newest (contract section 11)."""

    recovery_report_id: str
    as_of: str
    generated_at: str
    alert_level: AlertLevel
    state: Literal["open", "none_open", "no_playbook"]
    recovery_slo_minutes: int
    recovery_count: int
    recovery_open_count: int
    recovery_closed_count: int
    recovery_slo_breached_count: int
    closure_state_counts: dict[str, int]
    recoveries: list[dict[str, Any]]
    recovery_groups: list[dict[str, Any]]


class PlaybookAnswer(BaseModel):
    """The playbook that was written, and who requested it; null if no connector needs a recovery."""

    playbook: Record | None
    actor: str


class RecoveryClosureAnswer(BaseModel):
    """The closure that was recorded, and who requested it; null if the newest closure has the same state."""

    closure: Record | None
    actor: str


class OpenItem(BaseModel):
    """A kind of item that is still open, and how many there are."""

    item: str
    count: int


class ClosureReport(Open):
    """Open items, and the items that CAVRA's own dashboard lists (contract section 12)."""

    closure_report_id: str
    as_of: str
    generated_at: str
    closure_state: Literal["open", "closed"]
    open_item_count: int
    open_items: list[OpenItem]
    cavra_open_items: list[str]


class ExecutiveReport(Open):
    """An executive report (contract section 12)."""

    executive_report_id: str
    as_of: str
    generated_at: str
    alert_level: AlertLevel
    headline: str
    what_to_do: str
    what_happened: list[str]
    open_recoveries: list[dict[str, Any]]
    key_risks: list[dict[str, Any]]
    recommended_actions: list[dict[str, Any]]


class EscalationPlan(Open):
    """An escalation plan: a route for each open recovery and each provider with unresolved retries."""

    plan_id: str
    as_of: str
    generated_at: str
    alert_level: AlertLevel
    escalation_count: int
    escalation_routes: list[dict[str, Any]]
