"""What the oracle knows of evidence: the seven lanes as it states them itself, versions, instants, fields.

The rules stand in `tests/oracle/model.py`; nothing here or there imports the engine it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

Raw = dict[str, Any]

PREFIX: Final = "go-backend-rollback-drill-acknowledgement-audit-delivery-"
SOURCE: Final = "go_backend_rollback_drill_acknowledgement_audit"
DELIVERY: Final = "release-connector-delivery"


@dataclass(frozen=True)
class OracleLane:
    """One column of the tables in section 4 of the contract. Kinds are written without their common prefix."""

    name: str
    source: str
    subjects: tuple[str, ...]
    subject_field: str
    delay: int
    cadence: int
    stale: int
    retry_plan: str
    worker_run: str
    execution: str
    alert_word: str
    acknowledgement: str = ""
    alert_plan: str = ""
    others: tuple[str, ...] = ()
    approval: str = ""
    needs_acknowledgement: bool = False
    new_delivery: str = ""

    @cached_property
    def kinds(self) -> frozenset[str]:
        """The metadata kinds of the lane's records, its deliveries aside."""
        named = (self.retry_plan, self.worker_run, self.execution, self.acknowledgement, self.alert_plan)
        return frozenset(PREFIX + kind for kind in (*named, self.approval, *self.others) if kind)

    @property
    def required_alerts(self) -> bool:
        """Whether the lane's deliveries are health alerts, which somebody must acknowledge."""
        return self.alert_plan.endswith("retry-health-alert-plan")


def _alert_lane(name: str, health: str, source: str, cadence: int, stale: int) -> OracleLane:
    ladder = f"{health}-alert-delivery-retry"
    return OracleLane(
        name=name,
        source=SOURCE + source,
        subjects=("health_id", "event_id"),
        subject_field="health_id",
        delay=15,
        cadence=cadence,
        stale=stale,
        retry_plan=f"{ladder}-plan",
        worker_run=f"{ladder}-worker-run",
        execution=f"{ladder}-execution-record",
        alert_word=name,
        acknowledgement=f"{health}-alert-ack",
        alert_plan=f"{health}-alert-plan",
    )


LANES: Final = {
    lane.name: lane
    for lane in (
        OracleLane(
            name="recovery_escalation",
            source=SOURCE + "_recovery_escalation",
            subjects=("plan_id", "event_id"),
            subject_field="plan_id",
            delay=15,
            cadence=30,
            stale=120,
            retry_plan="recovery-escalation-delivery-retry-plan",
            worker_run="recovery-escalation-retry-worker-run",
            execution="recovery-escalation-retry-execution-record",
            alert_word="recovery_escalation",
            acknowledgement="recovery-escalation-ack",
            others=("recovery-escalation-retry-health", "recovery-escalation-plan"),
            needs_acknowledgement=True,
        ),
        OracleLane(
            name="executive_report",
            source=SOURCE + "_recovery_executive_report",
            subjects=("run_id", "event_id", "session_id"),
            subject_field="run_id",
            delay=30,
            cadence=60,
            stale=180,
            retry_plan="recovery-executive-report-delivery-retry-plan",
            worker_run="recovery-executive-report-delivery-retry-worker-run",
            execution="recovery-executive-report-delivery-retry-execution-record",
            alert_word="executive_delivery",
            others=(
                "recovery-executive-report-delivery-retry-health",
                "recovery-executive-report",
                "recovery-executive-report-schedule-run",
            ),
        ),
        _alert_lane(
            "recovery_health_alert",
            "recovery-escalation-retry-health",
            "_recovery_escalation_retry_health_alert",
            30,
            120,
        ),
        _alert_lane(
            "executive_health_alert",
            "recovery-executive-report-delivery-retry-health",
            "_recovery_executive_report_delivery_retry_health_alert",
            60,
            180,
        ),
        OracleLane(
            name="acknowledgement_audit",
            source=SOURCE,
            subjects=("delivery_id", "event_id", "session_id"),
            subject_field="delivery_id",
            delay=15,
            cadence=60,
            stale=120,
            retry_plan="retry-plan",
            worker_run="worker-run",
            execution="retry-execution-record",
            alert_word="acknowledgement_audit",
            acknowledgement="retry-ack",
            others=("retry-execution-approval-plan", "worker-health-alert-plan", "worker-health-alert-ack"),
            approval="retry-execution-approval-decision",
            new_delivery="delivery_metadata_id",
        ),
        OracleLane(
            name="auditor_export",
            source=SOURCE + "_final_reporting_auditor_export",
            subjects=("export_id", "event_id"),
            subject_field="export_id",
            delay=15,
            cadence=60,
            stale=180,
            retry_plan="final-reporting-auditor-export-delivery-retry-plan",
            worker_run="final-reporting-auditor-export-delivery-retry-worker-run",
            execution="final-reporting-auditor-export-delivery-retry-execution-record",
            alert_word="auditor_export",
        ),
        OracleLane(
            name="release_closeout",
            source=SOURCE + "_final_reporting_release_closeout",
            subjects=("summary_id", "event_id"),
            subject_field="summary_id",
            delay=15,
            cadence=60,
            stale=180,
            retry_plan="final-reporting-release-closeout-delivery-retry-plan",
            worker_run="final-reporting-release-closeout-delivery-retry-worker-run",
            execution="final-reporting-release-closeout-delivery-retry-execution-record",
            alert_word="release_closeout",
            new_delivery="new_delivery_id",
        ),
    )
}


