"""Models of the answers about acknowledgements that were recorded."""

from __future__ import annotations

from pydantic import BaseModel, Field

from cavra_pipeline.api.answers import Record
from cavra_pipeline.api.models import LaneName


class AcknowledgementAnswer(BaseModel):
    """The record that was written and who requested it."""

    acknowledgement: Record
    actor: str


class AcknowledgementError(BaseModel):
    """Why no acknowledgement of a delivery was recorded, as other errors say it."""

    where: str
    what: str
    remedy: str


class AcknowledgedDelivery(BaseModel):
    """A delivery, and the record that was written or why none was."""

    lane: LaneName
    subject: str
    provider: str
    acknowledgement: Record | None
    error: AcknowledgementError | None = Field(description="Null where an acknowledgement was recorded.")


class AcknowledgedDeliveriesAnswer(BaseModel):
    """The outcome for each delivery and who requested it."""

    deliveries: list[AcknowledgedDelivery]
    actor: str
