"""What the endpoints take and answer, for OpenAPI and for the first check of what comes in. The domain checks again."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt

from cavra_pipeline.health.report import MAX_MINUTES, MAX_WINDOW_HOURS
from cavra_pipeline.lanes import LANES

LaneName = Literal["recovery_escalation", "executive_report", "recovery_health_alert", "executive_health_alert"]
#: Lanes in which operators acknowledge.
AcknowledgedLane = Literal["recovery_escalation", "recovery_health_alert", "executive_health_alert"]
AlertLevel = Literal["critical", "warning", "healthy"]
assert set(LaneName.__args__) == set(LANES)  # type: ignore[attr-defined]  # noqa: S101 -- a lane more is a line more

AsOf = Annotated[
    str | None,
    Field(
        description="Instant to judge at, ISO-8601; UTC without an offset; now if not given.",
        min_length=1,
        max_length=40,
        json_schema_extra={"format": "date-time"},
        examples=["2026-06-25T15:07:25Z"],
    ),
]
Actor = Annotated[
    str | None,
    Field(
        description="Public-safe label of who asks: no e-mail address.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,127}$",
        examples=["release-manager"],
    ),
]


def _whole(value: object) -> object:
    """A number without a fraction is an integer to JSON Schema, however it is written: 3.0 is 3."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# The bounds come first: behind the validator they would not be in OpenAPI.
_Attempts = Annotated[StrictInt, Field(ge=1, le=100), BeforeValidator(_whole)]
_StatusCode = Annotated[StrictInt, Field(ge=100, le=599), BeforeValidator(_whole)]
Minutes = Annotated[int | None, Field(ge=1, le=MAX_MINUTES)]
_Delay = (
    Annotated[StrictInt, Field(ge=0, le=MAX_MINUTES)]
    | Annotated[float, Field(strict=True, ge=0, le=MAX_MINUTES, allow_inf_nan=False)]
)
_Limit = (
    Annotated[StrictInt, Field(ge=1, le=MAX_MINUTES)]
    | Annotated[float, Field(strict=True, ge=1, le=MAX_MINUTES, allow_inf_nan=False)]
)
_Factor = (
    Annotated[StrictInt, Field(ge=1, le=100)] | Annotated[float, Field(strict=True, ge=1, le=100, allow_inf_nan=False)]
)
Text = Annotated[str | None, Field(min_length=1, max_length=512)]
Cursor = Annotated[
    str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,2048}$", description="``next`` of the page before.", examples=[None])
]
Limit = Annotated[int, Field(ge=1, le=500, description="Most rows of a page.")]


def _written_day(value: Any) -> Any:
    """Takes YYYY-MM-DD alone; pydantic would take a number of seconds for a day too."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("not a day")
    return value


Day = Annotated[
    date | None,
    BeforeValidator(_written_day),
    Field(description="UTC day, inclusive, as YYYY-MM-DD.", examples=["2026-06-25"]),
]


class Asked(BaseModel):
    """Whatever is asked: nothing that is not declared."""

    model_config = ConfigDict(extra="forbid")


class HealthQuery(Asked):
    """Parameters of a health report; the lane's own where none are given (contract section 7)."""

    as_of: AsOf = None
    expected_interval_minutes: Minutes = Field(None, description="The worker's cadence.", examples=[30])
    stale_metadata_minutes: Minutes = Field(None, description="Age over which a retry plan is stale.", examples=[120])
    window_hours: int | None = Field(
        None, ge=1, le=MAX_WINDOW_HOURS, description="How far back counts reach.", examples=[168]
    )
    generated_by: Actor = None


class Policy(Asked):
    """A retry policy; defaults where a field is not given (contract section 6)."""

    max_retry_attempts: _Attempts | None = Field(
        None, description="Failures in a row from which a pair is exhausted.", examples=[3]
    )
    retry_delay_minutes: _Delay | None = Field(None, description="Delay after the first failure.", examples=[30])
    allow_immediate_retry: StrictBool | None = Field(None, description="Let a delay be under one minute.")
    backoff_multiplier: _Factor | None = Field(
        None, description="Factor on the delay for each further failure.", examples=[2]
    )
    max_retry_delay_minutes: _Limit | None = Field(
        None, description="The delay never grows past this.", examples=[1440]
    )
    non_retryable_status_codes: list[_StatusCode] | None = Field(
        None, max_length=500, description="HTTP statuses that are never retried.", examples=[[404]]
    )


class PlanBody(Asked):
    """What a retry plan is made by."""

    generated_by: Actor = None
    retry_policy: Policy | None = None
    as_of: AsOf = None
    keep: StrictBool = Field(False, description="Keep it in the history too, so that `worker --plan` can execute it.")


