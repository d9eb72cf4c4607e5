"""Models of the answers about alerts and silences, for OpenAPI and for the check of every answer."""

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
