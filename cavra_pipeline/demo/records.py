"""How CAVRA writes each record of the demo, field by field, beyond the allowlist where CAVRA goes beyond it.

Shapes only: when a record is written and what it says is decided in ``drill.py``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from cavra_pipeline.boundary.kinds import DELIVERY_KIND, KIND_PREFIX, KINDS
from cavra_pipeline.documents import PRODUCT
from cavra_pipeline.lanes import Lane

Record = dict[str, Any]

SIGNER: Final = "release-governance"
MAX_ATTEMPTS: Final = 3
EMPTY_WINDOW: Final = {"window_start": None, "window_end": None}

#: What the planning service writes, in its own zone; the drill's other records are in UTC.
PLANNING_TYPES: Final = frozenset({
    "escalation_plan", "acknowledgement", "alert_plan", "executive_report", "schedule_run",
})  # fmt: skip
_PLANNING_ZONE: Final = timezone(timedelta(hours=2))

#: Where a connector's request goes; the path is what the receiving product calls its intake.
_INTAKES: Final = {
    "webhook": "hook/cavra",
    "slack": "chat/release",
    "teams": "chat/operations",
    "splunk": "services/collector/event",
    "sentinel": "streams/cavra",
    "datadog": "api/v2/events",
    "jira": "rest/api/3/issue",
    "servicenow": "api/now/table/incident",
}
_ANSWERS: Final = {200: "ok", 201: "created", 202: "accepted"}
_SUCCESS_CODES: Final = {"jira": 201, "servicenow": 201, "sentinel": 202, "datadog": 202}


@dataclass(frozen=True, slots=True)
class DrillEntry:
    """One record with what the demo needs to know of it: when and in which lane."""

    at: datetime
    lane: str
    record: Record

    @property
    def record_type(self) -> str:
        """Its type, as the warehouse calls it."""
        return KINDS[self.record["metadata_kind"]].record_type


@dataclass(frozen=True, slots=True)
class DrillAnswer:
    """What one connector answered: its status (None: nothing came back) and how often it was asked."""

    provider: str
    status_code: int | None
    attempt_count: int = 1

    @property
    def is_success(self) -> bool:
        """Whether it took the delivery."""
        return self.status_code is not None and self.status_code < 300


def success_code(provider: str) -> int:
    """Returns the status a connector answers with when it takes a delivery."""
    return _SUCCESS_CODES.get(provider, 200)


@dataclass(frozen=True, slots=True)
class Counts:
    """What a retry plan counts."""

    retryable: int
    waiting: int
    suppressed: int
    pending: int

    @property
    def alert_level(self) -> str:
        """The plan's level (contract section 6)."""
        return "critical" if self.retryable or self.suppressed else "warning" if self.waiting else "healthy"


def timestamp(moment: datetime, zone: timezone = UTC) -> str:
    """Returns the moment as CAVRA writes it."""
    return moment.astimezone(zone).isoformat().replace("+00:00", "Z")


