"""What is answered about alerts and silences, for OpenAPI and for the check of every answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cavra_pipeline.api.answers import Open


class AlertsAnswer(Open):
    """Open alerts, silences, undelivered notifications, and who is notified."""

    as_of: str
    alert_count: int
    alerts: list[dict[str, Any]]
    silences: list[dict[str, Any]]
    unsent_notices: list[dict[str, Any]]


class AlertEventsAnswer(BaseModel):
    """What happened to alerts, newest first."""

    count: int
    events: list[dict[str, Any]]


class AlertAnswer(BaseModel):
    """The alert and who asked."""

    alert: dict[str, Any]
    actor: str


class AlertStory(BaseModel):
    """One episode of an alert and what happened to it, newest first."""

    alert: dict[str, Any]
    events: list[dict[str, Any]]


class SilenceAnswer(BaseModel):
    """The silence and who asked."""

    silence: dict[str, Any]
    actor: str
