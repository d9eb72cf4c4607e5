"""Models of the answers: OpenAPI declares them, and each answer is checked against its model when it is made."""

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
    """A health report and its evidence record; null without the scope `plan`."""

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

    pending: list[dict[str, str | None]] = Field(
        description="Subject and provider of each due retry that waits for an acknowledgement or an approval, "
        "and declined_state: by which state a person has decided against it, or null."
    )


class PlanAnswer(PendingPlan):
    """A retry plan, its evidence record and who requested it."""

    metadata: Record
    actor: str


class CavraActor(BaseModel):
    """Name of the request's token, in the members of CAVRA's actors."""

    actor: str
    subject: str
    issuer: str
    groups: list[str]
    repository: str | None


class CavraPlanAnswer(PlanPreview):
    """A retry plan, its evidence record, and the request's actor."""

    metadata: Record
    actor: CavraActor | None


class CavraAcknowledgement(Open):
    """An acknowledgement by CAVRA's names, with its subject: `plan_id` or `health_id`."""

    acknowledgement_id: str
    provider: str
    acknowledgement_state: str
    acknowledged_by: str
    acknowledged_at: str
    external_ref: str


class CavraAcknowledgementAnswer(BaseModel):
    """An acknowledgement, its evidence record, and the request's actor."""

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
    """State of a lane."""

    lane: LaneName
    alert_level: AlertLevel
    alerts: list[dict[str, Any]]


class RecoveriesState(Open):
    """Counts of recoveries."""

    alert_level: AlertLevel
    recovery_open_count: int
    recovery_slo_breached_count: int


class ClosureState(Open):
    """State of closure."""

    alert_level: AlertLevel
    closure_state: Literal["open", "closed"]
    open_item_count: int


class LanesAnswer(BaseModel):
    """State of every lane, of recoveries and of closure."""

    as_of: str
    generated_at: str
    lanes: list[LaneState]
    steps_without_incident: list[str] = Field(
        description="What to do about failing deliveries that belong to no open incident, the most deliveries first."
    )
    recoveries: RecoveriesState
    closure: ClosureState


class Dashboard(Open):
    """Counts over all lanes and per lane (contract section 9)."""

    dashboard_id: str
    as_of: str
    generated_at: str
    alert_level: AlertLevel
    lanes: dict[str, dict[str, Any]]


class EvidenceRow(BaseModel):
    """A record and its classification."""

    record_type: str | None
    lane: str | None
    subject: str | None
    drop_day: str
    status: str | None = Field(description="How an execution ended.")
    record: Record


class Next(BaseModel):
    """Members of every page."""

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
    """Findings: what was not public-safe, never the value."""

    count: int
    findings: list[dict[str, Any]]


class PartitionRow(Open):
    """A UTC day: counts of its evidence, and each lane's level."""

    day: str
    drop_count: int
    received_count: int
    reports: dict[str, dict[str, str | None]]


class PartitionsAnswer(BaseModel):
    """UTC days in order."""

    partitions: list[PartitionRow]
    next_from: str | None = Field(description="`from` of the days that follow; null if no day is left.")


class RefreshAnswer(BaseModel):
    """A run that ingests and makes every report of its days."""

    run_id: str
    status: str
    job: str
    first: str = Field(alias="from")
    last: str = Field(alias="to")
    ui: str


class Status(Open):
    """Addresses, freshness and counts of this service."""

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
    recorded_since: str | None = Field(description="The oldest scheduled run on record, of any range.")
    slot_count: int
    counts: dict[str, int]
    schedules: list[dict[str, Any]] = Field(description="When each schedule is due next, and how often, on or not.")
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
    """State of each source of `sources.yaml`."""

    as_of: str
    alert_level: AlertLevel
    source_count: int
    silent_count: int
    unreadable_count: int
    faults: list[FaultDocument]
    sources: list[SourceRow]


class ProblemDocument(BaseModel):
    """An error (RFC 9457). It never holds a value of the request or a record."""

    type: str = Field(json_schema_extra={"format": "uri"})
    title: str
    status: int
    detail: str
    errors: list[FaultDocument] = []


class Alive(BaseModel):
    """The process runs."""

    status: Literal["ok"]