@dataclass(slots=True)
class Writer:
    """Writes the records of one lane and numbers them."""

    lane: Lane
    short_name: str
    entries: list[DrillEntry] = field(default_factory=list)
    _count: int = 0

    def name(self, what: str) -> str:
        """Returns a new id, unique in the history."""
        self._count += 1
        return f"{what}-{self.short_name}-{self._count:06d}"

    def _write(self, kind: str, at: datetime, fields: Mapping[str, object], signer: str = SIGNER) -> Record:
        zone = _PLANNING_ZONE if KINDS[kind].record_type in PLANNING_TYPES else UTC
        record: Record = {
            "schema_version": "cavra.evidence.metadata.v1",
            "product": PRODUCT,
            "session_id": self.name("drill"),
            "created_at": timestamp(at, zone),
            "signer": signer,
            "decision_count": 0,
            "blocked_count": 0,
            "approval_required_count": 0,
            "metadata_kind": kind,
            **fields,
        }
        self.entries.append(DrillEntry(at, self.lane.name, record))
        return record

    def _subject(self, subject: str, about: Mapping[str, object]) -> dict[str, object]:
        return {self.lane.subject_field: subject, **about}

    @property
    def _ladder(self) -> str:
        """Stem of the lane's retry kinds."""
        return self.lane.health_kind.removesuffix("-health")

    def plan(self, at: datetime, fields: Mapping[str, object]) -> Record:
        """Writes who must be told: an escalation plan or an alert plan."""
        return self._write(f"{KIND_PREFIX}{self.lane.kind_stem}-plan", at, fields)

    def report(self, at: datetime, run_id: str, report_id: str, escalation_count: int) -> None:
        """Writes a report for executives and the scheduled run that made it."""
        level = "warning" if escalation_count else "healthy"
        said = {"alert_level": level, "escalation_count": escalation_count}
        kind = f"{KIND_PREFIX}{self.lane.kind_stem}"
        made = {"executive_report_id": report_id, "recovery_report_id": self.name("recovery"), **said}
        self._write(kind, at, made)
        schedule = {"enabled": True, "interval_minutes": 360, **EMPTY_WINDOW}
        nested = {"recovery_executive_report_schedule_run": {"schedule": schedule}}
        self._write(f"{kind}-schedule-run", at + timedelta(seconds=2), {"run_id": run_id, **said, **nested})

    def acknowledgement(
        self, at: datetime, subject: str, provider: str, state: str, *, signer: str, about: Mapping[str, object]
    ) -> Record:
        """Writes what an operator said about one provider."""
        fields = {"acknowledgement_id": self.name("ack"), **self._subject(subject, about)}
        fields |= {"provider": provider, "acknowledgement_state": state}
        return self._write(f"{KIND_PREFIX}{self.lane.kind_stem}-ack", at, fields, signer)

    def retry_plan(self, at: datetime, counts: Counts) -> str:
        """Writes a retry plan and returns its id."""
        plan_id = self.name("retry-plan")
        self._write(
            f"{KIND_PREFIX}{self.lane.retry_plan_kind}",
            at,
            {
                "retry_plan_id": plan_id,
                "alert_level": counts.alert_level,
                "retryable_count": counts.retryable,
                "waiting_count": counts.waiting,
                "suppressed_count": counts.suppressed,
            },
        )
        return plan_id

    def worker_run(
        self, at: datetime, run_id: str, counts: Counts, *, dry_run: bool, selected: int, enabled: bool
    ) -> None:
        """Writes one run of the lane's worker."""
        stem = f"{self._ladder}-worker-run"
        schedule = {"enabled": enabled, "interval_minutes": self.lane.expected_interval_minutes, **EMPTY_WINDOW}
        summary = {
            "acknowledgement_pending_count": counts.pending,
            "waiting_retry_count": counts.waiting,
            "suppressed_retry_count": counts.suppressed,
        }
        fields = {"run_id": run_id, "dry_run": dry_run, "retryable_count": counts.retryable}
        fields |= {"selected_retry_count": selected, stem.replace("-", "_"): {"schedule": schedule, "summary": summary}}
        self._write(KIND_PREFIX + stem, at, fields)

    def execution(
        self,
        at: datetime,
        subject: str,
        provider: str,
        status: str,
        *,
        worker_run_id: str,
        retry_plan_id: str,
        about: Mapping[str, object],
    ) -> None:
        """Writes one live retry."""
        worker_field = "worker_run_id" if self.lane.subject_field == "run_id" else "run_id"
        content = f"{worker_run_id}|{retry_plan_id}|{subject}|{provider}|{status}"
        self._write(
            f"{KIND_PREFIX}{self._ladder}-execution-record",
            at,
            {
                "execution_id": self.name("execution"),
                "execution_hash": hashlib.sha256(content.encode()).hexdigest(),
                "execution_status": status,
                worker_field: worker_run_id,
                "retry_plan_id": retry_plan_id,
                **self._subject(subject, about),
                "provider": provider,
                "delivery_success": status == "delivered",
            },
        )

    def health(self, at: datetime, level: str, alert_count: int, failed_executions: int, pending: int) -> str:
        """Writes a health report and returns its id. ``pending`` counts gaps, or failing executive deliveries."""
        health_id = self.name("health")
        kind = KIND_PREFIX + self.lane.health_kind
        names = {declared.path for declared in KINDS[kind].fields}
        counted = "failed_executive_report_delivery_count"
        fields = {"health_id": health_id, "alert_level": level, "alert_count": alert_count}
        fields |= {"failed_execution_count": failed_executions}
        fields |= {counted if counted in names else "acknowledgement_pending_count": pending}
        self._write(kind, at, fields)
        return health_id

    def delivery(
        self,
        at: datetime,
        subject: str,
        answers: Sequence[DrillAnswer],
        about: Mapping[str, object],
        signer: str = SIGNER,
    ) -> Record:
        """Writes one delivery through its connectors, with the requests and answers CAVRA keeps beside it."""
        failed = [answer.provider for answer in answers if not answer.is_success]
        return self._write(
            DELIVERY_KIND,
            at + timedelta(seconds=2 * len(answers)),
            {
                "connector_delivery_source": self.lane.delivery_source,
                "event_id": subject,
                "event_type": f"cavra.drill.{self.lane.kind_stem}",
                **self._subject(subject, about),
                "delivery_success": not failed,
                "providers": [answer.provider for answer in answers],
                "failed_providers": failed,
                "attempt_count": max(answer.attempt_count for answer in answers),
                "max_attempt_count": MAX_ATTEMPTS,
                "status_codes": [answer.status_code for answer in answers],
                "delivery": {
                    "mode": "live",
                    "deliveries": [_exchange(at + timedelta(seconds=2 * n), one) for n, one in enumerate(answers)],
                },
            },
            signer,
        )


def _exchange(at: datetime, answer: DrillAnswer) -> Record:
    url = f"https://{answer.provider}.example.net/{_INTAKES[answer.provider]}"
    code = answer.status_code
    response = None if code is None else {"status": code, "body": _ANSWERS.get(code, "refused")}
    return {
        "provider": answer.provider,
        "success": answer.is_success,
        "status_code": code,
        "attempt_count": answer.attempt_count,
        "started_at": timestamp(at),
        "completed_at": timestamp(at + timedelta(milliseconds=400 * answer.attempt_count)),
        "request": {"method": "POST", "url": url, "content_type": "application/json"},
        "response": response,
    }
