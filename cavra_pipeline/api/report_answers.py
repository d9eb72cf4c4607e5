"""Models of the answers about recoveries, closure, causes and proofs, for OpenAPI and for the check of every answer."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel

from cavra_pipeline.api.answers import Open, Record
from cavra_pipeline.api.models import AlertLevel


class Recoveries(Open):
    """Recoveries, those past their limit first, then the newest (contract section 11)."""

    recovery_report_id: str
    as_of: str
    generated_at: str
    alert_level: AlertLevel
    state: Literal["open", "none_open", "no_playbook"]
    recovery_slo_minutes: int
    recovery_count: int
    recovery_open_count: int
    recovery_closed_count: int
    recovery_slo_breached_count: int
    closure_state_counts: dict[str, int]
    recoveries: list[dict[str, Any]]
    recovery_groups: list[dict[str, Any]]


class PlaybookAnswer(BaseModel):
    """The playbook that was written, and who requested it; null if no connector needs a recovery."""

    playbook: Record | None
    actor: str


class RecoveryClosureAnswer(BaseModel):
    """The closure that was recorded, and who requested it; null if the newest closure has the same state."""

    closure: Record | None
    actor: str


class OpenItem(BaseModel):
    """A kind of item that is still open, and how many there are."""

    item: str
    count: int


class ClosureReport(Open):
    """Open items, and the items that CAVRA's own dashboard lists (contract section 12)."""

    closure_report_id: str
    as_of: str
    generated_at: str
    closure_state: Literal["open", "closed"]
    open_item_count: int
    open_items: list[OpenItem]
    cavra_open_items: list[str]


class ExecutiveReport(Open):
    """An executive report (contract section 12)."""

    executive_report_id: str
    as_of: str
    generated_at: str
    alert_level: AlertLevel
    headline: str
    what_to_do: str
    what_happened: list[str]
    open_recoveries: list[dict[str, Any]]
    key_risks: list[dict[str, Any]]
    recommended_actions: list[dict[str, Any]]


class EscalationPlan(Open):
    """An escalation plan: a route for each open recovery and each provider with unresolved retries."""

    plan_id: str
    as_of: str
    generated_at: str
    alert_level: AlertLevel
    escalation_count: int
    escalation_routes: list[dict[str, Any]]


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
    """State of a delivery of one lane and its reason, its records in order, and what would release it.

    ``cause`` names why it fails, or did where ``is_failing_now`` is false, ``first_step`` says what has to be fixed
    before a retry, ``declined`` who has decided that there is none now.
    """

    lane: str
    subject: str
    provider: str
    state: str
    reason: str | None
    provider_incident_id: str | None
    released_by: list[dict[str, Any]]
    lines: list[dict[str, Any]]
    cause: str | None
    is_failing_now: bool
    first_step: str | None
    declined: dict[str, str | bool | None] | None


class Explanations(Open):
    """An explanation for each lane that has the subject and provider (contract section 16)."""

    as_of: str
    generated_at: str
    subject: str
    provider: str
    explanations: list[Explanation]


class GrowthAnswer(BaseModel):
    """Whether a commit log extends an older checkpoint; the proof is that of RFC 6962, digests in order."""

    size: int
    root: str
    is_consistent: bool
    reason: str
    proof: list[str]


class CheckpointAnswer(BaseModel):
    """The newest checkpoint: its parts, and the whole note in the format of C2SP."""

    origin: str
    size: int
    root: str
    is_signed: bool
    note: str
    against: GrowthAnswer | None


class HeadAnswer(BaseModel):
    """Origin, size and root of the newest checkpoint; the root is 64 hexadecimal digits."""

    origin: str
    size: int
    root: str


class WitnessAnswer(BaseModel):
    """The newest checkpoint that a connector of this host accepted."""

    provider: str
    size: int
    posted_at: datetime


class BasisAnswer(BaseModel):
    """What a proof of a lane is based on: counts of what its bundle discloses, its signer and its witnesses."""

    lane: str
    as_of: datetime
    record_count: int
    day_count: int
    checkpoint: HeadAnswer
    signed_by: str | None
    witnesses: list[WitnessAnswer]
