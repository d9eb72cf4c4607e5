"""The declared table of record kinds (contract sections 2 and 2a): which fields each may have, its table and its lane.

The boundary's allowlist, the warehouse's columns and ``docs/evidence-kinds.md`` are all made from this table;
a field that is not here is stored nowhere. No parsing happens here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cavra_pipeline.boundary.fields import (
    DELIVERIES,
    ENVELOPE,
    LISTS,
    NAMED,
    PLAYBOOKS,
    ROUTES,
    SKIP_REASONS,
    Field,
    Format,
    Type,
    declare,
    word_field,
)
from cavra_pipeline.lanes import LANES, Lane

KIND_PREFIX: Final = "go-backend-rollback-drill-acknowledgement-audit-delivery-"
DELIVERY_KIND: Final = "release-connector-delivery"
PACKAGE_KIND: Final = "go-backend-rollback-drill-acknowledgement-audit-package"

Fields = tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of evidence record: its full name, table, lane (None where a record names its own) and fields."""

    name: str
    record_type: str
    lane: str | None
    fields: Fields


def _pick(names: str) -> Fields:
    return tuple(NAMED[name] for name in dict.fromkeys(names.split()))


def _kind(stem: str, record_type: str, names: str, nested: Fields = (), lane: Lane | None = None) -> Kind:
    return Kind(KIND_PREFIX + stem, record_type, lane.name if lane else None, ENVELOPE + _pick(names) + nested)


def payload_key(stem: str) -> str:
    """Returns the key of a record's own payload in CAVRA; ``stem`` is the last part of its kind."""
    return {
        "retry-plan": "acknowledgement_audit_delivery_retry_plan",
        "worker-run": "acknowledgement_audit_delivery_worker_run",
    }.get(stem, stem.replace("-", "_"))


def _schedule(nested: str) -> Fields:
    at = f"{nested}.schedule"
    return (
        declare(f"{at}.enabled", Type.BOOLEAN, "Whether the schedule is on", "schedule_enabled"),
        declare(f"{at}.interval_minutes", Type.INTEGER, "Schedule interval, minutes", "schedule_interval_minutes"),
        declare(f"{at}.window_start", Type.STRING, "Start of the schedule's window", "schedule_window_start"),
        declare(f"{at}.window_end", Type.STRING, "End of the schedule's window", "schedule_window_end"),
        declare(f"{at}.cadence", Type.STRING, "How often the schedule says it runs", "schedule_cadence"),
    )


def _summary(nested: str) -> Fields:
    at = f"{nested}.summary"
    return (
        declare(f"{at}.acknowledgement_pending_count", Type.INTEGER, "Retries that wait for an acknowledgement"),
        declare(f"{at}.approval_pending_count", Type.INTEGER, "Retries that wait for an approval"),
        declare(f"{at}.waiting_retry_count", Type.INTEGER, "Retries not yet due"),
        declare(f"{at}.suppressed_retry_count", Type.INTEGER, "Retries that are exhausted"),
    )


def _policy(nested: str) -> Fields:
    return (
        declare(f"{nested}.max_retry_attempts", Type.INTEGER, "Attempts the policy allows"),
        declare(f"{nested}.base_retry_delay_minutes", Type.NUMBER, "Delay before the first retry, minutes"),
        declare(f"{nested}.backoff_multiplier", Type.NUMBER, "How the delay grows with each failure"),
        declare(f"{nested}.allow_immediate_retry", Type.BOOLEAN, "Whether a retry need not wait"),
    )


_PLAN = "retry_plan_id alert_level retryable_count waiting_count suppressed_count"
_WORKER = "run_id dry_run selected_retry_count"
_EXECUTION = "execution_id execution_hash execution_status retry_plan_id provider"
_HEALTH = "health_id alert_level alert_count failed_execution_count"
_ACKNOWLEDGEMENT = "acknowledgement_id provider acknowledgement_state external_ref"
_ALERT_PLAN = (
    "plan_id health_id alert_level selected_providers suppressed_providers acknowledgement_required_providers "
    "suppressed_provider_count suppression_window_minutes"
)
_APPROVAL_PLAN = "approval_plan_id alert_level approved_count waiting_count"
_APPROVAL = "decision_id approval_plan_id retry_plan_id delivery_id audit_id provider approval_state external_ref"
_DELIVERED = (
    "connector_delivery_source event_id event_type plan_id run_id health_id executive_report_id retry_plan_id "
    "worker_run_id delivery_success providers failed_providers attempt_count max_attempt_count status_codes "
    "audit_id delivery_id export_id verification_id release_record_ref summary_id bundle_id manifest_id"
)
_ESCALATION = (
    "plan_id recovery_report_id alert_level escalation_count slo_breached_count failed_execution_count "
    "selected_providers"
)
_REPORT = "executive_report_id recovery_report_id escalation_plan_id alert_level escalation_count"