class PlanQuery(Asked):
    """The same as a query, for a look or a download."""

    generated_by: Actor = None
    as_of: AsOf = None
    max_retry_attempts: int | None = Field(None, ge=1, le=100)
    retry_delay_minutes: float | None = Field(None, ge=0, le=MAX_MINUTES, allow_inf_nan=False)
    allow_immediate_retry: bool | None = None
    backoff_multiplier: float | None = Field(None, ge=1, le=100, allow_inf_nan=False)
    max_retry_delay_minutes: float | None = Field(None, ge=1, le=MAX_MINUTES, allow_inf_nan=False)
    non_retryable_status_codes: list[Annotated[int, Field(ge=100, le=599)]] | None = Field(None, max_length=50)


class MomentQuery(Asked):
    """An instant."""

    as_of: AsOf = None


class AcknowledgementBody(Asked):
    """What an operator says of a failing delivery, for one provider."""

    subject: str = Field(
        min_length=1,
        max_length=512,
        description="The plan, or the health report of an alert lane.",
        examples=["plan-1"],
    )
    provider: str = Field(min_length=1, max_length=512, examples=["slack"])
    state: Literal["acknowledged", "accepted", "deferred", "escalated", "resolved", "dismissed"] | None = Field(
        None, description="One of the lane's `acknowledgement_states`.", examples=["acknowledged"]
    )
    withdraw: StrictBool = Field(False, description="Withdraw the acknowledgement; in place of `state`.")
    force: StrictBool = Field(False, description="Record it although no such delivery is known.")
    by: Actor = Field(None, description="Who says it; with a token, always the token's name.")


class PageQuery(Asked):
    """A page of a list."""

    limit: Limit = 50
    cursor: Cursor = None


class AcknowledgementQuery(PageQuery):
    """Filters of acknowledgements."""

    provider: Text = None
    subject: Text = None
    state: Text = None
    since: AsOf = None
    until: AsOf = None


class EvidenceQuery(PageQuery):
    """Filters of evidence."""

    lane: LaneName | None = None
    record_type: Text = Field(None, examples=["delivery"])
    session_id: Text = None
    subject: Text = None
    provider: Text = None
    since: AsOf = None
    until: AsOf = None


class HistoryQuery(PageQuery):
    """Filters of kept reports."""

    report: Literal["retry_health", "retry_plan", "dashboard", "asked_retry_plan"] | None = None
    lane: LaneName | None = None
    alert_level: AlertLevel | None = None
    first: Day = Field(None, alias="from")
    last: Day = Field(None, alias="to")
    documents: bool = Field(False, description="With each report's document.")


class QuarantineQuery(PageQuery):
    """Filters of quarantined lines."""

    first: Day = Field(None, alias="from")
    last: Day = Field(None, alias="to")
    reason: Text = None


class FindingQuery(PageQuery):
    """Filters of findings."""

    first: Day = Field(None, alias="from")
    last: Day = Field(None, alias="to")
    rule: Text = None


class DaysQuery(Asked):
    """A range of days."""

    first: Day = Field(None, alias="from")
    last: Day = Field(None, alias="to")


class RefreshBody(Asked):
    """The days to ingest and report on."""

    first: Day = Field(None, alias="from")
    last: Day = Field(None, alias="to")


class Open(BaseModel):
    """An answer: what is declared is there, and there may be more."""

    model_config = ConfigDict(extra="allow")


class Record(Open):
    """An evidence record in CAVRA's shape."""

    session_id: str
    created_at: str
    metadata_kind: str
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


class PlanLook(BaseModel):
    """A retry plan that nothing is kept of."""

    plan: Plan


class PlanAnswer(PlanLook):
    """A retry plan, its own evidence record and who asked for it."""

    metadata: Record
    actor: str


class LaneState(Open):
    """A lane at a glance."""

    lane: LaneName
    alert_level: AlertLevel
    alerts: list[dict[str, Any]]


class LanesAnswer(BaseModel):
    """Every lane at a glance."""

    as_of: str
    generated_at: str
    lanes: list[LaneState]


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
    """A kept report."""

    report: str
    lane: LaneName | None
    report_day: str
    as_of: str
    report_id: str
    alert_level: str | None
    generated_at: str
    document: dict[str, Any] | None = None


class HistoryAnswer(Next):
    """Kept reports, newest day first."""

    reports: list[ReportRow]


class ReportAnswer(BaseModel):
    """One kept report with its document."""

    report: ReportRow


class QuarantineAnswer(Next):
    """Lines of which nothing was kept."""

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

    model_config = ConfigDict(populate_by_name=True)

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


class Alive(BaseModel):
    """The process answers."""

    status: Literal["ok"]
