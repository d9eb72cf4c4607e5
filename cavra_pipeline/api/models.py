"""Models of requests, for OpenAPI and for the first validation. The domain validates again."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, model_validator

from cavra_pipeline.boundary.fields import CLOSURE_STATES
from cavra_pipeline.boundary.search import MAX_DEPTH
from cavra_pipeline.causes.forecast import ForecastParameters
from cavra_pipeline.declared import with_fields_of
from cavra_pipeline.desired_state import SCHEDULE_NAMES
from cavra_pipeline.lanes import ACKNOWLEDGEMENT_STATES, LANES
from cavra_pipeline.recoveries.history import RecoveryParameters
from cavra_pipeline.recoveries.write import PlaybookParameters
from cavra_pipeline.reports.health import HealthParameters
from cavra_pipeline.reports.policy import RetryPolicy
from cavra_pipeline.reports.store import SAVED_AS

if TYPE_CHECKING:
    LaneName = str
    AcknowledgedLane = str
    State = str
    ScheduleName = str
    ReportName = str
    ClosureState = str
else:
    LaneName = Literal[tuple(LANES)]
    #: Lanes in which operators acknowledge.
    AcknowledgedLane = Literal[tuple(name for name, lane in LANES.items() if lane.takes_acknowledgements)]
    State = Literal[ACKNOWLEDGEMENT_STATES]
    ScheduleName = Literal[SCHEDULE_NAMES]
    ReportName = Literal[tuple(SAVED_AS)]
    ClosureState = Literal[CLOSURE_STATES]
#: ``unknown`` is the level of a lane that is not in use, and of recoveries without a playbook.
AlertLevel = Literal["critical", "warning", "healthy", "unknown"]

AsOf = Annotated[
    str | None,
    Field(
        description="Instant to evaluate at, ISO-8601; UTC if it has no offset. Now if not given.",
        min_length=1,
        max_length=40,
        json_schema_extra={"format": "date-time"},
        examples=["2026-06-25T15:07:25Z"],
    ),
]
Actor = Annotated[
    str | None,
    Field(
        description="Public-safe name or team label of who requests it; no e-mail address.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,127}$",
        examples=["release-manager"],
    ),
]

#: The first and the last instant of a range.
SINCE = Field(None, description="Start of the range, ISO-8601; UTC if it has no offset.")
UNTIL = Field(None, description="End of the range, ISO-8601; UTC if it has no offset.")
Text = Annotated[str | None, Field(min_length=1, max_length=512)]
Subjects = Annotated[list[Annotated[str, Field(min_length=1, max_length=512)]] | None, Field(max_length=100)]
Cursor = Annotated[
    str | None, Field(pattern=r"^[A-Za-z0-9_-]{1,2048}$", description="`next` of the previous page.", examples=[None])
]
Limit = Annotated[int, Field(ge=1, le=500, description="Max rows of a page.")]


def _written_day(value: Any) -> Any:
    """Accepts YYYY-MM-DD alone; pydantic would accept a number of seconds as a day too."""
    if value is not None and not (isinstance(value, str) and re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value)):
        raise ValueError("not a day")
    return value


Day = Annotated[
    date | None,
    BeforeValidator(_written_day),
    Field(description="UTC day, inclusive, as YYYY-MM-DD.", examples=["2026-06-25"]),
]


def whole_numbers(value: Any) -> Any:
    """Makes 3.0 an integer, at any depth: to JSON Schema a number without a fraction is one.

    Raises:
        ValueError: Objects or lists lie too deep inside each other.
    """
    return _with_whole_numbers(value, 1)


def _with_whole_numbers(value: Any, depth: int) -> Any:
    if not isinstance(value, dict | list):
        return int(value) if isinstance(value, float) and value.is_integer() else value
    if depth > MAX_DEPTH:
        raise ValueError(f"objects and lists may lie {MAX_DEPTH} deep inside each other at most")
    if isinstance(value, dict):
        return {name: _with_whole_numbers(member, depth + 1) for name, member in value.items()}
    return [_with_whole_numbers(member, depth + 1) for member in value]


class RequestModel(BaseModel):
    """A request; a field that is not declared is an error."""

    model_config = ConfigDict(extra="forbid")


class MomentQuery(RequestModel):
    """An instant."""

    as_of: AsOf = None


class ReportQuery(MomentQuery):
    """An instant, and who requests the report."""

    generated_by: Actor = None


@with_fields_of(HealthParameters)
class HealthQuery(ReportQuery):
    """Parameters of a health report; the lane's own where none are given (contract section 7)."""


class SavedHealthQuery(HealthQuery):
    """Parameters of a health report, and whether it may be saved."""

    keep: bool = Field(True, description="False for a preview: nothing is saved, whatever the token's scopes.")


@with_fields_of(RecoveryParameters)
class RecoveriesQuery(ReportQuery):
    """How long a recovery may be open (contract section 11)."""


@with_fields_of(RetryPolicy)
class PlanQuery(ReportQuery):
    """A retry policy as a query, for a preview or a download."""


@with_fields_of(RetryPolicy)
class Policy(RequestModel):
    """A retry policy; defaults where a field is not given (contract section 6)."""

    model_config = ConfigDict(strict=True)


class IncidentsQuery(MomentQuery):
    """Which provider incidents to list."""

    provider: Text = Field(None, description="Only incidents of this provider.", examples=["servicenow"])
    open: bool = Field(False, description="Only incidents that are open.")


@with_fields_of(RetryPolicy)
@with_fields_of(ForecastParameters)
class ForecastQuery(MomentQuery):
    """Hours of a forecast, and the policy (contract section 15)."""