def _ladder(lane: Lane) -> Iterator[Kind]:
    """The kinds of a lane's retries."""
    policy = _policy(payload_key(lane.kinds.retry_plan))
    yield _kind(lane.kinds.retry_plan, "retry_plan", f"{_PLAN} {lane.run_fields}", policy, lane)
    yield _kind(lane.kinds.health, "health_report", f"{_HEALTH} {lane.health_field}", lane=lane)
    if lane.acknowledgement_kind:
        answer = f"{_ACKNOWLEDGEMENT} {lane.answer_fields}"
        yield _kind(lane.acknowledgement_kind, "acknowledgement", answer, lane=lane)
    for worker, execution in _spellings(lane):
        yield _worker_run(worker, lane)
        yield _execution(execution, lane)


def _worker_run(stem: str, lane: Lane) -> Kind:
    nested = payload_key(stem)
    counted = _pick("retryable_count")
    if lane.results_are_nested:
        counted = (declare(f"{nested}.summary.retryable_count", Type.INTEGER, "Deliveries to retry"),)
    return _kind(
        stem, "worker_run", f"{_WORKER} {lane.run_fields}", (*counted, *_schedule(nested), *_summary(nested)), lane
    )


def _execution(stem: str, lane: Lane) -> Kind:
    nested = payload_key(stem)
    skipped = f"{nested}.{'skip_reason' if lane.results_are_nested else 'skipped'}"
    success = f"{nested}.delivery_success" if lane.results_are_nested else "delivery_success"
    result = (
        declare(success, Type.BOOLEAN, "Whether the delivery says it succeeded"),
        word_field(skipped, "Why nothing was sent", SKIP_REASONS, column="skip_reason"),
        declare(f"{nested}.delivery_metadata_id", Type.STRING, "Record of the retry's delivery"),
        declare(f"{nested}.new_delivery_id", Type.STRING, "Record of the retry's delivery"),
        declare(f"{nested}.latest_delivery_id", Type.STRING, "Record of the delivery that was retried"),
    )
    return _kind(stem, "execution", f"{_EXECUTION} {lane.execution_fields}", result, lane)


def _spellings(lane: Lane) -> Iterator[tuple[str, str]]:
    """The lane's worker-run and execution kinds; the contract shortens those of an alert lane, so each is a row."""
    yield lane.kinds.worker_run, lane.kinds.execution
    if lane.alerts_of:
        for stem in (f"{lane.kind_stem}-retry", lane.kind_stem):
            yield f"{stem}-worker-run", f"{stem}-execution-record"


def _alerts(stem: str, lane: Lane | None = None) -> Iterator[Kind]:
    """The kinds that route and acknowledge a health alert whose deliveries have no lane."""
    yield _kind(f"{stem}-plan", "alert_plan", _ALERT_PLAN, lane=lane)
    yield _kind(f"{stem}-ack", "acknowledgement", f"{_ACKNOWLEDGEMENT} plan_id health_id")


