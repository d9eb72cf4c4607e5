"""What the endpoints answer: OpenAPI declares it, and each answer is checked against it when it is made."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cavra_pipeline.api.models import AlertLevel, LaneName


class Open(BaseModel):
    """An answer: what is declared is there, and there may be more."""

    model_config = ConfigDict(extra="allow")


class Record(Open):
    """An evidence record in CAVRA's shape."""

    session_id: str
    created_at: str
    metadata_kind: str | None = None
    signer: str | None = None


class Health(Open):
    """A health report (contract section 7)."""

    schema_version: str
    lane: LaneName
    health_id: str
    as_of: str
    generated_at: str
    generated_by: str
    alert_level: AlertLevel
    alert_count: int
    alerts: list[dict[str, Any]]
    recommended_actions: list[str]
    outages: list[dict[str, Any]]
    acknowledgement_gaps: list[dict[str, Any]]


class HealthAnswer(BaseModel):
    """A health report and its own evidence record; null where it is not saved, for want of the scope `plan`."""

    health: Health
    metadata: Record | None


class Plan(Open):
    """A retry plan (contract section 6)."""

    schema_version: str
    lane: LaneName
    retry_plan_id: str
    as_of: str
    generated_at: str
    generated_by: str
    alert_level: AlertLevel
    decision_count: int
    retryable_count: int
    waiting_count: int
    suppressed_count: int
    retry_decisions: list[dict[str, Any]]


class PlanPreview(BaseModel):
    """A retry plan that is not saved."""

    plan: Plan


class PendingPlan(PlanPreview):
    """A retry plan that is not saved, and which of its due retries wait for a person."""

    pending: list[dict[str, str]] = Field(
        description="Subject and provider of each due retry that waits for an acknowledgement or an approval."
    )


class PlanAnswer(PendingPlan):
    """A retry plan, its own evidence record and who asked for it."""

    metadata: Record
    actor: str


class CavraActor(BaseModel):
    """Whoever showed a token, as CAVRA names an actor."""

    actor: str
    subject: str
    issuer: str
    groups: list[str]
    repository: str | None


class CavraPlanAnswer(PlanPreview):
    """A retry plan, its own evidence record, and whoever showed a token."""

    metadata: Record
    actor: CavraActor | None


class CavraAcknowledgement(Open):
    """What an operator said, by CAVRA's names; beside them the subject, `plan_id` or `health_id`."""

    acknowledgement_id: str
    provider: str
    acknowledgement_state: str
    acknowledged_by: str
    acknowledged_at: str
    external_ref: str


class CavraAcknowledgementAnswer(BaseModel):
    """What an operator said, its evidence record, and whoever showed a token."""

    acknowledgement: CavraAcknowledgement
    metadata: Record
    actor: CavraActor | None


class CavraRecords(BaseModel):
    """Whole records, newest first; `limit` and `offset` are those that were used."""

    items: list[Record]
    total: int
    limit: int
    offset: int


class CavraHistory(CavraRecords):
    """Whole records about rollback drills, newest first."""

    schema_version: str
    product: str


class CavraAlertDashboard(Open):
    """Health alerts of a lane, as CAVRA counts them."""

    alert_level: AlertLevel
    plan_count: int
    delivery_count: int
    acknowledgement_count: int
    outstanding_acknowledgement_count: int
    suppressed_provider_count: int
    outstanding_acknowledgements: list[dict[str, Any]]
    latest: list[Record]


class LaneState(Open):
    """A lane at a glance."""

    lane: LaneName
    alert_level: AlertLevel
    alerts: list[dict[str, Any]]


class RecoveriesState(Open):
    """Recoveries at a glance."""

    alert_level: AlertLevel
    recovery_open_count: int
    recovery_slo_breached_count: int


class ClosureState(Open):
    """Closure at a glance."""

    alert_level: AlertLevel
    closure_state: Literal["open", "closed"]
    open_item_count: int


class LanesAnswer(BaseModel):
    """Every lane at a glance, the recoveries, and whether the loop is closed."""

    as_of: str
    generated_at: str
    lanes: list[LaneState]
    recoveries: RecoveriesState
    closure: ClosureState