class ExplainQuery(MomentQuery):
    """A delivery to explain."""

    subject: str = Field(min_length=1, max_length=512, description="The subject, as a retry plan names it.")
    provider: str = Field(min_length=1, max_length=64, description="The connector.", examples=["slack"])
    lane: LaneName | None = Field(None, description="The lane; every lane that names the subject if not given.")


class PlanBody(ReportQuery):
    """Instant and policy of a retry plan."""

    retry_policy: Policy | None = None
    keep: StrictBool = Field(
        False, description="Save the plan in the history too, so that `worker --plan` can execute it."
    )

    _whole = model_validator(mode="before")(whole_numbers)


class AcknowledgementBody(RequestModel):
    """An acknowledgement of a failing delivery at one provider."""

    subject: str = Field(
        min_length=1,
        max_length=512,
        description="The plan, or the health report of an alert lane.",
        examples=["plan-1"],
    )
    provider: str = Field(min_length=1, max_length=512, examples=["slack"])
    state: State | None = Field(
        None, description="One of the lane's `acknowledgement_states`.", examples=["acknowledged"]
    )
    withdraw: StrictBool = Field(False, description="Withdraw the acknowledgement; in place of `state`.")
    force: StrictBool = Field(False, description="Record it although there is no such delivery.")
    by: Actor = Field(None, description="Public-safe name or team label; with a token, always the token's name.")


class DeliveryName(RequestModel):
    """A delivery: one subject at one provider."""

    lane: AcknowledgedLane
    subject: str = Field(min_length=1, max_length=512, examples=["plan-1"])
    provider: str = Field(min_length=1, max_length=512, examples=["slack"])


class AcknowledgementsBody(RequestModel):
    """One acknowledgement state for many failing deliveries."""

    deliveries: list[DeliveryName] = Field(min_length=1, max_length=500)
    state: State = Field(description="A state that each lane accepts.", examples=["acknowledged"])
    by: Actor = Field(None, description="Public-safe name or team label; with a token, always the token's name.")


@with_fields_of(PlaybookParameters)
class PlaybookBody(RequestModel):
    """Parameters of a recovery playbook, and who requests it (contract section 11)."""

    by: Actor = Field(None, description="Public-safe name or team label; with a token, always the token's name.")

    _whole = model_validator(mode="before")(whole_numbers)


class RecoveryClosureBody(RequestModel):
    """The closure of a recovery (contract section 11)."""

    playbook_id: str = Field(min_length=1, max_length=512, examples=["playbook-1"])
    provider: str = Field(min_length=1, max_length=512, examples=["slack"])
    state: ClosureState = Field(
        description="`resolved` and `mitigated` close the recovery; any other state leaves it open."
    )
    external_ref: Text = Field(None, description="The ticket's key.", examples=["INC-1042"])
    by: Actor = Field(None, description="Public-safe name or team label; with a token, always the token's name.")


class PageQuery(RequestModel):
    """A page of a list."""

    limit: Limit = 50
    cursor: Cursor = None


class AcknowledgementQuery(PageQuery):
    """Filters of acknowledgements."""

    provider: Text = None
    subject: Text = None
    state: Text = None
    since: AsOf = SINCE
    until: AsOf = UNTIL


class EvidenceQuery(PageQuery):
    """Filters of evidence."""

    lane: LaneName | None = None
    record_type: Text = Field(None, examples=["delivery"])
    session_id: Text = None
    subject: Subjects = Field(None, description="Only records of these subjects.")
    provider: Text = None
    since: AsOf = SINCE
    until: AsOf = UNTIL


class Days(RequestModel):
    """A range of days."""

    first: Day = Field(None, alias="from")
    last: Day = Field(None, alias="to")


class CheckpointQuery(RequestModel):
    """An older checkpoint that the caller has saved."""

    origin: str = Field(pattern=r"^cavra-pipeline/[0-9a-f]{16}$", examples=["cavra-pipeline/0123456789abcdef"])
    size: int = Field(ge=0, lt=2**53, examples=[1])
    root: str = Field(pattern=r"^[0-9a-f]{64}$", description="Hexadecimal digits.", examples=["0" * 64])


class HistoryQuery(PageQuery, Days):
    """Filters of saved reports."""

    report: ReportName | None = None
    lane: LaneName | None = None
    alert_level: AlertLevel | None = None
    documents: bool = Field(False, description="Include each report's document.")


class QuarantineQuery(PageQuery, Days):
    """Filters of quarantined lines."""

    reason: Text = None


class FindingQuery(PageQuery, Days):
    """Filters of findings."""

    rule: Text = None


class AlertEventsQuery(RequestModel):
    """Number of events."""

    limit: Limit = 100


class SlotsQuery(RequestModel):
    """A range of instants, the last seven days if none is given."""

    schedule: ScheduleName | None = None
    since: AsOf = SINCE
    until: AsOf = UNTIL


class AlertBody(RequestModel):
    """Who acknowledges or resolves an alert."""

    by: Actor = Field(None, description="Public-safe name or team label; with a token, always the token's name.")


class SilenceBody(RequestModel):
    """Alerts to mute, for how long, and why."""

    kind: Text = Field(
        None,
        description="Kind of the alerts; any if not given, and then `subject` is required.",
        examples=["provider_incident"],
    )
    subject: Text = Field(None, description="Subject of the alerts; any if not given.", examples=["slack"])
    minutes: int = Field(ge=1, le=366 * 24 * 60, description="Duration from now, in minutes.", examples=[240])
    comment: str = Field(
        description="Reason, as a public-safe label.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._:/-]{0,127}$",
        examples=["credential renewal INC-1042"],
    )
    by: Actor = Field(None, description="Public-safe name or team label; with a token, always the token's name.")
