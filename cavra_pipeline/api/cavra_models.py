"""What CAVRA's clients send: fields that are not declared are ignored, as CAVRA does. The domain checks values."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cavra_pipeline.api.models import Policy, whole_numbers

#: What CAVRA calls whoever does not say who they are.
CONSOLE: Final = "console"
_MOST_MINUTES: Final = 525_600


class Lenient(BaseModel):
    """Whatever CAVRA's clients send: what is not declared is ignored."""

    model_config = ConfigDict(extra="ignore")


_GeneratedBy = Annotated[
    str | None,
    Field(description="Public-safe label of who asks; with a token, always the token's name.", examples=["console"]),
]
_Minutes = Annotated[int | None, Field(ge=1, le=_MOST_MINUTES)]


class CavraHealthQuery(Lenient):
    """Parameters of a health report; the lane's own where none are given."""

    expected_interval_minutes: _Minutes = Field(None, description="The worker's cadence.")
    stale_metadata_minutes: _Minutes = Field(None, description="Age over which the newest retry plan is stale.")
    generated_by: _GeneratedBy = CONSOLE


def _accept_any(schema: dict[str, Any]) -> None:
    """Says in OpenAPI that a policy which is no object is accepted, and ignored."""
    schema["anyOf"] += [{"type": kind} for kind in ("string", "number", "boolean", "array")]


class CavraPlanBody(Lenient):
    """What a retry plan is made by."""

    retry_policy: Annotated[
        Policy | None,
        BeforeValidator(lambda value: value if isinstance(value, dict) else None),
        Field(description="A retry policy; ignored if it is no object.", json_schema_extra=_accept_any),
    ] = None
    generated_by: _GeneratedBy = CONSOLE

    _whole = model_validator(mode="before")(whole_numbers)


class CavraAcknowledgementBody(Lenient):
    """What an operator says of an escalation or of a health alert, for one provider."""

    # A missing provider is refused with CAVRA's status, by the endpoint.
    model_config = ConfigDict(json_schema_extra={"required": ["provider"]})

    provider: Annotated[str | None, Field(max_length=512, examples=["slack"])] = None
    acknowledged_by: str | None = Field(
        None, description="Public-safe label of who says it; with a token, always the token's name."
    )
    acknowledgement_state: str | None = Field("acknowledged", description="One of the lane's states.")
    external_ref: str | None = Field(None, description="The ticket's key.", examples=["INC-1042"])
