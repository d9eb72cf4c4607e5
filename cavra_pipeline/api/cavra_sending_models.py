"""What CAVRA's clients give to its sending paths, and what these answer. The domain checks values again."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool

from cavra_pipeline.api.answers import CavraActor, Health, Open, Record
from cavra_pipeline.api.cavra_models import (
    CONSOLE,
    CavraPlanBody,
    GeneratedBy,
    Lenient,
    Minutes,
    Strict,
    accept_any,
    object_or_none,
)
from cavra_pipeline.executive.publish import MAX_RISKS, MAX_ROUTES
from cavra_pipeline.retry.health_alerts import MAX_ALERTS, MAX_WINDOW_MINUTES, WINDOW_MINUTES
from cavra_pipeline.retry.worker import DEFAULT_RETRY_DELIVERIES, MAX_RETRY_DELIVERIES

#: So many entries a message lists at most; connectors cut longer texts.
_MOST_LISTED: Final = 100
#: One attempt, with what comes before the answer, has to end within the claim of its run.
_MOST_SECONDS: Final = 30

_Listed = Annotated[int | None, Field(ge=1, le=_MOST_LISTED)]


class CavraSendingBody(Strict):
    """What every sending path takes of how to send."""

    generated_by: GeneratedBy = CONSOLE

    retries: Annotated[int | None, Field(ge=0, le=4)] = Field(
        None, description="Further requests inside one attempt; the host's setting if not given."
    )
    timeout_seconds: Annotated[float | None, Field(gt=0, le=_MOST_SECONDS, allow_inf_nan=False)] = Field(
        None, description="How long an answer may take, in seconds; the host's limits if not given."
    )


class CavraDeliveryBody(CavraSendingBody):
    """What a path of first deliveries takes."""

    provider: str | None = Field(
        None,
        max_length=512,
        description="Connectors with commas between them; `all` are those that are on.",
        examples=["webhook"],
    )
    dry_run: StrictBool | None = Field(None, description="True sends nothing and says what would be sent; ours.")


class CavraStoredBody(CavraDeliveryBody):
    """What the delivery of a plan or a run takes that is stored already."""

    recovery_slo_minutes: Minutes = Field(
        None, description="Limit of a plan or report that has to be made, in minutes; else 240."
    )

    @property
    def most(self) -> int | None:
        """How many entries the message lists at most."""
        return None


class CavraPlanDeliveryBody(CavraStoredBody):
    """What the delivery of an escalation plan takes."""

    max_routes: _Listed = Field(None, description=f"Routes that the message lists; else {MAX_ROUTES}.")

    @property
    def most(self) -> int | None:
        """How many routes the message lists at most."""
        return self.max_routes


class CavraRunDeliveryBody(CavraStoredBody):
    """What the delivery of a scheduled run of the executive report takes."""

    max_risks: _Listed = Field(None, description=f"Key risks that the message lists; else {MAX_RISKS}.")

    @property
    def most(self) -> int | None:
        """How many key risks the message lists at most."""
        return self.max_risks


class CavraAlertDeliveryBody(CavraDeliveryBody):
    """What the delivery of a health alert takes."""

    expected_interval_minutes: Minutes = Field(None, description="The worker's cadence; the lane's own if not given.")
    stale_metadata_minutes: Minutes = Field(None, description="Age over which the newest retry plan is stale.")
    suppression_window_minutes: Annotated[int | None, Field(ge=0, le=MAX_WINDOW_MINUTES)] = Field(
        None,
        description=f"How long a connector is left alone after an alert arrived through it; else {WINDOW_MINUTES}.",
    )
    force: StrictBool | None = Field(None, description="Send in the suppression window too.")
    max_alerts: _Listed = Field(None, description=f"Alerts that the message lists; else {MAX_ALERTS}.")


class CavraSchedule(Lenient):
    """What a worker run says of the schedule that it belongs to."""

    model_config = ConfigDict(strict=True)

    enabled: StrictBool | None = None
    interval_minutes: Minutes = None


class CavraWorkerBody(CavraSendingBody, CavraPlanBody):
    """What a run of a lane's retry worker takes. The last three have no effect: a retry lists nothing."""

    schedule: Annotated[
        CavraSchedule | None,
        BeforeValidator(object_or_none),
        Field(description="The run's schedule; ignored if it is no object.", json_schema_extra=accept_any),
    ] = None
    dry_run: StrictBool | None = Field(None, description="Select only; else the opposite of `execute`.")
    execute: StrictBool | None = Field(None, description="Send what is selected; else false.")
    max_retry_deliveries: Annotated[int | None, Field(ge=1, le=MAX_RETRY_DELIVERIES)] = Field(
        None, description=f"Retries selected at most; else {DEFAULT_RETRY_DELIVERIES}."
    )
    max_routes: _Listed = None
    max_alerts: _Listed = None
    max_risks: _Listed = None

    @property
    def is_live(self) -> bool:
        """Whether the request asks to send; `dry_run` counts before `execute`, as in CAVRA."""
        return bool(self.execute) if self.dry_run is None else not self.dry_run


class CavraDelivery(Open):
    """How a delivery went, for each connector; `session_id` names the connector's own record."""

    event_id: str
    event_type: str
    success: bool
    deliveries: list[dict[str, Any]]


class _Delivered(BaseModel):
    """`metadata` is the first connector's record; the others are named in `delivery`.

    `success` says whether all that was to be sent has arrived; `delivery` is null where there was nothing.
    """

    delivery: CavraDelivery | None
    metadata: Record | None
    success: bool
    event_id: str
    actor: CavraActor | None


class CavraPlanDeliveryAnswer(_Delivered):
    """An escalation plan and how its delivery went."""

    plan: dict[str, Any]
    plan_metadata: Record


class CavraRunDeliveryAnswer(_Delivered):
    """A scheduled run of the executive report and how its delivery went."""

    run: dict[str, Any]
    run_metadata: Record


class CavraAlertDeliveryAnswer(_Delivered):
    """A health report, which is not saved, the plan of who is notified of it, and how that went."""

    health: Health
    plan: dict[str, Any]
    plan_metadata: Record | None


class CavraWorkerAnswer(BaseModel):
    """A worker run, its record and that of its retry plan, and what became of each retry that it selected."""

    run: dict[str, Any]
    metadata: Record | None
    retry_metadata: Record | None
    retry_results: list[dict[str, Any]]
    actor: CavraActor | None
