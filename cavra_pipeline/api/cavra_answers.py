"""Models of the answers about recoveries at CAVRA's own paths, for OpenAPI and for the check of every answer."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel

from cavra_pipeline.api.answers import CavraActor, CavraAlertDashboard, Open, Record
from cavra_pipeline.api.models import AlertLevel


class CavraRecoveryAnswer(BaseModel):
    """The recovery report with CAVRA's names beside ours, and its record; null without the scope `plan`."""

    report: dict[str, Any]
    metadata: Record | None


class CavraEscalationPlan(Open):
    """An escalation plan (contract section 11), with CAVRA's names beside ours."""

    plan_id: str
    recovery_report_id: str
    generated_at: str
    generated_by: str
    alert_level: AlertLevel
    recovery_slo_minutes: int
    escalation_count: int
    critical_escalation_count: int
    slo_breached_count: int
    failed_execution_count: int
    open_recovery_count: int
    provider_count: int
    selected_providers: list[str]
    escalation_routes: list[dict[str, Any]]
    executive_summary: dict[str, Any]


class CavraEscalationPlanAnswer(BaseModel):
    """An escalation plan, its evidence record, and the request's actor."""

    plan: CavraEscalationPlan
    metadata: Record
    actor: CavraActor | None


class CavraExecutiveReport(Open):
    """An executive report (contract section 11), with CAVRA's names beside ours."""

    executive_report_id: str
    recovery_report_id: str
    escalation_plan_id: str
    generated_at: str
    generated_by: str
    alert_level: AlertLevel
    recovery_slo_minutes: int
    executive_summary: dict[str, Any]
    provider_summary: list[dict[str, Any]]
    closure_trends: list[dict[str, Any]]
    key_risks: list[dict[str, Any]]
    recommended_actions: list[str]


class CavraExecutiveReportAnswer(BaseModel):
    """An executive report and its evidence record; null without the scope `plan`."""

    report: CavraExecutiveReport
    metadata: Record | None


class CavraScheduleRun(Open):
    """A scheduled run that made an executive report."""

    run_id: str
    generated_at: str
    generated_by: str
    alert_level: AlertLevel
    schedule: dict[str, Any]
    summary: dict[str, int]
    executive_report: CavraExecutiveReport


class CavraScheduleRunAnswer(BaseModel):
    """A scheduled run, its evidence record and that of its report, and the request's actor."""

    run: CavraScheduleRun
    metadata: Record
    report_metadata: Record
    actor: CavraActor | None


class CavraPlaybookAnswer(BaseModel):
    """The playbook that was written, its evidence record, and the request's actor.

    All but the actor are null if no connector needs a recovery.
    """

    playbook: dict[str, Any] | None
    metadata: Record | None
    actor: CavraActor | None


class CavraClosureAnswer(BaseModel):
    """A closure of a recovery; its record is null if the newest closure has the same state."""

    closure: dict[str, Any] | None
    metadata: Record | None
    actor: CavraActor | None


class CavraDashboard(Open):
    """Counts over the whole history; beside these about 120 more, each an integer or null."""

    schema_version: str
    product: str
    generated_at: str
    alert_level: AlertLevel
    plan_count: int
    delivery_count: int
    failed_delivery_count: int
    acknowledgement_count: int
    outstanding_acknowledgement_count: int | None
    outstanding_acknowledgements: list[dict[str, Any]]
    latest: list[Record]


class CavraClosureDashboard(BaseModel):
    """Whether final reporting can be closed, as CAVRA says it."""

    schema_version: str
    product: str
    generated_at: str
    closure_state: Literal["open", "closed"]
    alert_level: AlertLevel
    open_item_count: int
    open_items: list[str]
    executive_retry_health_alert: CavraAlertDashboard
    recovery_retry_health_alert: CavraAlertDashboard
    final_archive_health_alert: CavraAlertDashboard
    summary: dict[str, int]
    recommended_actions: list[str]
