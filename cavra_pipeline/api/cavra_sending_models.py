"""Requests and answers of CAVRA's sending paths. The domain checks values again."""

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
    """Limits of every sending path."""

    generated_by: GeneratedBy = CONSOLE

    retries: Annotated[int | None, Field(ge=0, le=4)] = Field(
        None, description="Further requests inside one attempt; the host's setting if not given."
    )
    timeout_seconds: Annotated[float | None, Field(gt=0, le=_MOST_SECONDS, allow_inf_nan=False)] = Field(
        None, description="How long an answer may take, in seconds; the host's limits if not given."
    )


class CavraDeliveryBody(CavraSendingBody):
    """Parameters of a first delivery."""

    provider: str | None = Field(
        None,
        max_length=512,
        description="Connectors with commas between them; `all` for every enabled one.",
        examples=["webhook"],
    )
    dry_run: StrictBool | None = Field(
        None, description="True sends nothing and returns what would be sent; an addition to CAVRA's fields."
    )


class CavraStoredBody(CavraDeliveryBody):
    """Parameters of the delivery of a stored plan or run."""

    recovery_slo_minutes: Minutes = Field(
        None, description="SLO of a plan or report that has to be made, in minutes; 240 if not given."
    )

    @property
    def most(self) -> int | None:
        """How many entries the message lists at most."""
        return None


class CavraPlanDeliveryBody(CavraStoredBody):
    """Parameters of the delivery of an escalation plan."""

    max_routes: _Listed = Field(None, description=f"Max routes in the message; {MAX_ROUTES} if not given.")

    @property
    def most(self) -> int | None:
        """How many routes the message lists at most."""
        return self.max_routes


class CavraRunDeliveryBody(CavraStoredBody):
    """Parameters of the delivery of a scheduled run of the executive report."""

    max_risks: _Listed = Field(None, description=f"Max key risks in the message; {MAX_RISKS} if not given.")

    @property
    def most(self) -> int | None:
        """How many key risks the message lists at most."""
        return self.max_risks


class CavraAlertDeliveryBody(CavraDeliveryBody):
    """Parameters of the delivery of a health alert."""

    expected_interval_minutes: Minutes = Field(None, description="The worker's cadence; the lane's own if not given.")
    stale_metadata_minutes: Minutes = Field(None, description="Age over which the newest retry plan is stale.")
    suppression_window_minutes: Annotated[int | None, Field(ge=0, le=MAX_WINDOW_MINUTES)] = Field(
        None,
        description=f"Minutes without a further alert through a connector after one; {WINDOW_MINUTES} if not given.",
    )
    force: StrictBool | None = Field(None, description="Ignore the suppression window.")
    max_alerts: _Listed = Field(None, description=f"Max alerts in the message; {MAX_ALERTS} if not given.")


class CavraSchedule(Lenient):
    """The schedule of a worker run."""

    model_config = ConfigDict(strict=True)

    enabled: StrictBool | None = None
    interval_minutes: Minutes = None


class CavraWorkerBody(CavraSendingBody, CavraPlanBody):
    """Parameters of a worker run. The last three have no effect: a retry's message lists nothing."""

    schedule: Annotated[
        CavraSchedule | None,
        BeforeValidator(object_or_none),
        Field(description="The run's schedule; ignored if it is no object.", json_schema_extra=accept_any),
    ] = None
    dry_run: StrictBool | None = Field(
        None, description="Select and send nothing; the opposite of `execute` if not given."
    )
    execute: StrictBool | None = Field(None, description="Send the selected retries; false if not given.")
    max_retry_deliveries: Annotated[int | None, Field(ge=1, le=MAX_RETRY_DELIVERIES)] = Field(
        None, description=f"Max retries selected; {DEFAULT_RETRY_DELIVERIES} if not given."
    )
    max_routes: _Listed = None
    max_alerts: _Listed = None
    max_risks: _Listed = None

    @property
    def is_live(self) -> bool:
        """Whether the request asks to send; `dry_run` counts before `execute`, as in CAVRA."""
        return bool(self.execute) if self.dry_run is None else not self.dry_run


class CavraDelivery(Open):
    """Outcome of a delivery at each connector; `session_id` names the connector's own record."""

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
    """An escalation plan and the outcome of its delivery."""

    plan: dict[str, Any]
    plan_metadata: Record


class CavraRunDeliveryAnswer(_Delivered):
    """A scheduled run of the executive report and the outcome of its delivery."""

    run: dict[str, Any]
    run_metadata: Record


class CavraAlertDeliveryAnswer(_Delivered):
    """A health report, which is not saved, the plan of whom to notify of it, and the outcome."""

    health: Health
    plan: dict[str, Any]
    plan_metadata: Record | None


class CavraWorkerAnswer(BaseModel):
    """A worker run, its record and that of its retry plan, and the outcome of each selected retry."""

    run: dict[str, Any]
    metadata: Record | None
    retry_metadata: Record | None
    retry_results: list[dict[str, Any]]
    actor: CavraActor | None