def instant(written: str) -> datetime:
    """The instant of an ISO-8601 text in UTC; without an offset it is UTC (section 2)."""
    moment = datetime.fromisoformat(written.strip().upper())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def provider_name(written: str) -> str:
    """A provider as it is compared: trimmed, in lower case, `-` as `_` (section 2)."""
    return written.strip().lower().replace("-", "_")


@dataclass(frozen=True, order=True)
class OracleRecord:
    """The current version of a record. Records sort by `created_at`, then `session_id`: the last one is the newest."""

    at: datetime
    session_id: str
    raw: Raw = field(compare=False)

    @cached_property
    def kind(self) -> str:
        """The metadata kind without the common prefix; empty for a record whose kind has another or none."""
        kind = str(self.raw.get("metadata_kind") or "")
        return kind.removeprefix(PREFIX) if kind.startswith(PREFIX) or kind == DELIVERY else ""

    def text(self, name: str) -> str:
        """A field of the record itself, empty if it is missing or no text."""
        value = self.raw.get(name)
        return value.strip() if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """A count of the record itself, 0 if it is missing."""
        value = self.raw.get(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else 0

    def inner(self, name: str) -> Any:
        """A field of the record itself, else of the nested object named for its kind; None if neither has it."""
        if self.raw.get(name) is not None:
            return self.raw[name]
        member = self.kind.replace("-", "_")
        nested = self.raw.get(member, self.raw.get(f"acknowledgement_audit_delivery_{member}"))
        return nested.get(name) if isinstance(nested, dict) else None

    @cached_property
    def provider(self) -> str:
        """The provider that the record names."""
        return provider_name(self.text("provider"))

    def providers(self, name: str) -> list[str]:
        """A list of providers, as they are compared, each once, in order of their names."""
        listed = self.raw.get(name) or []
        return sorted({provider_name(each) for each in listed if isinstance(each, str) and each.strip()})


def current(files: Mapping[str, Sequence[Raw]]) -> list[OracleRecord]:
    """The current version of every record, oldest first.

    Args:
        files: The records of each landing file, by `day/file name`: of a `session_id` the version in the later day,
            then the later file name, then the later line is current (section 2).
    """
    newest: dict[str, Raw] = {}
    for name in sorted(files, key=lambda name: name.split("/", 1)):
        for raw in files[name]:
            newest[raw["session_id"]] = raw
    return sorted(OracleRecord(instant(raw["created_at"]), raw["session_id"], raw) for raw in newest.values())


def of_lane(records: Iterable[OracleRecord], lane: OracleLane) -> list[OracleRecord]:
    """A lane's records: its deliveries and the records of its kinds (section 4)."""
    return [
        record
        for record in records
        if (record.kind == DELIVERY and record.raw.get("connector_delivery_source") == lane.source)
        or record.raw.get("metadata_kind") in lane.kinds
    ]
