"""Models of the answers about causes, for OpenAPI and for the check of every answer."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from cavra_pipeline.api.answers import Open


class Incident(BaseModel):
    """One broken provider (contract section 14); `ended_at` is null while it is open."""

    incident_id: str
    provider: str
    lane: str | None
    lanes: list[str]
    began_at: str
    last_success_at: str | None
    ended_at: str | None
    failure_count: int
    subject_count: int
    pairs: list[dict[str, str]]
    status_codes: list[int]
    cause: str


class Incidents(Open):
    """Provider incidents, sorted by beginning, provider and lane."""

    as_of: str
    generated_at: str
    incident_count: int
    open_incident_count: int
    incidents: list[Incident]


class Forecast(Open):
    """Forecast of a lane's failing deliveries if nothing changes (contract section 15)."""

    lane: str
    forecast_id: str
    as_of: str
    until: str
    generated_at: str
    hours: int
    max_retry_deliveries: int
    retry_plan_id: str
    pair_count: int
    exhausted_count: int
    delivered_count: int
    never_tried_count: int
    runs: int
    queue_peak: int
    late_by_minutes: int
    pairs: list[dict[str, Any]]


class Explanation(Open):
    """State of a delivery of one lane and its reason, its records in order, and what would release it."""

    lane: str
    subject: str
    provider: str
    state: str
    reason: str | None
    provider_incident_id: str | None
    released_by: list[dict[str, Any]]
    lines: list[dict[str, Any]]


class Explanations(Open):
    """An explanation for each lane that has the subject and provider (contract section 16)."""

    as_of: str
    generated_at: str
    subject: str
    provider: str
    explanations: list[Explanation]