class Dashboard(Open):
    """Counts over all lanes and per lane (contract section 9)."""

    dashboard_id: str
    as_of: str
    generated_at: str
    alert_level: AlertLevel
    lanes: dict[str, dict[str, Any]]


class AcknowledgementAnswer(BaseModel):
    """The record that was written and who asked for it."""

    acknowledgement: Record
    actor: str


class EvidenceRow(BaseModel):
    """A record and what the pipeline made of it."""

    record_type: str | None
    lane: str | None
    subject: str | None
    drop_day: str
    status: str | None = Field(description="How an execution ended.")
    record: Record


class Next(BaseModel):
    """A page's end."""

    next: str | None = Field(description="Cursor of the following page; null on the last.")


class AcknowledgementsAnswer(Next):
    """Acknowledgements, newest first."""

    acknowledgements: list[EvidenceRow]


class EvidenceAnswer(Next):
    """Evidence, newest first."""

    records: list[EvidenceRow]


class ReportRow(Open):
    """A saved report."""

    report: str
    lane: LaneName | None
    report_day: str
    as_of: str
    report_id: str
    alert_level: str | None
    generated_at: str
    document: dict[str, Any] | None = None


class HistoryAnswer(Next):
    """Saved reports, newest day first."""

    reports: list[ReportRow]


class ReportAnswer(BaseModel):
    """One saved report with its document."""

    report: ReportRow


class QuarantineAnswer(Next):
    """Rejected lines."""

    count: int
    quarantine: list[dict[str, Any]]


class FindingsAnswer(Next):
    """What was not public-safe."""

    count: int
    findings: list[dict[str, Any]]


class PartitionRow(Open):
    """A UTC day: what came in, and how the lanes were."""

    day: str
    drop_count: int
    received_count: int
    reports: dict[str, dict[str, str | None]]


class PartitionsAnswer(BaseModel):
    """UTC days in order."""

    partitions: list[PartitionRow]
    next_from: str | None = Field(description="`from` of the days that follow; null where the range is whole.")


class RefreshAnswer(BaseModel):
    """A run that ingests and makes every report of its days."""

    run_id: str
    status: str
    job: str
    first: str = Field(alias="from")
    last: str = Field(alias="to")
    ui: str


class Status(Open):
    """What this service is and how it does."""

    service: str
    version: str
    access: Literal["open", "tokens"]
    notice: str
    actor: str
    scopes: list[str]
    reading: dict[str, Any]
    evidence: dict[str, Any]
    dagster: dict[str, Any]
    live_lanes: list[str]


class SlotsAnswer(BaseModel):
    """Scheduled runs with their verdicts."""

    first: str = Field(alias="from")
    last: str = Field(alias="to")
    slot_count: int
    counts: dict[str, int]
    slots: list[dict[str, Any]]


class FaultDocument(BaseModel):
    """A value that is not accepted."""

    where: str
    what: str
    remedy: str


class SourceRow(Open):
    """A source: the rows of its newest pull, its lag in minutes, and what is wrong with it."""

    source: str
    type: str | None
    every_minutes: int | None
    state: Literal["arriving", "never_pulled", "silent", "unreadable"]
    cause: str | None
    pulled_at: str | None
    pull_age_minutes: int | None
    newest_record_at: str | None
    lag_minutes: int | None
    new_record_count: int | None
    known_record_count: int | None
    quarantined_record_count: int | None
    failure: str | None
    faults: list[FaultDocument]


class SourcesAnswer(BaseModel):
    """How the sources of `sources.yaml` stand."""

    as_of: str
    alert_level: AlertLevel
    source_count: int
    silent_count: int
    unreadable_count: int
    faults: list[FaultDocument]
    sources: list[SourceRow]


class ProblemDocument(BaseModel):
    """What went wrong (RFC 9457). No value of the request and no record is ever in it."""

    type: str = Field(json_schema_extra={"format": "uri"})
    title: str
    status: int
    detail: str
    errors: list[FaultDocument] = []


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"]