def _final_reporting() -> Iterator[Kind]:
    """What CAVRA writes when it closes a release (cavra-lanes, sections 2b, 2c and 5)."""
    stem = "final-reporting"
    release = "summary_id release_record_ref bundle_id manifest_id"
    export = "export_id export_hash verification_id verification_state release_record_ref evidence_count"
    yield _kind(f"{stem}-auditor-export", "auditor_export", export)
    closeout = "summary_hash closeout_state alert_level signature_state archive_object_count blocker_count"
    yield _kind(f"{stem}-release-closeout-summary", "closeout_summary", f"{release} {closeout}")
    event = f"{release} summary_hash closeout_state archive_object_count"
    yield _kind(f"{stem}-release-closeout-delivery", "closeout_summary", event)
    archive = "alert_level alert_count critical_alert_count warning_alert_count missing_archive_reference_count"
    yield _kind(f"{stem}-archive-reference-health", "archive_health_report", f"health_id {archive}")
    retention = "artifact_bundle_count expiring_bundle_count expired_bundle_count failed_closeout_delivery_count"
    names = f"health_id alert_level alert_count {retention}"
    yield _kind(f"{stem}-closeout-retention-health", "retention_health_report", names)
    archive_fields = (
        "archive_provider archive_hash export_id verification_id release_record_ref retention_until legal_hold"
    )
    yield _kind(f"{stem}-immutable-archive-reference", "archive_reference", f"reference_id {archive_fields}")
    review = f"review_id {release} retention_until legal_hold"
    yield _kind(f"{stem}-closeout-retention-review-request", "retention_review", f"{review} review_state")
    yield _kind(
        f"{stem}-closeout-retention-review-decision", "retention_review", f"{review} decision_id decision_state"
    )
    bundle = "artifact_bundle_id artifact_count retention_decision_id retention_decision_state"
    yield _kind(f"{stem}-closeout-artifact-bundle", "artifact_bundle", f"{bundle} {release}")
    yield from _alerts(f"{stem}-archive-reference-health-alert")
    # CAVRA asks for its acknowledgement and has no record of one.
    yield _kind(f"{stem}-closeout-retention-health-alert-plan", "alert_plan", _ALERT_PLAN)


def _kinds() -> Iterator[Kind]:
    yield Kind(DELIVERY_KIND, "delivery", None, ENVELOPE + _pick(_DELIVERED) + DELIVERIES.members)
    for lane in LANES.values():
        yield from _ladder(lane)
        if lane.alerts_of:
            yield _kind(f"{lane.kind_stem}-plan", "alert_plan", _ALERT_PLAN, lane=lane)
    escalation, executive = LANES["recovery_escalation"], LANES["executive_report"]
    yield _kind("recovery-escalation-plan", "escalation_plan", _ESCALATION, ROUTES.members, escalation)
    yield _kind("recovery-executive-report", "executive_report", _REPORT, lane=executive)
    schedule = _schedule("recovery_executive_report_schedule_run")
    names = "run_id alert_level escalation_count"
    yield _kind("recovery-executive-report-schedule-run", "schedule_run", names, schedule, executive)

    package = _pick("audit_id alert_level route_count acknowledgement_count outstanding_count")
    yield Kind(PACKAGE_KIND, "audit_package", None, ENVELOPE + package)
    yield _kind("plan", "audit_delivery_plan", "delivery_id audit_id alert_level selected_providers destination_count")
    audit = LANES["acknowledgement_audit"]
    yield _kind("retry-execution-approval-plan", "approval_plan", _APPROVAL_PLAN, lane=audit)
    yield _kind("retry-execution-approval-decision", "approval", _APPROVAL, lane=audit)
    yield from _alerts("worker-health-alert", audit)

    playbook = "playbook_id alert_level provider_count failure_count"
    yield _kind("connector-recovery-playbook", "playbook", playbook, PLAYBOOKS.members)
    closure = "closure_id closure_hash playbook_id provider closure_state external_ref"
    yield _kind("connector-recovery-closure", "closure", closure)
    recovery = "report_id alert_level execution_count execution_failed_count recovery_slo_breached_count"
    yield _kind("retry-recovery-report", "recovery_report", recovery)
    yield from _final_reporting()


KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in _kinds()}

#: Columns of the warehouse that come from single fields, in order: the envelope, then each field once.
COLUMNS: Final[dict[str, Field]] = {
    field.column: field for kind in KINDS.values() for field in kind.fields if "[]" not in field.path
}

#: Columns that hold one of their declared words, or ``OTHER_WORD``.
WORD_COLUMNS: Final = tuple(name for name, field in COLUMNS.items() if field.format is Format.WORD)


def fields_of(kind: str) -> Fields:
    """Returns the allowlist of that kind; an unknown kind has the envelope only."""
    return KINDS[kind].fields if kind in KINDS else ENVELOPE


def lists_of(kind: str) -> tuple[str, ...]:
    """Returns the columns that hold the lists of objects of that kind."""
    return tuple(column for column, listed in LISTS.items() if listed.members[0] in fields_of(kind))
