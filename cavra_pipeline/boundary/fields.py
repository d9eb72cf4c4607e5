"""Fields that may pass the boundary, with their types, formats and words (contract sections 2 and 3).

Which kind of record has which of them is declared in ``kinds.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from cavra_pipeline.lanes import ACKNOWLEDGEMENT_STATES, APPROVAL_STATES


class Type(Enum):
    """A field's type, by the name the docs use."""

    STRING = "text"
    ACTOR = "actor label"
    INTEGER = "whole number"
    NUMBER = "number"
    BOOLEAN = "true or false"
    TIMESTAMP = "timestamp"
    STRINGS = "list of text"
    INTEGERS = "list of whole numbers or null"

    @property
    def sql(self) -> str:
        """The DuckDB type of the column; a timestamp is stored in UTC, without a zone."""
        return _SQL_TYPES[self]


class Format(Enum):
    """What a text must look like to be stored as it is (contract section 3, formats)."""

    IDENTIFIER = "identifier"
    PROVIDER = "provider"
    WORD = "declared word"


#: Declared words; another word is stored as ``OTHER_WORD``.
OTHER_WORD: Final = "other"
LEVELS: Final = ("critical", "warning", "healthy", "unknown")
EXECUTION_STATUSES: Final = ("delivered", "failed", "skipped")
CATEGORIES: Final = ("siem", "itsm", "chatops", "webhook", "retry-execution")
SLO_STATUSES: Final = ("open", "breached", "closed")
#: What an operator may say of a recovery (contract section 2a).
CLOSURE_STATES: Final = ("resolved", "mitigated", "deferred", "escalated", "reopened")
#: Why a live retry sent nothing (cavra-lanes, section 3).
SKIP_REASONS: Final = (
    "audit_package_not_found", "connector_config_not_configured", "auditor_export_not_found", "dry_run",
    "recovery_escalation_plan_not_found", "recovery_executive_report_schedule_run_not_found",
    "recovery_escalation_retry_health_not_found", "recovery_executive_report_delivery_retry_health_not_found",
)  # fmt: skip

