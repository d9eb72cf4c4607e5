"""The retry policy (contract section 6): its fields, their bounds and their defaults. Nothing is decided here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from cavra_pipeline.errors import Accepts, checked
from cavra_pipeline.lanes import Lane

MAX_MINUTES: Final = 525_600


def _whole(value: float) -> float:
    """Keeps a whole number whole, so that 30 and 30.0 make the same plan."""
    return int(value) if value == int(value) else value


_Attempts = Annotated[int, Field(ge=1, le=100), Accepts()]
_Delay = Annotated[float, Field(ge=0, le=MAX_MINUTES, allow_inf_nan=False), AfterValidator(_whole), Accepts()]
_Limit = Annotated[float, Field(ge=1, le=MAX_MINUTES, allow_inf_nan=False), AfterValidator(_whole), Accepts()]
_Factor = Annotated[float, Field(ge=1, le=100, allow_inf_nan=False), AfterValidator(_whole), Accepts()]
_StatusCodes = Annotated[
    tuple[Annotated[int, Field(ge=100, le=599)], ...],
    Field(max_length=500),
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    AfterValidator(lambda codes: tuple(sorted(set(codes)))),
    Accepts("a list of HTTP status codes from 100 to 599"),
]


class RetryPolicy(BaseModel):
    """A policy in force. The API, the command line and run configuration take the same fields."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    max_retry_attempts: _Attempts = Field(3, description="Failures after which a delivery is exhausted.", examples=[3])
    retry_delay_minutes: _Delay = Field(
        description="Delay after the first failure; the lane's own if not given.", examples=[30]
    )
    allow_immediate_retry: Annotated[bool, Accepts("true or false")] = Field(
        False, description="Let a delay be under one minute."
    )
    backoff_multiplier: _Factor = Field(2, description="Factor on the delay for each further failure.", examples=[2])
    max_retry_delay_minutes: _Limit = Field(1440, description="The delay never grows past this.", examples=[1440])
    non_retryable_status_codes: _StatusCodes = Field(
        (), description="HTTP statuses that are never retried.", examples=[[404]]
    )

    @property
    def base_retry_delay_minutes(self) -> float:
        """The delay that counts: below one minute only if immediate retries are allowed."""
        return self.retry_delay_minutes if self.allow_immediate_retry else max(1, self.retry_delay_minutes)


FIELDS: Final = tuple(RetryPolicy.model_fields)
#: Policy fields, and the members of a plan that hold them.
_PLAN_MEMBERS: Final = {**{name: name for name in FIELDS}, "retry_delay_minutes": "base_retry_delay_minutes"}
POLICY_MEMBERS: Final = frozenset(_PLAN_MEMBERS.values())


def retry_policy(lane: Lane, values: Mapping[str, Any] | None = None) -> RetryPolicy:
    """Makes the policy of a lane; fields that are not given, or null, have their default.

    Raises:
        UsageError: A field is unknown or outside its bounds; the message names it and what is accepted.
    """
    set_values = {name: value for name, value in (values or {}).items() if value is not None}
    delay = 0 if set_values.get("allow_immediate_retry") is True else lane.retry_delay_minutes
    return checked(RetryPolicy, {"retry_delay_minutes": delay, **set_values}, within="retry_policy.")


def policy_values(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a plan, or its record, says of the policy it was made with; its record lacks some fields."""
    return {name: plan[member] for name, member in _PLAN_MEMBERS.items() if plan.get(member) is not None}
