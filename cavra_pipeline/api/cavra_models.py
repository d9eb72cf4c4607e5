"""Requests of CAVRA's clients: undeclared fields are ignored, as in CAVRA. The domain checks values."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from cavra_pipeline.api.models import Policy, whole_numbers
from cavra_pipeline.executive.stored import RunSchedule

#: What CAVRA calls whoever does not say who they are.
CONSOLE: Final = "console"
MOST_MINUTES: Final = 525_600


class Lenient(BaseModel):
    """A request of CAVRA's clients; undeclared fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class Strict(Lenient):
    """A body: a number is no text and no boolean."""

    model_config = ConfigDict(strict=True)

    _whole = model_validator(mode="before")(whole_numbers)


GeneratedBy = Annotated[
    str | None,
    Field(description="Public-safe name or team label; with a token, always the token's name.", examples=["console"]),
]
Minutes = Annotated[int | None, Field(ge=1, le=MOST_MINUTES)]
#: A missing or blank provider is refused with CAVRA's status, by the endpoint, not by the model.
_Provider = Annotated[
    str | None,
    Field(max_length=512, examples=["slack"]),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 512, "pattern": r"\S", "examples": ["slack"]}),
]


class CavraHealthQuery(Lenient):
    """Parameters of a health report; the lane's own where none are given."""

    expected_interval_minutes: Minutes = Field(None, description="The worker's cadence.")
    stale_metadata_minutes: Minutes = Field(None, description="Age over which the newest retry plan is stale.")
    generated_by: GeneratedBy = CONSOLE


def object_or_none(value: Any) -> Any:
    """CAVRA ignores what is no object where it takes one."""
    return value if isinstance(value, dict) else None


def accept_any(schema: dict[str, Any]) -> None:
    """Says in OpenAPI that a value which is no object is accepted, and ignored."""
    schema["anyOf"] += [{"type": kind} for kind in ("string", "number", "boolean", "array")]


class CavraPlanBody(Lenient):
    """Policy of a retry plan."""

    retry_policy: Annotated[
        Policy | None,
        BeforeValidator(object_or_none),
        Field(description="A retry policy; ignored if it is no object.", json_schema_extra=accept_any),
    ] = None
    generated_by: GeneratedBy = CONSOLE

    _whole = model_validator(mode="before")(whole_numbers)


class CavraAcknowledgementBody(Lenient):
    """An acknowledgement of an escalation or of a health alert at one provider."""

    model_config = ConfigDict(json_schema_extra={"required": ["provider"]})

    provider: _Provider = None
    acknowledged_by: str | None = Field(
        None, description="Public-safe name or team label; with a token, always the token's name."
    )
    acknowledgement_state: str | None = Field("acknowledged", description="One of the lane's states.")
    external_ref: str | None = Field(None, description="The ticket's key.", examples=["INC-1042"])


class CavraRecoveryQuery(Lenient):
    """SLO of recoveries."""

    recovery_slo_minutes: Minutes = Field(
        None, description="How long a recovery may be open, in minutes; 240 if not given."
    )
    generated_by: GeneratedBy = CONSOLE


class CavraEscalationPlanBody(Strict, CavraRecoveryQuery):
    """Parameters of an escalation plan."""


class CavraScheduleRunBody(CavraEscalationPlanBody):
    """Parameters of a scheduled run of the executive report."""

    schedule: Annotated[
        RunSchedule | None,
        BeforeValidator(object_or_none),
        Field(
            description="The schedule that the run records; ignored if it is no object.", json_schema_extra=accept_any
        ),
    ] = None


class CavraPlaybookBody(Strict):
    """Parameters of a recovery playbook."""

    min_failure_count: Annotated[int | None, Field(ge=1, le=10_000)] = Field(
        None, description="Failures that put a connector into the playbook; 2 if not given."
    )
    lookback_hours: Annotated[int | None, Field(ge=1, le=8_760)] = Field(
        None, description="Hours in which failures count; 24 if not given."
    )
    generated_by: GeneratedBy = CONSOLE


class CavraClosureBody(Lenient):
    """The closure of a recovery at one provider."""

    model_config = ConfigDict(json_schema_extra={"required": ["provider"]})

    provider: _Provider = None
    closed_by: str | None = Field(
        None, description="Public-safe name or team label; with a token, always the token's name."
    )
    closure_state: str | None = Field("resolved", description="`resolved` and `mitigated` close the recovery.")
    external_ref: str | None = Field(None, description="The ticket's key.", examples=["INC-1042"])


class RecordsQuery(Lenient):
    """A page of a list, by CAVRA's parameters."""

    limit: int = Field(50, description="Max records, cut to 1..500; the answer gives the value used.")
    offset: int = Field(0, description="Records to skip; below 0 counts as 0.")


class CavraEvidenceQuery(RecordsQuery):
    """Filters of evidence. No record here has what the last six ask for, so a value of theirs matches none."""

    session_id: str | None = Field(None, description="A part of the session id.")
    signer: str | None = None
    min_blocked: int | None = None
    has_approvals: bool | None = None
    metadata_kind: str | None = None
    approval_state: str | None = None
    rollout_status: str | None = None
    environment: str | None = None
    deployment_target: str | None = None
    target_ring: str | None = None
    promotion_execution_status: str | None = None
    rollback_execution_status: str | None = None


class CavraNotificationsQuery(RecordsQuery):
    """Filters of the records about rollback drills. No record here has a schedule's id."""

    schedule_id: str | None = None
    provider: str | None = None
    metadata_kind: str | None = None
    acknowledgement_state: str | None = None
    connector_delivery_source: str | None = None
    delivery_success: bool | None = None
    alert_level: str | None = None
    audit_id: str | None = None
    delivery_id: str | None = None
    cadence: str | None = None


class CavraHistoryQuery(RecordsQuery):
    """Filters of the records about health alerts."""

    health_id: str | None = None
    provider: str | None = None
    metadata_kind: str | None = None
    acknowledgement_state: str | None = None
    suppressed: bool | None = Field(None, description="Whether connectors were suppressed.")
