"""Makes up single records in CAVRA's shapes, at random, with a seed; `histories` puts them together."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.oracle.evidence import DELIVERY, PREFIX, OracleLane, Raw

FIRST: Final = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
HOURS: Final = 36
#: From one history of a home to the next: further than the widest window that a report has here.
APART: Final = timedelta(days=12)
PROVIDERS: Final = ("slack", "splunk", "azure_repos")
SPELLINGS: Final = {
    "slack": ("slack", "slack", "Slack", " slack"),
    "splunk": ("splunk", "splunk", "SPLUNK"),
    "azure_repos": ("azure_repos", "Azure-Repos", "azure-repos"),
}
ACKNOWLEDGED: Final = ("acknowledged", "accepted", "deferred", "escalated", "resolved", "dismissed")
APPROVALS: Final = ("approved", "approved", "denied", "deferred", "expired")
CLOSURES: Final = ("resolved", "mitigated", "deferred", "escalated", "reopened")
SKIPPED: Final = {
    "recovery_escalation": ("recovery_escalation_plan_not_found", "connector_config_not_configured"),
    "executive_report": ("recovery_executive_report_schedule_run_not_found",),
    "recovery_health_alert": ("recovery_escalation_retry_health_not_found",),
    "executive_health_alert": ("recovery_executive_report_delivery_retry_health_not_found",),
    "acknowledgement_audit": ("audit_package_not_found", "connector_config_not_configured"),
    "auditor_export": ("auditor_export_not_found", "connector_config_not_configured"),
    "release_closeout": ("dry_run",),
}


def nested_name(lane: OracleLane, kind: str) -> str:
    """The member of a record that holds what its top level leaves out."""
    longer = lane.name == "acknowledgement_audit" and not kind.startswith("retry-execution")
    return ("acknowledgement_audit_delivery_" if longer else "") + kind.replace("-", "_")


class Storyteller:
    """Makes up the records of one history."""

    def __init__(self, seed: int, place: int) -> None:
        """Everything follows from the seed and from the history's place in its home."""
        self.begin, self.prefix = FIRST + place * APART, f"h{place}-"
        self.random = random.Random(seed)
        self.records: list[Raw] = []
        self.instants: list[datetime] = []
        self.subjects: dict[str, list[str]] = {}
        self.sent: dict[str, list[Raw]] = {}

    def chance(self, of: float) -> bool:
        """Whether something of that likelihood happens."""
        return self.random.random() < of

    def when(self, after: datetime | None = None) -> datetime:
        """An instant of the history: now and then one that another record has, or one soon after another."""
        if after is not None and self.chance(0.8):
            moment = after + timedelta(seconds=self.random.choice((0, 1, 60, 900, 1800, 7200)))
        elif self.instants and self.chance(0.15):
            moment = self.random.choice(self.instants)
        else:
            moment = self.begin + timedelta(seconds=self.random.randrange(HOURS * 3600))
            if self.chance(0.3):
                moment += timedelta(microseconds=self.random.choice((1, 500_000, 999_999)))
        self.instants.append(moment)
        return moment

    def written(self, moment: datetime) -> str:
        """An instant in one of the spellings that a record may have."""
        form = self.random.randrange(8)
        if form == 0:
            return (moment + timedelta(hours=5, minutes=30)).replace(tzinfo=None).isoformat() + "+05:30"
        if form == 1:
            return moment.replace(tzinfo=None).isoformat()
        if form == 2:
            return moment.replace(tzinfo=None).isoformat().lower() + "z"
        return moment.isoformat() if form < 5 else moment.replace(tzinfo=None).isoformat() + "Z"

    def spelled(self, provider: str) -> str:
        """A provider as somebody may have written it."""
        return self.random.choice(SPELLINGS[provider])

    def some(self, most: int = 3) -> list[str]:
        """A few providers."""
        return self.random.sample(PROVIDERS, self.random.randint(1, most))

    def tell(self, kind: str, moment: datetime, **fields: Any) -> Raw:
        """Adds a record of a kind, which is written without the common prefix."""
        session_id = (
            fields.pop("session_id", None) or f"{self.prefix}s-{self.random.randrange(10**6):06d}-{len(self.records)}"
        )
        record = {
            "schema_version": "cavra.evidence.metadata.v1",
            "product": "CAVRA",
            "session_id": session_id,
            "created_at": self.written(moment),
            "signer": "release-governance",
            "decision_count": 0,
            "blocked_count": 0,
            "approval_required_count": 0,
            "metadata_kind": kind if kind == DELIVERY else PREFIX + kind,
            **fields,
        }
        self.records.append(record)
        return record

    def subject(self, lane: OracleLane) -> str:
        """A subject of a lane, mostly one that it has."""
        known = self.subjects.setdefault(lane.name, [])
        if not known or self.chance(0.2):
            known.append(f"{self.prefix}{lane.subject_field.removesuffix('_id')}-{len(known)}")
        return self.random.choice(known)

    def delivery(self, lane: OracleLane, subject: str, providers: Sequence[str], moment: datetime) -> Raw:
        """Adds a delivery: to some it fails, now and then to all, and then the failed ones may not be named."""
        failed = [provider for provider in providers if self.chance(0.6)]
        success: bool | None = not failed
        if not failed and self.chance(0.1):
            success = self.random.choice((False, None))
        fields: Raw = {lane.subject_field: subject, "event_id": subject}
        if self.chance(0.1):
            del fields[self.random.choice((lane.subject_field, "event_id"))]
        if lane.name == "executive_health_alert" or self.chance(0.05):
            fields["event_id"] = "cavra.drill.event"
        if lane.approval:
            fields["audit_id"] = "audit-1"
        record = self.tell(
            DELIVERY,
            moment,
            connector_delivery_source=lane.source,
            event_type="cavra.drill.event",
            delivery_success=success,
            providers=[self.spelled(each) for each in providers if each not in failed or self.chance(0.9)],
            failed_providers=[self.spelled(each) for each in failed],
            attempt_count=1,
            max_attempt_count=3,
            status_codes=[503 if each in failed else 200 for each in providers],
            **({"delivery": {"deliveries": self.attempts(providers, failed)}} if self.chance(0.7) else {}),
            **fields,
        )
        self.sent.setdefault(lane.name, []).append(record)
        return record

    def attempts(self, providers: Sequence[str], failed: Sequence[str]) -> list[Raw]:
        """What a delivery says of each provider; a status may be missing."""
        codes = {each: self.random.choice((401, 429, 503, None)) if each in failed else 200 for each in providers}
        return [
            {"provider": self.spelled(each), "success": each not in failed, "attempt_count": 1, "status_code": code}
            for each, code in codes.items()
        ]

    def execution(self, lane: OracleLane, subject: str, provider: str, moment: datetime, new: str = "") -> Raw:
        """Adds an execution; its status may be missing, and a skipped one mostly says why."""
        status = self.random.choice(("delivered", "failed", "failed", "skipped"))
        nested: Raw = {"delivery_success": status == "delivered"}
        if lane.name in ("acknowledgement_audit", "auditor_export"):
            nested["delivery_metadata_id"] = new
        elif lane.name == "release_closeout":
            nested["new_delivery_id"] = new
        code = self.random.choice((*SKIPPED[lane.name], "something_else")) if status == "skipped" else ""
        nested["skip_reason" if lane.name == "release_closeout" else "skipped"] = code
        fields: Raw = {"execution_status": status, "delivery_success": status == "delivered"}
        if status != "skipped" and self.chance(0.1):
            del fields["execution_status"]
        elif lane.name == "release_closeout":
            del fields["delivery_success"]
        return self.tell(
            lane.execution,
            moment,
            execution_id=f"x-{len(self.records)}",
            retry_plan_id="rp-1",
            provider=self.spelled(provider),
            **{lane.subject_field: subject, nested_name(lane, lane.execution): nested},
            **fields,
        )

    def retries(self, lane: OracleLane) -> None:
        """A chain of retries, each a new subject where the lane does so; some links are missing, some are wrong."""
        subject, provider = self.subject(lane), self.random.choice(PROVIDERS)
        moment = self.when()
        self.delivery(lane, subject, sorted({provider, *self.some(1)}), moment)
        for _ in range(self.random.randint(1, 4)):
            follower = self.subject(lane) if not lane.new_delivery or self.chance(0.15) else self.fresh(lane)
            follower = follower if lane.new_delivery else subject
            moment = self.when(moment)
            new = self.delivery(lane, follower, [provider, *(self.some(1) if self.chance(0.2) else [])], moment)
            if self.chance(0.85):
                link = new["session_id"] if self.chance(0.9) else self.random.choice(("", "s-unknown"))
                self.execution(lane, subject, provider, self.when(moment), link)
            if self.chance(0.8):
                subject = follower

    def fresh(self, lane: OracleLane) -> str:
        """A subject that the lane does not have yet."""
        known = self.subjects.setdefault(lane.name, [])
        known.append(f"{self.prefix}{lane.subject_field.removesuffix('_id')}-{len(known)}")
        return known[-1]

    def hostile_links(self, lane: OracleLane) -> None:
        """Executions that name deliveries they have nothing to do with: circles, and two that name one delivery."""
        for _ in range(self.random.randint(1, 4)):
            if self.sent.get(lane.name):
                named = self.random.choice(self.sent[lane.name])["session_id"]
                self.execution(lane, self.subject(lane), self.random.choice(PROVIDERS), self.when(), named)

    def ladder(self, lane: OracleLane) -> None:
        """The worker of a lane with its plans, with gaps."""
        moment = self.begin + timedelta(minutes=self.random.randrange(600))
        for number in range(self.random.randint(0, 12)):
            step = self.random.choice((1, 1, 1, 2, 2.02, 3, 6))
            moment += timedelta(minutes=lane.cadence * step, seconds=self.random.choice((0, 0, 1, 45)))
            self.instants.append(moment)
            fields: Raw = {"dry_run": self.random.choice((True, False))} if self.chance(0.9) else {}
            schedule = {"interval_minutes": lane.cadence, "enabled": self.chance(0.85)}
            nested = {"schedule": schedule, "summary": {"waiting_retry_count": 1}}
            self.tell(
                lane.worker_run,
                moment,
                run_id=f"run-{lane.name.replace('_', '-')}-{number}",
                selected_retry_count=self.random.randrange(4),
                **{nested_name(lane, lane.worker_run): nested},
                **fields,
            )
            if self.chance(0.6):
                counts = {"retryable_count": self.random.randrange(4), "waiting_count": 1, "suppressed_count": 0}
                self.tell(lane.retry_plan, moment, retry_plan_id=f"rp-{lane.name.replace('_', '-')}-{number}", **counts)

    def acknowledgement(self, lane: OracleLane) -> None:
        """An acknowledgement; one of the audit's lane may be of no delivery."""
        subject = self.subject(lane) if not lane.approval or self.chance(0.9) else ""
        alert = bool(lane.alert_plan)
        states = ("acknowledged", "dismissed", "escalated", "resolved") if alert else ACKNOWLEDGED
        self.tell(
            lane.acknowledgement,
            self.when(),
            acknowledgement_id=f"a-{len(self.records)}",
            provider=self.spelled(self.random.choice(PROVIDERS)),
            acknowledgement_state=self.random.choice(states),
            **{lane.subject_field: subject},
        )

    def approval(self, lane: OracleLane) -> None:
        """An approval decision on a pair, in any state."""
        self.tell(
            lane.approval,
            self.when(),
            decision_id=f"d-{len(self.records)}",
            delivery_id=self.subject(lane),
            audit_id="audit-1",
            provider=self.spelled(self.random.choice(PROVIDERS)),
            approval_state=self.random.choice(APPROVALS),
        )

    def alert_plan(self, lane: OracleLane) -> None:
        """A plan of a health alert that some providers must acknowledge."""
        self.tell(
            lane.alert_plan,
            self.when(),
            plan_id=f"p-{len(self.records)}",
            health_id=self.subject(lane) if self.chance(0.95) else "",
            alert_level="critical",
            selected_providers=list(PROVIDERS),
            acknowledgement_required_providers=[self.spelled(each) for each in self.some()],
        )