_SQL_TYPES: Final = {
    Type.STRING: "VARCHAR",
    Type.ACTOR: "VARCHAR",
    Type.INTEGER: "BIGINT",
    Type.NUMBER: "DOUBLE",
    Type.BOOLEAN: "BOOLEAN",
    Type.TIMESTAMP: "TIMESTAMP",
    Type.STRINGS: "VARCHAR[]",
    Type.INTEGERS: "BIGINT[]",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One allowlisted field.

    Attributes:
        path: Dotted path in the record; ``[]`` marks a list of objects.
        type: What its value must be; null always counts as absent.
        column: The warehouse column it fills.
        comment: What it says, for the schema and the docs.
        required: Whether a record without it is quarantined.
        format: What its text must look like, where it is text.
        words: The words it may say, where its format is ``WORD``.
    """

    path: str
    type: Type
    column: str
    comment: str
    required: bool = False
    format: Format = Format.IDENTIFIER
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of objects of which some members may pass.

    Attributes:
        path: Dotted path of the list in the record.
        column: The warehouse column that holds it.
        comment: What an entry is.
        members: The members, each with its path in the record; a member's column is its name in the entry.
    """

    path: str
    column: str
    comment: str
    members: tuple[Field, ...]


def declare(path: str, type_: Type, comment: str, column: str = "", required: bool = False) -> Field:
    """Declares a field; its column is the last part of its path if none is named."""
    return Field(path, type_, column or path.rsplit(".", 1)[-1], comment, required)


def provider_field(path: str, comment: str, type_: Type = Type.STRING) -> Field:
    """Declares a provider, or a list of them."""
    return replace(declare(path, type_, comment), format=Format.PROVIDER)


def word_field(path: str, comment: str, words: tuple[str, ...], column: str = "") -> Field:
    """Declares a text that is one of some words."""
    return replace(declare(path, Type.STRING, comment, column), format=Format.WORD, words=words)


ENVELOPE: Final = (
    declare("session_id", Type.STRING, "Identity of the record, 1 to 512 characters", required=True),
    declare("created_at", Type.TIMESTAMP, "When it happened, UTC", required=True),
    declare("metadata_kind", Type.STRING, "Kind of record; CAVRA writes records without one too"),
    declare("signer", Type.ACTOR, "Actor label of who signed it"),
    declare("schema_version", Type.STRING, "CAVRA's schema name"),
    declare("product", Type.STRING, "Product that wrote it"),
    declare("decision_count", Type.INTEGER, "Decisions in the session"),
    declare("blocked_count", Type.INTEGER, "Blocked decisions in the session"),
    declare("approval_required_count", Type.INTEGER, "Decisions that asked for approval"),
)

#: Fields that stand at the top of a record, by their name.
NAMED: Final = {
    field.column: field
    for field in (
        declare("connector_delivery_source", Type.STRING, "Which ladder the delivery belongs to"),
        declare("event_id", Type.STRING, "Event that was delivered"),
        declare("event_type", Type.STRING, "Type of that event"),
        declare("plan_id", Type.STRING, "Escalation plan or alert plan"),
        declare("run_id", Type.STRING, "Worker run or schedule run"),
        declare("health_id", Type.STRING, "Health report"),
        declare("executive_report_id", Type.STRING, "Executive report"),
        declare("retry_plan_id", Type.STRING, "Retry plan"),
        declare("worker_run_id", Type.STRING, "Worker run that retried"),
        declare("delivery_success", Type.BOOLEAN, "Whether the delivery says it succeeded"),
        provider_field("providers", "Connectors it went through", Type.STRINGS),
        provider_field("failed_providers", "Connectors that failed", Type.STRINGS),
        declare("attempt_count", Type.INTEGER, "Attempts made"),
        declare("max_attempt_count", Type.INTEGER, "Attempts allowed"),
        declare("status_codes", Type.INTEGERS, "HTTP status of each connector, in the order of providers"),
        declare("recovery_report_id", Type.STRING, "Recovery report"),
        declare("escalation_plan_id", Type.STRING, "Escalation plan"),
        word_field("alert_level", "Level: critical, warning or healthy", LEVELS),
        declare("escalation_count", Type.INTEGER, "Open escalations"),
        declare("slo_breached_count", Type.INTEGER, "Recoveries past their SLO"),
        declare("failed_execution_count", Type.INTEGER, "Failed executions"),
        provider_field("selected_providers", "Connectors that are notified", Type.STRINGS),
        provider_field("suppressed_providers", "Connectors left out", Type.STRINGS),
        declare("acknowledgement_id", Type.STRING, "Acknowledgement"),
        provider_field("provider", "Connector"),
        word_field("acknowledgement_state", "What the operator said", ACKNOWLEDGEMENT_STATES),
        declare("retryable_count", Type.INTEGER, "Deliveries to retry"),
        declare("waiting_count", Type.INTEGER, "Deliveries that wait"),
        declare("suppressed_count", Type.INTEGER, "Deliveries that are exhausted"),
        declare("dry_run", Type.BOOLEAN, "Whether the worker sent nothing"),
        declare("selected_retry_count", Type.INTEGER, "Retries the worker selected"),
        declare("execution_id", Type.STRING, "Live retry"),
        declare("execution_hash", Type.STRING, "Digest of the live retry"),
        word_field("execution_status", "delivered, failed or skipped", EXECUTION_STATUSES),
        declare("alert_count", Type.INTEGER, "Alerts in the report"),
        declare("acknowledgement_pending_count", Type.INTEGER, "Retries that wait for an acknowledgement"),
        declare("failed_executive_report_delivery_count", Type.INTEGER, "Failed executive deliveries"),
        declare("audit_id", Type.STRING, "Audit package"),
        declare("delivery_id", Type.STRING, "Audit delivery, or the delivery that failed"),
        declare("export_id", Type.STRING, "Auditor export"),
        declare("export_hash", Type.STRING, "Digest of the auditor export"),
        declare("summary_id", Type.STRING, "Release closeout summary"),
        declare("summary_hash", Type.STRING, "Digest of the closeout summary"),
        declare("verification_id", Type.STRING, "Verification of the closure packet"),
        declare("release_record_ref", Type.STRING, "Release record"),
        declare("bundle_id", Type.STRING, "Readiness bundle"),
        declare("manifest_id", Type.STRING, "Archive manifest"),
        word_field("verification_state", "verified or incomplete", ("verified", "incomplete")),
        word_field("closeout_state", "closed or open", ("closed", "open")),
        word_field(
            "signature_state",
            "Whether the manifest is signed",
            ("external_signature_attached", "external_signature_required"),
        ),
        declare("archive_object_count", Type.INTEGER, "Objects in the archive"),
        declare("blocker_count", Type.INTEGER, "What keeps the release open"),
        declare("evidence_count", Type.INTEGER, "Pieces of evidence"),
        declare("route_count", Type.INTEGER, "Routes of the package"),
        declare("acknowledgement_count", Type.INTEGER, "Routes that are acknowledged"),
        declare("outstanding_count", Type.INTEGER, "Routes that are not acknowledged"),
        declare("destination_count", Type.INTEGER, "Connectors to deliver through"),
        declare("approval_plan_id", Type.STRING, "Approval plan"),
        declare("approved_count", Type.INTEGER, "Retries that are approved"),
        declare("decision_id", Type.STRING, "Decision"),
        word_field("approval_state", "What was decided of a retry", APPROVAL_STATES),
        word_field("decision_state", "What was decided of a retention", APPROVAL_STATES),
        word_field("review_state", "Whether a retention review is pending", ("pending", *APPROVAL_STATES)),
        word_field("retention_decision_state", "Decision of the bundle", ("not_attached", *APPROVAL_STATES)),
        declare("external_ref", Type.STRING, "Ticket"),
        declare("approval_decision_id", Type.STRING, "Approval decision"),
        declare("playbook_id", Type.STRING, "Connector recovery playbook"),
        declare("provider_count", Type.INTEGER, "Connectors in the playbook"),
        declare("failure_count", Type.INTEGER, "Failed deliveries in the playbook"),
        declare("closure_id", Type.STRING, "Closure of a recovery"),
        declare("closure_hash", Type.STRING, "Digest of the closure"),
        word_field("closure_state", "What was said of a recovery", CLOSURE_STATES),
        declare("report_id", Type.STRING, "Recovery report"),
        declare("execution_count", Type.INTEGER, "Executions in the report"),
        declare("execution_failed_count", Type.INTEGER, "Failed executions in the report"),
        declare("recovery_slo_breached_count", Type.INTEGER, "Recoveries past their limit"),
        provider_field("acknowledgement_required_providers", "Connectors that must be acknowledged", Type.STRINGS),
        declare("suppressed_provider_count", Type.INTEGER, "Connectors left out"),
        declare("suppression_window_minutes", Type.INTEGER, "How long an alert is not repeated, minutes"),
        declare("critical_alert_count", Type.INTEGER, "Critical alerts in the report"),
        declare("warning_alert_count", Type.INTEGER, "Warnings in the report"),
        declare("missing_archive_reference_count", Type.INTEGER, "Exports without an archive reference"),
        declare("artifact_bundle_count", Type.INTEGER, "Artifact bundles"),
        declare("expiring_bundle_count", Type.INTEGER, "Bundles whose retention ends soon"),
        declare("expired_bundle_count", Type.INTEGER, "Bundles whose retention has ended"),
        declare("failed_closeout_delivery_count", Type.INTEGER, "Failed closeout deliveries"),
        declare("reference_id", Type.STRING, "Archive reference"),
        provider_field("archive_provider", "Archive"),
        declare("archive_hash", Type.STRING, "Digest of the archive"),
        declare("retention_until", Type.TIMESTAMP, "End of the retention, UTC"),
        declare("legal_hold", Type.BOOLEAN, "Whether it is retained for a legal reason"),
        declare("review_id", Type.STRING, "Retention review"),
        declare("artifact_bundle_id", Type.STRING, "Artifact bundle"),
        declare("artifact_count", Type.INTEGER, "Artifacts in the bundle"),
        declare("retention_decision_id", Type.STRING, "Retention decision"),
    )
}

DELIVERIES: Final = Listed(
    "delivery.deliveries",
    "provider_deliveries",
    "One entry for each connector of a delivery",
    (
        provider_field("delivery.deliveries[].provider", "Connector"),
        declare("delivery.deliveries[].success", Type.BOOLEAN, "Whether it took the delivery"),
        declare("delivery.deliveries[].status_code", Type.INTEGER, "HTTP status"),
        declare("delivery.deliveries[].attempt_count", Type.INTEGER, "Attempts at this connector"),
        declare("delivery.deliveries[].started_at", Type.TIMESTAMP, "First attempt, UTC"),
        declare("delivery.deliveries[].completed_at", Type.TIMESTAMP, "Last answer, UTC"),
    ),
)
_PLAYBOOKS = "connector_recovery_playbook.provider_playbooks"
PLAYBOOKS: Final = Listed(
    _PLAYBOOKS,
    "provider_playbooks",
    "One entry for each recovery that a playbook opens",
    (
        provider_field(f"{_PLAYBOOKS}[].provider", "Connector"),
        word_field(f"{_PLAYBOOKS}[].category", "Kind of connector", CATEGORIES),
        declare(f"{_PLAYBOOKS}[].failure_count", Type.INTEGER, "Failed deliveries"),
        declare(f"{_PLAYBOOKS}[].latest_failure_at", Type.TIMESTAMP, "Newest failure, UTC"),
    ),
)
_ROUTES = "recovery_escalation_plan.escalation_routes"
ROUTES: Final = Listed(
    _ROUTES,
    "escalation_routes",
    "One entry for each recovery that an escalation plan lists",
    (
        provider_field(f"{_ROUTES}[].provider", "Connector that is broken"),
        word_field(f"{_ROUTES}[].category", "Kind of connector", CATEGORIES),
        word_field(f"{_ROUTES}[].severity", "critical or warning", LEVELS),
        declare(f"{_ROUTES}[].playbook_id", Type.STRING, "Playbook that opened the recovery"),
        word_field(f"{_ROUTES}[].slo_status", "open, breached or closed", SLO_STATUSES),
        declare(f"{_ROUTES}[].age_minutes", Type.INTEGER, "Age of the recovery, minutes"),
        declare(f"{_ROUTES}[].failure_count", Type.INTEGER, "Failed deliveries"),
    ),
)
#: Lists of objects, by the column that holds each.
LISTS: Final[dict[str, Listed]] = {listed.column: listed for listed in (DELIVERIES, PLAYBOOKS, ROUTES)}
