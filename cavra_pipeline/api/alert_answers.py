"""Models of the answers about alerts, silences and acknowledgements, for OpenAPI and for the check of every answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from cavra_pipeline.api.answers import FaultDocument, Open, Record
from cavra_pipeline.api.models import LaneName


class AlertsAnswer(Open):
    """Open alerts, silences, undelivered notifications, and who is notified."""

    as_of: str
    alert_count: int
    alerts: list[dict[str, Any]]
    silences: list[dict[str, Any]]
    unsent_notices: list[dict[str, Any]]


class AlertEventsAnswer(BaseModel):
    """Events of alerts, newest first."""

    count: int
    events: list[dict[str, Any]]


class AlertAnswer(BaseModel):
    """The alert and who requested the change."""

    alert: dict[str, Any]
    actor: str


class AlertStory(BaseModel):
    """One episode of an alert and its events, newest first."""

    alert: dict[str, Any]
    events: list[dict[str, Any]]


class SilenceAnswer(BaseModel):
    """The silence and who requested it."""

    silence: dict[str, Any]
    actor: str


class AcknowledgementAnswer(BaseModel):
    """The record that was written and who requested it."""

    acknowledgement: Record
    actor: str


class AcknowledgedDelivery(BaseModel):
    """A delivery, and the record that was written or why none was."""

    lane: LaneName
    subject: str
    provider: str
    acknowledgement: Record | None
    error: FaultDocument | None = Field(description="Null where an acknowledgement was recorded.")


class AcknowledgedDeliveriesAnswer(BaseModel):
    """The outcome for each delivery and who requested it."""

    deliveries: list[AcknowledgedDelivery]
    actor: str
